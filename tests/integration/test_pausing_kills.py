"""Every request of every operation fails once in each way: what was begun is finished, and the promise is kept.

The operation starts from the state that it needs, and one of its requests to Stripe, DynamoDB or SES is killed, lost or
refused. Then the schedule comes a few times, and the clock goes on to the return, with the judge at each moment.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from shared.pausing.history import PauseState
from shared.pausing.plan import Begin
from tests.integration.pausing_faults import Fault, FaultKind
from tests.integration.pausing_lab import DAY, HOUR, Lab

FEBRUARY = int(datetime(2027, 2, 1, 10, tzinfo=UTC).timestamp())
# Whoever tries again once, as the library does, sees only what happens twice.
ONCE = (FaultKind.KILLED_BEFORE, FaultKind.KILLED_AFTER, FaultKind.REPEATED, FaultKind.FORBIDDEN)
TWICE = (FaultKind.UNSENT, FaultKind.LOST, FaultKind.BROKEN, FaultKind.LIMITED, FaultKind.BUSY)


def nothing(_: Lab) -> None:
    """Begin with a subscription alone."""


def scheduled(lab: Lab) -> None:
    lab.pause(lab.day(75))


def begun(lab: Lab) -> None:
    scheduled(lab)
    lab.pass_time(lab.period_end - lab.now + 3 * DAY)


def due_to_begin(lab: Lab) -> None:
    scheduled(lab)
    lab.pass_time(lab.period_end - lab.now + 1, ticks=False)


def due_to_return(lab: Lab) -> None:
    begun(lab)
    assert lab.record
    lab.pass_time(lab.record.resumes - lab.now - HOUR)
    lab.pass_time(HOUR + 61, ticks=False)


def due_without_a_card(lab: Lab) -> None:
    begun(lab)
    lab.detach_cards()
    assert lab.record
    lab.pass_time(lab.record.resumes - lab.now - HOUR)
    lab.pass_time(HOUR + 61, ticks=False)


def declined(lab: Lab) -> None:
    begun(lab)
    lab.use_card("pm_card_chargeCustomerFail")


def waiting(lab: Lab) -> None:
    declined(lab)
    lab.resume()


def released(lab: Lab) -> None:
    begun(lab)
    lab.release()


@dataclass(frozen=True)
class Operation:
    """What is done, and from which state."""

    before: Callable[[Lab], None]
    act: Callable[[Lab], Any]
    modes: tuple[str, ...] = ("flexible", "classic")


REAL = ("flexible",)
OPERATIONS = {
    "pause": Operation(nothing, lambda lab: lab.pause(lab.day(75))),
    "pause now": Operation(nothing, lambda lab: lab.pause(lab.day(40), Begin.NOW), REAL),
    "change before it begins": Operation(scheduled, lambda lab: lab.pause(lab.day(90))),
    "change when it has begun": Operation(begun, lambda lab: lab.pause(lab.day(65))),
    "undo": Operation(scheduled, lambda lab: lab.undo()),
    "resume": Operation(begun, lambda lab: lab.resume()),
    "resume with a declined card": Operation(declined, lambda lab: lab.resume(), REAL),
    "resume again": Operation(waiting, lambda lab: lab.resume(), REAL),
    "resume what was released": Operation(released, lambda lab: lab.resume(), REAL),
    "release before it begins": Operation(scheduled, lambda lab: lab.release(), REAL),
    "release": Operation(begun, lambda lab: lab.release(), REAL),
    "release while it waits": Operation(waiting, lambda lab: lab.release(), REAL),
    "tick when it begins": Operation(due_to_begin, lambda lab: lab.tick()),
    "tick when it returns": Operation(due_to_return, lambda lab: lab.tick()),
    "tick without a card": Operation(due_without_a_card, lambda lab: lab.tick(), REAL),
}
CASES = [(name, mode) for name, operation in OPERATIONS.items() for mode in operation.modes]


@pytest.mark.parametrize("kind", [*ONCE, *TWICE])
@pytest.mark.parametrize(("name", "mode"), CASES)
def test_an_operation_that_fails_at_any_request_is_finished(name: str, mode: str, kind: FaultKind) -> None:
    operation, number = OPERATIONS[name], 0
    while True:
        lab = Lab(FEBRUARY, mode=mode)
        operation.before(lab)
        plan = {number + again: Fault(kind) for again in range(2 if kind in TWICE else 1)}
        lab.disturbed(partial(operation.act, lab), plan)
        if not lab.faults.met:
            break
        lab.heal()
        record = lab.record
        assert record is None or record.state.is_settled or record.waiting, (number, lab.faults.met)
        keeps_the_promise(lab)
        number += 1
    assert number > 3


def keeps_the_promise(lab: Lab) -> None:
    """Go on to the end, past the return; whoever could not pay has a card then."""
    record = lab.record
    if record and record.state.is_open:
        if not record.waiting:
            lab.pass_time(max(record.next_charge - lab.now, 0) + 3 * HOUR)
        lab.use_card("pm_card_visa")
        lab.pay_what_is_open()
        lab.pass_time(2 * DAY)
        record = lab.record
        assert record
        assert record.state is PauseState.ENDED, record
    released = record is not None and record.outcome == "released"
    assert lab.raw["status"] == ("paused" if released else "active")
    lab.judge.can_cancel()
