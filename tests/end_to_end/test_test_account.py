"""The stack on a Stripe test account, for which a second simulator stands in: it knows nothing of the stack."""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from local.stripe_simulator.testing import RunningSimulator, Server
from tests.end_to_end.stack_fixture import RunningStack, eventually, free_port, get, links_of, row_of, wait_for_counter

KEY = "sk_test_51TheDevelopers"


@dataclass(frozen=True, slots=True)
class Account:
    """What was there before the stack: one customer with one subscription."""

    simulator: RunningSimulator
    subscription: str


@pytest.fixture(scope="module")
def account() -> Iterator[Account]:
    server = Server()
    try:
        with server.simulator() as simulator:
            client = simulator.client(KEY)
            features: Any = {"subscription_cancel": {"enabled": True}, "payment_method_update": {"enabled": True}}
            simulator.admin("POST", "default_configuration", {"features": features})
            product = client.v1.products.create({"name": "Plan"})
            price = client.v1.prices.create(
                {"product": product.id, "currency": "eur", "unit_amount": 1900, "recurring": {"interval": "month"}}
            )
            customer = client.v1.customers.create(
                {"name": "Ada Real", "email": "ada@example.com", "payment_method": "pm_card_visa"}
            )
            made = client.v1.subscriptions.create({"customer": customer.id, "items": [{"price": price.id}]})
            yield Account(simulator, made.id)
    finally:
        server.close()


@pytest.fixture(scope="module")
def stack(account: Account) -> Iterator[RunningStack]:
    """Deliveries come as `stripe listen` sends them: to the webhook's address, signed with a secret that is given."""
    ports = (free_port(), free_port(), free_port())
    endpoint = account.simulator.client(KEY).v1.webhook_endpoints.create(
        {"url": f"http://127.0.0.1:{ports[0]}/webhooks/stripe", "enabled_events": ["*"]}
    )
    running = RunningStack.start(
        ports=ports,
        STRIPE_API_KEY=KEY,
        STRIPE_API_BASE=account.simulator.url,
        STRIPE_WEBHOOK_SECRET=str(endpoint.secret),
    ).wait_until_ready(shows="0 of 1 in sync")
    yield running
    running.stop()


def press(stack: RunningStack, path: str, **form: str) -> int:
    return requests.post(f"{stack.url}{path}", form, headers={"Origin": stack.url}, timeout=60).status_code


def test_it_says_where_it_works_and_starts_no_simulator(stack: RunningStack, account: Account) -> None:
    assert f"{account.simulator.url}  (your test account" in stack.said
    assert f"stripe listen --all-snapshot --forward-to {stack.url}/webhooks/stripe" in stack.said
    for page in ("/", "/room"):
        assert re.search(r"your Stripe test account, [^<]*acct_\w+", html.unescape(get(stack.url + page).text)), page
    with pytest.raises(requests.ConnectionError):
        get(f"http://127.0.0.1:{stack.ports[1]}/_simulator/clock")


def test_the_room_fills_the_empty_mirror_and_follows_the_events(stack: RunningStack, account: Account) -> None:
    assert "nothing mirrored" in row_of(stack, "Ada Real")
    assert press(stack, "/room", run="backfill") == 200
    wait_for_counter(stack, "1 of 1 in sync")
    account.simulator.client(KEY).v1.subscriptions.update(account.subscription, {"cancel_at_period_end": True})
    eventually(stack, "Ada Real", "ends 20")
    assert {one["status_code"] for one in account.simulator.settle()} == {200}


def test_the_portal_the_explanation_access_and_the_audit_work(stack: RunningStack) -> None:
    row = row_of(stack, "Ada Real")
    portal = get(stack.url + links_of(row)[0])
    assert "/p/session/" in portal.headers["location"]
    assert get(portal.headers["location"]).ok
    (explained,) = re.findall(r'href="(/customers/[^"]+/subscriptions/[^"]+)"', row)
    explanation = get(stack.url + explained)
    assert explanation.ok
    assert "?as_of=" not in explanation.text
    shop = get(f"{stack.url}{explained.partition('/subscriptions/')[0]}/shop")
    assert "Open." in shop.text
    pauses = re.search(r'href="([^"]+)">Northwind\'s own page for pauses', row)
    assert pauses
    assert "Your subscription, 19.00 EUR a month" in requests.get(stack.url + pauses[1], timeout=60).text
    assert press(stack, "/audit") == 200
    assert "to billing-team@northwind.example" in get(f"{stack.url}/outbox").text


def test_what_only_the_simulator_has_is_not_offered_and_not_done(stack: RunningStack, account: Account) -> None:
    room = get(f"{stack.url}/room").text
    assert 'value="backfill"' in room
    assert "move the clock" not in room
    assert not re.search(r'name="(try|on|to)"|value="burst"', room)
    assert "The story needs the simulator" in get(f"{stack.url}/story").text
    customer = re.search(r'href="(/customers/cus_\w+)"', row_of(stack, "Ada Real"))
    assert customer
    page = get(stack.url + customer[1]).text
    assert "Let a month pass" not in page
    assert "<code>stripe listen</code> shows them" in get(f"{stack.url}/deliveries").text
    before = account.simulator.admin("GET", "clock")["offset"]
    refused = [
        press(stack, "/clock", to="month"),
        press(stack, "/clock", to="march"),
        press(stack, f"{customer[1]}/clock"),
        press(stack, "/story", step="0"),
        press(stack, "/room", run="burst"),
        press(stack, "/room", on="drop"),
        press(stack, "/room", **{"try": "429"}),
    ]
    assert refused == [400] * len(refused)
    assert account.simulator.admin("GET", "clock")["offset"] == before


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"STRIPE_API_BASE": "http://127.0.0.1:1"}, "Stripe does not answer"),
        ({"STRIPE_API_BASE": "https://collector.example"}, "STRIPE_API_BASE may only name"),
        ({"STRIPE_API_KEY": "rk_live_1"}, "does not run on live data"),
    ],
)
def test_what_cannot_work_ends_at_once_in_one_line(environment: dict[str, str], words: str) -> None:
    refused = RunningStack.start(ports=None, **{"STRIPE_API_KEY": KEY, **environment})
    assert refused.wait_for_end(120) in {1, 2}
    assert words in refused.said
    assert "Traceback" not in refused.said
    assert KEY not in refused.said
