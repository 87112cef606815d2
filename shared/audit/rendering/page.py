"""The report as a page: everything that a template shows, in one language, with links to Stripe's Dashboard."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from itertools import islice

from shared.audit.acknowledgement import Acknowledgement
from shared.audit.checks.registry import title_of
from shared.audit.findings import PausedSubscription, Severity
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
from shared.i18n import NOTHING, Message, _, _n, listed, verbatim
from shared.portal.pause import Phase
from shared.stripe.money import MissedAmount, MonthlyAmount, written_amount, written_amounts

DASHBOARD = "https://dashboard.stripe.com"
# Of findings about anything but a paused subscription, which may all say the same.
SUBJECTS_OF_A_GROUP = 10
# Stripe's ids are shorter. What is no subscription may come with any.
LONGEST = 255

_ID = re.compile(r"([a-z]+)_[A-Za-z0-9_]+", re.ASCII)
_PLACES = {"sub": "subscriptions", "cus": "customers", "prod": "products", "evt": "events", "we": "webhooks"}
_PORTAL = "settings/billing/portal"


@dataclass(frozen=True, slots=True)
class Row:
    """One subject of a finding."""

    subject: str
    url: str
    details: str = ""
    amount: str = ""


def rows_of(group: FindingGroup, edition: ReportView, most: int) -> tuple[Row, ...]:
    """Return a line for each subject that is shown."""
    if group.example.paused:
        return tuple(_paused(finding.paused, edition) for finding in group.findings if finding.paused)
    subjects = (subject for finding in group.findings for subject in finding.subjects)
    return tuple(subject_row(subject, edition) for subject in islice(subjects, min(most, SUBJECTS_OF_A_GROUP)))


def subject_row(subject: str, edition: ReportView) -> Row:
    """Return a line that has nothing but the subject."""
    return Row(_shown(subject), _url(subject, edition))


def _shown(text: str) -> str:
    """An id as it is, unless it is none: line ends and marks that turn the writing around would forge what follows."""
    return "".join(each if each.isprintable() else "\ufffd" for each in text[:LONGEST])


def _url(subject: str, edition: ReportView) -> str:
    """Where the Dashboard shows it; nothing for what is no id of Stripe's."""
    mode = "/test" if edition.report.livemode is False else ""
    known = _ID.fullmatch(subject)
    if known is None or len(subject) > LONGEST:
        return ""
    if known[1] == "bpc":
        return f"{DASHBOARD}{mode}/{_PORTAL}"
    return f"{DASHBOARD}{mode}/{_PLACES[known[1]]}/{subject}" if known[1] in _PLACES else ""


def _paused(paused: PausedSubscription, edition: ReportView) -> Row:
    details = (_shown(paused.customer_id), *(each.say(edition.language) for each in _details(paused, edition)))
    return Row(
        _shown(paused.subscription_id),
        _url(paused.subscription_id, edition),
        ", ".join(details),
        _monthly(paused.monthly).say(edition.language),
    )


def _details(paused: PausedSubscription, edition: ReportView) -> Iterator[Message]:
    zone = edition.report.timezone
    if paused.paused_since is None:
        yield _("paused since an unknown day")
    else:
        day = paused.paused_since.astimezone(zone).date()
        exact = paused.paused_since_is_exact
        yield _("paused since {day}", day=day) if exact else _("paused since {day} or earlier", day=day)
    if paused.paid_until:
        yield _("paid until {moment}", moment=paused.paid_until.astimezone(zone))
    if paused.free_since:
        day = paused.free_since.astimezone(zone).date()
        exact = paused.free_since_is_exact
        yield _("free since {day}", day=day) if exact else _("free since {day} or earlier", day=day)
    if paused.missed and any(paused.missed.amounts.values()):
        yield _missed(paused, paused.missed)
    if paused.resumes_at:
        yield _("collects again on {moment}", moment=paused.resumes_at.astimezone(zone))
    if paused.acknowledged:
        yield from _acknowledged(paused.acknowledged)
    if paused.ends_at:
        yield _("ends on {moment}", moment=paused.ends_at.astimezone(zone))


def _acknowledged(acknowledged: Acknowledgement) -> Iterator[Message]:
    if acknowledged.until is None:
        yield _("acknowledged until further notice")
    else:
        yield _("acknowledged until {day}", day=acknowledged.until)
    if acknowledged.by:
        yield _("by {name}", name=_shown(acknowledged.by))
    if acknowledged.note:
        yield verbatim(_shown(acknowledged.note))


def _missed(paused: PausedSubscription, missed: MissedAmount) -> Message:
    amounts = bounded(written_amounts(missed.amounts), low=missed.at_least, high=missed.at_most)
    match paused.behavior:
        case "void":
            return _("{amounts} voided so far", amounts=amounts)
        case "keep_as_draft":
            return _("{amounts} in drafts so far", amounts=amounts)
        case "mark_uncollectible":
            return _("{amounts} uncollectible so far", amounts=amounts)
        case _:
            return _("{amounts} not collected so far", amounts=amounts)


def _monthly(monthly: MonthlyAmount) -> Message:
    reasons = listed((*monthly.unknown, *monthly.at_most))
    if not monthly.amounts:
        return _("amount unknown ({reasons})", reasons=reasons)
    amounts = bounded(written_amounts(monthly.amounts), low=bool(monthly.unknown), high=bool(monthly.at_most))
    if reasons:
        return _("{amounts} a month ({reasons})", amounts=amounts, reasons=reasons)
    return _("{amounts} a month", amounts=amounts)


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

    if not report.served_free_count:
        yield figure([_NOBODY if report.complete else _NOBODY_KNOWN])
        return
    number = report.customers_served_free
    customers = _n("{n} customer", "{n} customers", number)
    yield figure(
        [bounded(customers, low=not report.complete, high=not report.free_is_certain)],
        _n("is served for free", "are served for free", number),
    )
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
    if not report.free_is_certain:
        yield _n(
            "Of {n} subscription it is not known whether the period that was paid has ended.",
            "Of {n} subscriptions it is not known whether the period that was paid has ended.",
            report.paused.uncertain,
        )
    missed = missed_so_far(report)
    if missed:
        yield missed


def facts(report: Report) -> Iterator[Message]:
    """Return what was read, and what the reader of the page has to know."""
    yield subscriptions_read(report)
    if len(report.totals) > BIG_AMOUNTS:
        yield _("Not collected a month: {amounts}.", amounts=written_amounts(report.totals))
    yield calendar(report)
    yield _("Times are in {timezone}.", timezone=report.timezone.key)
    yield _("Amounts are after the subscriptions' discounts and before taxes.")


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
class PageGroup:
    """Findings that say the same; `heading` is for plain text, `label` and `title` stand apart."""

    title: str
    severity: Severity
    label: str
    heading: str
    meaning: str
    action: str
    rows: tuple[Row, ...]
    left_out: str


@dataclass(frozen=True, slots=True)
class CustomerNames:
    """The first few subscriptions of a change, and how many more there are."""

    words: str
    rows: tuple[Row, ...]
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
    change: str
    names: tuple[CustomerNames, ...]
    to_do_title: str
    to_do: str
    then: str
    preheader: str
    trend: PageTrend | None
    groups: tuple[PageGroup, ...]
    action_label: str
    groups_left_out: str
    facts: tuple[str, ...]
    list_note: str
    list_url: str
    list_label: str
    footer: str


def page_of(edition: ReportView, medium: Medium, rows: int = SHOWN_ROWS) -> ReportPage:
    """Lay out an edition: the worst findings first, with the first `rows` paused subscriptions."""
    report, language = edition.report, edition.language
    groups = groups_of(report, rows)
    shown = groups if medium is Medium.FILE else groups[:MOST_GROUPS]
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
        change=change,
        names=_names(changed, edition) if changed else (),
        to_do_title=TO_DO.say(language),
        to_do=task.first.say(language),
        then=task.then.say(language),
        preheader=" ".join((_("To do today: {task}", task=task.first).say(language), change)).strip(),
        trend=_trend(edition),
        groups=tuple(_group(group, edition, rows) for group in shown),
        action_label=_("What to do:").say(language),
        groups_left_out=groups_left_out(len(groups) - len(shown)).say(language),
        facts=tuple(fact.say(language) for fact in facts(report)),
        list_note=_list_note(edition, medium).say(language),
        list_url=edition.list_link.url if edition.list_link else "",
        list_label=_("Open the whole list (CSV)").say(language),
        footer="" if medium is Medium.FILE else FOOTER.say(language),
    )


def _group(group: FindingGroup, edition: ReportView, most: int) -> PageGroup:
    finding, language = group.example, edition.language
    rows = rows_of(group, edition, most)
    title = _("{title} ({number})", title=title_of(finding.check), number=group.size)
    label = finding.severity.label.say(language).upper()
    return PageGroup(
        title.say(language),
        finding.severity,
        label,
        _("{severity}: {title}", severity=label, title=title).say(language),
        finding.meaning.say(language),
        finding.action.say(language),
        rows,
        left_out(group.size - len(rows), shown=len(rows)).say(language),
    )


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
    return CustomerNames(
        words.say(edition.language),
        tuple(subject_row(each, edition) for each in ids),
        and_more(number - len(ids), any_named=bool(ids)).say(edition.language),
    )


def _list_note(edition: ReportView, medium: Medium) -> Message:
    if not edition.report.paused or medium is Medium.FILE:
        return NOTHING
    if edition.list_link:
        return linked(edition.list_link.stays_at)
    return ATTACHED if medium is Medium.MAIL_WITH_LIST else TOO_LONG
