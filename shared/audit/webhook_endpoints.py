"""Looks at the health of the webhook endpoints that hear of subscriptions: a deaf one lets the mirror drift."""

from collections.abc import Iterator

from shared.audit.check import Account, AuditContext, Check, Raw
from shared.audit.finding import Finding, Severity
from shared.audit.text import Text

NAME = "webhook_endpoints"
NEEDED = tuple(f"customer.subscription.{what}" for what in ("created", "updated", "deleted", "paused", "resumed"))
# The first version whose subscriptions say why they are paused (`status_details`).
TELLS_THE_CAUSE = "2026-09-30"

_DISABLED = (
    Text(
        "This webhook endpoint is disabled: Stripe sends it nothing, and does not try again later.",
        "Ce point de terminaison de webhook est désactivé : Stripe ne lui envoie rien, et ne réessaiera pas.",
    ),
    Text(
        "Mend what made it fail, enable it (Dashboard: Webhooks), then run `portal reconcile`.",
        "Corrigez la cause de l'échec, réactivez-le (Dashboard : Webhooks), puis lancez `portal reconcile`.",
    ),
)
_NONE_OF_OURS = (
    Text(
        "No webhook endpoint of the account has this deployment's address.",
        "Aucun point de terminaison de webhook du compte ne porte l'adresse de ce déploiement.",
    ),
    Text(
        "Add one for customer.subscription.*, unless events come through EventBridge or an event destination.",
        "Ajoutez-en un pour customer.subscription.*, sauf si les événements passent par EventBridge ou par une "
        "destination d'événements.",
    ),
)
_OLD_VERSION = (
    Text(
        f"This webhook endpoint's API version is older than {TELLS_THE_CAUSE}: its events do not tell why a "
        "subscription is paused.",
        f"La version d'API de ce point de terminaison est antérieure à {TELLS_THE_CAUSE} : ses événements ne disent "
        "pas pourquoi un abonnement est en pause.",
    ),
    Text(
        "Nothing has to be done: every version since 2019 is read. A new endpoint would tell more.",
        "Rien d'obligatoire : toutes les versions depuis 2019 sont lues. Un nouveau point de terminaison en dirait "
        "davantage.",
    ),
)
_ADD_TYPES = Text("Add these types to the endpoint.", "Ajoutez ces types au point de terminaison.")


def of_account(account: Account, _audit: AuditContext) -> Iterator[Finding]:
    """Say what is wrong; without the deployment's address every endpoint that hears of subscriptions is looked at."""
    if account.webhook_endpoints is None:
        return
    ours = [
        each for each in account.webhook_endpoints if account.webhook_url and each.get("url") == account.webhook_url
    ]
    if account.webhook_url and not ours:
        yield Finding(NAME, Severity.WARNING, (), *_NONE_OF_OURS)
    for endpoint in ours:
        yield from _of_endpoint(endpoint, Severity.CRITICAL, Severity.WARNING)
    if not account.webhook_url:
        for endpoint in account.webhook_endpoints:
            if any(map(_is_about_subscriptions, endpoint.get("enabled_events") or ())):
                yield from _of_endpoint(endpoint, Severity.WARNING, Severity.INFO)


def _of_endpoint(endpoint: Raw, disabled: Severity, deaf: Severity) -> Iterator[Finding]:
    subjects = (str(endpoint["id"]),)
    if endpoint.get("status") == "disabled":
        yield Finding(NAME, disabled, subjects, *_DISABLED)
        return
    missing = _missing_types(endpoint)
    if missing:
        meaning = Text(
            f"This webhook endpoint does not hear of: {', '.join(missing)}.",
            f"Ce point de terminaison de webhook ne reçoit pas : {', '.join(missing)}.",
        )
        yield Finding(NAME, deaf, subjects, meaning, _ADD_TYPES)
    version = endpoint.get("api_version")
    if version and str(version)[:10] < TELLS_THE_CAUSE:
        yield Finding(NAME, Severity.INFO, subjects, *_OLD_VERSION)


def _missing_types(endpoint: Raw) -> list[str]:
    enabled = endpoint.get("enabled_events") or ()
    return [] if "*" in enabled else [needed for needed in NEEDED if needed not in enabled]


def _is_about_subscriptions(event_type: str) -> bool:
    return event_type == "*" or event_type.startswith("customer.subscription.")


CHECK = Check(
    NAME,
    Text("Webhook endpoints", "Points de terminaison de webhook"),
    (Severity.CRITICAL, Severity.WARNING, Severity.INFO),
    of_account=of_account,
)
