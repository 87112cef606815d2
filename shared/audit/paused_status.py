"""Finds `status=paused`, Stripe's real pause, and says why it came about."""

from collections.abc import Iterator

from shared.audit.check import AuditContext, Check, at
from shared.audit.report import Finding, PausedSubscription, Severity
from shared.money import monthly_amount
from shared.pause import is_paused
from shared.subscription import Subscription

NAME = "paused_status"
UNKNOWN = "unknown"

_RESUME = "resume it (Dashboard: Resume subscription; API: POST /v1/subscriptions/{id}/resume)"

# The reasons of `status_details.paused.subscription.type` (stripe-python 16.1.0, `_subscription.py`): what each means,
# and what to do.
_CAUSES = {
    "pause_requested": (
        Severity.INFO,
        "Somebody asked for this pause; Stripe does not tell whether it was the customer in the portal or the team.",
        f"Nothing, if it is meant; else {_RESUME}.",
    ),
    "trial_end_without_payment_method": (
        Severity.WARNING,
        "The trial ended and there was no payment method.",
        f"Ask the customer for a payment method, then {_RESUME}, or cancel.",
    ),
    "first_payment_failure": (
        Severity.WARNING,
        "The first payment failed.",
        f"Ask the customer for a payment method that works, then {_RESUME}, or cancel.",
    ),
    "final_payment_failure": (
        Severity.WARNING,
        "The last try of a payment failed.",
        f"Ask the customer for a payment method that works, then {_RESUME}, or cancel.",
    ),
    "system": (
        Severity.WARNING,
        "Stripe paused it by itself.",
        f"Look at the subscription's events in the Dashboard, then {_RESUME}, or cancel.",
    ),
}
_NO_CAUSE = (
    Severity.WARNING,
    "Why cannot be known: Stripe gives no cause, or one that this version does not know.",
    f"Look at the subscription's events in the Dashboard, then {_RESUME}, or cancel.",
)


def of_subscription(subscription: Subscription, audit: AuditContext) -> Iterator[Finding]:
    """Say what a real pause means; it makes no invoices and its status tells every service to stop."""
    if subscription.pause_kind != "subscription" or not is_paused(subscription, audit.now):
        return
    severity, why, action = _CAUSES.get(subscription.paused_reason or UNKNOWN, _NO_CAUSE)
    meaning = f"The subscription is paused (status paused): no new invoices, no service. {why}"
    pause = subscription.pause_collection
    if pause:
        meaning += " Its collection is paused too, and stays so when the subscription is resumed."
    facts = PausedSubscription(
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
    )
    yield Finding(NAME, severity, (subscription.id,), meaning, action, facts)


CHECK = Check(NAME, of_subscription=of_subscription)
