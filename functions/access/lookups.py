"""Questions that only Stripe can answer, each asked once in a while, however many environments and callers there are.

The table `AccessLookups` holds an item for each question: when it may be asked again, and what the answer was. Whoever
wants to ask claims the item by a conditional write first, so of many at once one asks. An item for each minute counts
the questions of all.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from shared.aws import CONDITION_FAILED, code_of, serialize
from shared.errors import Unavailable

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

# How long an answer counts: a customer who has just paid may wait that long if the webhook is down.
REMEMBERED_SECONDS = 60
# A user's customer hardly ever changes.
REMEMBERED_FOUND_SECONDS = 3600
# How long whoever has claimed a question may take; if it failed, the next one may ask then.
CLAIM_SECONDS = 15
_KEPT_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Lookup:
    """The customer that was found, and whether Stripe was asked just now."""

    found: str | None
    asked: bool


class Lookups:
    """Asks through the table; each question costs one request of it, and two more when it is really asked."""

    def __init__(self, client: "DynamoDBClient", table_name: str, *, per_minute: int) -> None:
        self._client = client
        self._table_name = table_name
        self._per_minute = per_minute

    def once(self, key: str, ask: Callable[[], str | None], *, now: float) -> Lookup:
        """Return what `ask` found, or found a short while ago. `now` is in Unix seconds.

        Raises `Unavailable` while somebody else is asking, or asked and failed, and when all questions of this minute
        are used up. What `ask` raises counts as no answer.
        """
        claimed = self._claim(key, int(now))
        if claimed is not None:
            if "answered" not in claimed:
                raise Unavailable("access_lookup_busy", f"{key} is being looked up", retry_after=1)
            return Lookup(claimed.get("customer_id", {}).get("S"), asked=False)
        self._spend(int(now))
        found = ask()
        self._remember(key, found, int(now))
        return Lookup(found, asked=True)

    def _claim(self, key: str, now: int) -> dict[str, Any] | None:
        """Claim the question; return the item instead where that is not possible yet.

        An item that is valid for longer than any is written came from a clock that was ahead, and does not count.
        """
        return self._update(
            key,
            "SET retry_at = :retry_at, expires_at = :expires_at REMOVE answered, customer_id",
            "attribute_not_exists(id) OR retry_at <= :now OR retry_at > :too_late",
            {
                ":retry_at": now + CLAIM_SECONDS,
                ":expires_at": now + _KEPT_SECONDS,
                ":now": now,
                ":too_late": now + REMEMBERED_FOUND_SECONDS + CLAIM_SECONDS,
            },
        )

    def _spend(self, now: int) -> None:
        """Count a question of this minute. Raises `Unavailable` if it is one too many."""
        spent = self._update(
            f"minute#{now // 60}",
            "SET expires_at = :expires_at ADD asked :one",
            "attribute_not_exists(id) OR asked < :most",
            {":expires_at": now + _KEPT_SECONDS, ":one": 1, ":most": self._per_minute},
        )
        if spent is not None:
            raise Unavailable(
                "access_lookups_used_up",
                "More unknown customers asked within a minute than AccessLookupsPerMinute allows",
                retry_after=60 - now % 60,
            )

    def _remember(self, key: str, found: str | None, now: int) -> None:
        seconds = REMEMBERED_SECONDS if found is None else REMEMBERED_FOUND_SECONDS
        values = {":retry_at": now + seconds, ":true": True} | ({} if found is None else {":customer_id": found})
        found_too = "" if found is None else ", customer_id = :customer_id"
        self._update(key, f"SET retry_at = :retry_at, answered = :true{found_too}", None, values)

    def _update(
        self, key: str, expression: str, condition: str | None, values: Mapping[str, str | int]
    ) -> dict[str, Any] | None:
        """Write, and return `None`; or the item, where the condition did not hold."""
        request: Any = {
            "TableName": self._table_name,
            "Key": {"id": serialize(key)},
            "UpdateExpression": expression,
            "ExpressionAttributeValues": {name: serialize(value) for name, value in values.items()},
        }
        if condition:
            request |= {"ConditionExpression": condition, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
        try:
            self._client.update_item(**request)
        except (ClientError, BotoCoreError) as error:
            if isinstance(error, ClientError) and code_of(error) == CONDITION_FAILED:
                response: Any = error.response
                return dict(response.get("Item") or {})
            raise Unavailable(
                "lookups_unavailable", f"The table of lookups did not answer ({code_of(error)})"
            ) from error
        return None
