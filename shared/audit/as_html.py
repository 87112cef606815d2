"""The report as a page of HTML for mail clients and browsers, and as plain text beside it."""

from functools import cache
from pathlib import Path
from textwrap import fill

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from shared.audit.edition import Edition
from shared.audit.page import SHOWN_ROWS, Medium, Page, page_of
from shared.audit.palette import BANDS, DARK, LIGHT, ON_BAND
from shared.audit.report import Report
from shared.audit.text import Language

# Gmail cuts a message off at 102 KB of HTML. A mail with more than fits shows fewer rows.
LARGEST_HTML = 100_000
FEWER_ROWS = (SHOWN_ROWS, 50, 20, 5, 1)
# A file is cut off nowhere; this keeps it a page that a browser opens.
ROWS_OF_A_FILE = 5000
WIDTH = 78


def to_html(report: Report, language: Language = "en") -> str:
    """Render a page that stands alone, for a browser."""
    return _html(page_of(Edition(report, language), Medium.FILE, ROWS_OF_A_FILE))


def mail_bodies(edition: Edition, medium: Medium) -> tuple[str, str]:
    """Render the text and the HTML of a mail; both show the same rows, as many as `LARGEST_HTML` bytes allow."""
    for rows in FEWER_ROWS:
        page = page_of(edition, medium, rows)
        html = _html(page)
        if len(html.encode()) <= LARGEST_HTML:
            break
    return _templates().get_template("report.txt.j2").render(page=page), html


def _html(page: Page) -> str:
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
    return environment
