"""The portal's own pause in place of ours: where it suits, what is said of it, and what Stripe's failures change."""

import re
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import stripe

from functions.pause.answers import view_json
from functions.pause.caller import Caller
from functions.pause.look import Brand
from functions.pause.page import PausePages, Visit
from functions.pause.portal_pause import PortalPause, PortalPauses
from shared.cached_read import CACHE_SECONDS
from shared.deadline import seconds_left
from tests.integration.pausing_world import LINKS, OPEN, World, pauses, world
from tests.integration.simulator_fixtures import server

__all__ = ["pauses", "server", "world"]

OFF = OPEN.model_copy(update={"pause_allowed": "nobody"})
MONTH_OR_THREE = {
    "type": "interval_options",
    "interval_options": [{"interval": "month"}, {"interval": "month", "interval_count": 3}],
}


@dataclass
class Portal:
    """The portal of a company that offers no pauses of its own."""

    world: World
    groups: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.configure()
        self.pauses = PortalPauses(lambda: self.world.stripe, self.groups, LINKS, lambda: self.world.now)
        self.caller = Caller(self.world.customer, OFF)

    def configure(self, *, enabled: bool = True, duration: Any = None) -> None:
        features = {"subscription_pause": {"enabled": enabled, "duration": duration or MONTH_OR_THREE}}
        self.world.simulator.admin("POST", "default_configuration", {"features": features})

    def another_configuration(self, *, enabled: bool) -> str:
        feature: Any = {"enabled": enabled, "duration": {"type": "indefinite"}}
        features: Any = {"subscription_pause": feature, "invoice_history": {"enabled": True}}
        return self.world.stripe.v1.billing_portal.configurations.create({"features": features}).id

    def offer(self, subscription: str, caller: Caller | None = None) -> PortalPause | None:
        asking = caller or self.caller
        views = self.world.pausing.views(self.world.customer, asking.policy).views
        return self.pauses.offers(asking, views).get(subscription)

    def page(self, language: str = "en", caller: Caller | None = None) -> str:
        pages = PausePages(self.world.pausing, Brand("Northwind"), LINKS, self.pauses)
        return pages.show(Visit("token-1", caller or self.caller, language)).html

    def fail(self, **fault: Any) -> None:
        found = {"method": "GET", "path": "/v1/billing_portal/configurations", "times": 100} | fault
        self.world.simulator.admin("POST", "faults", {"fail": [found]})

    @property
    def reads(self) -> int:
        counts = self.world.simulator.admin("GET", "requests")
        return sum(count for name, count in counts.items() if "billing_portal/configurations" in name)


@pytest.fixture
def portal(world: World) -> Portal:
    return Portal(world)


def opened(world: World, subscription: str, group: str = "") -> str:
    names = filter(None, ("portal", world.customer, group, "subscription_pause", subscription))
    return f"https://api.example/portal?token={'.'.join(names)}"


def test_it_takes_the_place_of_pauses_that_the_company_does_not_offer(world: World, portal: Portal) -> None:
    subscription = world.subscribe()
    offer = portal.offer(subscription)
    assert offer is not None
    assert offer.url == opened(world, subscription)
    page = portal.page()
    assert f'href="{offer.url}">Pause in the customer portal<' in page
    assert "Lengths to choose from: 1 month, 3 months." in page
    assert "It is paid until 1 March 2027." in page
    assert "not offered" not in page
    assert "<form" not in page
    assert re.search(r"Durées au choix\s: 1\smois, 3\smois\.", portal.page("fr"))


def test_the_api_says_so_too(world: World, portal: Portal) -> None:
    subscription = world.subscribe()
    (view,) = world.pausing.views(world.customer, OFF).views
    shown = view_json(view, portal.offer(subscription), OFF, "en")
    lengths = [{"interval": "month", "interval_count": 1}, {"interval": "month", "interval_count": 3}]
    assert shown["portal_pause"] == {"url": opened(world, subscription), "lengths": lengths}
    assert [each["code"] for each in shown["refusals"]] == ["pauses_not_offered"]


def test_a_pause_without_an_end_is_called_one(world: World, portal: Portal) -> None:
    world.subscribe()
    portal.configure(duration={"type": "indefinite"})
    assert "You can pause it in the customer portal, until you resume it there." in portal.page()


def test_it_never_stands_beside_our_own(world: World, portal: Portal) -> None:
    """There the company's limits hold, and its mails are sent."""
    subscription = world.subscribe()
    own = replace(portal.caller, policy=OPEN)
    assert portal.offer(subscription, own) is None
    assert "customer portal" not in portal.page(caller=own)


def test_it_is_no_way_around_a_rule(world: World, portal: Portal) -> None:
    subscription = world.subscribe()
    world.pause(subscription, world.day(40))
    world.pass_time(world.record(subscription).resumes + 86_400)
    strict = replace(portal.caller, policy=OPEN.model_copy(update={"pause_max_in_365_days": 1}))
    assert "Only 1 pause is possible within 365 days." in portal.page(caller=strict)
    assert portal.offer(subscription, strict) is None


@pytest.mark.parametrize("params", [{"mode": "classic"}, {"trial_period_days": 10}, {"cancel_at_period_end": True}])
def test_a_subscription_that_it_does_not_suit_is_refused_as_before(
    world: World, portal: Portal, params: dict[str, Any]
) -> None:
    assert portal.offer(world.subscribe(**params)) is None
    assert "customer portal" not in portal.page()


def test_a_pause_that_is_set_is_looked_after_here(world: World, portal: Portal) -> None:
    subscription = world.subscribe()
    world.pause(subscription, world.day(40))
    assert portal.offer(subscription) is None
    assert "Undo the pause" in portal.page()


def test_without_the_feature_there_is_nothing_to_offer(world: World, portal: Portal) -> None:
    subscription = world.subscribe()
    portal.configure(enabled=False)
    assert portal.offer(subscription) is None
    assert "Pauses are not offered for your subscription." in portal.page()


def test_the_group_decides_which_configuration_counts(world: World) -> None:
    without = Portal(world).another_configuration(enabled=False)
    with_pause = Portal(world).another_configuration(enabled=True)
    portal = Portal(world, {"business": without, "gold": with_pause})
    subscription = world.subscribe()
    for group, offered in (("business", False), ("gold", True), (None, True)):
        caller = replace(portal.caller, group=group)
        assert (portal.offer(subscription, caller) is not None) == offered
    gold = portal.offer(subscription, replace(portal.caller, group="gold"))
    assert gold == PortalPause(opened(world, subscription, "gold"), ())
    world.stripe.v1.customers.update(world.customer, {"metadata": {"portal_group": "business"}})
    assert portal.offer(subscription) is None
    # A group that nobody has configured: the link would not open.
    world.stripe.v1.customers.update(world.customer, {"metadata": {"portal_group": "lost"}})
    assert portal.offer(subscription) is None


@pytest.mark.parametrize("status", [500, 429, 401, 403, 400])
def test_the_page_works_without_an_answer_about_the_portal(world: World, portal: Portal, status: int) -> None:
    world.subscribe()
    portal.fail(status=status)
    assert "Pauses are not offered for your subscription." in portal.page()


def test_what_the_portal_offers_is_asked_for_once_in_a_while(world: World, portal: Portal) -> None:
    now = 1000.0
    portal.pauses._features._monotonic = lambda: now
    subscription = world.subscribe()
    before = portal.reads
    for _ in range(3):
        assert portal.offer(subscription)
    assert portal.reads == before + 1
    now += CACHE_SECONDS + 1
    portal.fail(status=500)
    # The last that was known stands in for an answer.
    assert portal.offer(subscription)


def test_a_token_for_one_subscription_leads_to_that_one_only(world: World, portal: Portal) -> None:
    one, other = world.subscribe(), world.subscribe()
    page = portal.page(caller=replace(portal.caller, only=one))
    assert opened(world, one) in page
    assert other not in page


def test_whoever_waits_for_what_the_portal_offers_waits_for_seconds(world: World, portal: Portal) -> None:
    left: list[float] = []

    def client() -> stripe.StripeClient:
        left.append(seconds_left())
        return world.stripe

    subscription = world.subscribe()
    pauses = PortalPauses(client, {}, LINKS, lambda: world.now)
    assert subscription in pauses.offers(portal.caller, world.pausing.views(world.customer, OFF).views)
    assert left
    assert max(left) <= 3
