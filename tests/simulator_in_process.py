"""Requests to a simulator in this process, without a server or a socket."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import stripe
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message

from local.stripe_simulator import api
from local.stripe_simulator.app import create_app

Params = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """A response of the API."""

    status: int
    body: dict[str, Any]

    @property
    def error(self) -> dict[str, Any]:
        """The error of a refused request, without what is the same in each."""
        error: dict[str, Any] = self.body["error"]
        return {name: value for name, value in error.items() if name not in {"type", "doc_url", "request_log_url"}}


class SimulatorInProcess:
    """One simulated account."""

    def __init__(self, now: float | None = None) -> None:
        self.app = create_app(public_url="http://127.0.0.1", now=now)

    def call(self, method: str, path: str, params: Params | None = None, *, version: str | None = None) -> Answer:
        """Send a request; `params` are form fields by their full names, such as `items[0][price]`.

        A path below `/v2/` names API v2, whose POSTs are JSON.
        """
        is_json = path.startswith("/v2/") and method == "POST"
        encoded = (json.dumps(params or {}) if is_json else urlencode(params or {})).encode()
        body, query = (encoded, b"") if method == "POST" else (b"", encoded)
        headers = {"authorization": "Bearer sk_test_1"} | ({"stripe-version": version} if version else {})
        response = self.send(method, path if path.startswith("/v2/") else f"/v1/{path}", query, headers, body)
        return Answer(response.status_code, json.loads(bytes(response.body)))

    def send(self, method: str, path: str, query: bytes, headers: Mapping[str, str], body: bytes) -> Response:
        """Send a request as it is on the wire."""

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query,
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
            "app": self.app,
            "state": {"request_id": "req_1"},
        }
        # Nothing on this way waits, unless a latency is asked for.
        if not self.app.state.simulator.faults.latency_seconds:
            try:
                api.endpoint(Request(scope, receive)).send(None)
            except StopIteration as done:
                response: Response = done.value
                return response
        return asyncio.run(api.endpoint(Request(scope, receive)))

    def client(self) -> stripe.StripeClient:
        """Return a client of the official library that sends its requests here, each once."""
        return stripe.StripeClient("sk_test_1", http_client=Transport(self), max_network_retries=0)

    def create(self, path: str, params: Params | None = None) -> str:
        """Create an object that is not refused; returns its id."""
        answer = self.call("POST", path, params)
        assert answer.status == 200, answer.body
        return str(answer.body["id"])


class Transport(stripe.HTTPClient):
    """Carries the official library's requests to a simulator in this process."""

    name = "in_process"

    def __init__(self, simulator: SimulatorInProcess) -> None:
        super().__init__()
        self._simulator = simulator

    def request(  # type: ignore[override]
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None
    ) -> tuple[bytes, int, dict[str, str]]:
        """Send one attempt."""
        parts = urlsplit(url)
        body = post_data.encode() if isinstance(post_data, str) else post_data or b""
        response = self._simulator.send(method.upper(), parts.path, parts.query.encode(), headers or {}, body)
        date = self._simulator.app.state.simulator.clock.http_date()
        return bytes(response.body), response.status_code, {**response.headers, "Date": date, "Request-Id": "req_1"}

    def _sleep_time_seconds(self, *_: Any) -> float:
        return 0
