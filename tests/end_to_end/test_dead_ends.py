"""What a visitor of the demo needs next is on the page, and works."""

import html
import re
from collections.abc import Iterator

import pytest
import requests

from tests.end_to_end.stack_fixture import RunningStack, customer_page, get, links_of, row_of


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    running = RunningStack.start().wait_until_ready()
    yield running
    running.stop()


def test_the_code_of_the_login_page_is_in_the_outbox(stack: RunningStack) -> None:
    login = requests.get(f"{stack.url}/portal", timeout=60).url
    said = requests.post(login, data={"email": "amelie.laurent@example.com"}, timeout=60).text
    assert "/_simulator/login_codes" in said
    outbox = get(f"{stack.url}/outbox").text
    code = re.search(r"the code <strong>(\d{6})</strong> to amelie\.laurent@example\.com", outbox)
    assert code
    opened = requests.post(login, data={"email": "amelie.laurent@example.com", "code": code[1]}, timeout=60)
    assert opened.ok
    assert "Amélie" in opened.text or "subscription" in opened.text
    # A used code is gone.
    assert code[1] not in get(f"{stack.url}/outbox").text


def test_the_portal_leads_back_to_the_row_that_it_was_opened_from(stack: RunningStack) -> None:
    name = "Jonas Weber"
    customer = customer_page(stack, name).rpartition("/")[2]
    assert f'id="{customer}"' in row_of(stack, name)
    portal = html.unescape(requests.get(stack.url + links_of(row_of(stack, name))[0], timeout=60).text)
    assert f'href="{stack.url}/#{customer}"' in portal


def test_a_command_on_a_page_is_the_one_for_this_stack(stack: RunningStack) -> None:
    link = re.search(r'href="(/customers/[^"]+/subscriptions/[^"]+)"', row_of(stack, "Jonas Weber"))
    assert link
    shown = html.unescape(get(stack.url + link[1]).text)
    assert f".venv/bin/portal --local --local-url {stack.url} explain {link[1].rpartition('/')[2]}" in shown


def test_what_a_customer_began_as_is_not_said_of_the_present(stack: RunningStack) -> None:
    assert "Began as: Active, nothing special" in row_of(stack, "Amélie Laurent")
