"""The table `Pauses`: the one pause that a subscription has now, and the history of all, which is never changed.

The hash key is `subscription_id`, the range key `entry`: `current` for the pause as it is, `history#...` for what
happened, oldest first. Every write says which version it was made from, so of two at a time one fails. An item that
somebody has to look at again has `retry_at` and `due`, and only these are in the index `due`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

from boto3.dynamodb.types import TypeDeserializer
from botocore.exceptions import BotoCoreError, ClientError

from shared.aws import code_of, serialize
from shared.errors import Unavailable, sentence
from shared.i18n import Message, _
from shared.pausing.policy import PauseTime
from shared.stripe.subscription import PauseKind

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

DUE_INDEX, TIME_INDEX, CUSTOMER_INDEX = "due", "by_time", "by_customer"
# One partition of the index takes 1,000 writes a second: some millions of open pauses, each looked at once a day.
_DUE = "open"
# So does one partition of `by_time`, of which each entry is written once.
_LOG = "history"
_CURRENT, _HISTORY = "current", "history#"
# About 400 KB, which are 50 read units.
_ENTRIES_OF_A_REQUEST = 1000
_ATTEMPTS = 5
# Why a transaction is canceled where somebody else has written, or is writing, the item.
_LOST_RACE = frozenset({"None", "ConditionalCheckFailed", "TransactionConflict"})
# Stripe carries a plan out by itself; where it has not after so long, the pause function does it.
OVERDUE = timedelta(hours=1)
# `resumes` and `next_charge` of a pause without a date of return: it lasts until somebody resumes it.
NO_RETURN = 0


class PauseState(StrEnum):
    """How far a pause is; docs/reference/pause.md draws what leads from one to another."""

    STARTING = "starting"
    SCHEDULED = "scheduled"
    PAUSED = "paused"
    CHANGING = "changing"
    RESUMING = "resuming"
    UNDOING = "undoing"
    ENDED = "ended"
    FAILED = "failed"

    @property
    def is_open(self) -> bool:
        """Whether there is still something to do or to follow."""
        return self not in {PauseState.ENDED, PauseState.FAILED}

    @property
    def is_settled(self) -> bool:
        """Whether nothing is under way: a customer can ask for something else."""
        return self in {PauseState.SCHEDULED, PauseState.PAUSED, PauseState.ENDED, PauseState.FAILED}


class PauseAction(StrEnum):
    """What an entry of the history records."""

    SET = "set"
    BEGUN = "begun"
    CHANGED = "changed"
    CHANGE_FAILED = "change_failed"
    UNDONE = "undone"
    RESUMED = "resumed"
    RELEASED = "released"
    CANCELED = "canceled"
    ENDED_ELSEWHERE = "ended_elsewhere"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Actor:
    """By which hand: the `customer`, the `team` (with a name), or `stripe`, which is also whoever acts there."""

    kind: str
    name: str | None = None


CUSTOMER, STRIPE = Actor("customer"), Actor("stripe")

KINDS: dict[PauseKind, Message] = {
    "subscription": _("subscription paused"),
    "collection": _("collection paused"),
}


def hand(actor: str, name: str | None) -> Message:
    """Return by whose hand something was done."""
    match actor:
        case "customer":
            return _("by the customer")
        case "stripe":
            return _("at Stripe")
        case _:
            return _("by the team ({name})", name=name) if name else _("by the team")


@dataclass(frozen=True, slots=True)
class PauseRecord:
    """The pause that a subscription has, or had last; times are Unix seconds.

    `operation_id` is of the pause as a whole, and the key of its entry in Stripe's schedule; `intent` is of the request
    that is under way, or was last. `attempt` counts the tries of that request; Stripe's idempotency keys have it.
    `resumes` is when Stripe resumes; `wanted_resumes` the one that a change under way wants. `asked_resume`: the day
    (ISO 8601) that was asked for. `waiting` says what a resume waits for, `payment`, `payment_method` or
    `stripe`, and `waiting_since` since when. `failure` is a code, `failure_detail` Stripe's words. `notified_for`: the
    `resumes` that a notice was sent for; `told`: the mail about the pause that was sent last. `change_failed`: a change
    of the date of return failed after its answer, and the customer is still to be told. `group`: the
    customer's, whose rules hold for the mails' links.

    `collection_behavior` and `collection_resumes` are those of a pause of collection that this pause takes the place
    of, until it has begun: it is unset then, and put back if this pause fails or is undone before. `cleared_at`: when
    it was decided to unset it before, because Stripe does not pause a subscription whose collection is paused.
    """

    subscription_id: str
    customer_id: str
    operation_id: str
    intent: str
    kind: PauseKind
    state: PauseState
    begin: str
    begins: int
    resumes: int
    next_charge: int
    asked_resume: str
    unused_time: str
    created: int
    actor: str
    actor_name: str | None = None
    reason: str | None = None
    overridden: bool = False
    why_not_real: tuple[str, ...] = ()
    version: int = 0
    attempt: int = 0
    step: str | None = None
    retry_at: int | None = None
    schedule_id: str | None = None
    wanted_resumes: int | None = None
    wanted_next_charge: int | None = None
    wanted_asked_resume: str | None = None
    has_begun: bool = False
    waiting: str | None = None
    waiting_since: int | None = None
    outcome: str | None = None
    failure: str | None = None
    failure_detail: str | None = None
    notified_for: int | None = None
    told: str | None = None
    change_failed: bool = False
    group: str | None = None
    collection_behavior: str | None = None
    collection_resumes: int | None = None
    cleared_at: int | None = None

    @property
    def has_return(self) -> bool:
        """Whether it has a date of return."""
        return self.resumes != NO_RETURN

    @property
    def is_conversion(self) -> bool:
        """Whether it is to take the place of a pause of collection, and has not yet."""
        return self.collection_behavior is not None


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One thing that happened to a pause; `at`, `begins` and `resumes` in Unix seconds."""

    subscription_id: str
    customer_id: str
    operation_id: str
    version: int
    at: int
    action: PauseAction
    actor: str
    kind: PauseKind
    begins: int
    resumes: int
    actor_name: str | None = None
    reason: str | None = None
    overridden: bool = False
    detail: str | None = None

    @property
    def has_return(self) -> bool:
        """Whether the pause had a date of return then."""
        return self.resumes != NO_RETURN

    @property
    def key(self) -> str:
        """The range key: entries of one subscription sort by time, and within a second as they were written."""
        return f"{_HISTORY}{self.at:010d}#{self.version:06d}#{self.operation_id}"


# After these a pause is over.
OVER_ACTIONS = frozenset(
    {PauseAction.RESUMED, PauseAction.RELEASED, PauseAction.CANCELED, PauseAction.ENDED_ELSEWHERE, PauseAction.UNDONE}
)
# A pause without a date of return lasts for longer than anything is looked at.
_NEVER = int(timedelta(days=100 * 365).total_seconds())


@dataclass(frozen=True, slots=True)
class CustomerPause(PauseTime):
    """One pause of a customer that has begun or still will, as the history has it; times are Unix seconds.

    `ends` is when it was over, or else is to be. `resumes` is the date of return that it had last, `extended` how often
    that was put off, `overridden_by` who of the team overrode the rules for it.
    """

    operation_id: str
    customer_id: str
    resumes: int
    has_begun: bool
    has_return: bool
    extended: int
    overridden_by: tuple[str, ...]


def customer_pauses(entries: Iterable[HistoryEntry]) -> list[CustomerPause]:
    """Return the pauses of a customer's history that have begun or still will, in the order in which they begin."""
    by_operation: dict[str, list[HistoryEntry]] = {}
    for entry in sorted(entries, key=lambda each: each.key):
        by_operation.setdefault(entry.operation_id, []).append(entry)
    found = (_customer_pause(each) for each in by_operation.values())
    return sorted((each for each in found if each), key=lambda each: each.begins)


def _customer_pause(entries: list[HistoryEntry]) -> CustomerPause | None:
    last = entries[-1]
    has_begun = any(each.action is PauseAction.BEGUN for each in entries)
    ended = [each.at for each in entries if each.action in OVER_ACTIONS]
    if not has_begun and (ended or any(each.action is PauseAction.FAILED for each in entries)):
        return None
    return CustomerPause(
        last.subscription_id,
        last.begins,
        max(ended, default=_return_of(last)),
        last.operation_id,
        last.customer_id,
        _return_of(last),
        has_begun=has_begun,
        has_return=bool(ended) or last.has_return,
        extended=sum(
            after.action is PauseAction.CHANGED and _return_of(after) > _return_of(before)
            for before, after in pairwise(entries)
        ),
        overridden_by=tuple(dict.fromkeys(each.actor_name or each.actor for each in entries if each.overridden)),
    )


def _return_of(entry: HistoryEntry) -> int:
    return entry.resumes if entry.has_return else entry.begins + _NEVER


class PauseReader(Protocol):
    """What the nightly audit reads of the table."""

    def get_many(self, subscription_ids: Iterable[str]) -> Mapping[str, PauseRecord]:
        """Read the present or last pauses of up to 100 subscriptions, leaving out the absent."""

    def newest_entries(self, *, until: int) -> Iterator[HistoryEntry]:
        """Yield the history of all subscriptions up to a Unix second, the newest first."""

    def entries_of_customer(self, customer_id: str, *, since: int) -> list[HistoryEntry]:
        """Return the history of a customer's subscriptions, oldest first; `since` in Unix seconds."""

    def due(self, *, now: float) -> Iterator[str]:
        """Yield the subscriptions whose pause has to be looked at again, the longest due first."""


class PauseTable:
    """Reads and writes of the table; all raise `Unavailable` where DynamoDB does not answer."""

    def __init__(self, client: "DynamoDBClient", table_name: str) -> None:
        self._client = client
        self._table_name = table_name

    def get(self, subscription_id: str) -> PauseRecord | None:
        """Read the present or last pause, consistently."""
        request: Any = {
            "TableName": self._table_name,
            "Key": _key(subscription_id, _CURRENT),
            "ConsistentRead": True,
        }
        item = self._ask(self._client.get_item, request).get("Item")
        return _read(PauseRecord, item) if item else None

    def get_many(self, subscription_ids: Iterable[str]) -> dict[str, PauseRecord]:
        """Read the present or last pauses of up to 100 subscriptions in one request, leaving out the absent.

        Keys that DynamoDB left unprocessed (a throttled table) are read again, a few times.
        """
        wanted: list[Any] = [_key(each, _CURRENT) for each in subscription_ids]
        found: dict[str, PauseRecord] = {}
        for _attempt in range(_ATTEMPTS):
            if not wanted:
                return found
            answer = self._ask(self._client.batch_get_item, {"RequestItems": {self._table_name: {"Keys": wanted}}})
            for item in answer["Responses"].get(self._table_name, []):
                record: PauseRecord = _read(PauseRecord, item)
                found[record.subscription_id] = record
            wanted = answer.get("UnprocessedKeys", {}).get(self._table_name, {}).get("Keys", [])
        if wanted:
            raise Unavailable("pauses_unavailable", "The table Pauses left out keys again and again")
        return found

    def write(self, record: PauseRecord, since: PauseRecord | None, *entries: HistoryEntry) -> PauseRecord | None:
        """Write the record with the next version, and its history with it, all or nothing.

        `since` is the record that it was made from, `None` if there was none. Returns what was written; `None` if
        somebody else wrote meanwhile.
        """
        written = replace(record, version=(since.version if since else 0) + 1)
        put: dict[str, Any] = {
            "TableName": self._table_name,
            "Item": _item(written, _CURRENT),
            "ConditionExpression": "version = :version" if since else "attribute_not_exists(subscription_id)",
        }
        if since:
            put["ExpressionAttributeValues"] = {":version": serialize(since.version)}
        try:
            if not entries:
                self._client.put_item(**put)
                return written
            puts = [
                {
                    "TableName": self._table_name,
                    "Item": _item(entry, entry.key),
                    "ConditionExpression": "attribute_not_exists(subscription_id)",
                }
                for entry in entries
            ]
            request: Any = {"TransactItems": [{"Put": each} for each in (put, *puts)]}
            self._client.transact_write_items(**request)
        except self._client.exceptions.ConditionalCheckFailedException:
            return None
        except ClientError as error:
            if _has_lost_race(error):
                return None
            raise _unavailable(error) from error
        except BotoCoreError as error:
            raise _unavailable(error) from error
        return written

    def history(self, subscription_id: str, *, since: int = 0) -> list[HistoryEntry]:
        """Return what happened to the pauses of a subscription, oldest first; `since` in Unix seconds."""
        request = {
            "KeyConditionExpression": "subscription_id = :id AND entry BETWEEN :first AND :last",
            "ExpressionAttributeValues": {
                ":id": serialize(subscription_id),
                ":first": serialize(f"{_HISTORY}{max(since, 0):010d}"),
                ":last": serialize(f"{_HISTORY}~"),
            },
            "ConsistentRead": True,
        }
        return [_read(HistoryEntry, item) for item in self._pages("query", request)]

    def pauses_of(self, customer_id: str, *, since: int) -> list[CustomerPause]:
        """Return a customer's pauses as the policy counts them, eventually consistent; `since` in Unix seconds."""
        return customer_pauses(self.entries_of_customer(customer_id, since=since))

    def newest_entries(self, *, until: int) -> Iterator[HistoryEntry]:
        """Yield the history of all subscriptions up to a Unix second, the newest first, eventually consistent.

        A request reads up to a thousand entries, and is made when the first of them is asked for.
        """
        request = {
            "IndexName": TIME_INDEX,
            "KeyConditionExpression": "#log = :log AND #at <= :until",
            "ExpressionAttributeNames": {"#log": "log", "#at": "at"},
            "ExpressionAttributeValues": {":log": serialize(_LOG), ":until": serialize(until)},
            "ScanIndexForward": False,
            "PaginationConfig": {"PageSize": _ENTRIES_OF_A_REQUEST},
        }
        return (_read(HistoryEntry, item) for item in self._pages("query", request))

    def entries_of_customer(self, customer_id: str, *, since: int) -> list[HistoryEntry]:
        """Return the history of a customer's subscriptions, oldest first; `since` in Unix seconds."""
        request = {
            "IndexName": CUSTOMER_INDEX,
            "KeyConditionExpression": "customer_id = :customer AND #at >= :since",
            "ExpressionAttributeNames": {"#at": "at"},
            "ExpressionAttributeValues": {":customer": serialize(customer_id), ":since": serialize(since)},
        }
        return [_read(HistoryEntry, item) for item in self._pages("query", request)]

    def due(self, *, now: float) -> Iterator[str]:
        """Yield the subscriptions whose pause has to be looked at again, the longest due first."""
        request = {
            "IndexName": DUE_INDEX,
            "KeyConditionExpression": "due = :due AND retry_at <= :now",
            "ExpressionAttributeValues": {":due": serialize(_DUE), ":now": serialize(int(now))},
        }
        for item in self._pages("query", request):
            yield item["subscription_id"]["S"]

    def open_pauses(self) -> Iterator[PauseRecord]:
        """Yield every pause that is not over, in the order in which they have to be looked at again."""
        request = {
            "IndexName": DUE_INDEX,
            "KeyConditionExpression": "due = :due",
            "ExpressionAttributeValues": {":due": serialize(_DUE)},
        }
        for item in self._pages("query", request):
            record = self.get(item["subscription_id"]["S"])
            if record and record.state.is_open:
                yield record

    def everything(self) -> Iterator[PauseRecord | HistoryEntry]:
        """Yield every record and every entry of the table, in DynamoDB's own order."""
        for item in self._pages("scan", {}):
            yield _read(PauseRecord if item["entry"]["S"] == _CURRENT else HistoryEntry, item)

    def _pages(self, operation: Any, request: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        pages: Any = self._client.get_paginator(operation)
        try:
            for page in pages.paginate(TableName=self._table_name, **request):
                yield from page["Items"]
        except (ClientError, BotoCoreError) as error:
            raise _unavailable(error) from error

    def _ask(self, ask: Any, request: Mapping[str, Any]) -> Any:
        try:
            return ask(**request)
        except (ClientError, BotoCoreError) as error:
            raise _unavailable(error) from error


_deserialize = TypeDeserializer().deserialize
_ENUMS: dict[str, Any] = {"state": PauseState, "action": PauseAction}


def _key(subscription_id: str, entry: str) -> dict[str, Any]:
    return {"subscription_id": serialize(subscription_id), "entry": serialize(entry)}


def _item(value: PauseRecord | HistoryEntry, entry: str) -> dict[str, Any]:
    """Return the item; what is `None` is left out, so that the index stays sparse."""
    given = {field.name: getattr(value, field.name) for field in fields(value)}
    stored = {name: each for name, each in given.items() if each is not None}
    item = {name: serialize(list(each) if isinstance(each, tuple) else each) for name, each in stored.items()}
    if given.get("retry_at") is not None:
        item["due"] = serialize(_DUE)
    if isinstance(value, HistoryEntry):
        item["log"] = serialize(_LOG)
    return item | {"entry": serialize(entry)}


def _read(form: Any, item: Mapping[str, Any]) -> Any:
    known = {field.name for field in fields(form)}
    values = {name: _deserialize(each) for name, each in item.items() if name in known}
    return form(**{name: _plain(name, value) for name, value in values.items()})


def _plain(name: str, value: Any) -> Any:
    """DynamoDB's numbers are decimals; all of ours are whole."""
    if name in _ENUMS:
        return _ENUMS[name](value)
    match value:
        case bool() | str() | None:
            return value
        case list():
            return tuple(value)
        case _:
            return int(value)


def _has_lost_race(error: ClientError) -> bool:
    """Whether somebody else was faster. A transaction is canceled for a throttled table or a wrong value, too.

    Source: DynamoDB's API reference, TransactWriteItems, `CancellationReasons`.
    """
    response: Any = error.response
    reasons = {reason.get("Code") for reason in response.get("CancellationReasons", ())}
    return code_of(error) == "TransactionCanceledException" and reasons <= _LOST_RACE


def _unavailable(error: ClientError | BotoCoreError) -> Unavailable:
    return Unavailable("pauses_unavailable", sentence("The table Pauses did not answer ({code})", code=code_of(error)))
