"""Spans of time as people type them: 15m, 2h, 7d."""

import re
from datetime import timedelta

from shared.errors import InvalidRequest

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def duration(text: str) -> timedelta:
    """Read a whole number and a unit. Raises `InvalidRequest`."""
    match = re.fullmatch(r"(\d{1,6})([smhd])", text.strip(), re.ASCII)
    if not match:
        raise InvalidRequest("bad_duration", f"{text!r} is not a span of time: write 15m, 2h or 7d")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})
