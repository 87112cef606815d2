"""What a visitor of the demo needs next is on the page, and works."""

import html
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

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


def test_the_home_page_offers_all_that_the_portal_allows_and_says_that_stripe_decides(stack: RunningStack) -> None:
    """Grace's price and Aisha's payment method forbid a change of plan, which only Stripe knows."""
    topics = {"Change the plan": "change plan", "Cancel": "cancel", "Pause": "pause"}
    offered_too_much = set()
    for row in html.unescape(get(stack.url).text).split("<tr>")[2:]:
        offered = re.findall(r'<a href="/portal\?token=[^"]+">([^<]+)</a>', row)
        explained = re.search(r'href="(/customers/[^"]+/subscriptions/[^"]+)"', row)
        name = re.search(r">([^<]+)</a>", row)
        assert name
        assert "or, if Stripe allows it:" in row
        if explained is None:
            assert offered == ["payment method"]
            continue
        said = re.findall(
            r'<span class="tag \w+">(yes|no)</span> ([^<]+)<', html.unescape(get(stack.url + explained[1]).text)
        )
        answers = {topics[title]: word for word, title in said if title in topics}
        assert len(answers) == len(topics)
        possible = {topic for topic, word in answers.items() if word == "yes"}
        assert possible <= set(offered), name[1]
        offered_too_much |= {(name[1], topic) for topic in set(offered) - possible - {"payment method"}}
    assert offered_too_much == {("Aisha Khan", "change plan"), ("Grace Osei", "change plan")}


def page_for_pauses(stack: RunningStack, name: str) -> str:
    """The page that is one click away from the home page."""
    link = re.search(r'href="(/portal\?token=[^"]+)">Northwind\'s own page for pauses', row_of(stack, name))
    assert link
    page = requests.get(stack.url + link[1], timeout=60)
    assert urlsplit(page.url).path == "/pause"
    return page.text


def test_a_pause_of_this_year_has_been_made_by_stripe_and_one_is_set_on_the_page(stack: RunningStack) -> None:
    twelve_days_ago = (datetime.now(UTC) - timedelta(days=12)).date().isoformat()
    assert f'paused since <span class="nowrap">{twelve_days_ago}<' in row_of(stack, "Nadia Haddad")
    row = row_of(stack, "Tomás Silva")
    assert ">active</span>" in row
    assert "This subscription is going to be paused." in page_for_pauses(stack, "Tomás Silva")
    assert "to tomas.silva@example.com" in get(f"{stack.url}/outbox").text


def test_nobody_is_offered_a_pause_of_what_has_ended(stack: RunningStack) -> None:
    for name in ("Luca Moretti", "Ingrid Berg"):
        assert "page for pauses" not in row_of(stack, name)


def test_the_page_for_pauses_leads_back(stack: RunningStack) -> None:
    assert f'<a href="{stack.url}/">' in page_for_pauses(stack, "Amélie Laurent")


def test_nothing_of_the_demo_counts_as_sent_again_by_hand(stack: RunningStack) -> None:
    requests.post(f"{stack.url}/audit", headers={"Origin": stack.url}, timeout=60).raise_for_status()
    mails = re.findall(r'href="(/outbox/\d+)">[^<]* a month<', get(f"{stack.url}/outbox").text)
    text = html.unescape(get(stack.url + mails[0]).text)
    assert "Events reached the mirror" in text
    assert "sent again" not in text


# The last: it moves the clock.
def test_a_mail_before_the_return_arrives_however_far_the_clock_jumps(stack: RunningStack) -> None:
    """In one jump over the whole pause, too: the clock stops where the schedule has something to do."""
    page = customer_page(stack, "Tomás Silva")
    for _ in range(4):
        requests.post(f"{page}/clock", headers={"Origin": stack.url}, timeout=120).raise_for_status()
    outbox = get(f"{stack.url}/outbox").text
    told = r"Your subscription returns on ([^<]+)</a>\s*<span class=\"small\">to tomas\.silva@example\.com, ([\d-]+)"
    ((returns, sent),) = re.findall(told, outbox)
    ahead = datetime.strptime(returns, "%d %B %Y").replace(tzinfo=UTC) - datetime.fromisoformat(sent).replace(
        tzinfo=UTC
    )
    # `PauseNoticeDays`, and a day more.
    assert timedelta(days=3) <= ahead <= timedelta(days=4)
    assert ">active</span>" in row_of(stack, "Tomás Silva")
