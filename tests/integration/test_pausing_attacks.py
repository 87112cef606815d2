"""What could cost a customer or the company money: crashes, races and changes at the worst moment, one at a time."""

from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from shared.pausing.history import PauseState
from shared.pausing.operations import Outcome
from shared.pausing.plan import Begin
from tests.integration.pausing_faults import Fault, FaultKind
from tests.integration.pausing_lab import DAY, HOUR, RULES, Lab
from tests.integration.pausing_world import TEAM

FEBRUARY = int(datetime(2027, 2, 1, 10, tzinfo=UTC).timestamp())


KILLED = Fault(FaultKind.KILLED_AFTER)


def lab(mode: str = "flexible", **options: Any) -> Lab:
    return Lab(FEBRUARY, mode=mode, **options)


def to(lab: Lab, moment: int, *, ticks: bool = True) -> None:
    lab.pass_time(moment - lab.now, ticks=ticks)


def status(lab: Lab) -> tuple[str, Any, Any]:
    return lab.raw["status"], lab.raw["schedule"], lab.raw["pause_collection"]


def record(lab: Lab) -> Any:
    found = lab.record
    assert found
    return found


def test_another_rhythm_while_collection_is_paused_gives_no_time_away() -> None:
    """A year that was void must not be served because the pause was to end after a month."""
    shop = lab("classic")
    shop.pause(shop.day(45))
    to(shop, shop.period_end + 5 * DAY)
    shop.change_plan("year")
    to(shop, shop.now + 90 * DAY)
    assert shop.raw["pause_collection"]
    assert record(shop).next_charge == shop.period_end


def test_an_undo_that_comes_after_the_renewal_gives_no_period_away() -> None:
    """The invoice of the renewal is void then, so the pause goes on."""
    shop = lab("classic")
    shop.pause(shop.day(60))
    to(shop, shop.period_end - HOUR)
    shop.disturbed(shop.undo, {3: Fault(FaultKind.KILLED_BEFORE)})
    assert record(shop).state is PauseState.UNDOING
    to(shop, shop.period_end + HOUR, ticks=False)
    shop.heal()
    assert (record(shop).state, record(shop).failure) == (PauseState.PAUSED, "undo_too_late")
    to(shop, record(shop).next_charge + DAY)
    assert record(shop).outcome == "resumed"


@pytest.mark.parametrize("begin", Begin)
def test_a_pause_that_began_while_nobody_looked_is_known_as_ours(begin: Begin) -> None:
    """The process dies before it has Stripe's answer, and Stripe ends the schedule at the end of its only phase."""
    shop = lab()
    back = shop.day(60)
    to(shop, shop.period_end - HOUR)
    shop.disturbed(lambda: shop.pause(back, begin), {}, **{"POST /v1/subscription_schedules": KILLED})
    to(shop, shop.now + 2 * HOUR, ticks=False)
    assert status(shop)[:2] == ("paused", None)
    shop.heal()
    assert record(shop).state is PauseState.PAUSED
    assert [entry.action.value for entry in shop.kept.history(shop.subscription)] == ["set", "begun"]
    to(shop, shop.midnight(back) + DAY)
    assert (record(shop).outcome, status(shop)) == ("resumed", ("active", None, None))


def test_an_undo_that_dies_when_the_pause_has_just_begun_leaves_a_date_of_return() -> None:
    shop = lab()
    shop.pause(shop.day(60))
    to(shop, record(shop).begins - 5)
    # Its release arrives when the pause has begun, and the process dies before it knows.
    late = Fault(FaultKind.KILLED_AFTER, lambda: shop.go_to(shop.now + 10))
    shop.disturbed(shop.undo, {}, **{"/release": late})
    assert status(shop)[:2] == ("paused", None)
    shop.heal()
    assert record(shop).state is PauseState.PAUSED
    to(shop, record(shop).resumes + DAY)
    assert (record(shop).outcome, status(shop)[0]) == ("resumed", "active")


def test_a_date_of_return_that_is_given_up_while_the_schedule_looks_does_not_come_back() -> None:
    """The schedule is about to give a pause its date of return again when the customer gives it up."""
    for number in range(12):
        other = lab()
        other.pause(other.day(60))
        to(other, record(other).begins + 1)
        other.tick()
        to(other, record(other).retry_at, ticks=False)
        assert status(other)[:2] == ("paused", None)
        answers: list[Any] = []
        meanwhile = partial(lambda shop, found: found.append(shop.release()), other, answers)
        other.disturbed(other.tick, {number: Fault(FaultKind.OVERTAKEN, meanwhile)})
        if not answers:
            break
        other.heal()
        if answers[0].outcome is Outcome.DONE:
            assert (status(other), record(other).outcome) == (("paused", None, None), "released"), number
    assert number > 5


def test_what_is_released_while_it_waits_for_its_payment_is_not_charged_later() -> None:
    shop = lab()
    shop.pause(shop.day(40))
    to(shop, shop.period_end + DAY)
    shop.use_card("pm_card_chargeCustomerFail")
    to(shop, record(shop).resumes + HOUR)
    assert record(shop).waiting == "payment"
    result = shop.release()
    assert result
    assert (result.outcome, record(shop).outcome) == (Outcome.DONE, "released")
    shop.use_card("pm_card_visa")
    to(shop, shop.now + 20 * DAY)
    assert status(shop)[0] == "paused"
    assert [invoice["status"] for invoice in shop.invoices] == ["void", "paid"]
    assert shop.resume()
    assert status(shop)[0] == "active"


def does_not_begin(shop: Lab) -> None:
    """Let Stripe keep the plan of a pause, and never carry it out."""
    shop.judge.look()
    shop.judge.somebody_else_acted()
    shop.simulator.pause_plans.clear()
    shop.simulator.phase_starts.clear()


def test_a_pause_that_stripe_never_begins_fails_and_leaves_nothing_behind() -> None:
    shop = lab()
    shop.pause(shop.day(60))
    does_not_begin(shop)
    to(shop, record(shop).begins + HOUR - 60)
    shop.tick()
    assert record(shop).state is PauseState.SCHEDULED
    to(shop, record(shop).begins + HOUR + 600, ticks=False)
    shop.tick()
    assert (record(shop).state, record(shop).failure) == (PauseState.FAILED, "not_paused_in_time")
    assert status(shop) == ("active", None, None)
    assert [entry.action.value for entry in shop.kept.history(shop.subscription)] == ["set", "failed"]
    to(shop, record(shop).resumes + DAY)
    assert status(shop)[0] == "active"


@pytest.mark.parametrize("kind", [FaultKind.OVERTAKEN, FaultKind.KILLED_AFTER])
def test_a_pause_that_begins_while_it_is_given_up_goes_on(kind: FaultKind) -> None:
    """It has a date of return again, and is not left paused without anybody who follows it."""
    shop = lab()
    shop.pause(shop.day(60))
    schedule = str(shop.raw["schedule"])
    does_not_begin(shop)
    to(shop, record(shop).begins + HOUR - 60)
    to(shop, shop.now + 600, ticks=False)

    def begin() -> None:
        shop.simulator.pause_plans[shop.subscription] = shop.now
        shop.simulator.due_changes.add(shop.raw)
        shop.go_to(shop.now + 1)

    shop.disturbed(shop.tick, {}, **{f"{schedule}/release": Fault(kind, begin)})
    assert status(shop)[0] == "paused"
    shop.heal()
    assert (record(shop).state, record(shop).failure) == (PauseState.PAUSED, None)
    to(shop, record(shop).resumes + DAY)
    assert (record(shop).outcome, status(shop)) == ("resumed", ("active", None, None))


def test_a_pause_that_is_set_does_not_begin_at_once_because_somebody_asks_for_the_same_day() -> None:
    shop = lab()
    back = shop.day(60)
    shop.pause(back)
    result = shop.pause(back, Begin.NOW)
    assert result
    assert (result.outcome, [each.code for each in result.refusals]) == (Outcome.REFUSED, ["already_set"])
    assert status(shop)[0] == "active"


def test_a_return_that_was_moved_in_the_dashboard_is_named_by_the_day_where_the_shop_is() -> None:
    shop = lab(timezone=ZoneInfo("Pacific/Kiritimati"))
    shop.pause(shop.day(60))
    moved = shop.midnight(shop.day(70))
    entry = shop.stripe.v1.subscription_schedules.retrieve(str(shop.raw["schedule"])).pause_schedules[0]
    wanted: Any = {"key": entry.key, "resume": {"resume_at": {"type": "timestamp", "timestamp": moved}}}
    shop.stripe.v1.subscription_schedules.update(str(shop.raw["schedule"]), {"pause_schedules": [wanted]})
    to(shop, shop.now + 2 * DAY, ticks=False)
    shop.tick()
    assert (record(shop).resumes, record(shop).asked_resume) == (moved, shop.day(68).isoformat())


@pytest.mark.parametrize("mode", ["flexible", "classic"])
@pytest.mark.parametrize("day", [date(9999, 12, 31), date(2999, 2, 1), date.min, date(1970, 1, 1)])
@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "America/New_York"])
@pytest.mark.parametrize("interval", ["week", "year"])
def test_a_day_beyond_all_limits_is_refused(mode: str, day: date, zone: str, interval: Any) -> None:
    shop = lab(mode, timezone=ZoneInfo(zone), interval=interval)
    team: dict[str, Any] = {"customer": None, "actor": TEAM, "override": True}
    for options in ({}, team):
        result = shop.pause(day, **options)
        assert result
        assert result.outcome is Outcome.REFUSED
        assert result.refusals[0].code == ("pause_too_long" if day > date(2100, 1, 1) else "resume_too_early")
    assert shop.record is None
    shop.pause(
        shop.day(40) + timedelta(days=400 if interval == "year" else 0),
        policy=RULES.with_changes({"max_pause_days": 0}),
    )
    assert shop.pause(day).outcome is Outcome.REFUSED  # type: ignore[union-attr]
