"""One plain form of a Stripe subscription, whatever API version it was rendered at, and whether it is paused."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, AliasPath, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic import ValidationError as PydanticValidationError

from shared.errors import UnreadableEvent, sentence

PauseKind = Literal["collection", "subscription"]

PAST_DUE_STATUSES = frozenset({"past_due", "unpaid"})
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
    # Not compared: items that an earlier version wrote do not have it, and are no different for that.
    cancellation_reason: str | None = field(default=None, compare=False)
    items: tuple[SubscriptionItem, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether it is over for good: Stripe never revives these statuses."""
        return self.status in ENDED_STATUSES

    @property
    def is_past_due(self) -> bool:
        """Whether an invoice was not paid in time, whether or not Stripe still tries to collect it."""
        return self.status in PAST_DUE_STATUSES

    @property
    def is_canceling(self) -> bool:
        """Whether it is set to end, at the end of its period or at a date."""
        return self.cancel_at is not None or self.cancel_at_period_end

    def is_pause_running(self, at: float) -> bool:
        """Whether it is paused, and not over, at that time (Unix seconds)."""
        return not self.ended and not is_collected(self, at=at)

    @property
    def pause_kind(self) -> PauseKind | None:
        """Which of Stripe's two pauses the object shows; a `resumes_at` that has passed is the reader's to judge."""
        if self.ended:
            return None
        if self.status == "paused":
            return "subscription"
        return "collection" if self.pause_collection else None


def _id_of(value: Any) -> Any:
    """Stripe sends a reference as an id, or as the whole object where it was expanded."""
    return value["id"] if isinstance(value, Mapping) and "id" in value else value


def _kind_of(value: Any) -> Any:
    """`billing_mode` was a bare string in its previews, and is a hash today."""
    return value.get("type") if isinstance(value, Mapping) else value


def _text(value: Any) -> Any:
    """The wire has numbers as strings or as integers, by field and version."""
    return None if value is None else str(value)


# The limits stand first: behind the validator pydantic would check them in Python.
Id = Annotated[str, Field(min_length=1, max_length=255), BeforeValidator(_id_of)]
Word = Annotated[str, Field(max_length=255)]
Seconds = Annotated[int, Field(ge=0, lt=10**11)]
Decimal = Annotated[str, Field(max_length=40), BeforeValidator(_text)]
# DynamoDB's largest number is far beyond; this only keeps nonsense out.
Quantity = Annotated[int, Field(ge=0, lt=10**15)]


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())


class _Item(_Shape):
    id: Id
    price_id: Id | None = Field(None, validation_alias=AliasChoices(AliasPath("price", "id"), AliasPath("plan", "id")))
    product_id: Id | None = Field(
        None,
        validation_alias=AliasChoices(AliasPath("price", "product"), AliasPath("plan", "product")),
    )
    quantity: Quantity | None = None
    unit_amount_decimal: Decimal | None = Field(
        None,
        validation_alias=AliasChoices(
            AliasPath("price", "unit_amount_decimal"),
            AliasPath("price", "unit_amount"),
            AliasPath("plan", "amount_decimal"),
            AliasPath("plan", "amount"),
        ),
    )
    currency: Word | None = Field(
        None,
        validation_alias=AliasChoices(AliasPath("price", "currency"), AliasPath("plan", "currency")),
    )
    interval: Word | None = Field(
        None,
        validation_alias=AliasChoices(AliasPath("price", "recurring", "interval"), AliasPath("plan", "interval")),
    )
    interval_count: Annotated[int, Field(ge=1, lt=10**6)] = Field(
        1,
        validation_alias=AliasChoices(
            AliasPath("price", "recurring", "interval_count"),
            AliasPath("plan", "interval_count"),
        ),
    )
    usage_type: Word | None = Field(
        None,
        validation_alias=AliasChoices(AliasPath("price", "recurring", "usage_type"), AliasPath("plan", "usage_type")),
    )
    billing_scheme: Word | None = Field(
        None,
        validation_alias=AliasChoices(AliasPath("price", "billing_scheme"), AliasPath("plan", "billing_scheme")),
    )
    quantity_divide_by: Annotated[int, Field(ge=1, lt=10**15)] | None = Field(
        None,
        validation_alias=AliasChoices(
            AliasPath("price", "transform_quantity", "divide_by"),
            AliasPath("plan", "transform_usage", "divide_by"),
        ),
    )
    quantity_round: Word | None = Field(
        None,
        validation_alias=AliasChoices(
            AliasPath("price", "transform_quantity", "round"),
            AliasPath("plan", "transform_usage", "round"),
        ),
    )
    current_period_end: Seconds | None = None


class _PauseCollection(_Shape):
    behavior: Word
    resumes_at: Seconds | None = None


class _Subscription(_Shape):
    # The id's prefix proves nothing: that of a subscription from before 2014 may be `su_`.
    id: Id
    object: Literal["subscription"] = "subscription"
    customer: Id | None = None
    customer_account: Id | None = None
    status: Word
    livemode: bool
    created: Seconds | None = None
    currency: Word | None = None
    # Called `billing` before 2019-10-17.
    collection_method: Word | None = Field(None, validation_alias=AliasChoices("collection_method", "billing"))
    billing_mode: Annotated[str | None, BeforeValidator(_kind_of)] = None
    schedule: Id | None = None
    cancel_at: Seconds | None = None
    cancel_at_period_end: bool | None = None
    canceled_at: Seconds | None = None
    ended_at: Seconds | None = None
    trial_end: Seconds | None = None
    pause_collection: _PauseCollection | None = None
    paused_reason: Word | None = Field(
        None,
        validation_alias=AliasPath("status_details", "paused", "subscription", "type"),
    )
    paused_at: Seconds | None = Field(None, validation_alias=AliasPath("status_details", "paused", "transitioned_at"))
    current_period_end: Seconds | None = None
    cancellation_reason: Word | None = Field(None, validation_alias=AliasPath("cancellation_details", "reason"))
    items: Annotated[tuple[_Item, ...], Field(max_length=500)] = Field((), validation_alias=AliasPath("items", "data"))


def has_more_items(raw: Mapping[str, Any]) -> bool:
    """Whether a subscription's JSON holds the first of its items only: Stripe embeds ten."""
    items = raw.get("items")
    return isinstance(items, Mapping) and bool(items.get("has_more"))


def read_subscription(raw: Mapping[str, Any]) -> Subscription:
    """Turn Stripe's JSON into the plain form.

    Unknown fields and enum values pass; missing optional fields are `None`. The period's end is the latest of the
    items' (API 2025-03-31.basil and later), else the subscription's own. Raises `UnreadableEvent` naming the fields
    that are wrong, never their values.
    """
    try:
        shape = _Subscription.model_validate(raw)
    except PydanticValidationError as error:
        fields = ", ".join(sorted({".".join(map(str, e["loc"])) or "the object" for e in error.errors()}))
        raise UnreadableEvent(
            "unreadable_subscription", sentence("Not a subscription that can be read: {fields}", fields=fields)
        ) from error
    customer_id = shape.customer or shape.customer_account
    if customer_id is None:
        raise UnreadableEvent("subscription_without_customer", sentence("The subscription names no customer"))
    # Not `model_dump`: the fields are plain values already, and this runs for each event.
    own = vars(shape).copy()
    del own["customer"], own["customer_account"], own["object"]
    own["customer_id"] = customer_id
    own["schedule_id"] = own.pop("schedule")
    ends = [item.current_period_end for item in shape.items if item.current_period_end is not None]
    own["current_period_end"] = max(ends, default=shape.current_period_end)
    own["cancel_at_period_end"] = bool(shape.cancel_at_period_end)
    pause = shape.pause_collection
    own["pause_collection"] = PauseCollection(pause.behavior, pause.resumes_at) if pause else None
    own["items"] = tuple(_item(item, shape.current_period_end) for item in shape.items)
    return Subscription(**own)


def _item(item: _Item, period_end: int | None) -> SubscriptionItem:
    """Before 2025-03-31.basil the period was the subscription's, and so that of every item."""
    return SubscriptionItem(**(vars(item) | {"current_period_end": item.current_period_end or period_end}))


def is_collected(subscription: Subscription, *, at: float) -> bool:
    """Whether Stripe collects its invoices at that time (Unix seconds): it is paused in neither of the two ways."""
    if subscription.status == "paused":
        return False
    pause = subscription.pause_collection
    return pause is None or (pause.resumes_at is not None and pause.resumes_at <= at)


def is_paused(subscription: Subscription, now: datetime) -> bool:
    """Whether it is paused at `now` (aware), in either of Stripe's two ways; what has ended never is.

    Stripe collects invoices made from `resumes_at` on, and is not known to clear `pause_collection` then: a
    `resumes_at` that is not in the future counts as resumed.
    """
    match subscription.pause_kind:
        case None:
            return False
        case "subscription":
            return True
        case "collection":
            resumes_at = subscription.pause_collection.resumes_at if subscription.pause_collection else None
            return resumes_at is None or resumes_at > now.timestamp()
