"""Billing periods: calendar steps from the billing cycle anchor of a subscription."""

import calendar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from local.stripe_simulator.store import StripeObject

_DAYS = {"day": 1, "week": 7}

_MONTHS = {"month": 1, "year": 12}


def set_period(item: StripeObject, subscription: StripeObject, now: int) -> None:
    """Set the current period: the trial while it lasts, else counted from the anchor."""
    if subscription["trial_end"] and now < subscription["trial_end"]:
        period = Period(subscription["trial_start"], subscription["trial_end"])
    else:
        recurring = item["price"]["recurring"]
        anchor = subscription["billing_cycle_anchor"]
        period = period_at(anchor, recurring["interval"], recurring["interval_count"], now)
    item["current_period_start"], item["current_period_end"] = period.start, period.end


def period_end(subscription: StripeObject) -> int:
    """Return the earliest end of a current period among the items."""
    return min(int(item["current_period_end"]) for item in subscription["items"]["data"])


@dataclass(frozen=True)
class Period:
    """A billing period, in Unix seconds; `end` is the start of the next one."""

    start: int
    end: int


def period_at(anchor: int, interval: str, count: int, now: int) -> Period:
    """Return the period that contains `now`, counted from the anchor, forwards or backwards."""
    length = add_interval(anchor, interval, count) - anchor
    step = (now - anchor) // length
    while add_interval(anchor, interval, count * step) > now:
        step -= 1
    while add_interval(anchor, interval, count * (step + 1)) <= now:
        step += 1
    return Period(add_interval(anchor, interval, count * step), add_interval(anchor, interval, count * (step + 1)))


def add_interval(moment: int, interval: str, count: int) -> int:
    """Return the time `count` intervals later; in a month that is too short, its last day."""
    start = datetime.fromtimestamp(moment, UTC)
    if interval in _DAYS:
        return int((start + timedelta(days=_DAYS[interval] * count)).timestamp())
    months = start.year * 12 + start.month - 1 + _MONTHS[interval] * count
    year, month = divmod(months, 12)
    day = min(start.day, calendar.monthrange(year, month + 1)[1])
    return int(start.replace(year=year, month=month + 1, day=day).timestamp())
