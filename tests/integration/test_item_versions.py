"""Items that earlier versions of the code wrote go on working: read, updated, compared, and never revived.

`mirror-items.json` holds what the code of each version wrote into a table: a paused, an overdue and an ended
subscription. A change of what an item holds adds a version to it.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shared.mirror.drift import differences
from shared.mirror.items import Beginnings, Write
from shared.mirror.rule import Mirror, Outcome
from shared.stripe.events import SubscriptionEvent
from shared.stripe.subscription import Subscription, read_subscription
from shared.stripe.subscription_read import SubscriptionRead
from tests.history_world import RETENTION, UNCERTAINTY
from tests.integration.dynamodb_fixtures import Subscriptions

FIXTURES = Path(__file__).parents[1] / "fixtures"
VERSIONS: dict[str, list[dict[str, Any]]] = json.loads((FIXTURES / "mirror-items.json").read_text())
RAW = json.loads((FIXTURES / "subscription-2025-12-15.clover.json").read_text())
AS_OF = 1_764_500_000
VOID = {"behavior": "void", "resumes_at": None}
CHANGES: tuple[dict[str, Any], ...] = (
    {"pause_collection": VOID, "status": "active"},
    {"pause_collection": None, "status": "past_due"},
    {"pause_collection": None, "status": "canceled", "ended_at": AS_OF, "canceled_at": AS_OF},
)
PAUSED, OVERDUE, ENDED = (
    read_subscription({**RAW, "id": f"sub_{number}", "customer": "cus_1", "livemode": False, **changes})
    for number, changes in enumerate(CHANGES, start=1)
)


class World:
    """A table with the items of one version, and a Stripe that has what they say."""

    def __init__(self, subscriptions: Subscriptions, version: str) -> None:
        self.client, self.name = subscriptions.dynamodb.client(), subscriptions.name
        for item in VERSIONS[version]:
            self.client.put_item(TableName=subscriptions.name, Item=item)
        self.table = subscriptions.table()
        self.stripe = {each.id: each for each in (PAUSED, OVERDUE, ENDED)}
        self.mirror = Mirror(self.table, self.read, uncertainty=UNCERTAINTY, retention=RETENTION)

    def read(self, subscription_id: str) -> SubscriptionRead:
        return SubscriptionRead(self.stripe[subscription_id], AS_OF + 1000, 0.1)

    def apply(self, subscription: Subscription, created: int) -> Outcome:
        event = SubscriptionEvent(f"evt_{created}", created, subscription)
        return self.mirror.apply(event, now=AS_OF + 1000)


@pytest.fixture(params=VERSIONS)
def world(subscriptions: Subscriptions, request: pytest.FixtureRequest) -> World:
    return World(subscriptions, request.param)


def test_an_item_is_read_as_what_stripe_has(world: World) -> None:
    for subscription in world.stripe.values():
        item = world.table.get("cus_1", subscription.id)
        assert item
        assert differences(item.subscription, subscription) == ()
        assert (item.as_of, item.revision, item.settling) == (AS_OF, 1, None)
    paused = world.table.get("cus_1", "sub_1")
    assert paused
    assert paused.paused_since == 1_764_400_000
    assert len(list(world.table.all())) == 3
    assert len(world.table.page(None).items) == 2


def test_an_item_is_updated_by_a_later_event_and_keeps_when_its_pause_began(world: World) -> None:
    assert world.apply(PAUSED, AS_OF + 100) is Outcome.APPLIED
    assert world.apply(PAUSED, AS_OF + 50) is Outcome.STALE
    assert world.apply(PAUSED, AS_OF + 101) is Outcome.APPLIED
    item = world.table.get("cus_1", "sub_1")
    assert item
    assert (item.subscription, item.paused_since, item.revision) == (PAUSED, 1_764_400_000, 3)


def test_an_item_is_compared_and_repaired(world: World) -> None:
    for subscription in world.stripe.values():
        found = SubscriptionRead(subscription, AS_OF + 1000, 0.1)
        assert world.mirror.observe(found) is Outcome.UNCHANGED
    world.stripe["sub_2"] = replace(OVERDUE, status="unpaid")
    assert world.mirror.observe(world.read("sub_2")) is Outcome.APPLIED
    item = world.table.get("cus_1", "sub_2")
    assert item
    assert item.subscription.status == "unpaid"


def test_what_has_ended_stays_ended(world: World) -> None:
    live = read_subscription({**RAW, "id": "sub_3", "customer": "cus_1", "livemode": False})
    assert world.apply(live, AS_OF + 500) is Outcome.STALE
    world.stripe["sub_3"] = live
    assert world.mirror.observe(world.read("sub_3")) is Outcome.STALE


def test_the_newest_version_is_what_is_written_today(subscriptions: Subscriptions) -> None:
    """If this fails, add what is written now to the file, and leave the versions before it as they are."""
    begun = Beginnings(1_764_400_000, paused_since_exact=True, paid_through=1_764_900_000)
    client = subscriptions.dynamodb.client()
    *_, newest = VERSIONS.values()
    for number, subscription in enumerate((PAUSED, OVERDUE, ENDED), start=1):
        expires_at = AS_OF + 400 * 86_400 if subscription.ended else None
        known = begun if number == 1 else Beginnings()
        write = Write(subscription, AS_OF, f"evt_{number}", known, expires_at, None, "acct_1", 2, 4)
        subscriptions.table().put_if_older(write, than=AS_OF)
        key = {"customer_id": {"S": "cus_1"}, "subscription_id": {"S": subscription.id}}
        assert client.get_item(TableName=subscriptions.name, Key=key)["Item"] == newest[number - 1]
