"""The local stack's streams and schedules: what the mirror writes leads to an event, as on AWS."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from functions.access_changes import app
from local.aws.lambda_function import LambdaFunction
from local.aws.queue_poller import queue_pollers
from local.aws.schedule_poller import EVERY_SECONDS, SchedulePoller, schedule_pollers
from local.aws.stream_poller import StreamPoller, stream_pollers
from tests.integration.conftest import Aws
from tests.integration.test_access_changes import World, subscription


@pytest.fixture
def world(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    for name, value in aws.template.environment("AccessChangesFunction").items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "local")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    app._wire.cache_clear()
    yield World(aws)
    app._wire.cache_clear()


def functions(aws: Aws) -> dict[str, LambdaFunction]:
    return {name: LambdaFunction(each) for name, each in aws.template.functions().items()}


def test_the_stream_of_the_mirror_leads_to_events_and_is_read_on_where_it_ended(world: World, aws: Aws) -> None:
    (poller,) = stream_pollers(aws.template, aws.clients, functions(aws))
    assert poller.poll() == 0
    world.write(subscription(), int(time.time()) - 60)
    assert poller.poll() > 0
    assert [event["reason"] for event in world.bus.received()] == ["active"]
    assert poller.poll() == 0
    world.write(subscription(status="unpaid"), int(time.time()) - 30)
    assert poller.poll() > 0
    assert [event["version"] for event in world.bus.received()] == [2]


def test_records_that_failed_come_again_with_those_after_them(world: World, aws: Aws) -> None:
    class Failing:
        def __init__(self) -> None:
            self.seen: list[list[str]] = []

        def invoke(self, event: dict[str, Any]) -> dict[str, Any]:
            numbers = [record["dynamodb"]["SequenceNumber"] for record in event["Records"]]
            self.seen.append(numbers)
            failed = numbers[1:2] if len(self.seen) == 1 else []
            return {"batchItemFailures": [{"itemIdentifier": number} for number in failed]}

    for number in range(3):
        world.write(subscription(number, f"cus_{number}"), int(time.time()) - 60)
    failing = Failing()
    clients: Any = aws.clients
    poller = StreamPoller(clients.dynamodb, clients.dynamodbstreams, "Subscriptions", failing, 100)  # type: ignore[arg-type]
    assert poller.poll() == 1
    assert poller.poll() == len(failing.seen[0]) - 1
    assert failing.seen[1] == failing.seen[0][1:]


def test_the_queue_of_events_and_the_stream_each_have_their_poller(aws: Aws) -> None:
    assert len(queue_pollers(aws.template, aws.clients.sqs, functions(aws))) == 1
    assert len(stream_pollers(aws.template, aws.clients, functions(aws))) == 1


def test_only_what_runs_every_few_minutes_is_polled(aws: Aws) -> None:
    pollers = schedule_pollers(aws.template, functions(aws))
    events = [
        event["Properties"]["ScheduleExpression"]
        for each in aws.template.resources("AWS::Serverless::Function").values()
        for event in each.get("Events", {}).values()
    ]
    assert json.dumps(sorted(events)) == '["cron(0 6 * * ? *)", "rate(5 minutes)", "rate(5 minutes)"]'
    assert len(pollers) == 2
    assert all(poller.function is not None for poller in pollers)


def test_a_schedule_invokes_its_function_no_oftener_than_it_should() -> None:
    times = iter([10.0, 10.0, 11.0, 10.0 + EVERY_SECONDS, 10.0 + EVERY_SECONDS])
    calls: list[object] = []

    class Counting:
        def invoke(self, event: object) -> None:
            calls.append(event)

    poller = SchedulePoller(Counting(), lambda: next(times))  # type: ignore[arg-type]
    assert [poller.poll(), poller.poll(), poller.poll()] == [0, 0, 0]
    assert calls == [{}, {}]
