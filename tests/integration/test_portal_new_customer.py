"""A customer made on the fly: for a verified user who has none, when allowed, and one only."""

import io
import threading
import time
from typing import Any

import pytest

from functions.create_session import app as create_session_app
from tests.integration.conftest import Api
from tests.integration.portal_world import World, code, configure, errors
from tests.integration.simulator_fixtures import RunningSimulator

CLAIMS = {"iss": "https://id.example", "sub": "user-1", "email": "grace@example.com", "email_verified": "true"}


@pytest.fixture
def world(api: Api, simulator: RunningSimulator) -> World:
    return World(api, simulator)


def allow_creation(monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, ALLOW_VERIFIED_EMAIL="true", CREATE_MISSING_CUSTOMERS="true")


def test_a_customer_is_made_only_when_allowed_and_then_found_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(monkeypatch, ALLOW_VERIFIED_EMAIL="true")
    assert code(world.post(claims=CLAIMS)) == (403, "no_customer")
    allow_creation(monkeypatch)
    assert [world.post(claims=CLAIMS).status for _ in range(3)] == [201] * 3
    (made,) = world.stripe.v1.customers.list({"email": "grace@example.com"}).data
    assert made.metadata is not None
    assert made.metadata.to_dict() == {
        "portal_issuer": "https://id.example",
        "portal_subject": "user-1",
    }
    assert {session["customer"] for session in world.sessions()} == {made.id}


def test_an_existing_customer_is_never_made_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    allow_creation(monkeypatch)
    assert world.post(claims=CLAIMS | {"email": "ada@example.com"}).status == 201
    assert world.post(claims=CLAIMS | {"stripe_customer_id": world.other}).status == 201
    assert [session["customer"] for session in world.sessions()] == [world.customer, world.other]
    assert world.simulator.admin("GET", "requests")["POST /v1/customers"] == 2


def test_clicks_at_once_make_one_customer(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The race itself: both clicks have looked and found nothing before either makes one."""
    allow_creation(monkeypatch)
    world.simulator.admin("POST", "faults", {"latency_seconds": 0.3})
    answers: list[int] = []
    link = create_session_app._wire()
    threads = [
        threading.Thread(target=lambda: answers.append(len(link.create(CLAIMS, None, b"{}").url))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    world.simulator.admin("DELETE", "faults")
    assert len(answers) == 4
    assert len(world.stripe.v1.customers.list({"email": "grace@example.com"}).data) == 1
    assert world.simulator.admin("GET", "requests")["POST /v1/customers"] > 3


def test_who_changes_the_address_keeps_the_customer(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    allow_creation(monkeypatch)
    world.post(claims=CLAIMS)
    moved = CLAIMS | {"email": "grace@new.example"}
    # Stripe's search is a minute behind: better no portal for that long than a second customer.
    assert code(world.post(claims=moved)) == (503, "customer_not_found_yet")
    world.simulator.admin("POST", "clock", {"now": time.time() + 61})
    assert world.post(claims=moved).status == 201
    assert world.last()["customer"] == world.sessions()[0]["customer"]
    # Another user, whose name differs in its capitals only, is another user.
    assert world.post(claims=moved | {"sub": "USER-1"}).status == 201
    assert world.last()["customer"] != world.sessions()[0]["customer"]


def test_who_writes_anothers_address_into_the_portal_gets_nothing_of_theirs(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The customer of one user, who gave it another's address there, is still that user's and never the other's."""
    allow_creation(monkeypatch)
    world.post(claims=CLAIMS)
    first = world.last()["customer"]
    world.stripe.v1.customers.update(first, {"email": "victim@example.com"})
    world.simulator.admin("POST", "clock", {"now": time.time() + 61})
    assert world.post(claims=CLAIMS | {"sub": "user-2", "email": "victim@example.com"}).status == 201
    assert world.last()["customer"] != first
    assert world.post(claims=CLAIMS).status == 201
    assert world.last()["customer"] == first


@pytest.mark.parametrize("body", [b"{", b'{"coupon": "FREE"}', b'{"return_url": "https://evil.example/"}'])
def test_a_request_that_is_refused_makes_no_customer(
    world: World, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    allow_creation(monkeypatch)
    before = world.simulator.admin("GET", "requests")
    assert world.api.send("POST /portal/sessions", body=body, claims=CLAIMS).status == 400
    assert world.simulator.admin("GET", "requests") == before


@pytest.mark.parametrize("name", ["iss", "sub"])
@pytest.mark.parametrize("value", [None, "", 7, "x" * 501])
def test_nobody_is_made_a_customer_without_a_name(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str, value: Any
) -> None:
    allow_creation(monkeypatch)
    assert code(world.post(claims=CLAIMS | {name: value})) == (403, "no_customer")
    assert world.stripe.v1.customers.list({"email": "grace@example.com"}).data == []


def test_a_key_that_may_not_make_customers_is_the_operators_to_mend(
    world: World, monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    allow_creation(monkeypatch)
    text = "Having the 'rak_customer_write' permission would allow this request to continue."
    failure = {"path": "/v1/customers", "method": "POST", "status": 403, "message": text}
    world.simulator.admin("POST", "faults", {"fail": [failure]})
    assert code(world.post(claims=CLAIMS)) == (500, "stripe_key_lacks_permission")
    assert "rak_customer_write" in errors(log)[-1]["message"]
