"""A running simulator and a receiver of its deliveries, for every test a fresh one."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests
import stripe
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from local.stripe_simulator.app import create_app

NEW = "2026-10-28.endive"


@dataclass
class RunningSimulator:
    """Where it listens, and how tests speak to it."""

    url: str
    session: requests.Session

    def client(self, key: str = "sk_test_simulator", **options: Any) -> stripe.StripeClient:
        """The official library, pointed here."""
        transport = stripe.RequestsClient(session=self.session)
        return stripe.StripeClient(key, base_addresses={"api": self.url}, http_client=transport, **options)

    def admin(self, method: str, path: str, body: Any = None) -> Any:
        """One of the `/_simulator` endpoints; the answer must be good."""
        answer = self.session.request(method, f"{self.url}/_simulator/{path}", json=body, timeout=10)
        answer.raise_for_status()
        return answer.json()

    def settle(self) -> list[dict[str, Any]]:
        """Wait until deliveries are idle; returns the attempts."""
        assert self.admin("GET", "idle?timeout=5") == {"idle": True}
        attempts: list[dict[str, Any]] = self.admin("GET", "deliveries")["data"]
        return attempts

    def event_types(self) -> list[str]:
        """The types of all events, oldest first."""
        events = self.client().v1.events.list({"limit": 100})
        return [event.type for event in reversed(events.data)]


class Server:
    """One uvicorn for many simulators, because starting it is what takes time."""

    def __init__(self) -> None:
        self.app: ASGIApp | None = None
        self._listener = socket.socket(proto=socket.IPPROTO_TCP)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        settings: Any = {
            "interface": "asgi3",
            "lifespan": "off",
            "date_header": False,
            "server_header": False,
            "ws": "none",
        }
        self._server = uvicorn.Server(uvicorn.Config(self._answer, log_level="warning", **settings))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._listener]})
        self._thread.start()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.app is not None
        await self.app(scope, receive, send)

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join()

    @contextmanager
    def simulator(self, **options: Any) -> Iterator[RunningSimulator]:
        """A fresh simulator, and nothing left of the one before."""
        app = create_app(public_url=self.url, **options)
        self.app, deliveries = app, app.state.simulator.deliveries
        deliveries.start()
        with requests.Session() as session:
            session.trust_env = False
            yield RunningSimulator(self.url, session)
        deliveries.close()


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
