"""The items of the table `Subscriptions`: what is kept of a subscription, and of a customer's entitlements."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import lru_cache
from operator import attrgetter
from typing import Any

from shared.aws import deserialize, serialize
from shared.stripe.subscription import (
    PauseCollection,
    Subscription,
    SubscriptionItem,
    is_collected,
)

_FIELDS = frozenset(each.name for each in fields(Subscription))
# A subscription's `id` has a longer name in the table, where a customer's stands beside it.
_ATTRIBUTE = {"id": "subscription_id"}
_FIELD = {attribute: name for name, attribute in _ATTRIBUTE.items()}
# Those that are no key of the table and hold one plain value.
_PLAIN = tuple(
    each.name for each in fields(Subscription) if each.name not in {"id", "customer_id", "pause_collection", "items"}
)
_plain = attrgetter(*_PLAIN)
_ITEM_FIELDS = tuple(each.name for each in fields(SubscriptionItem))
_item_values = attrgetter(*_ITEM_FIELDS)
# DynamoDB reserves these two words; each other attribute stands in expressions under its own name.
NAMES = {"#items": "items", "#status": "status"}

# The range key of a customer's entitlements. No id of Stripe's has this character, and `#` sorts before letters.
ENTITLEMENTS_KEY = "#entitlements"
# These stay as they are where a write does not know them.
_KEPT = ("account", "delivery_lag", "stamp_lag")


@dataclass(frozen=True, slots=True)
class Beginnings:
    """When what a subscription is in began: facts that its state alone does not tell.

    A time is exact if the event that began it was seen, or Stripe's state names it; else it began then or earlier.
    `paid_through` is the end of the last period before a pause; without a pause, that of the present one.
    """

    paused_since: int | None = None
    paused_since_exact: bool = False
    past_due_since: int | None = None
    past_due_since_exact: bool = False
    paid_through: int | None = None

    def __bool__(self) -> bool:
        """Whether it says anything."""
        return self != _NOTHING


_NOTHING = Beginnings()
BEGINNINGS = tuple(each.name for each in fields(Beginnings))


@dataclass(frozen=True, slots=True)
class MirroredSubscription:
    """A subscription as the mirror holds it; times are Unix seconds of Stripe's clock.

    `as_of`: every change before this is in it. `revision`: how often it was written. `event_id`: the event written
    last. `settling`: the time of the event that is shown although its order is not certain yet. `account`: Stripe's,
    if known. `delivery_lag`: how many seconds after its time the event written last arrived; `stamp_lag`: how many
    seconds after the subscription's creation Stripe dated the event of it. Each is `None` where that was not seen.
    """

    subscription: Subscription
    as_of: int
    revision: int
    event_id: str | None = None
    beginnings: Beginnings = _NOTHING
    settling: int | None = None
    account: str | None = None
    delivery_lag: int | None = None
    stamp_lag: int | None = None

    @property
    def paused_since(self) -> int | None:
        """When the present pause began, as early as the mirror knows."""
        return self.beginnings.paused_since


@dataclass(frozen=True, slots=True)
class Write:
    """What to write: the state, its time, the event that brought it, and the beginnings that are known with it."""

    subscription: Subscription
    as_of: int
    event_id: str | None
    beginnings: Beginnings = _NOTHING
    expires_at: int | None = None
    settling: int | None = None
    account: str | None = None
    delivery_lag: int | None = None
    stamp_lag: int | None = None

    def seen_since(self, beginning: str) -> int:
        """Return the time for a beginning of which nothing is known but that it was then or earlier."""
        paused_at = self.subscription.paused_at
        return self.as_of if beginning != "paused_since" or paused_at is None else paused_at


@dataclass(frozen=True, slots=True)
class MirroredEntitlements:
    """A customer's features as the mirror holds them; times are Unix seconds of Stripe's clock.

    `features` are lookup keys, `products` the features of each product that the customer had when they were read.
    `as_of`, `revision`, `settling` and `account` are as in `MirroredSubscription`.
    """

    customer_id: str
    features: tuple[str, ...]
    as_of: int
    revision: int
    products: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    settling: int | None = None
    account: str | None = None


@dataclass(frozen=True, slots=True)
class MirroredCustomer:
    """All that the mirror holds of a customer; `entitlements` are `None` where they were never seen."""

    subscriptions: tuple[MirroredSubscription, ...]
    entitlements: MirroredEntitlements | None = None


@dataclass(frozen=True, slots=True)
class EntitlementsWrite:
    """What to write of a customer's entitlements, as they were read from Stripe."""

    customer_id: str
    features: tuple[str, ...]
    products: Mapping[str, tuple[str, ...]]
    as_of: int
    expires_at: int | None = None
    account: str | None = None


def blocks_write(old: MirroredSubscription, write: Write, than: int) -> bool:
    """Whether `put_if_older` refuses to write over `old`: the condition of its request, in Python.

    An end is final: it is written over any live state, and no live state over it. Otherwise an item as of `than` or
    later blocks the write.
    """
    if old.subscription.ended != write.subscription.ended:
        return old.subscription.ended
    return old.as_of >= than


def update_expression(write: Write) -> tuple[str, dict[str, Any]]:
    """Build the update: its expression, which names attributes as `NAMES` says, and its values in DynamoDB's types.

    Known values are set, the others removed, and the revision counts up. Beginnings that the write does not know stay
    as they are for as long as what began goes on.
    """
    attributes = _attributes(write)
    values = {f":{name}": serialize(value) for name, value in attributes.items() if value is not None}
    unknown = tuple(name for name, value in attributes.items() if value is None)
    # What is only shown for now neither begins nor ends anything.
    kept = () if write.settling is not None else tuple(name for name in _started(write) if name not in attributes)
    values |= {":zero": {"N": "0"}, ":one": {"N": "1"}}
    values |= {f":{name}": serialize(write.seen_since(name)) for name in kept}
    return _expression(tuple(attributes), unknown, kept), values


@lru_cache
def _expression(names: tuple[str, ...], unknown: tuple[str, ...], kept: tuple[str, ...]) -> str:
    """Subscriptions differ little in which values are known, so almost every event finds its expression cached."""
    assignments = [f"{_alias(name)} = :{name}" for name in names if name not in unknown]
    assignments += [f"{name} = if_not_exists({name}, :{name})" for name in kept]
    assignments.append("revision = if_not_exists(revision, :zero) + :one")
    remove = f" REMOVE {', '.join(map(_alias, unknown))}" if unknown else ""
    return f"SET {', '.join(assignments)}{remove}"


def _alias(name: str) -> str:
    return f"#{name}" if name in NAMES.values() else name


def _attributes(write: Write) -> dict[str, Any]:
    """Return the attributes to set, and as `None` those to remove; what is to stay as it is is not among them."""
    subscription = write.subscription
    pause = subscription.pause_collection
    return (
        dict(zip(_PLAIN, _plain(subscription), strict=True))
        | {
            "pause_collection": asdict(pause) if pause else None,
            "items": [
                {name: value for name, value in zip(_ITEM_FIELDS, _item_values(item), strict=True) if value is not None}
                for item in subscription.items
            ],
            "pause_kind": subscription.pause_kind,
            "as_of": write.as_of,
            "event_id": write.event_id,
            "expires_at": write.expires_at,
            "settling": write.settling,
        }
        | {name: value for name in _KEPT if (value := getattr(write, name)) is not None}
        | (_beginnings(write) if write.settling is None else {})
    )


def _beginnings(write: Write) -> dict[str, Any]:
    known = write.beginnings
    attributes: dict[str, Any] = {}
    started = _started(write)
    for name in ("paused_since", "past_due_since"):
        value = getattr(known, name)
        if value is not None or name not in started:
            attributes |= {name: value, f"{name}_exact": getattr(known, f"{name}_exact") or None}
    if is_collected(write.subscription, at=write.as_of):
        attributes["paid_through"] = write.subscription.current_period_end
    elif known.paid_through is not None:
        attributes["paid_through"] = known.paid_through
    return attributes


def _started(write: Write) -> tuple[str, ...]:
    """Name the attributes whose time runs in this state."""
    subscription = write.subscription
    paused = ("paused_since",) if subscription.is_pause_running(write.as_of) else ()
    return (*paused, "past_due_since") if subscription.is_past_due else paused


def item_key(customer_id: str, subscription_id: str) -> dict[str, Any]:
    """Return the table's key in DynamoDB's types."""
    return {"customer_id": serialize(customer_id), "subscription_id": serialize(subscription_id)}


def read_item(item: Mapping[str, Any]) -> MirroredSubscription:
    """Turn DynamoDB's typed attributes into the dataclass; unknown attributes are ignored."""
    plain = {name: deserialize(value) for name, value in item.items()}
    known = {_FIELD.get(name, name): value for name, value in plain.items() if _FIELD.get(name, name) in _FIELDS}
    pause = known.get("pause_collection")
    known["pause_collection"] = PauseCollection(pause["behavior"], pause.get("resumes_at")) if pause else None
    known["items"] = tuple(_subscription_item(each) for each in known.get("items", []))
    return MirroredSubscription(
        Subscription(**known),
        plain["as_of"],
        plain["revision"],
        plain.get("event_id"),
        Beginnings(**{name: plain[name] for name in BEGINNINGS if name in plain}),
        plain.get("settling"),
        *(plain.get(name) for name in _KEPT),
    )


def _is_entitlements(item: Mapping[str, Any]) -> bool:
    return bool(item["subscription_id"]["S"] == ENTITLEMENTS_KEY)


def read_subscriptions(items: Iterable[Mapping[str, Any]]) -> Iterator[MirroredSubscription]:
    """Read the subscriptions among a table's items."""
    return (read_item(item) for item in items if not _is_entitlements(item))


def read_customer(items: Iterable[Mapping[str, Any]]) -> MirroredCustomer:
    """Read all items of one customer."""
    entitlements, subscriptions = None, []
    for item in items:
        if _is_entitlements(item):
            entitlements = _read_entitlements(item)
        else:
            subscriptions.append(read_item(item))
    return MirroredCustomer(tuple(subscriptions), entitlements)


def _read_entitlements(item: Mapping[str, Any]) -> MirroredEntitlements:
    plain = {name: deserialize(value) for name, value in item.items()}
    return MirroredEntitlements(
        plain["customer_id"],
        tuple(plain["features"]),
        plain["as_of"],
        plain["revision"],
        {product: tuple(features) for product, features in plain.get("products", {}).items()},
        plain.get("settling"),
        plain.get("account"),
    )


def _subscription_item(attributes: Mapping[str, Any]) -> SubscriptionItem:
    return SubscriptionItem(**{name: attributes[name] for name in _ITEM_FIELDS if name in attributes})
