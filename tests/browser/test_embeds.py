"""The button and the links as pasted, in a browser, against the local gateway from another origin."""

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests
from playwright.sync_api import Browser, Page, Request, expect

from tests.embeds import EMBEDS
from tests.end_to_end.stack_fixture import RunningStack, customer_page

PORTAL = re.compile(r"/p/session/test_")
LOGIN = re.compile(r"/p/login/test_")


@pytest.fixture
def shop(stack: RunningStack) -> str:
    """Amélie's account page in the shop. `localhost` is another origin than the API's 127.0.0.1, and an allowed one."""
    return customer_page(stack, "Amélie Laurent").replace("127.0.0.1", "localhost") + "/shop"


def button(page: Page) -> Page:
    page.get_by_role("button", name="Manage your subscription").click()
    return page


def says(page: Page, words: str) -> None:
    expect(page.locator("#open-portal").get_by_role("status")).to_contain_text(words)


def test_the_button_opens_the_portal_in_the_same_tab_from_another_origin(page: Page, shop: str) -> None:
    page.goto(shop)
    with page.expect_request("**/portal/sessions") as asked:
        button(page)
    headers = asked.value.all_headers()
    page.wait_for_url(PORTAL)
    expect(page.get_by_role("heading", name="Subscriptions")).to_be_visible()
    assert len(page.context.pages) == 1
    assert (asked.value.method, headers["origin"]) == ("POST", shop[: shop.index("/customers")])
    assert "cookie" not in headers


def test_the_portal_leads_back_and_the_button_works_again(page: Page, shop: str) -> None:
    page.goto(shop)
    button(page).wait_for_url(PORTAL)
    page.get_by_role("link", name="Return to").click()
    page.wait_for_url(shop)
    button(page).wait_for_url(PORTAL)
    page.go_back()
    page.wait_for_url(shop)
    expect(page.locator("#open-portal button")).to_have_attribute("aria-disabled", "false")


def test_the_button_works_by_keyboard_and_keeps_the_focus_while_it_waits(page: Page, shop: str) -> None:
    page.goto(shop)
    page.route("**/portal/sessions", lambda _: None)  # never answered
    page.locator("#open-portal button").focus()
    page.keyboard.press("Enter")
    says(page, "Opening")
    expect(page.locator("#open-portal button")).to_be_focused()


def test_a_second_press_while_it_opens_makes_no_second_session(page: Page, shop: str) -> None:
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request) if request.url.endswith("/portal-token") else None)
    page.goto(shop)
    page.route("**/portal/sessions", lambda _: None)
    button(page)
    says(page, "Opening")
    page.locator("#open-portal button").click(force=True)
    page.keyboard.press("Enter")
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("route", "status", "words"),
    [
        ("**/portal-token", 401, "Please sign in again."),
        ("**/portal/sessions", 403, "Please sign in again."),
        ("**/portal/sessions", 503, "try again in a minute"),
        ("**/portal-token", 500, "try again in a minute"),
    ],
)
def test_what_goes_wrong_is_said_and_can_be_tried_again(
    page: Page, shop: str, route: str, status: int, words: str
) -> None:
    page.goto(shop)
    headers = {"Access-Control-Allow-Origin": "*", "Content-Type": "application/problem+json"}
    page.route(route, lambda each: each.fulfill(status=status, headers=headers, body="{}"))
    button(page)
    says(page, words)
    link = page.locator("#open-portal [role=status] a")
    expect(link).to_have_count(1 if "sign in" in words else 0)
    page.unroute(route)
    button(page).wait_for_url(PORTAL)


def test_a_refusal_of_the_real_api_reaches_the_page_of_another_origin(page: Page, shop: str) -> None:
    """Without CORS headers on errors too, a browser would call this a broken connection."""
    page.goto(shop)
    page.route("**/portal-token", lambda each: each.fulfill(json={"token": "forged"}))
    button(page)
    says(page, "Please sign in again.")


def test_a_broken_connection_is_said(page: Page, shop: str) -> None:
    page.goto(shop)
    page.route("**/portal/sessions", lambda each: each.abort())
    button(page)
    says(page, "There is no connection.")


def test_without_javascript_the_button_is_a_link_to_the_login_page(browser: Browser, shop: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(shop)
    button(page).wait_for_url(LOGIN)
    context.close()


def test_the_links_lead_to_the_login_page_with_the_address_or_without(page: Page, shop: str) -> None:
    page.goto(shop)
    page.locator("#link a").click()
    page.wait_for_url(LOGIN)
    expect(page.get_by_label("E-mail")).to_have_value("")
    page.goto(shop)
    page.locator("#link-with-email a").click()
    page.wait_for_url(LOGIN)
    expect(page.get_by_label("E-mail")).to_have_value("amelie.laurent@example.com")


def test_another_site_cannot_have_a_token_made(shop: str) -> None:
    token = shop.removesuffix("/shop") + "/portal-token"
    foreign = {"Origin": "https://evil.example"}
    assert requests.post(token, headers=foreign, timeout=60).status_code == 403
    assert requests.get(token, timeout=60).status_code == 405


@pytest.fixture
def strangers_site(stack: RunningStack) -> Iterator[str]:
    """Another web site that pasted the button, with a good token in hand, and is not an allowed origin."""
    pasted = (EMBEDS / "button.html").read_text().replace("https://api.example.com", stack.url)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer("text/html; charset=utf-8", f"<!doctype html><title>Stranger</title>{pasted}")

        def do_POST(self) -> None:
            self._answer("application/json", '{"token": "whatever"}')

        def _answer(self, kind: str, text: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's own name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_site_that_is_not_allowed_gets_nothing_out_of_the_api(page: Page, strangers_site: str) -> None:
    console: list[str] = []
    page.on("console", lambda message: console.append(message.text))
    page.goto(strangers_site)
    button(page)
    says(page, "There is no connection.")
    assert any("CORS" in text for text in console)
