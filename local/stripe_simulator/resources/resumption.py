"""Pauses and resumes of a subscription, and the money that they move.

Source: docs.stripe.com/billing/subscriptions/pause. A resume that costs something ends the pause once it is paid.
"""

from local.stripe_simulator.errors import ApiError
from local.stripe_simulator.resources import billing, invoices, payment_methods, proration, status
from local.stripe_simulator.resources.events import emit_update, snapshot
from local.stripe_simulator.resources.invoices import NO_METHOD
from local.stripe_simulator.resources.proration import UpdateBill
from local.stripe_simulator.simulator import Call
from local.stripe_simulator.store import StripeObject

# How long a resume waits for its payment: without an attempt in the request as long as a first invoice, else a year.
_EXPIRES_SECONDS = {
    "resume_on_payment_attempt": billing.INCOMPLETE_SECONDS,
    "resume_on_payment_success": 365 * 86_400,
}


def pause(call: Call, subscription: StripeObject) -> StripeObject:
    """Pause a subscription, and credit what was paid and is not used, as `bill_for` and `invoicing_behavior` say."""
    refuses = call.simulator.billing.pause_of_paused_collection in {"refuse", "refuse_when_due"}
    if subscription["pause_collection"] and refuses:
        raise paused_collection()
    unused = call.params.get("bill_for", {}).get("unused_time_from", {}).get("type", "now")
    lines = []
    if unused != "none":
        lines = proration.credits_for(call, subscription, None if unused == "item_current_period_start" else call.now)
    if call.params.get("invoicing_behavior") == "invoice" and (
        lines or call.simulator.pending_lines.get(subscription["id"])
    ):
        billing.bill_now(call, subscription, lines)
    else:
        billing.add_pending(call, subscription, lines)
    call.simulator.waiting_updates.pop(subscription["id"], None)
    return status.pause(call, subscription, "pause_requested")


def paused_collection() -> ApiError:
    """Return the refusal to pause a subscription whose collection is paused; the words are the simulator's own."""
    return ApiError("You cannot pause a subscription whose payment collection is paused.")


def resume(call: Call, subscription: StripeObject) -> StripeObject:
    """Resume a paused subscription: at once when nothing is due, else when the invoice for it is paid."""
    behavior = call.params.get("payment_behavior", "resume_on_payment_attempt")
    is_new = call.params.get("billing_cycle_anchor", {"type": "now"})["type"] == "now"
    plan = billing.plan_of_periods(call, subscription, call.now if is_new else subscription["billing_cycle_anchor"])
    bill = _bill(call, subscription, plan, is_new=is_new)
    _check_method(call, subscription, bill, behavior)
    call.simulator.pause_ends.pop(subscription["id"], None)
    _void_earlier(call, subscription)
    before = snapshot(subscription)
    if not bill.is_due_now:
        billing.add_pending(call, subscription, bill.lines)
        billing.become_live(call, subscription, plan, "active", before)
        billing.queue(call, subscription)
        return subscription
    invoice = billing.bill_now(call, subscription, bill.lines, attempts=False)
    if invoice["status"] == "open" and behavior == "resume_on_payment_success":
        billing.attempt(call, subscription, invoice)
    if invoice["status"] == "open":
        _wait_for(call, subscription, invoice, plan, before)
    else:
        billing.become_live(call, subscription, plan, "active", before)
    billing.queue(call, subscription)
    return subscription


def _wait_for(
    call: Call, subscription: StripeObject, invoice: StripeObject, plan: StripeObject, before: StripeObject
) -> None:
    behavior = call.params.get("payment_behavior", "resume_on_payment_attempt")
    expires, anchor = call.now + _EXPIRES_SECONDS[behavior], plan["billing_cycle_anchor"]
    call.simulator.resumptions[subscription["id"]] = {
        **plan,
        "invoice": invoice["id"],
        "payment_behavior": behavior,
        "expires_at": expires,
    }
    is_new = anchor != subscription["billing_cycle_anchor"]
    subscription["pending_update"] = billing.pending_update(expires, {"billing_cycle_anchor": anchor} if is_new else {})
    emit_update(call, "customer.subscription.updated", before, subscription)


def _bill(call: Call, subscription: StripeObject, plan: StripeObject, *, is_new: bool) -> UpdateBill:
    """Return what a resume costs."""
    target = snapshot(subscription) | {"status": "active", "billing_cycle_anchor": plan["billing_cycle_anchor"]}
    for item in target["items"]["data"]:
        item["current_period_start"], item["current_period_end"] = plan["periods"][item["id"]]
    if is_new:
        return UpdateBill(invoices.period_lines(call, target), is_due_now=True)
    behavior = call.params.get("proration_behavior", "create_prorations")
    if behavior == "none":
        return UpdateBill([], is_due_now=False)
    moment = int(call.params.get("proration_date", call.now))
    found = [proration.charge_for(call, target, item, moment) for item in target["items"]["data"]]
    return UpdateBill([line for line in found if line], is_due_now=behavior == "always_invoice")


def _check_method(call: Call, subscription: StripeObject, bill: UpdateBill, behavior: str) -> None:
    """Raise the error of a resume that is to be paid in the request when there is nothing to charge."""
    due = sum(line["amount"] for line in (*bill.lines, *call.simulator.pending_lines.get(subscription["id"], [])))
    has_method = payment_methods.default_of(call, subscription) is not None
    if bill.is_due_now and behavior == "resume_on_payment_success" and due > 0 and not has_method:
        raise ApiError(NO_METHOD.message, code=NO_METHOD.code)


def _void_earlier(call: Call, subscription: StripeObject) -> None:
    """Void the invoice of an earlier resume that is not paid, so that the customer does not owe both."""
    plan = call.simulator.resumptions.get(subscription["id"])
    if plan:
        invoice = call.store.invoices.get(plan["invoice"])
        invoices.mark_void(call, invoice)
        billing.closed(call, invoice)
