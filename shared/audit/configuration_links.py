"""Finds active portal configurations without the links that Stripe's page asks for, and its API does not."""

from collections.abc import Iterator

from shared.audit.check import AuditContext, Check, Raw
from shared.audit.finding import Finding, Severity
from shared.audit.text import Text, joined

NAME = "configuration_links"

_RETURN = Text("a return URL (default_return_url)", "l'URL de retour (default_return_url)")
_TERMS = Text("the terms of service", "les conditions d'utilisation")
_PRIVACY = Text("the privacy policy", "la politique de confidentialité")
_ACTION = Text(
    "Add them in the portal's settings, or with the API for a configuration that came from there.",
    "Ajoutez-les dans les paramètres du portail, ou par l'API pour une configuration créée par l'API.",
)


def of_configuration(configuration: Raw, _audit: AuditContext) -> Iterator[Finding]:
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
        yield Finding(NAME, Severity.INFO, (str(configuration["id"]),), meaning, _ACTION)


CHECK = Check(
    NAME,
    Text("Links missing in a portal configuration", "Liens manquants dans une configuration du portail"),
    (Severity.INFO,),
    of_configuration=of_configuration,
)
