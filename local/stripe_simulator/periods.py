"""Billing periods: calendar steps from the billing cycle anchor."""

import calendar
from datetime import UTC, datetime, timedelta

_DAYS = {"day": 1, "week": 7}
_MONTHS = {"month": 1, "year": 12}


def add_interval(moment: int, interval: str, count: int) -> int:
    """`count` intervals after a time; a month that is too short ends at its last day."""
    start = datetime.fromtimestamp(moment, UTC)
    if interval in _DAYS:
        return int((start + timedelta(days=_DAYS[interval] * count)).timestamp())
    months = start.year * 12 + start.month - 1 + _MONTHS[interval] * count
    year, month = divmod(months, 12)
    day = min(start.day, calendar.monthrange(year, month + 1)[1])
    return int(start.replace(year=year, month=month + 1, day=day).timestamp())


def period_at(anchor: int, interval: str, count: int, now: int) -> tuple[int, int]:
    """The period that holds `now`, counted from the anchor, forwards or backwards."""
    length = add_interval(anchor, interval, count) - anchor
    step = (now - anchor) // length
    while add_interval(anchor, interval, count * step) > now:
        step -= 1
    while add_interval(anchor, interval, count * (step + 1)) <= now:
        step += 1
    return add_interval(anchor, interval, count * step), add_interval(anchor, interval, count * (step + 1))
