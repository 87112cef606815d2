"""Checkout at the simulator: the sessions of its API and the page on which they are paid."""

from typing import Any

import pytest
import stripe

from tests.integration import simulator_fixtures as given
from tests.integration.simulator_fixtures import RunningSimulator, Shop

server, simulator, client, shop = given.server, given.simulator, given.client, given.shop
URL = "https://example.com/done"


def test_checkout_ends_in_a_subscription(simulator: RunningSimulator, shop: Shop) -> None:
    client = simulator.client()
    session = client.v1.checkout.sessions.create(
        {
            "mode": "subscription",
            "line_items": [{"price": shop.monthly.id, "quantity": 2}],
            "success_url": "https://example.com/done?id={CHECKOUT_SESSION_ID}",
        }
    )
    url = str(session.url)
    assert "12.00 EUR / month x 2" in simulator.session.get(url, timeout=60).text
    form = {"email": "new@example.com", "action": "pay"}
    paid = simulator.session.post(url, data=form, timeout=60, allow_redirects=False)
    assert paid.headers["Location"] == f"https://example.com/done?id={session.id}"
    done = client.v1.checkout.sessions.retrieve(session.id, {"expand": ["customer", "subscription"]})
    assert (done.status, done.to_dict()["customer"]["email"]) == ("complete", "new@example.com")
    assert done.to_dict()["subscription"]["items"]["data"][0]["quantity"] == 2
    assert simulator.event_types()[-1] == "checkout.session.completed"
    assert simulator.session.get(url, timeout=60).status_code == 410


def test_checkout_expires_after_a_day(simulator: RunningSimulator, shop: Shop) -> None:
    client = simulator.client()
    wanted: Any = {"mode": "subscription", "line_items": [{"price": shop.monthly.id}], "success_url": URL}
    wanted["customer"] = shop.customer.id
    session = client.v1.checkout.sessions.create(wanted)
    simulator.admin("POST", "clock", {"now": session.expires_at})
    assert client.v1.checkout.sessions.list({"customer": shop.customer.id}).data[0].id == session.id
    assert simulator.session.post(str(session.url), data={"email": "x@example.com"}, timeout=60).status_code == 400
    assert client.v1.checkout.sessions.retrieve(session.id).status == "expired"


def test_an_open_checkout_session_can_be_ended_once(client: stripe.StripeClient, shop: Shop) -> None:
    line: Any = {"price": shop.monthly.id, "quantity": 1}
    wanted: Any = {"mode": "subscription", "line_items": [line], "success_url": "https://shop.example/"}
    session = client.v1.checkout.sessions.create(wanted | {"customer": shop.customer.id})
    assert [one.id for one in client.v1.checkout.sessions.list({"status": "open"}).data] == [session.id]
    ended = client.v1.checkout.sessions.expire(session.id)
    assert (ended.status, ended.url) == ("expired", None)
    with pytest.raises(stripe.InvalidRequestError, match="can be expired"):
        client.v1.checkout.sessions.expire(session.id)
    assert client.v1.checkout.sessions.list({"customer": shop.customer.id, "status": "open"}).data == []
