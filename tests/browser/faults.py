"""What axe finds wrong with a page (WCAG and best practices)."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

# What passes or is uncertain would be described element by element, which takes most of the time.
_VIOLATIONS_ONLY = {"resultTypes": ["violations"]}


def violations(page: Page) -> list[str]:
    """Each rule that is broken, with the first place."""
    found = Axe().run(page, options=_VIOLATIONS_ONLY).response["violations"]
    return [f"{one['id']}: {one['nodes'][0]['html'][:100]}" for one in found]
