"""Changes of access as events: each is published at least once with a version that only grows, whatever happens."""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from functions.access_changes import app
from functions.access_changes.access_table import DUE_SHARDS, AccessTable
from functions.access_changes.changes import DETAIL_TYPE, SOURCE, AccessChanges, AccessEvents
from shared.access import AccessPolicy
from shared.errors import Unavailable
from shared.mirror.items import Beginnings, MirroredCustomer, Write
from shared.mirror.table import MirrorTable
from shared.stripe.subscription import PauseCollection, Subscription, read_subscription
from tests.fakes import FakeAccessTable
from tests.integration.conftest import Aws
from tests.raw_subscription import raw_subscription

MARCH, APRIL, MAY = 1_772_323_200, 1_775_001_600, 1_777_593_600
DAY = 86_400


def subscription(number: int = 1, customer: str = "cus_1", **changes: Any) -> Subscription:
    read = read_subscription(raw_subscription(id=f"sub_{number}", customer=customer))
    return replace(read, current_period_end=APRIL, **changes)


class _Broken:
    def put_events(self, **_: Any) -> Any:
        raise EndpointConnectionError(endpoint_url="https://events.example")


# A bus that cannot be reached.
NO_EVENTS = AccessEvents(_Broken(), "bus")  # type: ignore[arg-type]


class Bus:
    """The event bus, and a queue that a rule of it fills, as a subscriber's would be."""

    def __init__(self, aws: Aws) -> None:
        self._events, self._sqs = aws.clients.events, aws.clients.sqs
        self.name = aws.template.ref("AccessBus")
        self._url = self._sqs.create_queue(QueueName="subscriber")["QueueUrl"]
        arn = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        pattern = json.dumps({"source": [SOURCE], "detail-type": [DETAIL_TYPE]})
        self._events.put_rule(Name="subscriber", EventBusName=self.name, EventPattern=pattern)
        self._events.put_targets(Rule="subscriber", EventBusName=self.name, Targets=[{"Id": "queue", "Arn": arn}])

    def received(self) -> list[dict[str, Any]]:
        """The details of the events since the last call, in the order of arrival."""
        details = []
        while messages := self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10).get("Messages", []):
            for message in messages:
                details.append(json.loads(message["Body"])["detail"])
                self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
        return details


class World:
    """The mirror, the table of answers and the bus, at a time that the test sets."""

    def __init__(self, aws: Aws) -> None:
        self.aws = aws
        self.now = float(MARCH)
        self.mirror = MirrorTable(aws.clients.dynamodb, aws.template.ref("Subscriptions"))
        self.bus = Bus(aws)
        self.changes = self.made()

    def made(self, dynamodb: Any = None, events: Any = None) -> AccessChanges:
        clients, template = self.aws.clients, self.aws.template
        return AccessChanges(
            self.mirror,
            AccessTable(dynamodb or clients.dynamodb, template.ref("Access")),
            AccessEvents(events or clients.events, self.bus.name),
            AccessPolicy(),
            None,
            lambda: self.now,
        )

    def write(self, state: Subscription, as_of: int, beginnings: Beginnings | None = None) -> None:
        known = beginnings or Beginnings()
        assert self.mirror.put_if_older(Write(state, as_of, f"evt_{as_of}", known), than=as_of) is None

    def sweep(self) -> list[str]:
        due = list(self.changes.table.due(now=int(self.now)))
        for customer in due:
            self.changes.look_at(customer)
        return due


@pytest.fixture
def world(aws: Aws) -> World:
    return World(aws)


def told(events: list[dict[str, Any]]) -> list[tuple[int, bool, str]]:
    return [(event["version"], event["granted"], event["reason"]) for event in events]


def test_a_new_customer_is_published_once_with_the_whole_answer(world: World) -> None:
    world.write(subscription(), MARCH - DAY)
    assert world.changes.look_at("cus_1") == 1
    assert world.changes.look_at("cus_1") == 0
    (event,) = world.bus.received()
    assert (event["id"], event["version"], event["customer_id"]) == ("cus_1:1", 1, "cus_1")
    assert (event["granted"], event["reason"], event["until"]) == (True, "active", None)
    assert [each["subscription_id"] for each in event["subscriptions"]] == ["sub_1"]
    assert world.sweep() == []


def test_a_renewal_changes_no_answer(world: World) -> None:
    world.write(subscription(), MARCH - DAY)
    world.changes.look_at("cus_1")
    world.write(replace(subscription(), current_period_end=MAY), MARCH)
    assert world.changes.look_at("cus_1") == 0


def test_a_pause_is_published_and_the_end_of_the_paid_period_by_time_alone(world: World) -> None:
    world.write(subscription(), MARCH - DAY)
    world.changes.look_at("cus_1")
    paused = replace(subscription(), pause_collection=PauseCollection("void", None))
    world.write(paused, MARCH, Beginnings(MARCH, True, None, False, APRIL))
    world.now = MARCH + 60
    assert world.changes.look_at("cus_1") == 1
    assert world.sweep() == []
    world.now = APRIL - 1
    assert world.sweep() == []
    world.now = APRIL + 100
    assert world.sweep() == ["cus_1"]
    assert told(world.bus.received()) == [
        (1, True, "active"),
        (2, True, "collection_paused"),
        (3, False, "collection_paused"),
    ]
    assert world.sweep() == []


def test_several_subscriptions_are_one_answer(world: World) -> None:
    world.write(subscription(1), MARCH - DAY)
    world.write(subscription(2), MARCH - DAY)
    world.write(subscription(3, customer="cus_2"), MARCH - DAY)
    world.changes.look_at("cus_1")
    world.write(replace(subscription(1), status="canceled", ended_at=MARCH), MARCH)
    assert world.changes.look_at("cus_1") == 1
    events = world.bus.received()
    assert told(events) == [(1, True, "active"), (2, True, "active")]
    assert [[each["granted"] for each in event["subscriptions"]] for event in events] == [[True, True], [False, True]]


class Crash(BaseException):
    """The process ends here: nothing catches it."""


class Crashing:
    """A client of AWS whose process ends at the n-th call that changes anything: before it, or after it."""

    def __init__(self, clients: Any, counter: list[int], *, after: bool) -> None:
        self._clients, self._counter, self._after = clients, counter, after

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._clients, name)
        if name not in {"update_item", "put_events"}:
            return method

        def call(**request: Any) -> Any:
            self._counter[0] -= 1
            if self._counter[0] == 0 and not self._after:
                raise Crash
            answer = method(**request)
            if self._counter[0] == 0:
                raise Crash
            return answer

        return call


def test_a_crash_at_any_step_loses_nothing_and_skips_nothing(world: World) -> None:
    """Three answers, a crash before or after one of the nine steps, and no second delivery: the schedule alone heals.

    Only if nothing was written yet, Lambda has to deliver the stream's record again, which it does.
    """
    states = [{"status": "active"}, {"status": "past_due"}, {"status": "unpaid"}]
    clients = world.aws.clients
    cases = [(f"cus_{step}{after}", step, after) for step in range(1, 10) for after in (False, True)]
    for customer, step, after in cases:
        counter = [step]
        crashing = world.made(
            Crashing(clients.dynamodb, counter, after=after), Crashing(clients.events, counter, after=after)
        )
        crashes = 0
        for number, state in enumerate(states):
            at = MARCH + number * 60
            world.write(subscription(1, customer, **state), at)
            world.now = at + 1
            try:
                crashing.look_at(customer)
            except Crash:
                crashes += 1
                if step % 3 == 1 and not after:
                    crashing.look_at(customer)
        assert crashes == 1
    world.now += 1
    world.sweep()
    events = world.bus.received()
    for customer, _, _ in cases:
        own = [event for event in events if event["customer_id"] == customer]
        by_version = {event["version"]: event for event in own}
        assert {number: event["reason"] for number, event in by_version.items()} == {
            1: "active",
            2: "past_due",
            3: "unpaid",
        }
        # Repeats are the same event, to the letter.
        assert all(event == by_version[event["version"]] for event in own)
    assert world.sweep() == []


def test_of_two_at_a_time_the_one_with_the_older_mirror_starts_again(world: World) -> None:
    """It has read the mirror, and before it writes, another one decides from a newer mirror and publishes."""
    world.write(subscription(), MARCH - DAY)
    world.changes.look_at("cus_1")
    world.write(replace(subscription(), status="past_due"), MARCH)

    class Interrupted(MirrorTable):
        def customer(self, customer_id: str) -> MirroredCustomer:
            held = super().customer(customer_id)
            if not interruptions:
                interruptions.append(1)
                world.write(replace(subscription(), status="unpaid"), MARCH + 1)
                world.changes.look_at("cus_1")
            return held

    interruptions: list[int] = []
    slow = replace(world.changes, mirror=Interrupted(world.aws.clients.dynamodb, "Subscriptions"))
    slow.look_at("cus_1")
    assert told(world.bus.received()) == [(1, True, "active"), (2, False, "unpaid")]


@pytest.fixture(params=["fake", "real"])
def answers(request: pytest.FixtureRequest) -> Any:
    return FakeAccessTable() if request.param == "fake" else request.getfixturevalue("world").changes.table


def test_the_fake_table_of_answers_and_the_real_one_keep_the_same_contract(answers: Any) -> None:
    first = {"customer_id": "cus_1", "granted": True, "reason": "active", "until": None, "subscriptions": []}
    second = first | {"granted": False, "features": ["sso"]}
    assert answers.get("cus_1") is None
    one = answers.decide(first, None)
    assert (one.version, one.published, one.is_pending) == (1, 0, True)
    assert answers.get("cus_1") == one
    assert answers.decide(second, None) is None
    assert list(answers.due(now=1)) == ["cus_1"]
    two = answers.decide(second, one)
    assert (two.version, two.published, two.answer) == (2, 0, second)
    assert answers.decide(first, one) is None
    answers.settle("cus_1", 1, None)
    assert answers.get("cus_1") == two
    answers.settle("cus_1", 2, 500)
    assert (answers.get("cus_1").published, answers.get("cus_1").due_at) == (2, 500)
    assert (list(answers.due(now=499)), list(answers.due(now=500))) == ([], ["cus_1"])
    three = answers.decide(first, answers.get("cus_1"))
    answers.settle("cus_1", 3, None)
    assert (answers.get("cus_1").answer, three.version) == (first, 3)
    assert list(answers.due(now=10**10)) == []
    assert list(answers.customers(None)) == ["cus_1"]


def test_what_a_clock_that_was_ahead_left_unpublished_is_found_by_the_next_sweep(world: World) -> None:
    world.write(subscription(), MARCH - DAY)
    world.now = MARCH + DAY
    ahead = replace(world.made(), events=NO_EVENTS)
    with suppress(Unavailable):
        ahead.look_at("cus_1")
    world.now = MARCH
    assert world.sweep() == ["cus_1"]
    assert told(world.bus.received()) == [(1, True, "active")]


def test_a_clock_that_is_behind_publishes_nothing_that_was_not_so(world: World) -> None:
    """The pause and the end of the paid period are in the item: a clock before them is taken to say its `as_of`."""
    paused = replace(subscription(), pause_collection=PauseCollection("void", None))
    world.write(paused, APRIL + DAY, Beginnings(MARCH, True, None, False, APRIL))
    world.now = MARCH - DAY
    world.changes.look_at("cus_1")
    assert told(world.bus.received()) == [(1, False, "collection_paused")]


def test_another_accounts_item_is_not_published_as_service(world: World) -> None:
    write = Write(subscription(), MARCH - DAY, "evt_1", account="acct_2")
    assert world.mirror.put_if_older(write, than=MARCH) is None
    replace(world.changes, account="acct_1").look_at("cus_1")
    assert told(world.bus.received()) == [(1, False, "no_subscription")]


@pytest.mark.usefixtures("invoke")
def test_what_an_earlier_version_wrote_goes_on_with_the_next_version(world: World) -> None:
    """An item of the mirror with the fewest attributes, and an answer from before there were features."""
    clients = world.aws.clients
    old: Any = {
        "customer_id": {"S": "cus_1"},
        "subscription_id": {"S": "sub_1"},
        "status": {"S": "past_due"},
        "livemode": {"BOOL": False},
        "as_of": {"N": str(MARCH)},
        "revision": {"N": "1"},
    }
    answer: Any = {
        "customer_id": {"S": "cus_1"},
        "granted": {"BOOL": True},
        "reason": {"S": "active"},
        "until": {"NULL": True},
        "subscriptions": {"L": []},
        "version": {"N": "41"},
        "published": {"N": "41"},
        "novelty": {"S": "of a version that was rolled back"},
    }
    clients.dynamodb.put_item(TableName="Subscriptions", Item=old)
    clients.dynamodb.put_item(TableName="Access", Item=answer)
    world.changes.look_at("cus_1")
    assert told(world.bus.received()) == [(42, True, "past_due")]


@pytest.mark.parametrize("failure", ["exception", "entry"])
def test_a_bus_that_takes_no_events_leaves_the_customer_due(
    world: World, failure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write(subscription(), MARCH - DAY)
    if failure == "entry":
        refused = {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "ThrottlingException"}]}
        monkeypatch.setattr(world.changes.events.client, "put_events", lambda **_: refused)
    else:
        world.changes = replace(world.changes, events=NO_EVENTS)
    with pytest.raises(Unavailable, match="event bus"):
        world.changes.look_at("cus_1")
    monkeypatch.undo()
    world.changes = world.made()
    assert world.sweep() == ["cus_1"]
    assert told(world.bus.received()) == [(1, True, "active")]


def test_the_items_of_every_shard_are_found(world: World) -> None:
    customers = [f"cus_{number}" for number in range(24)]
    for number, customer in enumerate(customers):
        ending = replace(subscription(number, customer), cancel_at=APRIL)
        world.write(ending, MARCH - DAY)
        world.changes.look_at(customer)
    items = world.aws.clients.dynamodb.scan(TableName="Access")["Items"]
    assert {item["due_shard"]["S"] for item in items} == set(DUE_SHARDS)
    world.now = APRIL
    assert sorted(world.sweep()) == sorted(customers)
    assert [event["granted"] for event in world.bus.received()] == [True] * 24 + [False] * 24


# ------------------------------------------------------------------ the function
class Context:
    function_name = memory_limit_in_mb = invoked_function_arn = aws_request_id = "x"

    def __init__(self, left: int = 600_000) -> None:
        self._left = left

    def get_remaining_time_in_millis(self) -> int:
        return self._left


def record(customer: str, number: int, **changes: Any) -> dict[str, Any]:
    return {
        "eventName": "MODIFY",
        "dynamodb": {
            "Keys": {"customer_id": {"S": customer}, "subscription_id": {"S": "sub_1"}},
            "SequenceNumber": str(number),
        },
    } | changes


@pytest.fixture
def invoke(world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    monkeypatch.setattr(app, "_wire", lambda: world.changes)
    return lambda event, left=600_000: app.handler(event, Context(left))  # type: ignore[arg-type]


def test_the_stream_leads_to_one_look_at_each_customer(
    world: World, invoke: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    world.write(subscription(1), MARCH - DAY)
    world.write(subscription(2, "cus_2"), MARCH - DAY)
    records = [record("cus_1", 1), record("cus_2", 2), record("cus_1", 3)]
    assert invoke({"Records": records}) == {"batchItemFailures": []}
    assert [event["customer_id"] for event in world.bus.received()] == ["cus_1", "cus_2"]
    assert '"AccessChangePublished":[1.0,1.0]' in capsys.readouterr().out.replace(" ", "")


def test_what_the_time_to_live_deletes_changes_nothing(world: World, invoke: Callable[..., dict[str, Any]]) -> None:
    world.write(subscription(), MARCH - DAY)
    expired = record(
        "cus_1", 1, eventName="REMOVE", userIdentity={"type": "Service", "principalId": "dynamodb.amazonaws.com"}
    )
    assert invoke({"Records": [expired]}) == {"batchItemFailures": []}
    assert world.bus.received() == []


@pytest.mark.parametrize("broken", [{}, {"Keys": {}}, {"Keys": {"customer_id": {"N": "1"}}}, {"Keys": None}])
def test_a_record_that_cannot_be_read_comes_again_and_stops_no_other(
    world: World,
    invoke: Callable[..., dict[str, Any]],
    broken: Mapping[str, Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    world.write(subscription(), MARCH - DAY)
    unreadable = record("cus_1", 7) | {"dynamodb": {**broken, "SequenceNumber": "7"}}
    assert invoke({"Records": [unreadable, record("cus_1", 8)]}) == {"batchItemFailures": [{"itemIdentifier": "7"}]}
    assert [event["customer_id"] for event in world.bus.received()] == ["cus_1"]
    assert '"AccessChangeFailed"' in capsys.readouterr().out


def test_a_customer_whose_items_cannot_be_read_comes_again_and_stops_no_other(
    world: World, invoke: Callable[..., dict[str, Any]]
) -> None:
    world.write(subscription(1), MARCH - DAY)
    world.write(subscription(2, "cus_2"), MARCH - DAY)
    world.aws.clients.dynamodb.update_item(
        TableName="Subscriptions",
        Key={"customer_id": {"S": "cus_1"}, "subscription_id": {"S": "sub_1"}},
        UpdateExpression="REMOVE as_of",
    )
    answer = invoke({"Records": [record("cus_1", 1), record("cus_2", 2), record("cus_1", 3)]})
    assert answer == {"batchItemFailures": [{"itemIdentifier": "1"}]}
    assert [event["customer_id"] for event in world.bus.received()] == ["cus_2"]


def test_the_schedule_looks_at_whoever_is_due_while_there_is_time(
    world: World, invoke: Callable[..., dict[str, Any]]
) -> None:
    for number in range(3):
        world.write(replace(subscription(number, f"cus_{number}"), cancel_at=APRIL), MARCH - DAY)
        world.changes.look_at(f"cus_{number}")
    world.now = APRIL
    assert invoke({}, left=1_000) == {"looked_at": 0, "failed": 0}
    assert invoke({}) == {"looked_at": 3, "failed": 0}
    assert invoke({}) == {"looked_at": 0, "failed": 0}


@pytest.mark.usefixtures("invoke")
def test_changed_rules_are_published_by_looking_at_everyone_in_several_goes(world: World) -> None:
    for number in range(3):
        world.write(subscription(number, f"cus_{number}", status="past_due"), MARCH - DAY)
        world.changes.look_at(f"cus_{number}")
    world.changes = replace(world.changes, policy=AccessPolicy(access_past_due_days=0))
    left = iter([600_000, 0, 600_000, 600_000, 600_000])

    class Short(Context):
        def get_remaining_time_in_millis(self) -> int:
            return next(left)

    first = app.handler({"everyone": True}, Short())  # type: ignore[arg-type]
    assert (first["looked_at"], first["failed"]) == (1, 0)
    second = app.handler({"everyone": True, "after": first["after"]}, Short())  # type: ignore[arg-type]
    assert second == {"looked_at": 2, "failed": 0, "after": None}
    assert [event["granted"] for event in world.bus.received()] == [True] * 3 + [False] * 3


def test_without_the_bus_the_items_stay_due_and_the_failure_is_counted(
    world: World, invoke: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    world.write(subscription(), MARCH - DAY)
    world.changes = replace(world.changes, events=NO_EVENTS)
    assert invoke({"Records": [record("cus_1", 1)]}) == {"batchItemFailures": [{"itemIdentifier": "1"}]}
    assert invoke({}) == {"looked_at": 1, "failed": 1}
    assert '"AccessChangeFailed"' in capsys.readouterr().out
    with suppress(Unavailable):
        world.changes.look_at("cus_1")
    world.changes = world.made()
    assert invoke({}) == {"looked_at": 1, "failed": 0}
    assert told(world.bus.received()) == [(1, True, "active")]
