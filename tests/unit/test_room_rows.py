"""The rows of the control room: when both sides agree, and what changed last on each."""

from dataclasses import replace
from typing import Any

import pytest

from local.site.pages import rendered
from local.site.room import RoomRow
from shared.access import CustomerAccess, Reason
from shared.mirror.drift import differences
from shared.mirror.items import MirroredSubscription
from shared.stripe.subscription import PauseCollection, Subscription, SubscriptionItem

ITEM = SubscriptionItem("si_1", price_id="price_1", quantity=1, unit_amount_decimal="2900", currency="eur")
STATE = Subscription("sub_1", "cus_1", "active", livemode=False, items=(ITEM,))
HELD = MirroredSubscription(STATE, as_of=1, revision=1)
CHANGES: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    ({"items": (replace(ITEM, quantity=3),)}, ("quantity",)),
    ({"items": (replace(ITEM, price_id="price_2"),)}, ("price_id",)),
    ({"collection_method": "send_invoice"}, ("collection_method",)),
    ({"pause_collection": PauseCollection("void", 1720000000)}, ("pause_collection",)),
    ({"cancellation_reason": "payment_failed"}, ("cancellation_reason",)),
]


def row(stripe: Subscription | None = STATE, mirrored: MirroredSubscription | None = HELD) -> RoomRow:
    unlike = differences(mirrored.subscription, stripe) if stripe and mirrored else ()
    access = CustomerAccess("cus_1", granted=True, reason=Reason.ACTIVE, until=None, subscriptions=())
    return RoomRow("sub_1", "cus_1", "Ada", stripe, mirrored, unlike, is_expired=False, access=access)


def test_equal_sides_are_in_sync() -> None:
    assert row().in_sync


@pytest.mark.parametrize("changes", [{"quantity": 2}, {"price_id": "price_2"}, {"unit_amount_decimal": "3900"}])
def test_another_plan_or_quantity_on_one_side_is_not_in_sync(changes: dict[str, Any]) -> None:
    other = replace(STATE, items=(replace(ITEM, **changes),))
    assert not row(stripe=other).in_sync
    assert not row(mirrored=replace(HELD, subscription=other)).in_sync


@pytest.mark.parametrize(("changes", "names"), CHANGES)
def test_each_side_names_what_changed_last_on_it(changes: dict[str, Any], names: tuple[str, ...]) -> None:
    state = replace(STATE, **changes)
    first = row(stripe=state).after(row())
    assert first.stripe_changes == names
    assert first.mirror_changes == ()
    second = row(state, replace(HELD, subscription=state, revision=2)).after(first)
    # What had changed until then is still named where nothing else has.
    assert second.stripe_changes == first.stripe_changes
    assert second.mirror_changes == names


def test_a_write_of_the_same_state_is_a_change_too() -> None:
    found = row(mirrored=replace(HELD, revision=2, event_id="evt_2")).after(row())
    assert found.mirror_changes == ("revision", "event_id")
    assert found != row()


def test_what_appears_or_goes_has_no_fields_to_name() -> None:
    assert row(mirrored=None).after(row()).mirror_changes == ()
    assert row().after(row(mirrored=None)).mirror_changes == ()


def test_the_row_says_plan_quantity_and_last_change_of_each_side() -> None:
    three = replace(STATE, items=(replace(ITEM, quantity=3, interval="month"),))
    text = rendered("room_row", row=row(stripe=three).after(row()))
    stripe, _, mirror = text.partition('data-label="Mirror"')
    assert "3 x 29.00 EUR a month" in stripe
    assert "last change: <code>quantity</code>, <code>interval</code>" in stripe
    assert "29.00 EUR" in mirror
    assert "last change" not in mirror
