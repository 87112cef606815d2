"""A running simulator and a receiver of its deliveries, for every test a fresh one."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import stripe

from local.stripe_simulator.testing import RunningSimulator, Server

__all__ = ["RunningSimulator", "Server"]

NEW = "2026-10-28.endive"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def simulator(server: Server) -> Iterator[RunningSimulator]:
    with server.simulator() as running:
        yield running


@pytest.fixture
def client(simulator: RunningSimulator) -> stripe.StripeClient:
    return simulator.client()


@dataclass
class Received:
    """One delivery as it arrived."""

    body: bytes
    signature: str
    user_agent: str


@dataclass
class Receiver:
    """A webhook endpoint that answers what it is told to: the next statuses, then 200."""

    url: str
    statuses: list[int] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            arrived = Received(body, self.headers["Stripe-Signature"], self.headers["User-Agent"])
            target.received.append(arrived)
            self.send_response(target.statuses.pop(0) if target.statuses else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's own name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    target = Receiver(f"http://127.0.0.1:{server.server_port}/hook")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield target
    server.shutdown()
    thread.join()
    server.server_close()


@dataclass
class Shop:
    """A customer with a card, and two prices of one product."""

    customer: stripe.Customer
    monthly: stripe.Price
    yearly: stripe.Price


@pytest.fixture
def shop(client: stripe.StripeClient) -> Shop:
    customer = client.v1.customers.create({"email": "ada@example.com", "name": "Ada", "payment_method": "pm_card_visa"})
    product = client.v1.products.create({"name": "Gold"})

    def price(amount: int, interval: Any) -> stripe.Price:
        return client.v1.prices.create(
            {
                "product": product.id,
                "currency": "eur",
                "unit_amount": amount,
                "recurring": {"interval": interval},
                "tax_behavior": "exclusive",
            }
        )

    return Shop(customer, price(1200, "month"), price(12000, "year"))


@pytest.fixture
def subscribe(client: stripe.StripeClient, shop: Shop) -> Callable[..., stripe.Subscription]:
    """Make a monthly subscription of the shop's customer; arguments are further parameters."""

    def make(**params: Any) -> stripe.Subscription:
        wanted: Any = {"customer": shop.customer.id, "items": [{"price": shop.monthly.id}], **params}
        return client.v1.subscriptions.create(wanted)

    return make


def refusal(client: stripe.StripeClient, method: str, path: str, params: Any) -> str:
    """What Stripe says to a request that it refuses."""
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.raw_request(method, f"/v1/{path}", **params)
    return str(caught.value.user_message)
