"""The table `Subscriptions`: its reads and conditional writes, and a dry run of these."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from shared.aws import CONDITION_FAILED, code_of, serialize
from shared.errors import Unavailable, sentence
from shared.mirror.items import (
    BEGINNINGS,
    ENTITLEMENTS_KEY,
    NAMES,
    Beginnings,
    EntitlementsWrite,
    MirroredCustomer,
    MirroredSubscription,
    Write,
    blocks_write,
    item_key,
    read_customer,
    read_item,
    read_subscriptions,
    update_expression,
)
from shared.stripe.subscription import ENDED_STATUSES

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class TablePage:
    """Some items, and the key after which the next page starts (`None`: this was the last)."""

    items: tuple[MirroredSubscription, ...]
    next_start: Mapping[str, Any] | None


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
            raise Unavailable(
                "mirror_unavailable", sentence("The table of subscriptions left out keys again and again")
            )
        return found

    def of_customer(self, customer_id: str) -> Iterator[MirroredSubscription]:
        """Read all subscriptions of a customer, consistently."""
        return read_subscriptions(self._items_of(customer_id))

    def customer(self, customer_id: str) -> MirroredCustomer:
        """Read a customer's subscriptions and entitlements, consistently, in one query."""
        return read_customer(self._items_of(customer_id))

    def customers(self) -> Iterator[MirroredCustomer]:
        """Read the whole table a customer at a time, as `all` does: a scan keeps the items of one key together."""
        for _, items in groupby(self._scan(), lambda item: item["customer_id"]["S"]):
            yield read_customer(items)

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
        return read_subscriptions(self._scan())

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
        return TablePage(tuple(read_subscriptions(answer["Items"])), answer.get("LastEvaluatedKey"))

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
        known = {name: value for name in BEGINNINGS if (value := getattr(beginnings, name))}
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
        raise Unavailable(
            "mirror_contended",
            sentence("{subscription} vanished from the table while it was written", subscription=write.subscription.id),
        )

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
    return Unavailable("mirror_unavailable", sentence("The table of subscriptions did not answer ({code})", code=code))


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
