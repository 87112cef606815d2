"""The machine of `pausing_machine`, with the same histories in each run."""

import pytest

from tests.integration.pausing_faults import FaultKind
from tests.integration.pausing_lab import DAY, HOUR, TICK
from tests.integration.pausing_machine import PauseMachine, Planned, try_histories


@pytest.mark.parametrize("seed", range(2))
def test_the_promise_is_kept_whatever_happens(seed: int) -> None:
    try_histories(50, steps=30, seed=seed)


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(4))
def test_the_promise_is_kept_in_longer_histories(seed: int) -> None:
    try_histories(50, steps=60, seed=seed)


def test_a_date_of_return_given_up_while_its_payment_fails_and_stripe_refuses() -> None:
    history = PauseMachine()
    history.subscribe("subscription", "UTC", "2027-02-01T10:00", "month", far="waiting")
    history.pass_time(4 * DAY, ticks=True)
    history.release({4: Planned(FaultKind.FORBIDDEN, None)})
    history.judge()
    history.teardown()
    assert history.lab.record
    assert history.lab.record.outcome == "released"


def test_an_invoice_that_stripe_collects_itself_while_nobody_looks() -> None:
    history = PauseMachine()
    history.subscribe("subscription", "UTC", "2027-02-01T10:00", "month", far="waiting")
    history.use_a_card("pm_card_visa")
    history.pass_time(9 * DAY, ticks=True)
    history.judge()
    assert history.lab.raw["status"] == "active"
    assert history.lab.record
    assert history.lab.record.outcome == "resumed"


def test_a_change_of_plan_hours_before_collection_starts_again_is_not_given_away() -> None:
    """Whether Stripe clears `pause_collection` at its `resumes_at` is not documented: we do not count on it."""
    history = PauseMachine()
    history.subscribe("classic", "UTC", "2027-02-01T10:00", "week", far="scheduled")
    lab = history.lab
    record = lab.record
    assert record
    lab.pass_time(record.resumes - 6 * HOUR - lab.now)
    lab.tick()
    lab.change_plan("year")
    while lab.now < record.resumes - TICK:
        lab.go_to(lab.now + TICK)
        lab.tick()
    assert lab.record
    assert lab.record.next_charge == lab.period_end
    lab.pass_time(DAY)
