"""Python 3.11 or newer, with boto3: the mirror's items, as they are in DynamoDB. Every time is in Unix seconds."""

from decimal import Decimal
from typing import Any, Literal, NotRequired, TypedDict, cast

from boto3.dynamodb.conditions import Key


class PauseCollection(TypedDict):
    behavior: str  # void, keep_as_draft, mark_uncollectible
    resumes_at: Decimal | None


class SubscriptionItem(TypedDict):
    id: str
    price_id: NotRequired[str]
    product_id: NotRequired[str]
    quantity: NotRequired[Decimal]
    unit_amount_decimal: NotRequired[str]
    currency: NotRequired[str]
    interval: NotRequired[str]
    interval_count: Decimal
    usage_type: NotRequired[str]
    billing_scheme: NotRequired[str]
    quantity_divide_by: NotRequired[Decimal]
    quantity_round: NotRequired[str]
    current_period_end: NotRequired[Decimal]


class MirroredSubscription(TypedDict):
    customer_id: str
    subscription_id: str
    status: str
    livemode: bool
    cancel_at_period_end: bool
    items: list[SubscriptionItem]
    as_of: Decimal
    revision: Decimal
    created: NotRequired[Decimal]
    currency: NotRequired[str]
    collection_method: NotRequired[str]
    billing_mode: NotRequired[str]
    schedule_id: NotRequired[str]
    cancel_at: NotRequired[Decimal]
    canceled_at: NotRequired[Decimal]
    ended_at: NotRequired[Decimal]
    trial_end: NotRequired[Decimal]
    current_period_end: NotRequired[Decimal]
    cancellation_reason: NotRequired[str]
    pause_collection: NotRequired[PauseCollection]
    pause_kind: NotRequired[Literal["collection", "subscription"]]
    paused_reason: NotRequired[str]
    paused_at: NotRequired[Decimal]
    paused_since: NotRequired[Decimal]
    paused_since_exact: NotRequired[bool]
    past_due_since: NotRequired[Decimal]
    past_due_since_exact: NotRequired[bool]
    paid_through: NotRequired[Decimal]
    settling: NotRequired[Decimal]
    event_id: NotRequired[str]
    account: NotRequired[str]
    delivery_lag: NotRequired[Decimal]
    stamp_lag: NotRequired[Decimal]
    expires_at: NotRequired[Decimal]


def subscriptions_of(table: Any, customer: str) -> list[MirroredSubscription]:
    """A customer's subscriptions. `table`: `boto3.resource("dynamodb").Table(TableName)`, by the stack's output."""
    own = Key("customer_id").eq(customer) & Key("subscription_id").begins_with("sub_")
    query: dict[str, Any] = {"KeyConditionExpression": own, "ConsistentRead": True}
    found: list[MirroredSubscription] = []
    while True:
        page = table.query(**query)
        found += cast("list[MirroredSubscription]", page["Items"])
        if "LastEvaluatedKey" not in page:
            return found
        query["ExclusiveStartKey"] = page["LastEvaluatedKey"]
