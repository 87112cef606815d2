"""The hosted customer portal."""

from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from local.stripe_simulator import portal_actions, portal_offers, portal_pause
from local.stripe_simulator.errors import ApiError
from local.stripe_simulator.pages import date_text, fields, message, price_text, render, visitor
from local.stripe_simulator.simulator import Call, Visit
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
    """The portal's page, or its flow's page."""
    call, visit = visitor(request), _visit(request)
    if visit is None or not _touch(call, visit):
        return _expired(call, visit)
    context = _context(call, visit)
    visit.notice = ""
    if visit.session["flow"] and not visit.is_flow_done:
        return render("stripe_flow.html", **context, **_flow_context(visit.session["flow"]))
    return render("stripe_portal.html", **context)


async def act(request: Request) -> Response:
    """A button was pressed: do it, then show the portal again."""
    form = fields(await request.form())
    call, visit = visitor(request), _visit(request)
    if visit is None or not _touch(call, visit):
        return _expired(call, visit)
    features = call.store.configurations.get(visit.session["configuration"])["features"]
    try:
        visit.notice = portal_actions.perform(call, visit.session["customer"], features, form)
    except ApiError as error:
        link = (request.url.path, "Back to the customer portal")
        return message("This did not work", error.message, error.status, link)
    flow = visit.session["flow"]
    if flow and not visit.is_flow_done and form.get("action") == _FLOW_ACTIONS[flow["type"]]:
        return _completed(request, visit, flow)
    return RedirectResponse(request.url.path, 303)


def _completed(request: Request, visit: Visit, flow: StripeObject) -> Response:
    visit.is_flow_done = True
    after = flow["after_completion"]
    if after["type"] == "redirect":
        return RedirectResponse(after["redirect"]["return_url"], 303)
    if after["type"] == "hosted_confirmation":
        return message("Thank you", after["hosted_confirmation"]["custom_message"] or visit.notice)
    return RedirectResponse(request.url.path, 303)


def _visit(request: Request) -> Visit | None:
    visits: dict[str, Visit] = request.app.state.simulator.visits
    return visits.get(request.path_params["token"])


def _touch(call: Call, visit: Visit) -> bool:
    """Whether the link still works; using it keeps it alive."""
    if call.now - visit.last_activity >= (_IDLE_SECONDS if visit.is_used else _UNUSED_SECONDS):
        return False
    visit.last_activity, visit.is_used = call.now, True
    return True


def _expired(call: Call, visit: Visit | None) -> Response:
    link = None
    if visit and visit.session["after_expiration"]:
        login = call.store.configurations.get(visit.session["configuration"])["login_page"]
        link = (login["url"], "Sign in by e-mail") if login["enabled"] else None
    return message("This link has expired", "Please go back and ask for a new one.", 410, link)


def _flow_context(flow: StripeObject) -> dict[str, Any]:
    details = flow.get(flow["type"]) or {}
    return {
        "action": _FLOW_ACTIONS[flow["type"]],
        "flow_subscription": details.get("subscription"),
        "confirmed": (details.get("items") or [None])[0],
    }


def _context(call: Call, visit: Visit) -> dict[str, Any]:
    session = visit.session
    configuration = call.store.configurations.get(session["configuration"])
    features, customer = configuration["features"], call.store.customers.get(session["customer"])
    every = call.store.subscriptions.of_customer(customer["id"])
    return {
        "profile": configuration["business_profile"],
        "features": features,
        "customer": customer,
        "subscriptions": [_shown(call, features, one) for one in every if one["status"] != "incomplete_expired"],
        "payment_methods": call.store.payment_methods.of_customer(customer["id"]),
        "may_remove": portal_offers.may_remove_payment_method(call, customer["id"]),
        "return_url": session["return_url"],
        "notice": visit.notice,
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
        "is_collection_paused": subscription["pause_collection"] is not None,
        "period_end": date_text(min(item["current_period_end"] for item in items)),
        "cancel_at": date_text(subscription["cancel_at"]) if subscription["cancel_at"] else None,
        "resumes": _resumption(call, subscription),
        "offers": offered,
        "plans": [(price["id"], _plan_text(call, price)) for price in options],
        "may_change_quantity": portal_offers.allows_quantity(features, subscription),
        "pause_choices": [] if portal_pause.is_old_form(pause) else portal_actions.pause_choices(pause),
    }


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
