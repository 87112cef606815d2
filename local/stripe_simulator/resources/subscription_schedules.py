"""Subscription schedules: phases that change the prices of a subscription."""

import copy
from typing import Any

from local.stripe_simulator.errors import ApiError, missing
from local.stripe_simulator.resources import pause_schedules, subscriptions
from local.stripe_simulator.resources.events import emit, emit_update, snapshot
from local.stripe_simulator.resources.periods import add_interval, period_end
from local.stripe_simulator.resources.status import ENDED
from local.stripe_simulator.simulator import Call
from local.stripe_simulator.store import StripeObject, new_id

_LIVE = {"active", "not_started"}


def create(call: Call) -> StripeObject:
    """`POST /v1/subscription_schedules`, of a subscription that exists (`from_subscription`)."""
    params = call.params
    if "from_subscription" not in params:
        raise missing("from_subscription")
    subscription = call.store.subscriptions.get(params["from_subscription"], "from_subscription")
    if subscription["schedule"] or subscription["status"] in ENDED:
        text = f"You cannot migrate a subscription that is already attached to a schedule: {subscription['id']}."
        raise ApiError(text, param="from_subscription")
    items = [
        _phase_item(one["price"], {"metadata": one["metadata"], **_quantity_of(one)})
        for one in subscription["items"]["data"]
    ]
    schedule: StripeObject = {
        "id": new_id("sub_sched"),
        "object": "subscription_schedule",
        "application": None,
        "billing_mode": copy.deepcopy(subscription["billing_mode"]),
        "canceled_at": None,
        "completed_at": None,
        "created": call.now,
        "customer": subscription["customer"],
        "customer_account": None,
        "default_settings": _default_settings(subscription),
        "end_behavior": "release",
        "livemode": False,
        "metadata": {},
        "pause_schedules": [],
        "phases": [_phase(subscription, subscription["start_date"], period_end(subscription), items)],
        "released_at": None,
        "released_subscription": None,
        "status": "active",
        "subscription": subscription["id"],
        "test_clock": subscription["test_clock"],
    }
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


def retrieve(call: Call) -> StripeObject:
    """`GET /v1/subscription_schedules/{id}`."""
    schedule = call.store.subscription_schedules.get(call.ids["id"])
    schedule["current_phase"] = _current(schedule, call.now)
    return schedule


def update(call: Call) -> StripeObject:
    """`POST /v1/subscription_schedules/{id}`: `phases` replace the planned ones, the current one among them."""
    schedule = _live(call)
    before, subscription = snapshot(schedule), call.store.subscriptions.get(schedule["subscription"])
    plans = schedule["pause_schedules"]
    if "pause_schedules" in call.params:
        plans = pause_schedules.planned(call, subscription, schedule, call.params["pause_schedules"])
    if "phases" in call.params:
        schedule["phases"] = _phases(call, subscription, call.params["phases"])
        schedule["current_phase"] = _current(schedule, call.now)
    schedule["end_behavior"] = call.params.get("end_behavior", schedule["end_behavior"])
    schedule["pause_schedules"] = plans
    _queue_next_phase(call, schedule)
    pause_schedules.queue(call, schedule, subscription)
    emit_update(call, "subscription_schedule.updated", before, schedule)
    return schedule


def release(call: Call) -> StripeObject:
    """`POST /v1/subscription_schedules/{id}/release`: the subscription goes on as it is."""
    return _release(call, _live(call))


def _release(call: Call, schedule: StripeObject) -> StripeObject:
    subscription = call.store.subscriptions.get(schedule["subscription"])
    schedule |= {"status": "released", "released_at": call.now, "released_subscription": subscription["id"]}
    schedule |= {"subscription": None, "current_phase": None}
    call.simulator.phase_starts.pop(subscription["id"], None)
    call.simulator.pause_plans.pop(subscription["id"], None)
    emit(call, "subscription_schedule.released", schedule)
    _attach(call, subscription, None)
    return schedule


def plans_update(schedule: StripeObject, now: int) -> bool:
    """Whether a phase is still to begin."""
    return schedule["status"] in _LIVE and any(phase["start_date"] > now for phase in schedule["phases"])


def begin_phase(call: Call, subscription: StripeObject) -> None:
    """Begin the phase that is due: its prices become the subscription's; after the last one the schedule ends."""
    schedule = call.store.subscription_schedules.get(subscription["schedule"])
    if schedule["phases"][-1]["end_date"] <= call.now:
        _end_schedule(call, schedule, subscription)
        return
    begun = [phase for phase in schedule["phases"] if phase["start_date"] <= call.now]
    before = snapshot(subscription)
    own = subscription["items"]["data"]
    wanted = [
        {**item, **({"id": own[place]["id"]} if place < len(own) else {})}
        for place, item in enumerate(begun[-1]["items"])
    ]
    gone = [{"id": item["id"], "deleted": True} for item in own[len(wanted) :]]
    subscriptions.change_items(call, subscription, [*wanted, *gone])
    schedule["current_phase"] = _current(schedule, call.now)
    _queue_next_phase(call, schedule)
    emit_update(call, "customer.subscription.updated", before, subscription)


def _end_schedule(call: Call, schedule: StripeObject, subscription: StripeObject) -> None:
    call.simulator.phase_starts.pop(subscription["id"], None)
    if schedule["end_behavior"] != "cancel":
        _release(call, schedule)
        return
    call.simulator.pause_plans.pop(subscription["id"], None)
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


def _phases(call: Call, subscription: StripeObject, given: list[dict[str, Any]]) -> list[StripeObject]:
    phases: list[StripeObject] = []
    start = call.now
    for place, phase in enumerate(given):
        start = _moment(call, phase.get("start_date", start))
        items = [
            _phase_item(subscriptions.price_of(call, item, f"phases[{place}][items]"), item) for item in phase["items"]
        ]
        phases.append(_phase(subscription, start, _end(phase, start, call), items))
        phases[-1]["proration_behavior"] = phase.get("proration_behavior", "create_prorations")
        start = phases[-1]["end_date"]
    return phases


_PHASE_NULLS = (
    *("application_fee_percent", "billing_cycle_anchor", "billing_thresholds", "collection_method"),
    *("default_payment_method", "description", "invoice_settings", "on_behalf_of", "transfer_data", "trial_end"),
)


def _phase(subscription: StripeObject, start: int, end: int, items: list[StripeObject]) -> StripeObject:
    return dict.fromkeys(_PHASE_NULLS) | {
        "add_invoice_items": [],
        "currency": subscription["currency"],
        "default_tax_rates": [],
        "discounts": [],
        "end_date": end,
        "items": items,
        "metadata": {},
        "proration_behavior": "create_prorations",
        "start_date": start,
    }


def _phase_item(price: StripeObject, given: dict[str, Any]) -> StripeObject:
    item: StripeObject = {
        "billing_thresholds": None,
        "discounts": [],
        "metadata": given.get("metadata") or {},
        "tax_rates": [],
    }
    is_metered = price["recurring"]["usage_type"] == "metered"
    quantity = {} if is_metered else {"quantity": given.get("quantity", 1)}
    return item | {"plan": price["id"], "price": price["id"]} | quantity


def _quantity_of(item: StripeObject) -> StripeObject:
    return {"quantity": item["quantity"]} if "quantity" in item else {}


def _default_settings(subscription: StripeObject) -> StripeObject:
    return {
        "application_fee_percent": None,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": "automatic",
        "billing_thresholds": None,
        "collection_method": subscription["collection_method"],
        "default_payment_method": subscription["default_payment_method"],
        "description": subscription["description"],
        "invoice_settings": {
            "account_tax_ids": None,
            "custom_fields": None,
            "days_until_due": subscription["days_until_due"],
            "description": None,
            "footer": None,
            "issuer": {"type": "self"},
        },
        "on_behalf_of": None,
        "transfer_data": None,
    }


def _end(phase: dict[str, Any], start: int, call: Call) -> int:
    if "duration" in phase:
        duration = phase["duration"]
        return add_interval(start, duration["interval"], duration.get("interval_count", 1))
    if "end_date" not in phase:
        raise missing("phases[][end_date]")
    return _moment(call, phase["end_date"])


def _moment(call: Call, given: int | str) -> int:
    return call.now if given == "now" else int(given)


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
