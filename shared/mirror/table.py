"""The table `Subscriptions`: the form of its items, its reads and conditional writes, and a dry run of these."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import lru_cache
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from shared.aws import CONDITION_FAILED, code_of, deserialize, serialize
from shared.errors import Unavailable
from shared.stripe.subscription import (
    ENDED_STATUSES,
    PauseCollection,
    Subscription,
    SubscriptionItem,
    is_collected,
)

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


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

ATTEMPTS = 5
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
_BEGINNINGS = tuple(each.name for each in fields(Beginnings))


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
class TablePage:
    """Some items, and the key after which the next page starts (`None`: this was the last)."""

    items: tuple[MirroredSubscription, ...]
    next_start: Mapping[str, Any] | None


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
        Beginnings(**{name: plain[name] for name in _BEGINNINGS if name in plain}),
        plain.get("settling"),
        *(plain.get(name) for name in _KEPT),
    )


def _is_entitlements(item: Mapping[str, Any]) -> bool:
    return bool(item["subscription_id"]["S"] == ENTITLEMENTS_KEY)


def _subscriptions(items: Iterable[Mapping[str, Any]]) -> Iterator[MirroredSubscription]:
    return (read_item(item) for item in items if not _is_entitlements(item))


def _read_customer(items: Iterable[Mapping[str, Any]]) -> MirroredCustomer:
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


class WritableTable(Protocol):
    """What the rule needs of the table; each write is conditional, and returns the item that blocked it."""

    def get(self, customer_id: str, subscription_id: str) -> MirroredSubscription | None:
        """Read one subscription, consistently."""

    def put_if_older(self, write: Write, than: int) -> MirroredSubscription | None:
        """Write, unless the item blocks it, as `blocks_write` says."""

    def put_if_unchanged(self, write: Write, since: MirroredSubscription | None) -> MirroredSubscription | None:
        """Write if nobody wrote since `since` was read."""

    def add_beginnings(self, to: MirroredSubscription, beginnings: Beginnings) -> bool:
        """Write the beginnings alone, if nobody wrote since `to` was read; return whether that was so."""


class EntitlementsTable(Protocol):
    """What the rule for entitlements needs of the table."""

    def customer(self, customer_id: str) -> MirroredCustomer:
        """Read a customer's subscriptions and entitlements, consistently."""

    def put_entitlements(self, write: EntitlementsWrite) -> bool:
        """Write, unless the item is as of that time or later; return whether it was written."""

    def show_entitlements(
        self, customer_id: str, features: tuple[str, ...], created: int, *, account: str | None
    ) -> bool:
        """Write what an event says until it is settled, unless the item has a later one."""


class SubscriptionTable(WritableTable, Protocol):
    """What a comparison of the whole table needs as well."""

    def get_many(self, keys: Iterable[tuple[str, str]]) -> Mapping[tuple[str, str], MirroredSubscription]:
        """Read up to 100 subscriptions by (customer, subscription), leaving out the absent."""

    def all(self) -> Iterator[MirroredSubscription]:
        """Read the whole table."""

    def page(self, start: Mapping[str, Any] | None) -> TablePage:
        """Read some of what has not ended, after the key `start`."""


class MirrorTable:
    """Reads and writes of the table; every write is conditional and costs one request."""

    def __init__(self, client: "DynamoDBClient", table_name: str) -> None:
        self._client = client
        self._table_name = table_name

    def get(self, customer_id: str, subscription_id: str) -> MirroredSubscription | None:
        """Read one subscription, consistently."""
        try:
            answer = self._client.get_item(
                TableName=self._table_name,
                Key=item_key(customer_id, subscription_id),
                ConsistentRead=True,
            )
        except (ClientError, BotoCoreError) as error:
            raise _unavailable(error) from error
        return read_item(answer["Item"]) if "Item" in answer else None

    def get_many(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], MirroredSubscription]:
        """Read up to 100 subscriptions by (customer, subscription) in one request, eventually consistent.

        Keys that DynamoDB left unprocessed (a throttled table) are read again, a few times. Raises `Unavailable`.
        """
        wanted: list[Any] = [item_key(*key) for key in keys]
        found: dict[tuple[str, str], MirroredSubscription] = {}
        for _ in range(ATTEMPTS):
            if not wanted:
                return found
            try:
                answer = self._client.batch_get_item(RequestItems={self._table_name: {"Keys": wanted}})
            except (ClientError, BotoCoreError) as error:
                raise _unavailable(error) from error
            for mirrored in map(read_item, answer["Responses"].get(self._table_name, [])):
                found[mirrored.subscription.customer_id, mirrored.subscription.id] = mirrored
            left = answer.get("UnprocessedKeys", {})
            wanted = list(left[self._table_name]["Keys"]) if left else []
        if wanted:
            raise Unavailable("mirror_unavailable", "The table of subscriptions left out keys again and again")
        return found

    def of_customer(self, customer_id: str) -> Iterator[MirroredSubscription]:
        """Read all subscriptions of a customer, consistently."""
        return _subscriptions(self._items_of(customer_id))

    def customer(self, customer_id: str) -> MirroredCustomer:
        """Read a customer's subscriptions and entitlements, consistently, in one query."""
        return _read_customer(self._items_of(customer_id))

    def customers(self) -> Iterator[MirroredCustomer]:
        """Read the whole table a customer at a time, as `all` does: a scan keeps the items of one key together."""
        for _, items in groupby(self._scan(), lambda item: item["customer_id"]["S"]):
            yield _read_customer(items)

    def _items_of(self, customer_id: str) -> Iterator[dict[str, Any]]:
        query: dict[str, Any] = {
            "TableName": self._table_name,
            "KeyConditionExpression": "customer_id = :id",
            "ExpressionAttributeValues": {":id": serialize(customer_id)},
            "ConsistentRead": True,
        }
        try:
            while True:
                page = self._client.query(**query)
                yield from page["Items"]
                if "LastEvaluatedKey" not in page:
                    return
                query["ExclusiveStartKey"] = page["LastEvaluatedKey"]
        except (ClientError, BotoCoreError) as error:
            raise _unavailable(error) from error

    def all(self) -> Iterator[MirroredSubscription]:
        """Read the whole table, consistently, a page at a time; what is written meanwhile may come or not."""
        return _subscriptions(self._scan())

    def _scan(self) -> Iterator[dict[str, Any]]:
        try:
            for page in self._client.get_paginator("scan").paginate(TableName=self._table_name, ConsistentRead=True):
                yield from page["Items"]
        except (ClientError, BotoCoreError) as error:
            raise _unavailable(error) from error

    def page(self, start: Mapping[str, Any] | None) -> TablePage:
        """Read a megabyte of the table after `start` (`None`: from the beginning), eventually consistent.

        Leaves out what has ended. Raises `Unavailable`.
        """
        request: dict[str, Any] = {
            "TableName": self._table_name,
            "FilterExpression": "NOT #status IN (:canceled, :incomplete_expired)",
            "ExpressionAttributeNames": {"#status": "status"},
            "ExpressionAttributeValues": {f":{status}": serialize(status) for status in ENDED_STATUSES},
        }
        if start:
            request["ExclusiveStartKey"] = start
        try:
            answer = self._client.scan(**request)
        except (ClientError, BotoCoreError) as error:
            raise _unavailable(error) from error
        return TablePage(tuple(_subscriptions(answer["Items"])), answer.get("LastEvaluatedKey"))

    def put_if_older(self, write: Write, than: int) -> MirroredSubscription | None:
        """Write, unless the item blocks it (`blocks_write` says when); return that item, or `None` when written."""
        how = "OR" if write.subscription.ended else "AND"
        return self._written_or_blocked(
            write,
            f"attribute_not_exists(revision) OR as_of < :than {how} NOT #status IN (:canceled, :incomplete_expired)",
            {":than": than} | {f":{status}": status for status in ENDED_STATUSES},
        )

    def put_if_unchanged(self, write: Write, since: MirroredSubscription | None) -> MirroredSubscription | None:
        """Write if nobody wrote since `since` was read (`None`: if there still is no item).

        Returns as `put_if_older` does.
        """
        if since is None:
            return self._written_or_blocked(write, "attribute_not_exists(revision)", {})
        return self._written_or_blocked(write, "revision = :revision", {":revision": since.revision})

    def add_beginnings(self, to: MirroredSubscription, beginnings: Beginnings) -> bool:
        """Write the beginnings alone, if nobody wrote since `to` was read; return whether that was so."""
        known = {name: value for name in _BEGINNINGS if (value := getattr(beginnings, name))}
        assignments = ", ".join(f"{name} = :{name}" for name in known)
        values = {f":{name}": serialize(value) for name, value in known.items()}
        try:
            self._client.update_item(
                TableName=self._table_name,
                Key=item_key(to.subscription.customer_id, to.subscription.id),
                UpdateExpression=f"SET {assignments}, revision = revision + :one",
                ConditionExpression="revision = :revision",
                ExpressionAttributeValues=values | {":one": {"N": "1"}, ":revision": serialize(to.revision)},
            )
        except (ClientError, BotoCoreError) as error:
            if code_of(error) == CONDITION_FAILED:
                return False
            raise _unavailable(error) from error
        return True

    def put_entitlements(self, write: EntitlementsWrite) -> bool:
        """Write, unless the item is as of that time or later; return whether it was written."""
        expires = "" if write.expires_at is None else ", expires_at = :expires_at"
        return self._update_entitlements(
            write.customer_id,
            f"SET features = :features, products = :products, as_of = :as_of{expires}",
            "settling" if write.expires_at is not None else "settling, expires_at",
            "attribute_not_exists(revision) OR as_of < :as_of",
            {
                "features": list(write.features),
                "products": {product: list(features) for product, features in write.products.items()},
                "as_of": write.as_of,
                "expires_at": write.expires_at,
                "account": write.account,
            },
        )

    def show_entitlements(
        self, customer_id: str, features: tuple[str, ...], created: int, *, account: str | None
    ) -> bool:
        """Write what an event says until it is settled, unless the item has a later one; return whether it was written.

        `as_of` stays: nothing is certain yet.
        """
        return self._update_entitlements(
            customer_id,
            "SET features = :features, settling = :created, as_of = if_not_exists(as_of, :zero)",
            "expires_at",
            "attribute_not_exists(revision) OR as_of < :created AND (attribute_not_exists(settling) OR "
            "settling <= :created)",
            {"features": list(features), "created": created, "account": account, "zero": 0},
        )

    def _update_entitlements(
        self, customer_id: str, assignments: str, removed: str, condition: str, values: Mapping[str, Any]
    ) -> bool:
        known = {name: value for name, value in values.items() if value is not None}
        account = ", account = :account" if "account" in known else ""
        counted = ", revision = if_not_exists(revision, :none) + :one"
        try:
            self._client.update_item(
                TableName=self._table_name,
                Key=item_key(customer_id, ENTITLEMENTS_KEY),
                UpdateExpression=f"{assignments}{account}{counted} REMOVE {removed}",
                ConditionExpression=condition,
                ExpressionAttributeValues={f":{name}": serialize(value) for name, value in known.items()}
                | {":none": {"N": "0"}, ":one": {"N": "1"}},
            )
        except (ClientError, BotoCoreError) as error:
            if code_of(error) == CONDITION_FAILED:
                return False
            raise _unavailable(error) from error
        return True

    def _written_or_blocked(
        self, write: Write, condition: str, values: Mapping[str, Any]
    ) -> MirroredSubscription | None:
        """Update, and once more where the item that blocked it has vanished since (by its time to live)."""
        for _ in range(2):
            blocked = self._update(write, condition, values)
            if blocked is None:
                return None
            if "Item" in blocked:
                return read_item(blocked["Item"])
        raise Unavailable("mirror_contended", f"{write.subscription.id} vanished from the table while it was written")

    def _update(self, write: Write, condition: str, values: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return DynamoDB's answer where the condition failed: `Item` is what was there, if it still was."""
        expression, assigned = update_expression(write)
        try:
            self._client.update_item(
                TableName=self._table_name,
                Key=item_key(write.subscription.customer_id, write.subscription.id),
                UpdateExpression=expression,
                ConditionExpression=condition,
                ExpressionAttributeNames=NAMES,
                ExpressionAttributeValues=assigned | {name: serialize(value) for name, value in values.items()},
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except (ClientError, BotoCoreError) as error:
            if isinstance(error, ClientError) and code_of(error) == CONDITION_FAILED:
                return error.response
            raise _unavailable(error) from error
        return None


def _unavailable(error: ClientError | BotoCoreError) -> Unavailable:
    code = code_of(error)
    return Unavailable("mirror_unavailable", f"The table of subscriptions did not answer ({code})")


class DryRunTable:
    """Says of every write what the table would, from a read, and writes nothing."""

    def __init__(self, table: WritableTable) -> None:
        self._table = table

    def get(self, customer_id: str, subscription_id: str) -> MirroredSubscription | None:
        """Read one subscription, consistently."""
        return self._table.get(customer_id, subscription_id)

    def put_if_older(self, write: Write, than: int) -> MirroredSubscription | None:
        """Return the item that would block the write, or `None`."""
        old = self._old(write)
        if old and blocks_write(old, write, than):
            return old
        return None

    def put_if_unchanged(self, write: Write, since: MirroredSubscription | None) -> MirroredSubscription | None:
        """Return the item that would block the write, or `None`."""
        old = self._old(write)
        return old if (old and old.revision) != (since and since.revision) else None

    def add_beginnings(self, to: MirroredSubscription, beginnings: Beginnings) -> bool:
        """Return whether the item is still as it was read."""
        del beginnings
        now = self._table.get(to.subscription.customer_id, to.subscription.id)
        return (now and now.revision) == to.revision

    def _old(self, write: Write) -> MirroredSubscription | None:
        return self._table.get(write.subscription.customer_id, write.subscription.id)


class DryRunEntitlements:
    """The same for entitlements."""

    def __init__(self, table: EntitlementsTable) -> None:
        self._table = table

    def customer(self, customer_id: str) -> MirroredCustomer:
        """Read a customer's subscriptions and entitlements, consistently."""
        return self._table.customer(customer_id)

    def put_entitlements(self, write: EntitlementsWrite) -> bool:
        """Return whether it would be written."""
        held = self._table.customer(write.customer_id).entitlements
        return held is None or held.as_of < write.as_of

    def show_entitlements(
        self, customer_id: str, features: tuple[str, ...], created: int, *, account: str | None
    ) -> bool:
        """Write nothing."""
        del customer_id, features, created, account
        return False
