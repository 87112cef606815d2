"""Paused subscriptions: what a pause means on this day of the old portal button's calendar, and what to do about it.

Two kinds: collection alone is paused (`pause_collection`), or the subscription is (status `paused`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from shared.audit.acknowledgement import acknowledgement_of
from shared.audit.check import AuditContext, Check, at
from shared.audit.findings import Finding, PausedSubscription, SetHere, Severity
from shared.i18n import NOTHING, Message, _, _n, sentences
from shared.pausing.history import PauseRecord
from shared.portal.pause import PauseOrigin, Phase, pause_origin
from shared.stripe.gateway import StripeJson
from shared.stripe.money import Discounts, MissedAmount, coupon_of, missed_amount, monthly_amount, read_discounts
from shared.stripe.periods import paid_until
from shared.stripe.subscription import PauseCollection, Subscription, is_paused

PAUSED_COLLECTION_NAME = "paused_collection"
# The statuses that most services take for a paying customer's. A trial is not among them: nothing is due yet.
SERVED_STATUSES = frozenset({"active", "past_due"})

# docs.stripe.com/billing/subscriptions/pause-payment
_NEW_INVOICES = {
    "void": _("New invoices are voided at once: this money is never collected."),
    "keep_as_draft": _("New invoices stay drafts: nothing is collected until somebody finalizes them."),
    "mark_uncollectible": _("New invoices are marked uncollectible, after the customer's balance is used up."),
}
EARLIER_INVOICES = {
    "void": _("Resuming does not bring voided invoices back."),
    "keep_as_draft": _(
        "Resuming affects new invoices only: set auto_advance=true on each draft that you want to collect."
    ),
    "mark_uncollectible": _("Resuming affects new invoices only."),
}
_NO_END = _("The pause has no end.")
_LASTS = _("The pause has no end: it lasts until the team ends it.")
_BEGINNING_UNKNOWN = _(
    "It is not known when the pause began, and so not whether the old portal's pause button started it."
)
_SET_TO_CANCEL = _("The subscription is set to cancel, at the time shown.")
_HONORED = _("Collection is paused, and so is your service: nothing is collected, and nobody is served for free.")
_DECIDE = _("Decide about access by pause_collection, not by status.")
_RESUME_COLLECTION = _("Dashboard: Resume payment collection; API: set pause_collection to empty")


def find_paused_collection(subscription: Subscription, audit: AuditContext) -> Iterator[Finding]:
    """Say what a pause of collection means today; one whose `resumes_at` has passed is over."""
    pause = subscription.pause_collection
    if pause is None or subscription.pause_kind != "collection" or not is_paused(subscription, audit.now):
        return
    origin = pause_origin(
        subscription,
        audit.paused_since.get(subscription.id, audit.seconds),
        exact=subscription.id in audit.exactly_paused,
        removed_at=audit.button_removed_at,
    )
    facts = _collection_facts(subscription, pause, origin, audit)
    if facts.acknowledged:
        yield _acknowledged(PAUSED_COLLECTION_NAME, facts)
        return
    ends = facts.ends_at is not None
    action = _collection_action(pause, origin, ends=ends)
    yield Finding(
        PAUSED_COLLECTION_NAME,
        _collection_severity(facts, audit),
        (subscription.id,),
        sentences(_service(facts), _new_invoices(pause), *((_SET_TO_CANCEL,) if ends else _end(pause, origin, audit))),
        sentences(
            action,
            *_about_access(audit),
            EARLIER_INVOICES.get(pause.behavior, NOTHING),
        ),
        facts,
        code=_collection_code(facts, origin, audit),
    )


def _acknowledged(check: str, facts: PausedSubscription) -> Finding:
    return Finding(
        check,
        Severity.INFO,
        (facts.subscription_id,),
        _("The team has acknowledged this pause: it is not in the headline."),
        _("Nothing, as long as that is right: `portal acknowledge` changes it."),
        facts,
        code="pause_acknowledged",
    )


def _service(facts: PausedSubscription) -> Message:
    """Say what a service that looks only at the status does with this customer, or one that honors pauses."""
    if facts.status == "trialing":
        return _("Collection is paused during a trial: nothing is due yet, and nothing will be collected after it.")
    if facts.monthly.is_zero:
        return _(
            "Collection is paused, and there is nothing to collect (price of zero, full discount): no money is lost."
        )
    if facts.paid_until is not None:
        return _("Collection is paused in a period that was paid: nobody is served for free before the time shown.")
    if not facts.is_uncollected:
        return _(
            "Collection is paused and the status is {status}: a service that looks only at the status may refuse "
            "access.",
            status=facts.status,
        )
    return _HONORED if facts.honored else _served_for_free(facts)


def _served_for_free(facts: PausedSubscription) -> Message:
    if facts.free_is_certain:
        return _(
            "Collection is paused and the status is still {status}: a service that looks only at the status serves "
            "this customer for free.",
            status=facts.status,
        )
    return _(
        "Collection is paused and the status is still {status}: a service that looks only at the status serves this "
        "customer for free once the period that was paid has ended. It is not known whether it has.",
        status=facts.status,
    )


def _about_access(audit: AuditContext) -> Iterator[Message]:
    if not audit.options.service_honors_pauses:
        yield _DECIDE


def _new_invoices(pause: PauseCollection) -> Message:
    unknown = _("This version does not know what {behavior} does to new invoices.", behavior=pause.behavior)
    return _NEW_INVOICES.get(pause.behavior, unknown)


def _end(pause: PauseCollection, origin: PauseOrigin, audit: AuditContext) -> Iterator[Message]:
    """Say who can end it, and whether the old portal's button can have started it."""
    if pause.resumes_at is not None:
        yield _("Collection starts again by itself at the time shown.")
        return
    if origin is PauseOrigin.NOT_BUTTON:
        yield _LASTS
        if pause.behavior == "void":
            yield _(
                "It began when the old portal's pause button was gone ({day}): it was started in the Dashboard or "
                "through the API.",
                day=audit.button_removed_on,
            )
        return
    if audit.phase is Phase.STRANDED:
        yield _(
            "The pause has no end, and since {day} the customer cannot resume in Stripe's portal: only the team can.",
            day=audit.cutoff_on,
        )
    else:
        yield _NO_END
    if origin is PauseOrigin.BUTTON:
        yield _("It began before {day}, when the portal had its pause button.", day=audit.button_removed_on)
    else:
        yield _BEGINNING_UNKNOWN
    if audit.phase is not Phase.STRANDED:
        yield _if_from_the_old_button(audit)


def _if_from_the_old_button(audit: AuditContext) -> Message:
    if audit.phase is Phase.BUTTON_AVAILABLE:
        return _("If it was the button, the customer can resume in the portal.")
    return _n(
        "If it was the button, the customer can still resume in the portal, until {day} ({n} day left); after that "
        "only the team can.",
        "If it was the button, the customer can still resume in the portal, until {day} ({n} days left); after that "
        "only the team can.",
        audit.days_left,
        day=audit.cutoff_on,
    )


def _collection_action(pause: PauseCollection, origin: PauseOrigin, *, ends: bool) -> Message:
    if ends:
        return _(
            "Nothing, if it may end then; otherwise ask the customer, then resume collection ({how}).",
            how=_RESUME_COLLECTION,
        )
    if pause.resumes_at is not None:
        return _(
            "Nothing, if the date is right; otherwise ask the customer, then resume collection ({how}).",
            how=_RESUME_COLLECTION,
        )
    if pause.behavior == "void" and origin is not PauseOrigin.BUTTON:
        return _(
            "Find out who started the pause, and why; then ask the customer, and resume collection ({how}) or cancel.",
            how=_RESUME_COLLECTION,
        )
    return _("Ask the customer, then resume collection ({how}) or cancel.", how=_RESUME_COLLECTION)


def _collection_code(facts: PausedSubscription, origin: PauseOrigin, audit: AuditContext) -> str:
    if facts.ends_at is not None:
        return "collection_paused_until_canceled"
    if facts.resumes_at is not None:
        return "collection_resumes_by_itself"
    if facts.behavior == "void" and origin is PauseOrigin.NOT_BUTTON:
        return "collection_paused_after_the_button"
    if facts.behavior == "void" and audit.phase is Phase.STRANDED:
        return "collection_only_the_team_can_resume"
    return "collection_paused_without_end"


def _collection_facts(
    subscription: Subscription, pause: PauseCollection, origin: PauseOrigin, audit: AuditContext
) -> PausedSubscription:
    now, raw = audit.seconds, audit.json_of(subscription)
    anchor = _anchor(raw)
    discounts = read_discounts(raw, now)
    monthly = monthly_amount(subscription, discounts)
    since, exact = audit.paused_since.get(subscription.id), subscription.id in audit.exactly_paused
    paid_through = audit.paid_through.get(subscription.id)
    paid = paid_until(subscription, paid_through, now if since is None else since, exact=exact, anchor=anchor)
    would_pay = subscription.status in SERVED_STATUSES and not monthly.is_zero
    still_paid = paid.earliest is not None and paid.earliest > now
    run_out = paid.latest is not None and paid.latest <= now
    acknowledged = acknowledgement_of(raw, audit.today)
    uncollected, honored = would_pay and not still_paid and acknowledged is None, audit.options.service_honors_pauses
    return PausedSubscription(
        subscription.id,
        subscription.customer_id,
        subscription.status,
        "collection",
        pause.behavior,
        at(pause.resumes_at),
        at(since),
        paused_since_is_exact=exact,
        cause=None,
        monthly=monthly,
        served_free=uncollected and not honored,
        created=at(subscription.created),
        current_period_end=at(subscription.current_period_end),
        trial_end=at(subscription.trial_end),
        canceled_at=at(subscription.canceled_at),
        items=subscription.items,
        origin=origin,
        free_is_certain=run_out,
        free_since=at(paid.latest) if would_pay and run_out and not honored else None,
        free_since_is_exact=would_pay and run_out and not honored and paid.earliest == paid.latest,
        paid_until=at(paid.earliest) if would_pay and still_paid else None,
        ends_at=_ends_at(subscription),
        missed=_missed(subscription, discounts, audit),
        acknowledged=acknowledged,
        honored=uncollected and honored,
        set_here=_set_here(audit.pauses.get(subscription.id)),
        **_export_facts(raw),
    )


def _set_here(record: PauseRecord | None) -> SetHere | None:
    if record is None or not record.state.is_open:
        return None
    resumes = datetime.fromtimestamp(record.resumes, UTC) if record.has_return else None
    return SetHere(record.actor, record.actor_name, record.reason, record.overridden, resumes)


def _export_facts(raw: StripeJson) -> dict[str, Any]:
    """Return what only the list shows, for the columns of the Dashboard's export."""
    details = raw.get("cancellation_details")
    return {
        "started": _time_in(raw, "start_date"),
        "current_period_start": current_period_start(raw),
        "trial_start": _time_in(raw, "trial_start"),
        "ended_at": _time_in(raw, "ended_at"),
        "cancellation_reason": str(details.get("reason") or "") if isinstance(details, Mapping) else "",
        "coupons": tuple(_coupons(raw)),
    }


def _time_in(raw: StripeJson, name: str) -> datetime | None:
    seconds = raw.get(name)
    return at(seconds) if isinstance(seconds, int) else None


def current_period_start(raw: StripeJson) -> datetime | None:
    """Return that of the item whose period ends last, as `current_period_end` is.

    Before 2025-03-31.basil it is the subscription's.
    """
    listed = raw.get("items")
    items = listed.get("data") if isinstance(listed, Mapping) else None
    periods = [
        (each["current_period_end"], each["current_period_start"])
        for each in items or ()
        if isinstance(each.get("current_period_end"), int) and isinstance(each.get("current_period_start"), int)
    ]
    return at(max(periods)[1]) if periods else _time_in(raw, "current_period_start")


def _coupons(raw: StripeJson) -> Iterator[str]:
    """Return the ids of the subscription's coupons, where the terms of its discounts could be read."""
    for discount in raw.get("discounts") or ():
        if coupon := coupon_of(discount):
            yield str(coupon.get("id", ""))


def _anchor(raw: StripeJson) -> int | None:
    anchor = raw.get("billing_cycle_anchor")
    return anchor if isinstance(anchor, int) else None


def _ends_at(subscription: Subscription) -> datetime | None:
    """When it is set to cancel: Stripe shows a cancellation at the period's end in either of two ways."""
    if subscription.cancel_at is not None:
        return at(subscription.cancel_at)
    return at(subscription.current_period_end) if subscription.cancel_at_period_end else None


def _missed(subscription: Subscription, discounts: Discounts, audit: AuditContext) -> MissedAmount | None:
    """Sum what the invoices since the pause began would have brought; `None` if its beginning is not known."""
    now, anchor = audit.seconds, _anchor(audit.json_of(subscription))
    paid_through = audit.paid_through.get(subscription.id)
    if paid_through is not None and subscription.id in audit.exactly_paused:
        return missed_amount(subscription, discounts, since=paid_through - 1, now=now, anchor=anchor)
    since = audit.paused_since.get(subscription.id)
    if since is None:
        return None
    missed = missed_amount(subscription, discounts, since=since, now=now, anchor=anchor)
    return missed if subscription.id in audit.exactly_paused else replace(missed, at_least=True)


def _collection_severity(facts: PausedSubscription, audit: AuditContext) -> Severity:
    """Critical is what is known to be lost, and what only the team can end."""
    if not facts.served_free:
        return Severity.INFO
    lost_for_good = facts.free_is_certain and facts.behavior == "void" and audit.phase is Phase.STRANDED
    ends_by_itself = facts.resumes_at is not None or facts.ends_at is not None
    return Severity.CRITICAL if lost_for_good and not ends_by_itself else Severity.WARNING


PAUSED_COLLECTION = Check(
    PAUSED_COLLECTION_NAME,
    _("Collection paused"),
    (Severity.CRITICAL, Severity.WARNING, Severity.INFO),
    reports=(
        "`pause_collection` is set and `resumes_at` is not reached: no money comes in, while `status` stays `active`"
    ),
    of_subscription=find_paused_collection,
    of_paused=True,
)


PAUSED_STATUS_NAME = "paused_status"
UNKNOWN = "unknown"

_RESUME_SUBSCRIPTION = _("Dashboard: Resume subscription; API: POST /v1/subscriptions/{{id}}/resume")
_UNLESS_INTENDED = _(
    "Nothing, if the pause is intended; otherwise ask the customer, then resume the subscription ({how}).",
    how=_RESUME_SUBSCRIPTION,
)
_NEW_METHOD = _(
    "Ask the customer for a valid payment method, then resume the subscription ({how}), or cancel it.",
    how=_RESUME_SUBSCRIPTION,
)
# What Stripe does with the unpaid invoice: docs.stripe.com/changelog/endive/2026-09-30/pause-on-payment-failure
_STILL_PAYABLE = _(
    "Its invoice can still be paid, and paying it may resume the subscription by itself (a setting of the account)."
)
_ASK_TO_PAY = _(
    "Ask the customer to pay the open invoice, or for another payment method; if the subscription is still paused "
    "then, resume it ({how}), or cancel it.",
    how=_RESUME_SUBSCRIPTION,
)
_CHECK_EVENTS = _(
    "Check the subscription's events in the Dashboard, and ask the customer; then resume it ({how}), or cancel it.",
    how=_RESUME_SUBSCRIPTION,
)

# The reasons of `status_details.paused.subscription.type` (stripe-python 16.1.0, `_subscription.py`): what each means,
# and what to do.
_CAUSES = {
    "pause_requested": (
        Severity.INFO,
        _("The pause was requested; Stripe does not say whether by the customer in the portal or by the team."),
        _UNLESS_INTENDED,
    ),
    "trial_end_without_payment_method": (
        Severity.WARNING,
        _("The trial ended and there was no payment method."),
        _NEW_METHOD,
    ),
    "first_payment_failure": (
        Severity.WARNING,
        sentences(_("The first attempt to collect a renewal failed."), _STILL_PAYABLE),
        _ASK_TO_PAY,
    ),
    "final_payment_failure": (
        Severity.WARNING,
        sentences(_("The last attempt to collect a renewal failed."), _STILL_PAYABLE),
        _ASK_TO_PAY,
    ),
    "system": (Severity.WARNING, _("Stripe itself paused the subscription."), _CHECK_EVENTS),
}
_SET_HERE = _("It was set on your page for pauses, or by your team: by whom, and until when, is shown with it.")
SHOULD_HAVE_ENDED = _("Its date of return has passed: if it lasts, the other findings about customers say what to do.")
_NOTHING_TO_DO = _("Nothing: it ends by itself. `portal resume` ends it earlier.")
_UNKNOWN_CAUSE = (
    Severity.WARNING,
    _("The cause is unknown: Stripe gives none, or one that this version does not know."),
    _CHECK_EVENTS,
)
_PAUSED = _("The subscription is paused (status paused): no new invoices, no service.")
_COLLECTION_TOO = _("Its collection is paused too, and stays paused when the subscription is resumed.")


def find_paused_status(subscription: Subscription, audit: AuditContext) -> Iterator[Finding]:
    """Say what a real pause means; it makes no invoices and its status tells every service to stop."""
    if subscription.pause_kind != "subscription":
        return
    facts = _status_facts(subscription, audit)
    if facts.acknowledged:
        yield _acknowledged(PAUSED_STATUS_NAME, facts)
        return
    cause = subscription.paused_reason or UNKNOWN
    severity, why, action = _CAUSES.get(cause, _UNKNOWN_CAUSE)
    if facts.set_here and cause == "pause_requested":
        why, action = _SET_HERE, _action_here(facts.set_here, audit) or action
    yield Finding(
        PAUSED_STATUS_NAME,
        severity,
        (subscription.id,),
        sentences(_PAUSED, why, _COLLECTION_TOO if subscription.pause_collection else NOTHING),
        action,
        facts,
        code=cause if cause in _CAUSES else "unknown_cause",
    )


def _action_here(known: SetHere, audit: AuditContext) -> Message | None:
    if known.resumes is None:
        return None
    return SHOULD_HAVE_ENDED if known.resumes <= audit.now else _NOTHING_TO_DO


def _status_facts(subscription: Subscription, audit: AuditContext) -> PausedSubscription:
    pause, raw = subscription.pause_collection, audit.json_of(subscription)
    return PausedSubscription(
        subscription.id,
        subscription.customer_id,
        subscription.status,
        "subscription",
        pause.behavior if pause else None,
        at(pause.resumes_at) if pause else None,
        at(subscription.paused_at),
        paused_since_is_exact=subscription.paused_at is not None,
        cause=subscription.paused_reason or UNKNOWN,
        monthly=monthly_amount(subscription, read_discounts(raw, audit.seconds)),
        served_free=False,
        created=at(subscription.created),
        current_period_end=at(subscription.current_period_end),
        trial_end=at(subscription.trial_end),
        canceled_at=at(subscription.canceled_at),
        items=subscription.items,
        ends_at=_ends_at(subscription),
        acknowledged=acknowledgement_of(raw, audit.today),
        set_here=_set_here(audit.pauses.get(subscription.id)),
        **_export_facts(raw),
    )


PAUSED_STATUS = Check(
    PAUSED_STATUS_NAME,
    _("Subscription paused"),
    (Severity.WARNING, Severity.INFO),
    reports="`status=paused`, Stripe's real pause, with its cause from `status_details`",
    of_subscription=find_paused_status,
    of_paused=True,
)


LONG_PAUSE_NAME = "long_pause"


def find_long_pause(subscription: Subscription, audit: AuditContext) -> Iterator[Finding]:
    """Report a pause of either kind that is known to be older than the team's limit, unless it is acknowledged."""
    most = audit.options.max_pause_days
    if not most or not is_paused(subscription, audit.now):
        return
    is_real = subscription.pause_kind == "subscription"
    since = subscription.paused_at if is_real else audit.paused_since.get(subscription.id)
    if since is None or since > audit.days_ago(most):
        return
    if acknowledgement_of(audit.json_of(subscription), audit.today) is None:
        yield Finding(
            LONG_PAUSE_NAME,
            Severity.WARNING,
            (subscription.id,),
            _n(
                "These pauses are older than {n} day.",
                "These pauses are older than {n} days.",
                most,
            ),
            sentences(
                _("Ask the customers whether to resume or to cancel."),
                _("Or acknowledge the pauses (`portal acknowledge`); MaxPauseDays sets the limit."),
            ),
            sampled=True,
        )


LONG_PAUSE = Check(
    LONG_PAUSE_NAME,
    _("Pauses older than the limit"),
    (Severity.WARNING,),
    reports="pauses of either kind that are known to be older than `MaxPauseDays` and are not acknowledged",
    of_subscription=find_long_pause,
    of_paused=True,
)
