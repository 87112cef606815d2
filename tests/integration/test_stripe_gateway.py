"""The client of Stripe over HTTP: how long it waits, and what it makes of each kind of response."""

import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest
import stripe

from shared.errors import Unavailable
from shared.stripe.gateway import stripe_client, stripe_errors
from shared.stripe.lists import read_page

EMPTY = b'{"object": "list", "data": [], "has_more": false}'


class OneAnswer(BaseHTTPRequestHandler):
    """Answers every request alike."""

    server: "StubStripe"

    def do_GET(self) -> None:
        time.sleep(self.server.seconds)
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_: Any) -> None:
        """Tests are quiet."""


class StubStripe(HTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), OneAnswer)
        self.status, self.body, self.seconds = 200, EMPTY, 0.0

    def client(self, timeout: float = 5) -> stripe.StripeClient:
        return stripe_client("sk_test_1", f"http://127.0.0.1:{self.server_port}", timeout)


@pytest.fixture
def stub() -> Iterator[StubStripe]:
    server = StubStripe()
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()
    stripe_client.cache_clear()


def test_a_client_waits_as_long_as_it_is_told_to(stub: StubStripe) -> None:
    stub.seconds = 0.4
    with pytest.raises(Unavailable), stripe_errors():
        read_page(stub.client(timeout=0.1), "/v1/subscriptions", {})
    assert read_page(stub.client(), "/v1/subscriptions", {}).took >= 0.4


def test_a_page_is_plain_json_and_other_requests_get_what_they_ask_for(stub: StubStripe) -> None:
    stub.body = b'{"object": "list", "data": [{"id": "cus_1", "object": "customer"}], "has_more": false}'
    page = read_page(stub.client(), "/v1/customers", {})
    assert page.data == ({"id": "cus_1", "object": "customer"},)
    assert type(page.data[0]) is dict
    assert stub.client().v1.customers.list().data[0].id == "cus_1"


def test_a_name_that_was_cut_within_a_character_is_read(stub: StubStripe) -> None:
    stub.body = b'{"data": [{"id": "cus_1", "name": "\\ud83d"}], "has_more": false}'
    assert read_page(stub.client(), "/v1/customers", {}).data[0]["name"] == "\ud83d"


@pytest.mark.parametrize("body", [b"<html>502 Bad Gateway</html>", b'{"data": [', b"\xff", b""])
def test_a_body_that_is_no_json_is_worth_another_try(stub: StubStripe, body: bytes) -> None:
    stub.body = body
    with pytest.raises(Unavailable), stripe_errors():
        read_page(stub.client(), "/v1/customers", {})


def test_a_refused_page_says_why(stub: StubStripe) -> None:
    stub.status = 400
    stub.body = b'{"error": {"type": "invalid_request_error", "code": "resource_missing", "param": "starting_after"}}'
    with pytest.raises(stripe.InvalidRequestError) as refused:
        read_page(stub.client(), "/v1/customers", {})
    assert (refused.value.code, refused.value.param) == ("resource_missing", "starting_after")
