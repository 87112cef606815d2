"""A change of plan in the portal: at once, or scheduled for the end of the period where the configuration says so."""

from decimal import Decimal
from typing import Any

from local.stripe_simulator import subscription_schedules, subscription_updates
from local.stripe_simulator.errors import ApiError
from local.stripe_simulator.pages import date_text
from local.stripe_simulator.portal_offers import may_change_quantity, not_offered, plan_options, quantity_limits
from local.stripe_simulator.simulator import Call
from local.stripe_simulator.store import StripeObject

Form = dict[str, str]
_DAYS = {"day": 1, "week": 7, "month": 30, "year": 365}


def update(call: Call, features: StripeObject, subscription: StripeObject, form: Form) -> str:
    """Change the price or the quantity, now or with the end of the period; raises 403 for what is not offered."""
    item = subscription["items"]["data"][0]
    wanted: dict[str, Any] = {"id": item["id"]}
    price = form.get("price", item["price"]["id"])
    if price != item["price"]["id"]:
        if price not in {one["id"] for one in plan_options(call, features, subscription)}:
            raise not_offered()
        wanted["price"] = price
    if form.get("quantity", "").isdigit() and int(form["quantity"]) != item["quantity"]:
        wanted["quantity"] = _quantity(call, features, subscription, int(form["quantity"]))
    if wanted.keys() == {"id"}:
        raise ApiError("Choose another plan or another quantity.", status=400)
    if subscription["status"] != "trialing" and _is_deferred(call, features, item, wanted):
        return _defer(call, subscription, item, wanted)
    extra = _timing(features["subscription_update"], subscription)
    subscription_updates.update(call.about(subscription["id"], items=[wanted], **extra))
    return "Your subscription has been updated."


def _timing(feature: StripeObject, subscription: StripeObject) -> dict[str, Any]:
    """What a change does to a trial and to the billing cycle."""
    if subscription["status"] == "trialing":
        return {"trial_end": "now"} if feature["trial_update_behavior"] == "end_trial" else {}
    return {"billing_cycle_anchor": {"type": "now"}} if feature["billing_cycle_anchor"] == "now" else {}


def _quantity(call: Call, features: StripeObject, subscription: StripeObject, quantity: int) -> int:
    if not may_change_quantity(call, features, subscription):
        raise not_offered()
    least, most = quantity_limits(features, subscription)
    if quantity < least or (most is not None and quantity > most):
        raise ApiError("This quantity is not available.", status=403)
    return quantity


def _is_deferred(call: Call, features: StripeObject, item: StripeObject, wanted: dict[str, Any]) -> bool:
    """Whether one of `schedule_at_period_end.conditions` is true of the change."""
    conditions = features["subscription_update"]["schedule_at_period_end"]["conditions"] or []
    new = call.store.prices.get(wanted.get("price", item["price"]["id"]))
    before, after = _amount(item["price"], item["quantity"]), _amount(new, wanted.get("quantity", item["quantity"]))
    holds = {
        "decreasing_item_amount": before is not None and after is not None and after < before,
        "shortening_interval": _days(new) < _days(item["price"]),
    }
    return any(holds.get(condition["type"], False) for condition in conditions)


def _defer(call: Call, subscription: StripeObject, item: StripeObject, wanted: dict[str, Any]) -> str:
    """Stripe's own way: a schedule, whose second phase is the change."""
    schedule = subscription_schedules.create(call.about("", from_subscription=subscription["id"]))
    now = schedule["phases"][0]
    change = {"price": wanted.get("price", item["price"]["id"]), "quantity": wanted.get("quantity", item["quantity"])}
    recurring = call.store.prices.get(change["price"])["recurring"]
    duration = {"interval": recurring["interval"], "interval_count": recurring["interval_count"]}
    phases = [now, {"items": [change], "duration": duration}]
    subscription_schedules.update(call.about(schedule["id"], phases=phases))
    return f"Your subscription will change on {date_text(now['end_date'])}."


def _amount(price: StripeObject, quantity: int | None) -> Decimal | None:
    decimal = price["unit_amount_decimal"]
    return None if decimal is None else Decimal(decimal) * (quantity or 1)


def _days(price: StripeObject) -> int:
    return _DAYS[price["recurring"]["interval"]] * int(price["recurring"]["interval_count"])
