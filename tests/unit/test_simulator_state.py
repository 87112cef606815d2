from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.stripe_simulator.answers import list_page
from local.stripe_simulator.deliveries import Deliveries, Delivery
from local.stripe_simulator.errors import ApiError
from local.stripe_simulator.faults import Faults, RateLimit
from local.stripe_simulator.hosted_pages import date_text, price_text
from local.stripe_simulator.parameters import merged
from local.stripe_simulator.resources.events import changes
from local.stripe_simulator.resources.periods import Period, add_interval, period_at
from local.stripe_simulator.store import Clock, DueChanges, StoredObjects

INTERVALS = st.tuples(st.sampled_from(["day", "week", "month", "year"]), st.integers(1, 6))
MOMENTS = st.integers(1_500_000_000, 2_000_000_000)


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


@given(MOMENTS, INTERVALS, MOMENTS)
def test_every_moment_lies_in_exactly_one_period(anchor: int, interval: tuple[str, int], now: int) -> None:
    period = period_at(anchor, *interval, now)
    assert period.start <= now < period.end
    assert period_at(anchor, *interval, period.start) == period
    assert period_at(anchor, *interval, period.end).start == period.end


def test_months_that_are_too_short_end_at_their_last_day() -> None:
    anchor = at("2024-01-31")
    assert add_interval(anchor, "month", 1) == at("2024-02-29")
    assert period_at(anchor, "month", 1, at("2024-03-15")) == Period(at("2024-02-29"), at("2024-03-31"))
    assert add_interval(at("2024-02-29"), "year", 1) == at("2025-02-28")


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 1)), max_size=12), st.integers(1, 4))
def test_paging_yields_everything_once_in_order_in_both_directions(made: list[tuple[int, int]], limit: int) -> None:
    collection = StoredObjects("thing")
    for number, (created, owner) in enumerate(made):
        collection.add({"id": f"t_{number}", "created": created, "customer": f"c_{owner}"})
    for customer in [None, "c_0"]:
        mine = [n for n in range(len(made)) if customer in {None, f"c_{made[n][1]}"}]
        newest_first = [f"t_{n}" for n in sorted(mine, key=lambda n: (made[n][0], n), reverse=True)]
        assert walk(collection, customer, limit, "starting_after") == newest_first
        assert walk(collection, customer, limit, "ending_before") == newest_first[::-1]


def walk(collection: StoredObjects, customer: str | None, limit: int, direction: str) -> list[str]:
    """Follow the pages as the library does; backwards it needs a first cursor, which is put below everything."""
    seen: list[str] = []
    params: dict[str, Any] = {"limit": limit}
    backwards = direction == "ending_before"
    if backwards:
        collection.add({"id": "t_least", "created": -1, "customer": None})
        params["ending_before"] = "t_least"
    while True:
        found = list_page(collection, params, "/v1/things", customer=customer)
        ids = [one["id"] for one in found["data"]]
        seen += ids[::-1] if backwards else ids
        if not found["has_more"]:
            break
        params[direction] = seen[-1]
    if backwards:
        collection.remove("t_least")
    return seen


def test_a_list_refuses_two_cursors_and_strange_limits() -> None:
    collection = StoredObjects("thing")
    collection.add({"id": "t_1", "created": 1})
    for params in ({"limit": 0}, {"limit": 101}, {"starting_after": "t_1", "ending_before": "t_1"}):
        with pytest.raises(ApiError):
            list_page(collection, params, "")


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a": 1}, {"a": 1}, {}),
        ({"a": None}, {"a": {"b": 1}}, {"a": None}),
        ({"a": {"b": 1}}, {"a": None}, {"a": {"b": 1}}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, {"a": {"c": 2}}),
        ({"m": {}}, {"m": {"new": "1"}}, {"m": {"new": None}}),
        ({"l": [1, 2]}, {"l": [1, 3]}, {"l": [1, 2]}),
    ],
)
def test_previous_attributes_are_the_old_values_of_what_changed(before: Any, after: Any, expected: Any) -> None:
    assert changes(before, after) == expected


def test_metadata_is_set_key_by_key_and_cleared_by_emptiness() -> None:
    assert merged({"a": "1", "b": "2"}, {"a": "", "c": "3"}) == {"b": "2", "c": "3"}
    assert merged({"a": "1"}, "") == {}
    assert merged({"a": "1"}, None) == {"a": "1"}


def test_the_clock_keeps_its_offset() -> None:
    clock = Clock(1_720_000_000)
    assert clock.now() - 1_720_000_000 <= 1
    assert clock.http_date().startswith("Wed, 03 Jul 2024 09:46:4")
    clock.set(None)
    assert clock.offset == 0


def test_an_outdated_entry_of_the_queue_is_no_change() -> None:
    ends: dict[str, int] = {}
    due_changes = DueChanges(ends, {})
    items = {"data": [{"current_period_end": 100}]}
    subscription: Any = {"id": "sub_1", "status": "active", "cancel_at": None, "trial_end": None, "items": items}
    due_changes.add(subscription)
    assert due_changes.pop_due(99) is None
    assert due_changes.pop_due(100) == "sub_1"
    assert due_changes.due_at({**subscription, "status": "paused"}) is None
    ends["sub_1"] = 50
    assert due_changes.due_at({**subscription, "status": "paused"}) == 50
    assert due_changes.due_at({**subscription, "status": "canceled"}) is None


def test_failures_are_used_up_by_the_requests_they_match() -> None:
    faults = Faults.read({"fail": [{"status": 404, "path": "/v1/a", "times": 1}]})
    faults.check_failure("GET", "/v1/b")
    with pytest.raises(ApiError) as caught:
        faults.check_failure("GET", "/v1/abc")
    assert caught.value.status == 404
    faults.check_failure("GET", "/v1/abc")
    with pytest.raises(TypeError):
        Faults.read({"wish": 1})


def test_the_rate_limit_is_off_at_zero() -> None:
    limit = RateLimit()
    for _ in range(50):
        limit.check("GET /v1/customers", 0)
    limit.check("GET /v1/customers", 1)
    with pytest.raises(ApiError):
        limit.check("GET /v1/customers", 1)


def test_deliveries_wait_for_their_workers() -> None:
    deliveries = Deliveries(Clock(), Clock(), Faults, 2.0)
    event: dict[str, Any] = {"id": "evt_1"}
    deliveries.send(event, [Delivery(event, {"id": name}, event) for name in ("we_1", "we_2")])
    assert event["pending_webhooks"] == 2
    assert not deliveries.is_delivered("evt_1")
    assert deliveries.is_delivered("evt_none")
    assert not deliveries.wait_until_idle(0)
    deliveries.close()
    assert deliveries.wait_until_idle(0)


@pytest.mark.parametrize(
    ("amount", "currency", "every", "quantity", "text"),
    [
        ("1200", "eur", ("month", 1), 1, "12.00 EUR / month"),
        ("500", "jpy", ("month", 3), 2, "500 JPY / 3 months x 2"),
        ("0.5", "usd", ("day", 1), None, "0.005 USD / day"),
        (None, "usd", ("year", 1), 1, "Tiered / year"),
    ],
)
def test_prices_read_as_people_write_them(
    amount: str | None, currency: str, every: tuple[str, int], quantity: int | None, text: str
) -> None:
    recurring = {"interval": every[0], "interval_count": every[1]}
    price = {"unit_amount_decimal": amount, "currency": currency, "recurring": recurring}
    assert price_text(price, quantity) == text
    assert date_text(at("2024-08-01")) == "1 August 2024"
