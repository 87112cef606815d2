from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.stripe.money import (
    add_amounts,
    in_major_units,
    monthly_amount,
    price_in_major_units,
    written_amount,
    written_amounts,
)
from shared.stripe.subscription import Subscription, SubscriptionItem, read_subscription

ITEM = SubscriptionItem(
    id="si_1",
    quantity=1,
    unit_amount_decimal="1000",
    currency="eur",
    interval="month",
    usage_type="licensed",
    billing_scheme="per_unit",
)


def subscription(*items: SubscriptionItem, currency: str | None = "eur") -> Subscription:
    return Subscription(id="sub_1", customer_id="cus_1", status="active", livemode=True, currency=currency, items=items)


@pytest.mark.parametrize(
    ("interval", "interval_count", "expected"),
    [
        ("month", 1, "10.00 EUR"),
        ("month", 3, "3.33 EUR"),
        ("year", 1, "0.83 EUR"),
        ("year", 2, "0.42 EUR"),
        ("week", 1, "43.45 EUR"),
        ("week", 2, "21.73 EUR"),
        ("day", 1, "304.17 EUR"),
        ("day", 30, "10.14 EUR"),
    ],
)
def test_every_interval_becomes_a_month(interval: str, interval_count: int, expected: str) -> None:
    monthly = monthly_amount(subscription(replace(ITEM, interval=interval, interval_count=interval_count)))
    assert written_amounts(monthly.amounts).say("en") == expected
    assert monthly.unknown == ()


def test_seven_days_are_a_week_and_twelve_months_a_year() -> None:
    day_by_day = monthly_amount(subscription(replace(ITEM, interval="day", interval_count=7)))
    assert day_by_day == monthly_amount(subscription(replace(ITEM, interval="week")))
    month_by_month = monthly_amount(subscription(replace(ITEM, interval="month", interval_count=12)))
    assert month_by_month == monthly_amount(subscription(replace(ITEM, interval="year")))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"usage_type": "metered"}, "a usage-based price"),
        ({"billing_scheme": "tiered"}, "a tiered price"),
        ({"billing_scheme": "of_next_year"}, "a tiered price"),
        ({"unit_amount_decimal": None}, "a price without a fixed amount"),
        ({"unit_amount_decimal": "NaN"}, "a price without a fixed amount"),
        ({"unit_amount_decimal": "1e99999"}, "a price without a fixed amount"),
        ({"unit_amount_decimal": "-5"}, "a price without a fixed amount"),
        ({"quantity": None}, "a price without a quantity"),
        ({"interval": None}, "a price with an unknown interval"),
        ({"interval": "decade"}, "a price with an unknown interval"),
        ({"currency": None}, "a price without a currency"),
        ({"currency": "=1+1"}, "a price without a currency"),
        ({"currency": "usd"}, "a price in another currency than the subscription's"),
        ({"quantity_divide_by": 10}, "a package price without a rounding rule"),
    ],
)
def test_what_cannot_be_priced_is_unknown_with_its_reason_and_never_guessed(
    change: dict[str, Any], reason: str
) -> None:
    monthly = monthly_amount(subscription(replace(ITEM, **change)))
    assert monthly.amounts == {}
    assert [each.say("en") for each in monthly.unknown] == [reason]
    assert not monthly.is_zero


def test_a_subscription_without_items_is_unknown() -> None:
    assert [each.say("en") for each in monthly_amount(subscription()).unknown] == ["the subscription shows no items"]


def test_items_are_summed_and_the_unknown_part_is_named_once() -> None:
    metered = replace(ITEM, usage_type="metered")
    monthly = monthly_amount(subscription(ITEM, replace(ITEM, quantity=3), metered, metered))
    assert monthly.amounts == {"eur": Decimal(4000)}
    assert [reason.say("en") for reason in monthly.unknown] == ["a usage-based price"]


def test_items_of_an_old_subscription_that_names_no_currency_are_summed_by_currency() -> None:
    monthly = monthly_amount(subscription(ITEM, replace(ITEM, currency="usd"), currency=None))
    assert monthly.amounts == {"eur": Decimal(1000), "usd": Decimal(1000)}


def test_a_price_from_before_metered_and_tiered_prices_is_licensed_per_unit() -> None:
    assert monthly_amount(subscription(replace(ITEM, usage_type=None, billing_scheme=None))).amounts == {
        "eur": Decimal(1000)
    }


@pytest.mark.parametrize(
    ("quantity", "rounding", "packages"), [(11, "up", 2), (10, "up", 1), (11, "down", 1), (9, "down", 0)]
)
def test_a_package_price_divides_the_quantity_first(quantity: int, rounding: str, packages: int) -> None:
    item = replace(ITEM, quantity=quantity, quantity_divide_by=10, quantity_round=rounding)
    assert monthly_amount(subscription(item)).amounts == {"eur": Decimal(1000 * packages)}


def test_stripes_json_of_a_package_price_is_understood() -> None:
    price = {
        "id": "price_1",
        "currency": "usd",
        "unit_amount": 1000,
        "unit_amount_decimal": "1000",
        "billing_scheme": "per_unit",
        "recurring": {"interval": "month", "interval_count": 1, "usage_type": "licensed"},
        "transform_quantity": {"divide_by": 5, "round": "up"},
    }
    raw = {
        "id": "sub_1",
        "customer": "cus_1",
        "status": "active",
        "livemode": False,
        "currency": "usd",
        "items": {"data": [{"id": "si_1", "quantity": 12, "price": price}]},
    }
    assert monthly_amount(read_subscription(raw)).amounts == {"usd": Decimal(3000)}


def test_a_price_of_zero_is_known_to_be_nothing() -> None:
    assert monthly_amount(subscription(replace(ITEM, unit_amount_decimal="0"))).is_zero
    assert not monthly_amount(subscription(ITEM)).is_zero


@pytest.mark.parametrize(
    ("amount", "currency", "expected"),
    [
        ("123450", "eur", "1,234.50 EUR"),
        ("0", "usd", "0.00 USD"),
        ("500", "jpy", "500 JPY"),
        ("1234567", "krw", "1,234,567 KRW"),
        ("500.5", "jpy", "501 JPY"),
        ("5124", "kwd", "5.124 KWD"),
        ("5", "bhd", "0.005 BHD"),
        ("500", "ugx", "5.00 UGX"),
        ("500", "isk", "5.00 ISK"),
        ("0.5", "eur", "0.01 EUR"),
        ("0.4", "eur", "0.00 EUR"),
    ],
)
def test_an_amount_is_written_with_the_places_of_its_currency(amount: str, currency: str, expected: str) -> None:
    assert written_amount(Decimal(amount), currency).say("en") == expected


@pytest.mark.parametrize(
    ("amount", "currency", "expected"),
    [
        ("1250", "eur", "12.50"),
        ("0.25", "eur", "0.0025"),
        ("125000.5", "eur", "1250.005"),
        ("500", "jpy", "500"),
        ("0", "usd", "0.00"),
        (None, "eur", None),
        ("1250", None, None),
        ("NaN", "eur", None),
        ("-5", "eur", None),
    ],
)
def test_a_price_in_the_main_unit_is_exact(amount: str | None, currency: str | None, expected: str | None) -> None:
    found = price_in_major_units(amount, currency)
    assert (None if found is None else str(found)) == expected


def test_no_amounts_are_written_as_nothing_and_several_are_joined() -> None:
    assert not written_amounts({})
    assert written_amounts({"eur": Decimal(100), "jpy": Decimal(5)}).say("en") == "1.00 EUR and 5 JPY"
    three = {"eur": Decimal(100), "jpy": Decimal(5), "usd": Decimal(700)}
    assert written_amounts(three).say("en") == "1.00 EUR, 5 JPY and 7.00 USD"


def test_rounding_happens_once_after_the_sum() -> None:
    yearly = monthly_amount(subscription(replace(ITEM, interval="year"))).amounts
    assert in_major_units(add_amounts([yearly] * 12)["eur"], "eur") == Decimal("10.00")


def test_the_largest_subscription_that_can_be_read_has_an_amount() -> None:
    item = replace(ITEM, unit_amount_decimal="9" * 40, quantity=10**15 - 1, interval="day")
    assert written_amounts(monthly_amount(subscription(item)).amounts).say("en").endswith(" EUR")


ITEMS = st.builds(
    replace,
    st.just(ITEM),
    quantity=st.integers(0, 10**6),
    unit_amount_decimal=st.decimals(0, 10**9, places=4).map(lambda amount: f"{amount:f}"),
    currency=st.sampled_from(["eur", "usd", "jpy"]),
    interval=st.sampled_from(["day", "week", "month", "year"]),
    interval_count=st.integers(1, 365),
)


@given(st.lists(ITEMS, min_size=1, max_size=8), st.randoms())
def test_the_sum_is_the_same_in_every_order_and_however_it_is_split(items: list[SubscriptionItem], random: Any) -> None:
    whole = monthly_amount(subscription(*items, currency=None))
    shuffled = random.sample(items, len(items))
    parts = [monthly_amount(subscription(item, currency=None)).amounts for item in shuffled]
    summed = add_amounts(parts)
    assert whole.unknown == ()
    assert list(whole.amounts) == sorted({str(item.currency) for item in items})
    for currency, amount in whole.amounts.items():
        assert abs(amount - summed[currency]) < Decimal("1e-30")


@given(ITEMS, st.integers(1, 12))
def test_paying_less_often_never_costs_more_a_month(item: SubscriptionItem, times: int) -> None:
    now = monthly_amount(subscription(item, currency=None)).amounts
    rarer = replace(item, interval_count=item.interval_count * times)
    later = monthly_amount(subscription(rarer, currency=None)).amounts
    assert all(later[currency] <= now[currency] for currency in now)
