"""One plain form of a Stripe subscription, whatever API version it was rendered at."""

from dataclasses import dataclass
from typing import Literal

PauseKind = Literal["collection", "subscription"]

ENDED_STATUSES = frozenset({"canceled", "incomplete_expired"})
# Whoever has one of these counts as subscribed (docs.stripe.com/payments/checkout/limit-subscriptions), and so does a
# trial, which becomes one of them.
LIVE_STATUSES = frozenset({"active", "past_due", "paused", "trialing", "unpaid"})


@dataclass(frozen=True, slots=True)
class SubscriptionItem:
    """One price of a subscription; amounts are Stripe's decimal strings in the currency's smallest unit."""

    id: str
    price_id: str | None = None
    product_id: str | None = None
    quantity: int | None = None
    unit_amount_decimal: str | None = None
    currency: str | None = None
    interval: str | None = None
    interval_count: int = 1
    usage_type: str | None = None
    billing_scheme: str | None = None
    quantity_divide_by: int | None = None
    quantity_round: str | None = None
    current_period_end: int | None = None


@dataclass(frozen=True, slots=True)
class PauseCollection:
    """Stripe's `pause_collection`: invoices are not collected, the status stays what it was."""

    behavior: str
    resumes_at: int | None = None


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription as the bundle knows it; every time is in Unix seconds."""

    id: str
    customer_id: str
    status: str
    livemode: bool
    created: int | None = None
    currency: str | None = None
    collection_method: str | None = None
    billing_mode: str | None = None
    schedule_id: str | None = None
    cancel_at: int | None = None
    cancel_at_period_end: bool = False
    canceled_at: int | None = None
    ended_at: int | None = None
    trial_end: int | None = None
    pause_collection: PauseCollection | None = None
    paused_reason: str | None = None
    paused_at: int | None = None
    current_period_end: int | None = None
    items: tuple[SubscriptionItem, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether it is over for good: Stripe never revives these statuses."""
        return self.status in ENDED_STATUSES

    @property
    def pause_kind(self) -> PauseKind | None:
        """Which of Stripe's two pauses the object shows; a `resumes_at` that has passed is the reader's to judge."""
        if self.ended:
            return None
        if self.status == "paused":
            return "subscription"
        return "collection" if self.pause_collection else None
