"""Coupons, promotion codes, and the discounts that they become."""

from typing import Any

from local.stripe_simulator.errors import ApiError, missing
from local.stripe_simulator.events import emit, emit_update, snapshot
from local.stripe_simulator.ids import new_id, token
from local.stripe_simulator.lists import page
from local.stripe_simulator.simulator import Call
from local.stripe_simulator.store import StripeObject

_FIELDS = ("amount_off", "currency", "duration_in_months", "max_redemptions", "name", "percent_off", "redeem_by")


def create(call: Call) -> StripeObject:
    """`POST /v1/coupons`, with an id of one's own or a made one."""
    params = call.params
    if "percent_off" not in params and "amount_off" not in params:
        raise missing("percent_off")
    coupon = dict.fromkeys(_FIELDS) | {name: params[name] for name in _FIELDS if name in params}
    coupon |= {"id": params.get("id") or token(8), "object": "coupon", "created": call.now, "livemode": False}
    coupon |= {"duration": params.get("duration", "once"), "metadata": params.get("metadata") or {}}
    coupon |= {"times_redeemed": 0, "valid": True}
    if call.store.coupons.find(str(coupon["id"])):
        raise ApiError("Coupon already exists.", code="resource_already_exists", param="id")
    call.store.coupons.add(coupon)
    emit(call, "coupon.created", coupon)
    return coupon


def retrieve(call: Call) -> StripeObject:
    """`GET /v1/coupons/{id}`."""
    return call.store.coupons.get(call.ids["id"])


def list_coupons(call: Call) -> StripeObject:
    """`GET /v1/coupons`."""
    return page(call.store.coupons, call.params, "/v1/coupons")


def create_promotion_code(call: Call) -> StripeObject:
    """`POST /v1/promotion_codes` for a coupon."""
    promotion = call.params["promotion"]
    call.store.coupons.get(promotion.get("coupon", ""), "promotion[coupon]")
    code = {
        "id": new_id("promo"),
        "object": "promotion_code",
        "active": call.params.get("active", True),
        "code": call.params.get("code") or token(8).upper(),
        "created": call.now,
        "customer": call.params.get("customer"),
        "livemode": False,
        "metadata": call.params.get("metadata") or {},
        "promotion": promotion,
        "times_redeemed": 0,
    }
    return call.store.promotion_codes.add(code)


def coupon_of(call: Call, given: dict[str, Any], param: str) -> StripeObject:
    """The coupon that `{coupon}` or `{promotion_code}` stands for, or Stripe's refusal."""
    if "promotion_code" not in given:
        return call.store.coupons.get(given.get("coupon", ""), f"{param}[coupon]")
    code = call.store.promotion_codes.get(given["promotion_code"], f"{param}[promotion_code]")
    if not code["active"]:
        raise ApiError("This promotion code is not active.", param=f"{param}[promotion_code]")
    return call.store.coupons.get(code["promotion"]["coupon"])


def apply(call: Call, subscription: StripeObject, given: dict[str, Any]) -> str:
    """Discount a subscription, and say how much."""
    coupon, before = coupon_of(call, given, "discounts[0]"), snapshot(subscription)
    coupon["times_redeemed"] += 1
    discount = {
        "id": new_id("di"),
        "object": "discount",
        "created": call.now,
        "customer": subscription["customer"],
        "end": None,
        "promotion_code": given.get("promotion_code"),
        "source": {"coupon": coupon["id"], "type": "coupon"},
        "start": call.now,
        "subscription": subscription["id"],
    }
    call.store.discounts.add(discount)
    subscription["discounts"] = [*subscription["discounts"], discount["id"]]
    emit_update(call, "customer.subscription.updated", before, subscription)
    return terms(coupon)


def terms(coupon: StripeObject) -> str:
    """For example `30% off once`, as a hosted page says it."""
    if coupon["percent_off"]:
        amount = f"{coupon['percent_off']:g}%"
    else:
        amount = f"{coupon['amount_off'] / 100:.2f} {coupon['currency'].upper()}"
    months = f"for {coupon['duration_in_months']} months" if coupon["duration"] == "repeating" else coupon["duration"]
    return f"{amount} off {months}"
