"""Looks whether the portal opens at all: sessions and the login page use the account's default configuration."""

from collections.abc import Iterator

from shared.audit.check import Account, AuditContext, Check, Raw
from shared.audit.finding import Finding, Severity
from shared.audit.text import Text

NAME = "default_configuration"

_MISSING = (
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
_INACTIVE = (
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


def of_account(account: Account, _audit: AuditContext) -> Iterator[Finding]:
    """Say what keeps the portal shut; an account without a subscription needs no portal."""
    if account.configurations is None or not account.subscriptions_read:
        return
    defaults = [each for each in account.configurations if each.get("is_default")]
    if not defaults:
        yield Finding(NAME, Severity.WARNING, (), *_MISSING)
    for default in defaults:
        yield from _of_default(default)


def _of_default(default: Raw) -> Iterator[Finding]:
    subjects = (str(default["id"]),)
    if not default.get("active"):
        yield Finding(NAME, Severity.WARNING, subjects, *_INACTIVE)
    elif not (default.get("login_page") or {}).get("enabled"):
        yield Finding(NAME, Severity.INFO, subjects, *_NO_LOGIN_PAGE)


CHECK = Check(
    NAME,
    Text("The portal's default configuration", "Configuration par défaut du portail"),
    (Severity.WARNING, Severity.INFO),
    of_account=of_account,
)
