"""Makes the pictures of README.md from the demo's story: `make screenshots`, which needs Chromium."""

import re
import sys
from pathlib import Path

from playwright.sync_api import Page, ViewportSize, sync_playwright

from tests.browser.conftest import ARGUMENTS, chromium_path
from tests.end_to_end.stack_fixture import RunningStack

PICTURES = Path(__file__).parents[2] / "docs" / "story"
_SIZE: ViewportSize = {"width": 900, "height": 620}


def main() -> int:
    """Play the story on a stack of its own; return 1 where there is no Chromium."""
    path = chromium_path()
    if path is None:
        sys.stderr.write("No Chromium on this machine: install it, or name one in CHROMIUM.\n")
        return 1
    PICTURES.mkdir(exist_ok=True)
    stack = RunningStack.start().wait_until_ready()
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
            page = browser.new_page(viewport=_SIZE, color_scheme="light")
            page.set_default_timeout(60_000)
            _play(page, stack)
            browser.close()
    finally:
        stack.stop()
    return 0


def _play(page: Page, stack: RunningStack) -> None:
    page.goto(f"{stack.url}/story")
    page.get_by_role("button", name="Begin in March 2024").click()
    page.get_by_role("link", name="Open Rosa's portal").click()
    page.screenshot(path=PICTURES / "1-old-button.png")
    page.get_by_role("button", name="Pause plan").click()
    page.get_by_role("link", name=re.compile("^Return to")).click()
    page.get_by_role("button", name="Jump to 1 August 2024").click()
    page.get_by_role("button", name="Run the nightly audit", exact=True).click()
    page.locator(".present a").wait_for()
    page.goto(f"{stack.url}/outbox/1/html")
    page.screenshot(path=PICTURES / "2-audit-mail.png")
    page.goto(f"{stack.url}/story")
    page.get_by_role("button", name="Resume Rosa's payments").click()
    page.get_by_role("button", name="Jump to today").click()
    page.get_by_role("link", name="Open Amélie's portal").click()
    page.get_by_role("button", name="Pause subscription").click()
    page.get_by_role("link", name=re.compile("^Return to")).click()
    page.get_by_role("link", name="See the shop as Amélie does").click()
    page.locator("#members").get_by_text("Locked.").wait_for()
    page.screenshot(path=PICTURES / "3-closed-door.png")


if __name__ == "__main__":
    sys.exit(main())
