"""When the events of the demo's history happen, however slow the machine is."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from stripe import StripeClient

from local.seed import SIGN_UP, Seed
from local.stop_signals import StopSignals

PRESENT = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
# What one sign-up or step takes on a machine that is very busy.
SLOW = timedelta(seconds=15)


class MovedClock:
    """The clock of the stack, and where it was moved to."""

    present = PRESENT

    def __init__(self, traveller: time_machine.Traveller) -> None:
        self._traveller = traveller
        self.moments: list[datetime] = []

    def go_to(self, moment: datetime) -> None:
        moment = min(moment, PRESENT)
        self.moments.append(moment)
        self._traveller.move_to(moment)


@pytest.fixture
def traveller() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(SIGN_UP, tick=False) as moved:
        yield moved


def test_time_never_goes_back_and_what_happened_is_settled_later(
    traveller: time_machine.Traveller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read of Stripe settles only what is older, so that a clock moved back would have the start wait for it."""
    happened: list[datetime] = []
    settled: list[timedelta] = []

    def take_long(*_: object) -> str:
        traveller.shift(SLOW)
        happened.append(datetime.now(UTC))
        return "sub_1"

    monkeypatch.setattr(Seed, "wait_until_idle", lambda _: None)
    monkeypatch.setattr(Seed, "_sign_up", take_long)
    monkeypatch.setattr(Seed, "_perform", take_long)
    clock: Any = MovedClock(traveller)
    seed = Seed(StripeClient("sk_test_1"), "http://simulator", "http://site", clock, StopSignals())
    seed.make_history(lambda: settled.append(datetime.now(UTC) - happened[-1]), lambda *_: None)
    assert clock.moments == sorted(clock.moments)
    assert len(settled) > 3
    assert min(settled) >= timedelta(seconds=20)
