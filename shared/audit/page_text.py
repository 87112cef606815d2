"""The words of the report's page that belong to no single finding."""

from collections.abc import Iterator

from shared.audit.edition import Edition
from shared.audit.finding import Severity
from shared.audit.headline import INCOMPLETE, is_all_clear, served_free_words
from shared.audit.report import Report
from shared.audit.text import NOTHING, Language, Text, count, format_date, format_number, format_time
from shared.money import format_amount, format_amounts
from shared.pause import Phase

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
    "begin with Audit (docs/audit.md).",
    "Pour ne plus recevoir cet e-mail, ou pour en changer les destinataires, l'heure ou la langue : les paramètres de "
    "la pile CloudFormation qui commencent par Audit (docs/audit.md).",
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


def kicker(edition: Edition) -> Text:
    """What this is, of which account mode, and of when."""
    report = edition.report
    local = report.as_of.astimezone(report.timezone)
    test = Text(f", {_TEST.en}", f", {_TEST.fr}") if report.livemode is False else NOTHING
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
        return NOTHING
    return and_more(number, any_named=bool(shown), why=Text(", not shown here.", ", non affichés ici."))


def and_more(number: int, *, any_named: bool, why: Text = NOTHING) -> Text:
    """Count those that are not named."""
    if not number:
        return NOTHING
    few, peu = format_number(number), format_number(number, "fr")
    if not any_named:
        return Text(f"{few}{why.en}", f"{peu}{why.fr}")
    return Text(f"and {few} more{why.en}", f"et {peu} de plus{why.fr}")


def groups_left_out(number: int) -> Text:
    """Count the kinds of finding that the mail does not show."""
    if not number:
        return NOTHING
    return Text(
        f"And {count(number, 'more kind')} of finding: `portal audit` shows them.",
        f"Et {count(number, 'autre type', 'fr', plural='autres types')} de constats : `portal audit` les montre.",
    )
