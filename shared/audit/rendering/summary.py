"""The report in a few sentences: the headline, the groups of findings, and what to do today."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from shared.audit.checks import paused as paused_checks
from shared.audit.checks.registry import title_of
from shared.audit.findings import Finding, FindingKind, MissedSum, Severity
from shared.audit.report import Report
from shared.i18n import NOTHING, Message, _, _n, first_sentence, listed, sentences
from shared.portal.pause import PauseOrigin, Phase
from shared.stripe.money import written_amounts

_NOBODY = _("No customer is served for free.")
_ALL_COLLECTED = _("No payment is kept back by a pause.")
INCOMPLETE = _("The audit is incomplete: see its critical findings.")


def is_all_clear(report: Report) -> bool:
    """Whether nobody has to look: all was read, nobody is served for free, and no finding is worse than information."""
    return report.complete and not report.served_free_count and report.severities() <= {Severity.INFO}


def headline(report: Report) -> Message:
    """Say how many customers are served for free and the sum a month; never more certain than the report is.

    Where the service honors pauses, say how many are not charged, the sum a month, and since when.
    """
    if report.service_honors_pauses:
        sentence = _not_collected(report) if report.paused.customers_uncollected else _ALL_COLLECTED
    else:
        sentence = _served_free(report) if report.served_free_count else _NOBODY
    return sentence if report.complete else sentences(sentence, INCOMPLETE)


def bounded(number: Message, *, low: bool, high: bool) -> Message:
    """Say how sure a number is: it may be more if it is `low`, and less if it is `high`."""
    if low and high:
        return _("about {number}", number=number)
    if low:
        return _("at least {number}", number=number)
    return _("up to {number}", number=number) if high else number


def _served_free(report: Report) -> Message:
    number = report.customers_served_free
    if report.free_is_certain:
        customers = _n("{n} customer is served for free", "{n} customers are served for free", number)
    else:
        customers = _n("Up to {n} customer is served for free", "Up to {n} customers are served for free", number)
    return _with_amounts(customers, report)


def _not_collected(report: Report) -> Message:
    customers = _n("{n} customer is paused", "{n} customers are paused", report.paused.customers_uncollected)
    return sentences(_with_amounts(customers, report), _age(report))


def _age(report: Report) -> Message:
    oldest = report.paused.oldest_uncollected
    if oldest is None:
        return _("Since when is not known.")
    day = oldest.since.astimezone(report.timezone).date()
    if oldest.is_exact:
        return _("The oldest pause began on {day}.", day=day)
    return _("The oldest pause began on {day} or earlier.", day=day)


def _with_amounts(customers: Message, report: Report) -> Message:
    if not report.totals:
        return _("{customers}; the amount not collected per month is unknown.", customers=customers)
    amounts = bounded(written_amounts(report.totals), low=bool(report.unknown_amounts), high=report.totals_are_highest)
    if not report.unknown_amounts:
        return _("{customers}: {amounts} a month not collected.", customers=customers, amounts=amounts)
    return _n(
        "{customers}: {amounts} a month not collected (the amount of {n} subscription is unknown).",
        "{customers}: {amounts} a month not collected (the amounts of {n} subscriptions are unknown).",
        report.unknown_amounts,
        customers=customers,
        amounts=amounts,
    )


def missed_so_far(report: Report) -> Message:
    """Say what was not collected since the pauses began: what is gone, and what can still be collected."""
    gone, recoverable = report.paused.gone, report.paused.recoverable
    sums = listed(
        words
        for words in (
            _("{amounts} voided, which is gone", amounts=_missed(gone)) if any(gone.amounts.values()) else NOTHING,
            _("{amounts} in drafts or uncollectible, which can still be collected", amounts=_missed(recoverable))
            if any(recoverable.amounts.values())
            else NOTHING,
        )
        if words
    )
    return _("Since the pauses began, at today's prices: {sums}.", sums=sums) if sums else NOTHING


def _missed(missed: MissedSum) -> Message:
    amounts = {currency: amount for currency, amount in missed.amounts.items() if amount}
    return bounded(written_amounts(amounts), low=missed.at_least, high=missed.at_most)


_MILDEST_FIRST = tuple(Severity)


@dataclass(frozen=True, slots=True)
class FindingGroup:
    """Findings of one kind: the first few of them, and how many subjects they and the others have."""

    findings: tuple[Finding, ...]
    example: Finding
    size: int


def urgent(groups: Iterable[FindingGroup]) -> Message:
    """Count the critical findings and the warnings, such as `1 critical finding and 2 warnings`; empty without any."""
    sizes: Counter[Severity] = Counter()
    for group in groups:
        # One that names nothing is about the account.
        sizes[group.example.severity] += max(group.size, 1)
    critical = _n("{n} critical finding", "{n} critical findings", sizes[Severity.CRITICAL])
    warnings = _n("{n} warning", "{n} warnings", sizes[Severity.WARNING])
    if critical.n and warnings.n:
        return _("{critical} and {warnings}", critical=critical, warnings=warnings)
    return next((each for each in (critical, warnings) if each.n), NOTHING)


def groups_of(report: Report, most_paused: int) -> list[FindingGroup]:
    """Group the findings: the worst severity first, of these what costs money, then other pauses, then the rest.

    At most `most_paused` findings about paused subscriptions are in the groups, the worst; all are in their sizes.
    """
    shown: dict[FindingKind, list[Finding]] = {}
    for finding in (*islice(report.paused, most_paused), *report.findings):
        shown.setdefault(finding.kind, []).append(finding)
    groups = [FindingGroup(tuple(shown.get(each.kind, ())), each, size) for each, size in report.paused.kinds()]
    known = {group.example.kind for group in groups}
    for kind, findings in shown.items():
        if kind not in known:
            groups.append(FindingGroup(tuple(findings), findings[0], sum(finding.size for finding in findings)))
    return sorted(groups, key=_rank)


def _rank(group: FindingGroup) -> tuple[int, bool, bool, int]:
    finding = group.example
    free = finding.paused is not None and finding.paused.served_free
    return (
        -_MILDEST_FIRST.index(finding.severity),
        not free,
        finding.paused is None,
        -group.size if finding.paused else 0,
    )


# The headings of pauses that ask for the same.
_ASK_FIRST = _("Ask the customer first, then resume or cancel")
_RESUMES_IN_THE_PORTAL = _("Ask the customer to resume in the portal")
_FIND_OUT_FIRST = _("Find out who paused and why, and ask the customer, before you resume or cancel")
_CHECK_DATE = _("Collection starts again by itself: check the date")
_MAY_END = _("Set to cancel: nothing to do if that is right, or else ask the customer first")
_NEEDS_METHOD = _("Ask the customer for a valid payment method")
_HAS_TO_PAY = _("Ask the customer to pay")
_FIND_OUT_WHY = _("Find out why these are paused")
_NOTHING_NOW = _("Nothing to do now")
_SHOULD_HAVE_ENDED = _("Should have ended by now")
_ACKNOWLEDGED = _("Acknowledged by your team")


def heading_of(finding: Finding, report: Report) -> Message:
    """Say in a few words what there is to do about a paused subscription; those of one heading stand together."""
    facts = finding.paused
    if facts is not None and facts.acknowledged:
        return _ACKNOWLEDGED
    if finding.action == paused_checks.SHOULD_HAVE_ENDED:
        return _SHOULD_HAVE_ENDED
    if finding.severity is Severity.INFO:
        return _NOTHING_NOW
    if facts is not None and facts.ends_at is not None:
        return _MAY_END
    task = _task_of(finding, report.phase)
    if task is _end_what_the_button_began and report.phase is Phase.RESUME_ONLY:
        return _RESUMES_IN_THE_PORTAL
    return _HEADINGS[task] if task else _ASK_FIRST


_Task = Callable[[int, Report], Message]
TO_DO = _("To do today")
_NOTHING_TO_DO = _("Nothing.")


@dataclass(frozen=True, slots=True)
class ToDo:
    """The first task, and how many other findings are urgent."""

    first: Message
    then: Message


def to_do(groups: Sequence[FindingGroup], report: Report) -> ToDo:
    """Return the task of the worst finding, counted over all findings that ask for the same; `groups` worst first."""
    tasks: dict[_Task | None, list[FindingGroup]] = {}
    for group in groups:
        severity = group.example.severity
        if severity is not Severity.INFO and severity is groups[0].example.severity:
            tasks.setdefault(_task_of(group.example, report.phase), []).append(group)
    if not tasks:
        return ToDo(_NOTHING_TO_DO, NOTHING)
    # A pause that ends by itself comes after the others of its severity.
    task = min(tasks, key=lambda each: each is _check_the_date)
    done = tasks[task] if task else tasks[task][:1]
    first = task(sum(group.size for group in done), report) if task else _own_action(done[0].example)
    rest = urgent(group for group in groups if group not in done)
    return ToDo(first, _("Then: {rest}.", rest=rest) if rest else NOTHING)


def _task_of(finding: Finding, phase: Phase) -> _Task | None:
    """Return the task that all findings about such a pause share; `None` for a finding with an action of its own."""
    facts = finding.paused
    if facts is None or finding.check not in (paused_checks.PAUSED_COLLECTION_NAME, paused_checks.PAUSED_STATUS_NAME):
        return None
    if facts.ends_at is not None:
        return None
    if facts.kind == "subscription":
        return _TASKS_BY_CAUSE.get(facts.cause or "", _find_out_why)
    if facts.resumes_at is not None:
        return _check_the_date
    if facts.behavior != "void":
        return _end_the_pause
    unknown = facts.origin is PauseOrigin.UNKNOWN and phase is Phase.STRANDED
    return _find_out_who_paused if unknown or facts.origin is PauseOrigin.NOT_BUTTON else _end_what_the_button_began


def _end_what_the_button_began(number: int, report: Report) -> Message:
    """The pauses of the old button's time."""
    match report.phase:
        case Phase.STRANDED:
            return _n(
                "Ask the customer of {n} subscription, then resume or cancel: they cannot resume without you.",
                "Ask the customers of {n} subscriptions, then resume or cancel: they cannot resume without you.",
                number,
            )
        case Phase.RESUME_ONLY:
            return _n(
                "Ask the customer of {n} subscription to resume in the portal within {days}.",
                "Ask the customers of {n} subscriptions to resume in the portal within {days}.",
                number,
                days=_n("{n} day", "{n} days", report.days_left),
            )
        case Phase.BUTTON_AVAILABLE:
            return _n(
                "Ask the customer of {n} subscription whether to resume or cancel.",
                "Ask the customers of {n} subscriptions whether to resume or cancel.",
                number,
            )


def _find_out_who_paused(number: int, _report: Report) -> Message:
    return _n(
        "Find out who paused {n} subscription, and why: without you the pause has no end.",
        "Find out who paused {n} subscriptions, and why: without you the pauses have no end.",
        number,
    )


def _end_the_pause(number: int, _report: Report) -> Message:
    return _n(
        "Ask the customer of {n} subscription, then resume or cancel: without you the pause has no end.",
        "Ask the customers of {n} subscriptions, then resume or cancel: without you the pauses have no end.",
        number,
    )


def _check_the_date(number: int, _report: Report) -> Message:
    return _n(
        "Check the date on which collection starts again for {n} subscription.",
        "Check the dates on which collection starts again for {n} subscriptions.",
        number,
    )


def _ask_for_a_payment_method(number: int, _report: Report) -> Message:
    return _n(
        "Ask for a valid payment method: {n} subscription is paused without one.",
        "Ask for valid payment methods: {n} subscriptions are paused without one.",
        number,
    )


def _ask_to_pay(number: int, _report: Report) -> Message:
    return _n(
        "Ask the customer to pay: {n} subscription is paused because a renewal was not paid.",
        "Ask the customers to pay: {n} subscriptions are paused because a renewal was not paid.",
        number,
    )


def _find_out_why(number: int, _report: Report) -> Message:
    return _n("Find out why {n} subscription is paused.", "Find out why {n} subscriptions are paused.", number)


_TASKS_BY_CAUSE: dict[str, _Task] = {
    "trial_end_without_payment_method": _ask_for_a_payment_method,
    "first_payment_failure": _ask_to_pay,
    "final_payment_failure": _ask_to_pay,
}


_HEADINGS: dict[_Task, Message] = {
    _end_what_the_button_began: _ASK_FIRST,
    _end_the_pause: _ASK_FIRST,
    _find_out_who_paused: _FIND_OUT_FIRST,
    _check_the_date: _CHECK_DATE,
    _ask_for_a_payment_method: _NEEDS_METHOD,
    _ask_to_pay: _HAS_TO_PAY,
    _find_out_why: _FIND_OUT_WHY,
}


def _own_action(finding: Finding) -> Message:
    """The first sentence of the finding's action, under its title."""
    return _("{title}: {action}", title=title_of(finding.check), action=first_sentence(finding.action))
