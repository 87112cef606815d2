"""Whether the old portal's pause button can have made a pause: nobody who was paused later counts as stranded."""

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.portal.pause import PAUSE_BUTTON_REMOVED_ON, PauseOrigin, midnight_of, pause_origin
from shared.stripe.subscription import PauseCollection, Subscription

REMOVED = midnight_of(PAUSE_BUTTON_REMOVED_ON, ZoneInfo("UTC"))
VOID = PauseCollection("void")


def subscription(**changes: Any) -> Subscription:
    made = Subscription("sub_1", "cus_1", "active", livemode=True, created=REMOVED - 10**7, pause_collection=VOID)
    return replace(made, **changes)


def origin(since: int | None, *, exact: bool = False, **changes: Any) -> PauseOrigin:
    return pause_origin(subscription(**changes), since, exact=exact, removed_at=REMOVED)


@pytest.mark.parametrize("exact", [True, False])
def test_a_pause_that_had_begun_before_the_button_went_is_the_buttons(exact: bool) -> None:  # noqa: FBT001
    assert origin(REMOVED - 1, exact=exact) is PauseOrigin.BUTTON


def test_the_button_could_not_be_used_on_the_day_of_its_removal_or_later() -> None:
    assert origin(REMOVED, exact=True) is PauseOrigin.NOT_BUTTON
    assert origin(REMOVED + 1, exact=True) is PauseOrigin.NOT_BUTTON


def test_a_pause_first_seen_later_may_have_begun_before() -> None:
    assert origin(REMOVED) is PauseOrigin.UNKNOWN
    assert origin(None) is PauseOrigin.UNKNOWN
    assert origin(None, created=None) is PauseOrigin.UNKNOWN


@pytest.mark.parametrize("since", [None, REMOVED - 1, REMOVED, REMOVED + 10**7])
def test_a_subscription_created_later_was_never_paused_by_the_button(since: int | None) -> None:
    assert origin(since, created=REMOVED) is PauseOrigin.NOT_BUTTON


@pytest.mark.parametrize(
    "pause",
    [PauseCollection("keep_as_draft"), PauseCollection("mark_uncollectible"), PauseCollection("void", REMOVED * 2)],
)
def test_the_button_voided_and_set_no_end(pause: PauseCollection) -> None:
    assert origin(REMOVED - 1, exact=True, pause_collection=pause) is PauseOrigin.NOT_BUTTON


def test_a_subscription_without_paused_collection_has_no_pause_of_the_buttons() -> None:
    assert origin(REMOVED - 1, pause_collection=None) is PauseOrigin.NOT_BUTTON


def test_the_day_begins_where_the_team_is() -> None:
    assert midnight_of(date(2024, 3, 29), ZoneInfo("Europe/Paris")) == REMOVED - 3600
    assert datetime.fromtimestamp(REMOVED, UTC).isoformat() == "2024-03-29T00:00:00+00:00"


@given(
    created=st.integers(REMOVED - 10**8, REMOVED + 10**8), began=st.integers(0, 2 * 10**8), seen=st.integers(0, 10**8)
)
def test_no_date_proves_the_button_for_a_pause_that_began_after_it(created: int, began: int, seen: int) -> None:
    """Whatever the mirror knows of the beginning: the moment itself, or a later one at which it saw the pause first."""
    start = max(created, REMOVED) + began
    known: tuple[tuple[int | None, bool], ...] = ((start, True), (start + seen, False), (None, False))
    for since, exact in known:
        assert origin(since, exact=exact, created=created) is not PauseOrigin.BUTTON
