"""A deadline is the soonest of those that are set, and ends with its block."""

import math
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from shared.deadline import deadline, keeping_deadline, leaving, seconds_left


def test_without_a_deadline_there_is_all_the_time() -> None:
    assert seconds_left() == math.inf
    with leaving(4):
        assert seconds_left() == math.inf


def test_the_sooner_deadline_counts_and_a_block_gives_back_what_it_took() -> None:
    with deadline(8):
        assert seconds_left() == pytest.approx(8, abs=0.5)
        with deadline(60):
            assert seconds_left() == pytest.approx(8, abs=0.5)
        with leaving(3):
            assert seconds_left() == pytest.approx(5, abs=0.5)
            with deadline(2):
                assert seconds_left() == pytest.approx(2, abs=0.5)
        assert seconds_left() == pytest.approx(8, abs=0.5)
    assert seconds_left() == math.inf


def test_a_thread_keeps_to_it_where_it_is_carried_over() -> None:
    with deadline(8), ThreadPoolExecutor(1) as pool:
        assert pool.submit(seconds_left).result() == math.inf
        assert pool.submit(keeping_deadline(seconds_left)).result() == pytest.approx(8, abs=0.5)
        assert pool.submit(seconds_left).result() == math.inf


def test_an_exception_ends_it_too() -> None:
    with suppress(LookupError), deadline(8), leaving(9):
        assert seconds_left() < 0
        raise LookupError
    assert seconds_left() == math.inf
