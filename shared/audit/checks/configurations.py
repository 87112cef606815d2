"""Looks whether the portal opens at all: sessions and the login page use the account's default configuration."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from shared.audit.check import Account, AuditContext, Check
from shared.audit.findings import Finding, Severity
from shared.i18n import Text, count, format_date, joined
from shared.portal.pause import Phase
from shared.stripe.gateway import StripeJson

DEFAULT_CONFIGURATION_NAME = "default_configuration"

_DEFAULT_MISSING = (
    Text(
        "The account has no default portal configuration: no portal opens unless a configuration is named.",
        "Le compte n'a pas de configuration par défaut du portail : aucun portail ne s'ouvre sans configuration "
        "désignée.",
    ),
    Text(
        "Save the customer portal's settings once in the Dashboard (Settings, Billing, Customer portal).",
        "Enregistrez une fois les paramètres du portail client dans le Dashboard (Paramètres, Billing, Portail "
        "client).",
    ),
)
_DEFAULT_INACTIVE = (
    Text(
        "The default portal configuration is inactive: no portal opens unless another is named.",
        "La configuration par défaut du portail est inactive : aucun portail ne s'ouvre sans en désigner une autre.",
    ),
    Text("Activate it (API: active=true).", "Activez-la (API : active=true)."),
)
_NO_LOGIN_PAGE = (
    Text(
        "The login page of the default configuration is off: links without a token lead nowhere, and Checkout's limit "
        "of one subscription a customer is off with it.",
        "La page de connexion de la configuration par défaut est désactivée : les liens sans jeton ne mènent nulle "
        "part, et la limite d'un abonnement par client dans Checkout est désactivée avec elle.",
    ),
    Text(
        "Switch the login link on in the portal's settings, unless every customer comes from your own site.",
        "Activez le lien de connexion dans les paramètres du portail, sauf si tous vos clients passent par votre "
        "propre site.",
    ),
)


def find_default_faults(account: Account, _audit: AuditContext) -> Iterator[Finding]:
    """Say what keeps the portal shut; an account without a subscription needs no portal."""
    if account.configurations is None or not account.subscriptions_read:
        return
    defaults = [each for each in account.configurations if each.get("is_default")]
    if not defaults:
        yield Finding(DEFAULT_CONFIGURATION_NAME, Severity.WARNING, (), *_DEFAULT_MISSING)
    for default in defaults:
        yield from _of_default(default)


def _of_default(default: StripeJson) -> Iterator[Finding]:
    subjects = (str(default["id"]),)
    if not default.get("active"):
        yield Finding(DEFAULT_CONFIGURATION_NAME, Severity.WARNING, subjects, *_DEFAULT_INACTIVE)
    elif not (default.get("login_page") or {}).get("enabled"):
        yield Finding(DEFAULT_CONFIGURATION_NAME, Severity.INFO, subjects, *_NO_LOGIN_PAGE)


DEFAULT_CONFIGURATION = Check(
    DEFAULT_CONFIGURATION_NAME,
    Text("The portal's default configuration", "Configuration par défaut du portail"),
    (Severity.WARNING, Severity.INFO),
    of_account=find_default_faults,
)


CONFIGURATION_LINKS_NAME = "configuration_links"

_RETURN = Text("a return URL (default_return_url)", "l'URL de retour (default_return_url)")
_TERMS = Text("the terms of service", "les conditions d'utilisation")
_PRIVACY = Text("the privacy policy", "la politique de confidentialité")
_LINKS_ACTION = Text(
    "Add them in the portal's settings, or with the API for a configuration that came from there.",
    "Ajoutez-les dans les paramètres du portail, ou par l'API pour une configuration créée par l'API.",
)


def find_missing_links(configuration: StripeJson, _audit: AuditContext) -> Iterator[Finding]:
    """Say which are missing; a portal session may still bring a return URL of its own."""
    if not configuration.get("active"):
        return
    profile = configuration.get("business_profile") or {}
    present = (
        (_RETURN, configuration.get("default_return_url")),
        (_TERMS, profile.get("terms_of_service_url")),
        (_PRIVACY, profile.get("privacy_policy_url")),
    )
    missing = joined((name for name, value in present if not value), between=", ")
    if missing.en:
        meaning = Text(
            f"This portal configuration lacks: {missing.en}.",
            f"Il manque à cette configuration du portail : {missing.fr}.",
        )
        yield Finding(CONFIGURATION_LINKS_NAME, Severity.INFO, (str(configuration["id"]),), meaning, _LINKS_ACTION)


CONFIGURATION_LINKS = Check(
    CONFIGURATION_LINKS_NAME,
    Text("Links missing in a portal configuration", "Liens manquants dans une configuration du portail"),
    (Severity.INFO,),
    of_configuration=find_missing_links,
)


CONFIGURATION_UPDATES_NAME = "configuration_updates"
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


def find_update_faults(configuration: StripeJson, _audit: AuditContext) -> Iterator[Finding]:
    """Say what does not fit together."""
    features = configuration.get("features") or {}
    update = features.get("subscription_update") or {}
    if not (configuration.get("active") and update.get("enabled")):
        return
    subjects = (str(configuration["id"]),)
    if not (features.get("payment_method_update") or {}).get("enabled"):
        yield Finding(CONFIGURATION_UPDATES_NAME, Severity.WARNING, subjects, *_WITHOUT_PAYMENT_METHOD)
    if len(update.get("products") or ()) > MOST_PRODUCTS:
        yield Finding(CONFIGURATION_UPDATES_NAME, Severity.WARNING, subjects, *_TOO_MANY_PRODUCTS)


CONFIGURATION_UPDATES = Check(
    CONFIGURATION_UPDATES_NAME,
    Text("Plan changes that cannot work", "Changements d'offre impossibles"),
    (Severity.WARNING,),
    of_configuration=find_update_faults,
)


DUPLICATE_PRICES_NAME = "duplicate_prices"


def find_duplicate_prices(configuration: StripeJson, audit: AuditContext) -> Iterator[Finding]:
    """Name the products; only those with several prices cost a request, at most ten of them a configuration."""
    update = (configuration.get("features") or {}).get("subscription_update") or {}
    if not (configuration.get("active") and update.get("enabled")):
        return
    several = [each for each in update.get("products") or () if len(each.get("prices") or ()) > 1]
    twice = [str(each["product"]) for each in several[:MOST_PRODUCTS] if _is_listed_twice(each, audit)]
    if twice:
        names = ", ".join(twice)
        yield Finding(
            DUPLICATE_PRICES_NAME,
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


def _is_listed_twice(product: StripeJson, audit: AuditContext) -> bool:
    listed = set(product["prices"])
    kinds = Counter(_kind(price) for price in audit.prices_of(str(product["product"])) if price.get("id") in listed)
    return any(number > 1 for number in kinds.values())


def _kind(price: StripeJson) -> tuple[object, ...]:
    recurring = price.get("recurring") or {}
    return price.get("currency"), recurring.get("interval"), recurring.get("interval_count")


DUPLICATE_PRICES = Check(
    DUPLICATE_PRICES_NAME,
    Text("Two prices of one interval", "Deux tarifs pour une même période"),
    (Severity.WARNING,),
    of_configuration=find_duplicate_prices,
)


OLD_PORTAL_PAUSE_NAME = "old_portal_pause"

_ACTIVE = Text(
    "This portal configuration has features.subscription_pause in its old form.",
    "Cette configuration du portail utilise l'ancienne forme de features.subscription_pause.",
)
_INACTIVE = Text(
    "This inactive portal configuration has features.subscription_pause in its old form.",
    "Cette configuration inactive du portail utilise l'ancienne forme de features.subscription_pause.",
)


def find_old_pause(configuration: Mapping[str, Any], audit: AuditContext) -> Iterator[Finding]:
    """Say what the withdrawn form means today.

    It is `features.subscription_pause` with `enabled` alone (until API 2024-04-10). The feature of the same name that
    came with API 2026-10-28.endive always shows a `duration`, and is no fault.
    """
    feature = (configuration.get("features") or {}).get("subscription_pause") or {}
    if not feature.get("enabled") or feature.get("duration"):
        return
    active = bool(configuration.get("active"))
    severity, meaning, action = _by_phase(audit)
    yield Finding(
        OLD_PORTAL_PAUSE_NAME,
        severity if active else Severity.INFO,
        (str(configuration["id"]),),
        joined((_ACTIVE if active else _INACTIVE, meaning)),
        action,
    )


def _by_phase(audit: AuditContext) -> tuple[Severity, Text, Text]:
    match audit.phase:
        case Phase.BUTTON_AVAILABLE:
            return (Severity.INFO, *_button_available(format_date(audit.cutoff_on), format_date(audit.cutoff_on, "fr")))
        case Phase.RESUME_ONLY:
            return (Severity.WARNING, *_resume_only(audit))
        case Phase.STRANDED:
            return (Severity.WARNING, *_stranded(format_date(audit.cutoff_on), format_date(audit.cutoff_on, "fr")))


def _button_available(day: str, jour: str) -> tuple[Text, Text]:
    return (
        Text(
            "Customers can pause the collection of their payments themselves; the status stays active.",
            "Les clients peuvent suspendre eux-mêmes la collecte de leurs paiements ; le statut reste active.",
        ),
        Text(
            f"Plan for the end of the button: from {day} customers cannot resume by themselves.",
            f"Préparez la fin du bouton : à partir du {jour}, les clients ne pourront plus reprendre eux-mêmes leurs "
            "paiements.",
        ),
    )


def _resume_only(audit: AuditContext) -> tuple[Text, Text]:
    day, jour = format_date(audit.cutoff_on), format_date(audit.cutoff_on, "fr")
    left, reste = count(audit.days_left, "day"), count(audit.days_left, "jour", "fr")
    return (
        Text(
            f"Customers can no longer pause, only resume, until {day} ({left} left).",
            f"Les clients ne peuvent plus suspendre leurs paiements, seulement les reprendre, jusqu'au {jour} "
            f"(encore {reste}).",
        ),
        Text(
            f"Ask paused customers to resume while they can, and stop sending the parameter by {day}.",
            "Invitez les clients concernés à reprendre leurs paiements tant qu'ils le peuvent, et cessez de "
            f"transmettre ce paramètre d'ici le {jour}.",
        ),
    )


def _stranded(day: str, jour: str) -> tuple[Text, Text]:
    return (
        Text(
            f"Since {day} it neither pauses nor resumes, and code that sends it may get an error.",
            f"Depuis le {jour}, elle ne permet ni de suspendre ni de reprendre, et le code qui la transmet peut "
            "recevoir une erreur.",
        ),
        Text(
            "Stop sending the old form. Today's pause wants a duration beside it (API 2026-10-28.endive or later).",
            "Cessez de transmettre l'ancienne forme. La pause actuelle demande en plus une durée, duration (API "
            "2026-10-28.endive ou plus récente).",
        ),
    )


OLD_PORTAL_PAUSE = Check(
    OLD_PORTAL_PAUSE_NAME,
    Text("Old pause button in a portal configuration", "Ancien bouton de pause dans une configuration du portail"),
    (Severity.WARNING, Severity.INFO),
    of_configuration=find_old_pause,
)


PORTAL_PAUSE_NAME = "portal_pause"

_UNITS = {
    "day": (Text("day", "jour"), Text("days", "jours")),
    "week": (Text("week", "semaine"), Text("weeks", "semaines")),
    "month": (Text("month", "mois"), Text("months", "mois")),
    "year": (Text("year", "an"), Text("years", "ans")),
}
_WITHOUT_END = Text(
    "Customers can pause by themselves in the portal, without an end.",
    "Les clients peuvent mettre eux-mêmes leur abonnement en pause dans le portail, sans limite de durée.",
)
_PAUSE_ACTION = Text(
    "Nothing, if it is meant. Such a pause is a real one: status paused, no invoices, and access should stop.",
    "Rien, si cela est voulu. Cette pause est réelle : statut paused, aucune facture, et l'accès doit cesser.",
)


def find_portal_pause(configuration: StripeJson, _audit: AuditContext) -> Iterator[Finding]:
    """Say for how long: the form with `duration` came with API 2026-10-28.endive."""
    feature = (configuration.get("features") or {}).get("subscription_pause") or {}
    duration = feature.get("duration")
    if not (feature.get("enabled") and duration and configuration.get("active")):
        return
    yield Finding(PORTAL_PAUSE_NAME, Severity.INFO, (str(configuration["id"]),), _meaning(duration), _PAUSE_ACTION)


def _meaning(duration: StripeJson) -> Text:
    if duration.get("type") == "indefinite":
        return _WITHOUT_END
    spans = joined((_span(each) for each in duration.get("interval_options") or ()), between=", ")
    return Text(
        f"Customers can pause by themselves in the portal, for up to: {spans.en or 'one month'}.",
        "Les clients peuvent mettre eux-mêmes leur abonnement en pause dans le portail, durées proposées : "
        f"{spans.fr or 'un mois'}.",
    )


def _span(option: StripeJson) -> Text:
    number, interval = int(option.get("interval_count") or 1), str(option["interval"])
    one, several = _UNITS.get(interval, (Text(interval, interval), Text(interval, interval)))
    unit = one if number == 1 else several
    return Text(f"{number} {unit.en}", f"{number} {unit.fr}")


PORTAL_PAUSE = Check(
    PORTAL_PAUSE_NAME,
    Text("Customers can pause in the portal", "Les clients peuvent faire une pause dans le portail"),
    (Severity.INFO,),
    of_configuration=find_portal_pause,
)
