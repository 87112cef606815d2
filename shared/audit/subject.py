"""The subject line of the mail: what matters first, so that a phone's list shows it."""

from shared.audit.changed import what_changed
from shared.audit.edition import Edition
from shared.audit.groups import groups_of, urgent
from shared.audit.headline import is_all_clear
from shared.audit.report import Report
from shared.audit.text import NOTHING, Text, count, format_number, signed
from shared.money import format_amounts

# About what a phone shows of a subject on two lines.
LONGEST = 62
MOST_AMOUNTS = 2


def subject(edition: Edition) -> str:
    """Answer the subject; it never sounds surer than the report is."""
    report = edition.report
    words = _subject(edition)
    if report.livemode is False:
        words = Text(f"[test] {words.en}", f"[test] {words.fr}")
    return words.say(edition.language)


def _subject(edition: Edition) -> Text:
    report = edition.report
    if not report.complete:
        return _incomplete(report)
    if report.served_free_count:
        return _served_free(edition)
    if is_all_clear(report):
        paused = len(report.paused)
        return Text(
            "Stripe audit: all clear" + (f", {format_number(paused)} paused" if paused else ""),
            "Audit Stripe : rien à signaler" + (f", {format_number(paused, 'fr')} en pause" if paused else ""),
        )
    return _findings(report)


def _incomplete(report: Report) -> Text:
    if not report.served_free_count:
        return Text("Stripe audit incomplete, please look", "Audit Stripe incomplet, à vérifier")
    customers = report.customers_served_free
    return Text(
        f"Stripe audit incomplete: at least {count(customers, 'customer')} served for free",
        f"Audit Stripe incomplet : au moins {count(customers, 'client', 'fr')} {_servis(customers)} sans payer",
    )


def _served_free(edition: Edition) -> Text:
    report = edition.report
    customers = report.customers_served_free
    who = Text(count(customers, "customer"), count(customers, "client", "fr"))
    money = _money(report)
    what = Text(f"served for free{money.en}", f"{_servis(customers)} sans payer{money.fr}")
    changed = what_changed(edition)
    if changed is None or not changed.customers:
        return Text(f"{who.en} {what.en}", f"{who.fr} {what.fr}")
    more = Text(
        signed(changed.customers, format_number(abs(changed.customers))),
        signed(changed.customers, format_number(abs(changed.customers), "fr")),
    )
    whole = Text(
        f"{who.en} {what.en} ({more.en} since {changed.since.en})",
        f"{who.fr} {what.fr} ({more.fr} depuis {changed.since.fr})",
    )
    if len(whole.say(edition.language)) <= LONGEST:
        return whole
    return Text(f"{who.en} ({more.en}) {what.en}", f"{who.fr} ({more.fr}) {what.fr}")


def _money(report: Report) -> Text:
    if not report.totals:
        return NOTHING
    least, moins = ("at least ", "au moins ") if report.unknown_amounts else ("", "")
    shown, others = report.totals, NOTHING
    if len(report.totals) > MOST_AMOUNTS:
        shown = dict(list(report.totals.items())[:1])
        number = len(report.totals) - 1
        others = Text(f" and {number} other currencies", f" et {number} autres devises")
    return Text(
        f", {least}{format_amounts(shown)}{others.en} a month",
        f", {moins}{format_amounts(shown, 'fr')}{others.fr} par mois",
    )


def _findings(report: Report) -> Text:
    """Nobody is served for free, and still somebody has to look."""
    what = urgent(groups_of(report, 0))
    return Text(
        f"Stripe audit: {what.en}, nobody served for free",
        f"Audit Stripe : {what.fr}, personne n'est servi sans payer",
    )


def _servis(customers: int) -> str:
    return "servi" if customers in (0, 1) else "servis"
