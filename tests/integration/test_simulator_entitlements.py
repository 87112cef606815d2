"""The features that customers are entitled to by their subscriptions."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import stripe

from tests.integration import simulator_fixtures as given
from tests.integration.simulator_fixtures import Receiver, RunningSimulator

server, simulator, client, receiver = given.server, given.simulator, given.client, given.receiver
shop, subscribe = given.shop, given.subscribe

Subscribe = Callable[..., stripe.Subscription]
SUMMARY = "entitlements.active_entitlement_summary.updated"


def feature_of(client: stripe.StripeClient, shop: given.Shop, key: str) -> str:
    """A feature that the shop's product has."""
    feature = client.v1.entitlements.features.create({"lookup_key": key, "name": key})
    product: Any = shop.monthly.product
    client.v1.products.features.create(product, {"entitlement_feature": feature.id})
    return feature.id


def entitled(client: stripe.StripeClient, shop: given.Shop) -> set[str]:
    listed = client.v1.entitlements.active_entitlements.list({"customer": shop.customer.id, "limit": 100})
    return {one.lookup_key for one in listed.auto_paging_iter()}


def summaries(client: stripe.StripeClient) -> list[list[str]]:
    """The lookup keys in all summaries that were sent, oldest first."""
    events = client.v1.events.list({"type": SUMMARY, "limit": 100}).data[::-1]
    objects: list[Any] = [event.data.object for event in events]
    return [sorted(one.lookup_key for one in each.entitlements.data) for each in objects]


def test_entitlements_follow_the_status_and_leave_a_paused_collection_alone(
    client: stripe.StripeClient, shop: given.Shop, subscribe: Subscribe
) -> None:
    feature_of(client, shop, "sso")
    subscription = subscribe()
    assert entitled(client, shop) == {"sso"}
    client.v1.subscriptions.update(subscription.id, {"pause_collection": {"behavior": "void"}})
    client.v1.subscriptions.update(subscription.id, {"pause_collection": ""})
    assert summaries(client) == [["sso"]]
    client.v1.subscriptions.pause(subscription.id, {"type": "subscription"})
    assert entitled(client, shop) == set()
    client.v1.subscriptions.resume(subscription.id)
    client.v1.subscriptions.cancel(subscription.id)
    assert summaries(client) == [["sso"], [], ["sso"], []]


def test_features_come_and_go_with_the_product(
    client: stripe.StripeClient, shop: given.Shop, subscribe: Subscribe
) -> None:
    subscribe()
    feature_of(client, shop, "sso")
    feature_of(client, shop, "audit")
    product: Any = shop.monthly.product
    attached = client.v1.products.features.list(product).data
    assert {one.entitlement_feature.lookup_key for one in attached} == {"sso", "audit"}
    client.v1.products.features.delete(product, attached[0].id)
    assert summaries(client) == [["sso"], ["audit", "sso"], ["sso"]]
    with pytest.raises(stripe.InvalidRequestError, match="No such product_feature"):
        client.v1.products.features.retrieve(product, attached[0].id)


def test_two_subscriptions_to_a_feature_entitle_once(
    client: stripe.StripeClient, shop: given.Shop, subscribe: Subscribe
) -> None:
    feature_of(client, shop, "sso")
    first, _ = subscribe(), subscribe()
    client.v1.subscriptions.cancel(first.id)
    assert (entitled(client, shop), summaries(client)) == ({"sso"}, [["sso"]])


def test_a_summary_embeds_ten_entitlements_and_the_list_has_all(
    simulator: RunningSimulator, client: stripe.StripeClient, shop: given.Shop, subscribe: Subscribe, receiver: Receiver
) -> None:
    for number in range(12):
        feature_of(client, shop, f"feature-{number}")
    client.v1.webhook_endpoints.create({"url": receiver.url, "enabled_events": [SUMMARY]})  # type: ignore[list-item]
    subscribe()
    simulator.settle()
    (arrived,) = receiver.received
    summary = json.loads(arrived.body)["data"]["object"]
    assert summary.keys() == {"object", "customer", "entitlements", "livemode"}
    assert (len(summary["entitlements"]["data"]), summary["entitlements"]["has_more"]) == (10, True)
    assert len(entitled(client, shop)) == 12


def test_features_are_refused_as_stripe_refuses_them(client: stripe.StripeClient, shop: given.Shop) -> None:
    feature = feature_of(client, shop, "sso")
    product: Any = shop.monthly.product
    wrong: list[Any] = [
        lambda: client.v1.entitlements.features.create({"lookup_key": "sso", "name": "Again"}),
        lambda: client.v1.entitlements.features.create({"lookup_key": "x" * 81, "name": "Long"}),
        lambda: client.v1.products.features.create(product, {"entitlement_feature": feature}),
        lambda: client.v1.products.features.create(product, {"entitlement_feature": "feat_none"}),
        lambda: client.v1.entitlements.active_entitlements.list({"customer": "cus_none"}),
    ]
    for request in wrong:
        with pytest.raises(stripe.InvalidRequestError):
            request()
    client.v1.entitlements.features.update(feature, {"active": False})
    assert client.v1.entitlements.features.list().data == []
    assert [one.id for one in client.v1.entitlements.features.list({"archived": True})] == [feature]
