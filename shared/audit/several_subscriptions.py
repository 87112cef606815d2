"""Counts the customers who have several live subscriptions, which most sites take for a mistake."""

from collections.abc import Iterator

from shared.audit.check import AuditContext, Check
from shared.audit.customers import MOST_CUSTOMERS
from shared.audit.finding import Finding, Severity
from shared.audit.text import Text, format_number
from shared.subscription import LIVE_STATUSES, Subscription

NAME = "several_subscriptions"

_MEANING = Text(
    "These customers have several live subscriptions and may pay twice "
    f"(looked for among the {format_number(MOST_CUSTOMERS)} customers with the newest subscriptions).",
    "Ces clients ont plusieurs abonnements en cours et paient peut-être deux fois "
    f"(recherche limitée aux {format_number(MOST_CUSTOMERS, 'fr')} clients aux abonnements les plus récents).",
)
_ACTION = Text(
    "Nothing, if you sell several; else cancel the surplus, and limit Checkout to one subscription a customer.",
    "Rien, si vous en vendez plusieurs ; sinon, résiliez l'abonnement en trop et limitez Checkout à un abonnement par "
    "client.",
)


def of_subscription(subscription: Subscription, audit: AuditContext) -> Iterator[Finding]:
    """Name a customer once, at the second live subscription."""
    live = subscription.status in LIVE_STATUSES
    if live and audit.customers.is_seen_for_the_second_time(subscription.customer_id):
        yield Finding(NAME, Severity.INFO, (subscription.customer_id,), _MEANING, _ACTION, sampled=True)


CHECK = Check(
    NAME,
    Text("Customers with several subscriptions", "Clients ayant plusieurs abonnements"),
    (Severity.INFO,),
    of_subscription=of_subscription,
)
