"""Finds `pause_collection`: no money comes in, and the status still says that all is well."""

from collections.abc import Iterator

from shared.audit.check import AuditContext, Check, at
from shared.audit.report import Finding, PausedSubscription, Severity
from shared.money import monthly_amount
from shared.pause import Phase, is_paused
from shared.subscription import PauseCollection, Subscription

NAME = "paused_collection"

# The statuses that most services take for a paying customer's. A trial is not among them: nothing is due yet.
SERVED_STATUSES = frozenset({"active", "past_due"})

# docs.stripe.com/billing/subscriptions/pause-payment
_INVOICES = {
    "void": "New invoices are voided at once: this money is never collected.",
    "keep_as_draft": "New invoices pile up as drafts: nothing is collected until somebody finalizes them.",
    "mark_uncollectible": "New invoices are marked uncollectible, after the customer's balance is used up.",
}
_OLD_INVOICES = {
    "void": "Resuming does not bring voided invoices back.",
    "keep_as_draft": "Resuming only touches new invoices: set auto_advance=true on each draft that is to be collected.",
    "mark_uncollectible": "Resuming only touches new invoices.",
}


def of_subscription(subscription: Subscription, audit: AuditContext) -> Iterator[Finding]:
    """Say what a pause of collection means today; one whose `resumes_at` has passed is over."""
    pause = subscription.pause_collection
    if pause is None or subscription.pause_kind != "collection" or not is_paused(subscription, audit.now):
        return
    facts = _facts(subscription, pause, audit)
    yield Finding(
        NAME,
        _severity(facts, audit),
        (subscription.id,),
        " ".join((_service(facts), _invoices(pause), _end(pause, audit))),
        _action(pause),
        facts,
    )


def _facts(subscription: Subscription, pause: PauseCollection, audit: AuditContext) -> PausedSubscription:
    monthly = monthly_amount(subscription)
    return PausedSubscription(
        subscription.id,
        subscription.customer_id,
        subscription.status,
        "collection",
        pause.behavior,
        at(pause.resumes_at),
        at(audit.paused_since.get(subscription.id)),
        paused_since_is_exact=False,
        cause=None,
        monthly=monthly,
        served_free=subscription.status in SERVED_STATUSES and not monthly.is_zero,
    )


def _severity(facts: PausedSubscription, audit: AuditContext) -> Severity:
    if not facts.served_free:
        return Severity.INFO
    lost_for_good = facts.behavior == "void" and facts.resumes_at is None and audit.phase is Phase.STRANDED
    return Severity.CRITICAL if lost_for_good else Severity.WARNING


def _service(facts: PausedSubscription) -> str:
    if facts.status == "trialing":
        return "Collection is paused during a trial: nothing is due yet, and nothing will be collected after it."
    if facts.monthly.is_zero:
        return "Collection is paused on a price of zero: no money is lost."
    if facts.served_free:
        return (
            f"Collection is paused and the status is still {facts.status}: "
            "a service that looks at the status alone serves this customer for free."
        )
    return f"Collection is paused and the status is {facts.status}: who looks at the status alone may not serve it."


def _invoices(pause: PauseCollection) -> str:
    return _INVOICES.get(pause.behavior, f"What {pause.behavior} does to new invoices is not known to this version.")


def _end(pause: PauseCollection, audit: AuditContext) -> str:
    """Who can end it. The old portal button made pauses with `void` and without an end, and left no other trace."""
    if pause.resumes_at is not None:
        return "Collection starts again by itself at the time shown."
    if pause.behavior != "void":
        return "It has no end: it lasts until the team ends it."
    unknown = "Stripe does not tell whether the old portal's pause button, the Dashboard or the API made it."
    match audit.phase:
        case Phase.BUTTON_AVAILABLE:
            return f"It has no end. {unknown} In the first case the customer can resume in the portal."
        case Phase.RESUME_ONLY:
            days = "1 day" if audit.days_left == 1 else f"{audit.days_left} days"
            return (
                f"It has no end. {unknown} In the first case the customer can still resume in the portal, "
                f"until {audit.cutoff_on} ({days} left); then only the team can."
            )
        case Phase.STRANDED:
            return (
                f"It has no end, and since {audit.cutoff_on} the customer cannot resume in Stripe's portal: "
                f"only the team can. {unknown}"
            )


def _action(pause: PauseCollection) -> str:
    decide = "Let the service decide by pause_collection, not by status."
    resume = "resume (Dashboard: Resume payment collection; API: update pause_collection to empty)"
    old = _OLD_INVOICES.get(pause.behavior, "")
    if pause.resumes_at is not None:
        return f"Nothing, if the date is right; else {resume}. {decide} {old}".rstrip()
    return f"Ask the customer, then {resume} or cancel. {decide} {old}".rstrip()


CHECK = Check(NAME, of_subscription=of_subscription)
