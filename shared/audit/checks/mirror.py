"""Looks at the health of the webhook endpoints that hear of subscriptions: a deaf one lets the mirror drift."""

from collections.abc import Iterator

from shared.audit.check import Account, AuditContext, Check, DriftTotals, at
from shared.audit.findings import Finding, Severity
from shared.i18n import Text, count, format_date, format_number, joined
from shared.stripe.gateway import StripeJson

WEBHOOK_ENDPOINTS_NAME = "webhook_endpoints"
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


def find_endpoint_faults(account: Account, _audit: AuditContext) -> Iterator[Finding]:
    """Say what is wrong; without the deployment's address every endpoint that hears of subscriptions is looked at."""
    if account.webhook_endpoints is None:
        return
    ours = [
        each for each in account.webhook_endpoints if account.webhook_url and each.get("url") == account.webhook_url
    ]
    if account.webhook_url and not ours:
        yield Finding(WEBHOOK_ENDPOINTS_NAME, Severity.WARNING, (), *_NONE_OF_OURS)
    for endpoint in ours:
        yield from _of_endpoint(endpoint, Severity.CRITICAL, Severity.WARNING)
    if not account.webhook_url:
        for endpoint in account.webhook_endpoints:
            if any(map(_is_about_subscriptions, endpoint.get("enabled_events") or ())):
                yield from _of_endpoint(endpoint, Severity.WARNING, Severity.INFO)


def _of_endpoint(endpoint: StripeJson, disabled: Severity, deaf: Severity) -> Iterator[Finding]:
    subjects = (str(endpoint["id"]),)
    if endpoint.get("status") == "disabled":
        yield Finding(WEBHOOK_ENDPOINTS_NAME, disabled, subjects, *_DISABLED)
        return
    missing = _missing_types(endpoint)
    if missing:
        meaning = Text(
            f"This webhook endpoint does not hear of: {', '.join(missing)}.",
            f"Ce point de terminaison de webhook ne reçoit pas : {', '.join(missing)}.",
        )
        yield Finding(WEBHOOK_ENDPOINTS_NAME, deaf, subjects, meaning, _ADD_TYPES)
    version = endpoint.get("api_version")
    if version and str(version)[:10] < TELLS_THE_CAUSE:
        yield Finding(WEBHOOK_ENDPOINTS_NAME, Severity.INFO, subjects, *_OLD_VERSION)


def _missing_types(endpoint: StripeJson) -> list[str]:
    enabled = endpoint.get("enabled_events") or ()
    return [] if "*" in enabled else [needed for needed in NEEDED if needed not in enabled]


def _is_about_subscriptions(event_type: str) -> bool:
    return event_type == "*" or event_type.startswith("customer.subscription.")


WEBHOOK_ENDPOINTS = Check(
    WEBHOOK_ENDPOINTS_NAME,
    Text("Webhook endpoints", "Points de terminaison de webhook"),
    (Severity.CRITICAL, Severity.WARNING, Severity.INFO),
    of_account=find_endpoint_faults,
)


UNDELIVERED_EVENTS_NAME = "undelivered_events"
# Stripe keeps trying for three days (docs.stripe.com/webhooks): what is older is given up.
_UNDELIVERED_ACTION = Text(
    "Look at the endpoint's failed deliveries in the Dashboard (Webhooks), mend them, then run `portal reconcile`.",
    "Consultez les envois en échec dans le Dashboard (Webhooks), corrigez-les, puis lancez `portal reconcile`.",
)


def find_undelivered(account: Account, _audit: AuditContext) -> Iterator[Finding]:
    """Say how many and since when; one of the account's other endpoints may be the one that failed."""
    if not account.undelivered:
        return
    oldest = account.undelivered[-1]
    day = at(int(oldest["created"]))
    assert day is not None  # noqa: S101 - `at` only answers nothing for nothing
    number = len(account.undelivered)
    least, moins = ("", "") if account.undelivered_whole else ("At least ", "Au moins ")
    yield Finding(
        UNDELIVERED_EVENTS_NAME,
        Severity.WARNING,
        (str(oldest["id"]),),
        Text(
            f"{least}{format_number(number)} of the events about subscriptions did not reach every endpoint; the "
            f"oldest that was read is of {format_date(day.date())} (UTC).",
            f"{moins}{format_number(number, 'fr')} des événements d'abonnement n'ont pas atteint tous leurs "
            f"destinataires ; le plus ancien parmi ceux qui ont été lus date du {format_date(day.date(), 'fr')} (UTC).",
        ),
        _UNDELIVERED_ACTION,
    )


UNDELIVERED_EVENTS = Check(
    UNDELIVERED_EVENTS_NAME,
    Text("Undelivered events", "Événements non remis"),
    (Severity.WARNING,),
    of_account=find_undelivered,
)


DRIFT_NAME = "drift"


def find_drift(account: Account, _audit: AuditContext) -> Iterator[Finding]:
    """Say how many subscriptions differed: repaired or not, an event was lost on its way."""
    seen = account.drift
    if seen is None:
        return
    if seen.given_up:
        yield Finding(DRIFT_NAME, Severity.WARNING, (), _given_up(seen.asked), _CHECK_THE_KEY)
    if seen.drifted:
        yield _drifted(seen)
    others = sum(seen.found.values()) - seen.drifted
    if others:
        yield Finding(
            DRIFT_NAME,
            Severity.INFO,
            seen.not_repairable,
            _NOT_REPAIRABLE,
            _LEAVE,
            more=others - len(seen.not_repairable),
        )


def _drifted(seen: DriftTotals) -> Finding:
    drifted = seen.drifted
    how_many = Text(
        f"{count(drifted, 'subscription')} differed from Stripe in the mirror.",
        f"{count(drifted, 'abonnement', 'fr')} {'différait' if drifted == 1 else 'différaient'} de Stripe dans le "
        "miroir.",
    )
    whole = seen.repaired == drifted and not seen.failed
    return Finding(
        DRIFT_NAME,
        Severity.WARNING,
        seen.subjects,
        joined((how_many, _REPAIRED if whole else _NOT_REPAIRED)),
        _LOOK if whole else _RECONCILE,
        more=drifted - len(seen.subjects),
    )


def _given_up(asked: int) -> Text:
    return Text(
        f"The mirror holds more than {format_number(asked)} subscriptions that Stripe's list of those not canceled "
        "does not have; no more of them were asked for.",
        f"Le miroir contient plus de {format_number(asked, 'fr')} abonnements absents de la liste des abonnements non "
        "résiliés de Stripe ; les autres n'ont pas été vérifiés.",
    )


_CHECK_THE_KEY = Text(
    "Check that stripe_api_key in the secret is of the account and the mode whose events you receive, then run `portal "
    "reconcile --repair`, which asks for each.",
    "Vérifiez que stripe_api_key, dans le secret, est bien une clé du compte et du mode dont vous recevez les "
    "événements, puis lancez `portal reconcile --repair`, qui les vérifie tous.",
)
_REPAIRED = Text(
    "The audit has repaired that; until then services were told what was no longer so.",
    "L'audit l'a réparé ; jusque-là, vos services recevaient une information périmée.",
)
_NOT_REPAIRED = Text(
    "Not all of that is repaired: services are told what is not so.",
    "Tout n'est pas réparé : vos services reçoivent une information inexacte.",
)
_LOOK = Text(
    "Look at the webhook endpoint's failed deliveries (Dashboard, Webhooks), and at the webhook's log.",
    "Consultez les envois en échec du point de terminaison (Dashboard, Webhooks) et le journal du webhook.",
)
_RECONCILE = Text(
    "Run `portal reconcile --repair`, which names what it cannot repair.",
    "Lancez `portal reconcile --repair`, qui nomme ce qu'il ne peut pas réparer.",
)
_NOT_REPAIRABLE = Text(
    "The mirror holds subscriptions that Stripe does not have, or has of another customer.",
    "Le miroir contient des abonnements que Stripe ne connaît pas, ou attribue à un autre client.",
)
_LEAVE = Text(
    "Nothing, if test clocks were deleted or another account was used before; else look at each in the Dashboard.",
    "Rien, si des horloges de test ont été supprimées ou si un autre compte était utilisé auparavant ; sinon, "
    "consultez chacun d'eux dans le Dashboard.",
)

DRIFT = Check(
    DRIFT_NAME,
    Text("The mirror had drifted", "Le miroir avait dérivé"),
    (Severity.WARNING, Severity.INFO),
    of_account=find_drift,
)
