"""A customer without a live subscription: to Checkout, back to the portal, and never two subscriptions."""

import io
import json
import threading
from typing import Any
from urllib.parse import urlencode, urlsplit

import jwt
import pytest
import requests
import stripe

from functions.create_session.checkout import MARK
from local.gateway.event import HttpRequest, event_of
from tests.integration.conftest import LINK_SECRET, Api
from tests.integration.portal_world import FEATURES, World, code, configure, header
from tests.integration.simulator_fixtures import RunningSimulator

NAME = "__Host-portal-return"


class Shop(World):
    """Beside the subscribers a newcomer, who has an account at Stripe and nothing else."""

    def __init__(self, api: Api, simulator: RunningSimulator) -> None:
        super().__init__(api, simulator)
        self.newcomer = self.stripe.v1.customers.create({"email": "new@example.com"}).id

    def subscribe_newcomer(self) -> stripe.Subscription:
        card = self.stripe.v1.payment_methods.attach("pm_card_visa", {"customer": self.newcomer}).id
        items: Any = [{"price": self.price.id}]
        return self.stripe.v1.subscriptions.create(
            {"customer": self.newcomer, "items": items, "default_payment_method": card}
        )

    def visit(self, query: str = "", cookie: str = "", route: str = "GET /portal", **headers: str) -> Any:
        return self.api.send(route, query=query, headers=headers | ({"cookie": cookie} if cookie else {}))

    def come(self, accept_language: str = "", **query: str) -> Any:
        """The newcomer follows a link."""
        asked = urlencode({"token": self.token(sub=self.newcomer)} | query)
        return self.visit(asked, **({"accept-language": accept_language} if accept_language else {}))

    def checkouts(self) -> list[Any]:
        return self.stripe.v1.checkout.sessions.list({"limit": 100}).data

    def subscriptions(self) -> list[Any]:
        return self.stripe.v1.subscriptions.list({"customer": self.newcomer, "status": "all"}).data


@pytest.fixture
def shop(api: Api, simulator: RunningSimulator, monkeypatch: pytest.MonkeyPatch) -> Shop:
    world = Shop(api, simulator)
    configure(monkeypatch, CHECKOUT_PRICE=world.price.id)
    return world


def cookie_of(answer: Any) -> str:
    """What the browser sends back."""
    return str(dict(answer.headers)["set-cookie"]).partition(";")[0]


def pay(answer: Any) -> str:
    """Press the button of the Checkout page, and answer where it leads."""
    url = header(answer, "location")
    paid = requests.post(url, data={"email": "new@example.com"}, timeout=60, allow_redirects=False)
    return paid.headers["location"]


def test_a_newcomer_subscribes_in_checkout_and_comes_back_to_the_portal(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = shop.come("fr-FR,fr;q=0.9")
    assert (answer.status, "/c/pay/cs_test_" in header(answer, "location")) == (303, True)
    assert '"PortalCheckout"' in capsys.readouterr().out
    (session,) = shop.checkouts()
    assert (session.mode, session.customer, session.locale) == ("subscription", shop.newcomer, "fr")
    assert session.cancel_url == "https://shop.example/account"
    back = urlsplit(pay(answer))
    assert back.path == "/portal/return"
    returned = shop.visit(back.query, cookie_of(answer), "GET /portal/return")
    assert (returned.status, shop.last()["customer"]) == (303, shop.newcomer)
    assert header(returned, "location") == shop.last()["url"]
    assert header(returned, "set-cookie").startswith(f"{NAME}=; Path=/; Max-Age=0")
    assert [one.status for one in shop.subscriptions()] == ["active"]
    assert "/p/session/test_" in header(shop.come(), "location")


def test_no_address_carries_a_proof_and_the_cookie_is_for_this_host_and_no_script(shop: Shop) -> None:
    answer = shop.come()
    (session,) = shop.checkouts()
    token = cookie_of(answer).partition("=")[2]
    assert "token" not in str(session.success_url)
    assert token not in str(session)
    attributes = header(answer, "set-cookie").split("; ")[1:]
    assert attributes == ["Path=/", "Max-Age=3600", "HttpOnly", "Secure", "SameSite=Lax"]


def test_without_the_cookie_the_way_back_opens_nobodys_portal(shop: Shop) -> None:
    answer = shop.come(return_url="https://shop.example/plans")
    back = urlsplit(pay(answer))
    (session,) = shop.checkouts()
    for cookie in ("", f"{NAME}=", f"{NAME}=x.y.z", f"{NAME}={session.id}", f"{NAME}={shop.token(sub=shop.newcomer)}"):
        for query in (back.query, f"{back.query}&session_id={session.id}", f"{back.query}&token=x"):
            returned = shop.visit(query, cookie, "GET /portal/return")
            assert (returned.status, header(returned, "location")) == (303, "https://shop.example/plans")
    assert shop.visit("", "", "GET /portal/return").status == 303
    assert shop.sessions() == []


def test_the_cookie_opens_its_own_customers_portal_on_the_way_back_only(shop: Shop) -> None:
    cookie = cookie_of(shop.come())
    token = cookie.partition("=")[2]
    assert "/p/login/" in header(shop.visit("", cookie), "location")
    assert shop.visit(f"token={token}").status == 401
    assert code(shop.post(token)) == (401, "bad_token")
    for query in ("", f"customer={shop.other}", "customer="):
        assert shop.visit(query, cookie, "GET /portal/return").status in {303, 400}
    assert shop.sessions() == []
    own = urlencode({"customer": shop.newcomer, "flow": "customer_update", "group": "business"})
    shop.visit(own, cookie, "GET /portal/return")
    assert (shop.last()["customer"], shop.last()["flow"]) == (shop.newcomer, None)


def test_a_link_to_anothers_checkout_does_not_change_whose_portal_opens_after_this_one(shop: Shop) -> None:
    back = urlsplit(pay(shop.come()))
    other = shop.stripe.v1.customers.create({"email": "mallory@example.com"}).id
    planted = cookie_of(shop.follow(token=shop.token(sub=other)))
    returned = shop.visit(back.query, planted, "GET /portal/return")
    assert header(returned, "location") == "https://shop.example/account"
    assert shop.sessions() == []


def test_a_way_back_that_is_not_the_cookies_leaves_it_for_the_one_that_is(shop: Shop) -> None:
    """Two tabs, two customers: the first that comes back must not take the other's proof away."""
    answer = shop.come()
    back, cookie = urlsplit(pay(answer)), cookie_of(answer)
    for query in (f"customer={shop.other}", "", f"customer={shop.newcomer}&return_url=https://evil.example/"):
        assert "set-cookie" not in dict(shop.visit(query, cookie, "GET /portal/return").headers)
    returned = shop.visit(back.query, cookie, "GET /portal/return")
    assert "/p/session/" in header(returned, "location")
    assert header(returned, "set-cookie").startswith(f"{NAME}=;")


def test_what_the_link_says_of_the_portal_holds_after_checkout_too(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    made = shop.stripe.v1.billing_portal.configurations.create({"features": FEATURES})
    configure(monkeypatch, PORTAL_CONFIGURATIONS=json.dumps({"business": made.id}))
    answer = shop.follow(token=shop.token(sub=shop.newcomer, group="business", locale="de"))
    assert "/c/pay/" in header(answer, "location")
    shop.visit(f"customer={shop.newcomer}&locale=fr", cookie_of(answer), "GET /portal/return")
    assert (shop.last()["configuration"], shop.last()["locale"]) == (made.id, "de")


def test_while_stripe_is_down_the_way_back_stays_open(shop: Shop) -> None:
    back, cookie = f"customer={shop.newcomer}", cookie_of(shop.come())
    failure = {"path": "/v1/billing_portal/sessions", "status": 429, "message": "Too many requests"}
    shop.simulator.admin("POST", "faults", {"fail": [failure]})
    answer = shop.visit(back, cookie, "GET /portal/return")
    assert code(answer) == (503, "stripe_rate_limited")
    assert "set-cookie" not in dict(answer.headers)
    shop.simulator.admin("DELETE", "faults")
    assert "/p/session/" in header(shop.visit(back, cookie, "GET /portal/return"), "location")


def test_the_way_back_opens_the_portal_once(shop: Shop) -> None:
    """Whoever copies the cookie and the address afterwards, from a log or a shared computer, opens nothing."""
    answer = shop.come()
    back, cookie = urlsplit(pay(answer)), cookie_of(answer)
    assert "/p/session/" in header(shop.visit(back.query, cookie, "GET /portal/return"), "location")
    opened = len(shop.sessions())
    for query in (back.query, f"customer={shop.newcomer}&locale=fr"):
        again = shop.visit(query, cookie, "GET /portal/return")
        assert (again.status, header(again, "location")) == (303, "https://shop.example/account")
        assert header(again, "set-cookie").startswith(f"{NAME}=; Path=/; Max-Age=0")
    assert len(shop.sessions()) == opened


@pytest.mark.parametrize("space", ["\u2000", "\u00a0", "\u3000", "\x85", "\x1f"])
def test_a_name_that_only_looks_like_the_cookies_is_another_one(shop: Shop, space: str) -> None:
    """Browsers hold the prefix's promise for the very name: what a sibling host sets under a longer one is not ours."""
    name, _, token = cookie_of(shop.come()).partition("=")
    event = event_of(
        HttpRequest("GET", "/portal/return", f"customer={shop.newcomer}", (), b"", "192.0.2.1", "HTTP/1.1"),
        "GET /portal/return",
        {},
    )
    for looks_like in (f"{space}{name}", f"{name}{space}", name.lower(), f"={name}", f"x={name}"):
        event["cookies"] = [f"{looks_like}={token}"]
        answer = shop.api.invoke("GET /portal/return", event)
        assert header(answer, "location") == "https://shop.example/account"
    assert shop.sessions() == []
    event["cookies"] = ["x=1", f" {name}={token}"]
    assert "/p/session/" in header(shop.api.invoke("GET /portal/return", event), "location")


def test_two_cookies_of_the_name_are_none(shop: Shop) -> None:
    """A browser keeps one; a second was put in by somebody, and which of them counts must not be theirs to say."""
    cookie = cookie_of(shop.come())
    for both in (f"{cookie}; {NAME}=x", f"{NAME}=x; {cookie}"):
        answer = shop.visit(f"customer={shop.newcomer}", both, "GET /portal/return")
        assert header(answer, "location") == "https://shop.example/account"
    assert "/p/session/" in header(
        shop.visit(f"customer={shop.newcomer}", f"{cookie}; {cookie}", "GET /portal/return"), "location"
    )


def test_the_cookie_counts_for_an_hour(shop: Shop) -> None:
    token = cookie_of(shop.come()).partition("=")[2]
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == 3600
    for changed in ({"exp": claims["iat"] - 1}, {"aud": "portal"}, {"sub": "sub_1"}):
        cookie = f"{NAME}={jwt.encode(claims | changed, LINK_SECRET, 'HS256')}"
        back = shop.visit(f"customer={shop.newcomer}", cookie, "GET /portal/return")
        assert header(back, "location") == "https://shop.example/account"
    assert shop.sessions() == []


@pytest.mark.parametrize("url", ["https://evil.example/", "//evil.example", "https://shop.example@evil.example/"])
def test_the_way_back_leads_to_no_other_site(shop: Shop, url: str) -> None:
    assert code(shop.come(return_url=url)) == (400, "bad_return_url")
    assert shop.checkouts() == []
    for cookie in ("", cookie_of(shop.come())):
        answer = shop.visit(urlencode({"return_url": url}), cookie, "GET /portal/return")
        assert code(answer) == (400, "bad_return_url")


def test_by_the_api_checkout_leads_back_to_the_site(shop: Shop) -> None:
    answer = shop.post(shop.token(sub=shop.newcomer), return_url="https://shop.example/plans")
    assert (answer.status, "/c/pay/" in answer.body.decode()) == (201, True)
    assert "set-cookie" not in dict(answer.headers)
    (session,) = shop.checkouts()
    assert (session.success_url, session.cancel_url) == ("https://shop.example/plans", "https://shop.example/plans")


@pytest.mark.parametrize("status", ["active", "trialing", "past_due", "unpaid", "paused", "incomplete"])
def test_who_has_a_subscription_that_may_still_be_paid_is_sold_no_second_one(shop: Shop, status: str) -> None:
    subscription = shop.subscribe_newcomer()
    shop.simulator.admin("POST", f"subscriptions/{subscription.id}", {"status": status})
    assert "/p/session/" in header(shop.come(), "location")
    assert shop.checkouts() == []


@pytest.mark.parametrize("status", ["canceled", "incomplete_expired"])
def test_who_had_one_may_subscribe_again(shop: Shop, status: str) -> None:
    subscription = shop.subscribe_newcomer()
    shop.simulator.admin("POST", f"subscriptions/{subscription.id}", {"status": status})
    assert "/c/pay/" in header(shop.come(), "location")


def test_a_deep_link_and_a_link_without_checkout_open_the_portal(shop: Shop) -> None:
    assert "/p/session/" in header(shop.come(flow="payment_method_update"), "location")
    token = shop.token(sub=shop.newcomer, checkout=False)
    assert "/p/session/" in header(shop.follow(token=token), "location")
    assert code(shop.post(shop.token(sub=shop.newcomer), checkout=True)) == (400, "bad_request")
    assert shop.checkouts() == []


def test_without_the_setting_everybody_gets_the_portal(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, CHECKOUT_PRICE="")
    assert "/p/session/" in header(shop.come(), "location")


def test_a_second_click_and_a_mail_scanner_get_the_same_checkout(shop: Shop) -> None:
    first, second, scanner = shop.come("fr"), shop.come("fr"), shop.come()
    assert header(first, "location") == header(second, "location") == header(scanner, "location")
    assert len(shop.checkouts()) == 1


def test_another_way_back_or_another_price_ends_the_checkout_before(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = shop.come()
    second = shop.come(return_url="https://shop.example/plans")
    configure(
        monkeypatch,
        CHECKOUT_PRICE=shop.stripe.v1.prices.create(
            {"product": str(shop.price.product), "currency": "eur", "unit_amount": 9, "recurring": {"interval": "year"}}
        ).id,
    )
    third = shop.come(return_url="https://shop.example/plans")
    assert len({header(one, "location") for one in (first, second, third)}) == 3
    assert [one.status for one in shop.checkouts()] == ["open", "expired", "expired"]
    assert requests.get(header(first, "location"), timeout=60).status_code == 410


def test_the_sites_own_checkout_sessions_are_left_alone(shop: Shop) -> None:
    own: Any = {
        "mode": "subscription",
        "customer": shop.newcomer,
        "line_items": [{"price": shop.price.id, "quantity": 1}],
        "success_url": "https://shop.example/",
        "metadata": {"cart": "7"},
    }
    session = shop.stripe.v1.checkout.sessions.create(own)
    assert session.id not in header(shop.come(), "location")
    assert shop.stripe.v1.checkout.sessions.retrieve(session.id).status == "open"


def test_clicks_at_the_same_moment_share_one_checkout(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both see that there is no session before either makes one."""
    from functions.create_session import checkout  # noqa: PLC0415 - to hold its reads back

    barrier, ours = threading.Barrier(2, timeout=60), checkout._ours
    waiting = iter([True, True])

    def at_the_same_moment(client: Any, customer: str) -> Any:
        found = ours(client, customer)
        if next(waiting, False):
            barrier.wait()
        return found

    monkeypatch.setattr(checkout, "_ours", at_the_same_moment)
    for queries in (["", ""], ["", "https://shop.example/plans"]):
        waiting = iter([True, True])
        urls: list[str] = []
        settings: Any = [{"return_url": one} if one else {} for one in queries]
        threads = [threading.Thread(target=direct, args=(shop, one, urls)) for one in settings]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(urls) == 2
        assert len(set(urls)) == 1
        for session in shop.checkouts():
            if session.status == "open":
                shop.stripe.v1.checkout.sessions.expire(session.id)
    assert len(shop.checkouts()) == 2


def direct(shop: Shop, query: dict[str, str], urls: list[str]) -> None:
    """The link itself, past the one-call-at-a-time of a local function."""
    from functions.create_session import app  # noqa: PLC0415 - its wiring is the test's

    urls.append(app._wire().follow({"token": shop.token(sub=shop.newcomer)} | query).url)


def test_after_a_checkout_and_a_cancellation_there_is_a_new_one(shop: Shop) -> None:
    first = shop.come()
    pay(first)
    shop.stripe.v1.subscriptions.cancel(shop.subscriptions()[0].id)
    second = shop.come()
    assert header(first, "location") != header(second, "location")
    assert requests.get(header(second, "location"), timeout=60).ok
    assert all(MARK in one.metadata for one in shop.checkouts() if one.metadata is not None)


@pytest.mark.parametrize("what", ["unknown", "inactive", "one-off"])
def test_a_price_that_cannot_be_sold_is_the_operators_to_mend(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, log: io.StringIO, what: str
) -> None:
    product = str(shop.price.product)
    if what == "unknown":
        price = "price_unknown"
    elif what == "inactive":
        price = shop.price.id
        shop.stripe.v1.prices.update(price, {"active": False})
    else:
        price = shop.stripe.v1.prices.create({"product": product, "currency": "eur", "unit_amount": 5}).id
    configure(monkeypatch, CHECKOUT_PRICE=price)
    assert code(shop.come()) == (500, "bad_checkout_price")
    assert "CHECKOUT_PRICE" in log.getvalue()


def test_a_deleted_customer_is_not_sold_anything(shop: Shop) -> None:
    shop.stripe.v1.customers.delete(shop.newcomer)
    assert code(shop.come()) == (500, "customer_missing")
