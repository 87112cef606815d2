"""Reads Stripe's event: what happened, to which subscription, and whether it is ours."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.errors import UnreadableEvent
from shared.mirror import SubscriptionEvent
from shared.stripe_shapes import Seconds, read_subscription

PREFIX = "customer.subscription."


class EventData(BaseModel):
    """The snapshot, and on `*.updated` events the old values of what changed."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    object: dict[str, Any]
    previous_attributes: dict[str, Any] | None = None


class StripeEvent(BaseModel):
    """A snapshot event (docs.stripe.com/api/events/object); `account` is there with Connect only."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: Annotated[str, Field(pattern=r"^evt_\w+$", max_length=255)]
    object: Literal["event"]
    type: Annotated[str, Field(max_length=255)]
    created: Seconds
    livemode: bool
    account: str | None = None
    data: EventData


def read_event(body: bytes) -> StripeEvent:
    """Parse a genuine body. Raises `UnreadableEvent` naming the fields that are wrong, never their values."""
    try:
        return StripeEvent.model_validate_json(body)
    except ValidationError as error:
        if any(each["loc"] == ("object",) and each["input"] == "v2.core.event" for each in error.errors()):
            raise UnreadableEvent(
                "thin_event",
                "A thin event: give the event destination the payload style `snapshot`",
            ) from None
        fields = ", ".join(sorted({".".join(map(str, each["loc"])) or "the body" for each in error.errors()}))
        # `from None`: the cause quotes the event, and with it the customer.
        raise UnreadableEvent("unreadable_event", f"Not an event that can be read: {fields}") from None


def subscription_event(event: StripeEvent) -> SubscriptionEvent:
    """Answer what the event says of its subscription. Raises `UnreadableEvent`."""
    subscription = read_subscription(event.data.object)
    before = event.data.previous_attributes or {}
    match subscription.pause_kind:
        case "collection":
            starts_pause = "pause_collection" in before and before["pause_collection"] is None
        case "subscription":
            starts_pause = "status" in before or event.type == f"{PREFIX}paused"
        case _:
            starts_pause = False
    return SubscriptionEvent(event.id, event.created, subscription, starts_pause)
