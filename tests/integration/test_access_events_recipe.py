"""docs/how-to/access-events.md shows what lies beside it, and its consumer ends right in every order of arrival."""

import json
import random
import re
import runpy
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import Aws
from tests.integration.test_access_changes import MARCH, World, subscription

FOLDER = Path(__file__).parents[2] / "docs" / "how-to" / "access-events"
SHOWN = re.findall(r"^```\w+\n(.*?)^```$", FOLDER.with_suffix(".md").read_text(), re.MULTILINE | re.DOTALL)


def test_every_snippet_is_shown_as_it_is_and_nothing_else() -> None:
    assert sorted(SHOWN) == sorted(path.read_text() for path in FOLDER.iterdir() if path.is_file())


@pytest.fixture
def consumer(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The snippet, with its table; what it does is kept in `acted`, by customer."""
    aws.clients.dynamodb.create_table(
        TableName="Newest",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "customer_id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "customer_id", "KeyType": "HASH"}],
    )
    for name, value in {
        "NEWEST_TABLE": "Newest",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
    }.items():
        monkeypatch.setenv(name, value)
    return runpy.run_path(str(FOLDER / "consumer.py"))


def messages(details: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "Records": [
            {"messageId": str(number), "body": json.dumps({"detail": detail})} for number, detail in enumerate(details)
        ]
    }


def test_the_consumer_ends_right_in_every_order_and_after_every_failure(aws: Aws, consumer: dict[str, Any]) -> None:
    """Real events, repeated and shuffled; one in four actions fails, and its message comes again."""
    world = World(aws)
    for number, status in enumerate(["active", "past_due", "unpaid", "active", "unpaid"]):
        world.write(subscription(status=status), MARCH + number * 60)
        world.now = MARCH + number * 60 + 1
        world.changes.look_at("cus_1")
    published = world.bus.received()
    assert [event["version"] for event in published] == [1, 2, 3, 4, 5]

    chance = random.Random(7)
    for round_ in range(20):
        acted: dict[str, bool] = {}

        def act(detail: dict[str, Any], done: dict[str, bool] = acted) -> None:
            if chance.random() < 0.25:
                raise ConnectionError
            done[detail["customer_id"]] = detail["granted"]

        consumer["handler"].__globals__["open_or_close"] = act
        waiting = [{**event, "customer_id": f"cus_{round_}"} for event in published * 2]
        chance.shuffle(waiting)
        while waiting:
            failures = consumer["handler"](messages(waiting), None)["batchItemFailures"]
            waiting = [waiting[int(failure["itemIdentifier"])] for failure in failures]
        assert acted == {f"cus_{round_}": False}


def test_the_consumer_ends_right_where_two_invocations_overlap(consumer: dict[str, Any]) -> None:
    """While the first acts on an event, others act on each newer one, and are done before the first is."""
    events = [
        {"customer_id": "cus_1", "version": number, "granted": number % 2 == 0, "reason": "active"}
        for number in range(1, 7)
    ]
    later = {each["version"]: following for each, following in pairwise(events)}
    acted: list[dict[str, Any]] = []

    def act(detail: dict[str, Any]) -> None:
        if following := later.pop(detail["version"], None):
            consumer["handler"](messages([following]), None)
        acted.append(detail)

    consumer["handler"].__globals__["open_or_close"] = act
    assert consumer["handler"](messages(events[:1]), None) == {"batchItemFailures": []}
    assert acted[-1] == events[-1]


def test_an_old_event_that_was_interrupted_does_not_leave_its_state_behind(consumer: dict[str, Any]) -> None:
    """It closes, a newer one opens meanwhile, and the first invocation ends before it can look again."""
    old, new = ({"customer_id": "cus_1", "version": each, "granted": each == 2, "reason": "active"} for each in (1, 2))
    acted: list[bool] = []

    def act(detail: dict[str, Any]) -> None:
        if detail == old:
            consumer["handler"](messages([new]), None)
        acted.append(detail["granted"])
        if detail == old:
            raise ConnectionError

    consumer["handler"].__globals__["open_or_close"] = act
    (failure,) = consumer["handler"](messages([old]), None)["batchItemFailures"]
    assert acted[-1] is False
    assert failure == {"itemIdentifier": "0"}
    assert consumer["handler"](messages([old]), None) == {"batchItemFailures": []}
    assert acted[-1] is True
