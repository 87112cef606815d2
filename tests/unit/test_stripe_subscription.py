"""A subscription reads the same whatever version of the API it was rendered at."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from shared.errors import UnreadableEvent
from shared.portal.pause import PAUSE_BUTTON_REMOVED_ON, PAUSE_CUTOFF_ON, Phase, days_until, phase_on
from shared.stripe.subscription import PauseCollection, Subscription, SubscriptionItem, is_paused, read_subscription

TODAY: dict[str, Any] = {
    "id": "sub_1",
    "object": "subscription",
    "customer": "cus_1",
    "status": "active",
    "livemode": False,
    "created": 100,
    "currency": "eur",
    "collection_method": "charge_automatically",
    "billing_mode": {"type": "flexible", "flexible": {"proration_discounts": "included"}},
    "schedule": None,
    "cancel_at": None,
    "cancel_at_period_end": False,
    "pause_collection": {"behavior": "void", "resumes_at": 900},
    "status_details": None,
    "items": {
        "object": "list",
        "data": [
            {
                "id": "si_1",
                "quantity": 2,
                "current_period_end": 500,
                "price": {
                    "id": "price_1",
                    "product": "prod_1",
                    "currency": "eur",
                    "unit_amount": 1000,
                    "unit_amount_decimal": "1000",
                    "billing_scheme": "per_unit",
                    "recurring": {"interval": "month", "interval_count": 1, "usage_type": "licensed"},
                },
            }
        ],
    },
}
READ = Subscription(
    id="sub_1",
    customer_id="cus_1",
    status="active",
    livemode=False,
    created=100,
    currency="eur",
    collection_method="charge_automatically",
    billing_mode="flexible",
    pause_collection=PauseCollection("void", 900),
    current_period_end=500,
    items=(
        SubscriptionItem(
            id="si_1",
            price_id="price_1",
            product_id="prod_1",
            quantity=2,
            unit_amount_decimal="1000",
            currency="eur",
            interval="month",
            usage_type="licensed",
            billing_scheme="per_unit",
            current_period_end=500,
        ),
    ),
)


FIXTURES = sorted((Path(__file__).parents[1] / "fixtures").glob("subscription-*.json"))


def test_every_version_since_2019_reads_alike() -> None:
    """One subscription, rendered as each version does whose shape differs (stripe-node's and Stripe's changelogs)."""
    read = [read_subscription(json.loads(path.read_text())) for path in FIXTURES]
    # What a version did not say is all that may differ.
    alike = [replace(each, currency="eur", billing_mode="classic") for each in read]
    assert len(alike) == 8
    assert set(alike) == {alike[0]}
    (item,) = alike[0].items
    assert (item.unit_amount_decimal, item.quantity, item.interval, item.product_id) == ("1250", 3, "month", "prod_1Q")
    assert (alike[0].current_period_end, alike[0].pause_kind, alike[0].customer_id) == (
        1_719_792_000,
        "collection",
        "cus_1Q",
    )


def test_todays_form_is_read_whole() -> None:
    assert read_subscription(TODAY) == READ


def test_the_form_before_basil_has_its_period_on_the_subscription() -> None:
    item = {name: value for name, value in TODAY["items"]["data"][0].items() if name != "current_period_end"}
    old = TODAY | {"current_period_end": 500, "items": {"data": [item]}}
    assert read_subscription(old).current_period_end == 500


def test_plans_of_2019_read_as_prices() -> None:
    plan = {
        "id": "price_1",
        "product": "prod_1",
        "currency": "eur",
        "amount": 1000,
        "interval": "month",
        "interval_count": 1,
        "usage_type": "licensed",
        "billing_scheme": "per_unit",
    }
    old = TODAY | {"items": {"data": [{"id": "si_1", "quantity": 2, "current_period_end": 500, "plan": plan}]}}
    assert read_subscription(old) == READ


def test_expanded_references_read_as_their_ids() -> None:
    item = TODAY["items"]["data"][0]
    expanded_item = item | {"price": item["price"] | {"product": {"id": "prod_1", "object": "product"}}}
    expanded = TODAY | {"customer": {"id": "cus_1", "object": "customer"}, "items": {"data": [expanded_item]}}
    assert read_subscription(expanded) == READ


def test_why_it_was_canceled_is_read_and_makes_no_difference() -> None:
    """An item of the mirror that an earlier version wrote lacks it, and is no drift."""
    canceled = read_subscription(TODAY | {"cancellation_details": {"comment": None, "reason": "payment_failed"}})
    assert canceled.cancellation_reason == "payment_failed"
    assert canceled == read_subscription(TODAY | {"cancellation_details": None}) == READ


def test_the_preview_form_of_billing_mode_is_a_word() -> None:
    assert read_subscription(TODAY | {"billing_mode": "flexible"}) == READ


def test_unknown_fields_and_enum_values_pass() -> None:
    found = read_subscription(TODAY | {"status": "hibernating", "from_the_future": {"a": [1]}})
    assert found.status == "hibernating"


def test_a_real_pause_carries_its_cause_and_time() -> None:
    details = {"paused": {"type": "subscription", "transitioned_at": 77, "subscription": {"type": "pause_requested"}}}
    found = read_subscription(TODAY | {"status": "paused", "pause_collection": None, "status_details": details})
    assert (found.pause_kind, found.paused_reason, found.paused_at) == ("subscription", "pause_requested", 77)


def test_collection_method_was_called_billing_before_october_2019() -> None:
    old = {name: value for name, value in TODAY.items() if name != "collection_method"} | {"billing": "send_invoice"}
    assert read_subscription(old).collection_method == "send_invoice"


def test_a_customer_account_stands_in_for_a_customer() -> None:
    assert read_subscription(TODAY | {"customer": None, "customer_account": "acct_1"}).customer_id == "acct_1"


def test_only_the_id_customer_status_and_mode_are_needed() -> None:
    assert read_subscription(
        {"id": "sub_1", "customer": "cus_1", "status": "active", "livemode": True}
    ) == Subscription("sub_1", "cus_1", "active", livemode=True)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"object": "invoice"}, "object"),
        ({"id": 7}, "id"),
        ({"status": None}, "status"),
        ({"livemode": "perhaps"}, "livemode"),
        ({"customer": "c" * 300}, "customer"),
        ({"cancel_at": 10**12}, "cancel_at"),
        ({"items": {"data": [{"id": "si"}] * 501}}, "items"),
        ({"pause_collection": {"resumes_at": 5}}, "pause_collection.behavior"),
    ],
)
def test_what_cannot_be_read_is_named_without_its_value(change: dict[str, Any], named: str) -> None:
    with pytest.raises(UnreadableEvent, match=named) as caught:
        read_subscription(TODAY | change)
    assert "ccc" not in caught.value.message


def test_a_subscription_from_before_2014_keeps_its_old_id() -> None:
    assert read_subscription(TODAY | {"id": "su_1"}).id == "su_1"


def test_a_subscription_without_a_customer_cannot_be_mirrored() -> None:
    with pytest.raises(UnreadableEvent, match="names no customer"):
        read_subscription(TODAY | {"customer": None})


@pytest.mark.parametrize(
    ("status", "paused", "kind"),
    [
        ("active", True, "collection"),
        ("active", False, None),
        ("paused", False, "subscription"),
        ("paused", True, "subscription"),
        ("canceled", True, None),
    ],
)
def test_the_two_pauses_are_told_apart(status: str, paused: bool, kind: str | None) -> None:  # noqa: FBT001
    pause = {"behavior": "void"} if paused else None
    assert read_subscription(TODAY | {"status": status, "pause_collection": pause}).pause_kind == kind


# ------------------------------------------------------------------ test_pause
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
