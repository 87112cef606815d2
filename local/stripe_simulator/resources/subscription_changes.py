"""Changes of a subscription: updates, ends of trials, pauses, and the move to flexible billing."""

import copy
from typing import Any

from local.stripe_simulator.errors import ApiError, missing
from local.stripe_simulator.parameters import apply_fields
from local.stripe_simulator.resources import (
    billing,
    catalog,
    payment_methods,
    proration,
    resumption,
    status,
    subscriptions,
)
from local.stripe_simulator.resources.events import changes, emit, emit_update, snapshot
from local.stripe_simulator.resources.periods import period_end, set_period
from local.stripe_simulator.resources.proration import UpdateBill
from local.stripe_simulator.simulator import Call
from local.stripe_simulator.store import StripeObject

_LEFT_AFTER_END = {"metadata", "cancellation_details", "expand"}


def update(call: Call) -> StripeObject:
    """`POST /v1/subscriptions/{id}`; a refused request changes nothing."""
    subscription = call.store.subscriptions.get(call.ids["id"])
    if subscription["status"] in status.ENDED and not call.params.keys() <= _LEFT_AFTER_END:
        raise ApiError("A canceled subscription can only update its cancellation_details and metadata.")
    _check_schedule(call, subscription)
    before, changed = snapshot(subscription), copy.deepcopy(subscription)
    _apply_changes(call, changed)
    bill = proration.bill_of_update(call, before, changed)
    if bill.is_due_now and not billing.check_update(call, changed, bill.lines):
        billing.keep_for_later(call, subscription, changed, bill.lines)
        return subscription
    if bill.lines:
        billing.drop_waiting_update(call, subscription)
        changed["pending_update"] = None
    subscription.update(changed)
    if subscription["status"] == "canceled" != before["status"]:
        billing.stop_collecting(call, subscription)
        emit(call, "customer.subscription.deleted", subscription)
        return subscription
    invoice = _bill(call, subscription, bill)
    emit_update(call, "customer.subscription.updated", before, subscription)
    if subscription["status"] == "paused" != before["status"]:
        emit(call, "customer.subscription.paused", subscription)
    if invoice and not _is_left_to_the_customer(call):
        billing.attempt(call, subscription, invoice)
    billing.queue(call, subscription)
    return subscription


def _bill(call: Call, subscription: StripeObject, bill: UpdateBill) -> StripeObject | None:
    """Bill an update, or keep its lines for the next invoice; returns an invoice that is to be charged."""
    if not bill.is_due_now:
        billing.add_pending(call, subscription, bill.lines)
        return None
    invoice = billing.bill_now(call, subscription, bill.lines, attempts=False)
    if invoice["status"] != "open" or invoice["collection_method"] != "charge_automatically":
        return None
    if _is_left_to_the_customer(call) and subscription["status"] == "active":
        subscription["status"] = "past_due"
    return invoice


def _is_left_to_the_customer(call: Call) -> bool:
    return bool(call.params.get("payment_behavior") == "default_incomplete")


def _check_schedule(call: Call, subscription: StripeObject) -> None:
    """Refuse an end beside that of a schedule; the portal, whose clicks are no requests, has rules of its own."""
    name = next((name for name in ("cancel_at", "cancel_at_period_end") if name in call.params), None)
    if subscription["schedule"] and name and call.request_id:
        raise ApiError(
            f"The subscription is managed by the subscription schedule `{subscription['schedule']}`, and updating any "
            "cancelation behavior directly is not allowed. Please update the schedule instead.",
            param=name,
        )


def _apply_changes(call: Call, subscription: StripeObject) -> None:
    params = call.params
    if "items" in params:
        subscriptions.change_items(call, subscription, params["items"])
    if "pause_collection" in params:
        subscription["pause_collection"] = _pause_collection(params["pause_collection"])
    if params.get("default_payment_method"):
        method = params["default_payment_method"]
        payment_methods.require_attached(call, method, subscription["customer"], "default_payment_method")
    subscriptions.apply_collection(subscription, params)
    apply_fields(subscription, params, ("default_payment_method", "description"))
    for name in ("payment_settings", "cancellation_details"):
        subscription[name] = {**subscription[name], **params.get(name, {})}
    subscription["trial_settings"]["end_behavior"] |= params.get("trial_settings", {}).get("end_behavior", {})
    _apply_cancellation(call, subscription)
    if "trial_end" in params:
        _apply_trial_end(call, subscription, params["trial_end"])
    if "discounts" in params:
        subscription["discounts"] = catalog.discounts_of(call, subscription, params["discounts"])
    if params.get("billing_cycle_anchor", {}).get("type") == "now":
        restart_cycle(call, subscription, call.now)


def _pause_collection(given: Any) -> StripeObject | None:
    if given == "":
        return None
    if "behavior" not in given:
        raise missing("pause_collection[behavior]")
    return {"behavior": given["behavior"], "resumes_at": given.get("resumes_at") or None}


def _apply_cancellation(call: Call, subscription: StripeObject) -> None:
    subscriptions.check_cancellation(call)
    params, end = call.params, period_end(subscription)
    if "cancel_at_period_end" in params:
        at_end = params["cancel_at_period_end"]
        subscriptions.plan_cancellation(call, subscription, end if at_end else None, at_period_end=at_end)
        return
    if "cancel_at" not in params:
        return
    wanted = params["cancel_at"]
    if wanted == "max_period_end":
        end = max(item["current_period_end"] for item in subscription["items"]["data"])
    moment = wanted if isinstance(wanted, int) else end if wanted else None
    subscriptions.plan_cancellation(call, subscription, moment)


def _apply_trial_end(call: Call, subscription: StripeObject, trial_end: int | str) -> None:
    if trial_end == "now":
        end_trial(call, subscription)
        return
    subscriptions.check_trial_end(call, int(trial_end))
    subscription |= {"status": "trialing", "trial_end": trial_end, "billing_cycle_anchor": trial_end}
    subscription["trial_start"] = subscription["trial_start"] or call.now
    for item in subscription["items"]["data"]:
        set_period(item, subscription, call.now)


def end_trial(call: Call, subscription: StripeObject) -> None:
    """End the trial: without a payment method, `trial_settings` decide whether it goes on, pauses or ends."""
    settings = subscription["trial_settings"]["end_behavior"]
    behavior = settings["missing_payment_method"]
    subscription["trial_end"] = min(subscription["trial_end"] or call.now, call.now)
    if payment_methods.default_of(call, subscription) or behavior == "create_invoice":
        subscription["status"] = "active"
        keeps_anchor = settings["billing_cycle_anchor"] == "unchanged"
        restart_cycle(call, subscription, subscription["billing_cycle_anchor" if keeps_anchor else "trial_end"])
    elif behavior == "pause":
        subscription["status"] = "paused"
        subscription["status_details"] = status.paused_details(call.now, "trial_end_without_payment_method")
    else:
        subscription |= {"status": "canceled", "ended_at": call.now, "canceled_at": call.now}


def restart_cycle(call: Call, subscription: StripeObject, anchor: int) -> None:
    """Count the periods from a new anchor."""
    subscription["billing_cycle_anchor"] = anchor
    for item in subscription["items"]["data"]:
        set_period(item, subscription, call.now)


def pause(call: Call) -> StripeObject:
    """`POST /v1/subscriptions/{id}/pause`: every item's period ends now."""
    subscription = call.store.subscriptions.get(call.ids["id"])
    for reason in status.pause_refusals(subscription):
        raise ApiError(reason)
    return resumption.pause(call, subscription)


def pause_by_schedule(call: Call, subscription: StripeObject, settings: StripeObject) -> None:
    """Pause as the subscription's own schedule has planned; raises the reasons that `/pause` would give."""
    for reason in status.pause_refusals({**subscription, "schedule": None}):
        raise ApiError(reason)
    unused = settings["bill_for"]["unused_time_from"]["type"]
    params = {
        "bill_for": {"unused_time_from": {"type": "now" if unused == "pause_at" else unused}},
        "invoicing_behavior": settings["invoicing_behavior"],
    }
    resumption.pause(call.about(subscription["id"], **params), subscription)


def resume(call: Call) -> StripeObject:
    """`POST /v1/subscriptions/{id}/resume`: in a new period unless the anchor stays."""
    subscription = call.store.subscriptions.get(call.ids["id"])
    for reason in status.resume_refusals(subscription):
        raise ApiError(reason)
    classic = subscription["billing_mode"]["type"] == "classic"
    if classic and call.params.get("payment_behavior") == "resume_on_payment_success":
        raise ApiError("`resume_on_payment_success` needs `billing_mode` `flexible`.", param="payment_behavior")
    return resumption.resume(call, subscription)


def migrate(call: Call) -> StripeObject:
    """`POST /v1/subscriptions/{id}/migrate`: from the classic billing mode to the flexible one."""
    subscription = call.store.subscriptions.get(call.ids["id"])
    if subscription["billing_mode"]["type"] == "flexible":
        raise ApiError("The subscription already uses `billing_mode` `flexible`.", param="billing_mode[type]")
    before = snapshot(subscription)
    flexible = {"proration_discounts": "included", **call.params["billing_mode"].get("flexible", {})}
    subscription["billing_mode"] = {"flexible": flexible, "type": "flexible", "updated_at": call.now}
    emit(call, "customer.subscription.updated", subscription, changes(before, subscription))
    return subscription
