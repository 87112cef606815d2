"""What a pause would be, and every reason why there is none."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from shared.pausing.plan import Begin, PauseRequest, PlanFacts, Planned, plan_pause
from shared.pausing.policy import PausePolicy, PauseTime
from shared.stripe.periods import renewals
from shared.stripe.subscription import PauseCollection, Subscription, SubscriptionItem

DAY = 86_400
END = int(datetime(2027, 3, 1, 10, tzinfo=UTC).timestamp())
NOW = END - 10 * DAY
ITEM = SubscriptionItem("si_1", "price_1", "prod_1", 1, interval="month", current_period_end=END)
SUBSCRIPTION = Subscription(
    "sub_1",
    "cus_1",
    "active",
    livemode=True,
    created=NOW - 50 * DAY,
    collection_method="charge_automatically",
    billing_mode="flexible",
    current_period_end=END,
    items=(ITEM,),
)
OPEN = PausePolicy(pause_allowed="everybody", pause_reasons=("holiday",), pause_now="credit", max_pause_days=100)


def plan(  # noqa: PLR0913 - what differs
    subscription: Subscription = SUBSCRIPTION,
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
    assert codes(plan(replace(SUBSCRIPTION, billing_mode=mode, **changes))) == [code]
    # Nor can the team override what Stripe or the money says.
    assert codes(plan(replace(SUBSCRIPTION, billing_mode=mode, **changes), override=True)) == [code]


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
    found = plan(replace(SUBSCRIPTION, **changes)).plan
    assert found
    may = int(datetime(2027, 5, 1, 10, tzinfo=UTC).timestamp())
    assert (found.kind, found.begins, found.next_charge, found.is_moved) == ("collection", END, may, True)
    assert [reason.code for reason in found.why_not_real] == [why]
    assert found.resumes == may - 300
    assert codes(plan(replace(SUBSCRIPTION, **changes), begin=Begin.NOW)) == ["not_at_once"]


def test_a_pause_that_ended_by_its_date_is_none_any_more() -> None:
    over = replace(SUBSCRIPTION, pause_collection=PauseCollection("void", NOW - 1))
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
    classic = replace(SUBSCRIPTION, billing_mode="classic", items=(yearly,))
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
        metered = replace(SUBSCRIPTION, items=items)
        found = plan(metered).plan
        assert found
        assert found.kind == "subscription"
        assert codes(plan(replace(metered, billing_mode="classic"))) == ["metered"]


def test_items_of_several_rhythms_begin_with_the_last_of_them_or_not_at_all() -> None:
    later = replace(ITEM, id="si_2", interval="year", current_period_end=END + 20 * DAY)
    mixed = replace(SUBSCRIPTION, items=(ITEM, later), current_period_end=END + 20 * DAY)
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
