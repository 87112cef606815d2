"""A real pause in place of a pause of collection, whichever way Stripe answers, and wherever it is interrupted."""

import os
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from shared.pausing.conversion import SAFE_GAP, ConversionRequest
from shared.pausing.history import HistoryEntry, PauseRecord, PauseState, PauseTable
from shared.pausing.operations import PauseResult
from shared.stripe.subscription import PauseCollection
from tests.integration.pausing_world import DAY, OPEN, TEAM, Crashed, Outcome, World, pauses, world
from tests.integration.simulator_fixtures import server

__all__ = ["pauses", "server", "world"]

MONTH = 31 * DAY
ANSWERS = ["keep", "clear", "refuse", "refuse_when_due"]
# Each case tries every sixth place to die, beginning with another one; 1 tries all, in some minutes.
EVERY = int(os.environ.get("PAUSE_CRASHES_EVERY", "6"))


def paused(world: World, *, behavior: str = "void", returns_in: int | None = None, **params: Any) -> str:
    """A subscription whose collection is paused, ten days into the first period that was not paid."""
    subscription = world.subscribe(**params)
    pause: Any = {"behavior": behavior} | ({} if returns_in is None else {"resumes_at": world.now + MONTH + returns_in})
    world.stripe.v1.subscriptions.update(subscription, {"pause_collection": pause})
    world.go_to(world.now + 10 * DAY)
    world.go_to(world.now + MONTH)
    return subscription


def convert(world: World, subscription: str, *, until: date | None = None, paid_through: int | None = 0) -> PauseResult:
    seen = PauseCollection(**world.read(subscription)["pause_collection"])
    request = ConversionRequest(seen, until, paid_through)
    return world.pausing.convert(subscription, request, actor=TEAM, policy=OPEN)


def answer(world: World, name: str) -> None:
    world.simulator.admin("POST", "billing", {"pause_of_paused_collection": name})


def state(world: World, subscription: str) -> tuple[str, bool, bool]:
    """The status, whether collection is paused, and whether a schedule is attached."""
    found = world.read(subscription)
    return found["status"], found["pause_collection"] is not None, found["schedule"] is not None


@pytest.mark.parametrize(
    ("name", "behavior"),
    [*((name, "void") for name in ANSWERS), ("keep", "keep_as_draft"), ("refuse", "mark_uncollectible")],
)
def test_whichever_way_stripe_answers_one_pause_is_left_and_it_returns_on_its_day(
    world: World, name: str, behavior: str
) -> None:
    answer(world, name)
    subscription = paused(world, behavior=behavior, returns_in=40 * DAY)
    back = int(world.read(subscription)["pause_collection"]["resumes_at"])
    paid = world.charges(subscription)
    assert convert(world, subscription).outcome is Outcome.DONE
    assert state(world, subscription) == ("paused", False, True)
    record = world.record(subscription)
    assert (record.state, record.resumes, record.is_conversion) == (PauseState.PAUSED, back, False)
    assert world.actions(subscription) == ["set", "begun"]
    assert [(entry.actor, entry.detail) for entry in world.history(subscription)[:1]] == [
        ("team", "converted_from_collection")
    ]
    world.pass_time(back - 3600)
    assert world.charges(subscription) == paid
    world.pass_time(back + DAY)
    assert (state(world, subscription), world.record(subscription).outcome) == (("active", False, False), "resumed")
    after = world.stripe.v1.invoices.list({"subscription": subscription}).data[0]
    # A whole period, without a credit for time that nobody had paid, and nothing for that time.
    assert (after.status, after.amount_due) == ("paid", 1200)
    assert after.created >= back


@pytest.mark.parametrize("name", ANSWERS)
def test_a_pause_without_an_end_stays_one_and_the_team_resumes_it(world: World, name: str) -> None:
    answer(world, name)
    subscription = paused(world)
    paid = world.charges(subscription)
    assert convert(world, subscription).outcome is Outcome.DONE
    assert state(world, subscription) == ("paused", False, False)
    record = world.record(subscription)
    assert (record.state, record.outcome, record.has_return) == (PauseState.ENDED, "released", False)
    world.pass_time(world.now + 3 * MONTH)
    assert (world.charges(subscription), state(world, subscription)) == (paid, ("paused", False, False))
    assert world.resume(subscription).outcome is Outcome.DONE
    assert len(world.charges(subscription)) == len(paid) + 1


@pytest.mark.parametrize("name", ANSWERS)
def test_time_that_was_paid_is_served_and_the_pause_begins_when_it_ends(world: World, name: str) -> None:
    answer(world, name)
    subscription = world.subscribe()
    end, back = world.period_end(subscription), world.day(90)
    world.stripe.v1.subscriptions.update(subscription, {"pause_collection": {"behavior": "void"}})
    world.go_to(world.now + 5 * DAY)
    assert convert(world, subscription, paid_through=end).refusals[0].code == "paid_time_left"
    assert convert(world, subscription, paid_through=end, until=back).outcome is Outcome.DONE
    record = world.record(subscription)
    assert (record.state, record.begins) == (PauseState.SCHEDULED, end - 300)
    assert world.read(subscription)["status"] == "active"
    world.pass_time(end + DAY)
    assert state(world, subscription)[:2] == ("paused", False)
    assert (world.record(subscription).state, len(world.charges(subscription))) == (PauseState.PAUSED, 1)
    world.pass_time(record.resumes + DAY)
    assert len(world.charges(subscription)) == 2


@pytest.mark.parametrize("name", ANSWERS)
def test_undone_before_it_begins_its_collection_is_paused_as_before(world: World, name: str) -> None:
    answer(world, name)
    subscription = world.subscribe()
    end = world.period_end(subscription)
    pause: Any = {"behavior": "keep_as_draft", "resumes_at": world.now + 90 * DAY}
    world.stripe.v1.subscriptions.update(subscription, {"pause_collection": pause})
    assert convert(world, subscription, paid_through=end).outcome is Outcome.DONE
    assert world.undo(subscription).outcome is Outcome.DONE
    assert (state(world, subscription), world.read(subscription)["pause_collection"]) == (
        ("active", True, False),
        pause,
    )
    world.pass_time(end + DAY)
    assert len(world.charges(subscription)) == 1


class MortalTable(PauseTable):
    """The table of a process that may die before or after each read and write."""

    world: World

    def get(self, subscription_id: str) -> PauseRecord | None:
        return self.world.step(lambda: super(MortalTable, self).get(subscription_id))

    def write(self, record: PauseRecord, since: PauseRecord | None, *entries: HistoryEntry) -> PauseRecord | None:
        return self.world.step(lambda: super(MortalTable, self).write(record, since, *entries))


@pytest.fixture
def mortal(world: World) -> World:
    table = MortalTable(world.table._client, world.table._table_name)
    table.world = world
    world.table = table
    return world


@pytest.mark.parametrize("before_renewal", [20 * DAY, 240], ids=["far", "renewal_in_between"])
@pytest.mark.parametrize("returns_in", [40 * DAY, None], ids=["timed", "untimed"])
@pytest.mark.parametrize("name", ANSWERS)
def test_whatever_a_crash_interrupts_nobody_is_charged_and_one_pause_is_left(
    mortal: World, name: str, returns_in: int | None, before_renewal: int
) -> None:
    """It dies before or after each request to Stripe and to DynamoDB; each takes a minute, so that a renewal comes."""
    answer(mortal, name)
    # To die before a request is to die after the one before it: nothing that lasts happens in between.
    first = sum(map(ord, f"{name}{returns_in}{before_renewal}")) % EVERY
    for crash_at in range(1 + 2 * first, 120, 2 * EVERY):
        subscription = paused(mortal, returns_in=returns_in)
        renewal = mortal.period_end(subscription)
        mortal.go_to(renewal - before_renewal)
        before, paid = mortal.read(subscription)["pause_collection"], mortal.charges(subscription)
        mortal.crash_at, mortal.seconds_per_request = crash_at, 60
        try:
            convert(mortal, subscription)
        except Crashed:
            is_over = False
        else:
            is_over = mortal.crash_at is not None
        mortal.crash_at, mortal.seconds_per_request = None, 0
        for _tick in range(7):
            mortal.go_to(mortal.now + 300)
            if any(mortal.tick(subscription)) and mortal.record(subscription).state.is_settled:
                break
        record = mortal.table.get(subscription)
        status, is_collection_paused, _ = state(mortal, subscription)
        if record is None:
            assert mortal.read(subscription)["pause_collection"] == before
        else:
            assert (status, is_collection_paused) == ("paused", False)
            assert record.state is (PauseState.PAUSED if returns_in else PauseState.ENDED)
        mortal.go_to(max(renewal, mortal.now) + 8 * DAY)
        assert mortal.charges(subscription) == paid
        if is_over:
            break
    else:
        raise AssertionError("it never came to its end")


def test_a_renewal_that_comes_although_no_tick_has_run_for_a_day_is_given_back(mortal: World) -> None:
    """The worst case: Stripe refuses, the process dies while neither pause is set, and so does the schedule."""
    answer(mortal, "refuse")
    subscription = paused(mortal, returns_in=60 * DAY)
    renewal, back = mortal.period_end(subscription), mortal.read(subscription)["pause_collection"]["resumes_at"]
    mortal.go_to(renewal - SAFE_GAP.total_seconds() - 60)
    for crash_at in range(40):
        mortal.crash_at = crash_at
        with pytest.raises(Crashed):
            convert(mortal, subscription)
        if state(mortal, subscription) == ("active", False, False):
            break
        if record := mortal.table.get(subscription):
            mortal.table.write(record_over(record), record)
    else:
        raise AssertionError("neither was ever unset")
    mortal.go_to(renewal + DAY)
    mortal.tick(subscription)
    assert state(mortal, subscription)[:2] == ("paused", False)
    assert len(mortal.charges(subscription)) == 2
    mortal.pass_time(back + DAY)
    listed = mortal.stripe.v1.invoices.list({"subscription": subscription}).data
    assert (listed[0].created >= back, listed[0].amount_due) == (True, 0)


def record_over(record: PauseRecord) -> PauseRecord:
    """The record of a pause that came to nothing, for another try."""
    return replace(record, state=PauseState.FAILED, retry_at=None)


def test_what_stripe_refuses_for_another_reason_is_as_it_was(world: World) -> None:
    subscription = paused(world, behavior="mark_uncollectible", returns_in=40 * DAY)
    before = world.read(subscription)["pause_collection"]
    fault = {
        "status": 400,
        "method": "POST",
        "path": "/v1/subscription_schedules",
        "message": "No cadences.",
        "times": 9,
    }
    world.simulator.admin("POST", "faults", {"fail": [fault]})
    result = convert(world, subscription)
    assert (result.outcome, result.record and result.record.failure_detail) == (Outcome.REFUSED, "No cadences.")
    assert (state(world, subscription), world.read(subscription)["pause_collection"]) == (
        ("active", True, False),
        before,
    )
    world.simulator.admin("POST", "faults", {})
    assert convert(world, subscription).outcome is Outcome.DONE


def test_an_account_that_wants_schedule_and_pause_in_two_requests_gets_them(world: World) -> None:
    words = "You cannot set `pause_schedules` if `from_subscription` is set."
    fault = {"status": 400, "method": "POST", "path": "/v1/subscription_schedules", "message": words, "times": 2}
    for name in ANSWERS:
        answer(world, name)
        subscription = paused(world, returns_in=40 * DAY)
        world.simulator.admin("POST", "faults", {"fail": [fault | {"param": "pause_schedules"}]})
        convert(world, subscription)
        world.simulator.admin("POST", "faults", {})
        world.go_to(world.now + 300)
        world.tick(subscription)
        assert state(world, subscription) == ("paused", False, True)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"pause_collection": {"behavior": "keep_as_draft"}}, "changed_meanwhile"),
        ({"pause_collection": ""}, "changed_meanwhile"),
        ({"cancel_at_period_end": True}, "canceling"),
        ({"collection_method": "send_invoice", "days_until_due": 7}, "send_invoice"),
    ],
)
def test_what_has_changed_or_cannot_be_paused_is_left_alone(world: World, change: Any, code: str) -> None:
    subscription = paused(world)
    seen = PauseCollection(**world.read(subscription)["pause_collection"])
    world.stripe.v1.subscriptions.update(subscription, change)
    before = world.read(subscription)
    result = world.pausing.convert(subscription, ConversionRequest(seen, None, 0), actor=TEAM, policy=OPEN)
    assert (result.outcome, [each.code for each in result.refusals]) == (Outcome.REFUSED, [code])
    assert world.read(subscription) == before
    assert world.table.get(subscription) is None


def test_both_pauses_that_somebody_has_left_set_become_one(world: World) -> None:
    subscription = paused(world, returns_in=40 * DAY)
    world.stripe.v1.subscriptions.pause(subscription)
    paid = world.charges(subscription)
    assert convert(world, subscription).outcome is Outcome.DONE
    assert state(world, subscription) == ("paused", False, False)
    # The real pause had no date of return, so the end of the other is none.
    world.pass_time(world.now + 60 * DAY)
    assert (state(world, subscription)[0], world.charges(subscription)) == ("paused", paid)


def test_dates_of_return_that_are_too_early_or_too_late_are_refused(world: World) -> None:
    subscription = paused(world)
    for days, code in ((0, "resume_too_early"), (1000, "pause_too_long")):
        assert convert(world, subscription, until=world.day(days)).refusals[0].code == code
    assert state(world, subscription) == ("active", True, False)


def test_a_pause_of_this_deployment_is_not_converted(world: World) -> None:
    subscription = world.subscribe(mode="classic")
    world.pause(subscription, world.day(60))
    before = world.read(subscription)
    result = convert(world, subscription)
    assert (result.outcome, result.refusals[0].code) == (Outcome.REFUSED, "paused_elsewhere")
    assert world.read(subscription) == before
