"""The snippets' tokens at the real handler: each opens a portal session of its customer, and of nobody else."""

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from tests import embeds
from tests.embeds import LANGUAGES, mint
from tests.integration.conftest import LINK_SECRET, Api
from tests.integration.simulator_fixtures import RunningSimulator, Shop


@pytest.fixture(autouse=True)
def _the_deployments_secret(monkeypatch: pytest.MonkeyPatch, simulator: RunningSimulator) -> None:
    monkeypatch.setattr(embeds, "SECRET", LINK_SECRET)
    features = {"payment_method_update": {"enabled": True}}
    simulator.admin("POST", "default_configuration", {"features": features})


def last_session(simulator: RunningSimulator) -> Any:
    return simulator.client().v1.events.list({"type": "billing_portal.session.created"}).data[0].data.object


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_snippets_link_opens_the_customers_portal(
    api: Api, simulator: RunningSimulator, shop: Shop, language: str
) -> None:
    token = mint(language, shop.customer.id, {"flow": "payment_method_update", "locale": "fr"})
    answer = api.send("GET /portal", query=urlencode({"token": token}))
    session = last_session(simulator)
    assert (answer.status, dict(answer.headers)["location"]) == (303, session["url"])
    assert (session["customer"], session["locale"]) == (shop.customer.id, "fr")
    assert session["flow"]["type"] == "payment_method_update"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_snippets_token_answers_an_address_to_the_button(
    api: Api, simulator: RunningSimulator, shop: Shop, language: str
) -> None:
    headers = {"authorization": f"Bearer {mint(language, shop.customer.id)}"}
    body = json.dumps({"return_url": "https://shop.example/account"}).encode()
    answer = api.send("POST /portal/sessions", headers=headers, body=body)
    session = last_session(simulator)
    assert (answer.status, json.loads(answer.body)) == (201, {"url": session["url"]})
    assert (session["customer"], session["return_url"]) == (shop.customer.id, "https://shop.example/account")
