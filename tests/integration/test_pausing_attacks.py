"""What could cost a customer or the company money: crashes, races and changes at the worst moment, one at a time."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from local.stripe_simulator.faults import Failure, Faults
from shared.errors import Unavailable
from shared.pausing.at_stripe import StripePauses
from shared.pausing.history import CUSTOMER, PauseState
from shared.pausing.operations import Outcome, Pausing
from shared.pausing.plan import Begin, PauseRequest
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


@pytest.mark.parametrize("late", [0, 60, 290, 600, 3 * HOUR])
def test_a_change_of_plan_right_before_the_return_is_charged_at_the_return(late: int) -> None:
    """The year that was void would be served from then on, because collection is not paused any more."""
    shop = lab("classic")
    shop.pause(shop.day(45))
    back = record(shop).next_charge
    to(shop, back - HOUR)
    shop.change_plan("year")
    assert shop.invoices[0]["status"] == "void"
    shop.go_to(record(shop).resumes + late)
    shop.tick()
    assert (record(shop).outcome, shop.raw["pause_collection"]) == ("resumed", None)
    to(shop, shop.now + 400 * DAY)
    charged = [each["created"] for each in shop.invoices if each["status"] == "paid"]
    assert len(charged) == 3
    assert charged[1] == record(shop).resumes + late


@pytest.mark.parametrize("late", [1, 240, HOUR])
def test_who_cancels_after_a_change_of_plan_is_not_charged_at_the_return(late: int) -> None:
    shop = lab("classic")
    shop.pause(shop.day(45))
    to(shop, record(shop).next_charge - HOUR)
    shop.change_plan("year")
    shop.cancel_in_the_portal()
    shop.go_to(record(shop).resumes + late)
    shop.tick()
    to(shop, shop.now + 400 * DAY)
    assert shop.is_over
    assert [each["amount_due"] for each in shop.invoices if each["status"] != "void"] == [1200]


@pytest.mark.parametrize("rule", ["credit", "forfeit"])
def test_a_pause_at_once_that_a_crash_puts_off_beyond_the_renewal_does_not_begin(rule: str) -> None:
    """The customer would pay for a period of which the pause leaves a minute."""
    shop = lab("flexible")
    shop.rules = shop.rules.with_changes({"pause_now": rule})
    to(shop, shop.period_end - 30)
    died = {"subscription_schedules": Fault(FaultKind.KILLED_BEFORE)}
    assert shop.disturbed(lambda: shop.pause(shop.day(40), Begin.NOW), {}, **died) is None
    shop.go_to(shop.now + 180)
    shop.tick()
    assert (record(shop).state, record(shop).failure) == (PauseState.FAILED, "changed_meanwhile")
    assert status(shop) == ("active", None, None)
    shop.tick()
    assert shop.mails == ["Your pause could not be set"]


def test_a_change_of_plan_right_after_the_return_is_not_charged_twice() -> None:
    shop = lab("classic")
    shop.pause(shop.day(45))
    shop.go_to(record(shop).resumes + 30)
    shop.change_plan("year")
    assert shop.invoices[0]["status"] == "paid"
    before = len(shop.invoices)
    shop.go_to(shop.now + 240)
    shop.tick()
    assert record(shop).outcome == "resumed"
    to(shop, shop.now + 30 * DAY)
    assert len(shop.invoices) == before


@pytest.mark.parametrize("died", [FaultKind.KILLED_BEFORE, FaultKind.KILLED_AFTER])
def test_a_crash_while_the_return_is_charged_charges_once(died: FaultKind) -> None:
    shop = lab("classic")
    shop.pause(shop.day(45))
    to(shop, record(shop).resumes - HOUR)
    shop.change_plan("year")
    shop.go_to(record(shop).resumes + 60)
    for number in range(1, 9):
        shop.disturbed(shop.tick, {number: Fault(died)})
        shop.go_to(shop.now + 300)
    shop.tick()
    assert record(shop).outcome == "resumed"
    assert [each["status"] for each in shop.invoices].count("paid") == 2


@pytest.mark.parametrize("end", [Lab.undo, Lab.resume])
def test_a_change_of_plan_that_was_void_is_not_kept_by_undoing_the_pause(end: Callable[[Lab], Any]) -> None:
    """Pause, switch to a year, which is void, and undo: that would be a year for nothing."""
    shop = lab("classic")
    shop.pause(shop.day(45))
    to(shop, shop.now + 3 * DAY)
    shop.change_plan("year")
    to(shop, shop.now + HOUR)
    assert (ended := end(shop))
    assert [each.code for each in ended.refusals] == ["invoice_voided"]
    to(shop, shop.now + 90 * DAY)
    assert shop.raw["pause_collection"]


def test_a_larger_quantity_that_was_void_is_not_kept_by_undoing_the_pause() -> None:
    shop = lab("classic")
    shop.pause(shop.day(45))
    to(shop, shop.now + 3 * DAY)
    item: Any = {"id": shop.raw["items"]["data"][0]["id"], "quantity": 50}
    shop.stripe.v1.subscriptions.update(shop.subscription, {"items": [item], "proration_behavior": "always_invoice"})
    assert shop.invoices[0]["status"] == "void"
    assert (undone := shop.undo())
    assert [each.code for each in undone.refusals] == ["invoice_voided"]


def test_an_invoice_that_was_void_before_the_pause_keeps_nobody_from_undoing_it() -> None:
    shop = lab("classic")
    shop.pause(shop.day(45))
    to(shop, shop.now + 65 * DAY)
    assert "void" in {each["status"] for each in shop.invoices}
    shop.pause(shop.day(90))
    assert record(shop).state is PauseState.SCHEDULED
    assert (undone := shop.undo())
    assert undone.outcome is Outcome.DONE
    assert shop.raw["pause_collection"] is None


def test_an_undo_that_comes_after_the_renewal_gives_no_period_away() -> None:
    """The invoice of the renewal is void then, so the pause goes on."""
    shop = lab("classic")
    shop.pause(shop.day(60))
    to(shop, shop.period_end - HOUR)
    shop.disturbed(shop.undo, {4: Fault(FaultKind.KILLED_BEFORE)})
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


class Keyed(StripePauses):
    """The requests to Stripe, and the keys of those that change something; these fail if they are to."""

    def __init__(self, shop: Lab, keys: list[str], *, fails: bool) -> None:
        super().__init__(shop.watched)
        self._keys, self._fails = keys, fails

    def _send(self, method: str, path: str, key: str | None = None, /, **params: Any) -> Any:
        if key:
            self._keys.append(key)
        if key and self._fails:
            raise Unavailable("stripe_unavailable", "500")
        return super()._send(method, path, key, **params)


def keyed(shop: Lab, *, fails: bool = False) -> tuple[Pausing, list[str]]:
    """The operations of a lab, and the keys that they send from now on."""
    keys: list[str] = []
    return replace(shop.pausing, stripe=lambda: Keyed(shop, keys, fails=fails), clock=lambda: shop.now), keys


def test_each_try_has_a_key_of_its_own_because_stripe_repeats_a_500_for_a_day() -> None:
    shop = lab()
    pausing, keys = keyed(shop, fails=True)
    wanted = PauseRequest(shop.day(60))
    shop.judge.asked_to_pause()
    pausing.pause(shop.subscription, wanted, customer=shop.customer, actor=CUSTOMER, policy=RULES)
    for _ in range(2):
        shop.go_to(shop.now + 300)
        with pytest.raises(Unavailable):
            pausing.follow(shop.subscription)
    assert len(keys) == len(set(keys)) == 3
    assert len({key.rpartition("-")[0] for key in keys}) == 1
    shop.heal()
    assert record(shop).state is PauseState.SCHEDULED


def test_a_schedule_without_a_plan_is_known_again_by_its_key_after_a_crash() -> None:
    """Another key would ask for a second schedule, which Stripe refuses while the first one is attached."""
    shop = lab()
    shop.disturbed(lambda: shop.pause(shop.day(60)), {}, PutItem=KILLED)
    found = record(shop)
    assert shop.kept.write(replace(found, step="attach"), found)
    pausing, keys = keyed(shop)
    for fault in (KILLED, Fault(FaultKind.KILLED_BEFORE)):
        shop.go_to(shop.now + 300)
        shop.disturbed(lambda: pausing.follow(shop.subscription), {}, **{"POST /v1/subscription_schedules": fault})
    attached = [key for key in keys if "attach" in key]
    assert len(attached) == 2
    assert len(set(attached)) == 1
    shop.heal()
    assert record(shop).state is PauseState.SCHEDULED
    assert len(shop.stripe.v1.subscription_schedules.list().data) == 1


def test_each_change_has_a_key_of_its_own() -> None:
    """Back to the first date: the same request with the same key would be the one of before, and change nothing."""
    shop = lab()
    days = [shop.day(60), shop.day(75), shop.day(60), shop.day(75)]
    for day in days:
        result = shop.pause(day)
        assert result
        assert result.outcome is Outcome.DONE
        (schedule,) = shop.stripe.v1.subscription_schedules.list().data
        assert schedule.pause_schedules[0].resume.resume_at == shop.midnight(day)  # type: ignore[union-attr]


def test_what_somebody_works_on_is_left_to_them() -> None:
    """The list of what is due may be behind: a pause that was taken up meanwhile is not touched."""
    shop = lab()
    shop.disturbed(lambda: shop.pause(shop.day(60)), {}, **{"POST /v1/subscription_schedules": KILLED})
    before = record(shop)
    shop.disturbed(lambda: shop.pausing.follow(shop.subscription), {})
    assert not [name for name in shop.faults.requests if "/v1/" in name]
    assert record(shop) == before
    shop.go_to(before.retry_at)
    # However often it was tried: the lease of a pause that is open does not grow.
    assert shop.kept.write(replace(before, attempt=5), before)
    shop.disturbed(lambda: shop.pausing.follow(shop.subscription), {}, **{"GET /v1/subscriptions": KILLED})
    taken = record(shop)
    assert (taken.attempt, taken.retry_at) == (6, shop.now + 120)


@pytest.mark.parametrize("mode", ["flexible", "classic"])
def test_right_before_the_return_it_is_not_changed_any_more(mode: str) -> None:
    """Stripe may be about to charge: a change that comes too late would be answered as done."""
    for seconds, is_refused in ((901, False), (900, True)):
        shop = lab(mode)
        shop.pause(shop.day(45))
        to(shop, shop.period_end + DAY)
        to(shop, record(shop).resumes - seconds)
        result = shop.pause(shop.day(40))
        assert result
        if is_refused:
            assert [each.code for each in result.refusals] == ["about_to_resume"]
        else:
            assert result.outcome is Outcome.DONE


def test_resumed_minutes_before_its_return_a_pause_of_collection_does_not_get_longer() -> None:
    shop = lab("classic")
    shop.pause(shop.day(45))
    to(shop, shop.period_end + DAY)
    charged = record(shop).next_charge
    for seconds in (599, 301, 299, 1):
        to(shop, charged - seconds)
        result = shop.resume()
        assert result
        assert (result.outcome, record(shop).next_charge) == (Outcome.DONE, charged)
    to(shop, charged + DAY)
    assert max(each["created"] for each in shop.invoices if each["status"] != "void") == charged


@pytest.mark.parametrize("late", [-59, 1])
def test_who_resumes_a_pause_of_collection_as_it_begins_gets_it_back_at_the_next_renewal(late: int) -> None:
    """The invoice of the renewal is void already, so an undo would give the period away."""
    shop = lab("classic")
    shop.pause(shop.day(80))
    begins = record(shop).begins
    to(shop, begins + late, ticks=False)
    undone, resumed = shop.undo(), shop.resume()
    assert undone
    assert resumed
    assert [each.code for each in undone.refusals] == ["already_begun"]
    assert (resumed.outcome, record(shop).next_charge) == (Outcome.DONE, begins + 31 * DAY)
    to(shop, begins + 32 * DAY)
    assert record(shop).outcome == "resumed"


def test_an_undo_of_what_stripe_has_begun_changes_nothing() -> None:
    shop = lab()
    shop.pause(shop.day(60))
    to(shop, record(shop).begins + 1, ticks=False)
    before = record(shop)
    result = shop.undo()
    assert result
    assert [each.code for each in result.refusals] == ["already_begun"]
    assert record(shop) == before


def test_who_cancels_a_pause_of_collection_keeps_it_until_then() -> None:
    """It keeps nobody from canceling; to end it would serve a period whose invoice is void."""
    shop = lab("classic")
    shop.pause(shop.day(60))
    for moment in (shop.now, shop.period_end + DAY):
        to(shop, moment)
        before = record(shop)
        result = shop.release()
        assert result
        assert result.outcome is Outcome.DONE
        assert (record(shop), status(shop)[2]["behavior"]) == (before, "void")


def test_while_a_pause_is_being_set_its_return_is_not_given_up() -> None:
    shop = lab()
    shop.disturbed(lambda: shop.pause(shop.day(60)), {}, **{"POST /v1/subscription_schedules": KILLED})
    before = record(shop)
    result = shop.release()
    assert result
    assert (result.outcome, record(shop)) == (Outcome.BUSY, before)
    shop.heal()
    assert record(shop).state is PauseState.SCHEDULED


def test_while_a_change_is_under_way_everything_else_has_to_wait() -> None:
    shop = lab()
    shop.pause(shop.day(60))
    shop.disturbed(lambda: shop.pause(shop.day(70)), {}, **{"POST /v1/subscription_schedules": KILLED})
    before = record(shop)
    assert before.state is PauseState.CHANGING
    for result in (shop.pause(shop.day(80)), shop.undo(), shop.resume(), shop.release()):
        assert result
        assert (result.outcome, record(shop)) == (Outcome.BUSY, before)
    shop.heal()
    assert record(shop).resumes == before.wanted_resumes


def test_an_undo_that_is_under_way_is_not_begun_again_by_another_request() -> None:
    shop = lab()
    shop.pause(shop.day(60))
    shop.disturbed(shop.undo, {}, **{"/release": Fault(FaultKind.KILLED_BEFORE)})
    before = record(shop)
    assert before.state is PauseState.UNDOING
    for act in (shop.undo, shop.release):
        result = act()
        assert result
        assert (result.outcome, record(shop)) == (Outcome.UNDERWAY, before)
    shop.heal()
    assert (record(shop).outcome, status(shop)) == ("undone", ("active", None, None))


def test_a_second_resume_while_the_first_is_under_way_is_the_same_one() -> None:
    """With an intent of its own it would have keys of its own, and could charge a second time."""
    shop = lab()
    shop.pause(shop.day(60))
    to(shop, shop.period_end + DAY)
    killed = Fault(FaultKind.KILLED_BEFORE)
    shop.disturbed(shop.resume, {}, **{"POST /v1/subscription_schedules": killed, "/resume": killed})
    before = record(shop)
    assert before.state is PauseState.RESUMING
    result = shop.resume()
    assert result
    assert (result.outcome, record(shop)) == (Outcome.UNDERWAY, before)
    shop.heal()
    assert (record(shop).outcome, status(shop)[0]) == ("resumed", "active")
    assert [each["status"] for each in shop.invoices] == ["paid", "paid"]


def test_what_was_given_up_and_resumed_elsewhere_is_not_resumed_again() -> None:
    shop = lab()
    shop.pause(shop.day(60))
    to(shop, shop.period_end + DAY)
    shop.release()
    shop.resume_in_the_dashboard()
    shop.pay_what_is_open()
    assert status(shop)[0] == "active"
    before, entries = record(shop), shop.kept.history(shop.subscription)
    result = shop.resume()
    assert result
    assert result.outcome is Outcome.DONE
    assert (record(shop), shop.kept.history(shop.subscription)) == (before, entries)


def test_what_the_company_has_planned_is_not_previewed_as_possible() -> None:
    shop = lab()
    entry: Any = {"pause": {"pause_at": {"type": "timestamp", "timestamp": shop.now + DAY}}}
    shop.stripe.v1.subscription_schedules.create({"from_subscription": shop.subscription, "pause_schedules": [entry]})
    request = PauseRequest(shop.day(60))
    found = shop.pausing.preview(shop.subscription, request, customer=shop.customer, policy=RULES)
    assert [each.code for each in found.planned.refusals] == ["paused_elsewhere"]


def test_the_rules_of_whoever_changed_a_pause_last_count_behind_its_mails() -> None:
    """A pause of the team has no group until the customer changes it, and keeps that one then."""
    shop = lab()

    def change(days: int, group: str | None) -> str | None:
        request = PauseRequest(shop.day(days), group=group)
        shop.pausing.pause(shop.subscription, request, customer=None, actor=TEAM, policy=RULES)
        group_now: str | None = record(shop).group
        return group_now

    assert [change(60, None), change(70, "gold"), change(75, None)] == [None, "gold", "gold"]


def test_a_change_beyond_the_rules_is_recorded_as_the_teams() -> None:
    shop = lab()
    shop.pause(shop.day(60))
    team: dict[str, Any] = {"customer": None, "actor": TEAM, "override": True}
    shop.pause(shop.day(200), **team)
    entries = shop.kept.history(shop.subscription)
    assert [(each.action.value, each.overridden, each.actor_name) for each in entries] == [
        ("set", False, None),
        ("changed", True, TEAM.name),
    ]
    shop.pause(shop.day(70))
    assert not shop.kept.history(shop.subscription)[-1].overridden


@pytest.mark.parametrize("is_undone", [False, True], ids=["changed", "undone"])
def test_an_earlier_refusal_is_not_the_answer_to_what_is_asked_next(*, is_undone: bool) -> None:
    shop = lab()
    shop.pause(shop.day(60))
    found = record(shop)
    assert shop.kept.write(replace(found, failure="stripe_refused", failure_detail="in the past"), found)
    result = shop.undo() if is_undone else shop.pause(shop.day(70))
    assert result
    assert (result.outcome, result.refusals) == (Outcome.DONE, ())
    assert record(shop).state is (PauseState.ENDED if is_undone else PauseState.SCHEDULED)


def missing_for_a_while(shop: Lab) -> None:
    """Let one look find that Stripe does not have the subscription: the key is another account's."""
    shop.go_to(record(shop).retry_at)
    shop.simulator.faults = Faults(fail=[Failure(404, times=2, path="/v1/subscriptions/")])
    shop.tick()
    assert not any(failure.times == 2 for failure in shop.simulator.faults.fail)
    shop.simulator.faults = Faults()
    shop.go_to(record(shop).retry_at)


def test_an_undo_whose_subscription_is_missing_for_a_while_is_no_failure() -> None:
    shop = lab()
    shop.pause(shop.day(60))
    shop.disturbed(shop.undo, {}, **{"/release": Fault(FaultKind.KILLED_BEFORE)})
    missing_for_a_while(shop)
    shop.tick()
    assert (record(shop).state, record(shop).outcome) == (PauseState.ENDED, "undone")
    assert status(shop) == ("active", None, None)
    assert shop.mails == ["Your pause begins on 1 March 2027"]


def test_a_pause_that_is_given_up_and_begins_while_its_subscription_is_missing_goes_on() -> None:
    """What the look before has decided is kept, else it would be left paused without anybody who follows it."""
    shop = lab()
    shop.pause(shop.day(60))
    does_not_begin(shop)
    to(shop, record(shop).begins + HOUR - 60)
    to(shop, shop.now + 600, ticks=False)
    shop.disturbed(shop.tick, {}, **{"/release": Fault(FaultKind.KILLED_BEFORE)})
    missing_for_a_while(shop)
    shop.simulator.pause_plans[shop.subscription] = shop.now
    shop.simulator.due_changes.add(shop.raw)
    shop.go_to(shop.now + 1)
    assert status(shop)[0] == "paused"
    shop.tick()
    assert (record(shop).state, record(shop).failure) == (PauseState.PAUSED, None)
    to(shop, record(shop).resumes + DAY)
    assert (record(shop).outcome, status(shop)) == ("resumed", ("active", None, None))


@pytest.mark.parametrize(("days", "between", "later"), [(900, 100, 1), (60, 1000, 800)], ids=["long", "long ago"])
def test_a_pause_counts_for_as_long_as_the_rules_say(days: int, between: int, later: int) -> None:
    """However long it lasted, and however long ago it ended."""
    shop = lab()
    rules = RULES.with_changes({"max_pause_days": 0, "pause_min_days_between": between})
    shop.pause(shop.day(days), policy=rules)
    to(shop, record(shop).resumes + later * DAY)
    assert record(shop).outcome == "resumed"
    ended = shop.kept.history(shop.subscription)[-1].at
    result = shop.pause(shop.day(60), policy=rules)
    assert result
    assert [(each.code, each.allowed_from) for each in result.refusals] == [("pause_too_soon", ended + between * DAY)]


def test_a_pause_of_the_companys_is_not_said_to_be_over_nor_ended_by_the_customer() -> None:
    """Also where the customer had one before, which is over."""
    for has_history in (False, True):
        shop = lab()
        if has_history:
            shop.pause(shop.day(60))
            shop.undo()
        shop.pause_in_the_dashboard()
        paused = shop.raw["pause_collection"]
        for act in (shop.resume, shop.undo):
            result = act()
            assert result
            assert [each.code for each in result.refusals] == ["paused_elsewhere"]
        assert paused
        assert shop.raw["pause_collection"] == paused


def test_who_gives_the_return_up_while_the_schedule_is_about_to_resume_is_not_charged() -> None:
    """Whoever loses a race for the record asks nothing more of Stripe."""
    accepted = 0
    for number in range(12):
        shop = lab()
        shop.pause(shop.day(60))
        to(shop, shop.period_end + DAY)
        to(shop, record(shop).resumes - 30, ticks=False)
        shop.release_in_the_dashboard()
        to(shop, record(shop).resumes + 1, ticks=False)
        answers: list[Any] = []
        meanwhile = partial(lambda shop, found: found.append(shop.release()), shop, answers)
        shop.disturbed(shop.tick, {number: Fault(FaultKind.OVERTAKEN, meanwhile)})
        if not answers:
            break
        shop.heal()
        if answers[0].outcome is Outcome.DONE and record(shop).outcome == "released":
            accepted += 1
            assert status(shop)[0] == "paused", number
            assert [each["status"] for each in shop.invoices] == ["paid"], number
    assert accepted > 2


def test_a_link_for_one_subscription_shows_that_one_alone_while_it_is_the_customers_and_not_over() -> None:
    shop = lab()
    second: Any = {"customer": shop.customer, "items": [{"price": shop.prices["week"]}]}
    shop.stripe.v1.subscriptions.create(second)

    def shown(customer: str) -> list[str]:
        found = shop.pausing.views(customer, RULES, only=shop.subscription)
        return [view.at.subscription.id for view in found.views]

    assert shown(shop.customer) == [shop.subscription]
    assert shown("cus_another") == []
    shop.cancel_now()
    assert shown(shop.customer) == []
