"""What people type and read in a terminal: days, time zones, durations, request rates, and text safe to print."""

import csv
import json
import re
import sys
from collections.abc import Container, Iterable, Mapping, Sequence
from contextvars import ContextVar
from datetime import UTC, date, datetime, timedelta, tzinfo
from enum import IntEnum
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer
from rich.markup import escape

from shared.audit.rendering.as_csv import safe_cell
from shared.errors import InvalidRequest, sentence
from shared.i18n import (
    ENGLISH,
    NARROW_NO_BREAK_SPACE,
    NO_BREAK_SPACE,
    Message,
    MissingCatalogueError,
    _,
    languages,
)
from shared.stripe.pacing import MOST_PER_SECOND


def check_customer_id(text: str) -> None:
    """Raise `InvalidRequest` for an argument that cannot be the id of a Stripe customer."""
    if not re.fullmatch(r"cus_\w+", text, re.ASCII):
        raise InvalidRequest(
            "bad_customer", sentence("{text} is not a Stripe customer id: write one like cus_123", text=repr(text))
        )


def check_subscription_id(text: str) -> None:
    """Raise `InvalidRequest` for an argument that cannot be the id of a Stripe subscription."""
    if not is_subscription_id(text):
        raise InvalidRequest(
            "no_subscription",
            sentence("{subscription} is not a subscription: write one like sub_123", subscription=repr(text)),
        )


def is_subscription_id(text: str) -> bool:
    """Whether this can be a subscription's id: some do not begin with `sub_`, and a customer's is a likely mistake."""
    return re.fullmatch(r"\w{1,255}", text, re.ASCII) is not None and not text.startswith("cus_")


def zone(name: str) -> ZoneInfo:
    """Parse the name of a time zone. Raises `InvalidRequest`."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise InvalidRequest(
            "bad_timezone", sentence("{name} is not a time zone: write one like Europe/Paris", name=repr(name))
        ) from error


def day(text: str) -> date:
    """Parse a date. Raises `InvalidRequest`."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise InvalidRequest("bad_date", sentence("{text} is not a date: write YYYY-MM-DD", text=repr(text))) from error


def noon(text: str, timezone: ZoneInfo) -> datetime:
    """Parse a date and return its noon in a time zone. Raises `InvalidRequest`."""
    return datetime.combine(day(text), datetime.min.time(), timezone).replace(hour=12)


def utc_time(seconds: float) -> str:
    """Return a time, given in Unix seconds, as people read it."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def duration(text: str) -> timedelta:
    """Parse a whole number followed by s, m, h or d. Raises `InvalidRequest`."""
    match = re.fullmatch(r"(\d{1,6})([smhd])", text.strip(), re.ASCII)
    if not match:
        raise InvalidRequest("bad_duration", sentence("{text} is not a duration: write 15m, 2h or 7d", text=repr(text)))
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


class ExitCode(IntEnum):
    """The exit codes of every command; 0 is success."""

    FOUND = 1  # the command did its work and found something, or something failed on the way
    USAGE = 2  # a wrong option or argument, or one that does not fit the deployment
    DIFFERENCE = 3  # `portal plan`: there is something to apply
    UNREACHABLE = 4  # AWS or Stripe could not be reached, or did not permit it
    INTERRUPTED = 130  # Ctrl-C
    PIPE_CLOSED = 141  # whoever read the output has closed it: `portal audit | head -1`


Form = Literal["text", "json"]
RowsForm = Literal["text", "json", "csv"]
Format = Annotated[Form, typer.Option("--format", help="Output format.")]
RowsFormat = Annotated[RowsForm, typer.Option("--format", help="Output format.")]
# Of the JSON of every command. It changes when a field changes its meaning or goes away; new fields may come any time.
JSON_VERSION = 1


def print_json(**fields: Any) -> None:
    """Write one JSON object, as every command does with `--format json`."""
    sys.stdout.write(json.dumps({"version": JSON_VERSION, **fields}, indent=2) + "\n")


def print_csv(
    columns: Sequence[str],
    rows: Iterable[Mapping[str, Any]],
    *,
    times: Container[str] = (),
    timezone: tzinfo = UTC,
) -> None:
    """Write these columns with a header, as every command does with `--format csv`; `None` is an empty cell.

    Those in `times` are Unix seconds, and written as ISO 8601 in the time zone. Cells that a spreadsheet would take for
    a formula are masked.
    """

    def cell(name: str, value: Any) -> str:
        if value is None:
            return ""
        if name in times:
            return datetime.fromtimestamp(value, timezone).isoformat()
        return safe_cell(str(value).lower() if isinstance(value, bool) else str(value))

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([cell(name, row[name]) for name in columns] for row in rows)


Rate = Annotated[
    float,
    typer.Option("--requests-per-second", min=0.1, max=MOST_PER_SECOND, help="Upper limit for requests to Stripe."),
]


# The language of errors, which are printed after the command has ended.
LANGUAGE: ContextVar[str] = ContextVar("LANGUAGE", default=ENGLISH)


def _known_language(value: str | None) -> str | None:
    if value is not None and value not in languages():
        raise typer.BadParameter(f"{value!r} is not one of {', '.join(languages())}")
    try:
        _("yes").say(value or ENGLISH)
    except MissingCatalogueError as error:  # before anything is done that could not be told
        raise typer.BadParameter(str(error)) from error
    LANGUAGE.set(value or ENGLISH)
    return value


def language_option(help: str) -> Any:  # noqa: A002 - as Typer calls it
    """Return an option that takes the languages that there is a catalogue of."""
    return typer.Option(
        "--language",
        help=help,
        metavar=f"[{'|'.join(languages())}]",
        callback=_known_language,
        is_eager=True,  # so that what is wrong with another option is said in it
        autocompletion=languages,
    )


Language = Annotated[str, language_option("Language of the output.")]


def ask(question: Message, language: str) -> str:
    """Ask on standard error, and return the answer without spaces around it. Raises `typer.Abort` where there is none.

    Typer's own prompt writes a space to standard output, which is data's alone.
    """
    sys.stderr.write(f"{printable(question.say(language))} ")
    sys.stderr.flush()
    try:
        answer = sys.stdin.readline()
    except KeyboardInterrupt:
        answer = ""
    if not answer:
        sys.stderr.write("\n")
        raise typer.Abort
    return answer.strip()


def confirmed(question: Message, language: str) -> bool:
    """Ask a question on standard error; what is no clear yes is a no."""
    said = ask(_("{question} [y/N]:", question=question), language)
    return said.lower() in {"y", "yes", _("y").say(language), _("yes").say(language)}


_HARMLESS_SPACES = (NO_BREAK_SPACE, NARROW_NO_BREAK_SPACE)


def printable(text: str) -> str:
    r"""Escape every unprintable character, so that text from others cannot steer the terminal: `\x1b`, `\n`.

    The no-break spaces of French stay as they are: they move nothing and hide nothing.
    """
    return "".join(
        each if each.isprintable() or each in _HARMLESS_SPACES else each.encode("unicode_escape").decode()
        for each in text
    )


def literal(text: str) -> str:
    """Return text from others for Rich: it steers no terminal, and none of it is taken for markup."""
    return escape(printable(text))
