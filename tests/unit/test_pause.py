from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from shared.portal.pause import PAUSE_BUTTON_REMOVED_ON, PAUSE_CUTOFF_ON, Phase, days_until, phase_on
from shared.stripe.subscription import PauseCollection, Subscription, is_paused

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SECOND = int(NOW.timestamp())


def subscription(status: str = "active", pause: PauseCollection | None = None) -> Subscription:
    return Subscription(id="sub_1", customer_id="cus_1", status=status, livemode=True, pause_collection=pause)


def phase(today: date) -> Phase:
    return phase_on(today, button_removed_on=PAUSE_BUTTON_REMOVED_ON, cutoff_on=PAUSE_CUTOFF_ON)


@pytest.mark.parametrize(
    ("today", "expected", "days"),
    [
        (date(2024, 3, 28), Phase.BUTTON_AVAILABLE, 126),
        (date(2024, 3, 29), Phase.RESUME_ONLY, 125),
        (date(2024, 7, 15), Phase.RESUME_ONLY, 17),
        (date(2024, 7, 31), Phase.RESUME_ONLY, 1),
        (date(2024, 8, 1), Phase.STRANDED, 0),
        (date(2026, 11, 22), Phase.STRANDED, 0),
    ],
)
def test_the_day_decides_the_phase_and_the_days_left(today: date, expected: Phase, days: int) -> None:
    assert phase(today) is expected
    assert days_until(PAUSE_CUTOFF_ON, today) == days


def test_the_last_evening_of_july_in_utc_is_already_the_cutoff_in_paris() -> None:
    evening = datetime(2024, 7, 31, 22, 30, tzinfo=UTC)
    assert phase(evening.date()) is Phase.RESUME_ONLY
    assert phase(evening.astimezone(ZoneInfo("Europe/Paris")).date()) is Phase.STRANDED


@pytest.mark.parametrize(
    ("resumes_at", "expected"),
    [(None, True), (SECOND + 1, True), (SECOND, False), (SECOND - 1, False), (0, False)],
)
def test_a_pause_of_collection_is_over_once_resumes_at_has_come(resumes_at: int | None, expected: bool) -> None:  # noqa: FBT001 - a table's column
    assert is_paused(subscription(pause=PauseCollection("void", resumes_at)), NOW) is expected


def test_status_paused_is_a_pause_whatever_pause_collection_says() -> None:
    assert is_paused(subscription("paused"), NOW)
    assert is_paused(subscription("paused", PauseCollection("void", SECOND - 1)), NOW)


@pytest.mark.parametrize("status", ["canceled", "incomplete_expired"])
def test_what_has_ended_is_never_paused(status: str) -> None:
    assert not is_paused(subscription(status, PauseCollection("void")), NOW)


def test_without_pause_collection_an_active_subscription_is_not_paused() -> None:
    assert not is_paused(subscription(), NOW)
