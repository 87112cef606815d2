"""Turns a night's report into the words that the templates lay out, so that a template decides nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from shared.audit import page_text as text
from shared.audit.changed import Changed, what_changed
from shared.audit.edition import Edition
from shared.audit.finding import Severity
from shared.audit.groups import Group, groups_of
from shared.audit.headline import headline
from shared.audit.registry import title_of
from shared.audit.rows import Row, rows_of, subject_row
from shared.audit.text import NOTHING, Language, Text, format_number
from shared.audit.to_do import TO_DO, to_do
from shared.audit.trend import Bar, trend_of

# What a mail shows; the list has all. A kind of finding is a screen of its own on a phone.
SHOWN_ROWS = 100
MOST_GROUPS = 25


class Medium(StrEnum):
    """Where the page is read: in a mail that carries the list, in one that does not, or as a file."""

    MAIL_WITH_LIST = "mail_with_list"
    MAIL = "mail"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Figure:
    """Numbers that are read first, and what they count."""

    numbers: tuple[str, ...]
    words: str


@dataclass(frozen=True, slots=True)
class PageGroup:
    """Findings that say the same."""

    title: str
    severity: Severity
    label: str
    size: str
    meaning: str
    action: str
    rows: tuple[Row, ...]
    left_out: str


@dataclass(frozen=True, slots=True)
class Names:
    """The first few subscriptions of a change, and how many more there are."""

    words: str
    rows: tuple[Row, ...]
    more: str


@dataclass(frozen=True, slots=True)
class PageTrend:
    """Bars, and what they show in words."""

    since: str
    bars: tuple[Bar, ...]
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """All that a template shows."""

    language: Language
    band: str
    kicker: str
    title: str
    figures: tuple[Figure, ...]
    notes: tuple[str, ...]
    change: str
    names: tuple[Names, ...]
    to_do_title: str
    to_do: str
    then: str
    preheader: str
    trend: PageTrend | None
    groups: tuple[PageGroup, ...]
    groups_left_out: str
    facts: tuple[str, ...]
    list_note: str
    list_url: str
    footer: str

    def say(self, en: str, fr: str) -> str:
        """Answer the template's own words in the page's language."""
        return Text(en, fr).say(self.language)


def page_of(edition: Edition, medium: Medium, rows: int = SHOWN_ROWS) -> Page:
    """Lay out an edition: the worst findings first, with the first `rows` paused subscriptions."""
    report, language = edition.report, edition.language
    groups = groups_of(report, rows)
    shown = groups if medium is Medium.FILE else groups[:MOST_GROUPS]
    changed = what_changed(edition)
    task = to_do(groups, report)
    change = changed.sums.say(language) if changed else ""
    return Page(
        language=language,
        band=text.band(report),
        kicker=text.kicker(edition).say(language),
        title=headline(report, language),
        figures=tuple(Figure(numbers, words) for numbers, words in text.figures(report, language)),
        notes=tuple(note.say(language) for note in text.notes(report)),
        change=change,
        names=_names(changed, edition) if changed else (),
        to_do_title=TO_DO.say(language),
        to_do=task.first.say(language),
        then=task.then.say(language),
        preheader=" ".join(
            (Text(f"{TO_DO.en}:", f"{TO_DO.fr} :").say(language), task.first.say(language), change)
        ).strip(),
        trend=_trend(edition),
        groups=tuple(_group(group, edition, rows) for group in shown),
        groups_left_out=text.groups_left_out(len(groups) - len(shown)).say(language),
        facts=tuple(fact.say(language) for fact in text.facts(report)),
        list_note=_list_note(edition, medium).say(language),
        list_url=edition.list_link.url if edition.list_link else "",
        footer="" if medium is Medium.FILE else text.FOOTER.say(language),
    )


def _group(group: Group, edition: Edition, most: int) -> PageGroup:
    finding, language = group.example, edition.language
    rows = rows_of(group, edition, most)
    return PageGroup(
        title_of(finding.check).say(language),
        finding.severity,
        finding.severity.label.say(language).upper(),
        format_number(group.size, language),
        finding.meaning.say(language),
        finding.action.say(language),
        rows,
        text.left_out(group.size - len(rows), shown=len(rows)).say(language),
    )


def _trend(edition: Edition) -> PageTrend | None:
    trend = trend_of(edition)
    if trend is None:
        return None
    lines = tuple(line.say(edition.language) for line in (trend.summary, *trend.money))
    return PageTrend(trend.since.say(edition.language), trend.bars, lines)


def _names(changed: Changed, edition: Edition) -> tuple[Names, ...]:
    new = Text(f"Newly paused since {changed.since.en}:", f"Nouvellement en pause depuis {changed.since.fr} :")
    gone = Text(f"No longer paused since {changed.since.en}:", f"Sortis de pause depuis {changed.since.fr} :")
    every = ((new, changed.new, changed.new_count), (gone, changed.gone, changed.gone_count))
    return tuple(_named(words, ids, number, edition) for words, ids, number in every if number)


def _named(words: Text, ids: Sequence[str], number: int, edition: Edition) -> Names:
    return Names(
        words.say(edition.language),
        tuple(subject_row(each, edition) for each in ids),
        text.and_more(number - len(ids), any_named=bool(ids)).say(edition.language),
    )


def _list_note(edition: Edition, medium: Medium) -> Text:
    if not edition.report.paused or medium is Medium.FILE:
        return NOTHING
    if edition.list_link:
        return text.linked(edition.list_link.stays_at)
    return text.ATTACHED if medium is Medium.MAIL_WITH_LIST else text.TOO_LONG
