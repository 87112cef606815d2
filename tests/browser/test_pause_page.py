"""The page for pauses in a browser: without scripts, on a narrow screen, by keyboard, and under its own policy."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, cast

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from functions.pause.caller import Caller
from functions.pause.look import Brand
from functions.pause.page import PausePages, Visit
from functions.pause.portal_pause import PortalPause
from shared.i18n import _ as message
from shared.pausing.at_stripe import AtStripe
from shared.pausing.operations import PauseView, PauseViews
from shared.pausing.policy import NOT_OFFERED, PausePolicy, PauseRefusal
from shared.portal.configuration import PauseOption
from shared.stripe.subscription import read_subscription
from tests.browser.faults import violations
from tests.end_to_end.stack_fixture import RunningStack, customer_page
from tests.raw_subscription import raw_subscription

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


def paused_page(page: Page, shop: str) -> str:
    """Pause by the page, and return the address that the mail before the end links to, without its last words."""
    page.goto(shop)
    page.get_by_role("link", name="Pause your subscription").click()
    page.get_by_label("Return on").fill(IN_TWO_MONTHS)
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("button", name="Pause my subscription").click()
    expect(page.get_by_role("status")).to_have_text("Your pause is set.")
    subscription = page.locator("input[name=subscription]").first.get_attribute("value")
    return page.url.replace("&done=pause", "") + "&{link}=" + str(subscription)


def test_the_links_of_the_notice_work_without_scripts_on_a_narrow_screen(phone: Page, shop: str) -> None:
    address = paused_page(phone, shop)
    phone.goto(address.format(link="extend"))
    expect(phone.get_by_role("heading", level=1)).to_have_text("Change the date of return?")
    phone.get_by_role("link", name="Back, without a change").click()
    expect(phone.get_by_text("This subscription is going to be paused.")).to_be_visible()
    phone.goto(address.format(link="extend"))
    phone.get_by_role("button", name="Change the date").click()
    expect(phone.get_by_role("status")).to_have_text("The date of return has been changed.")
    phone.goto(address.format(link="cancel"))
    expect(phone.get_by_role("heading", level=1)).to_have_text("Cancel this subscription?")
    phone.get_by_role("button", name="Undo the pause").click()
    phone.get_by_role("link", name="Cancel the subscription").click()
    # Stripe's own page: nothing is canceled before it is confirmed there.
    phone.wait_for_url(re.compile("/p/session/"))
    expect(phone.get_by_role("button", name=re.compile("Cancel"))).to_be_visible()


def test_the_links_of_the_notice_are_used_by_keyboard_and_pass_axe(page: Page, shop: str) -> None:
    page.set_viewport_size({"width": 320, "height": 640})
    address = paused_page(page, shop)
    found = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        for link in ("extend", "cancel"):
            page.goto(address.format(link=link))
            found += violations(page)
            assert page.evaluate("document.documentElement.scrollWidth") <= 320
    page.goto(address.format(link="extend"))
    reached = []
    for _ in range(3):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.textContent.trim()"))
    assert "Change the date" in reached
    assert "Back, without a change" in reached
    page.get_by_role("button", name="Change the date").press("Enter")
    expect(page.get_by_role("status")).to_have_text("The date of return has been changed.")
    page.goto(address.format(link="cancel"))
    page.get_by_role("button", name="Undo the pause").press("Enter")
    expect(page.get_by_role("link", name="Cancel the subscription")).to_be_visible()
    found += violations(page)
    assert found == []


class PortalOnly:
    """A company that leaves pauses to the portal, as far as the page asks."""

    timezone = UTC

    def clock(self) -> float:
        return datetime(2027, 2, 1, tzinfo=UTC).timestamp()

    def views(self, customer: str, _policy: PausePolicy, *, only: str | None) -> PauseViews:
        assert only is None
        end = int(datetime(2027, 3, 1, tzinfo=UTC).timestamp())
        subscription = read_subscription(raw_subscription(1, customer=customer, current_period_end=end))
        at = AtStripe(subscription, None, None, waits_for_payment=False, latest_invoice=None)
        refusal = PauseRefusal(NOT_OFFERED, message("Pauses are not offered for your subscription."))
        return PauseViews([PauseView(at, None, refusals=(refusal,))])

    def offers(self, _caller: Caller, views: list[PauseView]) -> dict[str, PortalPause]:
        lengths = tuple(PauseOption(interval="month", interval_count=count) for count in (1, 3))
        return {view.at.subscription.id: PortalPause("https://api.example/portal?token=t", lengths) for view in views}


@pytest.mark.parametrize("language", ["en", "fr"])
def test_the_portals_own_pause_is_one_link(browser: Browser, language: str) -> None:
    company = cast("Any", PortalOnly())
    pages = PausePages(company, Brand("Northwind"), cast("Any", None), company)
    shown = pages.show(Visit("t", Caller("cus_1", PausePolicy()), language))
    context = browser.new_context(viewport={"width": 320, "height": 640})

    def answer(html: str, route: Route) -> None:
        policy = {"content-security-policy": shown.policy} if html else {}
        route.fulfill(body=html, content_type="text/html; charset=utf-8", headers=policy)

    context.route("https://api.example/pause*", partial(answer, shown.html))
    context.route("https://api.example/portal*", partial(answer, ""))
    page = context.new_page()
    page.goto("https://api.example/pause?token=t")
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    assert violations(page) == []
    page.keyboard.press("Tab")
    words = {"en": "Pause in the customer portal", "fr": "Mettre en pause dans le portail client"}[language]
    assert page.evaluate("document.activeElement.textContent.trim()") == words
    page.keyboard.press("Enter")
    page.wait_for_url("https://api.example/portal?token=t")
    context.close()


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
