"""The hosted customer portal."""

from dataclasses import replace
from datetime import UTC, date, datetime, time
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from local.stripe_simulator import portal_actions, portal_discounts, portal_view
from local.stripe_simulator.errors import ApiError
from local.stripe_simulator.pages import fields, message, price_text, render, visitor
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
    previewed = _previewed(request.query_params.get("as_of"))
    context = portal_view.context(replace(call, moment=previewed), visit)
    visit.notice = ""
    if visit.session["flow"] and not visit.is_flow_done:
        return render("stripe_flow.html", **context, **_flow_context(call, visit.session["flow"]))
    return render("stripe_portal.html", **context)


async def act(request: Request) -> Response:
    """A button was pressed: do it, then show the portal again."""
    form = fields(await request.form())
    call, visit = visitor(request), _visit(request)
    if visit is None or not _touch(call, visit):
        return _expired(call, visit)
    features = portal_view.features_of(call, visit)
    flow, action = visit.session["flow"], form.get("action")
    try:
        if action == "accept_offer":
            visit.notice = portal_discounts.accept(call, visit)
        else:
            visit.notice = portal_actions.perform(call, visit.session["customer"], features, form)
    except ApiError as error:
        link = (request.url.path, "Back to the customer portal")
        return message("This did not work", error.message, error.status, link)
    if flow and not visit.is_flow_done and action in {_FLOW_ACTIONS[flow["type"]], "accept_offer"}:
        portal_discounts.apply_confirmed(call, flow)
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


def _previewed(day: str | None) -> int | None:
    """The noon of a day, for a look at what the portal would offer then; an unreadable day is today."""
    try:
        return int(datetime.combine(date.fromisoformat(day or ""), time(12), UTC).timestamp())
    except ValueError:
        return None


def _expired(call: Call, visit: Visit | None) -> Response:
    link = None
    if visit and visit.session["after_expiration"]:
        login = call.store.configurations.get(visit.session["configuration"])["login_page"]
        link = (login["url"], "Sign in by e-mail") if login["enabled"] else None
    return message("This link has expired", "Please go back and ask for a new one.", 410, link)


def _flow_context(call: Call, flow: StripeObject) -> dict[str, Any]:
    details = flow.get(flow["type"]) or {}
    return {
        "action": _FLOW_ACTIONS[flow["type"]],
        "flow_subscription": details.get("subscription"),
        "confirmed": (details.get("items") or [None])[0],
        "change": _change_text(call, details) if "items" in details else None,
        "offer": portal_discounts.offer(call, flow),
        "discount": portal_discounts.discount(call, flow),
    }


def _change_text(call: Call, details: StripeObject) -> str:
    item, own = details["items"][0], call.store.subscriptions.get(details["subscription"])["items"]["data"][0]
    price = call.store.prices.get(item["price"]) if item["price"] else own["price"]
    return (
        f"{call.store.products.get(price['product'])['name']}, {price_text(price, item['quantity'] or own['quantity'])}"
    )


ROUTES = [
    Route("/p/session/{token}", show, methods=["GET"]),
    Route("/p/session/{token}", act, methods=["POST"]),
]
