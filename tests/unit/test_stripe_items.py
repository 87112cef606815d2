"""Stripe embeds ten items of a subscription; all of them are read, wherever a subscription is."""

import pytest

from shared.stripe.gateway import read_from_stripe
from shared.stripe.lists import Window, WindowReader, subscription_pages
from shared.stripe.pacing import RateLimit, Retries
from shared.stripe.subscription import read_subscription
from tests.canned_stripe import CannedStripe, long_subscription
from tests.unit.test_rate_limit import Clock


def limit() -> RateLimit:
    clock = Clock()
    return RateLimit(100, clock=clock, sleep=clock.sleep)


@pytest.mark.parametrize(("count", "requests"), [(10, 1), (11, 2), (20, 2), (250, 4)])
def test_a_read_has_all_items(count: int, requests: int) -> None:
    canned = CannedStripe(long_subscription(count)[1])
    found = read_from_stripe(canned.client(), "sub_1")
    assert [item.id for item in found.subscription.items] == [f"si_{number}" for number in range(count)]
    assert len(canned.asked) == requests


def test_a_page_of_a_list_has_all_items_of_each() -> None:
    canned = CannedStripe(long_subscription(20)[1])
    (page,) = subscription_pages(canned.client(), Retries(limit()))
    assert len(read_subscription(page.data[0]).items) == 20
    assert canned.asked == ["GET /v1/subscriptions", "GET /v1/subscription_items"]


def test_the_pages_of_an_audit_have_all_items_of_each() -> None:
    canned = CannedStripe(long_subscription(20)[1])
    (page,) = WindowReader(canned.client(), limit(), [Window()], streams=1).pages()
    assert len(read_subscription(page.data[0]).items) == 20
