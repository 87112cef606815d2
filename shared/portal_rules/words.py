"""The words around an explanation, for the terminal and for a page."""

from shared.audit.text import Text
from shared.portal_rules.answer import Answer
from shared.portal_rules.payment_methods import TABLE, Support

YES, NO = Text("yes", "oui"), Text("no", "non")
PORTAL = Text("the portal", "le portail")
LIFTED_BY = Text("What would lift it:", "Ce qui le permettrait :")
AGES = Text("Pausing in the portal, through the years", "La pause dans le portail, au fil des ans")
DAY, PAUSE, RESUME = Text("Day", "Jour"), Text("Can pause", "Peut suspendre"), Text("Can resume", "Peut reprendre")
TERMINAL = Text("The same from a terminal", "La même chose depuis un terminal")
ACCESS = Text("Access", "Accès")
SUPPORT = {
    Support.YES: YES,
    Support.NO: Text("not in this country", "pas dans ce pays"),
    Support.UNKNOWN: Text("see Stripe's table", "voir le tableau de Stripe"),
}
METHODS_SOURCE = Text(f"Stripe's table: {TABLE}", f"Le tableau de Stripe : {TABLE}")


def verdict(answer: Answer) -> Text:
    """The question with its answer in a word."""
    word = YES if answer.possible else NO
    return Text(f"{answer.title.en}: {word.en}", f"{answer.title.fr} : {word.fr}")


def methods_title(country: str | None) -> Text:
    """Say whose country it is: the Stripe account's, not the customer's."""
    if country is None:
        return Text("Payment methods in the portal", "Moyens de paiement dans le portail")
    return Text(
        f"Payment methods in the portal of a Stripe account in {country.upper()}",
        f"Moyens de paiement dans le portail d'un compte Stripe du pays {country.upper()}",
    )


def unread(permission: str) -> Text:
    """Say which permission the key lacks."""
    return Text(
        f"The API key may not read: {permission}. What depends on it is not known (docs/deploy.md).",
        f"La clé API n'a pas le droit de lire : {permission}. Ce qui en dépend est inconnu (docs/deploy.md).",
    )
