"""The time of the stack, which history is made with."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from local.stack_clock import StackClock

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
