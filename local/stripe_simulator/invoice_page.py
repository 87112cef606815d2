"""The page of an invoice, on which a customer pays it, with a card that has to be authenticated too."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from local.stripe_simulator.errors import ApiError
from local.stripe_simulator.hosted_pages import amount_text, date_text, fields, message, render, visitor
from local.stripe_simulator.resources import invoice_requests, payment_methods
from local.stripe_simulator.simulator import Call
from local.stripe_simulator.store import StripeObject


def _invoice(call: Call, request: Request) -> StripeObject | None:
    found = call.store.invoices.find(request.path_params["id"])
    return found if found and found["status"] != "draft" else None


async def show_page(request: Request) -> Response:
    """Show what is billed, and a button while it can be paid."""
    call = visitor(request)
    invoice = _invoice(call, request)
    if invoice is None:
        return message("This page is not available", "There is no such invoice.", 404)
    currency = invoice["currency"]
    return render(
        "stripe_invoice.html",
        number=invoice["number"],
        state=invoice["status"],
        lines=[f"{one['description']}: {amount_text(one['amount'], currency)}" for one in invoice["lines"]["data"]],
        due=amount_text(invoice["amount_remaining"], currency),
        due_date=date_text(invoice["due_date"]) if invoice["due_date"] else "",
        is_payable=invoice["status"] in invoice_requests.PAYABLE,
    )


async def pay(request: Request) -> Response:
    """Pay with the card whose number was entered, or else with the customer's default."""
    form, call = fields(await request.form()), visitor(request)
    invoice = _invoice(call, request)
    if invoice is None:
        return message("This page is not available", "There is no such invoice.", 404)
    number = "".join(form.get("number", "").split())
    try:
        params = {"payment_method": _card(call, invoice, number)} if number else {}
        invoice_requests.pay(call.about(invoice["id"], **params), "page")
    except ApiError as error:
        return message("The payment failed", error.message, error.status)
    return RedirectResponse(request.url.path, 303)


def _card(call: Call, invoice: StripeObject, number: str) -> str:
    method = payment_methods.create(call.about("", type="card", card={"number": number}))
    return str(payment_methods.attach(call.about(method["id"], customer=invoice["customer"]))["id"])


ROUTES = [Route("/i/{id}", show_page, methods=["GET"]), Route("/i/{id}", pay, methods=["POST"])]
