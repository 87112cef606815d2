"""A simulator for tests: served on a free port of 127.0.0.1, and reached with the official library.

`pytest_plugin` makes pytest fixtures of it; other test runners use `Server` directly.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests
import stripe
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from local.stripe_simulator.app import create_app


@dataclass
class RunningSimulator:
    """Where it listens, and how tests speak to it."""

    url: str
    session: requests.Session

    def client(self, key: str = "sk_test_simulator", **options: Any) -> stripe.StripeClient:
        """Return a client of the official library that sends its requests here."""
        transport = stripe.RequestsClient(session=self.session)
        return stripe.StripeClient(key, base_addresses={"api": self.url}, http_client=transport, **options)

    def admin(self, method: str, path: str, body: Any = None) -> Any:
        """Return the JSON of a `/_simulator` endpoint, such as `clock`; raises for an error status."""
        answer = self.session.request(method, f"{self.url}/_simulator/{path}", json=body, timeout=10)
        answer.raise_for_status()
        return answer.json()

    def settle(self) -> list[dict[str, Any]]:
        """Wait at most 5 s until all deliveries are made, retries not counted; returns the attempts so far."""
        self.admin("GET", "idle?timeout=5")
        attempts: list[dict[str, Any]] = self.admin("GET", "deliveries")["data"]
        return attempts

    def event_types(self) -> list[str]:
        """Return the types of all events, oldest first."""
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
            "ws": "wsproto",
        }
        self._server = uvicorn.Server(uvicorn.Config(self._serve, log_level="warning", **settings))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._listener]})
        self._thread.start()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.app is None:
            raise RuntimeError("A request came while no simulator was in use.")
        await self.app(scope, receive, send)

    def close(self) -> None:
        """Stop the server."""
        self._server.should_exit = True
        self._thread.join()

    @contextmanager
    def simulator(self, **options: Any) -> Iterator[RunningSimulator]:
        """Serve a new simulator while the `with` block runs; `options` are those of `create_app`."""
        app = create_app(public_url=self.url, **options)
        self.app, deliveries = app, app.state.simulator.deliveries
        deliveries.start()
        try:
            with requests.Session() as session:
                session.trust_env = False
                yield RunningSimulator(self.url, session)
        finally:
            deliveries.close()
