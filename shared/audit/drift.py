"""Tells how far the mirror had drifted from Stripe, and what the audit repaired of it."""

from collections.abc import Iterator

from shared.audit.check import Account, AuditContext, Check
from shared.audit.drift_seen import DriftSeen
from shared.audit.finding import Finding, Severity
from shared.audit.text import Text, count, format_number, joined

NAME = "drift"


def of_account(account: Account, _audit: AuditContext) -> Iterator[Finding]:
    """Say how many subscriptions differed: repaired or not, an event was lost on its way."""
    seen = account.drift
    if seen is None:
        return
    if seen.given_up:
        yield Finding(NAME, Severity.WARNING, (), _given_up(seen.asked), _CHECK_THE_KEY)
    if seen.drifted:
        yield _drifted(seen)
    odd = sum(seen.found.values()) - seen.drifted
    if odd:
        yield Finding(NAME, Severity.INFO, seen.odd, _ODD, _LEAVE, more=odd - len(seen.odd))


def _drifted(seen: DriftSeen) -> Finding:
    drifted = seen.drifted
    how_many = Text(
        f"{count(drifted, 'subscription')} differed from Stripe in the mirror.",
        f"{count(drifted, 'abonnement', 'fr')} {'différait' if drifted == 1 else 'différaient'} de Stripe dans le "
        "miroir.",
    )
    whole = seen.repaired == drifted and not seen.failed
    return Finding(
        NAME,
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
_ODD = Text(
    "The mirror holds subscriptions that Stripe does not have, or has of another customer.",
    "Le miroir contient des abonnements que Stripe ne connaît pas, ou attribue à un autre client.",
)
_LEAVE = Text(
    "Nothing, if test clocks were deleted or another account was used before; else look at each in the Dashboard.",
    "Rien, si des horloges de test ont été supprimées ou si un autre compte était utilisé auparavant ; sinon, "
    "consultez chacun d'eux dans le Dashboard.",
)

CHECK = Check(
    NAME,
    Text("The mirror had drifted", "Le miroir avait dérivé"),
    (Severity.WARNING, Severity.INFO),
    of_account=of_account,
)
