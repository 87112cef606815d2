"""How long Stripe may take to answer: little where somebody waits, longer where whole lists are read."""

import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from shared.errors import Unavailable
from shared.stripe.gateway import stripe_client, stripe_errors
from shared.stripe.lists import read_page

BODY = b'{"object": "list", "data": [], "has_more": false}'


class SlowStripe(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        time.sleep(0.4)
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *_: Any) -> None:
        """Tests are quiet."""


def test_a_client_waits_as_long_as_it_is_told_to() -> None:
    server = HTTPServer(("127.0.0.1", 0), SlowStripe)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}"
    try:
        with pytest.raises(Unavailable), stripe_errors():
            read_page(stripe_client("sk_test_1", base, 0.1), "/v1/subscriptions", {})
        assert read_page(stripe_client("sk_test_1", base, 5), "/v1/subscriptions", {}).took >= 0.4
    finally:
        server.shutdown()
        server.server_close()
        stripe_client.cache_clear()
