"""Subscriptions: made, read, listed and canceled."""

from typing import Any

from local.stripe_simulator import payment_methods, subscription_items, subscription_shape
from local.stripe_simulator.errors import ApiError, missing
from local.stripe_simulator.events import emit
from local.stripe_simulator.lists import page
from local.stripe_simulator.simulator import Call
from local.stripe_simulator.store import StripeObject

ENDED = {"canceled", "incomplete_expired"}
_DAY = 86_400


def create(call: Call) -> StripeObject:
    """`POST /v1/subscriptions`."""
    params = call.params
    for name in ("customer", "items"):
        if name not in params:
            raise missing(name)
    customer = call.store.customers.get(params["customer"], "customer")
    subscription = subscription_shape.blank(call)
    _apply_billing(call, subscription)
    _apply_trial(call, subscription)
    entries = enumerate(params["items"])
    items = [subscription_items.build(call, one, subscription, f"items[{place}]") for place, one in entries]
    currencies = {item["price"]["currency"] for item in items}
    if len(currencies) > 1:
        raise ApiError("All prices on a subscription must use the same currency.", param="items")
    subscription["currency"] = customer["currency"] = currencies.pop()
    subscription["items"] |= {"data": items, "total_count": len(items)}
    _apply_cancellation(call, subscription)
    call.store.subscriptions.add(subscription)
    emit(call, "customer.subscription.created", subscription)
    return subscription


def _apply_billing(call: Call, subscription: StripeObject) -> None:
    params = call.params
    apply_collection(subscription, params)
    if "default_payment_method" in params:
        method = params["default_payment_method"]
        payment_methods.require_attached(call, method, subscription["customer"], "default_payment_method")
        subscription["default_payment_method"] = method
    unpaid = params.get("payment_behavior") == "default_incomplete" and not payment_methods.has_any(call, subscription)
    if unpaid and subscription["collection_method"] == "charge_automatically":
        subscription["status"] = "incomplete"


def apply_collection(subscription: StripeObject, params: dict[str, Any]) -> None:
    """Take over `collection_method` and `days_until_due`, which belong together."""
    method = params.get("collection_method", subscription["collection_method"])
    days = params.get("days_until_due", subscription["days_until_due"])
    if method == "send_invoice" and days is None:
        raise ApiError(
            "If `collection_method` is `send_invoice`, `days_until_due` must be given.",
            code="parameter_missing",
            param="days_until_due",
        )
    subscription["collection_method"] = method
    subscription["days_until_due"] = days if method == "send_invoice" else None


def _apply_trial(call: Call, subscription: StripeObject) -> None:
    end = call.params.get("trial_end")
    if "trial_period_days" in call.params:
        end = call.now + call.params["trial_period_days"] * _DAY
    if end in {None, "now"}:
        return
    if end <= call.now:
        raise ApiError("Invalid timestamp: must be an integer Unix timestamp in the future.", param="trial_end")
    subscription |= {"status": "trialing", "trial_start": call.now, "trial_end": end, "billing_cycle_anchor": end}


def _apply_cancellation(call: Call, subscription: StripeObject) -> None:
    if call.params.get("cancel_at_period_end"):
        plan_cancellation(call, subscription, period_end(subscription), at_period_end=True)
    elif isinstance(call.params.get("cancel_at"), int):
        plan_cancellation(call, subscription, call.params["cancel_at"])


def plan_cancellation(
    call: Call, subscription: StripeObject, cancel_at: int | None, *, at_period_end: bool = False
) -> None:
    """Have the subscription end at a time, or no longer (null)."""
    subscription["cancel_at"] = cancel_at
    subscription["cancel_at_period_end"] = at_period_end
    subscription["canceled_at"] = call.now if cancel_at else None
    subscription["cancellation_details"]["reason"] = "cancellation_requested" if cancel_at else None


def period_end(subscription: StripeObject) -> int:
    """The earliest end of a current period among the items."""
    return min(int(item["current_period_end"]) for item in subscription["items"]["data"])


def retrieve(call: Call) -> StripeObject:
    """`GET /v1/subscriptions/{id}`."""
    return call.store.subscriptions.get(call.ids["id"])


def list_subscriptions(call: Call) -> StripeObject:
    """`GET /v1/subscriptions`; without `status` everything that is not canceled."""
    params = call.params
    customer = params.get("customer")
    if customer and customer not in call.simulator.deleted_customers:
        call.store.customers.get(customer, "customer")

    def keep(one: StripeObject) -> bool:
        prices = {item["price"]["id"] for item in one["items"]["data"]}
        return (
            _status_matches(one["status"], params.get("status"))
            and params.get("collection_method") in {None, one["collection_method"]}
            and ("price" not in params or params["price"] in prices)
        )

    return page(call.store.subscriptions, params, "/v1/subscriptions", keep, customer)


def _status_matches(status: str, wanted: str | None) -> bool:
    if wanted is None:
        return status != "canceled"
    if wanted == "ended":
        return status in ENDED
    return wanted in {"all", status}


def cancel(call: Call, reason: str = "cancellation_requested") -> StripeObject:
    """`DELETE /v1/subscriptions/{id}`: canceled at once."""
    subscription = call.store.subscriptions.get(call.ids["id"])
    if subscription["status"] in ENDED:
        raise ApiError(f"No such subscription: '{subscription['id']}'", status=404, code="resource_missing", param="id")
    subscription |= {"status": "canceled", "ended_at": call.now, "status_details": None}
    subscription["canceled_at"] = subscription["canceled_at"] or call.now
    subscription["cancellation_details"] |= {"reason": reason, **call.params.get("cancellation_details", {})}
    call.simulator.pause_ends.pop(subscription["id"], None)
    emit(call, "customer.subscription.deleted", subscription)
    return subscription
