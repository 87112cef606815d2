"""What requests do to invoices: finalize, pay, void, give up and send them."""

from local.stripe_simulator.errors import ApiError
from local.stripe_simulator.resources import billing, invoices, payment_methods, status
from local.stripe_simulator.resources.events import emit
from local.stripe_simulator.resources.invoices import ChargedBy
from local.stripe_simulator.resources.test_cards import Decline
from local.stripe_simulator.simulator import Call
from local.stripe_simulator.store import StripeObject

_HOUR = 3600


def finalize(call: Call) -> StripeObject:
    """`POST /v1/invoices/{id}/finalize`: open, or paid when nothing is due; nothing is charged yet."""
    invoice = call.store.invoices.get(call.ids["id"])
    if invoice["status"] != "draft":
        raise ApiError("This invoice is already finalized, you can't re-finalize a non-draft invoice.")
    if "auto_advance" in call.params:
        invoices.set_advance(invoice, advances=call.params["auto_advance"])
    return _finalize(call, invoice)


def _finalize(call: Call, invoice: StripeObject) -> StripeObject:
    advances = invoice["auto_advance"] and invoice["collection_method"] == "charge_automatically"
    invoices.finalize_draft(call, invoice)
    if invoice["status"] == "paid":
        billing.closed(call, invoice)
    elif advances:
        # Charged about an hour later, like an invoice that finalizes by itself.
        invoice["next_payment_attempt"] = call.now + _HOUR
    _queue_for(call, invoice)
    return invoice


def _queue_for(call: Call, invoice: StripeObject) -> None:
    subscription = call.store.subscriptions.find(invoices.subscription_of(invoice))
    if subscription and subscription["status"] not in status.ENDED:
        billing.queue(call, subscription)


# Those that can be paid; a draft is finalized first.
PAYABLE = {"draft", "open", "uncollectible"}


def pay(call: Call, by: ChargedBy = "request") -> StripeObject:
    """`POST /v1/invoices/{id}/pay`: a draft is finalized first; raises Stripe's `card_error` when it is declined.

    Customers on the invoice's page authenticate their card.
    """
    invoice, params = call.store.invoices.get(call.ids["id"]), call.params
    _check_payable(invoice)
    subscription = call.store.subscriptions.get(invoices.subscription_of(invoice))
    method = params.get("payment_method")
    if method:
        payment_methods.require_attached(call, method, invoice["customer"], "payment_method")
    method = method or invoice["default_payment_method"] or payment_methods.default_of(call, subscription)
    if method is None and not params.get("paid_out_of_band"):
        raise ApiError("There is no `default_payment_method` set on this Customer or Invoice.")
    if invoice["status"] == "draft":
        invoices.finalize_draft(call, invoice)
    if invoice["status"] in {"open", "uncollectible"} and params.get("paid_out_of_band"):
        invoices.mark_paid_elsewhere(call, invoice)
    if invoice["status"] == "paid":
        billing.closed(call, invoice)
        return invoice
    decline = billing.attempt(call, subscription, invoice, method=method, by=by)
    _queue_for(call, invoice)
    if decline:
        raise _payment_error(decline)
    return invoice


def _payment_error(decline: Decline) -> ApiError:
    error = decline.error()
    if decline.needs_authentication:
        error.code, error.decline_code = "invoice_payment_intent_requires_action", None
    return error


def _check_payable(invoice: StripeObject) -> None:
    if invoice["status"] == "paid":
        raise ApiError("Invoice is already paid")
    if invoice["status"] not in PAYABLE:
        raise ApiError("You can only pay an open invoice. This invoice is void.")


def void(call: Call) -> StripeObject:
    """`POST /v1/invoices/{id}/void`, of an open invoice."""
    invoice = call.store.invoices.get(call.ids["id"])
    if invoice["status"] == "paid":
        raise ApiError("Invoices with `paid` payments cannot be voided.")
    if invoice["status"] != "open":
        raise _not_open()
    invoices.mark_void(call, invoice)
    billing.closed(call, invoice)
    return invoice


def _not_open() -> ApiError:
    return ApiError("You can only pass in open invoices. This invoice isn't open.")


def mark_uncollectible(call: Call) -> StripeObject:
    """`POST /v1/invoices/{id}/mark_uncollectible`, of an open invoice."""
    invoice = call.store.invoices.get(call.ids["id"])
    if invoice["status"] == "uncollectible":
        raise ApiError("This invoice has already been marked uncollectible.")
    if invoice["status"] != "open":
        raise _not_open()
    invoices.mark_as_uncollectible(call, invoice, "user_forgiven")
    billing.closed(call, invoice)
    return invoice


def send(call: Call) -> StripeObject:
    """`POST /v1/invoices/{id}/send`, of an invoice that is not charged automatically; a draft is finalized first."""
    invoice = call.store.invoices.get(call.ids["id"])
    if invoice["status"] == "draft":
        _finalize(call, invoice)
    elif invoice["status"] != "open" or invoice["collection_method"] != "send_invoice":
        raise ApiError(
            "This invoice cannot be sent right now. Please contact us via https://support.stripe.com/contact with "
            "details, so we can help."
        )
    emit(call, "invoice.sent", invoice)
    return invoice
