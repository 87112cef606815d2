"""Finds products that a portal configuration offers with two prices of one interval and currency."""

from collections import Counter
from collections.abc import Iterator

from shared.audit.check import AuditContext, Check, Raw
from shared.audit.configuration_updates import MOST_PRODUCTS
from shared.audit.finding import Finding, Severity
from shared.audit.text import Text

NAME = "duplicate_prices"


def of_configuration(configuration: Raw, audit: AuditContext) -> Iterator[Finding]:
    """Name the products; only those with several prices cost a request, at most ten of them a configuration."""
    update = (configuration.get("features") or {}).get("subscription_update") or {}
    if not (configuration.get("active") and update.get("enabled")):
        return
    several = [each for each in update.get("products") or () if len(each.get("prices") or ()) > 1]
    twice = [str(each["product"]) for each in several[:MOST_PRODUCTS] if _is_listed_twice(each, audit)]
    if twice:
        names = ", ".join(twice)
        yield Finding(
            NAME,
            Severity.WARNING,
            (str(configuration["id"]),),
            Text(
                f"The same product is offered with two prices of one interval and currency: {names}. Stripe refuses "
                "to save that.",
                f"Le même produit est proposé avec deux tarifs de même période et de même devise : {names}. Stripe "
                "refuse d'enregistrer cela.",
            ),
            Text(
                "Keep one price per interval and currency; make a second product of the other.",
                "Gardez un seul tarif par période et par devise ; faites de l'autre un second produit.",
            ),
        )


def _is_listed_twice(product: Raw, audit: AuditContext) -> bool:
    listed = set(product["prices"])
    kinds = Counter(_kind(price) for price in audit.prices_of(str(product["product"])) if price.get("id") in listed)
    return any(number > 1 for number in kinds.values())


def _kind(price: Raw) -> tuple[object, ...]:
    recurring = price.get("recurring") or {}
    return price.get("currency"), recurring.get("interval"), recurring.get("interval_count")


CHECK = Check(
    NAME,
    Text("Two prices of one interval", "Deux tarifs pour une même période"),
    (Severity.WARNING,),
    of_configuration=of_configuration,
)
