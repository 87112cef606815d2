"""The hosted portal, the demo's explanations and the portal of other days, as people see and press them."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.end_to_end.stack_fixture import RunningStack, customer_page, links_of, row_of

PHONE = {"width": 390, "height": 844}
Open = Callable[[str], Page]


@pytest.fixture
def portal(page: Page, stack: RunningStack) -> Open:
    """Open a person's portal by the link that the demo made for them."""

    def opened(name: str) -> Page:
        page.goto(stack.url + links_of(row_of(stack, name))[0])
        return page

    return opened


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Mia Andersson", "It has several products."),
        ("Oliver Smith", "It has usage-based prices."),
        ("Carlos Gómez", "It is paid by invoice"),
        ("Aisha Khan", "does not support (klarna)"),
        ("Grace Osei", "tax_behavior of its price is unspecified"),
    ],
)
def test_who_can_only_cancel_is_told_why(portal: Open, name: str, words: str) -> None:
    page = portal(name)
    pauses = name != "Carlos Gómez"
    lead = "You cannot change this subscription here:" if pauses else "You can only cancel this subscription here:"
    expect(page.get_by_text(lead)).to_be_visible()
    expect(page.get_by_role("button", name="Pause subscription")).to_have_count(int(pauses))
    expect(page.get_by_text(words)).to_be_visible()
    expect(page.get_by_role("button", name="Cancel subscription")).to_be_visible()
    expect(page.get_by_role("button", name="Update subscription")).to_have_count(0)


def test_a_scheduled_update_leaves_no_button(portal: Open) -> None:
    page = portal("Pavel Novák")
    expect(page.get_by_text("You can neither change nor cancel this subscription here:")).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("subscription"))).to_have_count(0)


def test_a_real_pause_is_chosen_told_of_and_ended(portal: Open) -> None:
    page = portal("Amélie Laurent")
    page.get_by_label("Pause for").select_option("2 months")
    page.get_by_role("button", name="Pause subscription").click()
    expect(page.get_by_role("status")).to_contain_text("Your subscription has been paused.")
    expect(page.get_by_text("You are not billed, and your service is stopped.")).to_be_visible()
    page.get_by_role("button", name="Resume subscription").click()
    expect(page.get_by_role("button", name="Pause subscription")).to_be_visible()


def test_the_last_payment_method_goes_only_after_another_came(portal: Open) -> None:
    page = portal("Emma Johansson")
    expect(page.get_by_text("It is the only payment method")).to_be_visible()
    expect(page.get_by_role("button", name="Remove")).to_have_count(0)
    page.get_by_label("Card number").fill("5555 5555 5555 4444")
    page.get_by_role("button", name="Add payment method").click()
    expect(page.get_by_text("It is the only payment method")).to_have_count(0)
    visa = page.get_by_role("listitem").filter(has_text="visa")
    visa.get_by_role("button", name="Remove").click()
    expect(page.get_by_text("It is the only payment method")).to_be_visible()
    expect(page.get_by_role("listitem").filter(has_text="mastercard")).to_be_visible()


def test_the_demo_explains_in_both_languages_and_shows_the_portal_of_each_age(page: Page, stack: RunningStack) -> None:
    page.goto(customer_page(stack, "Jonas Weber"))
    page.get_by_role("link", name="What the portal allows").click()
    expect(page.get_by_text("Since 1 August 2024 customers cannot resume")).to_be_visible()
    page.get_by_role("link", name="Français").click()
    expect(page.get_by_text("Depuis le 1er août 2024, les")).to_be_visible()
    page.get_by_role("link", name="15 juillet 2024").click()
    expect(page.get_by_text("Preview of this portal as of 15 July 2024")).to_be_visible()
    expect(page.get_by_role("button", name="Resume plan")).to_be_disabled()
    page.get_by_role("link", name="Back to today").click()
    expect(page.get_by_role("button", name="Resume plan")).to_have_count(0)


@pytest.mark.parametrize("name", ["Jonas Weber", "Pavel Novák", "Hugo Martin", "Aisha Khan"])
def test_nothing_is_wider_than_a_phone(portal: Open, stack: RunningStack, name: str) -> None:
    page = portal(name)
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]  # a plain dict
    explained = re.search(r'href="(/customers/[^"]+/subscriptions/[^"]+)"', row_of(stack, name))
    assert explained
    for url in (page.url, stack.url, customer_page(stack, name), f"{stack.url}{explained[1]}?language=fr"):
        page.goto(url)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], url
        for control in page.locator("select, input, button").all():
            box = control.bounding_box()
            assert box is None or box["x"] + box["width"] <= PHONE["width"], control
