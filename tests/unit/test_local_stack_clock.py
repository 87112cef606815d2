"""The time of the stack, which history is made with."""

import asyncio
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Message

from local.stack_clock import FOLLOW_PATH, ClockFollower, StackClock

AS_OF = datetime(2024, 7, 15, tzinfo=UTC)
PAST = datetime(2024, 2, 10, tzinfo=UTC)


@pytest.fixture
def clock() -> Iterator[StackClock]:
    moved = StackClock(AS_OF, None)
    yield moved
    moved.stop()


def is_about(moment: datetime) -> bool:
    return abs(time.time() - moment.timestamp()) < 30


def test_it_starts_at_the_time_asked_for_and_ticks(clock: StackClock) -> None:
    del clock
    began = time.time()
    time.sleep(0.01)
    assert is_about(AS_OF)
    assert time.time() > began


def test_history_is_made_and_left_again(clock: StackClock) -> None:
    clock.go_to(PAST)
    assert is_about(PAST)
    clock.return_to_present()
    assert is_about(AS_OF)


def test_history_never_passes_the_present(clock: StackClock) -> None:
    clock.go_to(AS_OF + timedelta(days=365))
    assert is_about(AS_OF)


def test_without_a_time_asked_for_it_comes_back_to_real_time() -> None:
    now = datetime.now(UTC)
    clock = StackClock(None, None)
    clock.go_to(PAST)
    assert is_about(PAST)
    clock.return_to_present()
    assert is_about(now)


def test_it_follows_the_simulator_wherever_it_goes(clock: StackClock) -> None:
    clock.follow(PAST.timestamp())
    assert is_about(PAST)
    clock.follow((AS_OF + timedelta(days=365)).timestamp())
    assert is_about(AS_OF + timedelta(days=365))
    clock.follow(None)
    assert not is_about(AS_OF + timedelta(days=365))
    clock.follow(PAST.timestamp())
    assert is_about(PAST)


def post(clock: StackClock, path: str, body: str) -> int:
    """Send a request to the follower in front of an application that knows no path; returns the status."""
    statuses: list[int] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body.encode(), "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope = {"type": "http", "method": "POST", "path": path, "headers": []}
    asyncio.run(ClockFollower(PlainTextResponse("", 404), clock)(scope, receive, send))
    return statuses[0]


@pytest.mark.parametrize("body", ["", "{}", "[]", '{"now": "soon"}', '{"now": []}'])
def test_a_request_that_names_no_time_moves_nothing(clock: StackClock, body: str) -> None:
    assert post(clock, FOLLOW_PATH, body) == 400
    assert is_about(AS_OF)


def test_a_request_of_the_simulator_moves_the_stack_and_others_are_passed_on(clock: StackClock) -> None:
    assert post(clock, "/elsewhere", json.dumps({"now": PAST.timestamp()})) == 404
    assert is_about(AS_OF)
    assert post(clock, FOLLOW_PATH, json.dumps({"now": PAST.timestamp()})) == 200
    assert is_about(PAST)
