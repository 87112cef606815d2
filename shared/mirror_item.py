"""The form of an item of the table: the dataclasses, and how they become attributes and back."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from operator import attrgetter
from typing import Any

from boto3.dynamodb.types import TypeDeserializer

from shared.subscription import PauseCollection, Subscription, SubscriptionItem

_FIELDS = frozenset(field.name for field in fields(Subscription))
# A subscription's `id` has a longer name in the table, where a customer's stands beside it.
_ATTRIBUTE = {"id": "subscription_id"}
_FIELD = {attribute: field for field, attribute in _ATTRIBUTE.items()}
# Those that are no key of the table and hold one plain value.
_PLAIN = tuple(
    field.name for field in fields(Subscription) if field.name not in {"id", "customer_id", "pause_collection", "items"}
)
_plain = attrgetter(*_PLAIN)
_ITEM_FIELDS = tuple(field.name for field in fields(SubscriptionItem))
_item_values = attrgetter(*_ITEM_FIELDS)
# DynamoDB reserves these two words; each other attribute stands in expressions under its own name.
NAMES = {"#items": "items", "#status": "status"}

_deserialize = TypeDeserializer().deserialize


@dataclass(frozen=True, slots=True)
class MirroredSubscription:
    """A subscription as the mirror holds it; times are Unix seconds of Stripe's clock.

    `as_of`: the state is at least as new as this. `revision`: how often it was written. `event_id`: the event written
    last. `paused_since`: when the present pause began, as early as the mirror knows.
    """

    subscription: Subscription
    as_of: int
    revision: int
    event_id: str | None = None
    paused_since: int | None = None


@dataclass(frozen=True, slots=True)
class Write:
    """What is to be written: the state, its time, the event it came with, and when its pause began if that is known."""

    subscription: Subscription
    as_of: int
    event_id: str | None
    paused_since: int | None = None
    expires_at: int | None = None


def stands_in_the_way(old: MirroredSubscription, write: Write, than: int) -> bool:
    """What the table's condition says of an item, for those who only want to know.

    An end is final: it counts over any live state, and no live state counts over it. Otherwise an item as of `than` or
    later stands in the way.
    """
    if old.subscription.ended != write.subscription.ended:
        return old.subscription.ended
    return old.as_of >= than


def update_expression(write: Write) -> tuple[str, dict[str, Any]]:
    """Build the update: its expression, which names attributes as `NAMES` says, and its values in DynamoDB's types.

    What is known is set, what is not is removed, and the revision counts up.
    """
    attributes = _attributes(write)
    values = {f":{name}": serialize(value) for name, value in attributes.items() if value is not None}
    unknown = tuple(name for name, value in attributes.items() if value is None)
    return _expression(tuple(attributes), unknown), {**values, ":zero": {"N": "0"}, ":one": {"N": "1"}}


@lru_cache
def _expression(names: tuple[str, ...], unknown: tuple[str, ...]) -> str:
    """Subscriptions differ little in what is known of them, so that almost every event finds its expression ready."""
    assignments = [f"{_alias(name)} = :{name}" for name in names if name not in unknown]
    removed = [_alias(name) for name in unknown]
    if "paused_since" in removed and "pause_kind" not in removed:
        # Not known to begin with this write: it began earlier, or is first seen now.
        removed.remove("paused_since")
        assignments.append("paused_since = if_not_exists(paused_since, :as_of)")
    assignments.append("revision = if_not_exists(revision, :zero) + :one")
    remove = f" REMOVE {', '.join(removed)}" if removed else ""
    return f"SET {', '.join(assignments)}{remove}"


def _alias(name: str) -> str:
    return f"#{name}" if name in NAMES.values() else name


def _attributes(write: Write) -> dict[str, Any]:
    subscription = write.subscription
    pause, pause_kind = subscription.pause_collection, subscription.pause_kind
    return dict(zip(_PLAIN, _plain(subscription), strict=True)) | {
        "pause_collection": asdict(pause) if pause else None,
        "items": [
            {name: value for name, value in zip(_ITEM_FIELDS, _item_values(item), strict=True) if value is not None}
            for item in subscription.items
        ],
        "pause_kind": pause_kind,
        "paused_since": write.paused_since if pause_kind else None,
        "as_of": write.as_of,
        "event_id": write.event_id,
        "expires_at": write.expires_at,
    }


def serialize(value: str | int | list[Any] | dict[str, Any] | None) -> dict[str, Any]:
    """Give a value DynamoDB's type; the few that a mirror needs, several times as fast as boto3's `TypeSerializer`."""
    match value:
        case str():
            return {"S": value}
        case bool():
            return {"BOOL": value}
        case int():
            return {"N": str(value)}
        case None:
            return {"NULL": True}
        case list():
            return {"L": [serialize(each) for each in value]}
        case _:
            return {"M": {name: serialize(each) for name, each in value.items()}}


def item_key(customer_id: str, subscription_id: str) -> dict[str, Any]:
    """The table's key, as DynamoDB wants it."""
    return {"customer_id": serialize(customer_id), "subscription_id": serialize(subscription_id)}


def read_item(item: Mapping[str, Any]) -> MirroredSubscription:
    """Turn DynamoDB's typed attributes into the dataclass; attributes of other versions pass."""
    plain = {name: _whole(_deserialize(value)) for name, value in item.items()}
    known = {_FIELD.get(name, name): value for name, value in plain.items() if _FIELD.get(name, name) in _FIELDS}
    pause = known.get("pause_collection")
    known["pause_collection"] = PauseCollection(**pause) if pause else None
    known["items"] = tuple(SubscriptionItem(**each) for each in known.get("items", []))
    return MirroredSubscription(
        Subscription(**known),
        plain["as_of"],
        plain["revision"],
        plain.get("event_id"),
        plain.get("paused_since"),
    )


def _whole(value: Any) -> Any:
    """DynamoDB's numbers are decimals; all of ours are whole."""
    match value:
        case dict():
            return {name: _whole(each) for name, each in value.items()}
        case list():
            return [_whole(each) for each in value]
        case bool() | str() | None:
            return value
        case _:
            return int(value)
