"""What a real pause in place of a pause of collection would be: nobody loses paid time, and nobody is charged."""

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from shared.pausing.conversion import (
    SAFE_GAP,
    ConversionPlan,
    ConversionRequest,
    PlannedConversion,
    is_safe_to_unset,
    plan_conversion,
)
from shared.pausing.plan import Begin
from shared.pausing.policy import PausePolicy
from shared.stripe.subscription import PauseCollection, Subscription
from tests.pause_records import ACTIVE, DAY, END, NOW

BEGINS = END - 300
UNTIL = PauseCollection("void", END + 40 * DAY)
OPEN_ENDED = PauseCollection("keep_as_draft")
HELD = replace(ACTIVE, pause_collection=UNTIL)
RULES = PausePolicy(max_pause_days=100)


def plan(
    subscription: Subscription = HELD, *, now: float = NOW, timezone: Any = UTC, seen: Any = None, **request: Any
) -> PlannedConversion:
    shown = seen or subscription.pause_collection
    assert shown
    return plan_conversion(subscription, ConversionRequest(shown, **request), policy=RULES, timezone=timezone, now=now)


def codes(planned: PlannedConversion) -> list[str]:
    assert planned.plan is None
    return [each.code for each in planned.refusals]


@pytest.mark.parametrize(
    ("changes", "now", "begin"),
    [
        ({}, NOW, Begin.PERIOD_END),
        ({"paid_through": END}, NOW, Begin.PERIOD_END),
        ({"paid_through": NOW + 1}, NOW, Begin.PERIOD_END),
        ({"paid_through": NOW}, NOW, Begin.NOW),
        ({"paid_through": 0}, NOW, Begin.NOW),
        ({"at_once": True, "paid_through": END}, NOW, Begin.NOW),
        ({}, END, Begin.NOW),
    ],
)
def test_time_that_was_paid_or_may_have_been_is_served(changes: Any, now: int, begin: Begin) -> None:
    begins = now if begin is Begin.NOW else BEGINS
    assert plan(now=now, **changes).plan == ConversionPlan(begin, begins, UNTIL.resumes_at)


def test_without_a_date_of_return_it_waits_until_the_paid_time_has_ended() -> None:
    held = replace(HELD, pause_collection=OPEN_ENDED)
    (refusal,) = plan(held).refusals
    assert (refusal.code, refusal.allowed_from) == ("paid_time_left", END + 900)
    assert plan(held, paid_through=0).plan == ConversionPlan(Begin.NOW, NOW, None)
    assert plan(held, at_once=True).plan == ConversionPlan(Begin.NOW, NOW, None)


@pytest.mark.parametrize(("seconds", "is_refused"), [(900, False), (899, True), (-1, True)])
def test_right_before_a_renewal_it_has_to_wait_for_it(seconds: int, is_refused: bool) -> None:  # noqa: FBT001
    planned = plan(now=BEGINS - seconds)
    assert [(each.code, each.allowed_from) for each in planned.refusals] == (
        [("renewal_too_close", END + 900)] if is_refused else []
    )


@pytest.mark.parametrize(("seconds", "is_refused"), [(900, False), (899, True), (-1, True)])
def test_it_never_returns_before_it_has_begun(seconds: int, is_refused: bool) -> None:  # noqa: FBT001
    for paid_through, begins in ((None, BEGINS), (0, NOW)):
        held = replace(HELD, pause_collection=PauseCollection("void", begins + seconds))
        found = [each.code for each in plan(held, paid_through=paid_through).refusals]
        expected = ["resume_too_early"] if is_refused else []
        # One that is over already is no pause to be replaced.
        assert found == (["not_paused", *expected] if begins + seconds <= NOW else expected)


def test_another_pause_than_the_one_that_was_shown_is_left_alone() -> None:
    for seen in (OPEN_ENDED, replace(UNTIL, behavior="keep_as_draft"), replace(UNTIL, resumes_at=END)):
        assert codes(plan(seen=seen)) == ["changed_meanwhile"]
    assert codes(plan(replace(HELD, pause_collection=None), seen=UNTIL)) == ["changed_meanwhile"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"cancel_at": END}, "canceling"),
        ({"cancel_at_period_end": True}, "canceling"),
        ({"collection_method": "send_invoice"}, "send_invoice"),
        ({"billing_mode": "classic"}, "classic_billing_mode"),
        ({"schedule_id": "sched_1"}, "schedule"),
        ({"pause_collection": PauseCollection("void", NOW)}, "not_paused"),
    ],
)
def test_a_state_that_allows_no_pause_is_refused(changes: Any, code: str) -> None:
    refusal = next(each for each in plan(replace(HELD, **changes)).refusals if each.code == code)
    assert refusal.why.say("en")
    # Only what is over cannot be helped.
    assert (refusal.lifted_by is not None) is (code != "not_paused")


def test_where_both_are_set_only_the_pause_of_collection_is_unset() -> None:
    both = replace(HELD, status="paused", paused_reason="pause_requested")
    assert plan(both).plan == ConversionPlan(Begin.NOW, NOW, None, is_paused_already=True)
    # Paused for another reason, such as a trial without a payment method, it is no pause that anybody has asked for.
    assert "status" in codes(plan(replace(both, paused_reason="trial_end_without_payment_method")))
    assert "status" in codes(plan(both, until=date(2027, 4, 1)))
    # It is paused still when the end of the other pause is past.
    past = replace(both, pause_collection=PauseCollection("void", NOW - 1))
    assert codes(plan(past, until=date(2027, 4, 1))) == ["status"]


def test_another_day_of_return_begins_where_the_shop_is_and_keeps_to_the_longest_pause() -> None:
    day, paris = date(2027, 3, 28), ZoneInfo("Europe/Paris")
    found = plan(until=day, timezone=paris).plan
    assert found
    assert found.resumes == int(datetime(2027, 3, 27, 23, tzinfo=UTC).timestamp())
    assert plan(until=date(2027, 6, 9)).plan
    assert codes(plan(until=date(2027, 6, 10))) == ["pause_too_long"]
    # An end that the company has set before is its own decision.
    assert plan(replace(HELD, pause_collection=PauseCollection("void", END + 400 * DAY))).plan


def test_collection_is_unset_only_hours_before_a_renewal() -> None:
    gap = SAFE_GAP.total_seconds()
    assert gap >= 6 * 3600
    assert is_safe_to_unset(HELD, END - gap)
    assert not is_safe_to_unset(HELD, END - gap + 1)
    # Of items with several periods the first renewal counts, and of an unknown one nothing is known.
    later = replace(HELD.items[0], id="si_2", current_period_end=END + 9 * DAY)
    assert not is_safe_to_unset(replace(HELD, items=(later, *HELD.items)), END - 60)
    assert not is_safe_to_unset(replace(HELD, items=(), current_period_end=None), NOW)
