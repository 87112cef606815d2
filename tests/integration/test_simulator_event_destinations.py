"""Event destinations and thin events, read with the official library."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
import stripe

from shared.stripe.events import ThinEvent, account_of, read_event
from tests.integration import simulator_fixtures as given
from tests.integration.simulator_fixtures import Receiver, RunningSimulator

server, simulator, client, receiver = given.server, given.simulator, given.client, given.receiver
shop, subscribe = given.shop, given.subscribe

Subscribe = Callable[..., stripe.Subscription]
SECRET = "webhook_endpoint.signing_secret"


def listen(client: stripe.StripeClient, receiver: Receiver, *types: str, **params: Any) -> Any:
    """A destination for thin events."""
    wanted: Any = {
        "name": "Ours",
        "type": "webhook_endpoint",
        "event_payload": "thin",
        "enabled_events": list(types),
        "webhook_endpoint": {"url": receiver.url},
        "include": [SECRET],
        **params,
    }
    return client.v2.core.event_destinations.create(wanted)


def kinds(receiver: Receiver) -> list[str]:
    return [json.loads(one.body)["type"] for one in receiver.received]


def test_a_thin_event_names_its_object_and_leads_to_it(
    simulator: RunningSimulator, receiver: Receiver, subscribe: Subscribe
) -> None:
    client = simulator.client()
    subscription = subscribe()
    destination = listen(client, receiver, "v1.customer.subscription.updated")
    client.v1.subscriptions.update(subscription.id, {"metadata": {"a": "b"}})
    simulator.settle()
    (arrived,) = receiver.received
    secret = destination.webhook_endpoint.signing_secret
    notification: Any = client.parse_event_notification(arrived.body, arrived.signature, secret)
    assert notification.type == "v1.customer.subscription.updated"
    assert notification.related_object.id == subscription.id
    assert notification.reason.request.id.startswith("req_")
    assert notification.fetch_related_object().metadata["a"] == "b"

    body = json.loads(arrived.body)
    assert body.keys() == {"id", "object", "type", "created", "livemode", "reason", "related_object"}
    (snapshot,) = client.v1.events.list({"type": "customer.subscription.updated"})
    whole = notification.fetch_event()
    assert (whole.id, whole.snapshot_event) == (body["id"], snapshot.id)
    assert whole.changes["after"]["metadata"]["a"] == "b"
    # The project's own reader takes it too.
    read = read_event(arrived.body)
    assert isinstance(read, ThinEvent)
    assert read.related_object is not None
    assert (read.related_object.id, read.related_object.type) == (subscription.id, "subscription")


def test_single_changes_have_thin_events_of_their_own(
    simulator: RunningSimulator, receiver: Receiver, subscribe: Subscribe, shop: given.Shop
) -> None:
    client = simulator.client()
    names = ["item_quantity_changed", "item_price_changed", "item_added", "cancel_at_changed", "active", "trialing"]
    subscription = subscribe(trial_period_days=10)
    listen(client, receiver, *(f"v1.customer.subscription.{name}" for name in names))
    (item,) = subscription["items"].data

    def change(**params: Any) -> list[str]:
        receiver.received.clear()
        wanted: Any = params
        client.v1.subscriptions.update(subscription.id, wanted)
        simulator.settle()
        return sorted(kind.removeprefix("v1.customer.subscription.") for kind in kinds(receiver))

    assert change(items=[{"id": item.id, "quantity": 2}]) == ["item_quantity_changed"]
    assert change(items=[{"id": item.id, "price": shop.yearly.id}]) == ["item_price_changed"]
    assert change(items=[{"price": shop.monthly.id}]) == ["item_added"]
    assert change(trial_end="now") == ["active"]
    assert change(cancel_at=int(time.time()) + 86_400) == ["cancel_at_changed"]
    assert change(metadata={"a": "b"}) == []
    thin = client.v2.core.events.list({"object_id": subscription.id})
    alone = [event for event in thin.data if event.type == "v1.customer.subscription.item_added"]
    assert "snapshot_event" not in alone[0]


def test_a_failed_thin_event_is_sent_again_and_a_snapshot_destination_has_its_version(
    simulator: RunningSimulator, receiver: Receiver, subscribe: Subscribe
) -> None:
    client = simulator.client()
    listen(client, receiver, "v1.customer.created")
    listen(
        client,
        receiver,
        "customer.subscription.created",
        event_payload="snapshot",
        snapshot_api_version="2024-06-20",
    )
    receiver.statuses = [500]
    client.v1.customers.create({"name": "Grace"})
    simulator.settle()
    assert simulator.admin("POST", "deliveries/retry") == {"retried": 1}
    attempts = simulator.settle()
    assert [(one["type"], one["status_code"], one["attempt"]) for one in attempts] == [
        ("v1.customer.created", 500, 1),
        ("v1.customer.created", 200, 2),
    ]
    subscribe()
    simulator.settle()
    old = json.loads(receiver.received[-1].body)
    assert (old["api_version"], "current_period_end" in old["data"]["object"]) == ("2024-06-20", True)


def test_a_destination_hides_its_address_and_its_secret_unless_asked(
    client: stripe.StripeClient, receiver: Receiver
) -> None:
    api: Any = client.v2.core.event_destinations
    made = listen(client, receiver, "v1.customer.created", include=[SECRET, "webhook_endpoint.url"])
    assert (made.webhook_endpoint.url, made.webhook_endpoint.signing_secret[:6]) == (receiver.url, "whsec_")
    assert api.retrieve(made.id).webhook_endpoint.to_dict() == {}
    assert api.retrieve(made.id, {"include": ["webhook_endpoint.url"]}).webhook_endpoint.url == receiver.url
    with pytest.raises(stripe.InvalidRequestError, match="Invalid include"):
        api.retrieve(made.id, {"include": [SECRET]})
    changed = api.update(made.id, {"name": "New", "metadata": {"a": "b"}})
    assert (changed.name, changed.metadata["a"], changed.id) == ("New", "b", made.id)
    assert api.update(made.id, {"metadata": {"a": None}}).metadata.to_dict() == {}
    api.delete(made.id)
    with pytest.raises(stripe.InvalidRequestError, match="No such event destination"):
        api.retrieve(made.id)


def test_a_disabled_destination_gets_nothing_until_it_is_enabled_and_a_ping_at_once(
    simulator: RunningSimulator, client: stripe.StripeClient, receiver: Receiver
) -> None:
    api: Any = client.v2.core.event_destinations
    made = listen(client, receiver, "v1.customer.created")
    disabled = api.disable(made.id)
    assert (disabled.status, disabled.status_details.disabled.reason) == ("disabled", "user")
    client.v1.customers.create({})
    simulator.settle()
    assert receiver.received == []
    assert "status_details" not in api.enable(made.id)
    ping = api.ping(made.id)
    simulator.settle()
    assert kinds(receiver) == ["v2.core.event_destination.ping"]
    assert json.loads(receiver.received[0].body)["related_object"]["id"] == made.id
    assert client.v2.core.events.retrieve(ping.id).id == ping.id


def test_lists_of_destinations_and_thin_events_go_on_where_their_address_says(
    client: stripe.StripeClient, receiver: Receiver
) -> None:
    made = [listen(client, receiver, "v1.customer.created").id for _ in range(5)]
    for _ in range(5):
        client.v1.customers.create({})
    listed = client.v2.core.event_destinations.list({"limit": 2, "include": ["webhook_endpoint.url"]})
    paged: list[Any] = list(listed.auto_paging_iter())
    assert [one.id for one in paged] == made[::-1]
    assert {one.webhook_endpoint.url for one in paged} == {receiver.url}
    events = client.v2.core.events.list({"limit": 2, "types": ["v1.customer.created"]})
    assert len({one.id for one in events.auto_paging_iter()}) == 5
    later: Any = {"created": {"gt": "2100-01-01T00:00:00Z"}}
    assert client.v2.core.events.list(later).data == []


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"enabled_events": ["customer.created"]}, "no type of thin events"),
        ({"enabled_events": ["v1.customer.created"], "event_payload": "snapshot"}, "no type of snapshot events"),
        ({"snapshot_api_version": "2024-06-20"}, "snapshot events only"),
        ({"event_payload": "snapshot", "enabled_events": ["*"], "snapshot_api_version": "x"}, "Invalid Stripe API"),
        ({"type": "carrier_pigeon"}, "Invalid type"),
        ({"type": "amazon_eventbridge"}, "amazon_eventbridge"),
        ({"events_from": ["@everybody"]}, "Invalid events_from"),
        ({"webhook_endpoint": {"url": "no address"}}, "Invalid URL"),
        ({"wish": 1}, "unknown parameter: wish"),
        ({"include": ["everything"]}, "Invalid include"),
    ],
)
def test_a_destination_that_cannot_be_is_refused(
    client: stripe.StripeClient, receiver: Receiver, params: Any, message: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError, match=message):
        listen(client, receiver, "v1.customer.created", **params)
    assert client.v2.core.event_destinations.list().data == []


def test_an_eventbridge_destination_exists_and_gets_nothing(
    simulator: RunningSimulator, client: stripe.StripeClient, receiver: Receiver
) -> None:
    made = listen(
        client,
        receiver,
        "v1.customer.created",
        type="amazon_eventbridge",
        amazon_eventbridge={"aws_account_id": "111122223333", "aws_region": "eu-west-1"},
        include=[],
    )
    assert made.amazon_eventbridge.aws_event_source_arn.startswith("arn:aws:events:eu-west-1::event-source/aws.partner")
    client.v1.customers.create({})
    assert simulator.settle() == []


def test_what_is_not_json_is_refused(simulator: RunningSimulator) -> None:
    for body in (b"{", b"[]"):
        answer = simulator.session.post(
            f"{simulator.url}/v2/core/event_destinations", data=body, headers={"Authorization": "Bearer sk_test_1"}
        )
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_json")


def test_events_of_other_accounts_name_them(
    simulator: RunningSimulator, client: stripe.StripeClient, receiver: Receiver
) -> None:
    listen(client, receiver, "v1.customer.created")
    client.v1.customers.create({})
    simulator.admin("POST", "origin", {"context": "org_1/acct_2"})
    client.v1.customers.create({})
    simulator.settle()
    assert [account_of(read_event(one.body)) for one in receiver.received] == [None, "acct_2"]
    assert client.v1.events.list().data[0].context == "org_1/acct_2"
    simulator.admin("POST", "origin", {"account": "acct_3"})
    client.v1.customers.create({})
    assert client.v1.events.list().data[0].account == "acct_3"
    assert simulator.admin("DELETE", "origin") == {}
    client.v1.customers.create({})
    newest = client.v1.events.list().data[0]
    assert not {"account", "context"} & newest.to_dict().keys()
