"""Pauses from their request to the return, against the simulator and the table `Pauses`."""

import re
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from shared.errors import Forbidden, Unavailable
from shared.pausing.history import PauseState, PauseTable
from shared.pausing.operations import PauseResult
from shared.pausing.plan import MARGIN, Begin, PauseRequest
from tests.integration.dynamodb_fixtures import Subscriptions
from tests.integration.pausing_world import DAY, OPEN, TEAM, Crashed, Outcome, Watcher, World, pauses, world
from tests.integration.simulator_fixtures import server

__all__ = ["pauses", "server", "world"]

MARGIN_SECONDS = int(MARGIN.total_seconds())


def midnight(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def test_a_pause_begins_when_the_paid_time_ends_and_resumes_on_its_day(world: World) -> None:
    subscription = world.subscribe()
    end, back = world.period_end(subscription), world.day(60)
    result = world.pause(subscription, back, reason="holiday")
    assert (result.outcome, result.refusals) == (Outcome.DONE, ())
    record = world.record(subscription)
    assert (record.kind, record.state, record.begins) == ("subscription", PauseState.SCHEDULED, end - MARGIN_SECONDS)
    assert record.resumes == record.next_charge == midnight(back)
    world.pass_time(end + DAY)
    assert (world.record(subscription).state, world.read(subscription)["status"]) == (PauseState.PAUSED, "paused")
    assert len(world.charges(subscription)) == 1
    world.pass_time(midnight(back) + DAY)
    assert (world.record(subscription).state, world.record(subscription).outcome) == (PauseState.ENDED, "resumed")
    after = world.read(subscription)
    assert (after["status"], after["schedule"]) == ("active", None)
    _first, second = world.charges(subscription)
    assert second >= midnight(back)
    assert world.actions(subscription) == ["set", "begun", "resumed"]
    assert [entry.actor for entry in world.history(subscription)] == ["customer", "stripe", "stripe"]
    assert world.history(subscription)[0].reason == "holiday"


def test_a_pause_of_collection_ends_right_before_a_renewal(world: World) -> None:
    subscription = world.subscribe(mode="classic")
    end = world.period_end(subscription)
    result = world.pause(subscription, world.day(45))
    record = world.record(subscription)
    assert result.outcome is Outcome.DONE
    assert (record.kind, record.begins, record.why_not_real) == ("collection", end, ("classic_billing_mode",))
    # 45 days from 1 February lie between the renewals of 1 March and 1 April.
    april = end + 31 * DAY
    assert (record.next_charge, record.resumes) == (april, april - MARGIN_SECONDS)
    world.pass_time(april + DAY)
    assert world.record(subscription).outcome == "resumed"
    assert world.read(subscription)["pause_collection"] is None
    assert [moment for moment in world.charges(subscription) if moment > record.created] == [april]


def test_the_day_that_was_asked_for_would_give_away_the_time_to_the_next_renewal(
    world: World, subscriptions: Subscriptions
) -> None:
    """Why the return from a pause of collection is moved: on the day itself service would begin, and no charge."""
    watcher, naive, ours = Watcher(world, subscriptions.table()), *(world.subscribe(mode="classic") for _ in range(2))
    asked = midnight(world.day(45))
    world.go_to(world.now + DAY)
    world.stripe.v1.subscriptions.update(naive, {"pause_collection": {"behavior": "void", "resumes_at": asked}})
    world.pause(ours, world.day(44))
    april = int(datetime(2027, 4, 1, 10, tzinfo=UTC).timestamp())
    world.pass_time(world.period_end(ours) + DAY)
    assert [watcher.access(each).granted for each in (naive, ours)] == [False, False]
    world.pass_time(asked + DAY)
    assert [watcher.access(each).granted for each in (naive, ours)] == [True, False]
    assert [len(world.charges(each)) for each in (naive, ours)] == [1, 1]
    world.pass_time(april + DAY)
    assert [watcher.access(each).granted for each in (naive, ours)] == [True, True]
    assert [len(world.charges(each)) for each in (naive, ours)] == [2, 2]


@pytest.mark.parametrize("mode", ["flexible", "classic"])
def test_undone_before_it_begins_it_leaves_nothing_behind(world: World, mode: str) -> None:
    subscription = world.subscribe(mode=mode)
    end = world.period_end(subscription)
    world.pause(subscription, world.day(60))
    assert world.undo(subscription).outcome is Outcome.DONE
    after = world.read(subscription)
    assert (after["status"], after["schedule"], after["pause_collection"]) == ("active", None, None)
    assert (world.record(subscription).state, world.actions(subscription)) == (PauseState.ENDED, ["set", "undone"])
    world.pass_time(end + DAY)
    assert len(world.charges(subscription)) == 2


def test_a_real_pause_is_resumed_at_once_and_paid(world: World) -> None:
    subscription = world.subscribe()
    end = world.period_end(subscription)
    world.pause(subscription, world.day(90))
    world.pass_time(end + 10 * DAY)
    assert world.undo(subscription).refusals[0].code == "already_begun"
    assert world.resume(subscription).outcome is Outcome.DONE
    after = world.read(subscription)
    assert (after["status"], after["schedule"]) == ("active", None)
    assert len(world.charges(subscription)) == 2
    assert (world.record(subscription).outcome, world.history(subscription)[-1].actor) == ("resumed", "customer")


def test_a_pause_of_collection_is_resumed_at_the_next_renewal_and_gives_nothing_away(world: World) -> None:
    subscription = world.subscribe(mode="classic")
    end = world.period_end(subscription)
    world.pause(subscription, world.day(100))
    world.pass_time(end + 10 * DAY)
    result = world.resume(subscription)
    april = end + 31 * DAY
    assert (result.outcome, result.record and result.record.next_charge) == (Outcome.DONE, april)
    pause = world.read(subscription)["pause_collection"]
    assert pause == {"behavior": "void", "resumes_at": april - MARGIN_SECONDS}
    world.pass_time(april + DAY)
    assert world.charges(subscription)[1:] == [april]


def test_the_date_of_return_can_be_changed_before_and_during_the_pause(world: World) -> None:
    subscription = world.subscribe()
    end = world.period_end(subscription)
    world.pause(subscription, world.day(60))
    for moment in (world.now, end + 5 * DAY):
        world.pass_time(moment)
        later = world.day(90)
        result = world.pause(subscription, later)
        assert (result.outcome, result.record and result.record.resumes) == (Outcome.DONE, midnight(later))
    assert world.actions(subscription) == ["set", "changed", "begun", "changed"]
    world.pass_time(midnight(later) - DAY)
    assert world.read(subscription)["status"] == "paused"
    world.pass_time(midnight(later) + DAY)
    assert (world.read(subscription)["status"], len(world.charges(subscription))) == ("active", 2)


def test_the_same_request_again_has_the_same_result_and_another_one_changes_the_return(world: World) -> None:
    subscription, back = world.subscribe(), world.day(60)
    first, second = world.pause(subscription, back), world.pause(subscription, back)
    assert (first.outcome, second.outcome) == (Outcome.DONE, Outcome.DONE)
    assert first.record == second.record
    assert world.actions(subscription) == ["set"]


def test_clicks_at_the_same_time_make_one_pause(world: World) -> None:
    subscription, back = world.subscribe(), world.day(60)
    results: list[Any] = []
    threads = [threading.Thread(target=lambda: results.append(world.pause(subscription, back))) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {result.record.operation_id for result in results} == {world.record(subscription).operation_id}
    assert {result.outcome for result in results} <= {Outcome.DONE, Outcome.UNDERWAY}
    assert len(world.stripe.v1.subscription_schedules.list().data) == 1
    assert world.actions(subscription) == ["set"]


def test_two_tabs_with_two_dates_leave_one_pause_that_one_of_them_asked_for(world: World) -> None:
    subscription, days = world.subscribe(), [world.day(60), world.day(75)]
    results: list[Any] = []
    threads = [threading.Thread(target=lambda day=day: results.append(world.pause(subscription, day))) for day in days]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    world.pass_time(world.now + DAY)
    record = world.record(subscription)
    assert record.state is PauseState.SCHEDULED
    assert record.resumes in set(map(midnight, days))
    (schedule,) = world.stripe.v1.subscription_schedules.list().data
    assert schedule.pause_schedules[0].resume.resume_at == record.resumes  # type: ignore[union-attr]
    assert all(result.outcome in {Outcome.DONE, Outcome.BUSY, Outcome.UNDERWAY} for result in results)


def test_what_is_decided_from_is_never_older_than_the_record_that_it_is_written_on(world: World) -> None:
    """A second tab that has read Stripe before the first one's pause must not take its schedule for a stranger's."""
    subscription, pausing = world.subscribe(), world.pausing
    calls: list[str] = []
    get = world.table.get

    def get_late(subscription_id: str) -> Any:
        if not calls:
            calls.append(subscription_id)
            world.pause(subscription, world.day(60))
        return get(subscription_id)

    object.__setattr__(pausing, "table", PauseTable(world.table._client, world.table._table_name))
    pausing.table.get = get_late  # type: ignore[method-assign]
    request = PauseRequest(world.day(75))
    result = pausing.pause(subscription, request, customer=world.customer, actor=TEAM, policy=OPEN)
    assert (result.outcome, world.record(subscription).resumes) == (Outcome.DONE, midnight(world.day(75)))


@pytest.mark.parametrize("mode", ["flexible", "classic"])
def test_a_double_click_that_comes_between_two_reads_is_not_told_of_a_strangers_pause(world: World, mode: str) -> None:
    """Its record was read before the first click's pause, and Stripe after it."""
    subscription, pausing = world.subscribe(mode=mode), world.pausing
    calls: list[str] = []
    get = world.table.get

    def get_early(subscription_id: str) -> Any:
        found = get(subscription_id)
        if not calls:
            calls.append(subscription_id)
            world.pause(subscription, world.day(60))
        return found

    object.__setattr__(pausing, "table", PauseTable(world.table._client, world.table._table_name))
    pausing.table.get = get_early  # type: ignore[method-assign]
    request = PauseRequest(world.day(60))
    result = pausing.pause(subscription, request, customer=world.customer, actor=TEAM, policy=OPEN)
    assert (result.outcome, result.record) == (Outcome.DONE, world.record(subscription))


def test_while_something_is_under_way_everything_else_has_to_wait(world: World) -> None:
    subscription = world.subscribe()
    world.crash_at = 2
    with pytest.raises(Crashed):
        world.pause(subscription, world.day(60))
    assert world.record(subscription).state is PauseState.STARTING
    busy = [world.pause(subscription, world.day(70)), world.undo(subscription), world.resume(subscription)]
    assert [result.outcome for result in busy] == [Outcome.BUSY] * 3


CRASHES: dict[str, Callable[[World, str], PauseResult]] = {
    "pause": lambda world, subscription: world.pause(subscription, world.day(60)),
    "undo": lambda world, subscription: world.undo(subscription),
    "change": lambda world, subscription: world.pause(subscription, world.day(100)),
}


@pytest.mark.parametrize("mode", ["flexible", "classic"])
@pytest.mark.parametrize("operation", CRASHES)
def test_whatever_a_crash_interrupts_is_finished_by_the_next_tick(world: World, operation: str, mode: str) -> None:
    """The process dies before or after each of its requests to Stripe."""
    for crash_at in range(24):
        subscription = world.subscribe(mode=mode)
        end = world.period_end(subscription)
        if operation != "pause":
            world.pause(subscription, world.day(60))
        world.crash_at = crash_at
        try:
            CRASHES[operation](world, subscription)
        except Crashed:
            pass
        else:
            world.crash_at = None
            assert crash_at > 3
            break
        world.go_to(world.now + 300)
        world.tick(subscription)
        after, record = world.read(subscription), world.table.get(subscription)
        assert record is None or record.state.is_settled
        assert not (after["schedule"] and after["pause_collection"])
        is_set = bool(after["schedule"] or after["pause_collection"])
        assert is_set is (record is not None and record.state is PauseState.SCHEDULED)
        assert len(world.charges(subscription)) == 1
        assert end > world.now
    else:
        raise AssertionError("it never came to its end")


def test_a_lost_response_is_not_a_second_pause(world: World) -> None:
    """Stripe has done it, and answers 500: the tick finds it there."""
    subscription = world.subscribe()
    fault = {"fail": [{"status": 500, "method": "GET", "path": "/v1/subscription_schedules", "times": 3}]}
    world.simulator.admin("POST", "faults", fault)
    result = world.pause(subscription, world.day(60))
    assert result.outcome is Outcome.UNDERWAY
    world.simulator.admin("POST", "faults", {})
    world.go_to(world.now + 300)
    world.tick()
    assert world.record(subscription).state is PauseState.SCHEDULED
    assert len(world.stripe.v1.subscription_schedules.list().data) == 1


def test_an_account_that_refuses_both_in_one_request_gets_them_in_two(world: World) -> None:
    subscription = world.subscribe()
    words = "You cannot set `pause_schedules` if `from_subscription` is set."
    fault = {"status": 400, "method": "POST", "path": "/v1/subscription_schedules", "message": words}
    world.simulator.admin("POST", "faults", {"fail": [fault | {"param": "pause_schedules"}]})
    assert world.pause(subscription, world.day(60)).outcome is Outcome.DONE
    assert world.record(subscription).state is PauseState.SCHEDULED


def test_a_refusal_of_stripe_leaves_nothing_behind(world: World) -> None:
    subscription = world.subscribe()
    fault = {"status": 400, "method": "POST", "path": "/v1/subscription_schedules", "message": "No, because."}
    world.simulator.admin("POST", "faults", {"fail": [fault]})
    result = world.pause(subscription, world.day(60))
    assert (result.outcome, result.refusals[0].code) == (Outcome.REFUSED, "cannot_pause")
    record = world.record(subscription)
    assert (record.state, record.failure_detail, record.retry_at) == (PauseState.FAILED, "No, because.", None)
    assert world.read(subscription)["schedule"] is None
    assert world.pause(subscription, world.day(60)).outcome is Outcome.DONE


def test_a_return_without_a_card_keeps_access_off_until_there_is_one(world: World) -> None:
    subscription = world.subscribe()
    back = world.day(60)
    world.pause(subscription, back)
    world.pass_time(world.period_end(subscription) + DAY)
    for each in world.stripe.v1.customers.payment_methods.list(world.customer).data:
        world.stripe.v1.payment_methods.detach(each.id)
    world.pass_time(midnight(back) + DAY)
    record = world.record(subscription)
    assert (record.state, record.waiting) == (PauseState.RESUMING, "payment_method")
    assert (world.read(subscription)["status"], world.actions(subscription)[-1]) == ("paused", "failed")
    assert world.resume(subscription).outcome is Outcome.UNDERWAY
    method = world.stripe.v1.payment_methods.attach("pm_card_visa", {"customer": world.customer}).id
    world.stripe.v1.customers.update(world.customer, {"invoice_settings": {"default_payment_method": method}})
    assert world.resume(subscription).outcome is Outcome.DONE
    assert (world.read(subscription)["status"], len(world.charges(subscription))) == ("active", 2)


def test_a_declined_return_waits_for_its_payment_and_says_where_to_pay(world: World) -> None:
    subscription = world.subscribe()
    world.pause(subscription, world.day(60))
    world.pass_time(world.period_end(subscription) + DAY)
    method = world.stripe.v1.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": world.customer}).id
    world.stripe.v1.customers.update(world.customer, {"invoice_settings": {"default_payment_method": method}})
    result = world.resume(subscription)
    assert (result.outcome, result.record and result.record.waiting) == (Outcome.UNDERWAY, "payment")
    assert result.payment_page
    assert world.read(subscription)["status"] == "paused"
    method = world.stripe.v1.payment_methods.attach("pm_card_visa", {"customer": world.customer}).id
    world.stripe.v1.invoices.pay(str(world.read(subscription)["latest_invoice"]), {"payment_method": method})
    world.pass_time(world.now + DAY)
    assert (world.record(subscription).outcome, world.read(subscription)["status"]) == ("resumed", "active")
    assert len(world.charges(subscription)) == 2


def test_a_customer_can_always_cancel(world: World) -> None:
    for days in (0, 40):
        subscription = world.subscribe()
        world.pause(subscription, world.day(90))
        world.pass_time(world.now + days * DAY)
        assert world.release(subscription).outcome is Outcome.DONE
        assert world.read(subscription)["schedule"] is None
        world.stripe.v1.subscriptions.update(subscription, {"cancel_at_period_end": True})
    assert world.record(subscription).outcome == "released"
    assert world.read(subscription)["status"] in {"paused", "canceled"}
    assert len(world.charges(subscription)) == 1


def test_what_was_released_can_be_resumed(world: World) -> None:
    subscription = world.subscribe()
    world.pause(subscription, world.day(90))
    world.pass_time(world.now + 40 * DAY)
    world.release(subscription)
    assert world.resume(subscription).outcome is Outcome.DONE
    assert (world.read(subscription)["status"], world.record(subscription).outcome) == ("active", "resumed")


def test_a_pause_that_ends_elsewhere_is_seen(world: World) -> None:
    subscription = world.subscribe()
    world.pause(subscription, world.day(90))
    world.stripe.v1.subscription_schedules.release(str(world.read(subscription)["schedule"]))
    world.pass_time(world.now + 2 * DAY)
    assert (world.record(subscription).state, world.actions(subscription)[-1]) == (PauseState.ENDED, "ended_elsewhere")
    assert world.history(subscription)[-1].actor == "stripe"


def test_a_pause_that_the_company_has_planned_is_not_doubled(world: World) -> None:
    subscription = world.subscribe()
    entry: Any = {"pause": {"pause_at": {"type": "timestamp", "timestamp": world.now + DAY}}}
    world.stripe.v1.subscription_schedules.create({"from_subscription": subscription, "pause_schedules": [entry]})
    assert [each.code for each in world.pause(subscription, world.day(60)).refusals] == ["paused_elsewhere"]
    assert world.read(subscription)["pause_collection"] is None


def test_a_subscription_that_is_canceled_ends_its_pause(world: World) -> None:
    subscription = world.subscribe()
    world.pause(subscription, world.day(90))
    world.stripe.v1.subscriptions.cancel(subscription)
    world.pass_time(world.now + 2 * DAY)
    assert world.actions(subscription) == ["set", "canceled"]


def test_a_subscription_that_stripe_does_not_know_any_more_is_looked_at_once_a_day(world: World) -> None:
    """It may be deleted with its test clock, or the key be another account's: then no pause may be given up."""
    subscription = world.subscribe()
    record = replace(
        world.pause(subscription, world.day(60)).record or world.record(subscription), subscription_id="sub_gone"
    )
    world.table.write(replace(record, retry_at=world.now), None)
    (lost,) = world.tick("sub_gone")
    assert lost
    assert (lost.state, lost.failure, lost.retry_at) == (PauseState.SCHEDULED, "subscription_missing", world.now + DAY)


def test_a_subscription_that_stripe_knows_again_is_not_reported_any_more(world: World) -> None:
    """The key was another account's for a while: once the right one is back, nobody is alarmed any more."""
    subscription = world.subscribe()
    world.pause(subscription, world.day(60))
    missing = {"status": 404, "method": "GET", "path": "/v1/subscriptions", "times": 9}
    for faults, failure in (({"fail": [missing]}, "subscription_missing"), ({}, None)):
        world.simulator.admin("POST", "faults", faults)
        world.go_to(world.now + DAY)
        (found,) = world.tick(subscription)
        assert found
        assert (found.state, found.failure) == (PauseState.SCHEDULED, failure)


def test_somebody_elses_subscription_is_like_one_that_does_not_exist(world: World) -> None:
    subscription, other = world.subscribe(), world.stripe.v1.customers.create({"email": "eve@example.com"}).id
    world.pause(subscription, world.day(60))
    said = set()
    for target in (subscription, "sub_missing"):
        for act in (world.pausing.resume, world.pausing.undo, world.pausing.release):
            with pytest.raises(Forbidden) as caught:
                act(target, customer=other, actor=TEAM)
            said.add((caught.value.code, caught.value.message))
        with pytest.raises(Forbidden) as caught:
            world.pause(target, world.day(60), customer=other)
        said.add((caught.value.code, caught.value.message))
    assert len(said) == 1
    assert world.record(subscription).state is PauseState.SCHEDULED


def test_nothing_is_changed_while_stripe_or_the_table_does_not_answer(world: World) -> None:
    subscription = world.subscribe()
    world.simulator.admin("POST", "faults", {"fail": [{"status": 500, "times": 3}]})
    with pytest.raises(Unavailable):
        world.pause(subscription, world.day(60))
    world.simulator.admin("POST", "faults", {})
    assert world.table.get(subscription) is None


def test_now_credits_or_forfeits_what_is_not_used(world: World) -> None:
    for rule, is_credited in (("credit", True), ("forfeit", False)):
        subscription = world.subscribe()
        policy = OPEN.with_changes({"pause_now": rule})
        result = world.pause(subscription, world.day(40), Begin.NOW, policy=policy)
        assert (result.outcome, result.record and result.record.unused_time) == (Outcome.DONE, rule)
        assert world.read(subscription)["status"] == "paused"
        world.resume(subscription)
        newest = world.stripe.v1.invoices.list({"subscription": subscription}).data[0]
        assert (newest.amount_due < 1200) is is_credited


def test_the_rules_of_the_company_count_what_has_begun(world: World) -> None:
    subscription = world.subscribe()
    policy = OPEN.with_changes({"pause_max_in_365_days": 1, "pause_min_days_between": 30})
    world.pause(subscription, world.day(60))
    world.undo(subscription)
    assert world.pause(subscription, world.day(60), policy=policy).outcome is Outcome.DONE
    begins = world.record(subscription).begins
    world.pass_time(world.now + 62 * DAY)
    refused = world.pause(subscription, world.day(60), policy=policy)
    assert [each.code for each in refused.refusals] == ["too_many_pauses"]
    assert refused.refusals[0].allowed_from == begins + 365 * DAY + 1
    assert world.pause(subscription, world.day(60), policy=policy, override=True, actor=TEAM).outcome is Outcome.DONE
    assert world.history(subscription)[-1].overridden


def test_who_cancels_and_subscribes_again_has_not_more_pauses(world: World) -> None:
    subscription = world.subscribe()
    policy = OPEN.with_changes({"pause_max_in_365_days": 1, "pause_min_days_between": 60})
    world.pause(subscription, world.day(60), policy=policy)
    begins = world.record(subscription).begins
    world.pass_time(begins + DAY)
    world.stripe.v1.subscriptions.cancel(subscription)
    world.pass_time(begins + 3 * DAY)
    assert world.record(subscription).outcome == "canceled"
    ended, again = world.history(subscription)[-1].at, world.subscribe()
    refused = world.pause(again, world.day(60), policy=policy)
    assert {each.code: each.allowed_from for each in refused.refusals} == {
        "pause_too_soon": ended + 60 * DAY,
        "too_many_pauses": begins + 365 * DAY + 1,
    }
    assert world.pause(again, world.day(60), policy=policy, override=True, actor=TEAM).outcome is Outcome.DONE


@pytest.mark.parametrize("first_asked", [0, 1])
def test_who_pauses_two_subscriptions_in_turn_has_not_more_pauses(world: World, first_asked: int) -> None:
    """Neither has begun when the other one is asked for, and either may be the first to begin."""
    early = world.subscribe()
    world.go_to(world.now + 20 * DAY)
    pair, days = (early, world.subscribe()), (world.day(16), world.day(36))
    policy = OPEN.with_changes({"pause_max_in_365_days": 1, "pause_min_days_between": 30})
    asked, other = first_asked, 1 - first_asked
    assert world.pause(pair[asked], days[asked], policy=policy).outcome is Outcome.DONE
    record = world.record(pair[asked])
    refused = world.pause(pair[other], days[other], policy=policy)
    assert {each.code: each.allowed_from for each in refused.refusals} == {
        "pause_too_soon": record.resumes + 30 * DAY,
        "too_many_pauses": record.begins + 365 * DAY + 1,
    }
    # Undone before it begins, it is none.
    assert world.undo(pair[asked]).outcome is Outcome.DONE
    assert world.pause(pair[other], days[other], policy=policy).outcome is Outcome.DONE


def test_two_subscriptions_that_are_paused_for_the_same_dates_are_one_pause(world: World) -> None:
    policy = OPEN.with_changes({"pause_max_in_365_days": 1, "pause_min_days_between": 30})
    early = world.subscribe()
    world.go_to(world.now + 3 * DAY)
    pair = (early, world.subscribe())
    for subscription in pair:
        assert world.pause(subscription, world.day(40), policy=policy).outcome is Outcome.DONE
    first = world.record(pair[0]).begins
    world.pass_time(world.now + 41 * DAY)
    for subscription in pair:
        refused = world.pause(subscription, world.day(60), policy=policy)
        assert [each.code for each in refused.refusals] == ["too_many_pauses"]
        assert refused.refusals[0].allowed_from == first + 365 * DAY + 1


def test_an_index_that_is_behind_neither_refuses_nor_allows_another_pause(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = OPEN.with_changes({"pause_max_in_365_days": 1})
    subscription = world.subscribe()
    world.pause(subscription, world.day(60), policy=policy)
    stale = world.history(subscription)
    world.undo(subscription)
    monkeypatch.setattr(world.table, "entries_of_customer", lambda _customer, *, since: stale if since else [])
    assert world.pause(subscription, world.day(60), policy=policy).outcome is Outcome.DONE
    world.pass_time(world.record(subscription).begins + DAY)
    stale = world.history(subscription)
    world.resume(subscription)
    assert world.actions(subscription)[-1] == "resumed"
    assert len(stale) < len(world.history(subscription))
    refused = world.pause(subscription, world.day(90), policy=policy)
    assert [each.code for each in refused.refusals] == ["too_many_pauses"]


def test_another_customers_pauses_are_not_counted(world: World) -> None:
    policy = OPEN.with_changes({"pause_max_in_365_days": 1})
    assert world.pause(world.subscribe(), world.day(60), policy=policy).outcome is Outcome.DONE
    world.customer = world.stripe.v1.customers.create({"payment_method": "pm_card_visa"}).id
    world.go_to(world.now + 10 * DAY)
    theirs = world.subscribe()
    assert world.pause(theirs, world.day(60), policy=policy).outcome is Outcome.DONE


def test_the_list_of_subscriptions_reads_the_customers_pauses_once(world: World) -> None:
    for _ in range(3):
        world.subscribe()
    operations: list[str] = []
    client: Any = world.table._client
    client.meta.events.register("before-call.dynamodb", lambda model, **_: operations.append(model.name))
    assert len(world.pausing.views(world.customer, OPEN).views) == 3
    assert sorted(operations) == ["GetItem"] * 3 + ["Query"]


def test_the_return_is_at_the_beginning_of_the_day_where_the_shop_is(world: World) -> None:
    subscription, world.timezone = world.subscribe(), ZoneInfo("Europe/Paris")
    record = world.pause(subscription, date(2027, 3, 28)).record
    assert record
    # The clocks change on that day: its beginning is still winter.
    assert record.resumes == int(datetime(2027, 3, 27, 23, tzinfo=UTC).timestamp())


def test_a_cancellation_that_comes_before_the_request_to_stripe_wins(world: World) -> None:
    subscription = world.subscribe()
    world.crash_at = 2
    with pytest.raises(Crashed):
        world.pause(subscription, world.day(60))
    world.stripe.v1.subscriptions.update(subscription, {"cancel_at_period_end": True})
    world.go_to(world.now + 300)
    world.tick()
    assert (world.record(subscription).failure, world.read(subscription)["schedule"]) == ("canceling", None)
    assert [each.code for each in world.pause(subscription, world.day(60)).refusals] == ["canceling"]


@pytest.mark.parametrize("mode", ["flexible", "classic"])
def test_a_webhook_that_arrives_before_the_answer_leaves_mirror_and_access_right(
    world: World, subscriptions: Subscriptions, mode: str
) -> None:
    watcher, subscription = Watcher(world, subscriptions.table()), world.subscribe(mode=mode)
    end = world.period_end(subscription)
    world.go_to(world.now + DAY)
    watcher.catch_up()
    world.crash_at = 3
    with pytest.raises(Crashed):
        world.pause(subscription, world.day(60))
    # Stripe has it, its events have arrived, and we have no answer.
    assert watcher.access(subscription).granted
    world.go_to(world.now + 300)
    world.tick()
    world.go_to(end - 600)
    assert watcher.access(subscription).granted
    world.go_to(end + 1)
    # Nobody has looked at the pause yet: access follows from Stripe's state alone.
    assert world.record(subscription).state is PauseState.SCHEDULED
    assert not watcher.access(subscription).granted
    world.tick()
    assert world.record(subscription).state is PauseState.PAUSED


REQUESTS: dict[str, Callable[[World, str], object]] = {
    "pause": lambda world, subscription: world.pause(subscription, world.day(60)),
    "the same request again": lambda world, subscription: world.pause(subscription, world.day(60)),
    "another date": lambda world, subscription: world.pause(subscription, world.day(100)),
    "one daily look at a pause that waits": lambda world, _: world.tick(),
    "undo": lambda world, subscription: world.undo(subscription),
}
COSTS = re.findall(
    r"^\| (.+?) \| (\d+) \| (\d+) \|$",
    (Path(__file__).parents[2] / "docs" / "reference" / "pause.md").read_text(),
    re.MULTILINE,
)


def test_each_operation_costs_the_requests_that_the_docs_say(world: World) -> None:
    asked: list[str] = []
    world.table._client.meta.events.register("before-call.dynamodb", lambda **_: asked.append(""))
    counted = []
    for mode, kind in (("flexible", "subscription"), ("classic", "collection")):
        subscription = world.subscribe(mode=mode)
        for name, act in REQUESTS.items():
            if "daily" in name:
                world.go_to(world.now + DAY)
            world.requests.clear()
            asked.clear()
            act(world, subscription)
            counted.append((f"{name} (`{kind}`)", str(len(world.requests)), str(len(asked))))
        world.go_to(world.now + 300)
    assert counted == COSTS
