"""Counts the subscriptions whose plan the portal cannot change, or not even cancel, with the reason for each."""

from collections.abc import Iterator

from shared.audit.check import AuditContext, Check
from shared.audit.finding import Finding, Severity
from shared.audit.text import Text
from shared.portal_rules.limits import limits_of
from shared.subscription import Subscription

NAME = "portal_limits"

# An unsupported payment method is a limit too: to see it would cost a request for each subscription.
_CANCEL = Text(
    "In the portal customers can cancel these, but not change their plan: ",
    "Dans le portail, les clients peuvent résilier ces abonnements, mais pas en changer l'offre : ",
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
    for limit in limits_of(subscription):
        yield limit.of_many if limit.forbids_cancelling else _may_cancel(limit.of_many)


def _may_cancel(reason: Text) -> Text:
    return Text(_CANCEL.en + reason.en, _CANCEL.fr + reason.fr)


CHECK = Check(
    NAME,
    Text("Subscriptions that the portal cannot change", "Abonnements que le portail ne peut pas modifier"),
    (Severity.INFO,),
    of_subscription=of_subscription,
)
