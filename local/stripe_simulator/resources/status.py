"""How the status of a subscription changes, whoever or whatever changes it."""

from typing import Any

from local.stripe_simulator.resources.events import changes, emit, snapshot
from local.stripe_simulator.simulator import Call
from local.stripe_simulator.store import StripeObject

ENDED = {"canceled", "incomplete_expired"}
_NOT_PAUSABLE = {"paused", "incomplete", "incomplete_expired", "canceled", "unpaid"}


def end(call: Call, subscription: StripeObject, reason: str, details: dict[str, Any] | None = None) -> StripeObject:
    """Cancel a subscription at once; `reason` and `details` become its `cancellation_details`."""
    subscription |= {"status": "canceled", "ended_at": call.now}
    subscription.pop("status_details", None)
    subscription["canceled_at"] = subscription["canceled_at"] or call.now
    subscription["cancellation_details"] |= {"reason": reason, **(details or {})}
    call.simulator.pause_ends.pop(subscription["id"], None)
    _end_schedule(call, subscription, reason)
    emit(call, "customer.subscription.deleted", subscription)
    return subscription


def _end_schedule(call: Call, subscription: StripeObject, reason: str) -> None:
    """Cancel the schedule of a subscription that ends, unless it ended the subscription itself."""
    schedule = call.store.subscription_schedules.find(subscription["schedule"] or "")
    if schedule is None or schedule["status"] != "active":
        return
    schedule |= {"status": "canceled", "canceled_at": call.now, "current_phase": None}
    for moments in (call.simulator.phase_starts, call.simulator.pause_plans):
        moments.pop(subscription["id"], None)
    if reason == "payment_failed":
        emit(call, "subscription_schedule.aborted", schedule)
    else:
        emit(call, "subscription_schedule.canceled", schedule)


def pause(call: Call, subscription: StripeObject, reason: str) -> StripeObject:
    """Pause a subscription: every item's period ends now."""
    before = snapshot(subscription)
    subscription |= {"status": "paused", "status_details": paused_details(call.now, reason)}
    subscription["pending_update"] = None
    if call.simulator.billing.pause_of_paused_collection == "clear":
        subscription["pause_collection"] = None
    for item in subscription["items"]["data"]:
        item["current_period_end"] = min(item["current_period_end"], call.now)
    emit(call, "customer.subscription.paused", subscription)
    emit(call, "customer.subscription.updated", subscription, changes(before, subscription))
    return subscription


def pause_refusals(subscription: StripeObject) -> list[str]:
    """Return why Stripe would refuse to pause this subscription (docs.stripe.com/billing/subscriptions/pause)."""
    status = subscription["status"]
    rules = (
        (status in _NOT_PAUSABLE, f"You cannot pause a subscription with status `{status}`."),
        (status == "trialing", "You cannot pause a subscription that is in a trial."),
        (
            subscription["collection_method"] != "charge_automatically",
            "You can only pause subscriptions with `collection_method` set to `charge_automatically`.",
        ),
        (
            subscription["billing_mode"]["type"] != "flexible",
            "You can only pause subscriptions with `billing_mode` set to `flexible`.",
        ),
        (subscription["schedule"], "You cannot pause a subscription that has a subscription schedule attached."),
        (subscription.get("billing_cadence"), "You cannot pause a subscription that has a billing cadence attached."),
    )
    return [message for applies, message in rules if applies]


def paused_details(now: int, reason: str) -> StripeObject:
    """Return `status_details` of a paused subscription."""
    return {"paused": {"type": "subscription", "transitioned_at": now, "subscription": {"type": reason}}}


def resume_refusals(subscription: StripeObject) -> list[str]:
    """Return why Stripe would refuse to resume this subscription (docs.stripe.com/billing/subscriptions/pause)."""
    status = subscription["status"]
    rules = (
        (status != "paused", f"You cannot resume a subscription with status `{status}`; it is not paused."),
        (
            subscription["collection_method"] != "charge_automatically",
            "You can only resume subscriptions with `collection_method` set to `charge_automatically`.",
        ),
    )
    return [message for applies, message in rules if applies]
