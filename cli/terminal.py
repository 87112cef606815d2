"""Days and time zones as people type them."""

import re
from datetime import date, datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from shared.errors import InvalidRequest
from shared.stripe.pacing import MOST_PER_SECOND


def zone(name: str) -> ZoneInfo:
    """Read the name of a time zone. Raises `InvalidRequest`."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise InvalidRequest("bad_timezone", f"{name!r} is not a time zone: write one like Europe/Paris") from error


def day(text: str) -> date:
    """Read a day. Raises `InvalidRequest`."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise InvalidRequest("bad_date", f"{text!r} is not a day: write YYYY-MM-DD") from error


def noon(text: str, timezone: ZoneInfo) -> datetime:
    """Return noon of a day in a time zone. Raises `InvalidRequest`."""
    return datetime.combine(day(text), datetime.min.time(), timezone).replace(hour=12)


_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def duration(text: str) -> timedelta:
    """Read a whole number and a unit. Raises `InvalidRequest`."""
    match = re.fullmatch(r"(\d{1,6})([smhd])", text.strip(), re.ASCII)
    if not match:
        raise InvalidRequest("bad_duration", f"{text!r} is not a span of time: write 15m, 2h or 7d")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


Rate = Annotated[
    float,
    typer.Option("--requests-per-second", min=0.1, max=MOST_PER_SECOND, help="At most so many requests to Stripe."),
]


def printable(text: str) -> str:
    r"""Return one line in which every character can be seen: an escape becomes `\x1b`, a line's end `\n`."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
