"""No second ever sees more requests than the rate, however they come."""

import math
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InvalidRequest
from shared.stripe.pacing import RateLimit
from tests.clock import SECOND, Clock

rates = st.floats(min_value=0.1, max_value=100)
spans = st.lists(st.integers(0, 3 * SECOND), min_size=1, max_size=60)


@given(rates, spans, st.lists(st.integers(0, SECOND // 5), max_size=60))
def test_no_second_has_more_than_one_request_beyond_the_rate(rate: float, works: list[int], late: list[int]) -> None:
    clock = Clock(late=late)
    limit = RateLimit(rate, clock=clock, sleep=clock.sleep)
    starts = []
    for work in works:
        limit.wait()
        starts.append(clock.now)
        clock.now += work
    most = math.ceil(rate) + 1
    assert all(later - first >= SECOND for first, later in zip(starts, starts[most:], strict=False))


def test_requests_that_come_rarely_do_not_wait() -> None:
    clock = Clock()
    limit = RateLimit(5, clock=clock, sleep=clock.sleep)
    for _ in range(5):
        limit.wait()
        clock.now += SECOND // 5
    assert clock.sleeps == 0


def test_waking_up_late_costs_nothing_of_the_rate() -> None:
    clock = Clock(late=[SECOND // 50] * 200)
    limit = RateLimit(25, clock=clock, sleep=clock.sleep)
    for _ in range(101):
        limit.wait()
    assert clock.now == 4 * SECOND + SECOND // 50


def test_the_whole_rate_is_used() -> None:
    clock = Clock()
    limit = RateLimit(25, clock=clock, sleep=clock.sleep)
    for _ in range(101):
        limit.wait()
    assert clock.now == 4 * SECOND


def test_a_sleep_that_ends_too_early_is_slept_on() -> None:
    clock = Clock()

    def short(seconds: float) -> None:
        clock.now += max(1, int(seconds * SECOND / 2))

    limit = RateLimit(1, clock=clock, sleep=short)
    limit.wait()
    limit.wait()
    assert clock.now == SECOND


def test_threads_share_one_rate() -> None:
    limit, started, lock = RateLimit(100), [], threading.Lock()

    def work() -> None:
        for _ in range(4):
            limit.wait()
            with lock:
                started.append(limit.seconds())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(started) == 16
    assert max(started) - min(started) >= 0.14


@pytest.mark.parametrize("rate", [0, -1, 100.1, float("nan")])
def test_a_rate_that_stripe_would_not_bear_is_refused(rate: float) -> None:
    with pytest.raises(InvalidRequest, match="at most 100"):
        RateLimit(rate)
