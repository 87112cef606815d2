"""Checks of portal configurations: the rules of `shared.portal.rules`, the default one, and who can pause."""

from collections.abc import Iterator
from functools import partial

from shared.audit.check import AccountFacts, AuditContext, Check
from shared.audit.findings import Finding, Severity
from shared.i18n import Text, joined
from shared.portal import rules
from shared.portal.configuration import Configuration, PauseDuration
from shared.portal.rules import MOST_PRODUCTS, RULES, Rule, interval_text
from shared.stripe.gateway import StripeJson

# The audit's word for the severity of a rule.
SEVERITIES = {
    rules.Severity.ERROR: Severity.CRITICAL,
    rules.Severity.WARNING: Severity.WARNING,
    rules.Severity.INFO: Severity.INFO,
}


def find_problems(rule: Rule, raw: StripeJson, audit: AuditContext) -> Iterator[Finding]:
    """Apply a rule to a configuration of the account.

    Nobody sees an inactive configuration, and Stripe deletes none: of those only advice is reported.
    """
    configuration = Configuration.from_stripe(raw)
    is_used = configuration.active or configuration.default
    if rule.compares_prices and is_used:
        configuration = _with_prices(configuration, audit)
    for problem in rule.problems(configuration, audit.pause_day):
        if is_used or problem.severity is rules.Severity.INFO:
            severity = SEVERITIES[problem.severity]
            yield Finding(rule.code, severity, (str(raw["id"]),), problem.message, problem.fix)


def _with_prices(configuration: Configuration, audit: AuditContext) -> Configuration:
    """Read the prices of the products that offer several, at the cost of a request for each of the first ten."""
    update = configuration.features.subscription_update
    several = [each for each in update.offered_products if update.enabled and len(each.prices) > 1]
    prices = {str(price["id"]): price for each in several[:MOST_PRODUCTS] for price in audit.prices_of(each.product)}
    return configuration.with_prices(prices.get)


CHECKS_OF_RULES = tuple(
    Check(
        rule.code,
        rule.title,
        tuple(SEVERITIES[severity] for severity in rule.severities),
        of_configuration=partial(find_problems, rule),
    )
    for rule in RULES
)


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


def find_default_faults(account: AccountFacts, _audit: AuditContext) -> Iterator[Finding]:
    """Report a missing default, or one without a login page; an account without subscriptions needs no portal."""
    if account.configurations is None or not account.subscriptions_read:
        return
    defaults = [each for each in account.configurations if each.get("is_default")]
    if not defaults:
        yield Finding(DEFAULT_CONFIGURATION_NAME, Severity.WARNING, (), *_DEFAULT_MISSING)
    for raw in defaults:
        default = Configuration.from_stripe(raw)
        if default.active and not default.login_page.enabled:
            yield Finding(DEFAULT_CONFIGURATION_NAME, Severity.INFO, (str(raw["id"]),), *_NO_LOGIN_PAGE)


DEFAULT_CONFIGURATION = Check(
    DEFAULT_CONFIGURATION_NAME,
    Text("The portal's default configuration", "Configuration par défaut du portail"),
    (Severity.WARNING, Severity.INFO),
    of_account=find_default_faults,
)


PORTAL_PAUSE_NAME = "portal_pause"

_WITHOUT_END = Text(
    "Customers can pause by themselves in the portal, without an end.",
    "Les clients peuvent mettre eux-mêmes leur abonnement en pause dans le portail, sans limite de durée.",
)
_PAUSE_ACTION = Text(
    "Nothing, if it is meant. Such a pause is a real one: status paused, no invoices, and access should stop.",
    "Rien, si cela est voulu. Cette pause est réelle : statut paused, aucune facture, et l'accès doit cesser.",
)


def find_portal_pause(raw: StripeJson, _audit: AuditContext) -> Iterator[Finding]:
    """Report that customers can pause, and for how long. The old form is a rule's subject."""
    configuration = Configuration.from_stripe(raw)
    pause = configuration.features.subscription_pause
    if configuration.active and pause.enabled and pause.duration:
        meaning = _lengths(pause.duration)
        yield Finding(PORTAL_PAUSE_NAME, Severity.INFO, (str(raw["id"]),), meaning, _PAUSE_ACTION)


def _lengths(duration: PauseDuration) -> Text:
    if duration.type == "indefinite":
        return _WITHOUT_END
    lengths = joined((interval_text(each.interval_count, each.interval) for each in duration.interval_options), ", ")
    return Text(
        f"Customers can pause by themselves in the portal, for up to: {lengths.en}.",
        "Les clients peuvent mettre eux-mêmes leur abonnement en pause dans le portail, durées proposées : "
        f"{lengths.fr}.",
    )


PORTAL_PAUSE = Check(
    PORTAL_PAUSE_NAME,
    Text("Customers can pause in the portal", "Les clients peuvent faire une pause dans le portail"),
    (Severity.INFO,),
    of_configuration=find_portal_pause,
)
