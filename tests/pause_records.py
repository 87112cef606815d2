"""Records and entries of the table `Pauses` for tests about what reads them, and a subscription that can be paused."""

from datetime import UTC, datetime
from typing import Any

from shared.pausing.history import HistoryEntry, PauseAction, PauseRecord, PauseState
from shared.stripe.subscription import Subscription, SubscriptionItem

DAY = 86_400
# A monthly subscription ten days before its renewal.
END = int(datetime(2027, 3, 1, 10, tzinfo=UTC).timestamp())
NOW = END - 10 * DAY
ITEM = SubscriptionItem("si_1", "price_1", "prod_1", 1, interval="month", current_period_end=END)
ACTIVE = Subscription(
    "sub_1",
    "cus_1",
    "active",
    livemode=True,
    created=NOW - 50 * DAY,
    collection_method="charge_automatically",
    billing_mode="flexible",
    current_period_end=END,
    items=(ITEM,),
)


def pause_record(subscription: str, customer: str, *, begins: int, resumes: int, **more: Any) -> PauseRecord:
    """A real pause that the customer has set and that has begun."""
    given: dict[str, Any] = {
        "operation_id": f"op_{subscription}",
        "intent": "intent",
        "kind": "subscription",
        "state": PauseState.PAUSED,
        "begin": "period_end",
        "next_charge": resumes,
        "asked_resume": "2027-01-01",
        "unused_time": "none",
        "created": begins - DAY,
        "actor": "customer",
        "has_begun": True,
        "retry_at": resumes,
    }
    return PauseRecord(subscription, customer, begins=begins, resumes=resumes, **(given | more))


def pause_entry(
    subscription: str, customer: str, action: PauseAction = PauseAction.SET, *, at: int, **more: Any
) -> HistoryEntry:
    """An entry of a real pause of 30 days that begins a day after it was set, by the customer."""
    given: dict[str, Any] = {
        "operation_id": f"op_{subscription}",
        "version": 1,
        "actor": "customer",
        "kind": "subscription",
        "begins": at + DAY,
        "resumes": at + 31 * DAY,
    }
    return HistoryEntry(subscription, customer, at=at, action=action, **(given | more))
