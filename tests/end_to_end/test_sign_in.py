"""The demo with users who sign in, as a person walks it."""

import html
import re
from collections.abc import Iterator

import pytest
import requests

from tests.end_to_end.stack_fixture import RunningStack, customer_page, get, links_of, row_of


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    running = RunningStack.start("--oidc").wait_until_ready()
    yield running
    running.stop()


def sign_in(stack: RunningStack, email: str, **form: str) -> str:
    answer = requests.post(f"{stack.url}/sign-in", data={"email": email} | form, timeout=60)
    assert answer.ok
    return html.unescape(answer.text)


def portal_of(page: str) -> str:
    found = re.search(r'class="button" href="(http://[^"]+/p/session/[^"]+)"', page)
    assert found, page
    return requests.get(found[1], timeout=60).text


def test_where_to_sign_in_is_said_at_the_start(stack: RunningStack) -> None:
    assert f"{stack.url}/sign-in" in stack.said
    assert "amelie.laurent@example.com" in get(f"{stack.url}/sign-in").text


def test_a_customer_who_signs_in_gets_the_own_portal(stack: RunningStack) -> None:
    page = sign_in(stack, "amelie.laurent@example.com", verified="yes")
    assert "Continue as amelie.laurent@example.com" in page
    assert '"amelie.laurent@example.com"' in page
    assert "Northwind Starter" in portal_of(page)
    assert "A customer has this address" in page


def test_somebody_new_is_made_a_customer_once(stack: RunningStack) -> None:
    first, second = (sign_in(stack, "new.user@example.com", verified="yes") for _ in range(2))
    assert "No customer had this address" in first
    assert "A customer has this address" in second
    assert html.unescape(get(stack.url).text).count(">new.user@example.com</a>") == 1


def test_an_address_that_is_not_verified_opens_nothing(stack: RunningStack) -> None:
    assert "403 no_customer" in sign_in(stack, "amelie.laurent@example.com", verified="no")


def test_the_home_page_leads_to_the_sign_in_and_the_shops_button_opens_the_portal(stack: RunningStack) -> None:
    assert '<a href="/sign-in">' in get(stack.url).text
    shop = f"{customer_page(stack, 'Amélie Laurent')}/shop"
    text = get(shop).text
    assert 'data-sign-in="/sign-in"' in text
    route = re.search(r'data-token="([^"]+)"', text)
    assert route
    token = requests.post(stack.url + route[1], headers={"Origin": stack.url}, timeout=60).json()["token"]
    bearer = {"Authorization": f"Bearer {token}", "Origin": stack.url}
    opened = requests.post(f"{stack.url}/portal/sessions", json={}, headers=bearer, timeout=60)
    assert opened.status_code == 201
    assert "Northwind Starter" in requests.get(opened.json()["url"], timeout=60).text


def test_the_api_itself_wants_a_users_token_for_sessions_and_takes_links_as_before(stack: RunningStack) -> None:
    answer = requests.post(f"{stack.url}/portal/sessions", json={}, timeout=60)
    assert (answer.status_code, answer.json()) == (401, {"message": "Unauthorized"})
    assert get(stack.url + links_of(row_of(stack, "Amélie Laurent"))[0]).status_code == 303


def test_the_pages_let_their_forms_end_at_stripe(stack: RunningStack) -> None:
    """A browser holds the redirect of the home page's form for the login page to it."""
    policy = get(stack.url).headers["content-security-policy"]
    login_page = get(f"{stack.url}/portal").headers["location"]
    assert f"form-action 'self' {login_page.partition('/p/')[0]};" in policy


def test_another_sites_page_cannot_sign_anybody_in(stack: RunningStack) -> None:
    answer = requests.post(f"{stack.url}/sign-in", headers={"Origin": "https://evil.example"}, timeout=60)
    assert answer.status_code == 403
