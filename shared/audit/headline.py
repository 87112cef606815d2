"""The report in one sentence: who is served for free, and what that costs a month."""

from shared.audit.finding import Severity
from shared.audit.report import Report
from shared.audit.text import Language, Text, count
from shared.money import format_amounts

_NOBODY = Text("No customer is served for free.", "Aucun client ne bénéficie du service sans payer.")
INCOMPLETE = Text(
    "The audit is incomplete: see its critical findings.", "L'audit est incomplet : voir ses constats critiques."
)


def is_all_clear(report: Report) -> bool:
    """Whether nobody has to look: all was read, nobody is served for free, and no finding is worse than information."""
    return report.complete and not report.served_free_count and report.severities() <= {Severity.INFO}


def headline(report: Report, language: Language = "en") -> str:
    """Say how many customers are served for free and the sum a month; never more certain than the report is."""
    sentence = (_served_free(report) if report.served_free_count else _NOBODY).say(language)
    return sentence if report.complete else f"{sentence} {INCOMPLETE.say(language)}"


def _served_free(report: Report) -> Text:
    who = _who(report.customers_served_free)
    if not report.totals:
        return Text(
            f"{who.en}; how much a month is not collected cannot be known.",
            f"{who.fr} ; le montant mensuel non encaissé est inconnu.",
        )
    amounts = Text(format_amounts(report.totals), format_amounts(report.totals, "fr"))
    if not report.unknown_amounts:
        return Text(
            f"{who.en}: {amounts.en} a month not collected.", f"{who.fr} : {amounts.fr} par mois non encaissés."
        )
    unknown = count(report.unknown_amounts, "subscription")
    inconnus = count(report.unknown_amounts, "abonnement", "fr")
    return Text(
        f"{who.en}: at least {amounts.en} a month not collected (the amount of {unknown} cannot be known).",
        f"{who.fr} : au moins {amounts.fr} par mois non encaissés (montant inconnu pour {inconnus}).",
    )


def _who(customers: int) -> Text:
    what = served_free_words(customers)
    return Text(f"{count(customers, 'customer')} {what.en}", f"{count(customers, 'client', 'fr')} {what.fr}")


def served_free_words(customers: int) -> Text:
    """What is said of so many customers."""
    one = customers == 1
    return Text(
        f"{'is' if one else 'are'} served for free", f"{'bénéficie' if one else 'bénéficient'} du service sans payer"
    )
