"""What a pause would be, and every reason why there is none."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from shared.pausing.plan import (
    Begin,
    PausePlan,
    PauseRequest,
    PlanFacts,
    Planned,
    last_return,
    longer_return,
    next_renewal,
    plan_new_return,
    plan_pause,
)
from shared.pausing.policy import PausePolicy, PauseTime
from shared.stripe.periods import renewals
from shared.stripe.subscription import PauseCollection, Subscription
from tests.pause_records import ACTIVE, DAY, END, ITEM, NOW

OPEN = PausePolicy(pause_allowed="everybody", pause_reasons=("holiday",), pause_now="credit", max_pause_days=100)


def plan(  # noqa: PLR0913 - what differs
    subscription: Subscription = ACTIVE,
    on: date = date(2027, 4, 10),
    begin: Begin = Begin.PERIOD_END,
    *,
    now: float = NOW,
    policy: PausePolicy = OPEN,
    others: Sequence[PauseTime] = (),
    timezone: Any = UTC,
    anchor: int | None = END,
    **request: Any,
) -> Planned:
    facts = PlanFacts(subscription, anchor, others, policy, timezone, now)
    return plan_pause(facts, PauseRequest(on, begin, **request))


def codes(planned: Planned) -> list[str]:
    assert planned.plan is None
    return [each.code for each in planned.refusals]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"status": "canceled"}, "subscription_over"),
        ({"status": "incomplete_expired"}, "subscription_over"),
        ({"status": "incomplete"}, "subscription_over"),
        ({"status": "past_due"}, "payment_overdue"),
        ({"status": "unpaid"}, "payment_overdue"),
        ({"status": "paused"}, "paused_elsewhere"),
        ({"pause_collection": PauseCollection("void")}, "paused_elsewhere"),
        ({"pause_collection": PauseCollection("keep_as_draft", END + DAY)}, "paused_elsewhere"),
        ({"cancel_at_period_end": True}, "canceling"),
        ({"cancel_at": END}, "canceling"),
        ({"current_period_end": None}, "period_unknown"),
    ],
)
@pytest.mark.parametrize("mode", ["flexible", "classic"])
def test_a_state_that_cannot_be_paused_is_refused_in_either_kind(changes: Any, code: str, mode: str) -> None:
    assert codes(plan(replace(ACTIVE, billing_mode=mode, **changes))) == [code]
    # Nor can the team override what Stripe or the money says.
    assert codes(plan(replace(ACTIVE, billing_mode=mode, **changes), override=True)) == [code]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"billing_mode": "classic"}, "classic_billing_mode"),
        ({"collection_method": "send_invoice"}, "send_invoice"),
        ({"status": "trialing", "trial_end": END}, "trial"),
        ({"schedule_id": "sub_sched_1"}, "schedule"),
    ],
)
def test_where_stripe_cannot_pause_collection_is_paused_to_a_renewal(changes: Any, why: str) -> None:
    found = plan(replace(ACTIVE, **changes)).plan
    assert found
    may = int(datetime(2027, 5, 1, 10, tzinfo=UTC).timestamp())
    assert (found.kind, found.begins, found.next_charge, found.is_moved) == ("collection", END, may, True)
    assert [reason.code for reason in found.why_not_real] == [why]
    assert found.resumes == may - 300
    assert codes(plan(replace(ACTIVE, **changes), begin=Begin.NOW)) == ["not_at_once"]


def test_a_renewal_in_the_very_second_of_the_return_is_the_one_that_is_charged() -> None:
    """The one after it would be a period without service that nobody has asked for."""
    midnight = int(datetime(2027, 3, 1, tzinfo=UTC).timestamp())
    items = (replace(ITEM, current_period_end=midnight),)
    classic = replace(ACTIVE, billing_mode="classic", items=items, current_period_end=midnight)
    found = plan(classic, date(2027, 4, 1), now=midnight - 10 * DAY, anchor=midnight).plan
    assert found
    april = int(datetime(2027, 4, 1, tzinfo=UTC).timestamp())
    assert (found.next_charge, found.resumes, found.is_moved) == (april, april - 300, False)


def test_a_pause_of_collection_does_not_start_again_at_the_renewal_that_is_being_billed() -> None:
    assert next_renewal(ACTIVE, END, after=END - 600) == END
    assert next_renewal(ACTIVE, END, after=END - 599) == END + 31 * DAY
    later = replace(ITEM, id="si_2", current_period_end=END + 9 * DAY)
    assert next_renewal(replace(ACTIVE, items=(ITEM, later)), END, after=NOW) == END + 9 * DAY


def test_after_a_short_month_collection_starts_again_on_the_day_of_the_anchor() -> None:
    """A renewal that is taken for days earlier than it is would be served and never charged."""
    end, anchor, march = (
        int(datetime(*day, 10, tzinfo=UTC).timestamp()) for day in ((2027, 2, 28), (2026, 12, 31), (2027, 3, 31))
    )
    items = (replace(ITEM, current_period_end=end),)
    renewing = replace(ACTIVE, billing_mode="classic", items=items, current_period_end=end)
    found = plan(renewing, date(2027, 3, 20), now=end - 10 * DAY, anchor=anchor).plan
    assert found
    assert (found.begins, found.next_charge) == (end, march)


def test_where_no_renewal_is_known_collection_is_not_paused() -> None:
    for items in ((), (replace(ITEM, interval=None),)):
        unknown = replace(ACTIVE, billing_mode="classic", items=items)
        assert codes(plan(unknown)) == ["several_rhythms"]
        assert next_renewal(unknown, END, after=NOW) is None


@pytest.mark.parametrize(
    ("rule", "begin", "unused"),
    [
        ("credit", Begin.NOW, "credit"),
        ("forfeit", Begin.NOW, "forfeit"),
        ("forfeit", Begin.PERIOD_END, "none"),
        ("never", Begin.PERIOD_END, "none"),
    ],
)
def test_what_becomes_of_the_paid_time_is_as_the_rules_say(rule: str, begin: Begin, unused: str) -> None:
    found = plan(begin=begin, policy=OPEN.with_changes({"pause_now": rule})).plan
    assert found
    assert found.unused_time == unused


def new_return(on: date, *, now: float, policy: PausePolicy = OPEN, **request: Any) -> Planned:
    """Plan another date of return for the pause that begins at END."""
    current = plan().plan
    assert current
    others = [PauseTime("sub_2", END - 60 * DAY, END - 5 * DAY)]
    facts = PlanFacts(replace(ACTIVE, status="paused"), END, others, policy, UTC, now)
    return plan_new_return(facts, PauseRequest(on, **request), current)


def test_a_new_return_keeps_to_the_longest_pause_and_to_nothing_that_the_pause_itself_has_passed() -> None:
    during = END + 20 * DAY
    strict = OPEN.with_changes({"pause_min_days_between": 30, "pause_max_in_365_days": 1})
    moved = new_return(date(2027, 6, 9), now=during, policy=strict).plan
    assert moved
    assert (moved.begins, moved.resumes) == (END - 300, int(datetime(2027, 6, 9, tzinfo=UTC).timestamp()))
    assert codes(new_return(date(2027, 6, 12), now=during)) == ["pause_too_long"]
    assert new_return(date(2027, 6, 12), now=during, override=True).plan
    assert codes(new_return(date(2027, 6, 1), now=during, policy=PausePolicy())) == ["pauses_not_offered"]
    assert codes(new_return(date(9999, 12, 31), now=during, override=True)) == ["pause_too_long"]


def test_a_new_return_of_a_pause_of_collection_is_at_a_renewal_again() -> None:
    classic = replace(ACTIVE, billing_mode="classic")
    current = plan(classic).plan
    assert current
    facts = PlanFacts(
        replace(classic, pause_collection=PauseCollection("void", current.resumes)), END, (), OPEN, UTC, NOW
    )
    moved = plan_new_return(facts, PauseRequest(date(2027, 5, 2)), current).plan
    june = int(datetime(2027, 6, 1, 10, tzinfo=UTC).timestamp())
    assert moved
    assert (moved.kind, moved.begins, moved.next_charge, moved.resumes) == ("collection", END, june, june - 300)
    assert moved.why_not_real == current.why_not_real


PAGO_PAGO, KIRITIMATI = ZoneInfo("Pacific/Pago_Pago"), ZoneInfo("Pacific/Kiritimati")


def test_not_even_the_team_pauses_for_more_than_ten_years() -> None:
    """The days are those of the shop: it is 28 February there when the pause begins."""
    last = (datetime.fromtimestamp(BEGINS, PAGO_PAGO) + timedelta(days=3650)).date()
    assert last == date(2037, 2, 25)
    assert plan(on=last, timezone=PAGO_PAGO, override=True).plan
    assert codes(plan(on=last + timedelta(days=1), timezone=PAGO_PAGO, override=True)) == ["pause_too_long"]


def test_the_days_that_are_offered_and_said_are_those_of_the_shop() -> None:
    returns = int(datetime(2027, 4, 10, tzinfo=KIRITIMATI).timestamp())
    assert longer_return(BEGINS, returns, OPEN, KIRITIMATI) == date(2027, 5, 10)
    late = int(datetime(2027, 6, 1, tzinfo=PAGO_PAGO).timestamp())
    assert longer_return(BEGINS, late, OPEN, PAGO_PAGO) == date(2027, 6, 8)
    (refusal,) = plan(on=date(2027, 3, 1), timezone=KIRITIMATI).refusals
    assert "2 March 2027" in refusal.why.say("en")


def test_a_renewal_minutes_before_the_day_of_return_is_not_that_of_the_return() -> None:
    """It would be charged on the day before the one that was asked for."""
    midnight = int(datetime(2027, 3, 8, tzinfo=UTC).timestamp())
    for early, weeks in ((0, 0), (1, 1), (300, 1), (600, 1), (900, 1)):
        end = midnight - 7 * DAY - early
        items = (replace(ITEM, interval="week", current_period_end=end),)
        weekly = replace(ACTIVE, billing_mode="classic", items=items, current_period_end=end)
        found = plan(weekly, date(2027, 3, 8), now=end - DAY, anchor=end).plan
        assert found
        assert (found.begin, found.asked_resume) == (Begin.PERIOD_END, date(2027, 3, 8))
        assert found.next_charge == midnight - early + weeks * 7 * DAY


def test_whether_a_return_is_soon_or_moved_is_told_by_the_day_of_the_shop() -> None:
    # Its 1 March begins an hour after the pause, and its 2 April with the renewal.
    assert plan(on=date(2027, 3, 1), timezone=PAGO_PAGO).plan
    classic = plan(replace(ACTIVE, billing_mode="classic"), date(2027, 4, 2), timezone=KIRITIMATI).plan
    assert classic
    assert (classic.next_charge, classic.is_moved) == (END + 31 * DAY, False)


def test_reasons_are_a_setting_of_words_with_commas_or_spaces_between() -> None:
    for words in ("holiday,too_expensive", "holiday too_expensive", " holiday, too_expensive,"):
        assert PausePolicy(pause_reasons=words).pause_reasons == ("holiday", "too_expensive")


def test_a_new_return_is_never_in_the_past_nor_within_minutes() -> None:
    midnight = int(datetime(2027, 3, 21, tzinfo=UTC).timestamp())
    for now, expected in (
        (midnight - 900, []),
        (midnight - 899, ["resume_too_early"]),
        (midnight + 9 * DAY, ["resume_too_early"]),
    ):
        for override in (False, True):
            found = new_return(date(2027, 3, 21), now=now, override=override)
            assert [each.code for each in found.refusals] == expected


def test_the_latest_day_of_return_is_one_that_the_rules_allow_and_the_next_one_is_not() -> None:
    current = plan().plan
    assert isinstance(current, PausePlan)
    day = last_return(current.begins, OPEN, UTC)
    assert plan(on=day).plan
    assert codes(plan(on=day + timedelta(days=1))) == ["pause_too_long"]
    assert longer_return(current.begins, current.resumes, OPEN, UTC) == date(2027, 5, 10)
    thirty_first = int(datetime(2027, 5, 31, tzinfo=UTC).timestamp())
    assert longer_return(current.begins, thirty_first, OPEN, UTC) == day
    assert longer_return(current.begins, int(datetime(2027, 3, 31, tzinfo=UTC).timestamp()), OPEN, UTC) == date(
        2027, 4, 30
    )
    at_last = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
    assert longer_return(current.begins, at_last, OPEN, UTC) is None
    assert longer_return(current.begins, current.resumes, OPEN.with_changes({"pause_allowed": "nobody"}), UTC) is None


def test_a_pause_that_ended_by_its_date_is_none_any_more() -> None:
    over = replace(ACTIVE, pause_collection=PauseCollection("void", NOW - 1))
    found = plan(over).plan
    assert found


@pytest.mark.parametrize("on", [date(1970, 1, 1), date(2027, 2, 1), date(2027, 3, 1)])
def test_a_return_before_the_pause_begins_is_refused(on: date) -> None:
    assert codes(plan(on=on)) == ["resume_too_early"]


def test_a_return_beyond_the_rule_is_refused_and_the_team_may_allow_it() -> None:
    assert codes(plan(on=date(2027, 6, 12))) == ["pause_too_long"]
    assert plan(on=date(2027, 6, 9)).plan
    assert plan(on=date(2027, 6, 12), override=True).plan
    assert codes(plan(on=date(9999, 12, 31), policy=OPEN.with_changes({"max_pause_days": 0}))) == ["pause_too_long"]


def test_the_moved_return_counts_against_the_longest_pause() -> None:
    yearly = replace(ITEM, interval="year")
    classic = replace(ACTIVE, billing_mode="classic", items=(yearly,))
    assert codes(plan(classic)) == ["pause_too_long"]


@pytest.mark.parametrize(("minutes", "is_refused"), [(21, False), (19, True), (-1, True)])
def test_close_to_a_renewal_a_pause_has_to_wait_for_it(minutes: int, is_refused: bool) -> None:  # noqa: FBT001
    planned = plan(now=END - minutes * 60)
    assert (planned.plan is None) is is_refused
    if is_refused:
        (refusal,) = planned.refusals
        assert (refusal.code, refusal.allowed_from) == ("renewal_too_close", END + 900)


def test_rules_name_the_day_from_which_a_pause_is_allowed() -> None:
    policy = OPEN.with_changes({"pause_min_days_between": 30, "pause_max_in_365_days": 2})
    spans = ((NOW - 300 * DAY, NOW - 290 * DAY), (NOW - 60 * DAY, NOW - 5 * DAY))
    others = [PauseTime("sub_old", *span) for span in spans]
    refusals = {each.code: each.allowed_from for each in plan(policy=policy, others=others).refusals}
    assert refusals == {"pause_too_soon": NOW + 25 * DAY, "too_many_pauses": NOW + 65 * DAY + 1}
    assert codes(plan(reason="boredom")) == ["unknown_reason"]
    assert codes(plan(policy=PausePolicy())) == ["pauses_not_offered"]
    assert codes(plan(begin=Begin.NOW, policy=OPEN.with_changes({"pause_now": "never"}))) == ["not_at_once"]


def test_a_pause_that_runs_at_the_same_time_is_refused_by_no_rule_without_limits() -> None:
    assert plan(others=[PauseTime("sub_2", END - 20 * DAY, END + 5 * DAY)]).plan


def test_a_year_that_holds_a_pause_before_and_one_after_is_full_only_if_it_holds_both() -> None:
    policy = OPEN.with_changes({"pause_max_in_365_days": 2})
    before, after = (PauseTime("sub_2", END + days * DAY, END + (days + 9) * DAY) for days in (-200, 100))
    (refusal,) = plan(policy=policy, others=[before, after]).refusals
    assert (refusal.code, refusal.allowed_from) == ("too_many_pauses", before.begins + 365 * DAY + 1)
    later = replace(after, begins=END + 300 * DAY, ends=END + 309 * DAY)
    assert plan(policy=policy, others=[before, later]).plan


def test_a_pause_that_another_one_follows_too_soon_has_to_wait_until_that_is_over() -> None:
    policy = OPEN.with_changes({"pause_min_days_between": 30})
    wanted = plan().plan
    assert wanted
    for gap, codes_expected in ((31, []), (29, ["pause_too_soon"])):
        begins = wanted.resumes + gap * DAY
        refusals = plan(policy=policy, others=[PauseTime("sub_2", begins, begins + 9 * DAY)]).refusals
        assert [each.code for each in refusals] == codes_expected
        assert [each.allowed_from for each in refusals] == [begins + 39 * DAY for _ in codes_expected]


def test_a_long_pause_of_another_subscription_does_not_hide_those_of_this_one() -> None:
    """Each of the two overlaps with it, but two of one subscription never count as one."""
    policy = OPEN.with_changes({"pause_max_in_365_days": 2, "pause_min_days_between": 30})
    long = PauseTime("sub_2", END - 200 * DAY, END - 10 * DAY)
    own = [PauseTime("sub_1", END - days * DAY, END - (days - 20) * DAY) for days in (150, 80)]
    refusals = {each.code: each.allowed_from for each in plan(policy=policy, others=[long, *own]).refusals}
    assert refusals == {"too_many_pauses": long.begins + 365 * DAY + 1, "pause_too_soon": long.ends + 30 * DAY}
    assert codes(plan(policy=policy, others=[long, own[0]])) == ["pause_too_soon"]


def refused(*others: PauseTime, **rules: int) -> dict[str, int | None]:
    """The rules that a pause of sub_1 from BEGINS to RESUMES breaks, each with the moment from which on it does not."""
    planned = plan(policy=OPEN.with_changes(rules), others=others)
    return {each.code: each.allowed_from for each in planned.refusals}


BEGINS, RESUMES = END - 300, int(datetime(2027, 4, 10, tzinfo=UTC).timestamp())
YEAR = 365 * DAY


def test_a_year_is_365_days_from_the_beginning_of_a_pause_and_does_not_hold_its_end() -> None:
    one = {"pause_max_in_365_days": 1}
    for moment, allowed_from in ((BEGINS - YEAR, None), (BEGINS - YEAR + 1, BEGINS + 2), (BEGINS + YEAR, None)):
        expected = {} if allowed_from is None else {"too_many_pauses": allowed_from}
        assert refused(PauseTime("sub_2", moment, moment + DAY), **one) == expected
    # The earlier of the two is in no year with this one.
    others = [PauseTime("sub_2", BEGINS - YEAR + days * DAY, BEGINS - YEAR + (days + 1) * DAY) for days in (0, 5)]
    assert refused(*others, pause_max_in_365_days=2) == {}


def test_the_moment_that_a_refusal_names_is_one_at_which_no_other_year_is_full() -> None:
    others = [PauseTime("sub_2", END - days * DAY, END - (days - 9) * DAY) for days in (200, 100)]
    assert refused(*others, pause_max_in_365_days=1) == {"too_many_pauses": END - 100 * DAY + YEAR + 1}


def test_days_between_are_counted_from_the_end_of_whichever_pause_is_near() -> None:
    rule = {"pause_min_days_between": 30}
    long_ago = PauseTime("sub_2", BEGINS - 300 * DAY, BEGINS - 290 * DAY)
    # A pause begins some minutes before the paid time ends, and a day may have 25 hours: an hour is nothing.
    for late, is_refused in ((3600, False), (3601, True)):
        near = PauseTime("sub_2", BEGINS - 60 * DAY, BEGINS - 30 * DAY + late)
        assert refused(long_ago, near, **rule) == ({"pause_too_soon": near.ends + 30 * DAY} if is_refused else {})
        after = PauseTime("sub_2", RESUMES + 30 * DAY - late, RESUMES + 60 * DAY)
        assert refused(long_ago, after, **rule) == ({"pause_too_soon": after.ends + 30 * DAY} if is_refused else {})


def test_pauses_for_the_same_holiday_are_over_when_the_last_of_them_is() -> None:
    first = PauseTime("sub_2", BEGINS - 60 * DAY, BEGINS - 40 * DAY)
    second = PauseTime("sub_3", BEGINS - 50 * DAY, BEGINS - 20 * DAY)
    assert refused(first, second, pause_min_days_between=30) == {"pause_too_soon": second.ends + 30 * DAY}
    assert refused(first, second, pause_max_in_365_days=2) == {}


@pytest.mark.parametrize(("share", "is_one"), [(0.5, True), (0.49, False), (0.0, False)])
def test_two_subscriptions_share_a_pause_only_if_half_of_the_shorter_one_is_common(share: float, is_one: bool) -> None:  # noqa: FBT001
    length = 20 * DAY
    ends = BEGINS + int(share * length)
    other = PauseTime("sub_2", ends - length, ends)
    assert (refused(other, pause_max_in_365_days=1) == {}) is is_one
    # Those of one subscription are two, whatever their dates.
    assert refused(replace(other, subscription_id="sub_1"), pause_max_in_365_days=1)


def test_the_last_day_is_allowed_where_the_clocks_make_a_day_of_25_hours() -> None:
    paris = ZoneInfo("Europe/Paris")
    end = int(datetime(2027, 9, 1, 0, 5, tzinfo=paris).timestamp())
    renewing = replace(ACTIVE, current_period_end=end, items=(replace(ITEM, current_period_end=end),))
    day = last_return(end - 300, OPEN, paris)
    assert day == date(2027, 12, 10)
    assert plan(renewing, day, now=end - DAY, timezone=paris).plan
    assert codes(plan(renewing, day + timedelta(days=1), now=end - DAY, timezone=paris)) == ["pause_too_long"]


@pytest.mark.parametrize("days", [0, 3650])
def test_no_rule_allows_a_longer_pause_than_stripes_own_portal(days: int) -> None:
    policy = OPEN.with_changes({"max_pause_days": days})
    assert last_return(END, policy, UTC) == date(2030, 2, 28)
    assert codes(plan(on=date(2030, 3, 3), policy=policy)) == ["pause_too_long"]


@pytest.mark.parametrize(
    ("zone", "on", "resumes"),
    [
        ("UTC", date(2027, 3, 28), datetime(2027, 3, 28, tzinfo=UTC)),
        ("Europe/Paris", date(2027, 3, 28), datetime(2027, 3, 27, 23, tzinfo=UTC)),
        ("Europe/Paris", date(2027, 3, 29), datetime(2027, 3, 28, 22, tzinfo=UTC)),
        ("Pacific/Kiritimati", date(2027, 4, 1), datetime(2027, 3, 31, 10, tzinfo=UTC)),
        # No midnight on that day: the clocks go from 0:00 to 1:00.
        ("America/Santiago", date(2027, 9, 5), datetime(2027, 9, 5, 4, tzinfo=UTC)),
    ],
)
def test_a_day_begins_where_the_shop_is(zone: str, on: date, resumes: datetime) -> None:
    found = plan(on=on, timezone=ZoneInfo(zone), override=True).plan
    assert found
    assert found.resumes == int(resumes.timestamp())


def test_usage_that_is_billed_afterwards_is_not_given_away() -> None:
    """The renewal at which a pause of collection begins bills the usage of the time before, and would be void."""
    usage = replace(ITEM, id="si_2", usage_type="metered", quantity=None)
    for items in ((usage,), (ITEM, usage)):
        metered = replace(ACTIVE, items=items)
        found = plan(metered).plan
        assert found
        assert found.kind == "subscription"
        assert codes(plan(replace(metered, billing_mode="classic"))) == ["metered"]


def test_items_of_several_rhythms_begin_with_the_last_of_them_or_not_at_all() -> None:
    later = replace(ITEM, id="si_2", interval="year", current_period_end=END + 20 * DAY)
    mixed = replace(ACTIVE, items=(ITEM, later), current_period_end=END + 20 * DAY)
    found = plan(mixed).plan
    assert found
    assert found.begins == END + 20 * DAY - 300
    assert codes(plan(replace(mixed, billing_mode="classic"))) == ["several_rhythms"]


def test_renewals_keep_the_day_of_the_anchor() -> None:
    end = int(datetime(2027, 2, 28, 10, tzinfo=UTC).timestamp())
    anchor = int(datetime(2026, 12, 31, 10, tzinfo=UTC).timestamp())
    found = renewals(replace(ITEM, current_period_end=end), anchor=anchor)
    days = [datetime.fromtimestamp(next(found), UTC).date() for _ in range(4)]
    assert days == [date(2027, 2, 28), date(2027, 3, 31), date(2027, 4, 30), date(2027, 5, 31)]
    assert list(renewals(replace(ITEM, interval="fortnight"))) == []
