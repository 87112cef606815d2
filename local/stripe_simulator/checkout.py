"""Checkout sessions of `mode=subscription`, and the page on which they are paid."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from local.stripe_simulator.answers import list_page
from local.stripe_simulator.errors import ApiError, missing
from local.stripe_simulator.hosted_pages import fields, message, price_text, render, visitor
from local.stripe_simulator.resources import customers, payment_methods, subscriptions
from local.stripe_simulator.resources.events import emit, emit_update, snapshot
from local.stripe_simulator.simulator import Call
from local.stripe_simulator.store import StripeObject, new_id

_DAY = 86_400
_KEPT = ("cancel_url", "client_reference_id", "customer", "customer_email", "locale", "success_url")


def create(call: Call) -> StripeObject:
    """`POST /v1/checkout/sessions`; only subscriptions, only the hosted page."""
    params = call.params
    _check(call)
    session_id = new_id("cs_test")
    session: StripeObject = dict.fromkeys(_KEPT) | {
        "id": session_id,
        "object": "checkout.session",
        "created": call.now,
        "expires_at": params.get("expires_at", call.now + _DAY),
        "livemode": False,
        "metadata": params.get("metadata") or {},
        "mode": "subscription",
        "payment_status": "unpaid",
        "status": "open",
        "subscription": None,
        "ui_mode": "hosted_page",
        "url": f"{call.simulator.public_url}/c/pay/{session_id}",
    }
    session |= {name: params[name] for name in _KEPT if name in params}
    call.store.checkout_sessions.add(session)
    call.simulator.checkout_params[session_id] = params
    return session


def _check(call: Call) -> None:
    params = call.params
    for name in ("line_items", "success_url"):
        if name not in params:
            raise missing(name)
    if params.get("mode") != "subscription":
        raise ApiError("The simulator's Checkout only knows `mode=subscription`.", param="mode")
    if "customer" in params:
        call.store.customers.get(params["customer"], "customer")
    for position, item in enumerate(params["line_items"]):
        if "price" in item:
            _check_price(call, item["price"], f"line_items[{position}][price]")


def _check_price(call: Call, price_id: str, param: str) -> None:
    price = call.store.prices.get(price_id, param)
    if not price["active"]:
        raise ApiError("The price specified is inactive. This field only accepts active prices.", param=param)
    if price["recurring"] is None:
        text = "You must provide at least one recurring price in `subscription` mode when using prices."
        raise ApiError(text, param="line_items")


def retrieve(call: Call) -> StripeObject:
    """`GET /v1/checkout/sessions/{id}`; past its time it is `expired`."""
    session = call.store.checkout_sessions.get(call.ids["id"])
    if session["status"] == "open" and call.now >= session["expires_at"]:
        session |= {"status": "expired", "url": None}
    return session


def expire(call: Call) -> StripeObject:
    """`POST /v1/checkout/sessions/{id}/expire`, of an open one only."""
    session = retrieve(call)
    if session["status"] != "open":
        text = f'Only Checkout Sessions with a status in ["open"] can be expired. This one is {session["status"]}.'
        raise ApiError(text)
    session |= {"status": "expired", "url": None}
    emit(call, "checkout.session.expired", session)
    return session


def list_sessions(call: Call) -> StripeObject:
    """`GET /v1/checkout/sessions`, by customer, subscription or status."""
    for _, _, session_id in call.store.checkout_sessions.positions():
        retrieve(call.about(session_id))
    wanted = {name: call.params[name] for name in ("customer", "subscription", "status") if name in call.params}
    return list_page(
        call.store.checkout_sessions,
        call.params,
        "/v1/checkout/sessions",
        lambda one: all(one[name] == value for name, value in wanted.items()),
    )


def complete(call: Call, email: str) -> StripeObject:
    """Complete a session as if its page had been paid: make the customer, a card and the subscription."""
    session = retrieve(call)
    if session["status"] != "open":
        raise ApiError(f"This Checkout Session is {session['status']}.")
    params = call.simulator.checkout_params[session["id"]]
    customer = session["customer"] or customers.create(call.about("", email=email))["id"]
    method = payment_methods.attach(call.about("pm_card_visa", customer=customer))
    wanted = {name: item for name, item in params.get("subscription_data", {}).items() if name != "invoice_settings"}
    items = [{key: item[key] for key in ("price", "price_data", "quantity") if key in item} for item in _lines(params)]
    subscription = subscriptions.create(
        call.about("", **wanted, customer=customer, items=items, default_payment_method=method["id"])
    )
    owner, before = call.store.customers.get(customer), snapshot(call.store.customers.get(customer))
    owner["invoice_settings"]["default_payment_method"] = method["id"]
    emit_update(call, "customer.updated", before, owner)
    session |= {"status": "complete", "payment_status": "paid", "subscription": subscription["id"], "url": None}
    session["customer"] = customer
    emit(call, "checkout.session.completed", session)
    return session


def _lines(params: StripeObject) -> list[StripeObject]:
    lines: list[StripeObject] = params["line_items"]
    return lines


async def show_page(request: Request) -> Response:
    """Show what is bought, and one button."""
    call = visitor(request)
    session = _session(call, request)
    if session is None or session["status"] != "open":
        return message("This page is no longer available", "The checkout is complete or has expired.", 410)
    customer = call.store.customers.find(session["customer"] or "")
    email = customer["email"] if customer else session["customer_email"]
    return render(
        "stripe_checkout.html",
        lines=_page_lines(call, session),
        email=email or "",
        is_known=customer is not None,
        cancel_url=session["cancel_url"],
    )


async def pay(request: Request) -> Response:
    """Complete the session and redirect to its `success_url`."""
    form, call = fields(await request.form()), visitor(request)
    try:
        session = complete(call.about(request.path_params["id"]), form.get("email", ""))
    except ApiError as error:
        return message("This did not work", error.message, error.status)
    return RedirectResponse(session["success_url"].replace("{CHECKOUT_SESSION_ID}", session["id"]), 303)


def _session(call: Call, request: Request) -> StripeObject | None:
    found = call.store.checkout_sessions.find(request.path_params["id"])
    return retrieve(call.about(found["id"])) if found else None


def _page_lines(call: Call, session: StripeObject) -> list[str]:
    lines = call.simulator.checkout_params[session["id"]]["line_items"]
    prices = [(call.store.prices.find(line.get("price", "")), line.get("quantity", 1)) for line in lines]
    return [price_text(price, quantity) for price, quantity in prices if price and price["recurring"]]


ROUTES = [Route("/c/pay/{id}", show_page, methods=["GET"]), Route("/c/pay/{id}", pay, methods=["POST"])]
