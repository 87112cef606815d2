"""How subscriptions are billed, and what becomes of them when their invoices are paid or not.

Sources: docs.stripe.com/billing/subscriptions/overview, .../billing/subscriptions/pause-payment,
.../billing/revenue-recovery/smart-retries, and the texts of the official library.
"""

from dataclasses import replace

from local.stripe_simulator.errors import ApiError
from local.stripe_simulator.resources import invoices, payment_methods, status
from local.stripe_simulator.resources.events import emit, emit_update, snapshot
from local.stripe_simulator.resources.invoices import NO_METHOD
from local.stripe_simulator.resources.test_cards import HARD_DECLINES, Decline
from local.stripe_simulator.simulator import Call
from local.stripe_simulator.store import StripeObject

_HOUR = 3600
_DAY = 86_400
# A subscription whose first invoice is not paid until then has failed.
INCOMPLETE_SECONDS = 23 * _HOUR


# Lines.


def _period_line(call: Call, subscription: StripeObject, item: StripeObject) -> StripeObject:
    """Return the line for an item's current period."""
    name, quantity = invoices.product_name(call, item), item.get("quantity", 0)
    period = (item["current_period_start"], item["current_period_end"])
    if subscription["status"] == "trialing":
        return invoices.line(subscription, item, 0, f"Trial period for {name}", period)
    amount = invoices.amount_of(call, item)
    return invoices.line(subscription, item, amount, f"{quantity} × {name}", period)  # noqa: RUF001 - as Stripe does


# The first invoice.


def first_invoice(call: Call, subscription: StripeObject) -> StripeObject:
    """Return the first invoice of a new subscription, as a draft, and set the status that its payment leads to.

    Raises Stripe's error when there is nothing to charge, or when the request wants an error instead of an incomplete
    subscription.
    """
    lines = [_period_line(call, subscription, item) for item in subscription["items"]["data"]]
    invoice = invoices.draft(call, subscription, "subscription_create", lines)
    subscription["latest_invoice"] = invoice["id"]
    if subscription["collection_method"] == "charge_automatically" and invoice["amount_due"] > 0:
        behavior = call.params.get("payment_behavior", "allow_incomplete")
        subscription["status"] = "active" if _will_be_paid(call, subscription, behavior) else "incomplete"
    return invoice


def _will_be_paid(call: Call, subscription: StripeObject, behavior: str) -> bool:
    if behavior == "default_incomplete":
        return False
    decline = invoices.decline_of(call, payment_methods.default_of(call, subscription))
    if decline is NO_METHOD:
        raise ApiError(NO_METHOD.message, code=NO_METHOD.code)
    if decline and behavior == "error_if_incomplete":
        raise _requires_action() if decline.needs_authentication else decline.error()
    return decline is None


def _requires_action() -> ApiError:
    return ApiError(
        "This payment requires additional user action before it can be completed successfully. Payment can be "
        "completed using the PaymentIntent associated with subscription's latest invoice.",
        status=402,
        kind="card_error",
        code="subscription_payment_intent_requires_action",
    )


def collect_first(call: Call, subscription: StripeObject, invoice: StripeObject) -> None:
    """Announce and collect the first invoice of a subscription; one that is sent stays a draft for an hour."""
    invoices.announce(call, invoice)
    if subscription["collection_method"] == "charge_automatically" or invoice["amount_due"] == 0:
        invoices.finalize_draft(call, invoice)
        if invoice["status"] == "open" and call.params.get("payment_behavior") != "default_incomplete":
            _attempt(call, subscription, invoice)
    queue(call, subscription)


# Renewals.


def renew(call: Call, subscription: StripeObject, items: list[StripeObject]) -> None:
    """Bill the current period of these items, by an invoice that is a draft for its first hour."""
    lines = [_period_line(call, subscription, item) for item in items]
    begun = min(max(item["current_period_start"] for item in items), call.now)
    invoice = invoices.draft(call, subscription, "subscription_cycle", lines, begun)
    _bill(call, subscription, invoice)
    queue(call, subscription)


def _bill(call: Call, subscription: StripeObject, invoice: StripeObject) -> None:
    """Announce an invoice, and do what a paused collection says."""
    subscription["latest_invoice"] = invoice["id"]
    pause = subscription["pause_collection"]
    is_paused = bool(pause) and (pause["resumes_at"] is None or invoice["created"] < pause["resumes_at"])
    if subscription["status"] == "unpaid" or (is_paused and pause["behavior"] == "keep_as_draft"):
        invoices.set_advance(invoice, advances=False)
    invoices.announce(call, invoice)
    if is_paused and pause["behavior"] != "keep_as_draft":
        invoices.finalize_draft(call, invoice)
        if invoice["status"] == "open" and pause["behavior"] == "void":
            invoices.mark_void(call, invoice)
        elif invoice["status"] == "open":
            invoices.mark_as_uncollectible(call, invoice, "subscription_paused")


# Payment.


def _attempt(
    call: Call,
    subscription: StripeObject,
    invoice: StripeObject,
    *,
    method: str | None = None,
    by_schedule: bool = True,
) -> Decline | None:
    """Try to pay an open invoice; returns why it was declined, after everything that follows from it."""
    before = snapshot(invoice)
    method = method or invoice["default_payment_method"] or payment_methods.default_of(call, subscription)
    decline = invoices.charge(call, invoice, method, by_schedule=by_schedule)
    if decline is None:
        closed(call, invoice)
        return None
    if _is_retried(subscription, invoice) and by_schedule:
        _plan_retry(call, invoice, decline)
    emit_update(call, "invoice.updated", before, invoice)
    if decline.needs_authentication:
        emit(call, "invoice.payment_action_required", invoice)
    emit(call, "invoice.payment_failed", invoice)
    if subscription["status"] == "active" and invoice["billing_reason"] != "subscription_create":
        _set_status(call, subscription, "past_due")
    return decline


def _is_retried(subscription: StripeObject, invoice: StripeObject) -> bool:
    return subscription["status"] not in status.ENDED and invoice["billing_reason"] != "subscription_create"


def _plan_retry(call: Call, invoice: StripeObject, decline: Decline) -> None:
    """Plan the next attempt, unless a card was declined for good; the retries end at the same time in any case."""
    waits = call.simulator.billing.retry_after_days
    ends = call.simulator.retries_end
    ends.setdefault(invoice["id"], call.now + int(sum(waits) * _DAY))
    done = invoice["attempt_count"] - 1
    is_final = decline is NO_METHOD or bool({decline.code, decline.decline_code} & HARD_DECLINES)
    can_retry = invoice["auto_advance"] and not is_final and done < len(waits)
    invoice["next_payment_attempt"] = call.now + int(waits[done] * _DAY) if can_retry else None


def _set_status(call: Call, subscription: StripeObject, new: str) -> None:
    before = snapshot(subscription)
    subscription["status"] = new
    emit_update(call, "customer.subscription.updated", before, subscription)


def closed(call: Call, invoice: StripeObject) -> None:
    """Do what follows for the subscription of an invoice that has just been paid, voided or given up."""
    call.simulator.retries_end.pop(invoice["id"], None)
    subscription = call.store.subscriptions.find(invoices.subscription_of(invoice))
    if subscription is None or subscription["status"] in status.ENDED:
        return
    if subscription["status"] == "incomplete" and invoice["billing_reason"] == "subscription_create":
        if invoice["status"] == "void":
            _expire(call, subscription)
        else:
            _set_status(call, subscription, "active")
    elif subscription["status"] in {"past_due", "unpaid"} and _is_latest(call, invoice):
        _set_status(call, subscription, "active")
    queue(call, subscription)


def _is_latest(call: Call, invoice: StripeObject) -> bool:
    own = invoices.of_subscription(call, invoices.subscription_of(invoice))
    return next((one for one in own if one["status"] != "draft"), None) is invoice


def _expire(call: Call, subscription: StripeObject) -> None:
    before = snapshot(subscription)
    subscription |= {"status": "incomplete_expired", "ended_at": call.now}
    emit_update(call, "customer.subscription.updated", before, subscription)


def stop_collecting(call: Call, subscription: StripeObject) -> None:
    """Stop the collection of a subscription that ends; its open invoices can still be paid."""
    for invoice in invoices.of_subscription(call, subscription["id"]):
        if invoice["status"] in {"draft", "open"}:
            invoices.stop_collection(call, invoice)
            call.simulator.retries_end.pop(invoice["id"], None)
    call.simulator.invoice_moments.pop(subscription["id"], None)


# What happens by itself.


def queue(call: Call, subscription: StripeObject) -> None:
    """Queue the next thing that happens to the invoices of a subscription by itself."""
    own = invoices.of_subscription(call, subscription["id"])
    moments = [moment for one in own if (moment := _next_moment(call, subscription, one)) is not None]
    if subscription["status"] == "incomplete":
        moments.append(subscription["created"] + INCOMPLETE_SECONDS)
    call.simulator.invoice_moments.pop(subscription["id"], None)
    if moments:
        call.simulator.invoice_moments[subscription["id"]] = min(moments)
    call.simulator.due_changes.add(subscription)


def _next_moment(call: Call, subscription: StripeObject, invoice: StripeObject) -> int | None:
    if invoice["status"] == "draft":
        finalizes: int | None = invoice["automatically_finalizes_at"]
        return finalizes
    if invoice["status"] != "open":
        return None
    overdue = invoice["due_date"] if subscription["status"] == "active" else None
    moments = (invoice["next_payment_attempt"], call.simulator.retries_end.get(invoice["id"]), overdue)
    return min((moment for moment in moments if moment is not None), default=None)


def carry_out_due(call: Call, subscription: StripeObject) -> None:
    """Finalize, charge and give up the invoices of a subscription that are due, at the time at which they are."""
    moment = min(call.simulator.invoice_moments.get(subscription["id"], call.now), call.now)
    then = replace(call, moment=moment, params={})
    if subscription["status"] == "incomplete" and subscription["created"] + INCOMPLETE_SECONDS <= moment:
        _give_first_up(then, subscription)
    for invoice in reversed(invoices.of_subscription(call, subscription["id"])):
        due = _next_moment(call, subscription, invoice)
        if due is not None and due <= moment:
            _advance(then, subscription, invoice)
    queue(call, subscription)


def _give_first_up(call: Call, subscription: StripeObject) -> None:
    """Expire a subscription whose first invoice was not paid within 23 hours; the invoice is voided."""
    _expire(call, subscription)
    for invoice in invoices.of_subscription(call, subscription["id"]):
        if invoice["status"] == "open":
            invoices.mark_void(call, invoice)


def _advance(call: Call, subscription: StripeObject, invoice: StripeObject) -> None:
    if invoice["status"] == "draft":
        invoices.finalize_draft(call, invoice)
        if invoice["status"] == "paid":
            closed(call, invoice)
        elif invoice["collection_method"] == "charge_automatically":
            _attempt(call, subscription, invoice)
        else:
            emit(call, "invoice.sent", invoice)
        return
    if invoice["next_payment_attempt"] is not None and invoice["next_payment_attempt"] <= call.now:
        _attempt(call, subscription, invoice)
    elif call.simulator.retries_end.get(invoice["id"], call.now + 1) <= call.now:
        _give_up(call, subscription, invoice)
    elif invoice["due_date"] is not None and invoice["due_date"] <= call.now:
        _set_status(call, subscription, "past_due")


def _give_up(call: Call, subscription: StripeObject, invoice: StripeObject) -> None:
    """End the retries of an invoice: what becomes of its subscription is a setting of the account."""
    call.simulator.retries_end.pop(invoice["id"], None)
    invoices.stop_collection(call, invoice)
    if subscription["status"] != "past_due":
        return
    outcome = call.simulator.billing.after_retries
    if outcome == "cancel":
        stop_collecting(call, subscription)
        status.end(call, subscription, "payment_failed")
    elif outcome == "mark_unpaid":
        _set_status(call, subscription, "unpaid")


# What a request does to an invoice.


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
        closed(call, invoice)
    elif advances:
        # Charged about an hour later, like an invoice that finalizes by itself.
        invoice["next_payment_attempt"] = call.now + _HOUR
    _queue_for(call, invoice)
    return invoice


def _queue_for(call: Call, invoice: StripeObject) -> None:
    subscription = call.store.subscriptions.find(invoices.subscription_of(invoice))
    if subscription and subscription["status"] not in status.ENDED:
        queue(call, subscription)


def pay(call: Call) -> StripeObject:
    """`POST /v1/invoices/{id}/pay`: a draft is finalized first; raises Stripe's `card_error` when it is declined."""
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
        closed(call, invoice)
        return invoice
    decline = _attempt(call, subscription, invoice, method=method, by_schedule=False)
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
    if invoice["status"] == "void":
        raise ApiError("You can only pay an open invoice. This invoice is void.")


def void(call: Call) -> StripeObject:
    """`POST /v1/invoices/{id}/void`, of an open invoice."""
    invoice = call.store.invoices.get(call.ids["id"])
    if invoice["status"] == "paid":
        raise ApiError("Invoices with `paid` payments cannot be voided.")
    if invoice["status"] != "open":
        raise _not_open()
    invoices.mark_void(call, invoice)
    closed(call, invoice)
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
    closed(call, invoice)
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
