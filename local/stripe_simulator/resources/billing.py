"""How subscriptions are billed, and what becomes of them when their invoices are paid or not.

Sources: docs.stripe.com/billing/subscriptions/overview, .../billing/subscriptions/pause-payment,
.../billing/revenue-recovery/smart-retries, and the texts of the official library.
"""

from dataclasses import replace

from local.stripe_simulator.errors import ApiError
from local.stripe_simulator.resources import invoices, payment_methods, status
from local.stripe_simulator.resources.events import changes, emit, emit_update, snapshot
from local.stripe_simulator.resources.invoices import NO_METHOD, ChargedBy
from local.stripe_simulator.resources.periods import set_period
from local.stripe_simulator.resources.test_cards import HARD_DECLINES, Decline
from local.stripe_simulator.simulator import Call
from local.stripe_simulator.store import StripeObject

_HOUR = 3600
_DAY = 86_400
# A subscription whose first invoice is not paid until then has failed.
INCOMPLETE_SECONDS = 23 * _HOUR


# The first invoice.


def first_invoice(call: Call, subscription: StripeObject) -> StripeObject:
    """Return the first invoice of a new subscription, as a draft, and set the status that its payment leads to.

    Raises Stripe's error when there is nothing to charge, or when the request wants an error instead of an incomplete
    subscription.
    """
    invoice = invoices.draft(call, subscription, "subscription_create", invoices.period_lines(call, subscription))
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
            attempt(call, subscription, invoice)
    queue(call, subscription)


# Lines that wait for the next invoice.


def add_pending(call: Call, subscription: StripeObject, lines: list[StripeObject]) -> None:
    """Keep lines for the next invoice of a subscription."""
    if lines:
        call.simulator.pending_lines.setdefault(subscription["id"], []).extend(lines)


def take_pending(call: Call, subscription: StripeObject) -> list[StripeObject]:
    """Return the lines that have waited for this invoice."""
    return call.simulator.pending_lines.pop(subscription["id"], [])


# Renewals.


def renew(call: Call, subscription: StripeObject, items: list[StripeObject]) -> None:
    """Bill the current period of these items, by an invoice that is a draft for its first hour."""
    lines = [*take_pending(call, subscription), *invoices.period_lines(call, subscription, items)]
    begun = min(max(item["current_period_start"] for item in items), call.now)
    invoice = invoices.draft(call, subscription, "subscription_cycle", lines, begun)
    _bill(call, subscription, invoice)
    queue(call, subscription)


def _bill(call: Call, subscription: StripeObject, invoice: StripeObject) -> None:
    """Announce an invoice, and do what a paused collection says."""
    subscription["latest_invoice"] = invoice["id"]
    pause = subscription["pause_collection"]
    is_paused = is_collection_paused(subscription, invoice["created"])
    if subscription["status"] == "unpaid" or (is_paused and pause["behavior"] == "keep_as_draft"):
        invoices.set_advance(invoice, advances=False)
    invoices.announce(call, invoice)
    if is_paused and pause["behavior"] != "keep_as_draft":
        invoices.finalize_draft(call, invoice)
        if invoice["status"] == "open" and pause["behavior"] == "void":
            invoices.mark_void(call, invoice)
        elif invoice["status"] == "open":
            invoices.mark_as_uncollectible(call, invoice, "subscription_paused")


def is_collection_paused(subscription: StripeObject, moment: int) -> bool:
    """Whether invoices made at this time are not collected."""
    pause = subscription["pause_collection"]
    return bool(pause) and (pause["resumes_at"] is None or moment < pause["resumes_at"])


def bill_now(
    call: Call, subscription: StripeObject, lines: list[StripeObject], *, attempts: bool = True
) -> StripeObject:
    """Bill lines, and those that have waited, by an invoice that is finalized and charged at once; returns it."""
    invoice = invoices.draft(call, subscription, "subscription_update", [*take_pending(call, subscription), *lines])
    _bill(call, subscription, invoice)
    if invoice["status"] == "draft" and invoice["auto_advance"]:
        invoices.finalize_draft(call, invoice)
    if invoice["status"] == "open" and subscription["collection_method"] == "send_invoice":
        emit(call, "invoice.sent", invoice)
    elif invoice["status"] == "open" and attempts:
        attempt(call, subscription, invoice)
    queue(call, subscription)
    return invoice


# Updates that have to be paid.


def check_update(call: Call, subscription: StripeObject, lines: list[StripeObject]) -> bool:
    """Whether an update is carried out now; false when it has to wait for its payment.

    Raises Stripe's error when there is nothing to charge, or when the request wants an error in place of a payment that
    fails.
    """
    pending = call.simulator.pending_lines.get(subscription["id"], [])
    due = invoices.draft(call, subscription, "subscription_update", snapshot({"lines": [*pending, *lines]})["lines"])
    if subscription["collection_method"] != "charge_automatically" or due["amount_due"] == 0:
        return True
    behavior = call.params.get("payment_behavior", "allow_incomplete")
    if is_collection_paused(subscription, call.now) or subscription["status"] == "unpaid":
        return True
    return _will_be_paid(call, subscription, behavior) or behavior != "pending_if_incomplete"


# What can wait for its payment (docs.stripe.com/billing/subscriptions/pending-updates-reference).
_CAN_WAIT = {
    *(
        "billing_cycle_anchor",
        "expand",
        "items",
        "payment_behavior",
        "proration_behavior",
        "proration_date",
        "trial_end",
    ),
    "off_session",
}
_WAITING_FIELDS = ("billing_cycle_anchor", "items", "status", "trial_end", "trial_start")


def keep_for_later(call: Call, subscription: StripeObject, changed: StripeObject, lines: list[StripeObject]) -> None:
    """Keep an update until its invoice is paid, for 23 hours at most."""
    refused = next((name for name in call.params if name not in _CAN_WAIT), None)
    if refused:
        raise ApiError(
            f"You cannot use `payment_behavior=pending_if_incomplete` together with `{refused}`.", param=refused
        )
    drop_waiting_update(call, subscription)
    before, expires = snapshot(subscription), call.now + INCOMPLETE_SECONDS
    waiting = {name: changed[name] for name in _WAITING_FIELDS if changed[name] != subscription[name]}
    subscription["pending_update"] = pending_update(
        expires, {"subscription_items": waiting.get("items", {}).get("data"), **waiting}
    )
    invoice = bill_now(call, {**changed, "id": subscription["id"]}, lines, attempts=False)
    subscription["latest_invoice"] = invoice["id"]
    call.simulator.waiting_updates[subscription["id"]] = {
        "invoice": invoice["id"],
        "fields": waiting,
        "expires_at": expires,
    }
    attempt(call, subscription, invoice)
    emit_update(call, "customer.subscription.updated", before, subscription)
    queue(call, subscription)


def drop_waiting_update(call: Call, subscription: StripeObject) -> None:
    """Void the invoice of an earlier update that waits for its payment, because a newer one takes its place."""
    waiting = call.simulator.waiting_updates.get(subscription["id"])
    if waiting:
        invoice = call.store.invoices.get(waiting["invoice"])
        invoices.mark_void(call, invoice)
        closed(call, invoice)


_PENDING = (
    *("billing_cycle_anchor", "cancel_at_period_end", "discount", "discounts", "metadata", "subscription_items"),
    *("trial_end", "trial_from_plan"),
)


def pending_update(expires_at: int, fields: StripeObject) -> StripeObject:
    """Return `pending_update` of a subscription that waits for a payment."""
    return (
        dict.fromkeys(_PENDING)
        | {name: fields[name] for name in _PENDING if name in fields}
        | {"expires_at": expires_at}
    )


def _end_waiting(call: Call, subscription: StripeObject, *, is_paid: bool) -> None:
    waiting, before = call.simulator.waiting_updates.pop(subscription["id"]), snapshot(subscription)
    subscription["pending_update"] = None
    if is_paid:
        subscription |= waiting["fields"]
        emit(call, "customer.subscription.pending_update_applied", subscription)
    else:
        emit(call, "customer.subscription.pending_update_expired", subscription)
    emit_update(call, "customer.subscription.updated", before, subscription)


# Payment.


def attempt(
    call: Call,
    subscription: StripeObject,
    invoice: StripeObject,
    *,
    method: str | None = None,
    by: ChargedBy = "schedule",
) -> Decline | None:
    """Try to pay an open invoice; returns why it was declined, after everything that follows from it."""
    before = snapshot(invoice)
    method = method or invoice["default_payment_method"] or payment_methods.default_of(call, subscription)
    decline = invoices.charge(call, invoice, method, by)
    if decline is None:
        closed(call, invoice)
        return None
    if by == "schedule" and _is_retried(call, subscription, invoice):
        _plan_retry(call, invoice, decline)
    emit_update(call, "invoice.updated", before, invoice)
    if decline.needs_authentication:
        emit(call, "invoice.payment_action_required", invoice)
    emit(call, "invoice.payment_failed", invoice)
    _after_failure(call, subscription, invoice)
    return decline


def _after_failure(call: Call, subscription: StripeObject, invoice: StripeObject) -> None:
    plan = call.simulator.resumptions.get(subscription["id"])
    if plan and plan["invoice"] == invoice["id"]:
        if plan["payment_behavior"] == "resume_on_payment_attempt":
            become_live(call, subscription, plan, "past_due")
        return
    is_renewal = invoice["billing_reason"] == "subscription_cycle"
    if _waits_for(call, subscription, invoice) or subscription["status"] not in {"active", "past_due"}:
        return
    may_pause = is_renewal and subscription["status"] == "active" and not status.pause_refusals(subscription)
    if may_pause and call.simulator.billing.pause_after_first_failure:
        call.simulator.payment_pauses[subscription["id"]] = invoice["id"]
        status.pause(call, subscription, "first_payment_failure")
    elif subscription["status"] == "active" and invoice["billing_reason"] != "subscription_create":
        set_status(call, subscription, "past_due")


def _waits_for(call: Call, subscription: StripeObject, invoice: StripeObject) -> bool:
    """Whether an update waits for this invoice."""
    waiting = call.simulator.waiting_updates.get(subscription["id"])
    return waiting is not None and waiting["invoice"] == invoice["id"]


def _is_retried(call: Call, subscription: StripeObject, invoice: StripeObject) -> bool:
    plan = call.simulator.resumptions.get(subscription["id"])
    if plan and plan["invoice"] == invoice["id"]:
        return bool(plan["payment_behavior"] == "resume_on_payment_success")
    return (
        subscription["status"] not in status.ENDED
        and invoice["billing_reason"] != "subscription_create"
        and not _waits_for(call, subscription, invoice)
    )


def _plan_retry(call: Call, invoice: StripeObject, decline: Decline) -> None:
    """Plan the next attempt, unless a card was declined for good; the retries end at the same time in any case."""
    waits = call.simulator.billing.retry_after_days
    ends = call.simulator.retries_end
    ends.setdefault(invoice["id"], call.now + int(sum(waits) * _DAY))
    done = invoice["attempt_count"] - 1
    is_final = decline is NO_METHOD or bool({decline.code, decline.decline_code} & HARD_DECLINES)
    can_retry = invoice["auto_advance"] and not is_final and done < len(waits)
    invoice["next_payment_attempt"] = call.now + int(waits[done] * _DAY) if can_retry else None


def set_status(call: Call, subscription: StripeObject, new: str) -> None:
    """Set the status of a subscription, and announce it."""
    before = snapshot(subscription)
    subscription["status"] = new
    emit_update(call, "customer.subscription.updated", before, subscription)


def closed(call: Call, invoice: StripeObject) -> None:
    """Do what follows for the subscription of an invoice that has just been paid, voided or given up."""
    call.simulator.retries_end.pop(invoice["id"], None)
    subscription = call.store.subscriptions.find(invoices.subscription_of(invoice))
    if subscription is None or subscription["status"] in status.ENDED:
        return
    name, is_void = subscription["id"], invoice["status"] == "void"
    plan = call.simulator.resumptions.get(name)
    if subscription["status"] == "incomplete" and invoice["billing_reason"] == "subscription_create":
        if is_void:
            _expire(call, subscription)
        else:
            set_status(call, subscription, "active")
    elif plan and plan["invoice"] == invoice["id"]:
        if is_void:
            _drop_resumption(call, subscription)
        else:
            become_live(call, subscription, plan, "active")
    elif _waits_for(call, subscription, invoice):
        _end_waiting(call, subscription, is_paid=not is_void)
    elif call.simulator.payment_pauses.get(name) == invoice["id"] and not is_void:
        _end_payment_pause(call, subscription)
    elif subscription["status"] in {"past_due", "unpaid"} and _is_latest(call, invoice):
        set_status(call, subscription, "active")
    queue(call, subscription)


# Pauses that end with a payment.


def become_live(
    call: Call,
    subscription: StripeObject,
    plan: StripeObject,
    new: str,
    before: StripeObject | None = None,
) -> None:
    """End a pause: `plan` has the anchor and the periods that follow, `before` the state before the request."""
    before = before or snapshot(subscription)
    call.simulator.resumptions.pop(subscription["id"], None)
    call.simulator.payment_pauses.pop(subscription["id"], None)
    subscription |= {"status": new, "billing_cycle_anchor": plan["billing_cycle_anchor"], "pending_update": None}
    subscription.pop("status_details", None)
    for item in subscription["items"]["data"]:
        if item["id"] in plan["periods"]:
            item["current_period_start"], item["current_period_end"] = plan["periods"][item["id"]]
    emit(call, "customer.subscription.resumed", subscription)
    emit(call, "customer.subscription.updated", subscription, changes(before, subscription))
    _settle_planned_resume(call, subscription, {"type": "succeeded"})


def _settle_planned_resume(call: Call, subscription: StripeObject, new: StripeObject) -> None:
    """Set the status of a resume that a schedule has begun, and that has waited for its payment since."""
    schedule = call.store.subscription_schedules.find(subscription["schedule"] or "")
    for entry in schedule["pause_schedules"] if schedule else ():
        if schedule and entry["resume"] and entry["resume"]["status"]["type"] == "pending":
            before = snapshot(schedule)
            entry["resume"]["status"] = new
            emit_update(call, "subscription_schedule.updated", before, schedule)


def plan_of_periods(call: Call, subscription: StripeObject, anchor: int) -> StripeObject:
    """Return an anchor and the periods of all items that contain the present, counted from it."""
    target = snapshot(subscription) | {"billing_cycle_anchor": anchor}
    for item in target["items"]["data"]:
        set_period(item, target, call.now)
    periods = {one["id"]: [one["current_period_start"], one["current_period_end"]] for one in target["items"]["data"]}
    return {"billing_cycle_anchor": anchor, "periods": periods}


def _drop_resumption(call: Call, subscription: StripeObject) -> None:
    before = snapshot(subscription)
    del call.simulator.resumptions[subscription["id"]]
    subscription["pending_update"] = None
    emit_update(call, "customer.subscription.updated", before, subscription)
    error = {"code": None, "message": "The invoice of the resume was voided."}
    _settle_planned_resume(call, subscription, {"error": error, "type": "error"})


def _end_payment_pause(call: Call, subscription: StripeObject) -> None:
    """Resume a subscription that was paused because this invoice was not paid, if the account says so."""
    wanted = call.simulator.billing.resume_when_paid
    if wanted == "no":
        return
    anchor = call.now if wanted == "anchor_now" else subscription["billing_cycle_anchor"]
    starts = {item["id"]: item["current_period_start"] for item in subscription["items"]["data"]}
    become_live(call, subscription, plan_of_periods(call, subscription, anchor), "active")
    begun = [item for item in subscription["items"]["data"] if item["current_period_start"] != starts[item["id"]]]
    if begun:
        renew(call, subscription, begun)


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
    state = call.simulator
    for kept in (state.invoice_moments, state.pending_lines, state.payment_pauses):
        kept.pop(subscription["id"], None)
    for waiting in (state.resumptions, state.waiting_updates):
        waiting.pop(subscription["id"], None)


# What happens by itself.


def queue(call: Call, subscription: StripeObject) -> None:
    """Queue the next thing that happens to the invoices of a subscription by itself."""
    own = invoices.of_subscription(call, subscription["id"])
    moments = [moment for one in own if (moment := _next_moment(call, subscription, one)) is not None]
    if subscription["status"] == "incomplete":
        moments.append(subscription["created"] + INCOMPLETE_SECONDS)
    moments += [one["expires_at"] for one in _waiting(call, subscription)]
    call.simulator.invoice_moments.pop(subscription["id"], None)
    if moments:
        call.simulator.invoice_moments[subscription["id"]] = min(moments)
    call.simulator.due_changes.add(subscription)


def _waiting(call: Call, subscription: StripeObject) -> list[StripeObject]:
    """Return the resumption and the update that wait for a payment."""
    kept = (call.simulator.resumptions, call.simulator.waiting_updates)
    return [one[subscription["id"]] for one in kept if subscription["id"] in one]


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
    for waiting in _waiting(call, subscription):
        if waiting["expires_at"] <= moment:
            invoice = call.store.invoices.get(waiting["invoice"])
            invoices.mark_void(then, invoice)
            closed(then, invoice)
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
            attempt(call, subscription, invoice)
        else:
            emit(call, "invoice.sent", invoice)
        return
    if invoice["next_payment_attempt"] is not None and invoice["next_payment_attempt"] <= call.now:
        attempt(call, subscription, invoice)
    elif call.simulator.retries_end.get(invoice["id"], call.now + 1) <= call.now:
        _give_up(call, subscription, invoice)
    elif invoice["due_date"] is not None and invoice["due_date"] <= call.now:
        set_status(call, subscription, "past_due")


def _give_up(call: Call, subscription: StripeObject, invoice: StripeObject) -> None:
    """End the retries of an invoice: what becomes of its subscription is a setting of the account."""
    call.simulator.retries_end.pop(invoice["id"], None)
    invoices.stop_collection(call, invoice)
    if subscription["status"] != "past_due":
        return
    outcome = call.simulator.billing.after_retries
    if outcome == "pause" and not status.pause_refusals(subscription):
        call.simulator.payment_pauses[subscription["id"]] = invoice["id"]
        status.pause(call, subscription, "final_payment_failure")
    elif outcome in {"cancel", "pause"}:
        stop_collecting(call, subscription)
        status.end(call, subscription, "payment_failed")
    elif outcome == "mark_unpaid":
        set_status(call, subscription, "unpaid")
