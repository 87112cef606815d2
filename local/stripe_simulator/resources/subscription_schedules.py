"""Subscription schedules: phases that create and change a subscription, and the operations on them.

Source: docs.stripe.com/billing/subscriptions/subscription-schedules, and the texts of the official library's types.
"""

import copy
from contextlib import suppress
from typing import Any

from local.stripe_simulator.answers import in_range, list_page
from local.stripe_simulator.errors import ApiError, in_the_past, missing
from local.stripe_simulator.parameters import apply_fields
from local.stripe_simulator.resources import (
    pause_schedules,
    payment_methods,
    schedule_phases,
    subscription_changes,
    subscriptions,
)
from local.stripe_simulator.resources.events import emit, emit_update, snapshot
from local.stripe_simulator.resources.status import ENDED
from local.stripe_simulator.simulator import Call
from local.stripe_simulator.store import StripeObject, new_id

_LIVE = {"active", "not_started"}
# What may go with `from_subscription`; the page about pause schedules names them.
_WITH_SUBSCRIPTION = {"expand", "from_subscription", "pause_schedules"}


def create(call: Call) -> StripeObject:
    """`POST /v1/subscription_schedules`, of a subscription that exists (`from_subscription`) or of a customer."""
    if "from_subscription" in call.params:
        return _create_from_subscription(call)
    params = call.params
    for name in ("customer", "phases"):
        if name not in params:
            raise missing(name)
    customer = call.store.customers.get(params["customer"], "customer")
    start = call.now if params.get("start_date", "now") == "now" else int(params["start_date"])
    schedule = _blank(call, customer["id"], subscriptions.billing_mode_of(call), _DEFAULT_SETTINGS)
    schedule |= {"test_clock": customer["test_clock"], "metadata": params.get("metadata") or {}}
    _apply_settings(call, schedule)
    schedule["phases"] = schedule_phases.read(call, customer["id"], params["phases"], start)
    if schedule["phases"][-1]["end_date"] <= call.now:
        raise in_the_past(f"phases[{len(schedule['phases']) - 1}][end_date]")
    if "pause_schedules" in params:
        future = _future_subscription(schedule)
        schedule["pause_schedules"] = pause_schedules.planned(call, future, schedule, params["pause_schedules"])
    call.store.subscription_schedules.add(schedule)
    if start > call.now:
        call.simulator.schedule_starts[schedule["id"]] = start
    else:
        _start(call, schedule)
    emit(call, "subscription_schedule.created", schedule)
    return schedule


def _create_from_subscription(call: Call) -> StripeObject:
    params = call.params
    for name in params:
        if name not in _WITH_SUBSCRIPTION:
            raise ApiError(f"You cannot set `{name}` if `from_subscription` is set.", param=name)
    subscription = call.store.subscriptions.get(params["from_subscription"], "from_subscription")
    if subscription["schedule"] or subscription["status"] in ENDED:
        attached = subscription["schedule"] or subscription["id"]
        text = f"You cannot migrate a subscription that is already attached to a schedule: `{attached}`."
        raise ApiError(text, param="from_subscription")
    settings = _settings_of(subscription)
    schedule = _blank(call, subscription["customer"], copy.deepcopy(subscription["billing_mode"]), settings)
    schedule |= {"status": "active", "subscription": subscription["id"], "test_clock": subscription["test_clock"]}
    schedule["phases"] = [schedule_phases.current_of(subscription)]
    schedule["current_phase"] = _current(schedule, call.now)
    schedule["pause_schedules"] = pause_schedules.planned(
        call, subscription, schedule, params.get("pause_schedules", [])
    )
    call.store.subscription_schedules.add(schedule)
    emit(call, "subscription_schedule.created", schedule)
    _attach(call, subscription, schedule["id"])
    _queue_next_phase(call, schedule)
    pause_schedules.carry_out_due(call, subscription)
    return schedule


def _start(call: Call, schedule: StripeObject) -> None:
    """Create the subscription of a schedule whose first phase begins."""
    phase = _phase_at(schedule, call.now)
    subscription = subscriptions.create(call.about("", **schedule_phases.creation_of(schedule, phase, call.now)))
    schedule |= {"status": "active", "subscription": subscription["id"]}
    schedule["current_phase"] = _current(schedule, call.now)
    _attach(call, subscription, schedule["id"])
    _queue_next_phase(call, schedule)
    pause_schedules.queue(call, schedule, subscription)


def start_due(call: Call, schedule: StripeObject) -> None:
    """Begin a schedule at its start date; one whose subscription cannot be created is canceled."""
    call.simulator.schedule_starts.pop(schedule["id"], None)
    before = snapshot(schedule)
    try:
        with call.simulator.transaction():
            _start(call, schedule)
    except ApiError:
        schedule |= before | {"status": "canceled", "canceled_at": call.now}
        emit(call, "subscription_schedule.canceled", schedule)
    else:
        emit_update(call, "subscription_schedule.updated", before, schedule)


def retrieve(call: Call) -> StripeObject:
    """`GET /v1/subscription_schedules/{id}`."""
    schedule = call.store.subscription_schedules.get(call.ids["id"])
    schedule["current_phase"] = _current(schedule, call.now)
    return schedule


def list_schedules(call: Call) -> StripeObject:
    """`GET /v1/subscription_schedules`, by customer, by times, and those that have not started (`scheduled`)."""
    params = call.params
    if "customer" in params:
        call.store.customers.get(params["customer"], "customer")

    def keep(one: StripeObject) -> bool:
        return all(
            in_range(one[name], params[name])
            for name in ("canceled_at", "completed_at", "released_at")
            if name in params
        ) and (not params.get("scheduled") or one["status"] == "not_started")

    url = "/v1/subscription_schedules"
    return list_page(call.store.subscription_schedules, params, url, keep, params.get("customer"))


def update(call: Call) -> StripeObject:
    """`POST /v1/subscription_schedules/{id}`: `phases` replace the planned ones, the current one among them."""
    schedule = _live(call)
    before, changed = snapshot(schedule), snapshot(schedule)
    found = call.store.subscriptions.find(schedule["subscription"] or "")
    apply_fields(changed, call.params, ())
    _apply_settings(call, changed)
    if "pause_schedules" in call.params:
        subscription = found or _future_subscription(changed)
        changed["pause_schedules"] = pause_schedules.planned(
            call, subscription, changed, call.params["pause_schedules"]
        )
    if "phases" in call.params:
        changed["phases"] = _replaced_phases(call, changed, call.params["phases"])
        changed["current_phase"] = _current(changed, call.now)
    schedule.update(changed)
    if found is None:
        call.simulator.schedule_starts[schedule["id"]] = schedule["phases"][0]["start_date"]
    else:
        if "phases" in call.params and _content(before, call.now) != _content(schedule, call.now):
            _enter_phase(call, schedule, found, call.params.get("proration_behavior"))
        _queue_next_phase(call, schedule)
        pause_schedules.queue(call, schedule, found)
    emit_update(call, "subscription_schedule.updated", before, schedule)
    return schedule


def _replaced_phases(call: Call, schedule: StripeObject, given: list[dict[str, Any]]) -> list[StripeObject]:
    start = schedule["phases"][0]["start_date"]
    if schedule["status"] == "active" and not any("start_date" in phase for phase in given):
        raise ApiError(
            "The subscription schedule update is missing at least one phase with a `start_date` to anchor end dates "
            "to.",
            param="phases",
        )
    phases = schedule_phases.read(call, schedule["customer"], given, start)
    current = _current(schedule, call.now)
    if current and current["start_date"] not in {phase["start_date"] for phase in phases}:
        raise ApiError("You can not modify the start date of the current phase.", param="phases[0][start_date]")
    return phases


def _content(schedule: StripeObject, now: int) -> StripeObject:
    """Return what the current phase sets, without its dates."""
    phase = _phase_at(schedule, now)
    return {name: value for name, value in phase.items() if name not in {"start_date", "end_date"}}


def cancel(call: Call) -> StripeObject:
    """`POST /v1/subscription_schedules/{id}/cancel`: the subscription, if there is one yet, ends with it."""
    schedule = _live(call)
    subscription = call.store.subscriptions.find(schedule["subscription"] or "")
    _forget(call, schedule)
    schedule |= {"status": "canceled", "canceled_at": call.now, "current_phase": None}
    emit(call, "subscription_schedule.canceled", schedule)
    if subscription and subscription["status"] not in ENDED:
        others = {name: value for name, value in call.params.items() if name != "expand"}
        subscriptions.cancel(call.about(subscription["id"], **others))
    return schedule


def release(call: Call) -> StripeObject:
    """`POST /v1/subscription_schedules/{id}/release`: the subscription goes on as it is."""
    return _release(call, _live(call))


def _release(call: Call, schedule: StripeObject) -> StripeObject:
    _forget(call, schedule)
    subscription = call.store.subscriptions.find(schedule["subscription"] or "")
    schedule |= {"status": "released", "released_at": call.now, "released_subscription": schedule["subscription"]}
    schedule |= {"subscription": None, "current_phase": None}
    emit(call, "subscription_schedule.released", schedule)
    if subscription:
        _attach(call, subscription, None)
    return schedule


def _forget(call: Call, schedule: StripeObject) -> None:
    """Drop everything that a schedule has planned."""
    simulator = call.simulator
    simulator.schedule_starts.pop(schedule["id"], None)
    for plans in (simulator.phase_starts, simulator.pause_plans):
        plans.pop(schedule["subscription"] or "", None)


def plans_update(schedule: StripeObject, now: int) -> bool:
    """Whether a phase is still to begin."""
    return schedule["status"] in _LIVE and any(phase["start_date"] > now for phase in schedule["phases"])


def begin_phase(call: Call, subscription: StripeObject) -> None:
    """Begin the phase that is due: its prices become the subscription's; after the last one the schedule ends."""
    schedule = call.store.subscription_schedules.get(subscription["schedule"])
    if schedule["phases"][-1]["end_date"] <= call.now:
        _end_schedule(call, schedule, subscription)
        return
    schedule["current_phase"] = _current(schedule, call.now)
    _queue_next_phase(call, schedule)
    # What Stripe does with a phase that cannot be entered is not documented; here the subscription stays as it is.
    with suppress(ApiError):
        _enter_phase(call, schedule, subscription)


def _enter_phase(
    call: Call, schedule: StripeObject, subscription: StripeObject, proration_behavior: str | None = None
) -> None:
    phase = _phase_at(schedule, call.now)
    changes = schedule_phases.changes_of(schedule, phase, subscription)
    changes["proration_behavior"] = proration_behavior or phase["proration_behavior"]
    subscription_changes.update(call.about(subscription["id"], **changes))


def _end_schedule(call: Call, schedule: StripeObject, subscription: StripeObject) -> None:
    if schedule["end_behavior"] != "cancel":
        _release(call, schedule)
        return
    _forget(call, schedule)
    schedule |= {"status": "completed", "completed_at": call.now, "current_phase": None}
    emit(call, "subscription_schedule.completed", schedule)
    subscriptions.cancel(call.about(subscription["id"]))


def _live(call: Call) -> StripeObject:
    schedule = call.store.subscription_schedules.get(call.ids["id"])
    if schedule["status"] not in _LIVE:
        raise ApiError(
            f"You cannot update a subscription schedule that is currently in the `{schedule['status']}` status."
        )
    return schedule


# The object.

_DEFAULT_SETTINGS: StripeObject = {
    "application_fee_percent": None,
    "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
    "billing_cycle_anchor": "automatic",
    "billing_thresholds": None,
    "collection_method": "charge_automatically",
    "default_payment_method": None,
    "description": None,
    "invoice_settings": {
        "account_tax_ids": None,
        "custom_fields": None,
        "days_until_due": None,
        "description": None,
        "footer": None,
        "issuer": {"type": "self"},
    },
    "on_behalf_of": None,
    "transfer_data": None,
}


def _settings_of(subscription: StripeObject) -> StripeObject:
    settings = copy.deepcopy(_DEFAULT_SETTINGS)
    settings |= {name: subscription[name] for name in ("collection_method", "default_payment_method", "description")}
    settings["invoice_settings"]["days_until_due"] = subscription["days_until_due"]
    return settings


def _blank(call: Call, customer: str, billing_mode: StripeObject, settings: StripeObject) -> StripeObject:
    return {
        "id": new_id("sub_sched"),
        "object": "subscription_schedule",
        "application": None,
        "billing_mode": billing_mode,
        "canceled_at": None,
        "completed_at": None,
        "created": call.now,
        "current_phase": None,
        "customer": customer,
        "customer_account": None,
        "default_settings": copy.deepcopy(settings),
        "end_behavior": "release",
        "livemode": False,
        "metadata": {},
        "pause_schedules": [],
        "phases": [],
        "released_at": None,
        "released_subscription": None,
        "status": "not_started",
        "subscription": None,
        "test_clock": None,
    }


def _apply_settings(call: Call, schedule: StripeObject) -> None:
    """Take over `default_settings` and `end_behavior`."""
    given, settings = dict(call.params.get("default_settings", {})), schedule["default_settings"]
    method = given.get("default_payment_method")
    if method:
        payment_methods.require_attached(call, method, schedule["customer"], "default_settings[default_payment_method]")
    invoices = given.pop("invoice_settings", {})
    apply_fields(settings, given, tuple(given))
    apply_fields(settings["invoice_settings"], invoices, tuple(invoices))
    if settings["collection_method"] == "send_invoice" and settings["invoice_settings"]["days_until_due"] is None:
        raise missing("default_settings[invoice_settings][days_until_due]")
    schedule["end_behavior"] = call.params.get("end_behavior", schedule["end_behavior"])


def _future_subscription(schedule: StripeObject) -> StripeObject:
    """Return as much of a subscription that does not exist yet as a planned pause asks for."""
    method = schedule["default_settings"]["collection_method"]
    return {"billing_mode": schedule["billing_mode"], "collection_method": method, "status": "not_started"}


def _phase_at(schedule: StripeObject, now: int) -> StripeObject:
    """Return the last phase that has begun, or the first one."""
    begun = [phase for phase in schedule["phases"] if phase["start_date"] <= now]
    phase: StripeObject = begun[-1] if begun else schedule["phases"][0]
    return phase


def _current(schedule: StripeObject, now: int) -> StripeObject | None:
    for phase in schedule["phases"]:
        if schedule["status"] == "active" and phase["start_date"] <= now < phase["end_date"]:
            return {"start_date": phase["start_date"], "end_date": phase["end_date"]}
    return None


def _queue_next_phase(call: Call, schedule: StripeObject) -> None:
    moments = [*(phase["start_date"] for phase in schedule["phases"]), schedule["phases"][-1]["end_date"]]
    ahead = [moment for moment in moments if moment > call.now]
    call.simulator.phase_starts.pop(schedule["subscription"], None)
    if ahead:
        call.simulator.phase_starts[schedule["subscription"]] = min(ahead)
        call.simulator.due_changes.add(call.store.subscriptions.get(schedule["subscription"]))


def _attach(call: Call, subscription: StripeObject, schedule_id: str | None) -> None:
    before = snapshot(subscription)
    subscription["schedule"] = schedule_id
    emit_update(call, "customer.subscription.updated", before, subscription)
