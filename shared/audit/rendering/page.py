"""The report as a page: everything that a template shows, in one language, with links to Stripe's Dashboard."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import islice, zip_longest

from shared.audit.checks.registry import title_of
from shared.audit.findings import Finding, Severity
from shared.audit.rendering.opening import Figure, after_headline, band, facts, figures, kicker, notes
from shared.audit.rendering.pauses import PauseTask, details, explanations, pause_tasks, pause_words
from shared.audit.rendering.subjects import Subject, and_more, left_out, shown, subject_of
from shared.audit.rendering.summary import (
    TO_DO,
    FindingGroup,
    groups_of,
    headline,
    to_do,
)
from shared.audit.rendering.trend import Bar, ChangeSummary, trend_of, what_changed
from shared.audit.report import ReportView
from shared.i18n import NOTHING, Message, _, _n, first_sentence, other_sentences

# Of findings about anything but a paused subscription, which may all say the same.
SUBJECTS_OF_A_GROUP = 10
# Of findings that say something else of each.
NOTED_SUBJECTS = 30

ATTACHED = _("The attached CSV file has every paused subscription.")
TOO_LONG = _("The list is too long for a mail: `portal audit --format csv` writes all of it.")
FOOTER = _(
    "To stop this mail, or to change its recipients, hour or language, change the parameters of the CloudFormation "
    "stack that begin with Audit (docs/reference/audit.md)."
)


def linked(stays_at: str) -> Message:
    """Say how long the link works, and where the list is after that."""
    return _(
        "The link opens the list of every paused subscription for at most 12 hours; the list is kept for 40 days at "
        "{address}.",
        address=stays_at,
    )


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
    most = NOTED_SUBJECTS if finding.notes else SUBJECTS_OF_A_GROUP
    subjects = tuple(islice(_subjects(group, edition), min(rows, most)))
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
        for subject, customer, note in zip_longest(finding.subjects, finding.customers, finding.notes):
            yield subject_of(subject, customer, edition, note)


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
