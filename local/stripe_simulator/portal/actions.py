"""What the portal's buttons do."""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from local.stripe_simulator.errors import ApiError
from local.stripe_simulator.hosted_pages import date_text
from local.stripe_simulator.limits import LARGEST_AMOUNT
from local.stripe_simulator.portal.configurations import DAYS, is_old_pause_form
from local.stripe_simulator.portal.rules import (
    LAST_PAYMENT_METHOD,
    Offer,
    may_remove_payment_method,
    not_available,
    offer_for,
)
from local.stripe_simulator.resources import (
    catalog,
    customers,
    payment_methods,
    subscription_changes,
    subscription_schedules,
    subscriptions,
)
from local.stripe_simulator.resources.periods import add_interval
from local.stripe_simulator.simulator import Call, PortalVisit
from local.stripe_simulator.store import StripeObject

Form = dict[str, str]


def perform(call: Call, customer: str, features: StripeObject, form: Form) -> str:
    """Carry out `form["action"]` and return the notice for the page; raises 403 for what is not offered."""
    action = form.get("action", "")
    if action in _ON_SUBSCRIPTION:
        subscription = call.store.subscriptions.find(form.get("subscription", ""))
        if subscription is None or subscription["customer"] != customer:
            raise not_available()
        if action not in offer_for(call, features, subscription).actions:
            raise not_available()
        return _ON_SUBSCRIPTION[action](call, features, subscription, form)
    if action in _ON_CUSTOMER:
        return _ON_CUSTOMER[action](call, features, call.store.customers.get(customer), form)
    raise not_available()


def _cancel(call: Call, features: StripeObject, subscription: StripeObject, form: Form) -> str:
    target, feature = subscription["id"], features["subscription_cancel"]
    details: dict[str, Any] = {}
    if form.get("feedback") in feature["cancellation_reason"]["options"]:
        details = {"cancellation_details": {"feedback": form["feedback"]}}
    if feature["mode"] == "immediately":
        subscriptions.cancel(call.about(target, **details))
        return "Your subscription has been canceled."
    subscription_changes.update(call.about(target, cancel_at_period_end=True, **details))
    return "Your subscription will end with its current period."


def _uncancel(call: Call, _: StripeObject, subscription: StripeObject, __: Form) -> str:
    subscription_changes.update(call.about(subscription["id"], cancel_at_period_end=False))
    return "Your subscription will not be canceled."


def _pause(call: Call, features: StripeObject, subscription: StripeObject, form: Form) -> str:
    target, feature = subscription["id"], features["subscription_pause"]
    if is_old_pause_form(feature):
        behavior = {"behavior": "void"}
        subscription_changes.update(call.about(target, pause_collection=behavior))
        return "Your plan has been paused."
    choices = pause_choices(feature)
    choice = form.get("duration", choices[0])
    if choice not in choices:
        raise not_available()
    subscription_changes.pause(call.about(target))
    if choice != "indefinite":
        count, _, interval = choice.partition(" ")
        call.simulator.pause_ends[target] = add_interval(call.now, interval, int(count))
        call.simulator.due_changes.add(subscription)
    return "Your subscription has been paused."


def pause_choices(feature: StripeObject) -> list[str]:
    """Return the lengths of pause to choose from, such as `1 month`."""
    duration = feature["duration"]
    if duration["type"] == "indefinite":
        return ["indefinite"]
    return [f"{option['interval_count']} {option['interval']}" for option in duration["interval_options"]]


def _resume(call: Call, features: StripeObject, subscription: StripeObject, _: Form) -> str:
    if is_old_pause_form(features["subscription_pause"]):
        subscription_changes.update(call.about(subscription["id"], pause_collection=""))
        return "Your plan has been resumed."
    subscription_changes.resume(call.about(subscription["id"], payment_behavior="resume_on_payment_success"))
    if subscription["status"] == "paused":
        return "Your payment failed. Your subscription is resumed once it is paid."
    return "Your subscription has been resumed."


# Changes of plan and quantity.


def change_plan(call: Call, features: StripeObject, subscription: StripeObject, form: Form) -> str:
    """Change the price or the quantity, now or at the end of the period; raises 403 for what is not offered."""
    item, offer = subscription["items"]["data"][0], offer_for(call, features, subscription)
    wanted: dict[str, Any] = {"id": item["id"]}
    price = form.get("price", item["price"]["id"])
    if price != item["price"]["id"]:
        if price not in {one["id"] for one in offer.plans}:
            raise not_available()
        wanted["price"] = price
    if (given := form.get("quantity", "").strip()) and given != str(item.get("quantity")):
        wanted["quantity"] = _quantity(offer, given, call.store.prices.get(price))
    if wanted.keys() == {"id"}:
        raise ApiError("Choose another plan or another quantity.", status=400)
    if subscription["status"] != "trialing" and _is_deferred(call, features, item, wanted):
        return _defer(call, subscription, item, wanted)
    extra = _timing(features["subscription_update"], subscription)
    subscription_changes.update(call.about(subscription["id"], items=[wanted], **extra))
    return "Your subscription has been updated."


def _timing(feature: StripeObject, subscription: StripeObject) -> dict[str, Any]:
    """Return the parameters that decide what a change does to a trial and to the billing cycle."""
    if subscription["status"] == "trialing":
        return {"trial_end": "now"} if feature["trial_update_behavior"] == "end_trial" else {}
    return {"billing_cycle_anchor": {"type": "now"}} if feature["billing_cycle_anchor"] == "now" else {}


def _quantity(offer: Offer, given: str, price: StripeObject) -> int:
    """Return the quantity that was given, if it is on offer and Stripe can charge for it."""
    if offer.quantity is None:
        raise not_available()
    is_number = re.fullmatch("[0-9]{1,12}", given)
    quantity = int(given) if is_number else -1
    if quantity not in offer.quantity or (_amount(price, quantity) or 0) > LARGEST_AMOUNT:
        raise ApiError("This quantity is not available.", status=403)
    return quantity


def _is_deferred(call: Call, features: StripeObject, item: StripeObject, wanted: dict[str, Any]) -> bool:
    """Whether the change meets one of `schedule_at_period_end.conditions`."""
    conditions = features["subscription_update"]["schedule_at_period_end"]["conditions"] or []
    new = call.store.prices.get(wanted.get("price", item["price"]["id"]))
    before, after = (
        _amount(item["price"], item.get("quantity")),
        _amount(new, wanted.get("quantity", item.get("quantity"))),
    )
    holds = {
        "decreasing_item_amount": before is not None and after is not None and after < before,
        "shortening_interval": _days(new) < _days(item["price"]),
    }
    return any(holds.get(condition["type"], False) for condition in conditions)


def _defer(call: Call, subscription: StripeObject, item: StripeObject, wanted: dict[str, Any]) -> str:
    """Make the change the second phase of a schedule, as Stripe does."""
    schedule = subscription_schedules.create(call.about("", from_subscription=subscription["id"]))
    now = schedule["phases"][0]
    change = {
        "price": wanted.get("price", item["price"]["id"]),
        "quantity": wanted.get("quantity", item.get("quantity")),
    }
    recurring = call.store.prices.get(change["price"])["recurring"]
    duration = {"interval": recurring["interval"], "interval_count": recurring["interval_count"]}
    phases = [now, {"items": [change], "duration": duration}]
    subscription_schedules.update(call.about(schedule["id"], phases=phases))
    return f"Your subscription will change on {date_text(now['end_date'])}."


def _amount(price: StripeObject, quantity: int | None) -> Decimal | None:
    decimal = price["unit_amount_decimal"]
    return None if decimal is None else Decimal(decimal) * (quantity or 1)


def _days(price: StripeObject) -> int:
    return DAYS[price["recurring"]["interval"]] * int(price["recurring"]["interval_count"])


# Payment methods and the customer.

_ADDRESS = ("line1", "city", "postal_code", "country")

_SHIPPING = "shipping_"


def _require(features: StripeObject, name: str) -> None:
    if not features[name]["enabled"]:
        raise not_available()


def _add_payment_method(call: Call, features: StripeObject, customer: StripeObject, form: Form) -> str:
    _require(features, "payment_method_update")
    card = {"number": "".join(form.get("number", "").split())}
    method = payment_methods.create(call.about("", type="card", card=card))
    payment_methods.attach(call.about(method["id"], customer=customer["id"]))
    return _make_default(call, features, customer, {"payment_method": method["id"]})


def _make_default(call: Call, features: StripeObject, customer: StripeObject, form: Form) -> str:
    method = _own_method(call, features, customer, form)
    settings = {"default_payment_method": method["id"]}
    customers.update(call.about(customer["id"], invoice_settings=settings))
    return "Your default payment method has been changed."


def _remove_payment_method(call: Call, features: StripeObject, customer: StripeObject, form: Form) -> str:
    method = _own_method(call, features, customer, form)
    if not may_remove_payment_method(call, customer["id"]):
        raise ApiError(f"It cannot be removed. {LAST_PAYMENT_METHOD}", status=403)
    payment_methods.detach(call.about(method["id"]))
    return "The payment method has been removed."


def _own_method(call: Call, features: StripeObject, customer: StripeObject, form: Form) -> StripeObject:
    _require(features, "payment_method_update")
    method = call.store.payment_methods.find(form.get("payment_method", ""))
    if method is None or method["customer"] != customer["id"]:
        raise not_available()
    return method


def _update_customer(call: Call, features: StripeObject, customer: StripeObject, form: Form) -> str:
    _require(features, "customer_update")
    allowed = features["customer_update"]["allowed_updates"]
    params: dict[str, Any] = {name: form[name] for name in ("email", "name", "phone") if name in form}
    if any(name in form for name in _ADDRESS):
        params["address"] = {name: form.get(name) for name in _ADDRESS}
    if any(name.startswith(_SHIPPING) for name in form):
        address = {name: form.get(_SHIPPING + name) for name in _ADDRESS}
        params["shipping"] = {"name": form.get(f"{_SHIPPING}name"), "phone": None, "address": address}
    if not params.keys() <= set(allowed):
        raise not_available()
    customers.update(call.about(customer["id"], **params))
    return "Your information has been updated."


# Discounts of a flow: the coupon offered instead of a cancellation, and the discount on a confirmed change.


def retention_offer(call: Call, flow: StripeObject) -> str | None:
    """Return the discount offered instead of the cancellation, such as `30% off once`."""
    retention = (flow["subscription_cancel"] or {}).get("retention")
    return _terms(call, flow["subscription_cancel"], retention["coupon_offer"]) if retention else None


def _terms(call: Call, details: StripeObject, given: dict[str, Any]) -> str:
    customer = call.store.subscriptions.get(details["subscription"])["customer"]
    return catalog.discount_terms(catalog.coupon_of(call, given, "discounts[0]", customer))


def accept_offer(call: Call, visit: PortalVisit) -> str:
    """Apply the offered coupon in place of the cancellation; raises 403 where none is offered any more."""
    flow = visit.session["flow"]
    retention = (flow["subscription_cancel"] or {}).get("retention") if flow and not visit.is_flow_done else None
    if not retention:
        raise ApiError("This is not available in your customer portal.", status=403)
    subscription = call.store.subscriptions.get(flow["subscription_cancel"]["subscription"])
    return f"Your subscription goes on, with {catalog.apply_discounts(call, subscription, retention['coupon_offer'])}."


def flow_discount(call: Call, flow: StripeObject) -> str | None:
    """Return the discount on the change to confirm."""
    given = (flow["subscription_update_confirm"] or {}).get("discounts")
    return _terms(call, flow["subscription_update_confirm"], given[0]) if given else None


def apply_confirmed_discount(call: Call, flow: StripeObject) -> None:
    """Apply the discounts of a change that was made."""
    details = flow["subscription_update_confirm"] or {}
    for given in details.get("discounts") or []:
        catalog.apply_discounts(call, call.store.subscriptions.get(details["subscription"]), given)


_Action = Callable[[Call, StripeObject, StripeObject, Form], str]

_ON_SUBSCRIPTION: dict[str, _Action] = {
    "cancel": _cancel,
    "uncancel": _uncancel,
    "update": change_plan,
    "pause": _pause,
    "resume": _resume,
}

_ON_CUSTOMER: dict[str, _Action] = {
    "add_payment_method": _add_payment_method,
    "default_payment_method": _make_default,
    "remove_payment_method": _remove_payment_method,
    "update_customer": _update_customer,
}
