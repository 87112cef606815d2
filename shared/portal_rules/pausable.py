"""Which subscriptions Stripe's real pause takes (docs.stripe.com/billing/subscriptions/pause)."""

from collections.abc import Iterator

from shared.audit.text import Text
from shared.portal_rules.answer import Reason
from shared.subscription import Subscription

# `unpaid` is not on that page, and is left alone to be safe.
_NOT_PAUSABLE = frozenset({"canceled", "incomplete", "incomplete_expired", "paused", "unpaid"})
_TRIAL = Reason(
    "trial",
    Text("A trial cannot be paused.", "Une période d'essai ne peut pas être mise en pause."),
    Text("Wait until the trial has ended.", "Attendez la fin de la période d'essai."),
)
_SEND_INVOICE = Reason(
    "send_invoice",
    Text(
        "What is paid by invoice (send_invoice) cannot be paused.",
        "Un abonnement réglé sur facture (send_invoice) ne peut pas être mis en pause.",
    ),
    Text(
        "Charge it automatically, or suspend its collection: pause_collection, in the Dashboard or the API.",
        "Prélevez-le automatiquement, ou suspendez sa collecte : pause_collection, dans le Dashboard ou l'API.",
    ),
)
_CLASSIC = Reason(
    "classic_billing_mode",
    Text(
        "billing_mode is classic.",
        "billing_mode vaut classic.",
    ),
    Text(
        "Migrate it: POST /v1/subscriptions/{id}/migrate with billing_mode[type]=flexible.",
        "Migrez-le : POST /v1/subscriptions/{id}/migrate avec billing_mode[type]=flexible.",
    ),
)
_SCHEDULE = Reason(
    "schedule",
    Text("A subscription schedule is attached.", "Un calendrier d'abonnement (subscription schedule) y est attaché."),
    Text(
        "Release the schedule (POST /v1/subscription_schedules/{id}/release).",
        "Libérez le calendrier (POST /v1/subscription_schedules/{id}/release).",
    ),
)


def pause_refusals(subscription: Subscription) -> Iterator[Reason]:
    """Answer why Stripe would refuse a real pause; it refuses a billing cadence too, which only its answer can tell."""
    status = subscription.status
    if status in _NOT_PAUSABLE:
        yield Reason(
            "status",
            Text(
                f"A subscription that is {status} cannot be paused.",
                f"Un abonnement au statut {status} ne peut pas être mis en pause.",
            ),
            Text("The status has to be active or past_due.", "Le statut doit être active ou past_due."),
        )
    if status == "trialing":
        yield _TRIAL
    if subscription.collection_method == "send_invoice":
        yield _SEND_INVOICE
    if subscription.billing_mode != "flexible":
        yield _CLASSIC
    if subscription.schedule_id:
        yield _SCHEDULE
