"""What a paused subscription would have brought: discounts taken off, and the invoices since a moment."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.stripe.money import (
    NO_DISCOUNTS,
    Discount,
    Discounts,
    missed_amount,
    monthly_amount,
    read_discounts,
)
from shared.stripe.periods import period_ends
from shared.stripe.subscription import Subscription, SubscriptionItem

NOW = int(datetime(2026, 11, 22, 6, tzinfo=UTC).timestamp())
FOREVER_FREE = {"percent_off": 100, "duration": "forever"}


def second(text: str) -> int:
    return int(datetime.fromisoformat(f"{text}T09:00:00+00:00").timestamp())


END = second("2026-12-05")
ITEM = SubscriptionItem(
    "si_1", "price_1", "prod_1", 1, "1250", "eur", "month", current_period_end=END, usage_type="licensed"
)
SUBSCRIPTION = Subscription("sub_1", "cus_1", "active", livemode=True, currency="eur", items=(ITEM,))


def raw(*coupons: dict[str, Any], end: int | None = None) -> dict[str, Any]:
    return {"discounts": [{"id": "di_1", "end": end, "source": {"type": "coupon", "coupon": each}} for each in coupons]}


def month(*coupons: dict[str, Any], subscription: Subscription = SUBSCRIPTION, end: int | None = None) -> Any:
    return monthly_amount(subscription, read_discounts(raw(*coupons, end=end), NOW))


def test_a_hundred_percent_for_ever_is_nothing_to_collect() -> None:
    assert month(FOREVER_FREE).is_zero
    missed = missed_amount(SUBSCRIPTION, read_discounts(raw(FOREVER_FREE), NOW), since=second("2024-03-01"), now=NOW)
    assert not any(missed.amounts.values())
    assert not missed.at_most


def test_before_2025_the_discount_held_its_coupon() -> None:
    old = {"discount": {"id": "di_1", "end": None, "coupon": FOREVER_FREE}}
    assert monthly_amount(SUBSCRIPTION, read_discounts(old, NOW)).is_zero


def test_shares_and_amounts_come_off_one_after_the_other() -> None:
    half, three = (
        {"percent_off": 50.0, "duration": "forever"},
        {"amount_off": 300, "currency": "eur", "duration": "forever"},
    )
    assert month(half, three).amounts == {"eur": Decimal(325)}
    assert month(three, half).amounts == {"eur": Decimal(475)}
    assert month({**three, "amount_off": 9999}).is_zero


def test_an_amount_comes_off_each_invoice_whatever_its_interval() -> None:
    yearly = replace(SUBSCRIPTION, items=(replace(ITEM, interval="year", unit_amount_decimal="12000"),))
    assert month({"amount_off": 6000, "currency": "eur", "duration": "forever"}, subscription=yearly).amounts == {
        "eur": Decimal(500)
    }


def test_a_discount_that_has_ended_takes_nothing_off() -> None:
    assert month({**FOREVER_FREE, "duration": "repeating"}, end=NOW).amounts == {"eur": Decimal(1250)}
    assert month({**FOREVER_FREE, "duration": "repeating"}, end=NOW + 1).is_zero


@pytest.mark.parametrize(
    ("given_raw", "reason"),
    [
        ({"discounts": ["di_1"]}, "whose terms are not known"),
        ({"discounts": [{"id": "di_1", "source": {"coupon": "co_1"}}]}, "whose terms are not known"),
        ({"discounts": [{"id": "di_1", "source": {"type": "script"}}]}, "whose terms are not known"),
        ({"items": {"data": [{"discounts": ["di_1"]}]}}, "whose terms are not known"),
        (raw({"percent_off": 100, "duration": "once"}), "on one invoice"),
        (raw({"percent_off": 100, "duration": "of_tomorrow"}), "whose terms are not known"),
        (raw({"amount_off": 500, "currency": "usd", "duration": "forever"}), "in another currency"),
    ],
)
def test_what_cannot_be_reckoned_is_not_taken_off_and_makes_the_amount_the_most(
    given_raw: dict[str, Any], reason: str
) -> None:
    found = monthly_amount(SUBSCRIPTION, read_discounts(given_raw, NOW))
    assert found.amounts == {"eur": Decimal(1250)}
    assert reason in found.at_most[0].say("en")
    assert not found.is_zero


def test_a_coupon_may_be_for_one_of_several_products_only() -> None:
    two = replace(SUBSCRIPTION, items=(ITEM, replace(ITEM, id="si_2", product_id="prod_2")))
    found = month(FOREVER_FREE, subscription=two)
    assert found.amounts == {"eur": Decimal(2500)}
    assert "some of the products" in found.at_most[0].say("en")


def test_the_amount_of_several_intervals_has_no_single_invoice() -> None:
    two = replace(SUBSCRIPTION, items=(ITEM, replace(ITEM, id="si_2", interval="year")))
    found = month({"amount_off": 100, "currency": "eur", "duration": "forever"}, subscription=two)
    assert "several intervals" in found.at_most[0].say("en")


percents = st.integers(1, 100).map(lambda share: Discount("forever", percent_off=Decimal(share)))
amounts_off = st.integers(1, 3000).map(lambda cents: Discount("forever", amount_off=Decimal(cents), currency="eur"))
unknowable = st.sampled_from([Discount("once", percent_off=Decimal(100)), Discount(None, amount_off=Decimal(1))])


@given(st.lists(percents | amounts_off, max_size=4), st.data())
def test_an_amount_that_is_the_most_is_never_below_the_invoice(known: list[Discount], data: st.DataObject) -> None:
    """Stripe takes the discounts off in their order; what we cannot reckon stands anywhere among them."""
    charged = Decimal(1250)
    for each in known:
        charged = charged * (1 - each.percent_off / 100) if each.percent_off else max(0, charged - each.amount_off)  # type: ignore[operator, assignment]
    exact = monthly_amount(SUBSCRIPTION, Discounts(tuple(known)))
    assert exact.amounts["eur"] == charged
    assert not exact.at_most
    place = data.draw(st.integers(0, len(known)))
    mixed = (*known[:place], data.draw(unknowable), *known[place:])
    bound = monthly_amount(SUBSCRIPTION, Discounts(mixed))
    assert bound.at_most
    assert bound.amounts["eur"] >= charged


# ------------------------------------------------------------------ the invoices since a pause began


def missed(
    since: str, subscription: Subscription = SUBSCRIPTION, discounts: Discounts = NO_DISCOUNTS, **more: Any
) -> Any:
    return missed_amount(subscription, discounts, since=second(since), now=NOW, **more)


def test_one_invoice_is_missed_at_the_end_of_each_period() -> None:
    assert missed("2026-11-06").amounts == {"eur": Decimal(0)}
    assert missed("2026-11-04").amounts == {"eur": Decimal(1250)}
    assert missed("2024-03-01").amounts == {"eur": Decimal(1250) * 33}


def test_an_invoice_at_the_very_moment_is_not_missed_and_one_of_now_is() -> None:
    end = replace(SUBSCRIPTION, items=(replace(ITEM, current_period_end=NOW),))
    assert missed_amount(end, NO_DISCOUNTS, since=NOW - 1, now=NOW).amounts == {"eur": Decimal(1250)}
    assert missed_amount(end, NO_DISCOUNTS, since=NOW, now=NOW).amounts == {"eur": Decimal(0)}
    assert missed_amount(end, NO_DISCOUNTS, since=NOW - 2, now=NOW - 1).amounts == {"eur": Decimal(0)}


def test_every_item_is_counted_by_its_own_interval() -> None:
    yearly = replace(
        ITEM, id="si_2", interval="year", unit_amount_decimal="10000", current_period_end=second("2027-01-05")
    )
    daily = replace(ITEM, id="si_3", interval="day", unit_amount_decimal="1", current_period_end=NOW + 60)
    both = replace(SUBSCRIPTION, items=(ITEM, yearly, daily))
    assert missed("2025-12-31", both).amounts == {"eur": Decimal(1250 * 11 + 10000 + 325)}


def test_a_trial_and_the_time_before_it_was_created_have_no_invoices() -> None:
    assert missed("2020-01-01", replace(SUBSCRIPTION, created=second("2026-09-05"))).amounts == {"eur": Decimal(2500)}
    assert missed("2020-01-01", replace(SUBSCRIPTION, trial_end=second("2026-10-05"))).amounts == {"eur": Decimal(2500)}


def test_what_is_not_known_of_the_items_or_the_discounts_makes_it_a_bound() -> None:
    metered = replace(SUBSCRIPTION, items=(ITEM, replace(ITEM, id="si_2", usage_type="metered")))
    assert (missed("2026-11-04", metered).at_least, missed("2026-11-04").at_least) == (True, False)
    repeating = Discounts((Discount("repeating", percent_off=Decimal(50)),))
    found = missed("2026-11-04", discounts=repeating)
    assert (found.amounts, found.at_most) == ({"eur": Decimal(1250)}, True)
    half = Discounts((Discount("forever", percent_off=Decimal(50)),))
    assert missed("2026-10-04", discounts=half).amounts == {"eur": Decimal(1250)}


def test_the_end_of_a_month_keeps_the_anchors_day() -> None:
    item = replace(ITEM, current_period_end=second("2026-02-28"))
    ends = list(period_ends(item, after=second("2025-10-01"), anchor=second("2024-01-31")))
    assert [str(datetime.fromtimestamp(each, UTC).date()) for each in ends] == [
        "2026-02-28",
        "2026-01-31",
        "2025-12-31",
        "2025-11-30",
        "2025-10-31",
    ]


@pytest.mark.parametrize("item", [replace(ITEM, current_period_end=None), replace(ITEM, interval="fortnight")])
def test_an_item_without_a_period_has_none(item: SubscriptionItem) -> None:
    assert list(period_ends(item, after=0)) == []
