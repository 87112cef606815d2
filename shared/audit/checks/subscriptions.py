"""Subscriptions that the portal cannot change, or not even cancel, and customers with several subscriptions."""

from collections.abc import Iterator

from shared.audit.check import MOST_CUSTOMERS, AuditContext, Check
from shared.audit.findings import Finding, Severity
from shared.i18n import _
from shared.portal.changes import limits_of
from shared.stripe.subscription import LIVE_STATUSES, Subscription

PORTAL_LIMITS_NAME = "portal_limits"

# By the reason's code. An unsupported payment method is a limit too: to see it would cost a request per subscription.
_LIMITS = {
    "scheduled_update": _(
        "A subscription schedule is attached to these: while it plans an update, customers can neither change nor "
        "cancel them in the portal."
    ),
    "several_items": _(
        "In the portal customers can cancel these, but not change their plan: they have several products."
    ),
    "metered": _("In the portal customers can cancel these, but not change their plan: they have usage-based prices."),
    "send_invoice": _(
        "In the portal customers can cancel these, but not change their plan: they are paid by invoice (send_invoice)."
    ),
}
_LIMITS_ACTION = _("Nothing, if customers know whom to ask; otherwise offer the change on your own site.")


def find_portal_limits(subscription: Subscription, _audit: AuditContext) -> Iterator[Finding]:
    """Say it once per reason, not once per subscription: it is a fact to know, not a fault."""
    if subscription.ended or subscription.status == "incomplete":
        return
    for limit in limits_of(subscription):
        code = limit.reason.code
        yield Finding(
            PORTAL_LIMITS_NAME,
            Severity.INFO,
            (subscription.id,),
            _LIMITS[code],
            _LIMITS_ACTION,
            sampled=True,
            code=code,
        )


PORTAL_LIMITS = Check(
    PORTAL_LIMITS_NAME,
    _("Subscriptions that the portal cannot change"),
    (Severity.INFO,),
    reports="several products, usage-based prices, `send_invoice`, an attached schedule: a count for each reason",
    of_subscription=find_portal_limits,
)


SEVERAL_SUBSCRIPTIONS_NAME = "several_subscriptions"

_SEVERAL = Finding(
    SEVERAL_SUBSCRIPTIONS_NAME,
    Severity.INFO,
    (),
    _(
        "These customers have several live subscriptions and may pay twice (checked for the {limit} customers with the "
        "newest subscriptions).",
        limit=MOST_CUSTOMERS,
    ),
    _(
        "Nothing, if you sell several; otherwise cancel the surplus, and limit Checkout to one subscription per "
        "customer."
    ),
    sampled=True,
)


def find_several(subscription: Subscription, audit: AuditContext) -> Iterator[Finding]:
    """Name a customer once, at the second live subscription."""
    live = subscription.status in LIVE_STATUSES
    if live and audit.customers.is_seen_for_the_second_time(subscription.customer_id):
        yield _SEVERAL.about(subscription.customer_id)


SEVERAL_SUBSCRIPTIONS = Check(
    SEVERAL_SUBSCRIPTIONS_NAME,
    _("Customers with several subscriptions"),
    (Severity.INFO,),
    reports="more than one live subscription; among 100,000 customers, newest subscriptions first",
    of_subscription=find_several,
)
