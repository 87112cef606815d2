"""What a customer's history counts for: which pauses there were, from when to when, and what is kept of each write."""

from dataclasses import replace
from typing import Any

import pytest

from shared.errors import Unavailable
from shared.pausing.history import HistoryEntry, PauseAction, PauseState, PauseTable, customer_pauses
from tests.integration.pausing_faults import FakeDynamoDb, Fault, FaultKind, Faults
from tests.pause_records import pause_entry, pause_record

DAY = 86_400
NOW = 1_801_476_000
BEGINS, RETURNS = NOW + DAY, NOW + 31 * DAY


def entries(*actions: tuple[PauseAction, int], **facts: Any) -> list[HistoryEntry]:
    """The entries of one pause that was set at NOW, each so many days later."""
    given = {"begins": BEGINS, "resumes": RETURNS} | facts
    return [
        pause_entry("sub_1", "cus_1", action, at=NOW + days * DAY, version=number, **given)
        for number, (action, days) in enumerate(((PauseAction.SET, 0), *actions))
    ]


@pytest.mark.parametrize(
    "action", [PauseAction.UNDONE, PauseAction.FAILED, PauseAction.CANCELED, PauseAction.ENDED_ELSEWHERE]
)
def test_a_pause_that_came_to_nothing_does_not_count(action: PauseAction) -> None:
    assert customer_pauses(entries((action, 1))) == []


def test_a_pause_that_is_set_counts_with_the_dates_that_it_has_last() -> None:
    was_set = entries()
    (found,) = customer_pauses(was_set)
    assert (found.begins, found.ends, found.has_begun, found.extended) == (BEGINS, RETURNS, False, 0)
    later, sooner = (
        replace(was_set[0], action=PauseAction.CHANGED, version=2, resumes=RETURNS + days * DAY) for days in (9, -9)
    )
    assert [(each.ends, each.extended) for each in customer_pauses([*was_set, later])] == [(RETURNS + 9 * DAY, 1)]
    assert [(each.ends, each.extended) for each in customer_pauses([*was_set, sooner])] == [(RETURNS - 9 * DAY, 0)]


def test_a_pause_is_over_when_it_ended_and_not_when_it_was_to() -> None:
    for action in (PauseAction.RESUMED, PauseAction.CANCELED, PauseAction.ENDED_ELSEWHERE):
        (found,) = customer_pauses(entries((PauseAction.BEGUN, 1), (action, 9)))
        assert (found.begins, found.ends, found.has_begun) == (BEGINS, NOW + 9 * DAY, True)
    # Whoever gives the date of return up is paused until the resume.
    given_up = entries((PauseAction.BEGUN, 1), (PauseAction.RELEASED, 9), (PauseAction.RESUMED, 20))
    assert [each.ends for each in customer_pauses(given_up)] == [NOW + 20 * DAY]
    # One whose resume is not paid goes on.
    unpaid = entries((PauseAction.BEGUN, 1), (PauseAction.FAILED, 31))
    assert [(each.ends, each.has_begun) for each in customer_pauses(unpaid)] == [(RETURNS, True)]


def test_a_pause_without_a_date_of_return_lasts() -> None:
    open_ended = entries((PauseAction.BEGUN, 1), resumes=0)
    (found,) = customer_pauses(open_ended)
    assert (found.has_return, found.ends > NOW + 50 * 365 * DAY) == (False, True)
    over = entries((PauseAction.BEGUN, 1), (PauseAction.RESUMED, 9), resumes=0)
    assert [(each.has_return, each.ends) for each in customer_pauses(over)] == [(True, NOW + 9 * DAY)]


def table(faults: Faults | None = None) -> PauseTable:
    return PauseTable(FakeDynamoDb(faults or Faults()), "Pauses")  # type: ignore[arg-type]  # as far as it is asked


def test_of_two_writes_from_the_same_version_one_is_kept() -> None:
    kept = table()
    record = pause_record("sub_1", "cus_1", begins=BEGINS, resumes=RETURNS)
    first = kept.write(record, None)
    assert first
    assert kept.write(record, None) is None
    assert kept.write(replace(first, reason="one"), first, *entries())
    assert kept.write(replace(first, reason="two"), first) is None
    assert kept.write(replace(first, reason="two"), first, *entries((PauseAction.BEGUN, 0))) is None
    found = kept.get("sub_1")
    assert found
    assert (found.reason, found.version, kept.history("sub_1")) == ("one", 2, entries())


def test_what_happens_within_one_second_is_kept_in_its_order() -> None:
    kept = table()
    record = kept.write(pause_record("sub_1", "cus_1", begins=BEGINS, resumes=RETURNS), None)
    happened = entries((PauseAction.BEGUN, 0), (PauseAction.RESUMED, 0))
    for entry in happened:
        assert record
        record = kept.write(record, record, entry)
    assert kept.history("sub_1") == happened


@pytest.mark.parametrize("kind", [FaultKind.LIMITED, FaultKind.BROKEN, FaultKind.UNSENT])
def test_a_table_that_does_not_answer_is_no_lost_race(kind: FaultKind) -> None:
    """Whoever lost a race decides anew; here it is not known whether anything was written."""
    record = pause_record("sub_1", "cus_1", begins=BEGINS, resumes=RETURNS)
    for written in ((), entries()):
        with pytest.raises(Unavailable):
            table(Faults({0: Fault(kind)})).write(record, None, *written)


def test_a_pause_is_due_from_its_second_on_whether_or_not_it_is_over() -> None:
    kept = table()
    for name, retry_at in (("sub_1", NOW), ("sub_2", NOW + 1), ("sub_3", None)):
        assert kept.write(pause_record(name, "cus_1", begins=BEGINS, resumes=RETURNS, retry_at=retry_at), None)
    assert list(kept.due(now=NOW)) == ["sub_1"]
    assert list(kept.due(now=NOW + 1)) == ["sub_1", "sub_2"]
    # The mail about one that failed is still to be sent.
    failed = pause_record("sub_4", "cus_1", begins=BEGINS, resumes=RETURNS, retry_at=NOW, state=PauseState.FAILED)
    assert kept.write(failed, None)
    assert sorted(kept.due(now=NOW)) == ["sub_1", "sub_4"]
    assert [each.subscription_id for each in kept.open_pauses()] == ["sub_1", "sub_2"]


class Throttled:
    """A table that leaves every key out."""

    def batch_get_item(self, **request: Any) -> dict[str, Any]:
        return {"Responses": {}, "UnprocessedKeys": request["RequestItems"]}


def test_a_key_that_a_throttled_table_leaves_out_is_not_taken_for_no_pause() -> None:
    with pytest.raises(Unavailable):
        PauseTable(Throttled(), "Pauses").get_many(["sub_1"])  # type: ignore[arg-type]  # as far as it is asked
