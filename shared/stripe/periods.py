"""The billing periods of a subscription's item: when each began, counted back from the end of the present one."""

from calendar import monthrange
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count, takewhile

from shared.stripe.subscription import SubscriptionItem

_DAYS = {"day": 1, "week": 7}
_MONTHS = {"month": 1, "year": 12}


def period_ends(item: SubscriptionItem, *, after: int, anchor: int | None = None) -> Iterator[int]:
    """Return the ends of the item's periods later than `after`, the present one's first; Unix seconds.

    Periods are counted back by the item's present interval. `anchor` is the subscription's `billing_cycle_anchor`:
    its day is that of every month that has it (docs.stripe.com/billing/subscriptions/billing-cycle). Nothing for an
    item without a period, or with an interval that is not Stripe's.
    """
    if item.current_period_end is None:
        return iter(())
    end = datetime.fromtimestamp(item.current_period_end, UTC)
    if item.interval in _DAYS:
        days = timedelta(days=_DAYS[item.interval] * item.interval_count)
        ends = (end - days * number for number in count())
    elif item.interval in _MONTHS:
        day = max(end.day, datetime.fromtimestamp(anchor, UTC).day) if anchor is not None else end.day
        ends = (_months_before(end, _MONTHS[item.interval] * item.interval_count * number, day) for number in count())
    else:
        return iter(())
    return takewhile(lambda each: each > after, (int(each.timestamp()) for each in ends))


def _months_before(end: datetime, months: int, day: int) -> datetime:
    if not months:
        return end
    year, month = divmod(end.year * 12 + end.month - 1 - months, 12)
    return end.replace(year=year, month=month + 1, day=min(day, monthrange(year, month + 1)[1]))
