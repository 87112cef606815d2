"""Deep links of every kind: what a token and a request may say, and what becomes of Stripe's refusals."""

import io
import json
from typing import Any

import jwt
import pytest
import requests

from tests.integration.conftest import LINK_SECRET, Api
from tests.integration.portal_world import World, code, configure, header
from tests.integration.simulator_fixtures import RunningSimulator


class Plans(World):
    """Two plans that the portal offers and one that it does not, a coupon, and a subscription with two items."""

    def __init__(self, api: Api, simulator: RunningSimulator) -> None:
        super().__init__(api, simulator)
        self.team, self.secret = self.plan("Team", 8900), self.plan("Secret", 100)
        self.coupon = self.stripe.v1.coupons.create({"percent_off": 50, "duration": "once"}).id
        promotion: Any = {"type": "coupon", "coupon": self.coupon}
        self.promotion_code = self.stripe.v1.promotion_codes.create({"promotion": promotion}).id
        both: Any = {"customer": self.customer, "items": [{"price": self.price.id}, {"price": self.team.id}]}
        self.two_items = self.stripe.v1.subscriptions.create(both)
        self.offer(self.price, self.team)

    def plan(self, name: str, amount: int) -> Any:
        product = self.stripe.v1.products.create({"name": name})
        wanted: Any = {"product": product.id, "currency": "eur", "unit_amount": amount}
        return self.stripe.v1.prices.create(wanted | {"recurring": {"interval": "month"}, "tax_behavior": "exclusive"})

    def offer(self, *prices: Any) -> None:
        """Save the Dashboard's configuration with every feature, and these plans."""
        update = {"enabled": True, "default_allowed_updates": ["price", "quantity"]}
        products = [{"product": price.product, "prices": [price.id]} for price in prices]
        features = {name: {"enabled": True} for name in ("subscription_cancel", "subscription_pause")} | {
            "payment_method_update": {"enabled": True},
            "customer_update": {"enabled": True, "allowed_updates": ["email"]},
            "subscription_update": update | {"products": products},
        }
        self.simulator.admin("POST", "default_configuration", {"features": features, "login_page": {"enabled": True}})

    def item_of(self, subscription: str) -> str:
        return str(self.stripe.v1.subscriptions.retrieve(subscription)["items"].data[0].id)

    def confirm(self, **more: Any) -> dict[str, Any]:
        return {"flow": "subscription_update_confirm", "subscription": self.subscription} | more

    def flow(self) -> Any:
        return self.last()["flow"]


@pytest.fixture
def world(api: Api, simulator: RunningSimulator) -> Plans:
    return Plans(api, simulator)


@pytest.mark.parametrize(
    "flow",
    [
        "customer_update",
        "payment_method_update",
        "subscription_cancel",
        "subscription_pause",
        "subscription_update",
        "subscription_update_confirm",
    ],
)
def test_every_flow_opens_by_token_and_by_request(world: Plans, flow: str) -> None:
    about: dict[str, Any] = {"flow": flow}
    about |= {"subscription": world.subscription} if flow.startswith("subscription_") else {}
    about |= {"price": world.team.id} if flow.endswith("_confirm") else {}
    assert world.follow(token=world.token(**about)).status == 303
    assert world.flow()["type"] == flow
    assert world.follow(token=world.token(), **about).status == 303
    assert world.post(claims={"stripe_customer_id": world.customer}, **about).status == 201
    assert world.flow()["type"] == flow
    if "subscription" in about:
        assert world.flow()[flow]["subscription"] == world.subscription


def test_a_change_is_of_the_subscriptions_only_item(world: Plans) -> None:
    item = world.item_of(world.subscription)
    assert world.post(world.token(), **world.confirm(price=world.team.id, quantity=3)).status == 201
    details = world.flow()["subscription_update_confirm"]
    assert [one.to_dict() for one in details["items"]] == [{"id": item, "price": world.team.id, "quantity": 3}]
    assert world.post(world.token(), **world.confirm(item=item, quantity=2)).status == 201
    assert world.follow(token=world.token(), **world.confirm(item=item, quantity="4")).status == 303
    assert world.flow()["subscription_update_confirm"]["items"][0]["quantity"] == 4


def test_the_items_of_others_and_of_nobody_get_the_same_refusal(world: Plans) -> None:
    for item in (world.item_of(world.others_subscription), world.two_items["items"].data[0].id, "si_unknown"):
        assert code(world.post(world.token(), **world.confirm(item=item, quantity=2))) == (403, "not_your_item")
        token = world.token(**world.confirm(item=item, quantity=2))
        assert world.follow(token=token).status == 403
    about = world.confirm(subscription=world.others_subscription, quantity=2)
    assert code(world.post(world.token(), **about)) == (403, "not_your_subscription")
    about["item"] = world.item_of(world.others_subscription)
    assert code(world.post(world.token(), **about)) == (403, "not_your_subscription")
    assert world.sessions() == []


def test_a_subscription_with_several_items_is_not_changed_in_the_portal(world: Plans) -> None:
    about = world.confirm(subscription=world.two_items.id, quantity=2)
    assert code(world.post(world.token(), **about)) == (400, "several_items")
    about["item"] = world.two_items["items"].data[0].id
    assert code(world.post(world.token(), **about)) == (400, "several_items")


@pytest.mark.parametrize("name", ["coupon", "promotion_code", "discounts", "retention", "custom_message", "items"])
def test_a_browser_cannot_grant_itself_money_or_speak_for_the_site(world: Plans, name: str) -> None:
    value = {"promotion_code": world.promotion_code}.get(name, world.coupon)
    for about in (
        world.confirm(quantity=2),
        dict[str, Any](flow="subscription_cancel", subscription=world.subscription),
    ):
        assert code(world.post(world.token(), **(about | {name: value}))) == (400, "bad_request")
        assert world.follow(token=world.token(), **{k: str(v) for k, v in about.items()} | {name: value}).status == 303
        details = world.flow()[about["flow"]]
        assert (details["discounts"] if about["flow"].endswith("confirm") else details["retention"]) is None


def test_a_tokens_coupon_is_offered_to_who_cancels(world: Plans) -> None:
    token = world.token(flow="subscription_cancel", subscription=world.subscription, coupon=world.coupon)
    assert world.follow(token=token).status == 303
    assert world.flow()["subscription_cancel"]["retention"].to_dict() == {
        "type": "coupon_offer",
        "coupon_offer": {"coupon": world.coupon},
    }


def test_the_settings_coupon_is_offered_to_everybody_who_cancels_by_deep_link(
    world: Plans, monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    configure(monkeypatch, RETENTION_COUPON=world.coupon)
    cancel: dict[str, Any] = {"flow": "subscription_cancel", "subscription": world.subscription}
    assert world.post(claims={"stripe_customer_id": world.customer}, **cancel).status == 201
    assert world.flow()["subscription_cancel"]["retention"]["coupon_offer"]["coupon"] == world.coupon
    own = world.stripe.v1.coupons.create({"percent_off": 20}).id
    world.follow(token=world.token(**cancel, coupon=own))
    assert world.flow()["subscription_cancel"]["retention"]["coupon_offer"]["coupon"] == own
    configure(monkeypatch, RETENTION_COUPON="GONE")
    assert code(world.post(world.token(), **cancel)) == (500, "bad_retention_coupon")
    assert "Set RETENTION_COUPON to a coupon that Stripe accepts" in log.getvalue()
    assert code(world.post(world.token(**cancel, coupon="GONE2"))) == (400, "discount_refused")


def test_a_discount_is_for_the_change_that_the_token_names(world: Plans) -> None:
    for discount in ({"coupon": world.coupon}, {"promotion_code": world.promotion_code}):
        token = world.token(**world.confirm(price=world.team.id, **discount))
        assert world.post(token).status == 201
        (given,) = world.flow()["subscription_update_confirm"]["discounts"]
        assert {name: value for name, value in given.to_dict().items() if value} == discount
        for more in ({"price": world.secret.id}, {"quantity": 500}, {"item": "si_1"}, {"flow": "subscription_update"}):
            answer = world.post(token, **more)
            assert code(answer) == (403, f"other_{next(iter(more))}")
            assert world.follow(token=token, **{k: str(v) for k, v in more.items()}).status == 403
        assert world.post(token, price=world.team.id).status == 201
    token = world.token(**world.confirm(coupon=world.coupon))
    assert code(world.post(token, price=world.team.id)) == (401, "bad_token")


def test_a_link_to_one_page_does_not_become_a_link_to_the_whole_portal(world: Plans) -> None:
    token = world.token(flow="payment_method_update")
    assert code(world.post(token, after_completion="portal_homepage")) == (403, "other_after_completion")
    assert world.follow(token=token, after_completion="portal_homepage").status == 403
    assert world.sessions() == []
    assert world.post(world.token(), flow="payment_method_update", after_completion="portal_homepage").status == 201
    assert world.flow()["after_completion"]["type"] == "portal_homepage"


def test_after_completion_is_each_of_stripes(world: Plans) -> None:
    world.follow(token=world.token(flow="customer_update"), return_url="https://shop.example/done")
    after = world.flow()["after_completion"]
    assert (after["type"], after["redirect"]["return_url"]) == ("redirect", "https://shop.example/done")
    world.follow(token=world.token(flow="customer_update", after_completion="portal_homepage"))
    assert world.flow()["after_completion"]["type"] == "portal_homepage"
    said = {"after_completion": "hosted_confirmation", "custom_message": "Merci, à bientôt !"}
    world.follow(token=world.token(flow="customer_update", **said))
    after = world.flow()["after_completion"]
    assert (after["type"], after["hosted_confirmation"]["custom_message"]) == (
        "hosted_confirmation",
        "Merci, à bientôt !",
    )
    assert world.post(world.token(), flow="customer_update", after_completion="hosted_confirmation").status == 201
    assert world.flow()["after_completion"]["hosted_confirmation"]["custom_message"] is None
    elsewhere = world.follow(token=world.token(flow="customer_update"), return_url="https://evil.example/")
    assert code(elsewhere) == (400, "bad_return_url")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"after_completion": "portal_homepage"}, "needs a `flow`"),
        ({"after_completion": "elsewhere", "flow": "customer_update"}, "after_completion"),
        ({"price": "price_1"}, "`price` is for the flow subscription_update_confirm"),
        ({"flow": "subscription_update", "subscription": "sub_1", "quantity": 2}, "`quantity` is for the flow"),
        ({"flow": "subscription_update_confirm", "quantity": 0}, "quantity"),
        ({"flow": "subscription_update_confirm", "quantity": 10**9}, "quantity"),
        ({"flow": "subscription_update_confirm", "quantity": "2; drop"}, "quantity"),
        ({"flow": "subscription_update_confirm", "price": "a b"}, "price"),
        ({"flow": "subscription_update_confirm", "item": "sub_1"}, "item"),
    ],
)
def test_what_does_not_go_together_is_named(world: Plans, body: dict[str, Any], said: str) -> None:
    answer = world.post(world.token(), **body)
    assert code(answer) == (400, "bad_request")
    assert said in json.loads(answer.body)["detail"]


def test_stripes_refusals_have_a_code_each(world: Plans) -> None:
    assert code(world.post(world.token(), **world.confirm())) == (400, "change_required")
    same = world.confirm(price=world.price.id, quantity=1)
    assert code(world.post(world.token(), **same)) == (400, "nothing_to_confirm")
    for price in (world.secret.id, "price_unknown"):
        answer = world.post(world.token(), **world.confirm(price=price))
        assert code(answer) == (400, "change_refused")
        assert price not in answer.body.decode()
    token = world.token(**world.confirm(quantity=2, promotion_code="promo_gone"))
    assert code(world.post(token)) == (400, "discount_refused")
    world.stripe.v1.subscriptions.update(world.subscription, {"cancel_at_period_end": True})
    cancel: dict[str, Any] = {"flow": "subscription_cancel", "subscription": world.subscription}
    assert code(world.post(world.token(), **cancel)) == (400, "flow_refused")
    features = ("subscription_update", "customer_update", "payment_method_update", "subscription_cancel")
    off = {name: {"enabled": False} for name in features}
    world.simulator.admin("POST", "default_configuration", {"features": off})
    for about in (world.confirm(quantity=2), cancel, {"flow": "customer_update"}, {"flow": "payment_method_update"}):
        assert code(world.post(world.token(), **about)) == (400, "flow_disabled")


def test_an_expired_session_lets_the_customer_log_in_unless_switched_off(
    world: Plans, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = world.follow(token=world.token())
    assert world.last()["after_expiration"]["type"] == "customer_login"
    now = world.simulator.admin("GET", "clock")["now"]
    world.simulator.admin("POST", "clock", {"now": now + 301})
    expired = requests.get(header(answer, "location"), timeout=60)
    assert expired.status_code == 410
    assert "/p/login/test_" in expired.text
    configure(monkeypatch, EXPIRED_SESSION_LOGIN="false")
    assert world.follow(token=world.token()).status == 303
    assert world.last()["after_expiration"] is None


def test_the_locale_is_the_tokens_then_the_requests_then_the_sites_then_the_visitors(
    world: Plans, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locale(accept: str = "", asked: str = "", **claims: Any) -> str | None:
        headers = {"accept-language": accept} if accept else {}
        query = f"token={world.token(**claims)}" + (f"&locale={asked}" if asked else "")
        assert world.api.send("GET /portal", query=query, headers=headers).status == 303
        found: str | None = world.last()["locale"]
        return found

    assert locale("de-AT,de;q=0.9", "it", locale="fr-BE") == "fr"
    assert locale("de-AT,de;q=0.9", "it-IT") == "it"
    assert locale("de-AT,de;q=0.9") == "de"
    assert locale("xx, pt-BR;q=0.8, *;q=0.1", "xx", locale="yy") == "pt-BR"
    assert locale("de", "auto") is None
    assert locale("*") is None
    assert locale() is None
    configure(monkeypatch, PORTAL_LOCALE="ja")
    assert (locale("de"), locale("de", "en-US"), locale("de", locale="fr")) == ("ja", "en", "fr")
    configure(monkeypatch, PORTAL_LOCALE="auto")
    assert locale("de") is None


def test_a_token_of_the_way_back_is_no_link_token(world: Plans) -> None:
    claims = jwt.decode(world.token(), options={"verify_signature": False}) | {"aud": "portal-return"}
    token = jwt.encode(claims, LINK_SECRET, "HS256")
    assert world.follow(token=token).status == 401
    assert code(world.post(token)) == (401, "bad_token")
    assert world.sessions() == []
