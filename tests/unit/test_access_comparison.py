"""The company's list against the mirror: who is found, why, since when, and in how much memory."""

import tracemalloc
from collections.abc import Iterable, Iterator
from dataclasses import replace
from io import BytesIO
from typing import Any

import pytest

from shared.access import AccessPolicy, Reason, customer_access
from shared.access_comparison import AccessComparison, AccessDifference, DifferenceKind
from shared.mirror.items import Beginnings, MirroredSubscription
from shared.served_list import BadLine, ListedCustomer, ServedList
from shared.stripe.subscription import SubscriptionItem
from tests.access_cases import DEFAULTS, MONTHLY, PAID, SEEN_PAUSE, VOID, day

NOW = day("10 Apr")
PRICED = replace(MONTHLY.items[0], unit_amount_decimal="1200", currency="eur")


def mirrored(customer: str, *, beginnings: Beginnings = PAID, **fields: Any) -> MirroredSubscription:
    wanted = {"id": f"sub_{customer[4:]}", "customer_id": customer, "items": (PRICED,), **fields}
    return MirroredSubscription(replace(MONTHLY, **wanted), day("2 Jan"), 1, beginnings=beginnings)


def paused(customer: str, **fields: Any) -> MirroredSubscription:
    return mirrored(customer, pause_collection=VOID, beginnings=SEEN_PAUSE, **fields)


class Table:
    """A mirror of these items, which counts how it is read; `later` is what a second look finds."""

    def __init__(self, items: Iterable[MirroredSubscription], later: Iterable[MirroredSubscription] = ()) -> None:
        self._items, self._later = list(items), {item.subscription.id: item for item in later}
        self.scans = self.queries = 0

    def all(self) -> Iterator[MirroredSubscription]:
        self.scans += 1
        yield from self._items

    def of_customer(self, customer_id: str) -> Iterator[MirroredSubscription]:
        self.queries += 1
        for item in self._items:
            if item.subscription.customer_id == customer_id:
                yield self._later.get(item.subscription.id, item)


def comparison(table: Any, **options: Any) -> AccessComparison:
    wanted: dict[str, Any] = {"policy": AccessPolicy(), "now": lambda: NOW, **options}
    # None of these tests asks Stripe.
    return AccessComparison(table, None, None, **wanted)  # type: ignore[arg-type]


def compared(text: str, table: Any, **options: Any) -> list[AccessDifference]:
    run = comparison(table, **options)
    run.read_list(ServedList(BytesIO(text.encode())).rows(), bad=lambda _: None)
    run.read_mirror()
    return list(run.differences())


def kinds(found: Iterable[AccessDifference]) -> dict[str, str]:
    return {each.customer_id: each.kind.value for each in found}


def test_each_way_to_differ_is_found_with_the_reason_and_the_money() -> None:
    table = Table(
        [mirrored("cus_good"), paused("cus_leak"), mirrored("cus_locked"), mirrored("cus_lost"), paused("cus_off")]
    )
    found = compared("customer,served\ncus_good,yes\ncus_leak,yes\ncus_locked,no\ncus_off,no\n", table)
    assert kinds(found) == {"cus_leak": "served_without_access", "cus_locked": "not_served", "cus_lost": "not_listed"}
    leak, locked, lost = found
    assert (leak.line, leak.reason, leak.since) == (3, Reason.COLLECTION_PAUSED, day("1 Mar"))
    assert str(leak.monthly.amounts["eur"]) == "2400"
    assert (locked.line, locked.reason, locked.since) == (4, Reason.ACTIVE, None)
    assert lost.line is None
    assert (table.scans, table.queries) == (1, 3)


def test_a_customer_whose_event_has_come_meanwhile_is_not_reported() -> None:
    table = Table([paused("cus_1")], later=[mirrored("cus_1")])
    assert compared("customer,served\ncus_1,yes\n", table) == []


def test_of_several_subscriptions_and_of_several_lines_one_is_enough() -> None:
    table = Table([paused("cus_1"), mirrored("cus_1", id="sub_other")])
    assert compared("customer,served\ncus_1,yes\n", table) == []
    assert compared("customer,served\ncus_1,no\ncus_1,yes\ncus_1,no\n", table) == []
    (found,) = compared("customer,served\ncus_1,no\ncus_1,no\n", table)
    assert (found.kind, found.line) == (DifferenceKind.NOT_SERVED, 2)


def test_somebody_without_subscription_who_is_not_served_is_right() -> None:
    assert compared("customer,served\ncus_free,no\n", Table([])) == []


def test_another_accounts_subscription_gives_no_service() -> None:
    item = replace(mirrored("cus_1"), account="acct_other")
    table = Table([item, mirrored("cus_2")])
    found = compared("customer,served\ncus_1,no\ncus_2,no\n", table, account="acct_own")
    assert kinds(found) == {"cus_2": "not_served"}


def test_a_list_with_products_is_compared_product_by_product() -> None:
    other = SubscriptionItem("si_2", "price_2", "prod_2", 1)
    both = mirrored("cus_1", items=(*MONTHLY.items, other))
    table = Table([both, paused("cus_2")])
    text = "customer,product,served\ncus_1,prod_1,yes\ncus_1,prod_3,yes\ncus_2,prod_1,yes\n"
    found = compared(text, table)
    assert [(each.customer_id, each.product, each.kind.value, each.reason.value) for each in found] == [
        ("cus_1", "prod_3", "served_without_access", "product_not_subscribed"),
        ("cus_2", "prod_1", "served_without_access", "collection_paused"),
        ("cus_1", "prod_2", "not_listed", "active"),
    ]
    assert compared("customer,product,served\ncus_1,,yes\n", Table([both])) == []


def test_one_product_for_the_whole_list() -> None:
    table = Table([mirrored("cus_1"), mirrored("cus_2", items=(SubscriptionItem("si_2", "price_2", "prod_2", 1),))])
    found = compared("customer,served\ncus_1,yes\ncus_2,yes\n", table, product="prod_1")
    assert kinds(found) == {"cus_2": "served_without_access"}
    assert found[0].reason is Reason.PRODUCT_NOT_SUBSCRIBED


@pytest.mark.parametrize("case", DEFAULTS, ids=lambda case: f"{case.state}, {case.on}")
@pytest.mark.parametrize("listed", ["yes", "no"])
def test_the_comparison_decides_as_the_access_function_does(case: Any, listed: str) -> None:
    now = day(case.on)
    answer = customer_access("cus_1", [case.item], now=now, policy=AccessPolicy())
    found = compared(f"customer,served\ncus_1,{listed}\n", Table([case.item]), now=lambda: now)
    assert bool(found) == (answer.granted != (listed == "yes"))
    for each in found:
        assert each.reason is answer.reason
        assert each.since is None or (not answer.granted and each.since <= now)


SINCE = {
    "the same, after the paid period": "1 Mar",
    "the same, after 14 days": "15 Apr",
    "`status=paused`": "10 Feb",
    "`canceled` on 10 Apr, at once": "10 Apr",
    "`unpaid`": "1 Apr",
    "`incomplete`: the first payment is missing": "1 Jan",
    "the same, though no event has told of the end yet": "1 May",
}


@pytest.mark.parametrize("case", [each for each in DEFAULTS if each.state in SINCE], ids=lambda case: case.state)
def test_it_is_said_since_when_there_should_be_no_service(case: Any) -> None:
    now = day(case.on)
    (found,) = compared("customer,served\ncus_1,yes\n", Table([case.item]), now=lambda: now)
    assert found.since == day(SINCE[case.state])


class Endless:
    """A mirror of so many customers, each made when it is asked for."""

    def __init__(self, customers: int) -> None:
        self._customers = customers

    def all(self) -> Iterator[MirroredSubscription]:
        item = mirrored("cus_0")
        for number in range(self._customers):
            yield replace(item, subscription=replace(item.subscription, customer_id=f"cus_{number:07}"))

    def of_customer(self, customer_id: str) -> Iterator[MirroredSubscription]:
        return iter([replace(mirrored(customer_id), subscription=replace(mirrored(customer_id).subscription))])


def rows(count: int) -> Iterator[ListedCustomer | BadLine]:
    return (ListedCustomer(number + 2, f"cus_{number:07}", True) for number in range(count))


def peak_of(count: int) -> int:
    tracemalloc.start()
    try:
        run = comparison(Endless(1000))
        run.read_list(rows(count), bad=lambda _: None)
        run.read_mirror()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_ten_times_the_lines_take_no_more_memory() -> None:
    few = peak_of(5_000)
    # 45,000 ids alone would take ten times as much.
    assert peak_of(50_000) < few + 300_000
