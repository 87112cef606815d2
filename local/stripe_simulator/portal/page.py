"""The pages of the hosted portal: the whole of it, and those of its flows."""

import copy
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from local.stripe_simulator.errors import ApiError
from local.stripe_simulator.hosted_pages import (
    Link,
    amount_text,
    date_text,
    fields,
    message,
    price_text,
    render,
    visitor,
)
from local.stripe_simulator.portal import actions as portal_actions
from local.stripe_simulator.portal import configurations as portal_configurations
from local.stripe_simulator.portal import rules as portal_rules
from local.stripe_simulator.simulator import Call, PortalVisit
from local.stripe_simulator.store import StripeObject

_UNUSED_SECONDS = 5 * 60

_IDLE_SECONDS = 60 * 60

# Flow type to the form that its page shows.
_FLOW_ACTIONS = {
    "customer_update": "update_customer",
    "payment_method_update": "add_payment_method",
    "subscription_cancel": "cancel",
    "subscription_pause": "pause",
    "subscription_update": "update",
    "subscription_update_confirm": "update",
}


async def show(request: Request) -> Response:
    """Show the portal, or the page of its flow."""
    call, visit = visitor(request), _visit(request)
    if visit is None or not _touch(call, visit):
        return _expired(call, visit)
    previewed = _previewed(request.query_params.get("as_of"))
    context = page_context(replace(call, moment=previewed), visit)
    visit.notice = ""
    if visit.session["flow"] and not visit.is_flow_done:
        return render("stripe_flow.html", **context, **_flow_context(call, visit.session["flow"]))
    return render("stripe_portal.html", **context)


async def act(request: Request) -> Response:
    """Do what a button says, then show the portal again."""
    form = fields(await request.form())
    call, visit = visitor(request), _visit(request)
    if visit is None or not _touch(call, visit):
        return _expired(call, visit)
    features = features_of(call, visit)
    flow, action = visit.session["flow"], form.get("action")
    try:
        if action == "accept_offer":
            visit.notice = portal_actions.accept_offer(call, visit)
        else:
            visit.notice = portal_actions.perform(call, visit.session["customer"], features, form)
    except ApiError as error:
        link = Link(request.url.path, "Back to the customer portal")
        return message("This did not work", error.message, error.status, link)
    if flow and not visit.is_flow_done and action in {_FLOW_ACTIONS[flow["type"]], "accept_offer"}:
        portal_actions.apply_confirmed_discount(call, flow)
        return _completed(request, visit, flow)
    return RedirectResponse(request.url.path, 303)


def _completed(request: Request, visit: PortalVisit, flow: StripeObject) -> Response:
    visit.is_flow_done = True
    after = flow["after_completion"]
    if after["type"] == "redirect":
        return RedirectResponse(after["redirect"]["return_url"], 303)
    if after["type"] == "hosted_confirmation":
        return message("Thank you", after["hosted_confirmation"]["custom_message"] or visit.notice)
    return RedirectResponse(request.url.path, 303)


def _visit(request: Request) -> PortalVisit | None:
    visits: dict[str, PortalVisit] = request.app.state.simulator.visits
    return visits.get(request.path_params["token"])


def _touch(call: Call, visit: PortalVisit) -> bool:
    """Whether the link still works; its use extends its life."""
    if call.now - visit.last_activity >= (_IDLE_SECONDS if visit.is_used else _UNUSED_SECONDS):
        return False
    visit.last_activity, visit.is_used = call.now, True
    return True


def _previewed(day: str | None) -> int | None:
    """Return noon of the day to preview (Unix seconds), or null for no preview or an unreadable day."""
    try:
        return int(datetime.combine(date.fromisoformat(day or ""), time(12), UTC).timestamp())
    except ValueError:
        return None


def _expired(call: Call, visit: PortalVisit | None) -> Response:
    link = None
    if visit and visit.session["after_expiration"]:
        login = call.store.configurations.get(visit.session["configuration"])["login_page"]
        link = Link(login["url"], "Sign in by e-mail") if login["enabled"] else None
    return message("This link has expired", "Please go back and ask for a new one.", 410, link)


def _flow_context(call: Call, flow: StripeObject) -> dict[str, Any]:
    details = flow.get(flow["type"]) or {}
    return {
        "action": _FLOW_ACTIONS[flow["type"]],
        "flow_subscription": details.get("subscription"),
        "confirmed": (details.get("items") or [None])[0],
        "change": _change_text(call, details) if "items" in details else None,
        "offer": portal_actions.retention_offer(call, flow),
        "discount": portal_actions.flow_discount(call, flow),
    }


def _change_text(call: Call, details: StripeObject) -> str:
    item, own = details["items"][0], call.store.subscriptions.get(details["subscription"])["items"]["data"][0]
    price = call.store.prices.get(item["price"]) if item["price"] else own["price"]
    quantity = item.get("quantity", own.get("quantity"))
    return f"{call.store.products.get(price['product'])['name']}, {price_text(price, quantity)}"


# What the templates show.


def features_of(call: Call, visit: PortalVisit) -> StripeObject:
    """Return the configuration's features; after a sign-in by e-mail the address cannot be changed.

    Source: docs.stripe.com/customer-management/activate-no-code-customer-portal.
    """
    features: StripeObject = call.store.configurations.get(visit.session["configuration"])["features"]
    if not visit.by_login:
        return features
    narrowed: StripeObject = copy.deepcopy(features)
    allowed = narrowed["customer_update"]["allowed_updates"] or []
    narrowed["customer_update"]["allowed_updates"] = [name for name in allowed if name != "email"]
    return narrowed


@dataclass(frozen=True)
class ShownInvoice:
    """An invoice as the portal lists it."""

    day: str
    amount: str
    status: str
    url: str


_MOST_INVOICES = 12


def _invoices(call: Call, customer: str) -> list[ShownInvoice]:
    """Return the newest invoices of a customer that have left their draft."""
    found = [one for one in call.store.invoices.of_customer(customer) if one["status"] != "draft"]
    return [
        ShownInvoice(
            date_text(one["created"]),
            amount_text(one["total"], one["currency"]),
            one["status"],
            one["hosted_invoice_url"],
        )
        for one in found[:_MOST_INVOICES]
    ]


def page_context(call: Call, visit: PortalVisit) -> dict[str, Any]:
    """Return everything that the templates show."""
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
        "invoices": _invoices(call, customer["id"]),
        "may_remove": portal_rules.may_remove_payment_method(call, customer["id"]),
        "return_url": session["return_url"],
        "why_not_removed": portal_rules.LAST_PAYMENT_METHOD,
        "notice": visit.notice,
        "previewed": date_text(call.now) if call.moment is not None else None,
        "is_old_pause": portal_configurations.is_old_pause_form(features["subscription_pause"]),
    }


_REFUSED = {
    "update": "You cannot change this subscription here",
    "cancel": "You cannot cancel this subscription here",
    "uncancel": "You cannot keep this subscription here",
    "pause": "You cannot pause this subscription here",
    "resume": "You cannot resume this subscription here",
}

_NEITHER = "You can neither change nor cancel this subscription here"

_ONLY_CANCEL = "You can only cancel this subscription here"


def _shown(call: Call, features: StripeObject, subscription: StripeObject) -> dict[str, Any]:
    items, pause = subscription["items"]["data"], features["subscription_pause"]
    offer = portal_rules.offer_for(call, features, subscription)
    names = [call.store.products.get(item["price"]["product"])["name"] for item in items]
    return {
        "id": subscription["id"],
        "name": " + ".join(names),
        "price": " + ".join(price_text(item["price"], item.get("quantity")) for item in items),
        "price_id": items[0]["price"]["id"],
        "quantity": items[0].get("quantity"),
        "status": subscription["status"],
        "is_collection_paused": portal_rules.is_collection_paused(subscription, call.now),
        "period_end": date_text(min(item["current_period_end"] for item in items)),
        "cancel_at": date_text(subscription["cancel_at"]) if subscription["cancel_at"] else None,
        "resumes": _resumption(call, subscription),
        "offers": offer.actions,
        "plans": [(price["id"], _plan_text(call, price)) for price in offer.plans],
        "quantity_range": offer.quantity,
        "warnings": offer.warnings,
        "refusals": _refusals(offer),
        "pause_choices": [] if portal_configurations.is_old_pause_form(pause) else portal_actions.pause_choices(pause),
    }


def _refusals(offer: portal_rules.Offer) -> dict[str, tuple[str, ...]]:
    """Return reasons by the sentence that introduces them: one where only cancelling is left, or not even that."""
    reasons = {refusal.action: refusal.reasons for refusal in offer.refusals}
    leads: dict[str, tuple[str, ...]] = {}
    if "update" in reasons and "cancel" in reasons:
        leads[_NEITHER] = tuple(dict.fromkeys(reasons.pop("update") + reasons.pop("cancel")))
    elif "update" in reasons and offer.actions and offer.actions <= {"cancel", "uncancel"}:
        leads[_ONLY_CANCEL] = reasons.pop("update")
    return leads | {_REFUSED[action]: why for action, why in reasons.items()}


def _plan_text(call: Call, price: StripeObject) -> str:
    return f"{call.store.products.get(price['product'])['name']}: {price_text(price, 1)}"


def _resumption(call: Call, subscription: StripeObject) -> str | None:
    end = call.simulator.pause_ends.get(subscription["id"]) or (subscription["pause_collection"] or {}).get(
        "resumes_at"
    )
    return date_text(end) if end else None


ROUTES = [
    Route("/p/session/{token}", show, methods=["GET"]),
    Route("/p/session/{token}", act, methods=["POST"]),
]
