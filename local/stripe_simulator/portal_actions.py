"""What the portal's buttons do: the same operations as the API, if the configuration offers them."""

from collections.abc import Callable
from typing import Any

from local.stripe_simulator import (
    customers,
    pauses,
    payment_methods,
    portal_plan_change,
    subscription_updates,
    subscriptions,
)
from local.stripe_simulator.errors import ApiError
from local.stripe_simulator.periods import add_interval
from local.stripe_simulator.portal_offers import may_remove_payment_method, not_offered, offers
from local.stripe_simulator.portal_pause import is_old_form
from local.stripe_simulator.simulator import Call
from local.stripe_simulator.store import StripeObject
from shared.portal_rules.payment_methods import LAST

Form = dict[str, str]
_ADDRESS = ("line1", "city", "postal_code", "country")
_SHIPPING = "shipping_"


def perform(call: Call, customer: str, features: StripeObject, form: Form) -> str:
    """Carry out `form["action"]` and say what was done; raises 403 for what is not offered."""
    action = form.get("action", "")
    if action in _ON_SUBSCRIPTION:
        subscription = call.store.subscriptions.find(form.get("subscription", ""))
        if subscription is None or subscription["customer"] != customer:
            raise not_offered()
        if action not in offers(call, features, subscription):
            raise not_offered()
        return _ON_SUBSCRIPTION[action](call, features, subscription, form)
    if action in _ON_CUSTOMER:
        return _ON_CUSTOMER[action](call, features, call.store.customers.get(customer), form)
    raise not_offered()


def _cancel(call: Call, features: StripeObject, subscription: StripeObject, form: Form) -> str:
    target, feature = subscription["id"], features["subscription_cancel"]
    details: dict[str, Any] = {}
    if form.get("feedback") in feature["cancellation_reason"]["options"]:
        details = {"cancellation_details": {"feedback": form["feedback"]}}
    if feature["mode"] == "immediately":
        subscriptions.cancel(call.about(target, **details))
        return "Your subscription has been canceled."
    subscription_updates.update(call.about(target, cancel_at_period_end=True, **details))
    return "Your subscription will end with its current period."


def _uncancel(call: Call, _: StripeObject, subscription: StripeObject, __: Form) -> str:
    subscription_updates.update(call.about(subscription["id"], cancel_at_period_end=False))
    return "Your subscription will not be canceled."


def _pause(call: Call, features: StripeObject, subscription: StripeObject, form: Form) -> str:
    target, feature = subscription["id"], features["subscription_pause"]
    if is_old_form(feature):
        behavior = {"behavior": "void"}
        subscription_updates.update(call.about(target, pause_collection=behavior))
        return "Your plan has been paused."
    choices = pause_choices(feature)
    choice = form.get("duration", choices[0])
    if choice not in choices:
        raise not_offered()
    pauses.pause(call.about(target))
    if choice != "indefinite":
        count, _, interval = choice.partition(" ")
        call.simulator.pause_ends[target] = add_interval(call.now, interval, int(count))
        call.simulator.agenda.note(subscription)
    return "Your subscription has been paused."


def pause_choices(feature: StripeObject) -> list[str]:
    """The lengths of pause to choose from, such as `1 month`."""
    duration = feature["duration"]
    if duration["type"] == "indefinite":
        return ["indefinite"]
    return [f"{option['interval_count']} {option['interval']}" for option in duration["interval_options"]]


def _resume(call: Call, features: StripeObject, subscription: StripeObject, _: Form) -> str:
    if is_old_form(features["subscription_pause"]):
        subscription_updates.update(call.about(subscription["id"], pause_collection=""))
        return "Your plan has been resumed."
    pauses.resume(call.about(subscription["id"]))
    return "Your subscription has been resumed."


def _require(features: StripeObject, name: str) -> None:
    if not features[name]["enabled"]:
        raise not_offered()


def _add_payment_method(call: Call, features: StripeObject, customer: StripeObject, form: Form) -> str:
    _require(features, "payment_method_update")
    card = {"number": "".join(filter(str.isdigit, form.get("number", "")))}
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
        raise ApiError(f"It cannot be removed. {LAST.said.en}", status=403)
    payment_methods.detach(call.about(method["id"]))
    return "The payment method has been removed."


def _own_method(call: Call, features: StripeObject, customer: StripeObject, form: Form) -> StripeObject:
    _require(features, "payment_method_update")
    method = call.store.payment_methods.find(form.get("payment_method", ""))
    if method is None or method["customer"] != customer["id"]:
        raise not_offered()
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
        raise not_offered()
    customers.update(call.about(customer["id"], **params))
    return "Your information has been updated."


_Action = Callable[[Call, StripeObject, StripeObject, Form], str]
_ON_SUBSCRIPTION: dict[str, _Action] = {
    "cancel": _cancel,
    "uncancel": _uncancel,
    "update": portal_plan_change.update,
    "pause": _pause,
    "resume": _resume,
}
_ON_CUSTOMER: dict[str, _Action] = {
    "add_payment_method": _add_payment_method,
    "default_payment_method": _make_default,
    "remove_payment_method": _remove_payment_method,
    "update_customer": _update_customer,
}
