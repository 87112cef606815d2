"""How the page and the mails look: the company's name and colours, and the templates."""

from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from shared.i18n import Message, say

if TYPE_CHECKING:
    from jinja2 import Environment


@dataclass(frozen=True, slots=True)
class Brand:
    """How the page and the mails look: `colour` is `#rrggbb`, `logo_url` and `home_url` are `https` addresses."""

    name: str
    colour: str = "#0b6e6e"
    logo_url: str | None = None
    home_url: str | None = None

    @property
    def on_colour(self) -> str:
        """Black or white, whichever can be read on the colour: one of them has 4.5 to 1 on any (WCAG 2.2, 1.4.3)."""
        return "#000000" if _luminance(self.colour) > _MIDDLE else "#ffffff"


# Where black and white have the same contrast: (x + 0.05) / 0.05 = 1.05 / (x + 0.05).
_MIDDLE = 0.179


def _luminance(colour: str) -> float:
    """Return the relative luminance of `#rrggbb` (WCAG 2.2, "relative luminance")."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)  # noqa: PLR2004 - WCAG's own constants
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@cache
def pages() -> "Environment":
    """Return the templates of the page and the mails."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415 - programs need no page

    loader = FileSystemLoader(Path(__file__).parent)
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def shown(language: str, value: Message | date) -> str:
    """Return a value as people write it, for the templates."""
    return say(value, language)
