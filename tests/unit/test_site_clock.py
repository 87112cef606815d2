"""The buttons that move the demo's clock, and where they lead back to."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from starlette.requests import Request

from local.site.clock import CUTOFF, MARCH, clock_moves, page_before


def labels(at: datetime) -> dict[str, tuple[str, bool]]:
    with time_machine.travel(at, tick=False):
        return {move.to: (move.label, move.forgets) for move in clock_moves()}


def test_a_time_that_is_still_to_come_is_reached_in_place() -> None:
    found = labels(MARCH - timedelta(days=1))
    assert found["march"] == ("Forward to 20 March 2024", False)
    assert found["cutoff"] == ("Forward to the cutoff, 1 August 2024", False)
    assert found["now"] == ("Forward to today", False)


def test_an_earlier_time_means_to_begin_again_and_the_button_says_so() -> None:
    found = labels(CUTOFF + timedelta(hours=1))
    assert found["march"] == ("Begin again at 20 March 2024", True)
    assert found["cutoff"] == ("Begin again at the cutoff, 1 August 2024", True)
    assert found["now"] == ("Forward to today", False)


def test_a_clock_that_is_ahead_comes_back_only_by_beginning_again() -> None:
    assert labels(datetime.now(UTC) + timedelta(days=400))["now"] == ("Begin again today", True)


@pytest.mark.parametrize(
    ("referer", "expected"),
    [
        ("http://127.0.0.1:8787/story?step=2", "/story"),
        ("http://127.0.0.1:8787//evil.example/", "/room"),
        ("https://evil.example/story", "/room"),
        ("http://127.0.0.1:8787@evil.example/story", "/room"),
        ("", "/room"),
    ],
)
def test_the_way_back_is_a_page_of_this_site(referer: str, expected: str) -> None:
    headers = [(b"host", b"127.0.0.1:8787"), (b"referer", referer.encode())]
    assert page_before(Request({"type": "http", "headers": headers}), "/room") == expected
