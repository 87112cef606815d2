"""Days and time zones as people type them."""

from datetime import date, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from shared.errors import InvalidRequest


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
    """Answer noon of a day in a time zone. Raises `InvalidRequest`."""
    return datetime.combine(day(text), datetime.min.time(), timezone).replace(hour=12)
