"""The deployment with two customers, and how tests ask its portal link and read its answers."""

import io
import json
import time
from typing import Any
from urllib.parse import urlencode

import jwt
import pytest

from functions.create_session import app as create_session_app
from tests.integration.conftest import LINK_SECRET, Api
from tests.integration.simulator_fixtures import RunningSimulator

FEATURES: Any = {
    "subscription_cancel": {"enabled": True},
    "payment_method_update": {"enabled": True},
    "customer_update": {"enabled": True, "allowed_updates": ["email"]},
}
# A user whom the provider has signed in, and whose customer has the same address.
ADA = {"iss": "https://id.example", "sub": "ada", "email": "ada@example.com", "email_verified": "true"}


class World:
    """Two customers, each with a subscription, and the Dashboard's default configuration."""

    def __init__(self, api: Api, simulator: RunningSimulator) -> None:
        self.api = api
        self.simulator = simulator
        self.stripe = simulator.client()
        simulator.admin(
            "POST",
            "default_configuration",
            {"features": FEATURES, "login_page": {"enabled": True}, "business_profile": {}},
        )
        product = self.stripe.v1.products.create({"name": "Gold"})
        self.price = self.stripe.v1.prices.create(
            {"product": product.id, "currency": "eur", "unit_amount": 1200, "recurring": {"interval": "month"}}
        )
        self.customer, self.subscription = self.subscriber("ada@example.com")
        self.other, self.others_subscription = self.subscriber("eve@example.com")

    def subscriber(self, email: str, **fields: Any) -> tuple[str, str]:
        customer = self.stripe.v1.customers.create(
            {"email": email, "payment_method": "pm_card_visa", **fields}  # type: ignore[arg-type]
        )
        subscription = self.stripe.v1.subscriptions.create(
            {"customer": customer.id, "items": [{"price": self.price.id}]}
        )
        return customer.id, subscription.id

    def token(self, **claims: Any) -> str:
        good = {"sub": self.customer, "aud": "portal", "exp": int(time.time()) + 600}
        return jwt.encode(good | claims, LINK_SECRET, algorithm="HS256")

    def follow(self, **query: str) -> Any:
        return self.api.send("GET /portal", query=urlencode(query))

    def post(self, token: str | None = None, claims: dict[str, Any] | None = None, **body: Any) -> Any:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return self.api.send("POST /portal/sessions", headers=headers, body=json.dumps(body).encode(), claims=claims)

    def sessions(self) -> list[Any]:
        """Every portal session made, oldest first."""
        events = self.stripe.v1.events.list({"type": "billing_portal.session.created", "limit": 100}).data
        return [event.data.object for event in reversed(events)]

    def last(self) -> Any:
        return self.sessions()[-1]


def code(answer: Any) -> tuple[int, str]:
    return answer.status, json.loads(answer.body)["code"]


def header(answer: Any, name: str) -> str:
    return str(dict(answer.headers)[name])


def errors(log: io.StringIO) -> list[dict[str, Any]]:
    return [line for line in map(json.loads, log.getvalue().splitlines()) if line["level"] == "ERROR"]


def configure(monkeypatch: pytest.MonkeyPatch, **environment: str) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    create_session_app._wire.cache_clear()
