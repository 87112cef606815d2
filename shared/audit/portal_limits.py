"""Counts the subscriptions that the portal can only cancel, or not even that, with the reason for each."""

from collections.abc import Iterator

from shared.audit.check import AuditContext, Check
from shared.audit.finding import Finding, Severity
from shared.audit.text import Text
from shared.subscription import Subscription

NAME = "portal_limits"

# docs.stripe.com/customer-management, "limitations". An unsupported payment method is one too: to see it would cost a
# request for each subscription.
_ONLY_CANCEL = Text(
    "In the portal customers can only cancel these: ",
    "Dans le portail, les clients ne peuvent que résilier ces abonnements : ",
)
_ITEMS = Text("they have several products.", "ils comportent plusieurs produits.")
_METERED = Text("they have usage-based prices.", "ils ont des tarifs à l'usage.")
_SEND_INVOICE = Text(
    "they are paid by invoice (send_invoice).", "ils sont réglés sur facture envoyée au client (send_invoice)."
)
_SCHEDULED = Text(
    "A subscription schedule is attached to these: while it plans an update, customers can neither change nor cancel "
    "them in the portal.",
    "Un calendrier d'abonnement (subscription schedule) est attaché à ces abonnements : tant qu'il prévoit une "
    "modification, les clients ne peuvent ni les modifier ni les résilier dans le portail.",
)
_ACTION = Text(
    "Nothing, if customers know whom to ask; else offer the change on your own site.",
    "Rien, si les clients savent à qui s'adresser ; sinon, proposez la modification sur votre propre site.",
)


def of_subscription(subscription: Subscription, _audit: AuditContext) -> Iterator[Finding]:
    """Say it once a reason, not once a subscription: it is a fact to know of, not a fault."""
    if subscription.ended or subscription.status == "incomplete":
        return
    for meaning in _reasons(subscription):
        yield Finding(NAME, Severity.INFO, (subscription.id,), meaning, _ACTION, sampled=True)


def _reasons(subscription: Subscription) -> Iterator[Text]:
    if subscription.schedule_id:
        yield _SCHEDULED
    if len(subscription.items) > 1:
        yield _only_cancel(_ITEMS)
    if any(item.usage_type == "metered" for item in subscription.items):
        yield _only_cancel(_METERED)
    if subscription.collection_method == "send_invoice":
        yield _only_cancel(_SEND_INVOICE)


def _only_cancel(reason: Text) -> Text:
    return Text(_ONLY_CANCEL.en + reason.en, _ONLY_CANCEL.fr + reason.fr)


CHECK = Check(
    NAME,
    Text("Subscriptions that the portal cannot change", "Abonnements que le portail ne peut pas modifier"),
    (Severity.INFO,),
    of_subscription=of_subscription,
)
