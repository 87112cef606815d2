"""Finds `pause_collection`: no money comes in, and the status still says that all is well."""

from collections.abc import Iterator

from shared.audit import paused_collection_text as text
from shared.audit.check import AuditContext, Check, at
from shared.audit.finding import Finding, PausedSubscription, Severity
from shared.audit.text import joined
from shared.money import monthly_amount
from shared.pause import Phase, is_paused
from shared.subscription import PauseCollection, Subscription

NAME = "paused_collection"

# The statuses that most services take for a paying customer's. A trial is not among them: nothing is due yet.
SERVED_STATUSES = frozenset({"active", "past_due"})


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
        joined((text.service(facts), text.invoices(pause), text.end(pause, audit))),
        text.action(pause),
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
        created=at(subscription.created),
        current_period_end=at(subscription.current_period_end),
        trial_end=at(subscription.trial_end),
        canceled_at=at(subscription.canceled_at),
        items=subscription.items,
    )


def _severity(facts: PausedSubscription, audit: AuditContext) -> Severity:
    if not facts.served_free:
        return Severity.INFO
    lost_for_good = facts.behavior == "void" and facts.resumes_at is None and audit.phase is Phase.STRANDED
    return Severity.CRITICAL if lost_for_good else Severity.WARNING


CHECK = Check(NAME, text.TITLE, (Severity.CRITICAL, Severity.WARNING, Severity.INFO), of_subscription=of_subscription)
