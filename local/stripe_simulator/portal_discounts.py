"""Money off in a flow: the coupon offered to who cancels, and the discount on a change that is confirmed."""

from local.stripe_simulator import coupons
from local.stripe_simulator.errors import ApiError
from local.stripe_simulator.simulator import Call, Visit
from local.stripe_simulator.store import StripeObject


def offer(call: Call, flow: StripeObject) -> str | None:
    """What the page offers instead of the cancellation, such as `30% off once`."""
    retention = (flow["subscription_cancel"] or {}).get("retention")
    return coupons.terms(coupons.coupon_of(call, retention["coupon_offer"], "coupon")) if retention else None


def discount(call: Call, flow: StripeObject) -> str | None:
    """What the confirmed change is discounted by."""
    given = (flow["subscription_update_confirm"] or {}).get("discounts")
    return coupons.terms(coupons.coupon_of(call, given[0], "discounts")) if given else None


def accept(call: Call, visit: Visit) -> str:
    """The customer stays: the offered coupon is the subscription's. Raises 403 where nothing is on offer any more."""
    flow = visit.session["flow"]
    retention = (flow["subscription_cancel"] or {}).get("retention") if flow and not visit.is_flow_done else None
    if not retention:
        raise ApiError("This is not available in your customer portal.", status=403)
    subscription = call.store.subscriptions.get(flow["subscription_cancel"]["subscription"])
    return f"Your subscription goes on, with {coupons.apply(call, subscription, retention['coupon_offer'])}."


def apply_confirmed(call: Call, flow: StripeObject) -> None:
    """The change is made: its discounts are too."""
    details = flow["subscription_update_confirm"] or {}
    for given in details.get("discounts") or []:
        coupons.apply(call, call.store.subscriptions.get(details["subscription"]), given)
