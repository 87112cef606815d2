"""What the portal's page is told: the customer's subscriptions, each with what is offered for it and what is not."""

import copy
from typing import Any

from local.stripe_simulator import portal_actions, portal_offers, portal_pause
from local.stripe_simulator.pages import date_text, price_text
from local.stripe_simulator.simulator import Call, Visit
from local.stripe_simulator.store import StripeObject
from shared.portal_rules.answer import Answer
from shared.portal_rules.payment_methods import LAST

_REFUSED = {
    "change_plan": "You cannot change this subscription here",
    "cancel": "You cannot cancel this subscription here",
    "pause": "You cannot pause this subscription here",
    "resume": "You cannot resume this subscription here",
}
_NEITHER = "You can neither change nor cancel this subscription here"
_ONLY_CANCEL = "You can only cancel this subscription here"


def features_of(call: Call, visit: Visit) -> StripeObject:
    """The configuration's features; who signed in by e-mail cannot change that address.

    Source: docs.stripe.com/customer-management/activate-no-code-customer-portal.
    """
    features: StripeObject = call.store.configurations.get(visit.session["configuration"])["features"]
    if not visit.by_login:
        return features
    narrowed: StripeObject = copy.deepcopy(features)
    allowed = narrowed["customer_update"]["allowed_updates"] or []
    narrowed["customer_update"]["allowed_updates"] = [name for name in allowed if name != "email"]
    return narrowed


def context(call: Call, visit: Visit) -> dict[str, Any]:
    """Everything that the templates show."""
    session = visit.session
    configuration = call.store.configurations.get(session["configuration"])
    features, customer = features_of(call, visit), call.store.customers.get(session["customer"])
    every = call.store.subscriptions.of_customer(customer["id"])
    return {
        "profile": configuration["business_profile"],
        "features": features,
        "customer": customer,
        "subscriptions": [_shown(call, features, one) for one in every if one["status"] != "incomplete_expired"],
        "payment_methods": call.store.payment_methods.of_customer(customer["id"]),
        "may_remove": portal_offers.may_remove_payment_method(call, customer["id"]),
        "return_url": session["return_url"],
        "why_not_removed": LAST.said.en,
        "notice": visit.notice,
        "previewed": date_text(call.now) if call.moment is not None else None,
        "is_old_pause": portal_pause.is_old_form(features["subscription_pause"]),
    }


def _shown(call: Call, features: StripeObject, subscription: StripeObject) -> dict[str, Any]:
    items, pause = subscription["items"]["data"], features["subscription_pause"]
    offered = portal_offers.offers(call, features, subscription)
    names = [call.store.products.get(item["price"]["product"])["name"] for item in items]
    options = portal_offers.plan_options(call, features, subscription) if "update" in offered else []
    return {
        "id": subscription["id"],
        "name": " + ".join(names),
        "price": " + ".join(price_text(item["price"], item["quantity"]) for item in items),
        "price_id": items[0]["price"]["id"],
        "quantity": items[0]["quantity"],
        "status": subscription["status"],
        "is_collection_paused": portal_offers.is_collection_paused(call, subscription),
        "period_end": date_text(min(item["current_period_end"] for item in items)),
        "cancel_at": date_text(subscription["cancel_at"]) if subscription["cancel_at"] else None,
        "resumes": _resumption(call, subscription),
        "offers": offered,
        "plans": [(price["id"], _plan_text(call, price)) for price in options],
        "may_change_quantity": portal_offers.may_change_quantity(call, features, subscription),
        "quantities": portal_offers.quantity_limits(features, subscription),
        "warnings": portal_offers.warnings(call, features, subscription),
        "refusals": _refusals(portal_offers.refusals(call, features, subscription), offered),
        "pause_choices": [] if portal_pause.is_old_form(pause) else portal_actions.pause_choices(pause),
    }


def _refusals(refused: list[Answer], offered: set[str]) -> list[tuple[str, list[str]]]:
    """A sentence with its reasons; who can cancel and nothing else is told so."""
    reasons = {answer.topic: [reason.why.en for reason in answer.limits] for answer in refused}
    told = {_REFUSED[topic]: why for topic, why in reasons.items()}
    if "change_plan" in reasons and "cancel" in reasons:
        told = {_NEITHER: list(dict.fromkeys(reasons["change_plan"] + reasons["cancel"]))} | told
        del told[_REFUSED["change_plan"]], told[_REFUSED["cancel"]]
    elif "change_plan" in reasons and offered & {"cancel", "uncancel"} and not offered & {"pause", "resume"}:
        told = {_ONLY_CANCEL: told.pop(_REFUSED["change_plan"])} | told
    return list(told.items())


def _plan_text(call: Call, price: StripeObject) -> str:
    return f"{call.store.products.get(price['product'])['name']}: {price_text(price, 1)}"


def _resumption(call: Call, subscription: StripeObject) -> str | None:
    end = call.simulator.pause_ends.get(subscription["id"]) or (subscription["pause_collection"] or {}).get(
        "resumes_at"
    )
    return date_text(end) if end else None
