"""Entitlements from Stripe's signed event to the answer: through the webhook, the queue, the mirror and the stream."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jwt
import pytest
import stripe

from functions.access import app as access_app
from functions.access_changes import app as changes_app
from functions.webhook import app as webhook_app
from shared.mirror.items import EntitlementsWrite, Write
from shared.mirror.settle_queue import SettleQueue
from shared.mirror.table import MirrorTable
from shared.stripe.subscription import PauseCollection, read_subscription
from tests.integration import simulator_fixtures as given
from tests.integration.conftest import LINK_SECRET, Api, Aws
from tests.integration.simulator_fixtures import RunningSimulator
from tests.integration.test_access_changes import Bus, Context, record
from tests.integration.test_strangers import aws_calls
from tests.integration.test_webhook import ROUTE, event, signed

shop, subscribe, client = given.shop, given.subscribe, given.client
Subscribe = Callable[..., stripe.Subscription]
LIST = "GET /v1/entitlements/active_entitlements"
AGES = 10_000


class World:
    """A customer of the shop, whose product has features, and the functions."""

    def __init__(self, api: Api, aws: Aws, simulator: RunningSimulator, shop: given.Shop) -> None:
        self.api, self.aws, self.simulator, self.shop = api, aws, simulator, shop
        self.client = simulator.client()
        self.customer = shop.customer.id
        self.table = MirrorTable(aws.clients.dynamodb, aws.template.ref("Subscriptions"))

    def feature(self, key: str, product: Any = None) -> str:
        feature = self.client.v1.entitlements.features.create({"lookup_key": key, "name": key})
        self.client.v1.products.features.create(
            product or str(self.shop.monthly.product), {"entitlement_feature": feature.id}
        )
        return feature.id

    def mirror(self, subscription: stripe.Subscription, **fields: Any) -> None:
        """Write the subscription into the mirror, as its event would."""
        raw = subscription.to_dict(for_json=True) | fields
        self.table.put_if_older(Write(read_subscription(raw), int(time.time()) - 60, None), than=10**10)

    def signal(self, *features: str, seconds_ago: int = 0, **changes: Any) -> tuple[int, str]:
        """Post a summary; return the status and the outcome."""
        listed = {"object": "list", "data": [{"lookup_key": key} for key in features], "has_more": False}
        subject = {"object": "entitlements.active_entitlement_summary", "customer": self.customer, "livemode": False}
        summary = {
            "id": f"evt_{time.time_ns()}",
            "object": "event",
            "type": "entitlements.active_entitlement_summary.updated",
            "created": int(time.time()) - seconds_ago,
            "livemode": False,
            "data": {"object": subject | {"entitlements": listed}},
        } | changes
        body = json.dumps(summary).encode()
        answer = self.api.send(ROUTE, headers=signed(body), body=body)
        return answer.status, json.loads(answer.body).get("outcome")

    def settle(self) -> list[str]:
        """Hand the waiting signals to the function, as the queue does; return the messages that stay."""
        sqs, url = self.aws.clients.sqs, self.aws.template.ref("SettleQueue")
        records = []
        while messages := sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], AttributeNames=["All"]
        ).get("Messages", []):
            for each in messages:
                attributes = {
                    name: {"stringValue": value["StringValue"]}
                    for name, value in each.get("MessageAttributes", {}).items()
                }
                records.append(
                    {
                        "messageId": each["MessageId"],
                        "receiptHandle": each["ReceiptHandle"],
                        "eventSource": "aws:sqs",
                        "body": each["Body"],
                        "attributes": each["Attributes"],
                        "messageAttributes": attributes,
                    }
                )
        failed = self.api._functions["WebhookFunction"].invoke({"Records": records})["batchItemFailures"]
        return [each["itemIdentifier"] for each in failed]

    def features(self) -> tuple[str, ...] | None:
        found = self.table.customer(self.customer).entitlements
        return found.features if found else None

    def get(self, query: str = "") -> tuple[int, dict[str, Any]]:
        claims = {"aud": "access", "exp": int(time.time()) + 600, "sub": self.customer}
        headers = {"authorization": f"Bearer {jwt.encode(claims, LINK_SECRET, algorithm='HS256')}"}
        answer = self.api.send("GET /access", query=query, headers=headers)
        return answer.status, json.loads(answer.body)

    def ask(self, feature: str) -> tuple[int, Any, Any]:
        status, body = self.get(f"feature={feature}")
        return status, body.get("granted"), body.get("reason", body.get("code"))

    def ask_many(self, *customers: str, feature: str) -> list[tuple[bool, str]]:
        token = jwt.encode({"aud": "access-batch", "exp": int(time.time()) + 600}, LINK_SECRET, algorithm="HS256")
        body = json.dumps({"customers": customers, "feature": feature}).encode()
        answer = self.api.send("POST /access", body=body, headers={"authorization": f"Bearer {token}"})
        return [(one["granted"], one["reason"]) for one in json.loads(answer.body)["customers"]]

    def requests(self, route: str = LIST) -> int:
        counts: dict[str, int] = self.simulator.admin("GET", "requests")
        return counts.get(route, 0)


@pytest.fixture
def world(api: Api, aws: Aws, simulator: RunningSimulator, shop: given.Shop, monkeypatch: pytest.MonkeyPatch) -> World:
    turn(monkeypatch, "true")
    return World(api, aws, simulator, shop)


def turn(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("ENTITLEMENTS", value)
    for app in (access_app, webhook_app, changes_app):
        app._wire.cache_clear()


@pytest.fixture
def old_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue hands messages out at once: no test waits for the delay."""
    keep = SettleQueue.keep
    monkeypatch.setattr(SettleQueue, "keep", lambda self, body, _delay: keep(self, body, 0))


@pytest.mark.usefixtures("old_signals")
def test_a_signal_is_read_again_whole(world: World, subscribe: Subscribe) -> None:
    for number in range(12):
        world.feature(f"feature-{number:02}")
    world.mirror(subscribe())
    before = world.requests()
    assert world.signal(*(f"feature-{number:02}" for number in range(10)), seconds_ago=AGES) == (200, "queued")
    assert world.features() is None, "ten may be all, or not"
    assert world.settle() == []
    assert world.features() == tuple(f"feature-{number:02}" for number in range(12))
    assert world.requests() == before + 1
    assert world.ask("feature-11") == (200, True, "active")


@pytest.mark.usefixtures("old_signals")
def test_a_signal_costs_a_message_and_a_write_and_a_burst_of_them_one_read(
    world: World, subscribe: Subscribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.feature("sso")
    world.mirror(subscribe())
    world.signal(seconds_ago=AGES)
    before = world.requests()
    with aws_calls(monkeypatch) as calls:
        for _ in range(20):
            assert world.signal("sso", seconds_ago=AGES - 1) == (200, "queued")
    assert dict(calls) == {"SendMessage": 20, "UpdateItem": 20}
    assert (world.features(), world.requests()) == (("sso",), before)
    assert world.settle() == []
    assert world.requests() == before + 1


def test_the_usual_event_of_a_subscription_costs_one_request_with_entitlements_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def post(number: int) -> tuple[int, Any]:
        body = json.dumps(event(id=f"evt_{number}", created=int(time.time()) - 1000 + number * 100)).encode()
        answer = world.api.send(ROUTE, headers=signed(body), body=body)
        return answer.status, json.loads(answer.body)["outcome"]

    post(1)
    before = sum(world.simulator.admin("GET", "requests").values())
    with aws_calls(monkeypatch) as calls:
        assert post(2) == (200, "applied")
    assert dict(calls) == {"UpdateItem": 1}
    assert sum(world.simulator.admin("GET", "requests").values()) == before


def test_with_a_fresh_signal_the_read_waits_until_it_is_certain(world: World, subscribe: Subscribe) -> None:
    """Whoever has just paid for a feature has it at once; the read comes later."""
    world.feature("sso")
    world.mirror(subscribe())
    world.table.put_entitlements(EntitlementsWrite(world.customer, (), {}, int(time.time()) - 600))
    assert world.ask("sso") == (200, False, "feature_not_entitled")
    assert world.signal("sso") == (200, "queued")
    assert world.ask("sso") == (200, True, "active")
    assert world.requests() == 0


@pytest.mark.usefixtures("old_signals")
def test_a_read_that_fails_stays_in_the_queue(world: World, subscribe: Subscribe) -> None:
    world.feature("sso")
    world.mirror(subscribe())
    world.simulator.admin("POST", "faults", {"fail": [{"status": 500, "times": 2}]})
    world.signal("sso", seconds_ago=AGES)
    assert len(world.settle()) == 1
    held = world.table.customer(world.customer).entitlements
    assert held
    assert held.as_of == 0, "only shown"


@pytest.mark.usefixtures("old_signals")
def test_a_key_without_the_permission_is_logged_and_the_signal_stays(
    world: World, subscribe: Subscribe, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    world.mirror(subscribe())
    world.simulator.admin("POST", "faults", {"fail": [{"status": 403, "times": 9}]})
    world.signal(seconds_ago=AGES)
    assert len(world.settle()) == 1
    assert "Give the restricted key" in caplog.text
    assert '"EventFailed"' in capsys.readouterr().out


def test_where_entitlements_are_off_they_cost_nothing(
    world: World, subscribe: Subscribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.feature("sso")
    world.mirror(subscribe())
    world.table.put_entitlements(EntitlementsWrite(world.customer, ("sso",), {}, 10))
    turn(monkeypatch, "false")
    world.signal("sso")
    with aws_calls(monkeypatch) as calls:
        assert world.signal("sso") == (200, "ignored_type")
    assert dict(calls) == {}
    assert world.ask("sso") == (400, None, "entitlements_off")
    assert world.requests() == 0
    _, answer = world.get()
    assert (answer["granted"], "features" in answer) == (True, False)


def test_a_customer_whose_entitlements_are_not_mirrored_is_looked_up_once(
    world: World, subscribe: Subscribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.feature("sso")
    subscription = subscribe()
    # Neither the subscription nor the entitlements are in the mirror.
    assert world.ask("sso") == (200, True, "active")
    assert (world.requests(), world.requests("GET /v1/subscriptions")) == (1, 1)
    assert world.ask("audit-log") == (200, False, "feature_not_entitled")
    with aws_calls(monkeypatch) as calls:
        assert world.ask("sso") == (200, True, "active")
    assert dict(calls) == {"Query": 1}
    assert (world.requests(), world.requests("GET /v1/subscriptions")) == (1, 1)
    world.mirror(subscription, pause_collection={"behavior": "void", "resumes_at": None})
    assert world.ask("sso")[1:] == (True, "collection_paused")


def test_a_question_without_a_feature_looks_no_entitlements_up(world: World, subscribe: Subscribe) -> None:
    world.mirror(subscribe())
    _, answer = world.get()
    assert (answer["granted"], "features" in answer, world.requests()) == (True, False, 0)


def test_while_stripe_is_down_nobody_is_refused_a_feature_for_it(world: World, subscribe: Subscribe) -> None:
    world.mirror(subscribe())
    world.simulator.admin("POST", "faults", {"fail": [{"status": 500, "times": 99}]})
    assert world.ask("sso") == (503, None, "stripe_unavailable")
    assert world.ask("sso") == (503, None, "access_lookup_busy")


def test_a_batch_asks_the_mirror_only(world: World, subscribe: Subscribe) -> None:
    world.feature("sso")
    world.mirror(subscribe())
    assert world.ask_many(world.customer, "cus_nobody", feature="sso") == [
        (True, "entitlements_unknown"),
        (False, "no_subscription"),
    ]
    world.table.put_entitlements(EntitlementsWrite(world.customer, ("sso",), {}, 10))
    assert world.ask_many(world.customer, feature="sso") == [(True, "active")]
    assert world.ask_many(world.customer, feature="other") == [(False, "feature_not_entitled")]
    assert world.requests() == 0


def test_an_archived_feature_stays_until_stripe_takes_it_away(world: World, subscribe: Subscribe) -> None:
    feature = world.feature("sso")
    world.mirror(subscribe())
    world.client.v1.entitlements.features.update(feature, {"active": False})
    assert world.ask("sso") == (200, True, "active")


@pytest.mark.usefixtures("old_signals")
def test_the_feature_of_a_paused_subscription_is_closed_although_another_one_is_served(
    world: World, subscribe: Subscribe
) -> None:
    """The products are read with the entitlements, so it is known which subscription the feature is of."""
    world.feature("sso")
    premium = subscribe()
    product = world.client.v1.products.create({"name": "Basic"})
    price = world.client.v1.prices.create(
        {"product": product.id, "currency": "eur", "unit_amount": 100, "recurring": {"interval": "month"}}
    )
    basic = world.client.v1.subscriptions.create({"customer": world.customer, "items": [{"price": price.id}]})
    world.mirror(basic)
    paused = read_subscription(premium.to_dict(for_json=True))
    long_ago = int(time.time()) - 90 * 86_400
    collected = replace(paused, current_period_end=long_ago + 86_400)
    world.table.put_if_older(Write(collected, long_ago, None), than=10**10)
    state = replace(paused, pause_collection=PauseCollection("void"), current_period_end=long_ago + 86_400)
    world.table.put_if_older(Write(state, long_ago + 60, None), than=10**10)
    world.signal("sso", seconds_ago=AGES)
    assert world.settle() == []
    assert world.features() == ("sso",)
    assert world.ask("sso")[1] is False
    answer = world.ask_many(world.customer, feature="sso")
    assert answer[0][0] is False


@pytest.mark.parametrize("feature", ["", "x" * 81])
def test_a_feature_that_no_key_can_be_is_refused(world: World, feature: str) -> None:
    assert world.ask(feature) == (400, None, "bad_request")


def test_a_change_of_features_is_published(world: World, subscribe: Subscribe, monkeypatch: pytest.MonkeyPatch) -> None:
    bus = Bus(world.aws)
    world.mirror(subscribe())

    def look() -> list[Any]:
        answer = changes_app.handler({"Records": [record(world.customer, 1)]}, Context())  # type: ignore[arg-type]
        assert answer == {"batchItemFailures": []}
        return [event.get("features", "none") for event in bus.received()]

    assert look() == ["none"]
    world.table.put_entitlements(EntitlementsWrite(world.customer, ("sso",), {}, 10))
    assert look() == [["sso"]]
    world.table.put_entitlements(EntitlementsWrite(world.customer, ("sso",), {}, 20))
    assert look() == [], "nothing has changed"
    world.table.put_entitlements(EntitlementsWrite(world.customer, (), {}, 30))
    assert look() == [[]]
    turn(monkeypatch, "false")
    assert look() == ["none"]
    assert look() == []
