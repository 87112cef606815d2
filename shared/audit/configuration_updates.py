"""Finds active portal configurations whose plan changes cannot work as they are set up."""

from collections.abc import Iterator

from shared.audit.check import AuditContext, Check, Raw
from shared.audit.finding import Finding, Severity
from shared.audit.text import Text

NAME = "configuration_updates"
# docs.stripe.com/customer-management, "limitations"
MOST_PRODUCTS = 10

_WITHOUT_PAYMENT_METHOD = (
    Text(
        "Plan changes are on and payment method updates are off: Stripe refuses to save that today.",
        "Le changement d'offre est activé sans la mise à jour du moyen de paiement : Stripe refuse aujourd'hui "
        "d'enregistrer cela.",
    ),
    Text("Switch payment method updates on.", "Activez la mise à jour du moyen de paiement."),
)
_TOO_MANY_PRODUCTS = (
    Text(
        f"More than {MOST_PRODUCTS} products are offered for plan changes: the portal takes {MOST_PRODUCTS}.",
        f"Plus de {MOST_PRODUCTS} produits sont proposés au changement d'offre : le portail en accepte "
        f"{MOST_PRODUCTS}.",
    ),
    Text(
        "Offer fewer products, or split them over configurations for groups of customers.",
        "Proposez moins de produits, ou répartissez-les entre des configurations par groupe de clients.",
    ),
)


def of_configuration(configuration: Raw, _audit: AuditContext) -> Iterator[Finding]:
    """Say what does not fit together."""
    features = configuration.get("features") or {}
    update = features.get("subscription_update") or {}
    if not (configuration.get("active") and update.get("enabled")):
        return
    subjects = (str(configuration["id"]),)
    if not (features.get("payment_method_update") or {}).get("enabled"):
        yield Finding(NAME, Severity.WARNING, subjects, *_WITHOUT_PAYMENT_METHOD)
    if len(update.get("products") or ()) > MOST_PRODUCTS:
        yield Finding(NAME, Severity.WARNING, subjects, *_TOO_MANY_PRODUCTS)


CHECK = Check(
    NAME,
    Text("Plan changes that cannot work", "Changements d'offre impossibles"),
    (Severity.WARNING,),
    of_configuration=of_configuration,
)
