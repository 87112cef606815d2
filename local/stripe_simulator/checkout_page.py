"""The hosted Checkout page: pay with a test card, and the subscription begins."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from local.stripe_simulator import checkout_sessions
from local.stripe_simulator.errors import ApiError
from local.stripe_simulator.pages import fields, message, price_text, render, visitor
from local.stripe_simulator.simulator import Call
from local.stripe_simulator.store import StripeObject


async def show(request: Request) -> Response:
    """What is bought, and one button."""
    call = visitor(request)
    session = _session(call, request)
    if session is None or session["status"] != "open":
        return message("This page is no longer available", "The checkout is complete or has expired.", 410)
    customer = call.store.customers.find(session["customer"] or "")
    email = customer["email"] if customer else session["customer_email"]
    return render(
        "stripe_checkout.html",
        lines=_lines(call, session),
        email=email or "",
        is_known=customer is not None,
        cancel_url=session["cancel_url"],
    )


async def pay(request: Request) -> Response:
    """Complete the session and go where the site asked."""
    form, call = fields(await request.form()), visitor(request)
    try:
        session = checkout_sessions.complete(call.about(request.path_params["id"]), form.get("email", ""))
    except ApiError as error:
        return message("This did not work", error.message, error.status)
    return RedirectResponse(session["success_url"].replace("{CHECKOUT_SESSION_ID}", session["id"]), 303)


def _session(call: Call, request: Request) -> StripeObject | None:
    found = call.store.checkout_sessions.find(request.path_params["id"])
    return checkout_sessions.retrieve(call.about(found["id"])) if found else None


def _lines(call: Call, session: StripeObject) -> list[str]:
    lines = call.simulator.checkout_params[session["id"]]["line_items"]
    prices = [(call.store.prices.find(line.get("price", "")), line.get("quantity", 1)) for line in lines]
    return [price_text(price, quantity) for price, quantity in prices if price and price["recurring"]]


ROUTES = [Route("/c/pay/{id}", show, methods=["GET"]), Route("/c/pay/{id}", pay, methods=["POST"])]
