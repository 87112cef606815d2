"""Checkout sessions of `mode=subscription`, and the page on which they are paid."""

from decimal import ROUND_HALF_UP, Decimal

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
    total = sum(_amount(call, line) for line in params["line_items"])
    known = call.store.customers.find(params.get("customer", ""))
    session: StripeObject = dict.fromkeys((*_KEPT, *_NULLS)) | {
        "id": session_id,
        "object": "checkout.session",
        "amount_subtotal": total,
        "amount_total": total,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "created": call.now,
        "currency": _price(call, params["line_items"][0])["currency"].lower(),
        "custom_fields": [],
        "custom_text": dict.fromkeys(("after_submit", "shipping_address", "submit", "terms_of_service_acceptance")),
        "customer_creation": None if known else "always",
        "customer_details": _customer_details(known, params.get("customer_email")),
        "discounts": [],
        "expires_at": params.get("expires_at", call.now + _DAY),
        "livemode": False,
        "metadata": params.get("metadata") or {},
        "mode": "subscription",
        "payment_method_collection": "always",
        "payment_method_options": {},
        "payment_method_types": ["card"],
        "payment_status": "unpaid",
        "saved_payment_method_options": {
            "allow_redisplay_filters": ["always"],
            "payment_method_remove": None,
            "payment_method_save": None,
        },
        "shipping_options": [],
        "status": "open",
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        "ui_mode": "hosted_page",
        "url": f"{call.simulator.public_url}/c/pay/{session_id}",
    }
    session |= {name: params[name] for name in _KEPT if name in params}
    call.store.checkout_sessions.add(session)
    lines: StripeObject = {
        "object": "list",
        "data": [_line_item(call, line) for line in params["line_items"]],
        "has_more": False,
        "url": f"/v1/checkout/sessions/{session_id}/line_items",
    }
    call.store.on_demand.add({"id": session_id, "created": call.now, "line_items": lines})
    call.simulator.checkout_params[session_id] = params
    return session


_NULLS = (
    *("adaptive_pricing", "after_expiration", "allow_promotion_codes", "allowed_payment_method_types"),
    *("billing_address_collection", "client_secret", "collected_information", "consent", "consent_collection"),
    *("currency_conversion", "customer_account", "integration_identifier", "invoice", "invoice_creation"),
    *("managed_payments", "origin_context", "payment_intent", "payment_link", "payment_method_configuration_details"),
    *("permissions", "recovered_from", "setup_intent", "shipping_address_collection", "shipping_cost", "submit_type"),
    *("subscription", "wallet_options"),
)
_DETAILS = ("address", "business_name", "email", "individual_name", "name", "phone", "tax_exempt", "tax_ids")


def _customer_details(customer: StripeObject | None, email: str | None) -> StripeObject | None:
    if customer is None and email is None:
        return None
    known = {name: (customer or {}).get(name) for name in _DETAILS}
    return known | {"email": email or known["email"], "tax_exempt": known["tax_exempt"] or "none"}


def _price(call: Call, line: StripeObject) -> StripeObject:
    """Return the price of a line, or the `price_data` that will become one."""
    price: StripeObject = call.store.prices.get(line["price"]) if "price" in line else line["price_data"]
    return price


def _amount(call: Call, line: StripeObject) -> int:
    price = _price(call, line)
    exact = price.get("unit_amount_decimal") or price.get("unit_amount") or 0
    return int((Decimal(exact) * int(line.get("quantity", 1))).quantize(Decimal(1), ROUND_HALF_UP))


def _line_item(call: Call, line: StripeObject) -> StripeObject:
    """Return a line of the session; the price of a `price_data` exists once the session is paid."""
    price, amount = _price(call, line), _amount(call, line)
    product = call.store.products.find(price.get("product", "")) or price.get("product_data", {})
    return {
        "id": new_id("li"),
        "object": "item",
        "adjustable_quantity": None,
        "amount_discount": 0,
        "amount_subtotal": amount,
        "amount_tax": 0,
        "amount_total": amount,
        "currency": price["currency"].lower(),
        "description": product.get("name"),
        "metadata": {},
        "price": snapshot(price) if "price" in line else None,
        "quantity": line.get("quantity", 1),
    }


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
    session["invoice"] = subscription["latest_invoice"]
    session |= {"customer": customer, "customer_details": _customer_details(owner, session["customer_email"])}
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
