"""The tables of error codes in docs/reference, written from the catalogue: `make reference`."""

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from shared.errors import (
    CATALOGUE,
    ErrorEntry,
    Forbidden,
    InvalidRequest,
    OperatorError,
    Unauthenticated,
    Unavailable,
    UnreadableEvent,
)
from shared.http import level_of, status_of

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"
_TABLE = re.compile(r"(<!-- error codes: (.+?) -->\n)(.*?)(<!-- end of error codes -->)", re.DOTALL)
_LOG_SAYS_HOW = "the log says how, see [operations.md](operations.md#codes-in-the-log)"
_CALLERS = (InvalidRequest, Unauthenticated, Forbidden)


def _rows(entries: Iterable[ErrorEntry], row: Callable[[str, ErrorEntry], str]) -> list[str]:
    """One row for all codes that have everything but the code in common."""
    rows: dict[str, list[str]] = {}
    for entry in entries:
        rows.setdefault(row("{codes}", entry), []).append(f"`{entry.code}`")
    return [f"| {one.replace('{codes}', ', '.join(codes))} |" for one, codes in rows.items()]


def _of(*classes: type, portal_link: bool = False) -> list[ErrorEntry]:
    """The documented entries of these classes, class by class."""
    return [
        entry
        for error in classes
        for entry in CATALOGUE.values()
        if entry.error is error and entry.explanation and (entry.portal_link or not portal_link)
    ]


def _level(entry: ErrorEntry) -> str:
    return logging.getLevelName(level_of(entry.error))


def _metric(entry: ErrorEntry) -> str:
    return f"`{entry.metric}`" if entry.metric else ""


def tables() -> Mapping[str, list[str]]:
    """The lines of each table, by the name in its marker."""
    return {
        "portal link": [
            "| status | code | meaning |",
            "|---|---|---|",
            *_rows(_of(*_CALLERS, portal_link=True), lambda c, e: f"{status_of(e.error)} | {c} | {e.explanation}"),
            *_rows(
                _of(OperatorError, portal_link=True),
                lambda c, e: f"{status_of(e.error)} | {c} | only the operator can fix it; {_LOG_SAYS_HOW}",
            ),
            *_rows(
                _of(Unavailable, portal_link=True),
                lambda c, e: f"{status_of(e.error)} | {c} | Stripe or AWS did not answer: try again",
            ),
        ],
        "log": [
            "| code | level | what to do, or what happened | metric |",
            "|---|---|---|---|",
            *_rows(
                _of(OperatorError, Unavailable),
                lambda c, e: f"{c} | {_level(e)} | {e.explanation} | {_metric(e)}",
            ),
        ],
        "dead letters": [
            "| code | meaning |",
            "|---|---|",
            *_rows(_of(UnreadableEvent), lambda c, e: f"{c} | {e.explanation}"),
        ],
    }


def with_tables(text: str) -> str:
    """The page with every table between markers written anew."""
    every = {name: "\n".join(lines) for name, lines in tables().items()}
    return _TABLE.sub(lambda found: f"{found[1]}{every[found[2]]}\n{found[4]}", text)


def pages() -> list[Path]:
    """The pages that have such tables."""
    return [page for page in sorted(REFERENCE.glob("*.md")) if _TABLE.search(page.read_text())]


if __name__ == "__main__":
    for each in pages():
        each.write_text(with_tables(each.read_text()))
