"""Stripe's limits on what the portal changes (docs.stripe.com/customer-management, "limitations"), in two languages."""

from collections.abc import Iterator
from dataclasses import dataclass

from shared.audit.text import Text
from shared.portal_rules.answer import Reason
from shared.subscription import Subscription


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit that the subscription alone shows: said of one, and of many after "customers can cancel these, but"."""

    reason: Reason
    of_many: Text
    forbids_cancelling: bool = False


SCHEDULED = Limit(
    Reason(
        "scheduled_update",
        Text(
            "A subscription schedule plans an update: until then the portal neither changes nor cancels it.",
            "Un calendrier d'abonnement (subscription schedule) prévoit une modification : jusque-là, le portail ne "
            "permet ni de modifier ni de résilier cet abonnement.",
        ),
        Text(
            "Release the schedule (POST /v1/subscription_schedules/{id}/release), or wait until its last phase began.",
            "Libérez le calendrier (POST /v1/subscription_schedules/{id}/release), ou attendez le début de sa dernière "
            "phase.",
        ),
    ),
    Text(
        "A subscription schedule is attached to these: while it plans an update, customers can neither change nor "
        "cancel them in the portal.",
        "Un calendrier d'abonnement (subscription schedule) est attaché à ces abonnements : tant qu'il prévoit une "
        "modification, les clients ne peuvent ni les modifier ni les résilier dans le portail.",
    ),
    forbids_cancelling=True,
)
SEVERAL_ITEMS = Limit(
    Reason(
        "several_items",
        Text("It has several products.", "Il comporte plusieurs produits."),
        Text(
            "Sell one product a subscription: split it into several subscriptions.",
            "Vendez un seul produit par abonnement : répartissez-le en plusieurs abonnements.",
        ),
    ),
    Text("they have several products.", "ils comportent plusieurs produits."),
)
METERED = Limit(
    Reason(
        "metered",
        Text("It has usage-based prices.", "Il a un tarif à l'usage."),
        Text(
            "A licensed price (usage_type=licensed); usage-based prices are changed through the API only.",
            "Un tarif fixe (usage_type=licensed) ; un tarif à l'usage ne se modifie que par l'API.",
        ),
    ),
    Text("they have usage-based prices.", "ils ont des tarifs à l'usage."),
)
SEND_INVOICE = Limit(
    Reason(
        "send_invoice",
        Text(
            "It is paid by invoice (collection_method=send_invoice).",
            "Il est réglé sur facture envoyée au client (collection_method=send_invoice).",
        ),
        Text(
            "Charge it automatically: set collection_method=charge_automatically, once a payment method is there.",
            "Prélevez-le automatiquement : collection_method=charge_automatically, dès qu'un moyen de paiement est "
            "enregistré.",
        ),
    ),
    Text("they are paid by invoice (send_invoice).", "ils sont réglés sur facture envoyée au client (send_invoice)."),
)


def limits_of(subscription: Subscription, *, update_is_planned: bool | None = None) -> Iterator[Limit]:
    """Answer the limits that a subscription itself shows; `None`: nobody has read the attached schedule."""
    if subscription.schedule_id and update_is_planned is not False:
        yield SCHEDULED
    if len(subscription.items) > 1:
        yield SEVERAL_ITEMS
    if any(item.usage_type == "metered" for item in subscription.items):
        yield METERED
    if subscription.collection_method == "send_invoice":
        yield SEND_INVOICE
