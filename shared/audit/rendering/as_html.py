"""The report as a page for a browser, and as the text and the HTML of a mail, in a light and a dark scheme."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from textwrap import fill

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

from shared.audit.rendering.page import SHOWN_ROWS, Medium, ReportPage, page_of
from shared.audit.rendering.subjects import Subject
from shared.audit.report import ReportView


@dataclass(frozen=True, slots=True)
class ColourScheme:
    """Colours as CSS has them; text of every kind stands on `card` and on `box`."""

    page: str
    card: str
    box: str
    rule: str
    text: str
    muted: str
    link: str
    critical: str
    warning: str
    info: str
    bar: str
    tonight: str
    gap: str


# A client that inverts colours by itself leaves the bars as they are: they have to be seen on black, too.
LIGHT = ColourScheme(
    page="#eef1f4",
    card="#ffffff",
    box="#f1f4f8",
    rule="#d9dfe5",
    text="#1d2733",
    muted="#52606d",
    link="#1a56a8",
    critical="#b3261e",
    warning="#8a5a00",
    info="#3b5b7a",
    bar="#7d8b99",
    tonight="#2f78d0",
    gap="#e3e8ed",
)
DARK = ColourScheme(
    page="#0f1317",
    card="#1b2127",
    box="#262e36",
    rule="#38424c",
    text="#e7ebef",
    muted="#a9b4bf",
    link="#8fbaf7",
    critical="#ff8f86",
    warning="#f0b64c",
    info="#9cc2e6",
    bar="#8a97a4",
    tonight="#8fbaf7",
    gap="#2b333b",
)

# What the mail opens with, by how it stands: the same in both schemes, under `ON_BAND`.
BANDS = {"alarm": "#b3261e", "attention": "#7a5000", "good": "#1e6b45"}
ON_BAND = "#ffffff"


# Gmail cuts a message off at 102 KB of HTML. A mail with more than fits shows fewer rows.
LARGEST_HTML = 100_000
FEWER_ROWS = (SHOWN_ROWS, 80, 60, 50, 40, 30, 20, 10, 5, 1)
# A file is cut off nowhere; this keeps it a page that a browser opens.
ROWS_OF_A_FILE = 5000
WIDTH = 78


def to_html(edition: ReportView) -> str:
    """Render a page that stands alone, for a browser."""
    return _html(page_of(edition, Medium.FILE, ROWS_OF_A_FILE))


def mail_bodies(edition: ReportView, medium: Medium) -> tuple[str, str]:
    """Render the text and the HTML of a mail; both show the same rows, as many as `LARGEST_HTML` bytes allow."""
    for rows in FEWER_ROWS:
        page = page_of(edition, medium, rows)
        html = _html(page)
        if len(html.encode()) <= LARGEST_HTML:
            break
    return _templates().get_template("report.txt.j2").render(page=page), html


def _html(page: ReportPage) -> str:
    colours = {"light": LIGHT, "dark": DARK, "bands": BANDS, "on_band": ON_BAND}
    return _templates().get_template("report.html.j2").render(page=page, **colours)


def _wrap(words: str, indent: str = "") -> str:
    """Break lines for a reader of plain text; an address or an id stays whole."""
    return fill(
        words,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


_CODE = re.compile("`([^`]+)`")


def _code(words: str) -> Markup:
    """What stands between backticks is code, for a reader who is no programmer to pass over."""
    style = "font-size:12px;word-break:break-word"
    return Markup(_CODE.sub(rf'<code style="{style}">\1</code>', str(escape(words))))  # noqa: S704 - it is escaped


def _plain(words: str) -> str:
    """Plain text has no other sign for code than quotation marks."""
    return _CODE.sub(r'"\1"', words)


def _line(subject: Subject) -> str:
    return f"{subject.name} <{subject.email}>" if subject.email else subject.name


def _blocks(eighths: int | None) -> str:
    """One night of the trend: a block of a height, a line for none, or a dot for a night without an audit."""
    return "\u00b7" if eighths is None else "_\u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"[eighths]


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(enabled_extensions=("html.j2",), default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["wrap"] = _wrap
    environment.filters["blocks"] = _blocks
    environment.filters["code"] = _code
    environment.filters["plain"] = _plain
    environment.filters["line"] = _line
    return environment
