"""The table `Access`: the answer that was last decided for each customer, and whether it was published.

An item has `due_at` and `due_shard` if time will change its answer, or its answer still has to be published; only these
are in the index `due`. So a crash between a write and its event leaves an item that is found again.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.types import TypeDeserializer
from botocore.exceptions import BotoCoreError, ClientError

from shared.access import CustomerAccess
from shared.aws import code_of, serialize
from shared.errors import Unavailable

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

DUE_INDEX = "due"
# Due by every clock, also where the one that decided was ahead.
AT_ONCE = 0
# The index is divided, because one partition of DynamoDB takes 1,000 writes a second.
DUE_SHARDS = tuple(map(str, range(8)))

_ANSWER = ("customer_id", "granted", "reason", "until", "subscriptions")
# Only in answers of deployments that mirror entitlements, and of customers whose features are known.
_FEATURES = "features"
_deserialize = TypeDeserializer().deserialize


def plain(access: CustomerAccess) -> dict[str, Any]:
    """Return the answer as JSON types, the form in which it is stored, compared and published."""
    answer: dict[str, Any] = json.loads(json.dumps(access.as_json()))
    return answer


@dataclass(frozen=True, slots=True)
class DecidedAccess:
    """The answer that was decided last.

    `version` counts the answers; those up to `published` are known to be published. `due_at` (Unix seconds): when to
    look at the customer again.
    """

    answer: Mapping[str, Any]
    version: int
    published: int
    due_at: int | None

    @property
    def is_pending(self) -> bool:
        """Whether the answer may not have been published."""
        return self.published < self.version


class AccessTable:
    """Reads and writes of the table; a write says which version it was made from, and fails if that has changed."""

    def __init__(self, client: "DynamoDBClient", table_name: str) -> None:
        self._client = client
        self._table_name = table_name

    def get(self, customer_id: str) -> DecidedAccess | None:
        """Read what was decided last, consistently. Raises `Unavailable`."""
        request: Any = {"TableName": self._table_name, "Key": _key(customer_id), "ConsistentRead": True}
        try:
            item = self._client.get_item(**request).get("Item")
        except (ClientError, BotoCoreError) as error:
            raise _unavailable(error) from error
        return _read(item) if item else None

    def decide(self, answer: Mapping[str, Any], since: DecidedAccess | None) -> DecidedAccess | None:
        """Write a new answer, which is due at once: it has to be published. `None`: somebody else decided meanwhile.

        Raises `Unavailable`.
        """
        decided = DecidedAccess(answer, since.version + 1 if since else 1, since.published if since else 0, AT_ONCE)
        written_names = [name for name in (*_ANSWER[1:], _FEATURES) if name in answer]
        names = {f"#{name}": name for name in written_names}
        values = {f":{name}": answer[name] for name in written_names} | {
            ":version": decided.version,
            ":published": decided.published,
            ":due_at": AT_ONCE,
            ":shard": _shard(answer["customer_id"]),
        }
        condition = "attribute_not_exists(version)"
        if since:
            condition, values[":since"] = "version = :since", since.version
        assignments = ", ".join(f"#{name} = :{name}" for name in written_names)
        removed = "" if _FEATURES in answer else f" REMOVE {_FEATURES}"
        written = self._update(
            answer["customer_id"],
            f"SET {assignments}, version = :version, published = :published, due_at = :due_at, due_shard = :shard"
            f"{removed}",
            condition,
            values,
            names,
        )
        return decided if written else None

    def settle(self, customer_id: str, version: int, due_at: int | None) -> None:
        """Record that this version is published, and when time will change it; if there is a newer one, do nothing.

        Raises `Unavailable`.
        """
        values: dict[str, Any] = {":version": version}
        if due_at is None:
            expression = "SET published = :version REMOVE due_at, due_shard"
        else:
            expression = "SET published = :version, due_at = :due_at, due_shard = :shard"
            values |= {":due_at": due_at, ":shard": _shard(customer_id)}
        self._update(customer_id, expression, "version = :version", values, {})

    def due(self, *, now: int) -> Iterator[str]:
        """Yield the customers to look at again, by shard, the longest due first. Raises `Unavailable`."""
        pages = self._client.get_paginator("query")
        for shard in DUE_SHARDS:
            query: dict[str, Any] = {
                "TableName": self._table_name,
                "IndexName": DUE_INDEX,
                "KeyConditionExpression": "due_shard = :shard AND due_at <= :now",
                "ExpressionAttributeValues": {":shard": serialize(shard), ":now": serialize(now)},
            }
            try:
                for page in pages.paginate(**query):
                    yield from (item["customer_id"]["S"] for item in page["Items"])
            except (ClientError, BotoCoreError) as error:
                raise _unavailable(error) from error

    def customers(self, after: str | None) -> Iterator[str]:
        """Yield every customer, in an order of DynamoDB's own, from behind `after`. Raises `Unavailable`."""
        scan: dict[str, Any] = {"TableName": self._table_name, "ProjectionExpression": "customer_id"}
        if after:
            scan["ExclusiveStartKey"] = _key(after)
        try:
            for page in self._client.get_paginator("scan").paginate(**scan):
                yield from (item["customer_id"]["S"] for item in page["Items"])
        except (ClientError, BotoCoreError) as error:
            raise _unavailable(error) from error

    def _update(
        self,
        customer_id: str,
        expression: str,
        condition: str,
        values: Mapping[str, Any],
        names: Mapping[str, str],
    ) -> bool:
        """Return whether the condition held."""
        request: Any = {
            "TableName": self._table_name,
            "Key": _key(customer_id),
            "UpdateExpression": expression,
            "ConditionExpression": condition,
            "ExpressionAttributeValues": {name: serialize(value) for name, value in values.items()},
        }
        if names:
            request["ExpressionAttributeNames"] = dict(names)
        try:
            self._client.update_item(**request)
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        except (ClientError, BotoCoreError) as error:
            raise _unavailable(error) from error
        return True


def _key(customer_id: str) -> dict[str, Any]:
    return {"customer_id": serialize(customer_id)}


def _shard(customer_id: str) -> str:
    return DUE_SHARDS[sha256(customer_id.encode()).digest()[0] % len(DUE_SHARDS)]


def _read(item: Mapping[str, Any]) -> DecidedAccess:
    values = {name: _whole(_deserialize(value)) for name, value in item.items()}
    return DecidedAccess(
        {name: values[name] for name in _ANSWER} | {name: values[name] for name in (_FEATURES,) if name in values},
        values["version"],
        values["published"],
        values.get("due_at"),
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


def _unavailable(error: ClientError | BotoCoreError) -> Unavailable:
    return Unavailable("access_table_unavailable", f"The table Access did not answer ({code_of(error)})")
