"""Requests to a simulator in this process, without a server or a socket."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
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

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        headers = [(b"authorization", b"Bearer sk_test_1")]
        if version is not None:
            headers.append((b"stripe-version", version.encode()))
        scope = {
            "type": "http",
            "method": method,
            "path": path if path.startswith("/v2/") else f"/v1/{path}",
            "query_string": query,
            "headers": headers,
            "app": self.app,
            "state": {"request_id": "req_1"},
        }
        response = asyncio.run(api.endpoint(Request(scope, receive)))
        return Answer(response.status_code, json.loads(bytes(response.body)))

    def create(self, path: str, params: Params | None = None) -> str:
        """Create an object that is not refused; returns its id."""
        answer = self.call("POST", path, params)
        assert answer.status == 200, answer.body
        return str(answer.body["id"])
