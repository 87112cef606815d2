"""Whoever asks for the login page costs Stripe next to nothing, whatever Stripe answers."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest
import stripe

from functions.create_session.login_page import LoginPage
from shared.cached_read import CACHE_SECONDS, FAILURE_SECONDS
from shared.errors import PortalError

URL = "https://billing.stripe.com/p/login/test_1"
OFF = 200, {"data": [{"id": "bpc_1", "active": True, "login_page": {"enabled": False, "url": None}}]}
NONE: tuple[int, Any] = 200, {"data": []}
NOW_AND_THEN = 429, {"error": {"message": "Too many requests"}}
DOWN = 500, {"error": {"message": "Down"}}
REVOKED = 401, {"error": {"message": "Invalid API Key"}}


def on(url: str = URL) -> tuple[int, Any]:
    return 200, {"data": [{"id": "bpc_1", "active": True, "login_page": {"enabled": True, "url": url}}]}


class Stripe(stripe.HTTPClient):
    """Returns as it is told to, and counts."""

    name = "told"

    def __init__(self) -> None:
        super().__init__()
        self.answer: tuple[int, Any] = on()
        self.asked = 0

    def request(
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None, **_: Any
    ) -> tuple[str, int, Mapping[str, str]]:
        assert (method, urlsplit(url).path) == ("get", "/v1/billing_portal/configurations")
        assert headers
        assert post_data is None
        self.asked += 1
        return json.dumps(self.answer[1]), self.answer[0], {}

    def close(self) -> None:
        """Hold nothing."""


class Visitors:
    """They come one after the other; `wait` is the time between two."""

    def __init__(self) -> None:
        self.stripe = Stripe()
        self.now = 1000.0
        self._page = LoginPage(lambda: self.now)
        self.renew_key()

    def renew_key(self) -> None:
        self._client = stripe.StripeClient("sk_test_1", http_client=self.stripe, max_network_retries=0)

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def come(self, count: int = 1) -> set[str]:
        """Return where they were led, or the codes of what they were told."""
        found = set()
        for _ in range(count):
            try:
                found.add(self._page.url(self._client))
            except PortalError as error:
                found.add(error.code)
        return found


@pytest.fixture
def visitors() -> Visitors:
    return Visitors()


def test_a_thousand_visitors_in_five_minutes_cost_one_request(visitors: Visitors) -> None:
    assert visitors.come(1000) == {URL}
    visitors.wait(CACHE_SECONDS - 1)
    assert visitors.come() == {URL}
    assert visitors.stripe.asked == 1
    visitors.wait(1)
    visitors.stripe.answer = on(URL + "2")
    assert visitors.come() == {URL + "2"}


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (OFF, "login_page_off"),
        (NONE, "no_default_configuration"),
        (REVOKED, "stripe_key_invalid"),
        (NOW_AND_THEN, "stripe_rate_limited"),
        (DOWN, "stripe_unavailable"),
    ],
)
def test_what_stripe_refuses_is_asked_again_after_a_while_and_not_by_every_visitor(
    visitors: Visitors, answer: tuple[int, Any], code: str
) -> None:
    visitors.stripe.answer = answer
    assert visitors.come(1000) == {code}
    visitors.stripe.answer = on()
    visitors.wait(FAILURE_SECONDS - 1)
    assert visitors.come() == {code}
    assert visitors.stripe.asked == 1
    visitors.wait(1)
    assert visitors.come() == {URL}


def test_a_new_key_is_tried_at_once(visitors: Visitors) -> None:
    visitors.stripe.answer = REVOKED
    assert visitors.come() == {"stripe_key_invalid"}
    visitors.stripe.answer = on()
    visitors.renew_key()
    assert visitors.come() == {URL}


@pytest.mark.parametrize("answer", [NOW_AND_THEN, DOWN])
def test_while_stripe_does_not_answer_the_address_that_is_known_goes_on(
    visitors: Visitors, answer: tuple[int, Any]
) -> None:
    visitors.come()
    visitors.stripe.answer = answer
    for _ in range(3):
        visitors.wait(CACHE_SECONDS)
        assert visitors.come(1000) == {URL}
    assert visitors.stripe.asked == 4


def test_a_page_that_is_turned_off_does_not_go_on(visitors: Visitors) -> None:
    visitors.come()
    visitors.stripe.answer = OFF
    visitors.wait(CACHE_SECONDS)
    assert visitors.come() == {"login_page_off"}
    visitors.stripe.answer = DOWN
    visitors.wait(FAILURE_SECONDS)
    assert visitors.come() == {"stripe_unavailable"}
