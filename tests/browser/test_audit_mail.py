"""The audit's mail on a phone and on a desk, in both color schemes: nothing is cut off, and nothing is unreadable."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from shared.audit.rendering.as_html import mail_bodies
from shared.audit.rendering.page import Medium
from shared.audit.report import ReportView
from shared.i18n import languages
from tests.mail_samples import samples

PHONE, DESK = 390, 1000
# The contrast of each text with what is behind it, as WCAG 2 reckons it; the lowest of all.
LOWEST_CONTRAST = """() => {
  const channels = (color) => color.match(/[0-9.]+/g).map(Number)
  const luminance = (color) => {
    const linear = channels(color).slice(0, 3).map((each) => {
      const share = each / 255
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4
    })
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
  }
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const color = getComputedStyle(each).backgroundColor
      if (channels(color)[3] !== 0) return color
    }
    return "rgb(255, 255, 255)"
  }
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  let lowest = 21
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement
    if (!walker.currentNode.data.trim() || !element.getClientRects().length) continue
    const [light, dark] = [getComputedStyle(element).color, behind(element)].map(luminance).sort((a, b) => b - a)
    lowest = Math.min(lowest, (light + 0.05) / (dark + 0.05))
  }
  return lowest
}"""


@pytest.fixture(params=[(width, scheme) for width in (PHONE, DESK) for scheme in ("light", "dark")])
def screen(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    width, scheme = request.param
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
    yield context.new_page()
    context.close()


def test_the_mail_fits_and_can_be_read(screen: Page) -> None:
    width = screen.viewport_size["width"] if screen.viewport_size else 0
    for name in ("one", "twelve", "warning", "long_ids"):
        report, before, change, link = samples()[name]
        for language in languages():
            view = ReportView(report, language, before, change, link)
            screen.set_content(mail_bodies(view, Medium.MAIL_WITH_LIST)[1])
            assert screen.evaluate("document.documentElement.scrollWidth") == width, (name, language)
            assert screen.evaluate(LOWEST_CONTRAST) >= 4.5, (name, language)
            if report.paused:
                assert screen.locator(".pauses .columns").is_visible() == (width == DESK)
                box = screen.locator(".pauses .last a").first.bounding_box()
                # A finger needs more room than a mouse; an id that is none of Stripe's has no button.
                assert box
                assert box["height"] >= (32 if width == PHONE else 20)
