"""What the audit reads of the table `Pauses`, at what cost, and what follows for each customer."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.audit.options import AuditOptions
from shared.audit.pauses import (
    DAY,
    MOST_CUSTOMERS,
    MOST_NEW,
    PausesRead,
    PolicyBreak,
    policies_of,
    policy_breaks,
    read_pauses,
)
from shared.pausing.history import NO_RETURN, HistoryEntry, PauseAction
from tests.fakes import FakePauses
from tests.pause_records import pause_entry, pause_record

NOW = 1_801_476_000
NIGHT = (NOW - DAY, NOW)
STRICT = AuditOptions(max_pause_days=90, pause_min_days_between=30, pause_max_in_365_days=2)


def read(table: FakePauses, options: AuditOptions = STRICT) -> PausesRead:
    return read_pauses(table, *NIGHT, options)


def pause(  # noqa: PLR0913 - each a fact of a pause
    subscription: str,
    begins: int,
    days: float,
    *,
    customer: str = "cus_1",
    number: int = 0,
    by: str | None = None,
    ends: PauseAction | None = PauseAction.RESUMED,
) -> list[HistoryEntry]:
    """The entries of a whole pause; of one that lasts until `NOW` and later only its beginning."""
    facts: dict[str, Any] = {
        "operation_id": f"op_{subscription}_{number}",
        "begins": begins,
        "resumes": begins + int(days * DAY),
    }
    setter: dict[str, Any] = {}
    if by:
        setter = {"overridden": True, "actor": "team", "actor_name": by}
    entries = [
        pause_entry(subscription, customer, at=begins - 60, **facts, **setter),
        pause_entry(subscription, customer, PauseAction.BEGUN, at=begins, **facts),
    ]
    if ends:
        entries.append(pause_entry(subscription, customer, ends, at=facts["resumes"], **facts))
    return [each for each in entries if each.at < NOW]


def tonight(subscription: str, days: float = 30, **more: object) -> list[HistoryEntry]:
    return pause(subscription, NOW - DAY // 2, days, number=9, **more)  # type: ignore[arg-type]


def breaks(*pauses: Iterable[HistoryEntry], options: AuditOptions = STRICT) -> dict[str, PolicyBreak]:
    found = read(FakePauses(entries=[entry for each in pauses for entry in each]), options).breaks
    return {each.code: each for each in found}


def test_an_empty_table_takes_one_request_and_says_nothing() -> None:
    table = FakePauses()
    assert read(table) == PausesRead(*NIGHT, is_empty=True)
    assert table.requests == 1


def test_a_long_history_costs_no_more_than_a_short_one() -> None:
    """100,000 entries of long ago, and none of this night."""
    old = pause_entry("sub_1", "cus_1", at=NOW - 40 * DAY)
    table = FakePauses(entries=[replace(old, at=old.at - number) for number in range(100_000)])
    found = read(table)
    assert (found.new, found.is_empty) == ((), False)
    # The newest thousand entries, and what is due.
    assert table.requests == 2


def test_a_night_of_many_pauses_is_counted_and_its_requests_are_bounded() -> None:
    entries = [pause_entry(f"sub_{number}", f"cus_{number}", at=NOW - 1 - number) for number in range(3000)]
    table = FakePauses(entries=entries)
    found = read(table)
    assert (found.new_number, len(found.new)) == (3000, MOST_NEW)
    assert found.not_looked_at == 3000 - MOST_CUSTOMERS
    assert table.requests == 3 + MOST_CUSTOMERS + 1


def test_customers_are_looked_at_for_as_long_as_there_is_time() -> None:
    entries = [pause_entry(f"sub_{number}", f"cus_{number}", at=NOW - 1 - number) for number in range(10)]
    left = iter([True, True, False])
    found = read_pauses(FakePauses(entries=entries), *NIGHT, STRICT, lambda: next(left))
    assert found.not_looked_at == 8


def test_each_pause_is_new_in_one_of_two_nights_that_follow_each_other() -> None:
    times = (NOW - DAY - 1, NOW - DAY, NOW - 1, NOW)
    table = FakePauses(entries=[pause_entry(f"sub_{at}", "cus_1", at=at) for at in times])
    nights = [read_pauses(table, since, since + DAY, STRICT).new for since in (NOW - 2 * DAY, NOW - DAY, NOW)]
    assert [[each.subscription_id for each in new] for new in nights] == [
        [f"sub_{NOW - DAY - 1}"],
        [f"sub_{NOW - 1}", f"sub_{NOW - DAY}"],
        [f"sub_{NOW}"],
    ]


def test_a_new_pause_has_who_set_it_and_the_end_that_it_has_by_now() -> None:
    was_set = pause_entry("sub_1", "cus_1", at=NOW - 900, actor="customer", reason="holiday")
    changed = replace(was_set, action=PauseAction.CHANGED, at=NOW - 300, actor="team", resumes=was_set.resumes + DAY)
    undone = replace(changed, action=PauseAction.UNDONE, at=NOW - 100)
    (new,) = read(FakePauses(entries=[was_set, changed])).new
    assert (new.actor, new.reason, new.resumes, new.over) == ("customer", "holiday", changed.resumes, False)
    (new,) = read(FakePauses(entries=[was_set, changed, undone])).new
    assert new.over


def test_a_pause_that_was_only_changed_tonight_is_not_new() -> None:
    changed = pause_entry("sub_1", "cus_1", PauseAction.CHANGED, at=NOW - 300)
    assert read(FakePauses(entries=[changed])).new == ()


def test_pauses_that_nobody_has_looked_at_for_an_hour_are_stalled() -> None:
    late, just = (
        pause_record(f"sub_{at}", "cus_1", begins=0, resumes=NOW + DAY, retry_at=NOW - at) for at in (3600, 3599)
    )
    table = FakePauses(
        {each.subscription_id: each for each in (late, just)}, [pause_entry("sub_1", "cus_1", at=NOW - 40 * DAY)]
    )
    found = read(table)
    assert (found.stalled, found.stalled_number) == (("sub_3600",), 1)


# Rules that count for a customer.


def test_one_pause_within_the_rules_is_none_of_the_teams_business() -> None:
    assert breaks(tonight("sub_1", 90)) == {}


def test_a_pause_longer_than_allowed_is_told_with_who_overrode_the_rules() -> None:
    (found,) = breaks(tonight("sub_1", 91, by="ops@shop.example")).values()
    assert found == PolicyBreak("pause_too_long", "cus_1", ("sub_1",), 91, ("ops@shop.example",))


def test_a_customer_who_cancels_and_subscribes_again_pauses_too_soon() -> None:
    before = pause("sub_old", NOW - 40 * DAY, 20, ends=PauseAction.CANCELED)
    found = breaks(before, tonight("sub_new"))
    assert found == {"pause_too_soon": PolicyBreak("pause_too_soon", "cus_1", ("sub_new", "sub_old"), 19)}


def test_the_days_between_are_counted_as_the_rule_counts_them() -> None:
    assert breaks(pause("sub_old", NOW - DAY // 2 - 60 * DAY, 30), tonight("sub_new")) == {}
    assert set(breaks(pause("sub_old", NOW - DAY // 2 - 59 * DAY, 30), tonight("sub_new"))) == {"pause_too_soon"}


def test_a_pause_that_ended_long_ago_counts_where_the_rules_look_back_that_far() -> None:
    patient = STRICT.model_copy(update={"pause_min_days_between": 1000})
    assert set(breaks(pause("sub_old", NOW - 830 * DAY, 30), tonight("sub_new"), options=patient)) == {"pause_too_soon"}


def test_a_customer_who_pauses_two_subscriptions_in_turn_pauses_too_often() -> None:
    first = pause("sub_a", NOW - 300 * DAY, 20)
    second = pause("sub_b", NOW - 150 * DAY, 20)
    found = breaks(first, second, tonight("sub_a"))
    assert found == {"too_many_pauses": PolicyBreak("too_many_pauses", "cus_1", ("sub_a", "sub_b"), 3)}
    assert breaks(first, tonight("sub_a")) == {}
    a_year_ago = NOW - DAY // 2 - 365 * DAY
    assert breaks(pause("sub_a", a_year_ago, 20), second, tonight("sub_a")) == {}
    assert breaks(pause("sub_a", a_year_ago + 1, 20), second, tonight("sub_a"))["too_many_pauses"].number == 3


def test_two_subscriptions_paused_for_the_same_time_are_one_pause() -> None:
    both = [*tonight("sub_a"), *pause("sub_b", NOW - DAY // 2 + 600, 30, number=9)]
    assert breaks(both, options=AuditOptions(pause_min_days_between=365, pause_max_in_365_days=1)) == {}


def test_pauses_that_only_touch_are_two() -> None:
    """A few minutes in common do not make one pause of two in turn."""
    before = pause("sub_a", NOW - DAY // 2 - 30 * DAY, 30 + 0.01, ends=None)
    found = breaks(before, tonight("sub_b"))
    assert found["pause_too_soon"].number == 0


def test_pauses_that_follow_each_other_within_a_day_are_one_long_pause() -> None:
    """A customer who resumes for a moment, or goes on with the next subscription, is paused on end."""
    tonight_begins = NOW - DAY // 2
    first = pause("sub_old", tonight_begins - 91 * DAY, 45)
    second = pause("sub_old", tonight_begins - 45 * DAY, 44, number=1, ends=PauseAction.CANCELED)
    options = AuditOptions(max_pause_days=90)
    (found,) = breaks(first, second, tonight("sub_new", 10), options=options).values()
    assert found == PolicyBreak("pause_too_long", "cus_1", ("sub_new", "sub_old"), 101)
    later = pause("sub_old", tonight_begins - 45 * DAY, 44 - 0.01, number=1)
    assert breaks(first, later, tonight("sub_new", 10), options=options) == {}


def test_pauses_that_were_undone_before_they_began_do_not_count() -> None:
    undone = [pause_entry("sub_b", "cus_1", at=NOW - 10 * DAY), pause_entry("sub_b", "cus_1", at=NOW - 9 * DAY)]
    undone[1] = replace(undone[1], action=PauseAction.UNDONE)
    assert breaks(undone, tonight("sub_a")) == {}


def test_another_customers_pauses_do_not_count() -> None:
    assert breaks(pause("sub_b", NOW - 40 * DAY, 30, customer="cus_2"), tonight("sub_a")) == {}


def test_what_was_beyond_the_rules_on_an_earlier_night_is_not_said_again() -> None:
    assert breaks(pause("sub_1", NOW - 2 * DAY, 400)) == {}


def extended(times: int, *, at: int = NOW - 100) -> list[HistoryEntry]:
    """A pause of 10 days that was put off by a day so many times, the last time at `at`."""
    first = pause_entry("sub_1", "cus_1", at=at - 1000, begins=NOW - 20 * DAY, resumes=NOW - 10 * DAY)
    return [
        first,
        *(
            replace(first, action=PauseAction.CHANGED, at=at - times + number, resumes=first.resumes + number * DAY)
            for number in range(1, times + 1)
        ),
    ]


def test_a_short_pause_that_is_put_off_again_and_again_is_told() -> None:
    assert breaks(extended(2)) == {}
    assert breaks(extended(3)) == {"extended_often": PolicyBreak("extended_often", "cus_1", ("sub_1",), 3)}
    assert breaks(extended(3, at=NOW - 2 * DAY)) == {}


def test_a_pause_of_long_ago_whose_end_was_put_off_tonight_is_counted() -> None:
    entries = extended(3)
    assert set(breaks([replace(entries[0], at=NOW - 20 * DAY)], entries[1:])) == {"extended_often"}


def test_an_end_that_is_put_forward_is_no_extension() -> None:
    entries = extended(3)
    shorter = replace(entries[-1], at=entries[-1].at + 1, resumes=entries[0].resumes)
    assert breaks(entries[:-1], [shorter]) == {}


def test_a_pause_without_a_date_of_return_is_neither_long_nor_short_before_it_is_over() -> None:
    endless = [replace(each, resumes=NO_RETURN) for each in tonight("sub_a")]
    assert breaks(endless) == {}
    # Of another subscription it is one with any other of its time.
    long_ago = [replace(each, resumes=NO_RETURN) for each in pause("sub_b", NOW - 100 * DAY, 200)]
    assert breaks(long_ago, tonight("sub_a")) == {}
    over = replace(long_ago[-1], action=PauseAction.RESUMED, at=NOW - 5 * DAY)
    assert breaks([*long_ago, over], tonight("sub_a"))["pause_too_soon"].number == 4


def test_what_a_group_may_is_not_beyond_the_rules() -> None:
    """The history does not say which group a customer was of, so the most generous rules count."""
    options = STRICT.model_copy(update={"pause_groups": '{"business": {"max_pause_days": 200}}'})
    assert breaks(tonight("sub_1", 200), options=options) == {}
    assert set(breaks(tonight("sub_1", 201), options=options)) == {"pause_too_long"}


@pytest.mark.parametrize(
    "groups", ["", "no JSON", "[]", '{"a": 1}', '{"a": {"max_pause_days": "many"}}', '{"a": {"x": 1}}']
)
def test_groups_that_cannot_be_read_leave_the_stacks_own_rules(groups: str) -> None:
    assert [each.max_pause_days for each in policies_of(STRICT.model_copy(update={"pause_groups": groups}))] == [90]


def test_without_limits_nothing_is_beyond_them() -> None:
    options = AuditOptions(max_pause_days=0)
    assert breaks(pause("sub_b", NOW - 40 * DAY, 39), tonight("sub_a", 1000), options=options) == {}


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 700), st.integers(1, 100)), max_size=8))
def test_one_subscription_in_the_order_of_its_pauses_breaks_what_the_rule_itself_refuses(
    made: list[tuple[str, int, int]],
) -> None:
    """Of pauses that do not overlap, those of a customer count as if all were of one subscription."""

    def entries(*, together: bool) -> Iterator[HistoryEntry]:
        moment = NOW - 10_000 * DAY
        for number, (name, gap, days) in enumerate(made):
            moment += (gap + 1) * DAY
            yield from pause("sub_1" if together else f"sub_{name}", moment, days, number=number)
            moment += days * DAY

    def found(*, together: bool) -> list[tuple[str, int]]:
        history = list(entries(together=together))
        operations = {each.operation_id for each in history}
        return [(each.code, each.number) for each in policy_breaks(history, operations, policies_of(STRICT))]

    assert found(together=True) == found(together=False)
