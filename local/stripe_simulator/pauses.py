"""The real pause, which stops the subscription itself, and its end."""

from local.stripe_simulator import subscription_items
from local.stripe_simulator.errors import ApiError
from local.stripe_simulator.events import changes, emit, snapshot
from local.stripe_simulator.simulator import Call
from local.stripe_simulator.store import StripeObject
from local.stripe_simulator.subscription_updates import paused_details, restart_cycle

_NOT_PAUSABLE = {"paused", "incomplete", "incomplete_expired", "canceled", "unpaid"}


def refusal(subscription: StripeObject) -> str | None:
    """Why Stripe would not pause this subscription, or nothing."""
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
    return next((message for applies, message in rules if applies), None)


def pause(call: Call) -> StripeObject:
    """`POST /v1/subscriptions/{id}/pause`: no service, no invoices, every period cut to now."""
    subscription = call.store.subscriptions.get(call.ids["id"])
    reason = refusal(subscription)
    if reason:
        raise ApiError(reason)
    before = snapshot(subscription)
    subscription |= {"status": "paused", "status_details": paused_details(call.now, "pause_requested")}
    subscription["pending_update"] = None
    for item in subscription["items"]["data"]:
        item["current_period_end"] = min(item["current_period_end"], call.now)
    emit(call, "customer.subscription.paused", subscription)
    emit(call, "customer.subscription.updated", subscription, changes(before, subscription))
    return subscription


def resume(call: Call) -> StripeObject:
    """`POST /v1/subscriptions/{id}/resume`: active at once, in a new period unless the anchor stays."""
    subscription = call.store.subscriptions.get(call.ids["id"])
    if subscription["status"] != "paused":
        raise ApiError(f"You cannot resume a subscription with status `{subscription['status']}`; it is not paused.")
    if subscription["collection_method"] != "charge_automatically":
        raise ApiError("You can only resume subscriptions with `collection_method` set to `charge_automatically`.")
    classic = subscription["billing_mode"]["type"] == "classic"
    if classic and call.params.get("payment_behavior") == "resume_on_payment_success":
        raise ApiError("`resume_on_payment_success` needs `billing_mode` `flexible`.", param="payment_behavior")
    before = snapshot(subscription)
    subscription |= {"status": "active", "status_details": None}
    call.simulator.pause_ends.pop(subscription["id"], None)
    if call.params.get("billing_cycle_anchor", {"type": "now"})["type"] == "now":
        restart_cycle(call, subscription, call.now)
    else:
        for item in subscription["items"]["data"]:
            subscription_items.set_period(item, subscription, call.now)
    emit(call, "customer.subscription.resumed", subscription)
    emit(call, "customer.subscription.updated", subscription, changes(before, subscription))
    return subscription


def migrate(call: Call) -> StripeObject:
    """`POST /v1/subscriptions/{id}/migrate`: from the classic billing mode to the flexible one."""
    subscription = call.store.subscriptions.get(call.ids["id"])
    if subscription["billing_mode"]["type"] == "flexible":
        raise ApiError("The subscription already uses `billing_mode` `flexible`.", param="billing_mode[type]")
    before = snapshot(subscription)
    flexible = {"proration_discounts": "included"}
    subscription["billing_mode"] = {"flexible": flexible, "type": "flexible", "updated_at": call.now}
    emit(call, "customer.subscription.updated", subscription, changes(before, subscription))
    return subscription
