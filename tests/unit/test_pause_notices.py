"""Which mail about a pause is due, at the edges of its window: none too late, none twice, and none about no date."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from functions.pause.notice_texts import NoticeKind
from functions.pause.notices import due_notice
from shared.pausing.history import NO_RETURN, PauseRecord, PauseState

DAY = 86_400
BACK = int(datetime(2027, 4, 20, tzinfo=UTC).timestamp())
BEGINS = BACK - 60 * DAY
TOLD = PauseRecord(
    subscription_id="sub_1",
    customer_id="cus_1",
    operation_id="op_1",
    intent="intent_1",
    kind="subscription",
    state=PauseState.PAUSED,
    begin="period_end",
    begins=BEGINS,
    resumes=BACK,
    next_charge=BACK,
    asked_resume="2027-04-20",
    unused_time="none",
    created=BEGINS - DAY,
    actor="customer",
    told=f"set:{BACK}",
)


def due(record: PauseRecord, now: float, days: int = 3) -> NoticeKind | None:
    return due_notice(record, now=now, notice_days=days)


@pytest.mark.parametrize("state", [PauseState.SCHEDULED, PauseState.PAUSED])
def test_the_return_is_told_no_later_than_the_days_that_were_promised(state: PauseState) -> None:
    """A pause is looked at once a day: the first look of the day before must send it."""
    record = replace(TOLD, state=state)
    assert due(record, BACK - 4 * DAY - 1) is None
    assert due(record, BACK - 4 * DAY) is NoticeKind.RETURN
    assert due(record, BACK - 4 * DAY, days=2) is None
    assert due(record, BACK - 1, days=0) is None


def test_the_charge_counts_and_not_the_minutes_by_which_collection_starts_again_earlier() -> None:
    assert due(replace(TOLD, resumes=BACK - 300, told=f"set:{BACK - 300}"), BACK - 4 * DAY - 1) is None


def test_each_date_of_return_is_told_once_when_it_is_set_and_once_before_it_comes() -> None:
    moved = replace(TOLD, resumes=BACK + DAY, next_charge=BACK + DAY)
    assert due(moved, BEGINS) is NoticeKind.SET
    assert due(replace(moved, told=f"set:{BACK + DAY}"), BEGINS) is None
    near = replace(TOLD, notified_for=BACK)
    assert due(near, BACK - DAY) is None
    assert due(replace(near, resumes=BACK + DAY, told=f"set:{BACK + DAY}"), BACK - DAY) is NoticeKind.RETURN


def test_a_pause_without_a_date_of_return_is_told_none() -> None:
    open_ended = replace(TOLD, resumes=NO_RETURN, next_charge=NO_RETURN, told=None)
    assert due(open_ended, BEGINS) is None


@pytest.mark.parametrize(
    ("waiting", "kind"),
    [("payment", NoticeKind.UNPAID), ("payment_method", NoticeKind.NO_PAYMENT_METHOD), ("stripe", None), (None, None)],
)
def test_a_return_that_is_not_paid_is_told_once_for_each_try(waiting: Any, kind: NoticeKind | None) -> None:
    record = replace(TOLD, state=PauseState.RESUMING, waiting=waiting)
    assert due(record, BACK) is kind
    if kind:
        assert due(replace(record, told=f"{kind}:intent_1"), BACK) is None
        assert due(replace(record, told=f"{kind}:intent_1", intent="intent_2"), BACK) is kind
        other = NoticeKind.UNPAID if kind is NoticeKind.NO_PAYMENT_METHOD else NoticeKind.NO_PAYMENT_METHOD
        assert due(replace(record, told=f"{other}:intent_1"), BACK) is kind


def test_a_failure_is_told_while_it_is_looked_at() -> None:
    failed = replace(TOLD, state=PauseState.FAILED, failure="cannot_pause")
    assert due(replace(failed, retry_at=BEGINS), BEGINS) is NoticeKind.FAILED
    assert due(failed, BEGINS) is None


@pytest.mark.parametrize("state", [PauseState.STARTING, PauseState.CHANGING, PauseState.UNDOING, PauseState.ENDED])
def test_nothing_is_told_of_what_is_under_way_or_over(state: PauseState) -> None:
    assert due(replace(TOLD, state=state, told=None, retry_at=BEGINS), BACK - DAY) is None
