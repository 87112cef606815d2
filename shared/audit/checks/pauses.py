"""Pauses that were set since the night before, those that should have ended and did not, and those beyond the rules.

What this product has set is in the table `Pauses`, with whoever did it and why. Of a pause set at Stripe itself only
the subscription and its schedule tell.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from shared.audit.acknowledgement import AUDIT_OK, PAUSE_OK, acknowledgement_of
from shared.audit.check import AccountFacts, AuditContext, Check
from shared.audit.checks.leaks import RESUME_FAILED, status_of
from shared.audit.checks.paused import current_period_start
from shared.audit.findings import CustomerName, Finding, Severity
from shared.audit.options import AuditOptions
from shared.audit.pauses import DAY, EXTENDED_OFTEN, NewPause, PausesRead, PolicyBreak
from shared.i18n import Message, _, _n, listed, verbatim
from shared.pausing.history import KINDS, NO_RETURN, OVERDUE, STRIPE, PauseRecord, hand
from shared.stripe.gateway import StripeJson
from shared.stripe.subscription import Subscription, is_paused

NEW_PAUSES_NAME = "new_pauses"
NOT_ENDED_NAME = "pause_not_ended"
BEYOND_RULES_NAME = "pauses_beyond_rules"

_LATE = int(OVERDUE.total_seconds())
# A customer who has a mail about it gets a day to pay before the team is told.
_WAITS_LONG = DAY


def find_new_at_stripe(subscription: Subscription, audit: AuditContext) -> Iterator[Finding]:
    """Name a pause that began at Stripe since the night before, and was not set by this product.

    When a pause of collection began only the mirror knows; one that it saw first is not known to be new.
    """
    read = audit.pauses_read
    if read is None or not is_paused(subscription, audit.now):
        return
    is_real = subscription.pause_kind == "subscription"
    known = subscription.id in audit.exactly_paused
    since = subscription.paused_at if is_real else audit.paused_since.get(subscription.id) if known else None
    if since is None or not read.since <= since < read.until or _is_ours(audit.pauses.get(subscription.id), since):
        return
    yield Finding(
        NEW_PAUSES_NAME,
        Severity.INFO,
        (subscription.id,),
        _(
            "These were paused at Stripe since {time}: in the Dashboard, by the portal's own pause, through the API, "
            "or by Stripe itself.",
            time=_moment(read.since, audit),
        ),
        _("Nothing, if that was meant: Stripe does not say who did it."),
        sampled=True,
        code="paused_at_stripe",
        notes=(listed(_at_stripe(subscription, since, audit)),),
    )


def _is_ours(record: PauseRecord | None, since: int) -> bool:
    if record is None:
        return False
    return record.state.is_open or (record.has_begun and abs(since - record.begins) < DAY)


def _at_stripe(subscription: Subscription, since: int, audit: AuditContext) -> Iterator[Message]:
    pause, plan = subscription.pause_collection, _plan_of(audit.json_of(subscription))
    yield KINDS[subscription.pause_kind or "collection"]
    ends = pause.resumes_at if pause and pause.resumes_at else plan.resume_at if plan else None
    if ends is not None:
        yield _("from {begins} to {resumes}", begins=audit.day_of(since), resumes=audit.day_of(ends))
    else:
        yield _("from {begins}, without an end", begins=audit.day_of(since))
    yield hand(STRIPE.kind, None)
    if subscription.paused_reason and subscription.paused_reason != "pause_requested":
        yield _("reason {reason}", reason=subscription.paused_reason)


def find_new_here(account: AccountFacts, audit: AuditContext) -> Iterator[Finding]:
    """Name the pauses that were set through this product, each on one night."""
    read = account.pauses
    if read is None or not read.new:
        return
    yield Finding(
        NEW_PAUSES_NAME,
        Severity.INFO,
        tuple(each.subscription_id for each in read.new),
        _n(
            "{n} pause was set since {time}.",
            "{n} pauses were set since {time}.",
            read.new_number,
            time=_moment(read.since, audit),
        ),
        _("Nothing: `portal pauses` has the history of each."),
        more=read.new_number - len(read.new),
        code="pauses_set",
        customers=tuple(_customer(each.subscription_id, each.customer_id, read) for each in read.new),
        notes=tuple(listed(_set_here(each, audit)) for each in read.new),
    )


def _set_here(pause: NewPause, audit: AuditContext) -> Iterator[Message]:
    yield KINDS[pause.kind]
    begins = audit.day_of(pause.begins)
    if pause.resumes == NO_RETURN:
        yield _("from {begins}, without a date of return", begins=begins)
    else:
        yield _("from {begins} to {resumes}", begins=begins, resumes=audit.day_of(pause.resumes))
    yield hand(pause.actor, pause.actor_name)
    if pause.reason:
        yield _("reason {reason}", reason=pause.reason)
    if pause.overridden:
        yield _("the rules were overridden")
    if pause.over:
        yield _("already over")


def _customer(subscription_id: str, customer_id: str, read: PausesRead) -> CustomerName:
    return read.names.get(subscription_id, CustomerName(customer_id))


def _moment(seconds: int, audit: AuditContext) -> datetime:
    return datetime.fromtimestamp(seconds, audit.timezone)


NEW_PAUSES = Check(
    NEW_PAUSES_NAME,
    _("New pauses"),
    (Severity.INFO,),
    reports=(
        "pauses of either kind that were set since the mail before: who, until when, by which hand, and the reason "
        "given; each is in one mail"
    ),
    of_subscription=find_new_at_stripe,
    of_paused=True,
    of_account=find_new_here,
)


def _not_ended(code: str, meaning: Message, action: Message) -> Finding:
    return Finding(NOT_ENDED_NAME, Severity.WARNING, (), meaning, action, sampled=True, code=code)


_WAITS_FOR = {
    "payment": _not_ended(
        "waits_for_payment",
        _("These were to resume, and have waited for a payment for more than a day; their service stays off."),
        _("Ask the customers to pay the open invoice; Stripe resumes the subscription once it is paid."),
    ),
    "payment_method": _not_ended(
        "waits_for_payment_method",
        _("These were to resume more than a day ago, and have no payment method; their service stays off."),
        _(
            "Ask the customers to add one in the portal (`portal link --flow payment_method_update`), then run "
            "`portal resume` for each."
        ),
    ),
}
_STRIPE_IS_LATE = _not_ended(
    "waits_for_stripe",
    _("These were to resume more than a day ago, and Stripe has not resumed them; their service stays off."),
    _("Run `portal pauses` for each, which has Stripe's own words; then resume it in the Dashboard."),
)
_STILL_PAUSED = _not_ended(
    "still_paused",
    _("These were promised to be over more than an hour ago, and are still paused at Stripe."),
    _("Run `portal resume` for each, and find the cause in the log of the pause function (docs/how-to/runbook.md)."),
)
_PLAN_IS_LATE = _not_ended(
    "planned_resume_late",
    _("A subscription schedule was to resume these more than an hour ago, and they are still paused."),
    _("Ask the customers, then resume them in the Dashboard; the schedule (pause_schedules) says what is missing."),
)
# docs.stripe.com/billing/subscriptions/pause-payment has invoices after `resumes_at` collected; that Stripe clears
# `pause_collection` then, no page says.
_STILL_SET = _not_ended(
    "collection_still_set",
    _(
        "`resumes_at` of these has passed and a period has begun since, but pause_collection is still set. Stripe "
        "collects again from then on, but no page of Stripe says that it clears the field."
    ),
    _(
        "Look at the newest invoice of each: if it is void or a draft, nothing is collected. In either case resume "
        "payment collection in the Dashboard, which clears the field."
    ),
)


@dataclass(frozen=True, slots=True)
class _Late:
    """What is late about a pause, and since which Unix second."""

    finding: Finding
    since: int


def find_not_ended(subscription: Subscription, audit: AuditContext) -> Iterator[Finding]:
    """Report a pause whose date of return has passed, unless it is acknowledged; `hidden_pause` has plans that failed.

    What this product has set is judged by its record in the table, anything else by what Stripe shows.
    """
    if subscription.pause_kind is None:
        return
    raw, record = audit.json_of(subscription), audit.pauses.get(subscription.id)
    plan = _plan_of(raw)
    if plan and plan.resume_state in RESUME_FAILED:
        return
    is_open = record is not None and record.state.is_open
    late = _late_here(record, audit) if record and is_open else _late_at_stripe(subscription, plan, raw, audit)
    if late and not any(acknowledgement_of(raw, audit.today, key) for key in (PAUSE_OK, AUDIT_OK)):
        note = _("was to end on {day}", day=audit.day_of(late.since))
        yield replace(late.finding, subjects=(subscription.id,), notes=(note,))


def _late_here(record: PauseRecord, audit: AuditContext) -> _Late | None:
    now = audit.seconds
    if record.waiting:
        # A customer may have asked to resume before the date that was set.
        times = [record.resumes if record.has_return else None, record.waiting_since]
        since = min((each for each in times if each is not None), default=now)
        return _Late(_WAITS_FOR.get(record.waiting, _STRIPE_IS_LATE), since) if since <= now - _WAITS_LONG else None
    return _Late(_STILL_PAUSED, record.resumes) if record.has_return and record.resumes <= now - _LATE else None


def _late_at_stripe(
    subscription: Subscription, plan: "_Plan | None", raw: StripeJson, audit: AuditContext
) -> _Late | None:
    latest = audit.seconds - _LATE
    if subscription.pause_kind == "subscription":
        resumes = plan.resume_at if plan else None
        return _Late(_PLAN_IS_LATE, resumes) if resumes is not None and resumes <= latest else None
    pause, period = subscription.pause_collection, current_period_start(raw)
    if pause is None or pause.resumes_at is None or period is None or pause.resumes_at > latest:
        return None
    return _Late(_STILL_SET, pause.resumes_at) if period.timestamp() >= pause.resumes_at else None


@dataclass(frozen=True, slots=True)
class _Plan:
    """When a schedule resumes, in Unix seconds, and how far that is."""

    resume_at: int | None
    resume_state: str | None


def _plan_of(raw: StripeJson) -> _Plan | None:
    """Return what the attached schedule plans, where Stripe expanded it; it has one entry at most."""
    schedule = raw.get("schedule")
    plans = schedule.get("pause_schedules") if isinstance(schedule, Mapping) else None
    resume = plans[0].get("resume") if plans else None
    if not isinstance(resume, Mapping):
        return None
    moment = resume.get("resume_at")
    return _Plan(moment if isinstance(moment, int) else None, status_of(resume))


def find_stalled(account: AccountFacts, _audit: AuditContext) -> Iterator[Finding]:
    """Say of how many pauses nobody has looked at, although it was time."""
    read = account.pauses
    if read is None or not read.stalled_number:
        return
    yield Finding(
        NOT_ENDED_NAME,
        Severity.WARNING,
        read.stalled,
        _n(
            "{n} pause should have been looked at more than an hour ago and was not: it may begin or end late.",
            "{n} pauses should have been looked at more than an hour ago and were not: they may begin or end late.",
            read.stalled_number,
        ),
        _("Find out why the schedule of the pause function does not run, or fails (docs/how-to/runbook.md)."),
        more=read.stalled_number - len(read.stalled),
        code="not_followed",
        customers=tuple(_customer(each, "", read) for each in read.stalled),
    )


PAUSE_NOT_ENDED = Check(
    NOT_ENDED_NAME,
    _("Pauses that should have ended"),
    (Severity.WARNING,),
    reports=(
        "pauses of which the date of return passed more than an hour ago: still paused, waiting for a payment or a "
        "payment method for more than a day, not looked at by the pause function, or `pause_collection` still set a "
        "period after `resumes_at`; plans that failed are in `hidden_pause`"
    ),
    of_subscription=find_not_ended,
    of_paused=True,
    of_account=find_stalled,
)


_MEANINGS: Mapping[str, Callable[[int, AuditOptions], Message]] = {
    "pause_too_long": lambda n, options: _n(
        "{n} customer pauses for longer than MaxPauseDays allows ({limit}).",
        "{n} customers pause for longer than MaxPauseDays allows ({limit}).",
        n,
        limit=options.max_pause_days,
    ),
    "pause_too_soon": lambda n, options: _n(
        "{n} customer pauses again sooner than PauseMinDaysBetween allows ({limit}), all subscriptions together.",
        "{n} customers pause again sooner than PauseMinDaysBetween allows ({limit}), all subscriptions together.",
        n,
        limit=options.pause_min_days_between,
    ),
    "too_many_pauses": lambda n, options: _n(
        "{n} customer pauses more often than PauseMaxIn365Days allows ({limit}), all subscriptions together.",
        "{n} customers pause more often than PauseMaxIn365Days allows ({limit}), all subscriptions together.",
        n,
        limit=options.pause_max_in_365_days,
    ),
    EXTENDED_OFTEN: lambda n, _options: _n(
        "{n} customer has put off the end of the same pause again and again.",
        "{n} customers have put off the end of the same pause again and again.",
        n,
    ),
}
_NUMBERS: Mapping[str, Callable[[int], Message]] = {
    "pause_too_long": lambda n: _n("{n} day", "{n} days", n),
    "pause_too_soon": lambda n: _n("{n} day after the one before", "{n} days after the one before", n),
    "too_many_pauses": lambda n: _n("{n} pause within 365 days", "{n} pauses within 365 days", n),
    EXTENDED_OFTEN: lambda n: _n("put off {n} time", "put off {n} times", n),
}


def find_beyond_rules(account: AccountFacts, audit: AuditContext) -> Iterator[Finding]:
    """Name the customers whose pauses, set or changed since the night before, are beyond the rules for a customer."""
    read = account.pauses
    if read is None:
        return
    for code, number in read.breaks_of_code.items():
        shown = [each for each in read.breaks if each.code == code]
        yield Finding(
            BEYOND_RULES_NAME,
            Severity.INFO,
            tuple(each.customer_id for each in shown),
            _MEANINGS[code](number, audit.options),
            _("Nothing, if your team meant it. `portal pauses` has the history."),
            more=number - len(shown),
            code=code,
            customers=tuple(_customer(each.subscription_ids[0], each.customer_id, read) for each in shown),
            notes=tuple(listed(_break(each)) for each in shown),
        )
    if read.not_looked_at:
        yield Finding(
            BEYOND_RULES_NAME,
            Severity.INFO,
            (),
            _n(
                "The pauses of {n} customer were not counted: too many customers paused since the night before.",
                "The pauses of {n} customers were not counted: too many customers paused since the night before.",
                read.not_looked_at,
            ),
            _("Nothing: an audit counts for the 500 customers who paused last."),
            code="customers_not_counted",
        )


def _break(broken: PolicyBreak) -> Iterator[Message]:
    yield _NUMBERS[broken.code](broken.number)
    yield verbatim(" + ".join(broken.subscription_ids))
    if broken.overridden_by:
        yield _("the rules were overridden by {names}", names=listed(map(verbatim, broken.overridden_by)))
    elif broken.code != EXTENDED_OFTEN:
        yield _("nobody overrode the rules")


PAUSES_BEYOND_RULES = Check(
    BEYOND_RULES_NAME,
    _("Customers who pause beyond the rules"),
    (Severity.INFO,),
    reports=(
        "customers whose pauses, set or changed since the mail before, are longer than `MaxPauseDays`, more than "
        "`PauseMaxIn365Days`, or closer than `PauseMinDaysBetween`, counted for the customer across all subscriptions, "
        "with who overrode the rules; and a date of return that was put off three times or more"
    ),
    of_account=find_beyond_rules,
)
