"""Customers with more subscriptions or schedules than one page of Stripe's lists has."""

from collections.abc import Mapping
from typing import Any

import pytest

from functions.pause.caller import Caller
from functions.pause.look import Brand
from functions.pause.page import PausePages, Visit
from functions.pause.portal_pause import PortalPauses
from shared.deadline import deadline
from shared.pausing.at_stripe import MOST_SUBSCRIPTIONS, StripePauses
from shared.pausing.history import PauseState
from shared.pausing.plan import Begin
from tests.canned_stripe import CannedStripe
from tests.integration.pausing_world import LINKS, OPEN, Crashed, World, pauses, world
from tests.integration.simulator_fixtures import server

__all__ = ["pauses", "server", "world"]

LIST = "/v1/subscriptions"


def test_a_customer_with_101_subscriptions_sees_all_of_them(world: World) -> None:
    made = [world.subscribe() for _ in range(101)]
    listed = world.pausing.views(world.customer, OPEN)
    assert {view.at.subscription.id for view in listed.views} == {*made}
    assert not listed.has_more


def test_a_link_for_one_subscription_shows_that_one_however_many_there_are(world: World) -> None:
    first, _second = world.subscribe(), world.subscribe()
    world.requests.clear()
    (view,) = world.pausing.views(world.customer, OPEN, only=first).views
    assert (view.at.subscription.id, world.requests) == (first, [f"get {LIST}/{first}"])


def test_a_link_for_one_subscription_shows_neither_somebody_elses_nor_one_that_has_ended(world: World) -> None:
    theirs, ended = world.subscribe(), world.subscribe()
    world.stripe.v1.subscriptions.cancel(ended)
    owner, world.customer = world.customer, world.stripe.v1.customers.create({"payment_method": "pm_card_visa"}).id
    for customer, only in ((world.customer, theirs), (owner, ended), (owner, "sub_missing")):
        assert world.pausing.views(customer, OPEN, only=only).views == []


def test_a_pause_whose_schedule_is_followed_by_a_hundred_others_of_the_customer_is_known_as_ours(world: World) -> None:
    """Its response was lost, and the schedule was released: only the list of schedules still says whose it was."""
    subscription = world.subscribe()
    world.crash_at = 3
    with pytest.raises(Crashed):
        world.pause(subscription, world.day(60), Begin.NOW, policy=OPEN.with_changes({"pause_now": "forfeit"}))
    world.stripe.v1.subscription_schedules.release(str(world.read(subscription)["schedule"]))
    for _ in range(101):
        world.stripe.v1.subscription_schedules.create({"from_subscription": world.subscribe()})
    world.go_to(world.now + 300)
    world.tick(subscription)
    record = world.record(subscription)
    assert (record.state, record.failure, world.actions(subscription)[:2]) == (
        PauseState.ENDED,
        None,
        ["set", "begun"],
    )


def raw(number: int, **changes: Any) -> dict[str, Any]:
    made = {"id": f"sub_{number}", "customer": "cus_1", "status": "active", "livemode": False, "items": {"data": []}}
    return made | changes


class Endless(CannedStripe):
    """A customer with 10,000 subscriptions."""

    def __init__(self, **changes: Any) -> None:
        def page(query: Mapping[str, str]) -> dict[str, Any]:
            first = int(query.get("starting_after", "sub_-1").removeprefix("sub_")) + 1
            data = [raw(number, **changes) for number in range(first, min(first + 100, 10_000))]
            return {"data": data, "has_more": first + 100 < 10_000}

        super().__init__({LIST: page, "/v1/subscription_items": {"data": [], "has_more": False}})


def test_of_ten_thousand_subscriptions_as_many_are_read_as_a_request_has_time_for() -> None:
    stripe = Endless()
    found = StripePauses(stripe.client()).of_customer("cus_1")
    ids = [each.subscription.id for each in found.subscriptions]
    assert (ids, found.has_more) == ([f"sub_{number}" for number in range(MOST_SUBSCRIPTIONS)], True)
    assert len(stripe.asked) == MOST_SUBSCRIPTIONS / 100


def test_near_the_deadline_no_other_page_is_begun() -> None:
    stripe = Endless()
    with deadline(4):
        found = StripePauses(stripe.client()).of_customer("cus_1")
    assert (len(found.subscriptions), found.has_more, stripe.asked) == (100, True, [f"GET {LIST}"])


def test_items_that_a_list_leaves_out_are_read_and_near_the_deadline_such_subscriptions_are_left_out() -> None:
    """A plan that was made of a part of the items would be another one."""
    items = {"data": [], "has_more": True}
    with deadline(4):
        hurried = StripePauses(Endless(items=items).client()).of_customer("cus_1")
    assert (hurried.subscriptions, hurried.has_more) == ((), True)
    stripe = Endless(items=items)
    StripePauses(stripe.client()).of_customer("cus_1")
    assert stripe.asked.count("GET /v1/subscription_items") == MOST_SUBSCRIPTIONS


def test_who_has_more_subscriptions_than_are_shown_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.pausing.at_stripe._PAGE", 2)
    for _ in range(3):
        world.subscribe()
    pages = PausePages(
        world.pausing, Brand("Northwind"), LINKS, PortalPauses(lambda: world.stripe, {}, LINKS, lambda: 0)
    )
    visit = Visit("token-1", Caller(world.customer, world.policy), "en")
    words = "You have more subscriptions than are shown here."
    assert words not in pages.show(visit).html
    monkeypatch.setattr("shared.pausing.at_stripe.MOST_SUBSCRIPTIONS", 2)
    html = pages.show(visit).html
    assert words in html
    assert html.count("<section") == 2
