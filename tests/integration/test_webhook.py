"""The webhook, from Stripe's signed request to the table."""

import base64
import io
import json
import socket
import threading
import time
import traceback
from collections.abc import Iterator
from functools import partial
from typing import Any
from unittest.mock import Mock

import pytest
import stripe
import uvicorn

from functions.webhook import app as webhook_app
from functions.webhook import wiring
from functions.webhook.app import MOST_BODY_BYTES
from local.aws.lambda_function import LambdaFunction
from local.aws.queue_poller import queue_pollers
from local.gateway.api import Gateway
from shared.errors import OperatorError, Unavailable
from shared.mirror.dead_letters import unpacked
from shared.mirror.items import MirroredSubscription
from shared.mirror.table import MirrorTable
from shared.secret_store import SecretStore
from shared.stripe import gateway, pacing
from shared.stripe.gateway import stripe_client
from tests.integration.conftest import SIGNING, Api, Aws
from tests.integration.simulator_fixtures import RunningSimulator

ROUTE = "POST /webhooks/stripe"


def event(**changes: Any) -> dict[str, Any]:
    snapshot = {"id": "sub_1", "customer": "cus_1", "status": "active", "livemode": False, "items": {"data": []}}
    return {
        "id": "evt_1",
        "object": "event",
        "type": "customer.subscription.updated",
        "created": int(time.time()) - 60,
        "livemode": False,
        "data": {"object": snapshot | changes.pop("snapshot", {})},
    } | changes


def signed(body: bytes, secret: str = SIGNING, at: float | None = None) -> dict[str, str]:
    header = stripe.WebhookSignature.generate_signature_header(body.decode(), secret, int(at or time.time()))
    return {"stripe-signature": header, "content-type": "application/json; charset=utf-8"}


class World:
    """The webhook's function, and the table that it keeps."""

    def __init__(self, api: Api, aws: Aws) -> None:
        self.api = api
        self.aws = aws
        self.table = MirrorTable(aws.clients.dynamodb, aws.template.ref("Subscriptions"))

    def post(self, content: Any, headers: dict[str, str] | None = None) -> tuple[int, dict[str, Any]]:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        answer = self.api.send(ROUTE, headers=signed(body) if headers is None else headers, body=body)
        return answer.status, json.loads(answer.body)

    def item(self) -> MirroredSubscription | None:
        return self.table.get("cus_1", "sub_1")

    def dead_letters(self) -> list[dict[str, Any]]:
        url = self.aws.template.ref("DeadLetterQueue")
        found = self.aws.clients.sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], VisibilityTimeout=0
        )
        return list(map(dict, found.get("Messages", [])))

    def settle(self, *, delete_visibility: bool = False) -> int:
        """Poll the settle queue once, as Lambda does; optionally the messages that failed are visible again at once."""
        sqs, url = self.aws.clients.sqs, self.aws.template.ref("SettleQueue")
        (poller,) = queue_pollers(self.aws.template, sqs, self.api._functions)
        count = poller.poll()
        if delete_visibility:
            for handle in poller.failed:
                sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=0)
        return count


@pytest.fixture
def world(api: Api, aws: Aws, monkeypatch: pytest.MonkeyPatch) -> World:
    """Stripe may take its time as well."""
    monkeypatch.setattr(gateway, "stripe_client", partial(stripe_client, timeout=60))
    return World(api, aws)


def test_a_genuine_event_is_mirrored(world: World) -> None:
    assert world.post(event()) == (200, {"outcome": "applied"})
    item = world.item()
    assert item
    assert (item.subscription.status, item.event_id, item.revision) == ("active", "evt_1", 1)


def test_it_says_what_became_of_each_event(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.post(event())
    assert world.post(event()) == (200, {"outcome": "duplicate"})
    assert world.post(event(id="evt_0", created=int(time.time()) - 600)) == (200, {"outcome": "stale"})
    assert world.post(event(type="invoice.paid")) == (200, {"outcome": "ignored_type"})
    assert world.post(event(account="acct_1")) == (200, {"outcome": "ignored_account"})
    assert world.post(event(livemode=True)) == (200, {"outcome": "ignored_livemode"})
    counted = capsys.readouterr().out
    for metric in ("EventApplied", "EventDuplicate", "EventStale", "EventIgnoredType", "EventIgnoredLivemode"):
        assert f'"{metric}"' in counted


@pytest.mark.parametrize(("days", "counted"), [(2, True), (4, False)])
def test_what_stripe_no_longer_repeats_by_itself_is_no_lag(
    world: World, capsys: pytest.CaptureFixture[str], days: int, *, counted: bool
) -> None:
    assert world.post(event(created=int(time.time()) - days * 86_400)) == (200, {"outcome": "applied"})
    printed = capsys.readouterr().out
    assert '"EventApplied"' in printed
    assert ('"EventLag"' in printed) == counted


@pytest.mark.parametrize("how", ["tampered", "stale", "unsigned", "other secret"])
def test_what_is_not_genuine_gets_400_and_changes_nothing(world: World, how: str) -> None:
    body = json.dumps(event()).encode()
    headers = {
        "tampered": signed(body),
        "stale": signed(body, at=time.time() - 400),
        "unsigned": {"content-type": "application/json"},
        "other secret": signed(body, "whsec_other"),
    }[how]
    if how == "tampered":
        body = body.replace(b"active", b"paused")
    status, answer = world.post(body, headers)
    assert (status, answer["code"]) == (400, "bad_signature")
    assert world.item() is None
    assert world.dead_letters() == []


def test_a_body_in_base64_is_decoded_first(world: World) -> None:
    body = json.dumps(event()).encode()
    headers = signed(body) | {"content-type": "application/octet-stream"}
    assert world.post(body, headers) == (200, {"outcome": "applied"})


@pytest.mark.parametrize("body", ["%%%", "YWJj!", "a"])
def test_a_body_that_is_said_to_be_base64_and_is_not_gets_400(api: Api, body: str) -> None:
    function = api._functions[api._routes[ROUTE]]
    answer = function.invoke({"body": body, "isBase64Encoded": True, "headers": {}})
    assert (answer["statusCode"], json.loads(answer["body"])["code"]) == (400, "unreadable_body")


def test_a_request_without_body_or_headers_gets_400(api: Api) -> None:
    function = api._functions[api._routes[ROUTE]]
    assert function.invoke({"isBase64Encoded": False})["statusCode"] == 400
    assert function.invoke({"body": None, "headers": None})["statusCode"] == 400
    assert function.invoke({"body": base64.b64encode(b"\xff").decode(), "isBase64Encoded": True})["statusCode"] == 400


def test_a_genuine_event_that_cannot_be_understood_is_kept_whole_with_its_reason(world: World) -> None:
    strange = event(snapshot={"customer": None})
    assert world.post(strange) == (200, {"outcome": "dead_letter"})
    (letter,) = world.dead_letters()
    assert json.loads(letter["Body"]) == strange
    reasons = {name: value["StringValue"] for name, value in letter["MessageAttributes"].items()}
    assert reasons == {
        "code": "subscription_without_customer",
        "reason": "The subscription names no customer",
        "encoding": "plain",
    }


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"odd": "' + b"x" * 1_000_000 + b'"}',
        json.dumps(event(snapshot={"customer": None, "metadata": {"a": "b" * 500_000}})).encode(),
        b'{"odd": "\x01\x02"}',
        '{"odd": "\ufffe"}'.encode(),
    ],
    ids=["empty", "a megabyte", "half a megabyte", "control characters", "no character"],
)
def test_a_genuine_event_that_sqs_would_refuse_is_kept_packed(world: World, body: bytes) -> None:
    assert world.post(body) == (200, {"outcome": "dead_letter"})
    (letter,) = world.dead_letters()
    assert letter["MessageAttributes"]["encoding"]["StringValue"] == "gzip+base64"
    assert unpacked(letter["Body"], "gzip+base64").encode() == body


def test_a_genuine_event_that_cannot_be_kept_is_sent_again(world: World) -> None:
    world.aws.clients.sqs.delete_queue(QueueUrl=world.aws.template.ref("DeadLetterQueue"))
    status, answer = world.post(event(snapshot={"customer": None}))
    assert (status, answer["code"]) == (503, "dead_letters_unavailable")


def test_a_rolled_secret_is_found_without_a_deploy(world: World) -> None:
    world.post(event())
    secret = {"webhook_signing_secrets": ["whsec_new_0123456789abcdef", SIGNING]}
    world.aws.clients.secretsmanager.put_secret_value(
        SecretId=world.aws.template.ref("SigningSecrets"), SecretString=json.dumps(secret)
    )
    body = json.dumps(event(id="evt_2", created=int(time.time()) - 30)).encode()
    assert world.post(body, signed(body, "whsec_new_0123456789abcdef")) == (200, {"outcome": "applied"})


@pytest.mark.parametrize(
    ("logical_id", "unfilled", "named"),
    [
        ("Secret", {"stripe_api_key": ""}, "SECRET_ID: stripe_api_key"),
        ("SigningSecrets", {"webhook_signing_secrets": []}, "SIGNING_SECRETS_ID: webhook_signing_secrets"),
    ],
)
def test_an_unfilled_secret_is_the_operators_to_fix(
    world: World, log: io.StringIO, logical_id: str, unfilled: dict[str, Any], named: str
) -> None:
    world.aws.clients.secretsmanager.put_secret_value(
        SecretId=world.aws.template.ref(logical_id), SecretString=json.dumps(unfilled)
    )
    status, answer = world.post(event())
    assert (status, answer["code"]) == (500, "bad_secret")
    assert named in log.getvalue()


def test_nothing_of_the_customer_is_logged(world: World, log: io.StringIO, capsys: pytest.CaptureFixture[str]) -> None:
    world.post(event(snapshot={"metadata": {"email": "ada@example.com"}}))
    world.post(event(id="evt_2", snapshot={"customer": None, "description": "ada@example.com", "status": 77123}))
    world.post(b'{"id": "ada@example.com"}')
    body = json.dumps(event()).encode()
    world.post(body.replace(b"active", b"ada@example.com"), signed(body))
    logged = "".join([log.getvalue(), *capsys.readouterr()])
    assert '"outcome":"dead_letter"' in logged
    for secret in ("ada@", "77123", SIGNING, "sk_test_1", "v1="):
        assert secret not in logged


def subscribed(simulator: RunningSimulator) -> stripe.Subscription:
    client = simulator.client()
    customer = client.v1.customers.create({"email": "ada@example.com", "payment_method": "pm_card_visa"})
    product = client.v1.products.create({"name": "Gold"})
    price = client.v1.prices.create(
        {"product": product.id, "currency": "eur", "unit_amount": 1200, "recurring": {"interval": "month"}}
    )
    return client.v1.subscriptions.create({"customer": customer.id, "items": [{"price": price.id}]})


def test_a_thin_event_brings_what_stripe_has_now(world: World, simulator: RunningSimulator) -> None:
    made = subscribed(simulator)
    thin = {
        "id": "evt_test_1",
        "object": "v2.core.event",
        "type": "v1.customer.subscription.created",
        "created": "2026-10-30T12:00:00Z",
        "livemode": False,
        "related_object": {"id": made.id, "type": "subscription", "url": f"/v1/subscriptions/{made.id}"},
    }
    assert world.post(thin) == (200, {"outcome": "queued"})
    assert world.settle() == 1
    item = world.table.get(str(made.customer), made.id)
    assert item
    assert (item.subscription.status, item.subscription.items[0].unit_amount_decimal) == ("active", "1200")


def test_a_thin_event_about_a_subscription_that_stripe_does_not_have_is_kept(world: World) -> None:
    thin = {
        "id": "evt_test_1",
        "object": "v2.core.event",
        "type": "v1.customer.subscription.created",
        "created": "2026-10-30T12:00:00Z",
        "livemode": False,
        "related_object": {"id": "sub_unknown"},
    }
    assert world.post(thin) == (200, {"outcome": "queued"})
    for _ in range(5):
        world.settle(delete_visibility=True)
    assert world.dead_letters()[0]["MessageAttributes"]["code"]["StringValue"] == "subscription_missing"


@pytest.mark.parametrize("entrance", ["https", "event bus"])
def test_a_fault_of_our_own_is_counted_and_told_without_what_was_sent(
    world: World,
    entrance: str,
    log: io.StringIO,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def break_down(*_: object, **__: object) -> None:
        raise ValueError("ada@example.com")

    monkeypatch.setattr(MirrorTable, "put_if_older", break_down)
    if entrance == "https":
        status, answer = world.post(event())
        assert (status, answer["code"]) == (500, "internal_error")
    else:
        monkeypatch.setenv("STRIPE_EVENT_SOURCE", "aws.partner/stripe.com/ed_test_1")
        webhook_app._wire.cache_clear()
        with pytest.raises(OperatorError) as caught:
            world.api._functions["WebhookFunction"].invoke(envelope(event()))
        assert "ada@" not in "".join(traceback.format_exception(caught.value))
    logged = "".join([log.getvalue(), *capsys.readouterr()])
    assert '"EventFailed"' in logged
    assert "ValueError" in logged
    assert "ada@" not in logged


# ------------------------------------------------------------------ the settle queue
def two_events(world: World, simulator: RunningSimulator) -> stripe.Subscription:
    """Two events of one second, of a subscription that Stripe says is active; the second one waits in the queue."""
    made = subscribed(simulator)
    at = int(time.time()) - 60
    facts = {"id": made.id, "customer": made.customer}
    assert world.post(event(id="evt_a", created=at, snapshot=facts | {"status": "trialing"}))[1]["outcome"] == "applied"
    simulator.admin("DELETE", "requests")
    assert world.post(event(id="evt_b", created=at, snapshot=facts | {"status": "past_due"}))[1]["outcome"] == "queued"
    assert simulator.admin("GET", "requests") == {}
    return made


def test_of_two_events_in_one_second_the_later_is_shown_until_a_read_settles_them(
    world: World, simulator: RunningSimulator, capsys: pytest.CaptureFixture[str]
) -> None:
    made = two_events(world, simulator)
    shown = world.table.get(str(made.customer), made.id)
    assert shown
    assert (shown.subscription.status, shown.settling is None) == ("past_due", False)
    assert world.settle() == 1
    settled = world.table.get(str(made.customer), made.id)
    assert settled
    assert (settled.subscription.status, settled.settling) == ("active", None)
    assert simulator.admin("GET", "requests") == {"GET /v1/subscriptions/{id}": 1}
    assert world.settle() == 0
    counted = capsys.readouterr().out
    assert '"EventQueued"' in counted
    assert '"EventFailed"' not in counted


def test_ten_events_of_one_second_cost_one_read(world: World, simulator: RunningSimulator) -> None:
    made = two_events(world, simulator)
    at = int(time.time()) - 60
    for number in range(8):
        snapshot = {"id": made.id, "customer": made.customer, "status": "past_due"}
        assert world.post(event(id=f"evt_{number}", created=at, snapshot=snapshot))[0] == 200
    assert world.settle() == 9
    assert simulator.admin("GET", "requests") == {"GET /v1/subscriptions/{id}": 1}


@pytest.mark.parametrize("status", [429, 500, 404, 400, 401])
def test_what_cannot_be_settled_yet_stays_in_the_queue(
    world: World, simulator: RunningSimulator, status: int, log: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    made = two_events(world, simulator)
    simulator.admin("POST", "faults", {"fail": [{"status": status, "times": 2 if status == 500 else 1}]})
    assert world.settle(delete_visibility=True) == 1
    assert world.dead_letters() == []
    counted = capsys.readouterr().out
    assert ('"EventFailed"' if status == 401 else '"EventRetried"') in counted
    assert ("put a new one into stripe_api_key" in log.getvalue()) is (status == 401)
    assert world.settle() == 1
    item = world.table.get(str(made.customer), made.id)
    assert item
    assert item.subscription.status == "active"


@pytest.mark.parametrize(("status", "code"), [(404, "subscription_missing"), (400, "subscription_refused")])
def test_a_read_that_stripe_goes_on_refusing_is_a_dead_letter(
    world: World, simulator: RunningSimulator, status: int, code: str
) -> None:
    two_events(world, simulator)
    simulator.admin("POST", "faults", {"fail": [{"status": status, "times": 9}]})
    for _ in range(4):
        assert world.settle(delete_visibility=True) == 1
        assert world.dead_letters() == []
    assert world.settle(delete_visibility=True) == 1
    assert world.dead_letters()[0]["MessageAttributes"]["code"]["StringValue"] == code
    assert world.settle() == 0


def test_one_message_that_fails_keeps_no_other_in_the_queue(world: World, simulator: RunningSimulator) -> None:
    made = two_events(world, simulator)
    broken = {"object": "event", "id": "evt_broken"}
    world.aws.clients.sqs.send_message(QueueUrl=world.aws.template.ref("SettleQueue"), MessageBody=json.dumps(broken))
    world.settle()
    assert [letter["Body"] for letter in world.dead_letters()] == [json.dumps(broken)]
    item = world.table.get(str(made.customer), made.id)
    assert item
    assert item.settling is None
    assert world.settle() == 0


def test_a_batch_that_runs_out_of_time_leaves_the_rest_in_the_queue(
    world: World, simulator: RunningSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_events(world, simulator)
    late = Mock(get_remaining_time_in_millis=lambda: 9_999, function_name="f", memory_limit_in_mb=1)
    record = {"messageId": "m_1", "eventSource": "aws:sqs", "body": "{}", "attributes": {}, "receiptHandle": "r"}
    begun: list[Any] = []
    monkeypatch.setattr(webhook_app, "_settle_one", begun.append)
    assert webhook_app.handler({"Records": [record]}, late) == {"batchItemFailures": [{"itemIdentifier": "m_1"}]}
    assert begun == []


def test_reads_that_settle_share_the_rate_of_the_setting(
    world: World, simulator: RunningSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[Mock] = []

    def made(rate: float) -> Mock:
        limits.append(Mock(rate=rate))
        return limits[-1]

    monkeypatch.setattr(pacing, "RateLimit", made)
    two_events(world, simulator)
    assert limits == []
    assert world.settle() == 1
    (limit,) = limits
    assert (limit.rate, limit.wait.call_count) == (10 / wiring.SETTLING_ENVIRONMENTS, 1)


def test_a_thin_event_that_stripe_limits_stays_in_the_queue_and_is_no_failure(
    world: World, simulator: RunningSimulator, capsys: pytest.CaptureFixture[str]
) -> None:
    made = subscribed(simulator)
    simulator.admin("POST", "faults", {"fail": [{"status": 429, "times": 1}]})
    thin = {
        "id": "evt_test_1",
        "object": "v2.core.event",
        "type": "v1.customer.subscription.created",
        "created": "2026-10-30T12:00:00Z",
        "livemode": False,
        "related_object": {"id": made.id},
    }
    assert world.post(thin) == (200, {"outcome": "queued"})
    assert world.settle(delete_visibility=True) == 1
    assert '"EventFailed"' not in capsys.readouterr().out
    assert world.settle() == 1
    assert world.table.get(str(made.customer), made.id)


def test_an_event_that_the_settle_queue_did_not_take_is_sent_again(world: World, simulator: RunningSimulator) -> None:
    world.aws.clients.sqs.delete_queue(QueueUrl=world.aws.template.ref("SettleQueue"))
    at = int(time.time()) - 60
    world.post(event(created=at))
    before = world.item()
    status, answer = world.post(event(id="evt_2", created=at, snapshot={"status": "past_due"}))
    assert (status, answer["code"], world.item()) == (503, "settle_queue_unavailable", before)
    assert simulator.admin("GET", "requests").get("GET /v1/subscriptions/{id}") is None


def envelope(detail: Any, source: str = "aws.partner/stripe.com/ed_test_1") -> dict[str, Any]:
    """EventBridge's form of an event."""
    return {
        "version": "0",
        "id": "7a3",
        "source": source,
        "detail-type": "customer.subscription.updated",
        "detail": detail,
    }


@pytest.fixture
def open_bus(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A deployment with StripeEventSource."""
    monkeypatch.setenv("STRIPE_EVENT_SOURCE", "aws.partner/stripe.com/ed_test_1")
    webhook_app._wire.cache_clear()
    return world


@pytest.mark.parametrize("source", ["aws.partner/stripe.com/ed_test_1", "aws.partner/stripe.com/ed_test_2"])
def test_without_its_setting_the_partner_bus_is_closed(
    world: World, capsys: pytest.CaptureFixture[str], source: str
) -> None:
    with pytest.raises(OperatorError, match="StripeEventSource"):
        world.api._functions["WebhookFunction"].invoke(envelope(event(), source))
    assert world.item() is None
    assert '"EventFailed"' in capsys.readouterr().out


def test_an_event_of_another_account_s_partner_bus_is_refused(open_bus: World) -> None:
    with pytest.raises(OperatorError, match="StripeEventSource"):
        open_bus.api._functions["WebhookFunction"].invoke(envelope(event(), "aws.partner/stripe.com/ed_test_2"))
    assert open_bus.item() is None


def test_a_body_of_any_size_costs_neither_a_secret_nor_a_signature(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SecretStore, "get", lambda _: pytest.fail("the secret was read"))
    body = b" " * (MOST_BODY_BYTES + 1)
    status, answer = world.post(body, {"stripe-signature": f"t={int(time.time())},v1={'0' * 64}"})
    assert (status, answer["code"]) == (400, "body_too_large")


def test_the_largest_event_that_stripe_can_make_is_accepted(world: World) -> None:
    metadata = {f"key_{number}": "x" * 500 for number in range(50)}
    item = {
        "id": "si_1",
        "metadata": metadata,
        "price": {"id": "price_1", "product": "prod_1", "metadata": metadata},
        "plan": {"id": "price_1", "metadata": metadata},
    }
    items = {"data": [item] * 10, "has_more": False}
    made = event(snapshot={"metadata": metadata, "items": items})
    made["data"]["previous_attributes"] = {"items": items}
    assert world.post(made) == (200, {"outcome": "applied"})


def test_an_event_of_the_partner_bus_needs_no_signature(open_bus: World) -> None:
    world = open_bus
    function = world.api._functions["WebhookFunction"]
    assert json.loads(function.invoke(envelope(event()))["body"]) == {"outcome": "applied"}
    assert json.loads(function.invoke(envelope(event()))["body"]) == {"outcome": "duplicate"}
    item = world.item()
    assert item
    assert item.revision == 1


def test_an_event_of_the_partner_bus_that_was_not_kept_fails_so_that_it_comes_again(open_bus: World) -> None:
    world = open_bus
    world.aws.clients.dynamodb.delete_table(TableName=world.aws.template.ref("Subscriptions"))
    with pytest.raises(Unavailable):
        world.api._functions["WebhookFunction"].invoke(envelope(event()))


def test_an_event_of_the_partner_bus_that_cannot_be_understood_is_kept(open_bus: World) -> None:
    world = open_bus
    world.api._functions["WebhookFunction"].invoke(envelope({"odd": True}))
    (letter,) = world.dead_letters()
    assert json.loads(letter["Body"]) == {"odd": True}


@pytest.mark.parametrize("source", ["aws.events", "", "aws.partner/stripe.com.evil/ed_1", "my.app"])
def test_an_event_of_another_source_is_not_trusted(world: World, source: str) -> None:
    assert world.api._functions["WebhookFunction"].invoke(envelope(event(), source))["statusCode"] == 400
    assert world.item() is None


def test_a_web_request_cannot_pass_for_the_partner_bus(world: World) -> None:
    request = envelope(event()) | {"requestContext": {"http": {"method": "POST"}}, "body": "{}", "headers": {}}
    assert world.api._functions["WebhookFunction"].invoke(request)["statusCode"] == 400
    assert world.item() is None


@pytest.fixture
def deployed(world: World, simulator: RunningSimulator) -> Iterator[None]:
    """The API on real HTTP, registered at the simulator as a webhook endpoint."""
    template = world.aws.template
    functions = {name: LambdaFunction(function) for name, function in template.functions().items()}
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = uvicorn.Server(uvicorn.Config(Gateway(template.routes(), functions), lifespan="off", log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    endpoint = simulator.client().v1.webhook_endpoints.create(
        {"url": f"{url}/webhooks/stripe", "enabled_events": ["*"]}
    )
    secret = {"webhook_signing_secrets": [endpoint.secret]}
    world.aws.clients.secretsmanager.put_secret_value(
        SecretId=template.ref("SigningSecrets"), SecretString=json.dumps(secret)
    )
    yield
    server.should_exit = True
    thread.join()
    listener.close()


@pytest.mark.usefixtures("deployed")
def test_the_mirror_follows_stripe_through_a_subscriptions_life(world: World, simulator: RunningSimulator) -> None:
    client = simulator.client()
    made = subscribed(simulator)
    customer, id_ = str(made.customer), made.id

    def held() -> tuple[str, str | None]:
        simulator.settle()
        item = world.table.get(customer, id_)
        assert item
        return item.subscription.status, item.subscription.pause_kind

    assert held() == ("active", None)
    client.v1.subscriptions.update(id_, {"pause_collection": {"behavior": "void"}})
    assert held() == ("active", "collection")
    client.v1.subscriptions.update(id_, {"pause_collection": ""})
    assert held() == ("active", None)
    client.v1.subscriptions.pause(id_)
    assert held() == ("paused", "subscription")
    client.v1.subscriptions.resume(id_)
    assert held() == ("active", None)
    client.v1.subscriptions.cancel(id_)
    assert held() == ("canceled", None)


@pytest.mark.usefixtures("deployed")
def test_when_the_database_refuses_the_next_delivery_heals_the_mirror(
    world: World, simulator: RunningSimulator
) -> None:
    world.aws.clients.dynamodb.delete_table(TableName=world.aws.template.ref("Subscriptions"))
    made = subscribed(simulator)
    attempts = [each for each in simulator.settle() if each["type"].startswith("customer.subscription")]
    assert [each["status_code"] for each in attempts] == [503]

    world.aws.create_table("Subscriptions")
    simulator.admin("POST", "deliveries/retry")
    simulator.settle()
    item = world.table.get(str(made.customer), made.id)
    assert item
    assert item.subscription.status == "active"
