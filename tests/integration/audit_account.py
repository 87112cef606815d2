"""A Stripe that has what the audit reads, and is as slow or as broken as a test wants it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.raw_subscription import VOID, raw_subscription

NEWEST = "2026-10-28.endive"


@dataclass
class Account:
    """What Stripe's lists hold, newest first; `endpoint` is its webhook's address.

    `status` other than 200 makes the next `failures` requests fail; -1 of them never end. `broken` has the status with
    which a path always fails.
    """

    endpoint: str
    subscriptions: list[dict[str, Any]] = field(default_factory=list)
    configurations: list[dict[str, Any]] = field(default_factory=list)
    status: int = 200
    failures: int = -1
    broken: dict[str, int] = field(default_factory=dict)
    message: str = "no"
    keys: set[str] = field(default_factory=set)
    requests: list[str] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)

    def answer(self, url: str) -> tuple[int, dict[str, Any]]:
        """Return one request."""
        with self.lock:
            self.requests.append(url)
            if self.status != 200 and self.failures:
                self.failures -= 1
                return self.status, {"error": {"type": "api_error", "message": self.message}}
        parts = urlsplit(url)
        if parts.path in self.broken:
            return self.broken[parts.path], {"error": {"type": "api_error", "message": self.message}}
        if parts.path.startswith("/v1/subscriptions/"):
            return self._one(parts.path.rpartition("/")[2])
        query = parse_qs(parts.query)
        lists = {
            "/v1/subscriptions": self.subscriptions,
            "/v1/billing_portal/configurations": self.configurations,
            "/v1/webhook_endpoints": [
                {
                    "id": "we_1",
                    "url": self.endpoint,
                    "status": "enabled",
                    "enabled_events": ["*"],
                    "api_version": NEWEST,
                }
            ],
        }
        everything = lists.get(parts.path, [])
        after = query.get("starting_after", [""])[0]
        start = [each["id"] for each in everything].index(after) + 1 if after else 0
        gte, lt = int(query.get("created[gte]", ["0"])[0]), int(query.get("created[lt]", ["99999999999"])[0])
        found = [each for each in everything[start:] if gte <= each.get("created", gte) < lt]
        if parts.path == "/v1/subscriptions" and "status" not in query:
            found = [each for each in found if each["status"] != "canceled"]
        limit = int(query.get("limit", ["10"])[0])
        data = [_expanded(each, parts.query) for each in found[:limit]]
        return 200, {"object": "list", "url": parts.path, "data": data, "has_more": limit < len(found)}

    def _one(self, subscription_id: str) -> tuple[int, dict[str, Any]]:
        for each in self.subscriptions:
            if each["id"] == subscription_id:
                return 200, each
        return 404, {"error": {"type": "invalid_request_error", "code": "resource_missing", "message": "no"}}


def _expanded(found: dict[str, Any], query: str) -> dict[str, Any]:
    """With its customer as an object, if that was asked for."""
    if "data.customer" not in query:
        return found
    customer = found["customer"]
    return {**found, "customer": {"id": customer, "name": f"Zoé {customer}", "email": f"{customer}@customers.example"}}


def subscription(number: int, **changes: Any) -> dict[str, Any]:
    """One whose collection is paused for good, at 12.50 EUR a month; a higher number is older."""
    paused = {"created": 1_700_000_000 - 60 * number, "pause_collection": VOID}
    return raw_subscription(number, **(paused | changes))


@contextmanager
def serve(account: Account) -> Iterator[str]:
    """Serve the account on this machine; answers its address."""

    class Answers(BaseHTTPRequestHandler):
        # One connection for many requests; without this each waits for the other side's acknowledgement.
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            account.keys.add(self.headers["Authorization"].removeprefix("Bearer "))
            status, body = account.answer(self.path)
            data = json.dumps(body).encode()
            self.send_response_only(status)
            self.send_header("Date", formatdate(usegmt=True))
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            """Tests are quiet."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            """Who asked may have been killed meanwhile."""

    server = Server(("127.0.0.1", 0), Answers)
    server.daemon_threads = True
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
