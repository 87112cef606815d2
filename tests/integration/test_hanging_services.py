"""On real sockets, an answer comes in time whichever service hangs. Time-outs and deadlines are a tenth as long.

All combinations are in `test_slow_dependencies.py`, where no time passes.
"""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from functions.create_session import app as create_session_app
from functions.create_session import wiring as create_session_wiring
from functions.webhook import app as webhook_app
from functions.webhook import wiring as webhook_wiring
from shared import aws as shared_aws
from shared.aws import ClientSettings
from shared.stripe import gateway
from tests.integration.conftest import Api
from tests.integration.test_webhook import event, signed

pytestmark = pytest.mark.real_timeouts

# Half a second of each is for a busy machine.
VISITOR_SECONDS, WEBHOOK_SECONDS = 1.5, 1.3
SECRETS_MANAGER, DYNAMODB, STRIPE = "AWS_ENDPOINT_URL_SECRETS_MANAGER", "AWS_ENDPOINT_URL_DYNAMODB", "STRIPE_API_BASE"
# What a service says before it says nothing more.
BEGINNINGS = {
    "before its response": b"",
    "within its response": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{",
}


@pytest.fixture(params=BEGINNINGS)
def hanging(request: pytest.FixtureRequest) -> Iterator[str]:
    """A service that takes every request, and hangs before or within its response."""
    kept: list[socket.socket] = []

    def accept(listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                kept.append(listener.accept()[0])
                kept[-1].send(BEGINNINGS[request.param])

    with socket.create_server(("127.0.0.1", 0), backlog=50) as listener:
        threading.Thread(target=accept, args=(listener,), daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
    for each in kept:
        each.close()


@pytest.fixture(autouse=True)
def _a_tenth_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = ClientSettings(connect_timeout=0.1, read_timeout=0.2, attempts=2)
    for wiring in (create_session_wiring, webhook_wiring):
        monkeypatch.setattr(wiring, "REQUEST_SETTINGS", settings)
    for module, name in (
        (create_session_app, "REQUEST_SECONDS"),
        (webhook_app, "REQUEST_SECONDS"),
        (shared_aws, "REQUEST_SECONDS"),
        (shared_aws, "_OWN_PAUSE_SECONDS"),
        (gateway, "LEAST_SECONDS"),
    ):
        monkeypatch.setattr(module, name, getattr(module, name) / 10)


@pytest.mark.parametrize("settings", [[SECRETS_MANAGER], [STRIPE], [SECRETS_MANAGER, STRIPE]])
def test_a_visitor_reads_an_apology(
    api: Api, hanging: str, monkeypatch: pytest.MonkeyPatch, settings: list[str]
) -> None:
    for name in settings:
        monkeypatch.setenv(name, hanging)
    began = time.monotonic()
    answer = api.send("GET /portal", headers={"accept": "text/html", "accept-language": "fr"})
    assert time.monotonic() - began < VISITOR_SECONDS
    assert answer.status == 503
    assert "Merci de réessayer dans un instant" in answer.body.decode()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ([SECRETS_MANAGER], "secret_unreadable"),
        ([DYNAMODB], "mirror_unavailable"),
        ([SECRETS_MANAGER, DYNAMODB], "secret_unreadable"),
    ],
)
def test_stripe_is_asked_to_send_an_event_again(
    api: Api, hanging: str, monkeypatch: pytest.MonkeyPatch, settings: list[str], expected: str
) -> None:
    for name in settings:
        monkeypatch.setenv(name, hanging)
    body = json.dumps(event()).encode()
    headers, began = signed(body), time.monotonic()
    answer = api.send("POST /webhooks/stripe", headers=headers, body=body)
    assert time.monotonic() - began < WEBHOOK_SECONDS
    assert (answer.status, json.loads(answer.body)["code"]) == (503, expected)
