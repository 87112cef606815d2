"""One line of the report for each subject of a finding, with a link to it in Stripe's Dashboard."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import islice

from shared.audit.checks.registry import title_of
from shared.audit.findings import PausedSubscription, Severity
from shared.audit.rendering.summary import (
    INCOMPLETE,
    TO_DO,
    FindingGroup,
    groups_of,
    headline,
    is_all_clear,
    served_free_words,
    to_do,
)
from shared.audit.rendering.trend import Bar, ChangeSummary, trend_of, what_changed
from shared.audit.report import Report, ReportView
from shared.i18n import NO_TEXT, Language, Text, count, format_date, format_number, format_time, joined
from shared.portal.pause import Phase
from shared.stripe.money import MonthlyAmount, format_amount, format_amounts

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
        _amount(paused.monthly, edition.language).say(edition.language),
    )


def _details(paused: PausedSubscription, edition: ReportView) -> Iterator[Text]:
    zone = edition.report.timezone
    if paused.paused_since is None:
        yield Text("paused since an unknown day", "en pause depuis une date inconnue")
    else:
        day = paused.paused_since.astimezone(zone).date()
        earlier = NO_TEXT if paused.paused_since_is_exact else Text("or earlier", "ou avant")
        yield joined(
            (Text(f"paused since {format_date(day)}", f"en pause depuis le {format_date(day, 'fr')}"), earlier)
        )
    if paused.resumes_at:
        again = paused.resumes_at.astimezone(zone)
        yield Text(f"collects again on {_moment(again, 'en')}", f"reprise le {_moment(again, 'fr')}")


def _moment(time: datetime, language: Language) -> str:
    at = " à " if language == "fr" else " at "
    return format_date(time.date(), language) + at + format_time(time.time(), language)


def _amount(monthly: MonthlyAmount, language: Language) -> Text:
    known = format_amounts(monthly.amounts, language)
    if not monthly.unknown:
        return Text(f"{known} a month", f"{known} par mois")
    why = joined(monthly.unknown, between=", ")
    if known:
        return Text(f"at least {known} a month ({why.en})", f"au moins {known} par mois ({why.fr})")
    return Text(f"amount unknown ({why.en})", f"montant inconnu ({why.fr})")


# The first screen of a phone has room for these; the facts have all.
BIG_AMOUNTS = 3

ATTACHED = Text(
    "The attached CSV file has every paused subscription.",
    "Le fichier CSV joint contient tous les abonnements en pause.",
)
TOO_LONG = Text(
    "The list is too long for a mail: `portal audit --format csv` writes all of it.",
    "La liste est trop longue pour un e-mail : `portal audit --format csv` l'écrit en entier.",
)
FOOTER = Text(
    "To stop this mail, or to change its readers, hour or language: the parameters of the CloudFormation stack that "
    "begin with Audit (docs/reference/audit.md).",
    "Pour ne plus recevoir cet e-mail, ou pour en changer les destinataires, l'heure ou la langue : les paramètres de "
    "la pile CloudFormation qui commencent par Audit (docs/reference/audit.md).",
)
_NOBODY = Text("Nobody is served for free", "Personne n'est servi sans payer")
_NOBODY_KNOWN = Text("No customer served for free was found", "Aucun client servi sans payer n'a été trouvé")
_TEST = Text("test mode", "mode test")


def band(report: Report) -> str:
    """Name the colour of the first lines: green only when nobody has to look."""
    if is_all_clear(report):
        return "good"
    lost = report.served_free_count or not report.complete or Severity.CRITICAL in report.severities()
    return "alarm" if lost else "attention"


def kicker(edition: ReportView) -> Text:
    """What this is, of which account mode, and of when."""
    report = edition.report
    local = report.as_of.astimezone(report.timezone)
    test = Text(f", {_TEST.en}", f", {_TEST.fr}") if report.livemode is False else NO_TEXT
    return Text(
        f"Stripe audit{test.en} \u00b7 {format_date(edition.night)}, {format_time(local.time())}",
        f"Audit Stripe{test.fr} \u00b7 {format_date(edition.night, 'fr')}, {format_time(local.time(), 'fr')}",
    )


def figures(report: Report, language: Language) -> Iterator[tuple[tuple[str, ...], str]]:
    """The numbers that are read first, each with what it counts."""
    if not report.served_free_count:
        yield ((_NOBODY if report.complete else _NOBODY_KNOWN).say(language),), ""
        return
    who = Text(count(report.customers_served_free, "customer"), count(report.customers_served_free, "client", "fr"))
    yield (
        (who.say(language) if report.complete else _at_least(who.say(language), language),),
        served_free_words(report.customers_served_free).say(language),
    )
    not_collected = Text("a month not collected", "par mois non encaissés")
    if not report.totals:
        yield (Text("Unknown amount", "Montant inconnu").say(language),), not_collected.say(language)
        return
    amounts = [format_amount(amount, currency, language) for currency, amount in report.totals.items()]
    if report.unknown_amounts or not report.complete:
        amounts[0] = _at_least(amounts[0], language)
    more = len(amounts) - BIG_AMOUNTS
    if more > 0:
        not_collected = Text(
            f"and {count(more, 'other currency', plural='other currencies')} a month not collected",
            f"et {count(more, 'autre devise', 'fr', plural='autres devises')} par mois non encaissés",
        )
    yield tuple(amounts[:BIG_AMOUNTS]), not_collected.say(language)


def _at_least(number: str, language: Language) -> str:
    return f"{'au moins' if language == 'fr' else 'at least'} {number}"


def notes(report: Report) -> Iterator[Text]:
    """What makes the numbers less certain than they look."""
    if not report.complete:
        yield INCOMPLETE
    if report.unknown_amounts and report.totals:
        yield Text(
            f"The amount of {count(report.unknown_amounts, 'subscription')} cannot be known.",
            f"Montant inconnu pour {count(report.unknown_amounts, 'abonnement', 'fr')}.",
        )


def facts(report: Report) -> Iterator[Text]:
    """What was looked at, and how the page is to be read."""
    yield Text(
        f"{count(report.subscriptions_read, 'subscription')} read, {format_number(len(report.paused))} paused, "
        f"{count(report.findings_count, 'finding')}.",
        f"Abonnements lus : {format_number(report.subscriptions_read, 'fr')}, dont "
        f"{format_number(len(report.paused), 'fr')} en pause ; {count(report.findings_count, 'constat', 'fr')}.",
    )
    if len(report.totals) > BIG_AMOUNTS:
        yield Text(
            f"Not collected a month: {format_amounts(report.totals)}.",
            f"Non encaissés par mois : {format_amounts(report.totals, 'fr')}.",
        )
    yield _calendar(report)
    yield Text(
        f"Times are those of {report.timezone.key}. Amounts are list prices a month, before discounts and taxes.",
        f"Heures : {report.timezone.key}. Montants au tarif affiché, par mois, hors remises et taxes.",
    )


def _calendar(report: Report) -> Text:
    match report.phase:
        case Phase.BUTTON_AVAILABLE:
            return Text(
                "Customers can still pause and resume with the old portal's button.",
                "Les clients peuvent encore suspendre et reprendre leurs paiements avec le bouton de l'ancien portail.",
            )
        case Phase.RESUME_ONLY:
            left, reste = count(report.days_left, "day"), count(report.days_left, "jour", "fr")
            return Text(
                f"The old portal's pause button is gone; customers can resume there for {left} more.",
                f"Le bouton de pause de l'ancien portail a disparu ; les clients peuvent encore y reprendre leurs "
                f"paiements pendant {reste}.",
            )
        case Phase.STRANDED:
            return Text(
                "Customers paused by the old portal's button can no longer resume by themselves.",
                "Les clients mis en pause par le bouton de l'ancien portail ne peuvent plus reprendre eux-mêmes.",
            )


def linked(stays_at: str) -> Text:
    """Say how long the link works, and where the list is after that."""
    return Text(
        f"The link opens the list of every paused subscription for at most 12 hours; it is kept for 40 days at "
        f"{stays_at}.",
        f"Le lien ouvre la liste de tous les abonnements en pause pendant 12 heures au plus ; elle est conservée 40 "
        f"jours à l'adresse {stays_at}.",
    )


def left_out(number: int, *, shown: int) -> Text:
    """Count the subjects that a group does not show."""
    if not number:
        return NO_TEXT
    return and_more(number, any_named=bool(shown), why=Text(", not shown here.", ", non affichés ici."))


def and_more(number: int, *, any_named: bool, why: Text = NO_TEXT) -> Text:
    """Count those that are not named."""
    if not number:
        return NO_TEXT
    few, peu = format_number(number), format_number(number, "fr")
    if not any_named:
        return Text(f"{few}{why.en}", f"{peu}{why.fr}")
    return Text(f"and {few} more{why.en}", f"et {peu} de plus{why.fr}")


def groups_left_out(number: int) -> Text:
    """Count the kinds of finding that the mail does not show."""
    if not number:
        return NO_TEXT
    return Text(
        f"And {count(number, 'more kind')} of finding: `portal audit` shows them.",
        f"Et {count(number, 'autre type', 'fr', plural='autres types')} de constats : `portal audit` les montre.",
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
class CustomerNames:
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
class ReportPage:
    """All that a template shows."""

    language: Language
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
    groups_left_out: str
    facts: tuple[str, ...]
    list_note: str
    list_url: str
    footer: str

    def say(self, en: str, fr: str) -> str:
        """Return the template's own words in the page's language."""
        return Text(en, fr).say(self.language)


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
        title=headline(report, language),
        figures=tuple(Figure(numbers, words) for numbers, words in figures(report, language)),
        notes=tuple(note.say(language) for note in notes(report)),
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
        groups_left_out=groups_left_out(len(groups) - len(shown)).say(language),
        facts=tuple(fact.say(language) for fact in facts(report)),
        list_note=_list_note(edition, medium).say(language),
        list_url=edition.list_link.url if edition.list_link else "",
        footer="" if medium is Medium.FILE else FOOTER.say(language),
    )


def _group(group: FindingGroup, edition: ReportView, most: int) -> PageGroup:
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
        left_out(group.size - len(rows), shown=len(rows)).say(language),
    )


def _trend(edition: ReportView) -> PageTrend | None:
    trend = trend_of(edition)
    if trend is None:
        return None
    lines = tuple(line.say(edition.language) for line in (trend.summary, *trend.money))
    return PageTrend(trend.since.say(edition.language), trend.bars, lines)


def _names(changed: ChangeSummary, edition: ReportView) -> tuple[CustomerNames, ...]:
    new = Text(f"Newly paused since {changed.since.en}:", f"Nouvellement en pause depuis {changed.since.fr} :")
    gone = Text(f"No longer paused since {changed.since.en}:", f"Sortis de pause depuis {changed.since.fr} :")
    every = ((new, changed.new, changed.new_count), (gone, changed.gone, changed.gone_count))
    return tuple(_named(words, ids, number, edition) for words, ids, number in every if number)


def _named(words: Text, ids: Sequence[str], number: int, edition: ReportView) -> CustomerNames:
    return CustomerNames(
        words.say(edition.language),
        tuple(subject_row(each, edition) for each in ids),
        and_more(number - len(ids), any_named=bool(ids)).say(edition.language),
    )


def _list_note(edition: ReportView, medium: Medium) -> Text:
    if not edition.report.paused or medium is Medium.FILE:
        return NO_TEXT
    if edition.list_link:
        return linked(edition.list_link.stays_at)
    return ATTACHED if medium is Medium.MAIL_WITH_LIST else TOO_LONG
