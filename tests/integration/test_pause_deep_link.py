"""The deep link `flow=pause`: who gets a pause token for it, what that token can do, and where Stripe's page opens."""

import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
import pytest

from functions.create_session import app as create_session_app
from functions.pause import app as pause_app
from tests.integration.conftest import LINK_SECRET, Api
from tests.integration.portal_world import FEATURES, World, code, configure, header
from tests.integration.simulator_fixtures import RunningSimulator

GROUPS = '{"gold": {"pause_now": "credit"}, "frozen": {"pause_allowed": "nobody"}}'
PORTAL_PAUSE: Any = {
    "enabled": True,
    "duration": {"type": "interval_options", "interval_options": [{"interval": "month"}]},
}


@dataclass
class PauseLinks:
    """The deployment with pauses on, and how links to them are followed."""

    world: World

    def follow(self, token: str, **query: str) -> Any:
        return self.world.follow(token=token, **query)

    def granted(self, answer: Any) -> dict[str, Any]:
        """Return the claims of the pause token in the address that an answer leads to."""
        address = urlsplit(header(answer, "location"))
        (token,) = parse_qs(address.query)["token"]
        claims: dict[str, Any] = jwt.decode(token, LINK_SECRET, algorithms=["HS256"], audience="pause")
        assert (
            f"{address.scheme}://{address.netloc}{address.path}" == create_session_app._wire().settings.pause_page_url
        )
        return claims | {"token": token}

    def page(self, token: str) -> Any:
        return self.world.api.send("GET /pause", headers={"accept": "text/html"}, query=urlencode({"token": token}))

    def act(self, token: str, **form: str) -> int:
        headers = {"content-type": "application/x-www-form-urlencoded", "accept": "text/html"}
        body = urlencode({"token": token} | form).encode()
        return self.world.api.send("POST /pause", headers=headers, body=body).status


@pytest.fixture
def links(api: Api, simulator: RunningSimulator, monkeypatch: pytest.MonkeyPatch) -> PauseLinks:
    configure(monkeypatch, PAUSE_ALLOWED="everybody", PAUSE_GROUPS=GROUPS, PORTAL_CONFIGURATIONS="{}")
    pause_app._wire.cache_clear()
    return PauseLinks(World(api, simulator))


@pytest.fixture
def closed(links: PauseLinks, monkeypatch: pytest.MonkeyPatch) -> PauseLinks:
    """Pauses are off."""
    configure(monkeypatch, PAUSE_ALLOWED="nobody")
    pause_app._wire.cache_clear()
    return links


def portal_offers_pauses(links: PauseLinks) -> str:
    """Switch the portal's own pause on, and return a subscription that it suits."""
    features = FEATURES | {"subscription_pause": PORTAL_PAUSE}
    links.world.simulator.admin("POST", "default_configuration", {"features": features})
    params: Any = {
        "customer": links.world.customer,
        "items": [{"price": links.world.price.id}],
        "billing_mode": {"type": "flexible"},
    }
    return links.world.stripe.v1.subscriptions.create(params).id


def test_a_link_that_names_the_flow_opens_the_page(links: PauseLinks) -> None:
    answer = links.follow(links.world.token(flow="pause", group="gold", locale="fr"))
    assert answer.status == 303
    claims = links.granted(answer)
    assert (claims["sub"], claims["group"], claims["locale"]) == (links.world.customer, "gold", "fr")
    assert "flow" not in claims
    assert 3500 < claims["exp"] - time.time() <= 3600
    shown = links.page(claims["token"])
    assert (shown.status, header(shown, "content-language")) == (200, "fr")
    assert header(answer, "cache-control") == "no-store"
    assert links.world.sessions() == []


def test_the_tokens_subscription_is_the_only_one_of_the_page(links: PauseLinks) -> None:
    world = links.world
    params: Any = {"customer": world.customer, "items": [{"price": world.price.id}]}
    second = world.stripe.v1.subscriptions.create(params).id
    token = world.token(flow="pause", subscription=world.subscription)
    claims = links.granted(links.follow(token))
    assert claims["subscription"] == world.subscription
    page = links.page(claims["token"]).body.decode()
    assert world.subscription in page
    assert second not in page
    assert links.act(claims["token"], action="preview", subscription=second, resume_on="2099-01-01") == 403
    assert code(world.post(token, subscription=second)) == (403, "other_subscription")


def test_a_request_narrows_the_link_to_one_of_the_customers_own(links: PauseLinks) -> None:
    world = links.world
    token = world.token(flow="pause")
    assert links.granted(links.follow(token, subscription=world.subscription))["subscription"] == world.subscription
    answers = [world.post(token, subscription=each) for each in (world.others_subscription, "sub_nobodys")]
    assert {code(answer) for answer in answers} == {(403, "not_your_subscription")}
    assert len({answer.body for answer in answers}) == 1
    stolen = world.token(flow="pause", subscription=world.others_subscription)
    assert code(world.post(stolen)) == (403, "not_your_subscription")


def test_a_signed_in_user_opens_the_page(links: PauseLinks) -> None:
    world = links.world
    answer = world.post(claims={"stripe_customer_id": world.customer, "portal_group": "gold"}, flow="pause")
    assert answer.status == 201
    (token,) = parse_qs(urlsplit(answer.body.decode().partition('"url": "')[2].rstrip('"}')).query)["token"]
    claims = jwt.decode(token, LINK_SECRET, algorithms=["HS256"], audience="pause")
    assert (claims["sub"], claims["group"]) == (world.customer, "gold")
    user = {"stripe_customer_id": world.customer}
    assert code(world.post(claims=user, flow="pause", customer=world.other)) == (403, "not_your_customer")
    other = world.post(claims=user, flow="pause", subscription=world.others_subscription)
    assert code(other) == (403, "not_your_subscription")
    # A group that no setting knows has the stack's own rules, however long its name.
    assert world.post(claims=user | {"portal_group": "x" * 300}, flow="pause").status == 201


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({}, "flow_not_in_token"),
        ({"group": "gold"}, "flow_not_in_token"),
        ({"flow": "payment_method_update"}, "other_flow"),
        ({"flow": "subscription_pause"}, "other_flow"),
        ({"flow": "subscription_cancel"}, "other_flow"),
    ],
)
def test_a_link_that_was_not_made_for_pauses_does_not_become_one(
    links: PauseLinks, claims: dict[str, Any], expected: str
) -> None:
    """Who has a link to the portal, which may be mailed, cannot turn it into one that pauses and resumes."""
    world = links.world
    about = {"subscription": world.subscription}
    token = world.token(**(claims | (about if "flow" in claims else {})))
    forms: list[dict[str, Any]] = [{"flow": "pause"}, {"flow": "pause"} | about]
    for asked in forms:
        refused = world.post(token, **asked)
        assert code(refused) == (403, expected)
        followed = links.follow(token, **asked)
        assert followed.status == 403
        assert b"/pause?token" not in followed.body + refused.body
        assert "location" not in {name.lower() for name, _ in followed.headers}


@pytest.mark.parametrize("audience", ["access", "access-batch", "pause", "portal-return"])
def test_a_token_of_another_kind_opens_nothing(links: PauseLinks, audience: str) -> None:
    token = links.world.token(aud=audience, flow="pause")
    assert code(links.world.post(token)) == (401, "bad_token")
    assert links.follow(token).status == 401


def test_the_two_kinds_of_token_stay_apart(links: PauseLinks) -> None:
    portal = links.world.token(flow="pause")
    assert links.page(portal).status == 401
    assert links.act(portal, action="resume", subscription=links.world.subscription) == 401
    bearer = {"authorization": f"Bearer {portal}"}
    path = "/subscriptions/{subscription}/pause"
    asked = links.world.api.send(f"POST {path}", path=path, headers=bearer, body=b"{}")
    assert code(asked) == (401, "bad_token")
    granted = links.granted(links.follow(portal))["token"]
    assert links.follow(granted).status == 401


def test_an_expired_link_opens_no_page(links: PauseLinks) -> None:
    assert code(links.world.post(links.world.token(flow="pause", exp=int(time.time()) - 1))) == (401, "expired_token")


def test_the_page_leads_nowhere_that_the_request_names(links: PauseLinks) -> None:
    token = links.world.token(flow="pause")
    assert links.follow(token, return_url="https://evil.example/").status == 400
    answer = links.follow(token, return_url="https://shop.example/account")
    assert "shop.example" not in header(answer, "location")


def test_where_pauses_are_off_stripes_own_page_opens(closed: PauseLinks) -> None:
    subscription = portal_offers_pauses(closed)
    for answer in (
        closed.follow(closed.world.token(flow="pause", subscription=subscription)),
        # The whole portal has that page too, so this gives nobody anything.
        closed.follow(closed.world.token(), flow="pause", subscription=subscription),
    ):
        assert answer.status == 303
        assert "/p/session/" in header(answer, "location")
    assert [session["flow"]["type"] for session in closed.world.sessions()] == ["subscription_pause"] * 2
    assert closed.world.last()["flow"]["subscription_pause"]["subscription"] == subscription


def test_a_groups_own_rule_decides(links: PauseLinks) -> None:
    subscription = portal_offers_pauses(links)
    answer = links.follow(links.world.token(flow="pause", subscription=subscription, group="frozen"))
    assert "/p/session/" in header(answer, "location")
    # The group is the token's, so that a browser cannot choose kinder rules.
    frozen = links.world.token(flow="pause", group="frozen", subscription=subscription)
    assert code(links.world.post(frozen, group="gold")) == (400, "bad_request")


def test_where_nobody_offers_pauses_the_refusal_says_so(closed: PauseLinks) -> None:
    world = closed.world
    token = world.token(flow="pause", subscription=world.subscription)
    assert code(world.post(token)) == (400, "flow_disabled")
    assert code(world.post(world.token(flow="pause"))) == (400, "subscription_required")
    shown = world.api.send("GET /portal", headers={"accept": "text/html"}, query=urlencode({"token": token}))
    assert shown.status == 400
    assert b"not on offer for your subscription" in shown.body


def test_what_stripe_cannot_pause_is_refused_with_its_reason(closed: PauseLinks) -> None:
    portal_offers_pauses(closed)
    classic = closed.world.stripe.v1.subscriptions.create(
        {
            "customer": closed.world.customer,
            "items": [{"price": closed.world.price.id}],
            "billing_mode": {"type": "classic"},
        }
    ).id
    assert code(closed.world.post(closed.world.token(flow="pause", subscription=classic))) == (400, "flow_refused")


@pytest.mark.usefixtures("links")
@pytest.mark.parametrize("group", [None, "gold", "frozen", "unknown"])
@pytest.mark.parametrize("allowed", ["nobody", "everybody"])
def test_both_functions_agree_on_who_is_offered_pauses(
    monkeypatch: pytest.MonkeyPatch, group: str | None, allowed: str
) -> None:
    configure(monkeypatch, PAUSE_ALLOWED=allowed)
    pause_app._wire.cache_clear()
    policy = pause_app._wire().answers.settings.policy_of(group)
    offered = create_session_app._wire().settings.offers_pauses(group)
    assert offered == (policy.pause_allowed == "everybody")
