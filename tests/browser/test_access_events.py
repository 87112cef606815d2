"""The shop closes when the paid period of a paused customer ends, and is told so by an event of the bus."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.end_to_end.stack_fixture import SETTLES_SOON, RunningStack, customer_page


@pytest.fixture(scope="module")
def own_stack(browser: Browser) -> Iterator[RunningStack]:
    """A stack whose clock these tests may move."""
    assert browser.is_connected()
    running = RunningStack.start(*SETTLES_SOON).wait_until_ready()
    yield running
    running.stop()


def test_a_paused_customer_is_locked_out_after_the_paid_period_and_the_event_arrives(
    page: Page, own_stack: RunningStack
) -> None:
    customer = customer_page(own_stack, "Amélie Laurent")
    page.goto(f"{customer}/shop")
    live = page.locator("#live")
    expect(live).to_contain_text("Open.")
    expect(live.locator("#events tbody tr").first).to_contain_text("active")

    team = page.context.new_page()
    team.goto(customer)
    team.get_by_role("button", name=re.compile("Pause collection")).click()
    # The page in front of the customer learns of it by itself.
    expect(live.locator("#events")).to_contain_text("collection_paused")
    expect(live).to_contain_text("Open.")

    team.get_by_role("button", name="Let a month pass").click()
    team.close()
    expect(live).to_contain_text("Locked.")
    service, reason = live.locator("#events td:nth-child(2)"), live.locator("#events td:nth-child(3)")
    expect(service.nth(0)).to_have_text("no")
    expect(service.nth(1)).to_have_text("yes")
    expect(reason.nth(0)).to_have_text("collection_paused")
