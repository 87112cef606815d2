"""`stripe listen` of the official Stripe CLI forwards the events of a simulator."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import stripe

from local.stripe_simulator.testing import RunningSimulator
from tests.contract.test_stripe_cli import CLI, environment
from tests.end_to_end.stack_fixture import RunningStack, free_port, wait_for_counter
from tests.integration import simulator_fixtures as given
from tests.integration.simulator_fixtures import Receiver

server, simulator, receiver = given.server, given.simulator, given.receiver

pytestmark = pytest.mark.skipif(not CLI.exists(), reason="needs `make contract`, which needs Node")


@contextmanager
def listening(simulator: RunningSimulator, home: Path, *arguments: str) -> Iterator[str]:
    """Run `stripe listen`; gives the signing secret that it prints once it is ready."""
    log = home / "log"
    command: list[str | Path] = [
        CLI,
        "--api-key",
        "sk_test_51anything",
        "listen",
        *arguments,
        "--api-base",
        simulator.url,
    ]
    with (
        log.open("w") as output,
        # npm's `stripe` starts the program itself as a child, and does not pass a signal on: both are in a group.
        subprocess.Popen(command, stdout=output, stderr=output, env=environment(home), start_new_session=True) as cli,
    ):
        try:
            yield _secret(log)
        finally:
            os.killpg(cli.pid, signal.SIGINT)


def _secret(log: Path) -> str:
    for _ in range(200):
        found = re.search(r"Ready!.*signing secret is (whsec_\w+)", log.read_text())
        if found:
            return found[1]
        time.sleep(0.05)
    raise AssertionError(log.read_text())


def test_the_cli_forwards_signed_events_and_reports_what_became_of_them(
    simulator: RunningSimulator, receiver: Receiver, tmp_path: Path
) -> None:
    receiver.statuses = [500]
    with listening(simulator, tmp_path, "--all-snapshot", "--forward-to", receiver.url) as secret:
        customers = [simulator.client().v1.customers.create({"name": name}).id for name in ("Ada", "Grace")]
        attempts = _attempts(simulator, 2)
    assert sorted(one["status_code"] for one in attempts) == [200, 500]
    events = [stripe.Webhook.construct_event(one.body, one.signature, secret) for one in receiver.received]
    assert sorted(event.data.object["id"] for event in events) == sorted(customers)
    assert all(json.loads(one.body)["api_version"] == "2026-10-28.endive" for one in receiver.received)


def test_events_from_after_the_cli_went_away_are_sent_to_nobody(
    simulator: RunningSimulator, receiver: Receiver, tmp_path: Path
) -> None:
    with listening(simulator, tmp_path, "--events", "customer.updated", "--forward-to", receiver.url):
        client = simulator.client()
        customer = client.v1.customers.create({})
        client.v1.customers.update(customer.id, {"name": "Ada"})
        _attempts(simulator, 1)
    client.v1.customers.update(customer.id, {"name": "Grace"})
    assert [json.loads(one.body)["type"] for one in receiver.received] == ["customer.updated"]


def test_the_stack_on_a_test_account_takes_what_the_documented_command_forwards(
    simulator: RunningSimulator, tmp_path: Path
) -> None:
    ports = (free_port(), free_port(), free_port())
    webhook = f"http://127.0.0.1:{ports[0]}/webhooks/stripe"
    with listening(simulator, tmp_path, "--all-snapshot", "--forward-to", webhook) as secret:
        account = {"STRIPE_API_KEY": "sk_test_51anything", "STRIPE_API_BASE": simulator.url}
        stack = RunningStack.start(ports=ports, STRIPE_WEBHOOK_SECRET=secret, **account)
        try:
            stack.wait_until_ready(shows="0 of 0 in sync")
            client = simulator.client()
            customer = client.v1.customers.create({"name": "Ada", "payment_method": "pm_card_visa"})
            recurring: Any = {"interval": "month"}
            plan: Any = {
                "currency": "eur",
                "unit_amount": 100,
                "recurring": recurring,
                "product_data": {"name": "Gold"},
            }
            price = client.v1.prices.create(plan)
            client.v1.subscriptions.create({"customer": customer.id, "items": [{"price": price.id}]})
            wait_for_counter(stack, "1 of 1 in sync")
        finally:
            stack.stop()


def _attempts(simulator: RunningSimulator, count: int) -> list[dict[str, Any]]:
    attempts: list[dict[str, Any]] = []
    for _ in range(200):
        attempts = simulator.admin("GET", "deliveries")["data"]
        if len(attempts) >= count:
            return attempts
        time.sleep(0.05)
    raise AssertionError(attempts)


def test_a_session_needs_a_key_and_a_socket_needs_a_session(simulator: RunningSimulator) -> None:
    answer = simulator.session.post(f"{simulator.url}/v1/stripecli/sessions")
    assert answer.status_code == 401
    handshake = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "c2ltdWxhdG9yIHRlc3Qga2V5",
    }
    made = simulator.session.post(f"{simulator.url}/v1/stripecli/sessions", auth=("sk_test_51anything", "")).json()
    known = made["websocket_url"].replace("ws://", "http://")
    for address, origin in ((f"{known}x", {}), (known, {"Origin": "http://evil.example"})):
        # A connection of its own, because the server closes it.
        with requests.Session() as session:
            session.trust_env = False
            assert session.get(address, headers={**handshake, **origin}, timeout=5).status_code == 403
