"""The visitor's page can be read: enough contrast in both colour schemes, and text in both languages for every code."""

import re

import pytest

from shared.errors import Forbidden, InvalidRequest, OperatorError, PortalError, Unauthenticated, Unavailable
from shared.i18n import languages
from shared.visitor_page import Visitor, visitor_page

ERRORS = [
    Unauthenticated("expired_token", "m"),
    Unauthenticated("bad_token", "m"),
    InvalidRequest("flow_refused", "m"),
    Forbidden("no_customer", "m"),
    Forbidden("several_customers", "m"),
    OperatorError("wrong_mode", "m"),
    Unavailable("stripe_unavailable", "m"),
]


def luminance(colour: str) -> float:
    """WCAG 2.2's relative luminance of `#rgb` or `#rrggbb`."""
    digits = colour[1:] if len(colour) == 7 else "".join(digit * 2 for digit in colour[1:])
    red, green, blue = (int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4))
    channels = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in (red, green, blue))
    return sum(weight * channel for weight, channel in zip((0.2126, 0.7152, 0.0722), channels, strict=True))


def test_every_colour_can_be_read_on_its_ground() -> None:
    page = visitor_page(ERRORS[0], Visitor(None, has_token=True, reference="1"))
    schemes = re.findall(r":root \{([^}]*--ground[^}]*)\}", page)
    assert len(schemes) == 2
    for scheme in schemes:
        colours = dict(re.findall(r"--(\w+): (#\w+)", scheme))
        ground = luminance(colours.pop("ground"))
        assert sorted(colours) == ["ink", "link", "quiet"]
        for name, colour in colours.items():
            lighter, darker = sorted((ground, luminance(colour)), reverse=True)
            assert (lighter + 0.05) / (darker + 0.05) >= 4.5, name


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.code)
def test_both_languages_say_something_of_their_own(error: PortalError) -> None:
    pages = {
        language: visitor_page(error, Visitor(language, has_token=True, reference="1")).split("</style>")[1]
        for language in languages()
    }
    titles = {language: re.findall(r"<h1>(.+)</h1>", page)[0] for language, page in pages.items()}
    assert titles["en"] != titles["fr"]
    for language, page in pages.items():
        assert titles[language] in page
        assert error.code not in page
    # Printed French: no plain space before a colon, no typewriter's apostrophe.
    assert not re.search(r" :|\w'\w|&#x27;", pages["fr"])
