"""The demo's pages and the control room's switches, in a real browser: also by keyboard, on a phone, in the dark."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Literal

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from local.site.switches import SWITCHES
from tests.browser.faults import violations
from tests.end_to_end.stack_fixture import SETTLES_SOON, RunningStack, customer_page, get, simulator

ALL_IN_SYNC = re.compile(r"^(\d+) of \1 in sync$")
NOT_ALL_IN_SYNC = re.compile(r"^(?!(\d+) of \1 )\d+ of \d+ in sync$")
MOST_TABS = 300


@pytest.fixture(scope="module")
def stack(browser: Browser) -> Iterator[RunningStack]:
    """A stack of its own: these tests move its clock and disturb it."""
    assert browser.is_connected()
    running = RunningStack.start(*SETTLES_SOON).wait_until_ready()
    yield running
    running.stop()


@pytest.fixture
def stays_here(page: Page) -> Iterator[None]:
    """No request of the page leaves this machine."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    yield
    assert asked
    assert not [url for url in asked if not url.startswith(("http://127.0.0.1:", "data:"))]


def room(page: Page, stack: RunningStack) -> Page:
    page.goto(f"{stack.url}/room")
    expect(page.get_by_text("Live: rows light up")).to_be_visible()
    return page


def change(page: Page, stack: RunningStack, subscription: str, values: dict[str, str | float | bool]) -> None:
    """Change a subscription at Stripe, behind the page's back."""
    answer = page.request.post(
        f"http://127.0.0.1:{stack.ports[1]}/v1/subscriptions/{subscription}",
        form=values,
        headers={"Authorization": "Bearer sk_test_local"},
    )
    assert answer.ok, answer.text()


def is_green(page: Page) -> None:
    expect(page.locator("#room-counter strong")).to_have_text(ALL_IN_SYNC)


def tab_to(page: Page, target: Locator) -> None:
    """Press Tab until it has the focus, which can be seen."""
    target.wait_for()
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        if target.evaluate("one => one === document.activeElement"):
            break
    expect(target).to_be_focused()
    assert target.evaluate("one => getComputedStyle(one).outlineStyle") != "none"


Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
# Each page in each scheme is looked at while a switch is tried: that takes seconds anyway, and it is then at its worst.
LOOKS = [*product(("/", "/customers/...", "/story", "/room"), SCHEMES), ("/deliveries", SCHEMES[1])]
HEALING = [each.label for each in SWITCHES if each.heals_itself]


@pytest.mark.parametrize(("switch", "look"), list(zip(HEALING, LOOKS, strict=True)))
@pytest.mark.usefixtures("stays_here")
def test_each_switch_heals_and_says_so_while_no_page_is_cut_off_on_a_phone_or_offends_axe(
    page: Page, stack: RunningStack, switch: str, look: tuple[str, Scheme]
) -> None:
    path, scheme = look
    url = customer_page(stack, "Jonas Weber") if path == "/customers/..." else f"{stack.url}{path}"
    room(page, stack).get_by_role("button", name=f"Try it {switch}").click()
    expect(page.locator("#room-trial")).to_contain_text(switch)
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    answer = page.goto(url)
    assert answer
    assert answer.ok
    for width in (320, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert not violations(page)
    room(page, stack)
    expect(page.locator("#room-trial")).to_contain_text(f"{switch}. All ")
    expect(page.locator("#room-trial")).to_contain_text("What healed it:")
    is_green(page)


def test_a_lost_event_turns_its_row_red_and_the_keyboard_repairs_it(page: Page, stack: RunningStack) -> None:
    """From the first key to the repair without a mouse; the row lights up while one looks, without a reload."""
    room(page, stack)
    page.get_by_role("button", name="Leave on Drop").press("Enter")
    expect(page.get_by_role("button", name="Turn off Drop")).to_be_visible()
    name = page.locator("#room-rows th code").first.inner_text()
    customer = page.locator(f"#sub-{name} th a").get_attribute("href")
    other = page.context.new_page()
    other.goto(f"{stack.url}{customer}")
    other.get_by_role("button", name=re.compile("(Pause|Resume) collection")).first.press("Enter")
    other.close()
    expect(page.locator(f"#sub-{name}")).to_contain_text("no")
    expect(page.locator(f"#sub-{name}")).to_have_class("changed")
    page.get_by_role("button", name="Turn off Drop").press("Enter")
    page.get_by_role("button", name="Reconcile").press("Enter")
    expect(page.locator("#room-trial")).to_contain_text("portal reconcile --repair ended with 0")
    is_green(page)


@pytest.mark.usefixtures("stays_here")
def test_a_new_quantity_lights_its_row_up_and_both_sides_name_it(page: Page, stack: RunningStack) -> None:
    row = room(page, stack).locator("#room-rows tr").first
    name = str(row.get_attribute("id")).removeprefix("sub-")
    (found,) = [one for one in simulator(stack, "subscriptions")["data"] if one["id"] == name]
    item = found["items"]["data"][0]
    change(page, stack, name, {"items[0][id]": item["id"], "items[0][quantity]": str(item["quantity"] + 1)})
    expect(row).to_have_class("changed")
    for side in ("Stripe", "Mirror"):
        cell = row.locator(f"[data-label={side}]")
        expect(cell).to_contain_text(f"{item['quantity'] + 1} x ")
        expect(cell).to_contain_text("last change: quantity")
    is_green(page)


@pytest.mark.usefixtures("stays_here")
def test_what_is_dropped_stays_red_until_a_button_repairs_it(page: Page, stack: RunningStack) -> None:
    assert [each.label for each in SWITCHES if not each.heals_itself] == ["Drop"]
    room(page, stack).get_by_role("button", name="Try it Drop").click()
    expect(page.locator("#room-trial")).to_contain_text("What heals it: Reconcile")
    expect(page.locator("#room-counter strong")).to_have_text(NOT_ALL_IN_SYNC)
    page.get_by_role("button", name="Replay").click()
    expect(page.locator("#room-trial")).to_contain_text("portal replay --apply ended with 0")
    is_green(page)


@pytest.mark.usefixtures("stays_here")
def test_the_audit_runs_and_the_mirror_is_filled_at_the_press_of_a_button(page: Page, stack: RunningStack) -> None:
    outbox = room(page, stack).locator("#room-beside li", has_text="Outbox").locator("strong")
    mails = int(outbox.inner_text())
    page.get_by_role("button", name="Run the audit", exact=True).click()
    expect(page.locator("#room-trial")).to_contain_text("The audit has run. Its mail is in the outbox.")
    expect(outbox).to_have_text(str(mails + 1))
    page.get_by_role("button", name="Backfill", exact=True).click()
    expect(page.locator("#room-trial")).to_contain_text("portal backfill ended with 0")
    is_green(page)


@pytest.mark.usefixtures("stays_here")
def test_from_the_home_page_a_customer_is_paused_and_resumed_without_a_mouse(page: Page, stack: RunningStack) -> None:
    page.goto(stack.url)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('main') !== null")
    tab_to(page, page.get_by_role("link", name="Oliver Smith", exact=True))
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_label("Pause collection:"))
    page.keyboard.type("keep")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=2).first).to_contain_text("active, collection paused")
    # Whether it also ends, the switches of other tests decide.
    expect(page.get_by_text("Invoices kept as drafts, without an end")).to_be_visible()
    tab_to(page, page.get_by_role("button", name="Resume collection"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Pause collection")).to_be_visible()
    expect(page.get_by_text("collection paused")).to_have_count(0)


@pytest.mark.usefixtures("stays_here")
def test_the_clock_goes_a_day_forward_without_a_mouse(page: Page, stack: RunningStack) -> None:
    before = datetime.fromisoformat(room(page, stack).locator("header time").inner_text())
    tab_to(page, page.get_by_role("button", name="A day forward"))
    page.keyboard.press("Enter")
    expect(page.locator("header time")).to_contain_text((before + timedelta(days=1)).date().isoformat())
    is_green(page)


def test_the_first_tab_skips_to_the_content_and_focus_stays_where_it_is(page: Page, stack: RunningStack) -> None:
    room(page, stack)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    row = page.locator("#room-rows tr").first
    link = row.get_by_role("link").first
    link.focus()
    name = str(row.get_attribute("id")).removeprefix("sub-")
    # Whatever the tests before it have left there, this changes what the row says.
    behavior = "void" if "kept as drafts" in row.inner_text() else "keep_as_draft"
    change(page, stack, name, {"pause_collection[behavior]": behavior})
    expect(row).to_have_class("changed")
    expect(link).to_be_focused()


def test_without_a_script_the_page_shows_the_same(browser: Browser, stack: RunningStack) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{stack.url}/room")
    expect(page.locator("#room-rows tr").first).to_be_visible()
    is_green(page)
    expect(page.get_by_text("reload it for the next")).to_be_visible()
    context.close()


# The last: it travels.
@pytest.mark.usefixtures("stays_here")
def test_the_story_leads_through_the_leak_and_both_pauses(page: Page, stack: RunningStack) -> None:
    """It begins without a mouse, and while a thousand events are on their way, which are forgotten."""
    room(page, stack).get_by_role("button", name="Burst of 1,000 events").click()
    expect(page.locator("#room-trial")).to_contain_text("of 1,000 changes made.")
    page.goto(f"{stack.url}/story")
    tab_to(page, page.get_by_role("button", name="Begin in March 2024"))
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Open Rosa's portal").click()
    page.get_by_role("button", name="Pause plan").click()
    page.get_by_role("link", name=re.compile("^Return to")).click()
    page.get_by_role("button", name="Jump to 1 August 2024").click()
    page.get_by_role("button", name="Run the nightly audit", exact=True).click()
    expect(page.locator(".present a")).to_have_attribute("href", "/outbox/1")
    assert "Rosa Keller" in get(f"{stack.url}/outbox/1").text
    assert not violations(page)
    page.get_by_role("button", name="Resume Rosa's payments").click()
    page.get_by_role("button", name="Jump to today").click()
    page.get_by_role("link", name="Open Amélie's portal").click()
    page.get_by_role("button", name="Pause subscription").click()
    page.get_by_role("link", name=re.compile("^Return to")).click()
    page.get_by_role("link", name="See the shop as Amélie does").click()
    expect(page.locator("#members")).to_contain_text("Locked.")
    page.goto(f"{stack.url}/story")
    page.get_by_role("button", name="Go on to the other pause").click()
    page.get_by_role("link", name="Open Grace's page for pauses").click()
    page.get_by_label("Return on").fill((datetime.now(UTC) + timedelta(days=75)).date().isoformat())
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("button", name="Pause my subscription").click()
    page.get_by_role("link", name="Northwind").click()
    page.get_by_role("link", name="Story").click()
    expect(page.locator(".present")).to_contain_text("Your pause begins on ")
    page.get_by_role("button", name="Jump to the end of Grace's paid period").click()
    page.get_by_role("link", name="See the shop as Grace does").click()
    expect(page.locator("#members")).to_contain_text("Locked.")
    page.goto(f"{stack.url}/story")
    page.get_by_role("button", name="Jump to three days before Grace's return").click()
    expect(page.locator(".present")).to_contain_text("Your subscription returns on ")
    assert not violations(page)
    page.get_by_role("button", name="Jump to Grace's return").click()
    page.get_by_role("link", name="See the shop as Grace does").click()
    expect(page.locator("#members")).to_contain_text("Open.")
    room(page, stack)
    is_green(page)
