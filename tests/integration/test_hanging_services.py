"""A visitor has an answer within 10 seconds, and Stripe within 8, whichever service hangs."""

import json
import socket
import time
from collections.abc import Iterator

import pytest

from tests.integration.conftest import Api
from tests.integration.test_webhook import event, signed

VISITOR_SECONDS, WEBHOOK_SECONDS = 10, 8


@pytest.fixture
def hanging() -> Iterator[str]:
    """A service that takes every request and answers none."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("setting", ["AWS_ENDPOINT_URL_SECRETS_MANAGER", "STRIPE_API_BASE"])
def test_a_visitor_reads_an_apology(api: Api, hanging: str, monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    monkeypatch.setenv(setting, hanging)
    began = time.monotonic()
    answer = api.send("GET /portal", headers={"accept": "text/html", "accept-language": "fr"})
    assert time.monotonic() - began < VISITOR_SECONDS
    assert answer.status == 503
    assert "Merci de réessayer dans un instant" in answer.body.decode()


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", "secret_unreadable"),
        ("AWS_ENDPOINT_URL_DYNAMODB", "mirror_unavailable"),
    ],
)
def test_stripe_is_asked_to_send_an_event_again(
    api: Api, hanging: str, monkeypatch: pytest.MonkeyPatch, setting: str, expected: str
) -> None:
    monkeypatch.setenv(setting, hanging)
    body = json.dumps(event()).encode()
    headers, began = signed(body), time.monotonic()
    answer = api.send("POST /webhooks/stripe", headers=headers, body=body)
    assert time.monotonic() - began < WEBHOOK_SECONDS
    assert (answer.status, json.loads(answer.body)["code"]) == (503, expected)
