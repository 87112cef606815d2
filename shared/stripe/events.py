"""Reads Stripe's events in each of their forms: snapshots, thin events, and EventBridge's envelope."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Discriminator, Field, Tag, TypeAdapter, ValidationError
from pydantic_core import from_json

from shared.errors import UnreadableEvent, sentence
from shared.stripe.subscription import Seconds, Subscription, has_more_items, is_collected, read_subscription

PREFIX = "customer.subscription."
ENTITLEMENTS_PREFIX = "entitlements.active_entitlement_summary."
ENTITLEMENTS_UPDATED = f"{ENTITLEMENTS_PREFIX}updated"
# Stripe embeds ten entitlements at most (issue 280 of github.com/stripe/sync-engine): of ten there may be more.
_MOST_EMBEDDED = 10
# Stripe repeats a delivery for up to three days in live mode, for less in a sandbox (docs.stripe.com/webhooks#retries).
# What comes later was sent again by hand.
REPEATED_FOR = timedelta(days=3)

EventId = Annotated[str, Field(pattern=r"^evt_\w+$", max_length=255)]


@dataclass(frozen=True, slots=True)
class SubscriptionEvent:
    """A subscription's state and the event that brought it; `created` is Stripe's clock in Unix seconds.

    `id` is `None` for a state that no event brought: it was read from Stripe. `paid_through` is the end of the period
    that was current when this event began a pause. Without `complete` the state has the first of its items only.
    `stamp_lag`: how many seconds after the change Stripe dated the event, where it dates the change too: at the
    subscription's creation. `delivery_lag`: how many seconds after `created` it arrived, unless it is replayed.
    """

    id: str | None
    created: int
    subscription: Subscription
    starts_pause: bool = False
    starts_past_due: bool = False
    paid_through: int | None = None
    complete: bool = True
    stamp_lag: int | None = None
    delivery_lag: int | None = None


@dataclass(frozen=True, slots=True)
class EntitlementsSignal:
    """A customer's entitlements changed before `created` (Stripe's clock in Unix seconds).

    `features` (lookup keys) are those that the event names, `None` if it may not name all.
    """

    created: int
    customer_id: str
    features: tuple[str, ...] | None


class _Form(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class EventData(_Form):
    """The snapshot, and on `*.updated` events the old values of what changed."""

    object: dict[str, Any]
    previous_attributes: dict[str, Any] | None = None


class SnapshotEvent(_Form):
    """An event with the object as it was then (docs.stripe.com/api/events/object).

    `account` comes with Connect and names the connected account; `context` comes with an Organization's destination,
    and is a path whose last part is the account.
    """

    id: EventId
    object: Literal["event"]
    type: Annotated[str, Field(max_length=255)]
    created: Seconds
    livemode: bool
    account: str | None = None
    context: str | None = None
    data: EventData


class RelatedObject(_Form):
    """The object that a thin event is about."""

    id: Annotated[str, Field(pattern=r"^\w+$", max_length=255)]
    type: str = "subscription"


class ThinEvent(_Form):
    """An event that only names its object (docs.stripe.com/api/v2/core/events/object); types begin with `v1.`."""

    id: EventId
    object: Literal["v2.core.event"]
    type: Annotated[str, Field(max_length=255)]
    created: AwareDatetime
    livemode: bool
    account: str | None = None
    context: str | None = None
    related_object: RelatedObject | None = None


StripeEvent = SnapshotEvent | ThinEvent


def account_of(event: StripeEvent) -> str | None:
    """Return the account that the event happened in; `None` for that of the destination itself.

    Source: docs.stripe.com/changelog/basil/2025-04-30/additional-context-organization-events
    """
    return event.account or (event.context.rsplit("/", 1)[-1] if event.context else None)


def _form_of(value: Any) -> str | None:
    return value.get("object") if isinstance(value, dict) else getattr(value, "object", None)


_event: TypeAdapter[StripeEvent] = TypeAdapter(
    Annotated[
        Annotated[SnapshotEvent, Tag("event")] | Annotated[ThinEvent, Tag("v2.core.event")],
        Discriminator(_form_of),
    ],
)


def is_from_event_bus(message: Mapping[str, Any]) -> bool:
    """Whether this is EventBridge's envelope of a Stripe event, which is its `detail`.

    AWS vouches for the source's name: nobody but Stripe can put events with it on a partner event bus
    (docs.stripe.com/event-destinations/eventbridge).
    """
    source = str(message.get("source", ""))
    return source.startswith("aws.partner/stripe.com/") and "detail" in message and "requestContext" not in message


def read_event(body: bytes) -> StripeEvent:
    """Parse a genuine body. Raises `UnreadableEvent` naming the fields that are wrong, never their values."""
    try:
        # Parsed first: to choose a form, the adapter would turn the JSON into Python once more than it has to.
        return _event.validate_python(from_json(body))
    except ValidationError as error:
        fields = ", ".join(sorted({".".join(map(str, each["loc"])) or "the body" for each in error.errors()}))
    except ValueError:
        fields = "the body"
    # Outside of the handlers: the cause would quote the event, and with it the customer.
    raise UnreadableEvent("unreadable_event", sentence("Not an event that can be read: {fields}", fields=fields))


def subscription_event(event: SnapshotEvent) -> SubscriptionEvent:
    """Return what the event says of its subscription. Raises `UnreadableEvent`."""
    # The event always says its mode; objects of old versions may not.
    raw = {"livemode": event.livemode} | event.data.object
    subscription = read_subscription(raw)
    before = _before(event) if subscription.pause_kind or subscription.is_past_due else None
    starts_pause = event.type == f"{PREFIX}paused" and subscription.pause_collection is None
    paid_through = None
    if before and subscription.is_pause_running(event.created):
        starts_pause = is_collected(before, at=event.created)
        paid_through = before.current_period_end if starts_pause else None
    return SubscriptionEvent(
        event.id,
        event.created,
        subscription,
        starts_pause,
        subscription.is_past_due and before is not None and not before.is_past_due,
        paid_through,
        complete=not has_more_items(raw),
        stamp_lag=_stamp_lag(event, subscription),
    )


class _Entitlement(_Form):
    lookup_key: str


class _EntitlementList(_Form):
    data: tuple[_Entitlement, ...]
    has_more: bool


class _EntitlementSummary(_Form):
    customer: Annotated[str, Field(pattern=r"^cus_\w+$", max_length=255)]
    entitlements: _EntitlementList | None = None


def entitlements_signal(event: StripeEvent) -> EntitlementsSignal:
    """Return whose entitlements changed. Raises `UnreadableEvent`, as for a thin event: it does not name the customer.

    Source: the SDK's `V1EntitlementsActiveEntitlementSummary...EventNotification`, which have no related object.
    """
    if isinstance(event, ThinEvent):
        raise UnreadableEvent(
            "thin_event_without_customer", sentence("The thin event {event} names no customer", event=event.id)
        )
    try:
        summary = _EntitlementSummary.model_validate(event.data.object)
    except ValidationError as error:
        fields = ", ".join(sorted({".".join(map(str, each["loc"])) for each in error.errors()}))
    else:
        listed = summary.entitlements
        whole = listed is not None and not listed.has_more and len(listed.data) < _MOST_EMBEDDED
        keys = {one.lookup_key for one in listed.data} if listed else set()
        return EntitlementsSignal(event.created, summary.customer, tuple(sorted(keys)) if whole else None)
    # Outside of the handler: the cause would quote the customer.
    raise UnreadableEvent("unreadable_event", sentence("Not entitlements that can be read: {fields}", fields=fields))


def _stamp_lag(event: SnapshotEvent, subscription: Subscription) -> int | None:
    """A test clock dates its subscriptions by a time of its own."""
    if event.type != f"{PREFIX}created" or subscription.created is None or event.data.object.get("test_clock"):
        return None
    return event.created - subscription.created


def _before(event: SnapshotEvent) -> Subscription | None:
    """Return the subscription before the event, if the event changed its status or its pause."""
    previous = event.data.previous_attributes or {}
    if not previous.keys() & {"status", "pause_collection"}:
        return None
    try:
        return read_subscription(_merged({"livemode": event.livemode} | event.data.object, previous))
    except UnreadableEvent:
        return None


def _merged(now: Mapping[str, Any], previous: Mapping[str, Any]) -> dict[str, Any]:
    """Put back what changed: of objects, `previous_attributes` has the changed fields only; lists are whole."""
    return {
        **now,
        **{
            name: _merged(now[name], value)
            if isinstance(value, Mapping) and isinstance(now.get(name), Mapping)
            else value
            for name, value in previous.items()
        },
    }
