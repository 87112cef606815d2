import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
import stripe

from tests.integration import simulator_fixtures as given
from tests.integration.simulator_fixtures import Receiver, RunningSimulator

server, simulator, client, receiver = given.server, given.simulator, given.client, given.receiver
shop, subscribe = given.shop, given.subscribe


def listen(client: stripe.StripeClient, receiver: Receiver, *types: Any) -> stripe.WebhookEndpoint:
    """A webhook endpoint for some types, or for all."""
    return client.v1.webhook_endpoints.create({"url": receiver.url, "enabled_events": list(types) or ["*"]})


def names(receiver: Receiver) -> list[str]:
    """The names of the customers told of, in the order of arrival."""
    return [json.loads(one.body)["data"]["object"]["name"] for one in receiver.received]


def test_a_delivery_is_signed_pretty_printed_and_recorded(simulator: RunningSimulator, receiver: Receiver) -> None:
    client = simulator.client()
    endpoint = listen(client, receiver, "customer.created")
    customer = client.v1.customers.create({"name": "Zoë"})
    client.v1.customers.update(customer.id, {"name": "Zoe"})
    attempts = simulator.settle()
    (arrived,) = receiver.received
    event = stripe.Webhook.construct_event(arrived.body, arrived.signature, endpoint.secret)
    assert (event.type, event.data.object["id"], event.livemode) == ("customer.created", customer.id, False)
    assert arrived.user_agent == "Stripe/1.0 (+https://stripe.com/docs/webhooks)"
    assert arrived.body.decode().startswith('{\n  "id": "evt_')
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(arrived.body + b" ", arrived.signature, endpoint.secret)
    assert [(one["event"], one["status_code"], one["attempt"], one["next_retry"]) for one in attempts] == [
        (event.id, 200, 1, None)
    ]
    stored = client.v1.events.retrieve(event.id)
    assert (stored.pending_webhooks, stored.data.object) == (0, event.data.object)


def test_a_failed_delivery_is_tried_again_with_a_fresh_signature_until_it_heals(
    simulator: RunningSimulator, receiver: Receiver
) -> None:
    client, start = simulator.client(), 1_720_000_000
    endpoint = listen(client, receiver, "customer.created")
    receiver.statuses = [500, 302]
    simulator.admin("POST", "clock", {"now": start})
    client.v1.customers.create({})
    (first,) = simulator.settle()
    assert (first["status_code"], first["next_retry"] - first["time"]) == (500, 2)
    event = client.v1.events.list({"delivery_success": False}).data[0]
    assert event.pending_webhooks == 1

    simulator.admin("POST", "clock", {"now": start + 1000, "receiver_now": time.time() + 1000})
    assert simulator.admin("POST", "deliveries/retry") == {"retried": 1}
    second = simulator.settle()[-1]
    assert (second["status_code"], second["attempt"], second["next_retry"] - second["time"]) == (302, 2, 4)
    simulator.admin("POST", "deliveries/retry")
    assert simulator.settle()[-1]["status_code"] == 200

    assert [one.id for one in client.v1.events.list({"delivery_success": True, "type": "customer.*"}).data] == [
        event.id
    ]
    times = [int(one.signature.partition(",")[0].removeprefix("t=")) for one in receiver.received]
    assert times[1] - times[0] >= 999
    for one in receiver.received:
        stripe.WebhookSignature.verify_header(one.body, one.signature, endpoint.secret)


def test_retries_come_by_themselves(server: given.Server, receiver: Receiver) -> None:
    with server.simulator(retry_seconds=0.05) as simulator:
        listen(simulator.client(), receiver)
        receiver.statuses = [503, 503]
        simulator.client().v1.customers.create({})
        for _ in range(100):
            if len(simulator.admin("GET", "deliveries")["data"]) == 3:
                break
            time.sleep(0.02)
        assert [one["status_code"] for one in simulator.settle()] == [503, 503, 200]


def test_an_endpoint_that_cannot_be_reached_is_recorded_as_such(simulator: RunningSimulator) -> None:
    client = simulator.client()
    client.v1.webhook_endpoints.create({"url": "http://127.0.0.1:9/none", "enabled_events": ["*"]})
    client.v1.customers.create({})
    (attempt,) = simulator.settle()
    assert (attempt["status_code"], attempt["error"]) == (None, "ConnectionError")


def test_disabled_and_deleted_endpoints_get_nothing(simulator: RunningSimulator, receiver: Receiver) -> None:
    client = simulator.client()
    endpoint = listen(client, receiver)
    assert endpoint.secret is not None
    assert endpoint.secret.startswith("whsec_")
    shown = client.v1.webhook_endpoints.update(endpoint.id, {"disabled": True})
    assert (shown.status, "secret" in shown) == ("disabled", False)
    client.v1.customers.create({"name": "unheard"})
    client.v1.webhook_endpoints.update(endpoint.id, {"disabled": False, "enabled_events": ["customer.updated"]})
    client.v1.customers.create({"name": "not asked for"})
    client.v1.webhook_endpoints.delete(endpoint.id)
    client.v1.customers.create({"name": "gone"})
    simulator.settle()
    assert receiver.received == []
    assert client.v1.webhook_endpoints.list().data == []


def test_a_disabled_endpoint_gets_what_is_pending_once_it_is_enabled(
    simulator: RunningSimulator, receiver: Receiver
) -> None:
    client = simulator.client()
    endpoint = listen(client, receiver)
    receiver.statuses = [500]
    client.v1.customers.create({})
    simulator.settle()
    client.v1.webhook_endpoints.update(endpoint.id, {"disabled": True})
    simulator.admin("POST", "deliveries/retry")
    assert len(simulator.settle()) == 1
    client.v1.webhook_endpoints.update(endpoint.id, {"disabled": False})
    simulator.admin("POST", "deliveries/retry")
    assert [one["status_code"] for one in simulator.settle()] == [500, 200]


def test_an_unknown_event_name_is_refused(client: stripe.StripeClient, receiver: Receiver) -> None:
    with pytest.raises(stripe.InvalidRequestError, match=r"Invalid enabled_events\[0\]"):
        listen(client, receiver, "customer.wished")


def test_events_are_listed_by_type_and_time_in_both_directions(simulator: RunningSimulator) -> None:
    client = simulator.client()
    simulator.admin("POST", "clock", {"now": 1_720_000_000})
    first = client.v1.customers.create({})
    simulator.admin("POST", "clock", {"now": 1_720_001_000})
    client.v1.customers.update(first.id, {"name": "Ada"})
    client.v1.products.create({"name": "Gold"})
    every = client.v1.events.list().data
    assert [one.type for one in every] == ["product.created", "customer.updated", "customer.created"]
    assert [one.type for one in client.v1.events.list({"type": "customer.*"}).data] == [one.type for one in every[1:]]
    both = client.v1.events.list({"types": ["product.created", "customer.created"]}).data
    assert [one.type for one in both] == ["product.created", "customer.created"]
    since = client.v1.events.list({"ending_before": every[2].id, "limit": 1})
    assert [one.type for one in since.auto_paging_iter()] == ["customer.updated", "product.created"]
    assert len(client.v1.events.list({"created": {"lt": 1_720_000_900}}).data) == 1
    with pytest.raises(stripe.InvalidRequestError, match="only specify one"):
        client.v1.events.list({"type": "a", "types": ["b"]})


def test_events_are_kept_for_thirty_days(simulator: RunningSimulator) -> None:
    simulator.client().v1.customers.create({})
    now = simulator.admin("GET", "clock")["now"]
    simulator.admin("POST", "clock", {"now": now + 31 * 86_400})
    assert simulator.client().v1.events.list().data == []


def test_faults_of_deliveries_duplicate_drop_delay_and_reorder(simulator: RunningSimulator, receiver: Receiver) -> None:
    client = simulator.client()
    listen(client, receiver)

    def create(*wanted: str) -> list[str]:
        receiver.received.clear()
        for name in wanted:
            client.v1.customers.create({"name": name})
        simulator.settle()
        return names(receiver)

    simulator.admin("POST", "faults", {"duplicate": 2})
    assert create("twin") == ["twin"] * 3
    simulator.admin("POST", "faults", {"drop": 1})
    assert create("lost", "found") == ["found"]
    undelivered = client.v1.events.list({"delivery_success": False}).data
    assert [one.data.object["name"] for one in undelivered] == ["lost"]
    simulator.admin("POST", "faults", {"delay_seconds": 0.05})
    assert create("late") == ["late"]
    simulator.admin("POST", "faults", {"reorder": 3})
    assert create("a", "b") == []
    assert create("c") == ["c", "b", "a"]
    assert create("held") == []
    simulator.admin("DELETE", "faults")
    simulator.settle()
    assert names(receiver) == ["held"]
    assert simulator.admin("GET", "faults")["reorder"] == 0


def test_the_clock_of_receivers_waits_for_what_is_in_flight(simulator: RunningSimulator) -> None:
    """A delivery that is signed at one time is never checked at another."""
    begun, release, ended = threading.Event(), threading.Event(), threading.Event()

    class Slow(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            begun.set()
            release.wait(60)
            ended.set()
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Slow) as slow:
        threading.Thread(target=slow.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{slow.server_port}/"
        simulator.client().v1.webhook_endpoints.create({"url": url, "enabled_events": ["*"]})
        simulator.client().v1.customers.create({})
        assert begun.wait(60)
        with ThreadPoolExecutor() as threads:
            move = threads.submit(simulator.admin, "POST", "clock", {"receiver_now": 1_720_000_000})
            with pytest.raises(TimeoutError):
                move.result(0.3)
            release.set()
            move.result()
        assert ended.is_set()
        assert [one["status_code"] for one in simulator.settle()] == [200]
        slow.shutdown()


def test_attempts_are_numbered_and_what_was_dropped_is_among_them(
    simulator: RunningSimulator, receiver: Receiver
) -> None:
    client = simulator.client()
    listen(client, receiver)
    simulator.admin("POST", "faults", {"drop": 1})
    lost, found = client.v1.customers.create({}), client.v1.customers.create({})
    (attempt,) = simulator.settle()
    assert (attempt["object"], attempt["customer"]) == (found.id, None)
    (dropped,) = simulator.admin("GET", "deliveries")["dropped"]
    assert (dropped["object"], dropped["error"], dropped["number"]) == (lost.id, "dropped", attempt["number"] - 1)
    assert simulator.admin("GET", f"deliveries?after={attempt['number']}") == {"data": [], "dropped": []}


def test_lag_shifts_the_time_of_events(simulator: RunningSimulator, client: stripe.StripeClient) -> None:
    simulator.admin("POST", "faults", {"lag": 3})
    customer = client.v1.customers.create({})
    assert client.v1.events.list().data[0].created - customer.created >= 3


def test_failures_on_request_raise_the_librarys_errors_and_wear_off(simulator: RunningSimulator) -> None:
    client = simulator.client()
    fail = [
        {"status": 500, "method": "GET", "path": "/v1/customers"},
        {"status": 429, "times": 2, "path": "/v1/events"},
    ]
    simulator.admin("POST", "faults", {"fail": fail})
    with pytest.raises(stripe.APIError):
        client.v1.customers.list()
    assert client.v1.customers.list().data == []
    with pytest.raises(stripe.RateLimitError) as caught:
        client.v1.events.list()
    assert caught.value.error is not None
    assert caught.value.error.code == "rate_limit"
    assert simulator.admin("GET", "faults")["fail"][1]["times"] == 1
    answer = simulator.session.post(f"{simulator.url}/_simulator/faults", json={"wish": 1}, timeout=60)
    assert answer.status_code == 400


def test_a_post_that_failed_on_request_heals_when_the_library_tries_again(simulator: RunningSimulator) -> None:
    simulator.admin("POST", "faults", {"fail": [{"status": 500}]})
    patient = simulator.client(max_network_retries=1)
    assert patient.v1.customers.create({"name": "Ada"}).name == "Ada"
    assert len(patient.v1.customers.list().data) == 1


def test_the_rate_limit_counts_each_endpoint_by_itself(simulator: RunningSimulator) -> None:
    client = simulator.client()
    simulator.admin("POST", "faults", {"requests_per_second": 2})
    client.v1.customers.list()
    client.v1.customers.list()
    with pytest.raises(stripe.RateLimitError) as caught:
        client.v1.customers.list()
    assert caught.value.headers is not None
    assert caught.value.headers["Stripe-Rate-Limited-Reason"] == "endpoint-rate"
    client.v1.events.list()


def test_latency_makes_an_answer_old_when_it_arrives(simulator: RunningSimulator) -> None:
    simulator.admin("POST", "faults", {"latency_seconds": 0.05})
    answer = simulator.client().raw_request("get", "/v1/balance")
    assert answer.code == 200


def test_an_endpoint_gets_events_in_its_own_version_and_the_event_stays_as_it_is(
    simulator: RunningSimulator, receiver: Receiver, subscribe: Any
) -> None:
    client = simulator.client()
    for version in ("2017-04-06", "2024-06-20", "2026-10-28.endive"):
        client.v1.webhook_endpoints.create({"url": receiver.url, "enabled_events": ["*"], "api_version": version})
    subscription = subscribe(metadata={"a": "b"})
    client.v1.subscriptions.update(subscription.id, {"billing_cycle_anchor": {"type": "now"}, "metadata": {"a": "c"}})
    (stored,) = simulator.client(stripe_version="2024-06-20").v1.events.list({"type": "*.created", "limit": 1})
    assert (stored.api_version, "current_period_end" in stored.data.object) == ("2026-10-28.endive", False)
    simulator.admin("POST", "clock", {"now": time.time() + 40 * 86_400})
    client.v1.subscriptions.retrieve(subscription.id)
    simulator.settle()
    deliveries = [json.loads(one.body) for one in receiver.received]
    renewals = {
        one["api_version"]: one["data"]["previous_attributes"]
        for one in deliveries
        if one["type"] == "customer.subscription.updated" and one["request"]["id"] is None
    }
    today = renewals["2026-10-28.endive"]["items"]["data"][0]
    end = today["current_period_end"]
    # Before the items had periods, the subscription had the one that changed, and nothing of the items did.
    assert renewals["2024-06-20"] == {
        "current_period_end": end,
        "current_period_start": today["current_period_start"],
        "latest_invoice": subscription.latest_invoice,
    }
    assert renewals["2017-04-06"] == renewals["2024-06-20"]
    created = {
        one["api_version"]: one["data"]["object"]
        for one in deliveries
        if one["type"] == "customer.subscription.created"
    }
    assert (created["2024-06-20"]["current_period_end"], created["2017-04-06"]["billing"]) == (
        end,
        "charge_automatically",
    )
    assert "billing_mode" not in created["2024-06-20"]


def test_arrays_of_what_changed_held_the_changed_elements_alone_until_2017(
    simulator: RunningSimulator, receiver: Receiver
) -> None:
    client = simulator.client()
    for version in ("2017-04-06", "2017-05-25"):
        client.v1.webhook_endpoints.create(
            {"url": receiver.url, "enabled_events": ["product.updated"], "api_version": version}
        )
    product = client.v1.products.create({"name": "Silver", "images": ["https://a.example/1", "https://a.example/2"]})
    client.v1.products.update(product.id, {"images": ["https://a.example/1", "https://a.example/3"]})
    simulator.settle()
    images = {
        event["api_version"]: event["data"]["previous_attributes"]["images"]
        for event in (json.loads(one.body) for one in receiver.received)
    }
    assert images == {
        "2017-04-06": ["https://a.example/2"],
        "2017-05-25": ["https://a.example/1", "https://a.example/2"],
    }
