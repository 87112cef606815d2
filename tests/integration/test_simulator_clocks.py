"""Time in the simulator: its own, that of those who receive its events, and test clocks."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
import requests
import stripe

from tests.integration import simulator_fixtures as given
from tests.integration.simulator_fixtures import Receiver, RunningSimulator, Shop, refusal

server, simulator, client = given.server, given.simulator, given.client
receiver, shop = given.receiver, given.shop

LONG_AGO = 1_600_000_000
DAY = 86_400


def signed_at(receiver: Receiver) -> list[int]:
    """The times of the signatures, in the order of arrival."""
    return [int(one.signature.partition(",")[0].removeprefix("t=")) for one in receiver.received]


def test_moving_the_simulators_time_makes_no_signature_stale(simulator: RunningSimulator, receiver: Receiver) -> None:
    client = simulator.client()
    hook = client.v1.webhook_endpoints.create({"url": receiver.url, "enabled_events": ["*"]})
    for now in (LONG_AGO, LONG_AGO + 10**9):
        simulator.admin("POST", "clock", {"now": now})
        client.v1.customers.create({})
    simulator.settle()
    for one in receiver.received:
        event = stripe.Webhook.construct_event(one.body, one.signature, str(hook.secret), tolerance=300)
        assert abs(event.created - time.time()) > 10**8
    assert len(receiver.received) == 2


def test_the_receivers_time_is_set_on_its_own_and_read_back(simulator: RunningSimulator, receiver: Receiver) -> None:
    client = simulator.client()
    client.v1.webhook_endpoints.create({"url": receiver.url, "enabled_events": ["*"]})
    clocks = simulator.admin("POST", "clock", {"receiver_now": LONG_AGO})
    assert 0 <= clocks["receiver_now"] - LONG_AGO < 60
    assert abs(clocks["now"] - time.time()) < 60
    client.v1.customers.create({})
    simulator.settle()
    assert 0 <= signed_at(receiver)[0] - LONG_AGO < 60
    assert abs(simulator.admin("POST", "clock", {"receiver_now": None})["receiver_now"] - time.time()) < 60


@pytest.mark.parametrize("body", [{"then": 1}, {"now": "soon"}, {"receiver_now": True}, []])
def test_a_time_that_makes_no_sense_is_refused_and_changes_nothing(simulator: RunningSimulator, body: Any) -> None:
    answer = simulator.session.post(f"{simulator.url}/_simulator/clock", json=body, timeout=60)
    assert answer.status_code == 400
    assert abs(simulator.admin("GET", "clock")["offset"]) < 1


@contextmanager
def follower(status: int) -> Iterator[tuple[str, list[Any]]]:
    """A server that is told of the receivers' time."""
    told: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's own name
            """Say nothing."""

    http = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}/clock", told
    http.shutdown()
    thread.join()
    http.server_close()


def test_a_follower_has_taken_over_the_receivers_time_when_the_response_comes(simulator: RunningSimulator) -> None:
    with follower(200) as (address, told):
        simulator.admin("POST", "clock", {"follower": address})
        simulator.admin("POST", "clock", {"now": LONG_AGO, "receiver_now": LONG_AGO})
        simulator.admin("POST", "clock", {"now": LONG_AGO + 5})
        simulator.admin("POST", "clock", {"receiver_now": None})
    assert told == [{"now": LONG_AGO}, {"now": None}]


def test_a_follower_that_fails_is_named(simulator: RunningSimulator) -> None:
    with follower(500) as (address, _):
        simulator.admin("POST", "clock", {"follower": address})
        answer = requests.post(f"{simulator.url}/_simulator/clock", json={"receiver_now": LONG_AGO}, timeout=60)
    assert (answer.status_code, address in answer.json()["error"]["message"]) == (400, True)


# Test clocks.


def on_clock(client: stripe.StripeClient, shop: Shop, start: int = LONG_AGO) -> tuple[str, stripe.Subscription]:
    """A clock, and a monthly subscription of a customer on it."""
    clock = client.v1.test_helpers.test_clocks.create({"frozen_time": start, "name": "monthly"})
    customer = client.v1.customers.create({"test_clock": clock.id, "payment_method": "pm_card_visa"})
    wanted: Any = {"customer": customer.id, "items": [{"price": shop.monthly.id}]}
    return clock.id, client.v1.subscriptions.create(wanted)


def period_of(subscription: stripe.Subscription) -> tuple[int, int]:
    item: Any = subscription.to_dict()["items"]["data"][0]
    return item["current_period_start"], item["current_period_end"]


def test_a_subscription_on_a_test_clock_renews_only_when_that_clock_moves(
    simulator: RunningSimulator, shop: Shop
) -> None:
    client = simulator.client()
    clock, subscription = on_clock(client, shop)
    assert (subscription.created, subscription.test_clock) == (LONG_AGO, clock)
    start, end = period_of(subscription)
    assert start == LONG_AGO
    simulator.admin("POST", "clock", {"now": end + 400 * DAY})
    assert period_of(client.v1.subscriptions.retrieve(subscription.id)) == (start, end)

    advancing = client.v1.test_helpers.test_clocks.advance(clock, {"frozen_time": end + 1})
    assert (advancing.status, advancing.frozen_time) == ("advancing", LONG_AGO)
    ready = client.v1.test_helpers.test_clocks.retrieve(clock)
    assert (ready.status, ready.frozen_time) == ("ready", end + 1)
    assert period_of(client.v1.subscriptions.retrieve(subscription.id))[0] == end


def test_two_periods_are_two_renewals(simulator: RunningSimulator, shop: Shop) -> None:
    client = simulator.client()
    clock, subscription = on_clock(client, shop)
    _, first = period_of(subscription)
    client.v1.test_helpers.test_clocks.advance(clock, {"frozen_time": LONG_AGO + 61 * DAY})
    events = client.v1.events.list({"type": "customer.subscription.updated", "limit": 100}).data
    starts = [event.data.object["items"]["data"][0]["current_period_start"] for event in reversed(events)]
    assert starts == [first, period_of(client.v1.subscriptions.retrieve(subscription.id))[0]]
    assert first < starts[1]
    assert all(abs(event.created - time.time()) < 60 for event in events)
    kinds = [kind for kind in simulator.event_types() if "test_clock" in kind]
    assert kinds == [f"test_helpers.test_clock.{word}" for word in ("created", "advancing", "ready")]


def test_what_is_on_a_test_clock_is_listed_only_when_named(client: stripe.StripeClient, shop: Shop) -> None:
    clock, subscription = on_clock(client, shop)
    customer = str(subscription.customer)
    subscriptions, customers = client.v1.subscriptions, client.v1.customers
    assert subscriptions.list().data == []
    assert [one.id for one in subscriptions.list({"test_clock": clock}).data] == [subscription.id]
    assert [one.id for one in subscriptions.list({"customer": customer}).data] == [subscription.id]
    assert [one.id for one in customers.list().data] == [shop.customer.id]
    assert [one.id for one in customers.list({"test_clock": clock}).data] == [customer]


def test_a_test_clock_moves_forward_by_two_intervals_at_most(client: stripe.StripeClient, shop: Shop) -> None:
    clock, _ = on_clock(client, shop)
    path = f"test_helpers/test_clocks/{clock}/advance"
    assert "must be after" in refusal(client, "post", path, {"frozen_time": LONG_AGO})
    assert "two intervals" in refusal(client, "post", path, {"frozen_time": LONG_AGO + 62 * DAY})
    empty = client.v1.test_helpers.test_clocks.create({"frozen_time": LONG_AGO})
    path = f"test_helpers/test_clocks/{empty.id}/advance"
    assert "two years" in refusal(client, "post", path, {"frozen_time": LONG_AGO + 732 * DAY})


def test_a_deleted_test_clock_takes_its_customers_along(client: stripe.StripeClient, shop: Shop) -> None:
    clock, subscription = on_clock(client, shop)
    client.v1.test_helpers.test_clocks.delete(clock)
    assert client.v1.subscriptions.retrieve(subscription.id).status == "canceled"
    assert client.v1.customers.retrieve(str(subscription.customer)).deleted
    assert client.v1.test_helpers.test_clocks.list().data == []
    assert client.v1.customers.retrieve(shop.customer.id).email == shop.customer.email
