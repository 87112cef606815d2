"""The page for pauses in a browser: without scripts, on a narrow screen, by keyboard, and under its own policy."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.faults import violations
from tests.end_to_end.stack_fixture import RunningStack, customer_page

IN_TWO_MONTHS = (datetime.now(UTC) + timedelta(days=75)).date().isoformat()


@pytest.fixture
def shop(stack: RunningStack) -> str:
    return customer_page(stack, "Amélie Laurent") + "/shop"


@pytest.fixture
def phone(browser: Browser) -> Iterator[Page]:
    """A narrow screen that runs no scripts."""
    context = browser.new_context(
        java_script_enabled=False, viewport={"width": 320, "height": 640}, color_scheme="dark"
    )
    yield context.new_page()
    context.close()


def test_a_customer_pauses_and_undoes_it_without_scripts_on_a_narrow_screen(phone: Page, shop: str) -> None:
    phone.goto(shop)
    phone.get_by_role("link", name="Pause your subscription").click()
    expect(phone.get_by_role("heading", level=1)).to_have_text("Pause your subscription")
    phone.get_by_label("Return on").fill(IN_TWO_MONTHS)
    phone.get_by_role("button", name="Continue").click()
    expect(phone.get_by_role("heading", level=1)).to_have_text("Pause this subscription?")
    expect(phone.get_by_text("Service until")).to_be_visible()
    phone.get_by_role("button", name="Pause my subscription").click()
    expect(phone.get_by_role("status")).to_have_text("Your pause is set.")
    phone.get_by_role("button", name="Undo the pause").click()
    expect(phone.get_by_role("status")).to_contain_text("Your pause has been undone.")


def test_the_page_is_used_by_keyboard_and_fits_into_320_pixels(page: Page, shop: str) -> None:
    page.set_viewport_size({"width": 320, "height": 640})
    page.goto(shop)
    page.get_by_role("link", name="Pause your subscription").press("Enter")
    page.wait_for_url(re.compile(r"/pause\?token="))
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    reached = []
    for _ in range(8):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate("document.activeElement.getAttribute('name') ?? document.activeElement.textContent.trim()")
        )
    assert [each for each in dict.fromkeys(reached) if each in {"resume_on", "reason", "Continue"}] == [
        "resume_on",
        "reason",
        "Continue",
    ]
    # A browser keeps what is no date, or too late, from being sent.
    page.get_by_label("Return on").fill("2099-01-01")
    page.get_by_role("button", name="Continue").press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Pause your subscription")


def test_nothing_of_the_page_is_blocked_by_its_own_policy(page: Page, shop: str) -> None:
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.goto(shop)
    page.get_by_role("link", name="Pause your subscription").click()
    page.wait_for_url(re.compile(r"/pause\?token="))
    colour = page.get_by_role("button", name="Continue").evaluate(
        "element => getComputedStyle(element).backgroundColor"
    )
    assert colour == "rgb(11, 110, 110)"
    assert problems == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_each_of_the_pages(page: Page, shop: str, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.goto(shop)
    page.get_by_role("link", name="Pause your subscription").click()
    page.wait_for_url(re.compile(r"/pause\?token="))
    found = violations(page)
    page.get_by_label("Return on").fill(IN_TWO_MONTHS)
    page.get_by_role("button", name="Continue").click()
    found += violations(page)
    page.get_by_role("button", name="Pause my subscription").click()
    expect(page.get_by_role("status")).to_have_text("Your pause is set.")
    found += violations(page)
    page.get_by_role("button", name="Undo the pause").click()
    expect(page.get_by_role("status")).to_contain_text("Your pause has been undone.")
    assert found == []
