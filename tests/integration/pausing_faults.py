"""What can go wrong between the pauses and those that they ask: each request can fail, be lost, or be overtaken."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import stripe
from botocore.exceptions import ClientError, ReadTimeoutError

from tests.simulator_in_process import SimulatorInProcess, Transport


class Crashed(BaseException):
    """The process is gone: nothing catches it."""


class FaultKind(StrEnum):
    """What becomes of a request."""

    KILLED_BEFORE = "killed before"  # the process dies before it is sent
    KILLED_AFTER = "killed after"  # the process dies once it is carried out
    UNSENT = "unsent"  # it never arrives, and times out
    LOST = "lost"  # it is carried out, and its answer is lost
    REPEATED = "repeated"  # its answer is lost, and the client sends it again
    BUSY = "busy"  # refused: 409, or a conflict of transactions
    LIMITED = "limited"  # refused: 429, or a throttled table
    BROKEN = "broken"  # 500, and nothing was done
    FORBIDDEN = "forbidden"  # 403: the key lacks the permission
    OVERTAKEN = "overtaken"  # something else happens right before it
    FOLLOWED = "followed"  # something else happens before its answer arrives


@dataclass(frozen=True)
class Fault:
    """What goes wrong with a request; `act` is what follows one that is followed, and overtakes any other."""

    kind: FaultKind
    act: Callable[[], object] = lambda: None


@dataclass
class Faults:
    """Counts the requests to Stripe, DynamoDB and SES together, and has those fail that are planned.

    `plan` names them by number, `named` by a part of their name: the first such request is meant.
    """

    plan: dict[int, Fault] = field(default_factory=dict)
    named: dict[str, Fault] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    met: list[str] = field(default_factory=list)

    def carry_out(  # noqa: C901 - one case for each kind
        self, name: str, send: Callable[[], Any], errors: "Errors"
    ) -> Any:
        """Send a request, or do with it what is planned."""
        fault = self.plan.pop(len(self.requests), None)
        if fault is None and (part := next((part for part in self.named if part in name), None)):
            fault = self.named.pop(part)
        self.requests.append(name)
        if fault is None:
            return send()
        self.met.append(f"{fault.kind}: {name}")
        if fault.kind is not FaultKind.FOLLOWED:
            self._act(fault)
        match fault.kind:
            case FaultKind.KILLED_BEFORE:
                raise Crashed
            case FaultKind.KILLED_AFTER:
                send()
                raise Crashed
            case FaultKind.UNSENT:
                raise errors.timeout()
            case FaultKind.LOST:
                send()
                raise errors.timeout()
            case FaultKind.REPEATED:
                send()
                return send()
            case FaultKind.OVERTAKEN:
                return send()
            case FaultKind.FOLLOWED:
                answer = send()
                self._act(fault)
                return answer
            case _:
                return errors.refusal(fault.kind)

    def begin(self, plan: Mapping[int, Fault], named: Mapping[str, Fault] | None = None) -> None:
        """Count from zero, with this plan."""
        self.plan, self.named, self.requests, self.met = dict(plan), dict(named or {}), [], []

    def _act(self, fault: Fault) -> None:
        """Let something else happen, whose own requests are neither counted nor disturbed."""
        before = (self.plan, self.named, self.requests, self.met)
        self.begin({})
        try:
            fault.act()
        finally:
            self.plan, self.named, self.requests, self.met = before


@dataclass(frozen=True)
class Errors:
    """How a client says that a request timed out, or was refused."""

    timeout: Callable[[], Exception]
    refusal: Callable[[FaultKind], Any]


class FaultyTransport(Transport):
    """Stripe, as the pauses reach it."""

    def __init__(self, simulator: SimulatorInProcess, faults: Faults) -> None:
        super().__init__(simulator)
        self._faults = faults

    def request(  # type: ignore[override]
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None
    ) -> tuple[bytes, int, dict[str, str]]:
        path = url.partition("api.stripe.com")[2].partition("?")[0]
        send = super().request
        answer: tuple[bytes, int, dict[str, str]] = self._faults.carry_out(
            f"{method.upper()} {path}", lambda: send(method, url, headers, post_data), _STRIPE
        )
        return answer


def _no_answer() -> Exception:
    error = stripe.APIConnectionError("timed out")  # type: ignore[no-untyped-call]
    error.should_retry = True
    return error


def _stripe_refusal(kind: FaultKind) -> tuple[bytes, int, dict[str, str]]:
    status = {FaultKind.BUSY: 409, FaultKind.LIMITED: 429, FaultKind.FORBIDDEN: 403}.get(kind, 500)
    named = {FaultKind.BUSY: "idempotency_error", FaultKind.LIMITED: "invalid_request_error"}.get(kind, "api_error")
    body = f'{{"error": {{"type": "{named}", "message": "{kind}"}}}}'
    return body.encode(), status, {"Request-Id": "req_1"}


_STRIPE = Errors(_no_answer, _stripe_refusal)


class ConditionalCheckFailedError(ClientError):
    """A condition of a write does not hold."""


@dataclass(frozen=True)
class _Exceptions:
    ConditionalCheckFailedException: type[ClientError] = ConditionalCheckFailedError


Item = Mapping[str, Any]


@dataclass
class FakeDynamoDb:
    """The table `Pauses` in memory, behind the requests of boto3 that `PauseTable` makes.

    It passes the same tests as the table of the template. A request in another form is an error of the test.
    """

    faults: Faults = field(default_factory=Faults)
    items: dict[tuple[str, str], Item] = field(default_factory=dict)
    exceptions: _Exceptions = field(default_factory=_Exceptions)

    def undisturbed(self) -> "FakeDynamoDb":
        """Return another client of the same table, with which nothing goes wrong."""
        return FakeDynamoDb(items=self.items)

    def get_item(self, *, TableName: str, Key: Item, ConsistentRead: bool) -> dict[str, Any]:  # noqa: N803 - AWS's names
        assert TableName
        assert ConsistentRead
        found = self._send("GetItem", lambda: self.items.get(_key(Key)))
        return {"Item": found} if found else {}

    def put_item(self, **put: Any) -> None:
        def write() -> None:
            if not self._holds(put):
                raise ConditionalCheckFailedError(_error("ConditionalCheckFailedException"), "PutItem")
            self.items[_key(put["Item"])] = put["Item"]

        self._send("PutItem", write)

    def transact_write_items(self, *, TransactItems: list[dict[str, Any]]) -> None:  # noqa: N803 - AWS's names
        is_done = False

        def write() -> None:
            nonlocal is_done
            if is_done:
                # boto3 gives a transaction a token, by which a repeated one is recognised.
                return
            puts = [each["Put"] for each in TransactItems]
            assert len({_key(put["Item"]) for put in puts}) == len(puts)
            if not all(self._holds(put) for put in puts):
                raise ClientError(_error("TransactionCanceledException"), "TransactWriteItems")
            self.items.update({_key(put["Item"]): put["Item"] for put in puts})
            is_done = True

        self._send("TransactWriteItems", write)

    def get_paginator(self, operation: str) -> "_Pages":
        return _Pages(self, operation)

    def select(self, operation: str, request: Mapping[str, Any]) -> list[Item]:
        everything = [self.items[key] for key in sorted(self.items)]
        if operation == "scan":
            return everything
        values = request["ExpressionAttributeValues"]
        match request["KeyConditionExpression"], request.get("IndexName"):
            case "subscription_id = :id AND entry BETWEEN :first AND :last", None:
                first, last = values[":first"]["S"], values[":last"]["S"]
                return [
                    each
                    for each in everything
                    if each["subscription_id"] == values[":id"] and first <= each["entry"]["S"] <= last
                ]
            case "customer_id = :customer AND #at >= :since", "by_customer":
                theirs = [each for each in everything if "at" in each and each["customer_id"] == values[":customer"]]
                recent = [each for each in theirs if int(each["at"]["N"]) >= int(values[":since"]["N"])]
                return sorted(recent, key=lambda each: int(each["at"]["N"]))
            case "due = :due AND retry_at <= :now", "due":
                found = [each for each in everything if each.get("due") == values[":due"]]
                due = [each for each in found if int(each["retry_at"]["N"]) <= int(values[":now"]["N"])]
                return sorted(due, key=lambda each: int(each["retry_at"]["N"]))
            case "due = :due", "due":
                found = [each for each in everything if each.get("due") == values[":due"]]
                return sorted(found, key=lambda each: int(each["retry_at"]["N"]))
            case unknown:
                raise AssertionError(f"The fake table has no query {unknown}")

    def _holds(self, put: Mapping[str, Any]) -> bool:
        old = self.items.get(_key(put["Item"]))
        match put.get("ConditionExpression"):
            case None:
                return True
            case "version = :version":
                return old is not None and old["version"] == put["ExpressionAttributeValues"][":version"]
            case "attribute_not_exists(subscription_id)":
                return old is None
            case unknown:
                raise AssertionError(f"The fake table has no condition {unknown}")

    def _send(self, operation: str, send: Callable[[], Any]) -> Any:
        def refuse(kind: FaultKind) -> None:
            codes = {FaultKind.BUSY: "TransactionConflictException", FaultKind.LIMITED: "ThrottlingException"}
            code = codes.get(kind, "InternalServerError")
            is_conflict = operation == "TransactWriteItems" and kind is FaultKind.BUSY
            raise ClientError(_error("TransactionCanceledException" if is_conflict else code), operation)

        def timeout() -> Exception:
            return ReadTimeoutError(endpoint_url="https://dynamodb")

        return self.faults.carry_out(operation, send, Errors(timeout, refuse))


@dataclass(frozen=True)
class _Pages:
    table: FakeDynamoDb
    operation: str

    def paginate(self, **request: Any) -> Iterator[dict[str, Any]]:
        """Return everything in one page; that there may be more is tested with the real client."""
        yield {"Items": self.table._send(self.operation, lambda: self.table.select(self.operation, request))}


@dataclass
class FakeSes:
    """SES, which keeps the mails."""

    faults: Faults
    sent: list[bytes] = field(default_factory=list)

    def send_email(self, *, Content: dict[str, Any], **_: Any) -> None:  # noqa: N803 - AWS's names
        def refuse(_: FaultKind) -> None:
            raise ClientError(_error("TooManyRequestsException"), "SendEmail")

        errors = Errors(lambda: ReadTimeoutError(endpoint_url="https://ses"), refuse)
        self.faults.carry_out("SendEmail", lambda: self.sent.append(Content["Raw"]["Data"]), errors)


def _key(item: Item) -> tuple[str, str]:
    return item["subscription_id"]["S"], item["entry"]["S"]


def _error(code: str) -> Any:
    return {"Error": {"Code": code, "Message": code}}
