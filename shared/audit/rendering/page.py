"""The report as a page: everything that a template shows, in one language, with links to Stripe's Dashboard."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from itertools import islice, zip_longest

from shared.audit.checks.registry import title_of
from shared.audit.findings import Finding, Severity
from shared.audit.rendering.pauses import PauseTask, details, explanations, pause_tasks, pause_words
from shared.audit.rendering.subjects import Subject, shown, subject_of
from shared.audit.rendering.summary import (
    INCOMPLETE,
    TO_DO,
    FindingGroup,
    bounded,
    groups_of,
    headline,
    is_all_clear,
    missed_so_far,
    to_do,
)
from shared.audit.rendering.trend import Bar, ChangeSummary, trend_of, what_changed
from shared.audit.report import Report, ReportView
from shared.i18n import NOTHING, Message, _, _n, duration, first_sentence, listed, other_sentences, verbatim
from shared.portal.pause import Phase
from shared.stripe.events import REPEATED_FOR
from shared.stripe.money import written_amount, written_amounts

# Of findings about anything but a paused subscription, which may all say the same.
SUBJECTS_OF_A_GROUP = 10

# The first screen of a phone has room for these; the facts have all.
BIG_AMOUNTS = 3

ATTACHED = _("The attached CSV file has every paused subscription.")
TOO_LONG = _("The list is too long for a mail: `portal audit --format csv` writes all of it.")
FOOTER = _(
    "To stop this mail, or to change its recipients, hour or language, change the parameters of the CloudFormation "
    "stack that begin with Audit (docs/reference/audit.md)."
)
_NOBODY = _("Nobody is served for free")
_NOBODY_KNOWN = _("No customer served for free was found")
_ALL_COLLECTED = _("No payment is kept back by a pause")


def band(report: Report) -> str:
    """Name the colour of the first lines: green only when nobody has to look."""
    if is_all_clear(report):
        return "good"
    lost = report.served_free_count or not report.complete or Severity.CRITICAL in report.severities()
    return "alarm" if lost else "attention"


def kicker(edition: ReportView) -> Message:
    """What this is, of which account mode, and of when."""
    time = edition.report.as_of.astimezone(edition.report.timezone).time()
    if edition.report.livemode is False:
        return _("Stripe audit, test mode \u00b7 {day}, {time}", day=edition.night, time=time)
    return _("Stripe audit \u00b7 {day}, {time}", day=edition.night, time=time)


@dataclass(frozen=True, slots=True)
class Figure:
    """Numbers that are read first, and what they count."""

    numbers: tuple[str, ...]
    words: str


def figures(report: Report, language: str) -> Iterator[Figure]:
    """Return the numbers that are read first."""

    def figure(numbers: Iterable[Message], words: Message = NOTHING) -> Figure:
        return Figure(tuple(number.say(language) for number in numbers), words.say(language))

    if report.service_honors_pauses:
        number, words = report.paused.customers_uncollected, _("paused")
    else:
        number = report.customers_served_free
        words = _n("is served for free", "are served for free", number)
    if not number:
        none = _ALL_COLLECTED if report.service_honors_pauses else _NOBODY
        yield figure([none if report.complete else _NOBODY_KNOWN])
        return
    customers = _n("{n} customer", "{n} customers", number)
    yield figure([bounded(customers, low=not report.complete, high=not report.free_is_certain)], words)
    if not report.totals:
        yield figure([_("Unknown amount")], _("a month not collected"))
        return
    amounts = [written_amount(amount, currency) for currency, amount in report.totals.items()]
    low = bool(report.unknown_amounts) or not report.complete
    amounts[0] = bounded(amounts[0], low=low, high=report.totals_are_highest)
    more = len(amounts) - BIG_AMOUNTS
    not_collected = _("a month not collected")
    if more > 0:
        not_collected = _n(
            "a month not collected, and {n} other currency", "a month not collected, and {n} other currencies", more
        )
    yield figure(amounts[:BIG_AMOUNTS], not_collected)


def notes(report: Report) -> Iterator[Message]:
    """Return what makes the numbers less certain than they look."""
    if not report.complete:
        yield INCOMPLETE
    if report.unknown_amounts and report.totals:
        yield _n(
            "The amount of {n} subscription is unknown.",
            "The amounts of {n} subscriptions are unknown.",
            report.unknown_amounts,
        )
    yield from after_headline(report)


def after_headline(report: Report) -> Iterator[Message]:
    """Return what the headline does not say: what is uncertain, what was lost so far, and what nobody looked at."""
    if not report.free_is_certain:
        yield _n(
            "Of {n} subscription it is not known whether the period that was paid has ended.",
            "Of {n} subscriptions it is not known whether the period that was paid has ended.",
            report.paused.uncertain,
        )
    missed = missed_so_far(report)
    if missed:
        yield missed
    if report.skips:
        yield _("Not looked at: {names}.", names=listed(map(verbatim, report.skips)))


def facts(report: Report) -> Iterator[Message]:
    """Return what was read, and what the reader of the page has to know."""
    yield subscriptions_read(report)
    if len(report.totals) > BIG_AMOUNTS:
        yield _("Not collected a month: {amounts}.", amounts=written_amounts(report.totals))
    yield calendar(report)
    yield _("Times are in {timezone}.", timezone=report.timezone.key)
    yield _("Amounts are after the subscriptions' discounts and before taxes.")
    yield from event_lags(report)


def event_lags(report: Report) -> Iterator[Message]:
    """Say how late events came and were dated, beside the window of the mirror's rule, where the mirror has seen it."""
    delivery, stamp = report.lags.delivery, report.lags.stamp
    if delivery.number:
        yield _(
            "Events reached the mirror up to {largest} after Stripe dated them ({most} for 99 %).",
            largest=duration(delivery.largest),
            most=duration(delivery.percentile(99)),
        )
    if report.lags.resent:
        yield _n(
            "Not counted: the last event of {n} subscription, which came when Stripe no longer repeats a delivery "
            "({time}): it was sent again by hand.",
            "Not counted: the last events of {n} subscriptions, which came when Stripe no longer repeats a delivery "
            "({time}): they were sent again by hand.",
            report.lags.resent,
            time=duration(int(REPEATED_FOR.total_seconds())),
        )
    if stamp.number:
        yield _(
            "Stripe dated events up to {largest} after the change ({most} for 99 %); times closer than {window} s "
            "count as unordered.",
            largest=duration(stamp.largest),
            most=duration(stamp.percentile(99)),
            window=int(report.uncertainty.total_seconds()),
        )


def subscriptions_read(report: Report) -> Message:
    """Count what was read and found."""
    return _n(
        "{n} subscription read, {paused} paused; {findings}.",
        "{n} subscriptions read, {paused} paused; {findings}.",
        report.subscriptions_read,
        paused=len(report.paused),
        findings=_n("{n} finding", "{n} findings", report.findings_count),
    )


def calendar(report: Report) -> Message:
    """Say what the old portal's pause button allows on the day of the report."""
    match report.phase:
        case Phase.BUTTON_AVAILABLE:
            removed_on = report.button_removed_on
            if report.as_of.astimezone(report.timezone).date() == removed_on - timedelta(days=1):
                return _(
                    "Today is the last day on which customers can pause with the old portal's button: it is gone "
                    "tomorrow ({day}).",
                    day=removed_on,
                )
            return _(
                "Customers can still pause and resume with the old portal's button, until it is removed on {day}.",
                day=removed_on,
            )
        case Phase.RESUME_ONLY:
            return _n(
                "The old portal's pause button is gone; customers can resume there for {n} more day.",
                "The old portal's pause button is gone; customers can resume there for {n} more days.",
                report.days_left,
            )
        case Phase.STRANDED:
            return _("Customers paused by the old portal's button can no longer resume by themselves.")


def linked(stays_at: str) -> Message:
    """Say how long the link works, and where the list is after that."""
    return _(
        "The link opens the list of every paused subscription for at most 12 hours; the list is kept for 40 days at "
        "{address}.",
        address=stays_at,
    )


def left_out(number: int, *, shown: int) -> Message:
    """Count the subjects that a group does not show."""
    if not number:
        return NOTHING
    if not shown:
        return _n("{n}, not shown here.", "{n}, not shown here.", number)
    return _n("and {n} more, not shown here.", "and {n} more, not shown here.", number)


def and_more(number: int, *, any_named: bool) -> Message:
    """Count those that are not named."""
    if not number:
        return NOTHING
    return _n("and {n} more", "and {n} more", number) if any_named else listed([number])


def groups_left_out(number: int) -> Message:
    """Count the kinds of finding that the mail does not show."""
    if not number:
        return NOTHING
    return _n(
        "And {n} more kind of finding: `portal audit` shows it.",
        "And {n} more kinds of finding: `portal audit` shows them.",
        number,
    )


# What a mail shows; the list has all. A kind of finding is a screen of its own on a phone.
SHOWN_ROWS = 100
MOST_GROUPS = 25


class Medium(StrEnum):
    """Where the page is read: in a mail that carries the list, in one that does not, or as a file."""

    MAIL_WITH_LIST = "mail_with_list"
    MAIL = "mail"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class PauseRow:
    """One paused subscription; `note` says since when it is served for free."""

    subject: Subject
    monthly: str
    missed: str
    since: str
    note: str
    next: str


@dataclass(frozen=True, slots=True)
class PauseRows:
    """Rows that ask for the same, under a heading with their number."""

    heading: str
    severity: Severity
    label: str
    rows: tuple[PauseRow, ...]
    left_out: str


@dataclass(frozen=True, slots=True)
class HelpLink:
    """A line of help, and where it leads; without an address it names the page in its words."""

    words: str
    url: str


@dataclass(frozen=True, slots=True)
class PageExplanation:
    """What is said of the pauses under a heading; without one, of all."""

    heading: str
    words: str


@dataclass(frozen=True, slots=True)
class PauseTable:
    """Every paused subscription in one table, and below it each explanation once."""

    title: str
    columns: tuple[str, ...]
    tasks: tuple[PauseRows, ...]
    open_label: str
    explanations_title: str
    explanations: tuple[PageExplanation, ...]
    help: tuple[HelpLink, ...]


@dataclass(frozen=True, slots=True)
class PageFinding:
    """Findings that say the same of anything but a paused subscription."""

    title: str
    severity: Severity
    label: str
    meaning: str
    subjects: tuple[Subject, ...]
    left_out: str


@dataclass(frozen=True, slots=True)
class PageTask:
    """Findings that ask for the same: what to do, then of what, then whatever else is said of it."""

    action: str
    findings: tuple[PageFinding, ...]
    more: str


@dataclass(frozen=True, slots=True)
class PageSection:
    """Tasks for the same people."""

    title: str
    tasks: tuple[PageTask, ...]
    details: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CustomerNames:
    """The first few subscriptions of a change, and how many more there are."""

    words: str
    subjects: tuple[Subject, ...]
    more: str


@dataclass(frozen=True, slots=True)
class PageTrend:
    """Bars, and what they show in words."""

    title: str
    since: str
    bars: tuple[Bar, ...]
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReportPage:
    """All that a template shows."""

    language: str
    band: str
    kicker: str
    title: str
    figures: tuple[Figure, ...]
    notes: tuple[str, ...]
    after_title: tuple[str, ...]
    change: str
    names: tuple[CustomerNames, ...]
    to_do_title: str
    to_do: str
    then: str
    preheader: str
    trend: PageTrend | None
    pauses: PauseTable | None
    sections: tuple[PageSection, ...]
    groups_left_out: str
    facts: tuple[str, ...]
    list_note: str
    list_url: str
    list_label: str
    footer: str


def page_of(edition: ReportView, medium: Medium, rows: int = SHOWN_ROWS) -> ReportPage:
    """Lay out an edition: the worst findings first, with the first `rows` paused subscriptions."""
    report, language = edition.report, edition.language
    groups = groups_of(report, 0)
    others = [group for group in groups if not group.example.paused]
    shown_others = others if medium is Medium.FILE else others[:MOST_GROUPS]
    changed = what_changed(edition)
    task = to_do(groups, report)
    change = changed.sums.say(language) if changed else ""
    return ReportPage(
        language=language,
        band=band(report),
        kicker=kicker(edition).say(language),
        title=headline(report).say(language),
        figures=tuple(figures(report, language)),
        notes=tuple(note.say(language) for note in notes(report)),
        after_title=tuple(note.say(language) for note in after_headline(report)),
        change=change,
        names=_names(changed, edition) if changed else (),
        to_do_title=TO_DO.say(language),
        to_do=task.first.say(language),
        then=task.then.say(language),
        preheader=" ".join((_("To do today: {task}", task=task.first).say(language), change)).strip(),
        trend=_trend(edition),
        pauses=_pause_table(groups, edition, rows) if report.paused else None,
        sections=tuple(_sections(shown_others, groups, edition, rows)),
        groups_left_out=groups_left_out(len(others) - len(shown_others)).say(language),
        facts=tuple(fact.say(language) for fact in facts(report)),
        list_note=_list_note(edition, medium).say(language),
        list_url=edition.list_link.url if edition.list_link else "",
        list_label=_("Open the whole list (CSV)").say(language),
        footer="" if medium is Medium.FILE else FOOTER.say(language),
    )


_COLUMNS = (_("Customer"), _("Amount"), _("Not collected"), _("Since"), _("What happens next"))


def _pause_table(groups: Sequence[FindingGroup], edition: ReportView, rows: int) -> PauseTable:
    report, language = edition.report, edition.language
    tasks = pause_tasks(groups, islice(report.paused, rows), report)
    return PauseTable(
        _("{title} ({number})", title=_("Paused subscriptions"), number=len(report.paused)).say(language),
        tuple(column.say(language) for column in _COLUMNS),
        tuple(_pause_rows(task, edition) for task in tasks),
        _("Open in Stripe").say(language),
        _("What this means").say(language),
        tuple(
            PageExplanation(each.heading.say(language), each.words.say(language))
            for each in explanations(groups, report)
        ),
        tuple(_help(edition)),
    )


def _pause_rows(task: PauseTask, edition: ReportView) -> PauseRows:
    language = edition.language
    return PauseRows(
        _("{title} ({number})", title=task.heading, number=task.size).say(language),
        task.severity,
        task.severity.label.say(language).upper(),
        tuple(_pause_row(finding, edition) for finding in task.findings),
        left_out(task.size - len(task.findings), shown=len(task.findings)).say(language),
    )


def _pause_row(finding: Finding, edition: ReportView) -> PauseRow:
    paused, language = finding.paused, edition.language
    if paused is None:
        raise ValueError("not a finding about a paused subscription")
    words = pause_words(paused, edition.report)
    customer = finding.customers[0] if finding.customers else None
    subject = subject_of(paused.subscription_id, customer, edition)
    if not (customer and (customer.name or customer.email)):
        subject = replace(subject, name=shown(paused.customer_id))
    return PauseRow(
        subject,
        words.monthly.say(language),
        words.missed.say(language),
        words.since.say(language),
        words.free_since.say(language),
        words.next.say(language),
    )


# Stripe's own page about pauses of collection.
_STRIPES_PAGE = "https://docs.stripe.com/billing/subscriptions/pause-payment"
_HELP = (
    (_("How these amounts are computed"), "money"),
    (_("How the audit knows who paused, and when"), "the-calendar-of-the-old-pause-button"),
    (_("How to accept a pause, so that it is no longer counted"), "deliberate-pauses"),
)


def _help(edition: ReportView) -> Iterator[HelpLink]:
    """Short lines that lead to the documentation; without its address they would lead nowhere."""
    language = edition.language
    if edition.help_url:
        for words, anchor in _HELP:
            yield HelpLink(words.say(language), f"{edition.help_url}#{anchor}")
    yield HelpLink(_("What pausing collection does (Stripe)").say(language), _STRIPES_PAGE)


def _sections(
    others: Sequence[FindingGroup], groups: Sequence[FindingGroup], edition: ReportView, rows: int
) -> Iterator[PageSection]:
    """Return what there is to do besides the pauses: about customers, then what only developers can do."""
    language = edition.language
    about_customers = [group for group in others if group.example.customers]
    if about_customers:
        yield PageSection(_("Other findings about customers").say(language), _tasks(about_customers, edition, rows))
    technical = _tasks([group for group in others if not group.example.customers], edition, rows)
    notes = tuple(each.say(language) for each in details(groups, edition.report))
    if technical or notes:
        yield PageSection(_("For your developers").say(language), technical, notes)


def _tasks(groups: Iterable[FindingGroup], edition: ReportView, rows: int) -> tuple[PageTask, ...]:
    """Gather what asks for the same, in the order of the worst of them."""
    by_action: dict[Message, list[FindingGroup]] = {}
    for group in groups:
        by_action.setdefault(group.example.action, []).append(group)
    language = edition.language
    return tuple(
        PageTask(
            first_sentence(action).say(language),
            tuple(_page_finding(group, edition, rows) for group in same),
            other_sentences(action).say(language),
        )
        for action, same in by_action.items()
    )


def _page_finding(group: FindingGroup, edition: ReportView, rows: int) -> PageFinding:
    finding, language = group.example, edition.language
    subjects = tuple(islice(_subjects(group, edition), min(rows, SUBJECTS_OF_A_GROUP)))
    return PageFinding(
        _("{title} ({number})", title=title_of(finding.check), number=group.size).say(language)
        if group.size
        else title_of(finding.check).say(language),
        finding.severity,
        finding.severity.label.say(language).upper(),
        finding.meaning.say(language),
        subjects,
        left_out(group.size - len(subjects), shown=len(subjects)).say(language),
    )


def _subjects(group: FindingGroup, edition: ReportView) -> Iterator[Subject]:
    for finding in group.findings:
        for subject, customer in zip_longest(finding.subjects, finding.customers):
            yield subject_of(subject, customer, edition)


def _trend(edition: ReportView) -> PageTrend | None:
    trend = trend_of(edition)
    if trend is None:
        return None
    lines = tuple(line.say(edition.language) for line in (trend.summary, *trend.money))
    title = _("Customers served for free, night by night")
    return PageTrend(title.say(edition.language), trend.since.say(edition.language), trend.bars, lines)


def _names(changed: ChangeSummary, edition: ReportView) -> tuple[CustomerNames, ...]:
    new = _("Newly paused since {when}:", when=changed.since)
    gone = _("No longer paused since {when}:", when=changed.since)
    every = ((new, changed.new, changed.new_count), (gone, changed.gone, changed.gone_count))
    return tuple(_named(words, ids, number, edition) for words, ids, number in every if number)


def _named(words: Message, ids: Sequence[str], number: int, edition: ReportView) -> CustomerNames:
    customers = edition.change.customers if edition.change else {}
    return CustomerNames(
        words.say(edition.language),
        tuple(subject_of(each, customers.get(each), edition) for each in ids),
        and_more(number - len(ids), any_named=bool(ids)).say(edition.language),
    )


def _list_note(edition: ReportView, medium: Medium) -> Message:
    if not edition.report.paused or medium is Medium.FILE:
        return NOTHING
    if edition.list_link:
        return linked(edition.list_link.stays_at)
    return ATTACHED if medium is Medium.MAIL_WITH_LIST else TOO_LONG
