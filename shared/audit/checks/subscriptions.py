"""Counts the subscriptions whose plan the portal cannot change, or not even cancel, with the reason for each."""

from collections.abc import Iterator

from shared.audit.check import MOST_CUSTOMERS, AuditContext, Check
from shared.audit.findings import Finding, Severity
from shared.i18n import Text, format_number
from shared.portal.changes import limits_of
from shared.stripe.subscription import LIVE_STATUSES, Subscription

PORTAL_LIMITS_NAME = "portal_limits"

# An unsupported payment method is a limit too: to see it would cost a request for each subscription.
_CANCEL = Text(
    "In the portal customers can cancel these, but not change their plan: ",
    "Dans le portail, les clients peuvent résilier ces abonnements, mais pas en changer l'offre : ",
)
_LIMITS_ACTION = Text(
    "Nothing, if customers know whom to ask; else offer the change on your own site.",
    "Rien, si les clients savent à qui s'adresser ; sinon, proposez la modification sur votre propre site.",
)


def find_portal_limits(subscription: Subscription, _audit: AuditContext) -> Iterator[Finding]:
    """Say it once a reason, not once a subscription: it is a fact to know of, not a fault."""
    if subscription.ended or subscription.status == "incomplete":
        return
    for meaning in _reasons(subscription):
        yield Finding(PORTAL_LIMITS_NAME, Severity.INFO, (subscription.id,), meaning, _LIMITS_ACTION, sampled=True)


def _reasons(subscription: Subscription) -> Iterator[Text]:
    for limit in limits_of(subscription):
        yield limit.of_many if limit.forbids_cancelling else _may_cancel(limit.of_many)


def _may_cancel(reason: Text) -> Text:
    return Text(_CANCEL.en + reason.en, _CANCEL.fr + reason.fr)


PORTAL_LIMITS = Check(
    PORTAL_LIMITS_NAME,
    Text("Subscriptions that the portal cannot change", "Abonnements que le portail ne peut pas modifier"),
    (Severity.INFO,),
    of_subscription=find_portal_limits,
)


SEVERAL_SUBSCRIPTIONS_NAME = "several_subscriptions"

_SEVERAL_MEANING = Text(
    "These customers have several live subscriptions and may pay twice "
    f"(looked for among the {format_number(MOST_CUSTOMERS)} customers with the newest subscriptions).",
    "Ces clients ont plusieurs abonnements en cours et paient peut-être deux fois "
    f"(recherche limitée aux {format_number(MOST_CUSTOMERS, 'fr')} clients aux abonnements les plus récents).",
)
_SEVERAL_ACTION = Text(
    "Nothing, if you sell several; else cancel the surplus, and limit Checkout to one subscription a customer.",
    "Rien, si vous en vendez plusieurs ; sinon, résiliez l'abonnement en trop et limitez Checkout à un abonnement par "
    "client.",
)


def find_several(subscription: Subscription, audit: AuditContext) -> Iterator[Finding]:
    """Name a customer once, at the second live subscription."""
    live = subscription.status in LIVE_STATUSES
    if live and audit.customers.is_seen_for_the_second_time(subscription.customer_id):
        yield Finding(
            SEVERAL_SUBSCRIPTIONS_NAME,
            Severity.INFO,
            (subscription.customer_id,),
            _SEVERAL_MEANING,
            _SEVERAL_ACTION,
            sampled=True,
        )


SEVERAL_SUBSCRIPTIONS = Check(
    SEVERAL_SUBSCRIPTIONS_NAME,
    Text("Customers with several subscriptions", "Clients ayant plusieurs abonnements"),
    (Severity.INFO,),
    of_subscription=find_several,
)
