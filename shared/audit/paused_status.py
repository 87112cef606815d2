"""Finds `status=paused`, Stripe's real pause, and says why it came about."""

from collections.abc import Iterator

from shared.audit.check import AuditContext, Check, at
from shared.audit.finding import Finding, PausedSubscription, Severity
from shared.audit.text import Text, joined
from shared.money import monthly_amount
from shared.pause import is_paused
from shared.subscription import Subscription

NAME = "paused_status"
UNKNOWN = "unknown"

_RESUME = Text(
    "resume it (Dashboard: Resume subscription; API: POST /v1/subscriptions/{id}/resume)",
    "reprenez-le (Dashboard : « Reprendre l'abonnement » ; API : POST /v1/subscriptions/{id}/resume)",
)
_UNLESS_MEANT = Text(
    f"Nothing, if it is meant; else {_RESUME.en}.", f"Rien, si cette pause est voulue ; sinon, {_RESUME.fr}."
)
_NEW_METHOD = Text(
    f"Ask the customer for a payment method that works, then {_RESUME.en}, or cancel.",
    f"Demandez au client un moyen de paiement valable, puis {_RESUME.fr}, ou résiliez-le.",
)
_LOOK = Text(
    f"Look at the subscription's events in the Dashboard, then {_RESUME.en}, or cancel.",
    f"Consultez les événements de l'abonnement dans le Dashboard, puis {_RESUME.fr}, ou résiliez-le.",
)

# The reasons of `status_details.paused.subscription.type` (stripe-python 16.1.0, `_subscription.py`): what each means,
# and what to do.
_CAUSES = {
    "pause_requested": (
        Severity.INFO,
        Text(
            "Somebody asked for this pause; Stripe does not tell whether the customer did, in the portal, or the team.",
            "Cette pause a été demandée ; Stripe n'indique pas si c'est par le client dans le portail ou par l'équipe.",
        ),
        _UNLESS_MEANT,
    ),
    "trial_end_without_payment_method": (
        Severity.WARNING,
        Text(
            "The trial ended and there was no payment method.",
            "La période d'essai s'est terminée sans moyen de paiement.",
        ),
        _NEW_METHOD,
    ),
    "first_payment_failure": (
        Severity.WARNING,
        Text("The first payment failed.", "Le premier paiement a échoué."),
        _NEW_METHOD,
    ),
    "final_payment_failure": (
        Severity.WARNING,
        Text("The last try of a payment failed.", "La dernière tentative de paiement a échoué."),
        _NEW_METHOD,
    ),
    "system": (
        Severity.WARNING,
        Text("Stripe paused it by itself.", "Stripe l'a mis en pause de lui-même."),
        _LOOK,
    ),
}
_NO_CAUSE = (
    Severity.WARNING,
    Text(
        "Why cannot be known: Stripe gives no cause, or one that this version does not know.",
        "La cause est inconnue : Stripe n'en donne pas, ou en donne une que cette version ne connaît pas.",
    ),
    _LOOK,
)
_PAUSED = Text(
    "The subscription is paused (status paused): no new invoices, no service.",
    "L'abonnement est en pause (statut paused) : pas de nouvelle facture, pas de service.",
)
_COLLECTION_TOO = Text(
    "Its collection is paused too, and stays so when the subscription is resumed.",
    "La collecte de ses paiements est suspendue elle aussi, et le restera à la reprise de l'abonnement.",
)


def of_subscription(subscription: Subscription, audit: AuditContext) -> Iterator[Finding]:
    """Say what a real pause means; it makes no invoices and its status tells every service to stop."""
    if subscription.pause_kind != "subscription" or not is_paused(subscription, audit.now):
        return
    severity, why, action = _CAUSES.get(subscription.paused_reason or UNKNOWN, _NO_CAUSE)
    meaning = [_PAUSED, why] + ([_COLLECTION_TOO] if subscription.pause_collection else [])
    yield Finding(NAME, severity, (subscription.id,), joined(meaning), action, _facts(subscription))


def _facts(subscription: Subscription) -> PausedSubscription:
    pause = subscription.pause_collection
    return PausedSubscription(
        subscription.id,
        subscription.customer_id,
        subscription.status,
        "subscription",
        pause.behavior if pause else None,
        at(pause.resumes_at) if pause else None,
        at(subscription.paused_at),
        paused_since_is_exact=subscription.paused_at is not None,
        cause=subscription.paused_reason or UNKNOWN,
        monthly=monthly_amount(subscription),
        served_free=False,
        created=at(subscription.created),
        current_period_end=at(subscription.current_period_end),
        trial_end=at(subscription.trial_end),
        canceled_at=at(subscription.canceled_at),
        items=subscription.items,
    )


CHECK = Check(
    NAME,
    Text("Subscription paused", "Abonnement en pause"),
    (Severity.WARNING, Severity.INFO),
    of_subscription=of_subscription,
)
