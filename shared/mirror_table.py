"""The DynamoDB table `Subscriptions`: one item per subscription, and the conditional writes that keep it true."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from shared.aws import code_of
from shared.errors import Unavailable
from shared.mirror_item import NAMES, MirroredSubscription, Write, item_key, read_item, serialize, update_expression
from shared.subscription import ENDED_STATUSES, PauseKind

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

BY_PAUSE = "by_pause"
ATTEMPTS = 5


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

        What DynamoDB leaves out for now (a throttled table) is asked for again, a few times. Raises `Unavailable`.
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
        condition = {":id": customer_id}
        return self._query(None, "customer_id = :id", condition, consistent=True)

    def paused(self, kind: PauseKind) -> Iterator[MirroredSubscription]:
        """Read all that are paused in this way, longest pause first, from the sparse index (eventually consistent)."""
        return self._query(BY_PAUSE, "pause_kind = :kind", {":kind": kind}, consistent=False)

    def all(self) -> Iterator[MirroredSubscription]:
        """Read the whole table, consistently, a page at a time; what is written meanwhile may come or not."""
        try:
            for page in self._client.get_paginator("scan").paginate(TableName=self._table_name, ConsistentRead=True):
                yield from map(read_item, page["Items"])
        except (ClientError, BotoCoreError) as error:
            raise _unavailable(error) from error

    def page(self, start: Mapping[str, Any] | None) -> tuple[list[MirroredSubscription], Mapping[str, Any] | None]:
        """Read a megabyte of the table after `start` (`None`: from the beginning), eventually consistent.

        Answers what has not ended, and where the next page starts (`None`: this was the last). Raises `Unavailable`.
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
        return [read_item(item) for item in answer["Items"]], answer.get("LastEvaluatedKey")

    def put_if_older(self, write: Write, than: int) -> MirroredSubscription | None:
        """Write, unless the item stands in the way (`stands_in_the_way` says when); answer that item, or `None`."""
        how = "OR" if write.subscription.ended else "AND"
        return self._update(
            write,
            f"attribute_not_exists(revision) OR as_of < :than {how} NOT #status IN (:canceled, :incomplete_expired)",
            {":than": than} | {f":{status}": status for status in ENDED_STATUSES},
        )

    def put_if_unchanged(self, write: Write, since: MirroredSubscription | None) -> MirroredSubscription | None:
        """Write if nobody wrote since `since` was read (`None`: if there still is no item).

        Answers as `put_if_older` does.
        """
        if since is None:
            return self._update(write, "attribute_not_exists(revision)", {})
        return self._update(write, "revision = :revision", {":revision": since.revision})

    def _update(self, write: Write, condition: str, values: Mapping[str, Any]) -> MirroredSubscription | None:
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
        except self._client.exceptions.ConditionalCheckFailedException as failed:
            return read_item(failed.response["Item"])  # type: ignore[typeddict-item]  # the stubs do not know of it
        except (ClientError, BotoCoreError) as error:
            raise _unavailable(error) from error
        return None

    def _query(
        self,
        index: str | None,
        condition: str,
        values: Mapping[str, Any],
        *,
        consistent: bool,
    ) -> Iterator[MirroredSubscription]:
        query: dict[str, Any] = {
            "TableName": self._table_name,
            "KeyConditionExpression": condition,
            "ExpressionAttributeValues": {name: serialize(value) for name, value in values.items()},
            "ConsistentRead": consistent,
        }
        if index:
            query["IndexName"] = index
        try:
            for page in self._client.get_paginator("query").paginate(**query):
                yield from map(read_item, page["Items"])
        except (ClientError, BotoCoreError) as error:
            raise _unavailable(error) from error


def _unavailable(error: ClientError | BotoCoreError) -> Unavailable:
    code = code_of(error)
    return Unavailable("mirror_unavailable", f"The table of subscriptions did not answer ({code})")
