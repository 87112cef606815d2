"""A real Chromium, and the whole stack for it to look at."""

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.end_to_end.stack_fixture import RunningStack

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# A busy machine is no failure of the code.
PATIENCE_MILLISECONDS = 60_000
expect.set_options(PATIENCE_MILLISECONDS)
ARGUMENTS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--no-sandbox",
]


def chromium_path() -> str | None:
    """The Chromium of this machine; `CHROMIUM` names another."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    path = chromium_path()
    if path is None:
        pytest.skip("no Chromium on this machine: install it, or name one in CHROMIUM")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="package")
def stack(browser: Browser) -> Iterator[RunningStack]:
    """`make dev` of today; started only where a browser can look at it."""
    assert browser.is_connected()
    running = RunningStack.start().wait_until_ready()
    yield running
    running.stop()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh tab; nothing here keeps cookies, so that a profile for each test would only take time."""
    # Animations would be painted all the time, without a graphics card.
    context = browser.contexts[0] if browser.contexts else browser.new_context(reduced_motion="reduce")
    context.set_default_timeout(PATIENCE_MILLISECONDS)
    tab = context.new_page()
    yield tab
    tab.close()
