"""The billing periods of a subscription, counted back from the present one, and until when it was paid."""

from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count, takewhile

from shared.stripe.subscription import Subscription, SubscriptionItem

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


def renewals(item: SubscriptionItem, *, anchor: int | None = None) -> Iterator[int]:
    """Return the ends of the item's present period and of those that follow it, without end; Unix seconds.

    `anchor` as in `period_ends`. Nothing for an item without a period, or with an interval that is not Stripe's.
    """
    if item.current_period_end is None or item.interval_count < 1:
        return iter(())
    end = datetime.fromtimestamp(item.current_period_end, UTC)
    if item.interval in _DAYS:
        days = timedelta(days=_DAYS[item.interval] * item.interval_count)
        return (int((end + days * number).timestamp()) for number in count())
    if item.interval in _MONTHS:
        day = max(end.day, datetime.fromtimestamp(anchor, UTC).day) if anchor is not None else end.day
        months = _MONTHS[item.interval] * item.interval_count
        return (int(_months_before(end, -months * number, day).timestamp()) for number in count())
    return iter(())


def _months_before(end: datetime, months: int, day: int) -> datetime:
    if not months:
        return end
    year, month = divmod(end.year * 12 + end.month - 1 - months, 12)
    return end.replace(year=year, month=month + 1, day=min(day, monthrange(year, month + 1)[1]))


def next_invoice_at(subscription: Subscription) -> int | None:
    """Return the Unix second of the next invoice; `None` if that is not known.

    Stripe invoices at the end of a period, of the items whose period ends first, and at the end of a trial.
    """
    if subscription.status == "trialing" and subscription.trial_end is not None:
        return subscription.trial_end
    ends = [item.current_period_end for item in subscription.items if item.current_period_end is not None]
    return min(ends, default=subscription.current_period_end)


@dataclass(frozen=True, slots=True)
class PaidUntil:
    """When the time that was paid before a pause ended, or will end (Unix seconds).

    It is not before `earliest` and not after `latest`; `None` is unknown.
    """

    earliest: int | None
    latest: int | None


def paid_until(
    subscription: Subscription, paid_through: int | None, since: int, *, exact: bool, anchor: int | None = None
) -> PaidUntil:
    """Tell until when a subscription with paused collection was paid.

    As `period_paid_before`, but a `past_due` subscription has an unpaid invoice of the time before the pause: nothing
    says how long it was paid.
    """
    paid = period_paid_before(subscription, paid_through, since, exact=exact, anchor=anchor)
    return PaidUntil(None, paid.latest) if subscription.status == "past_due" else paid


def period_paid_before(
    subscription: Subscription, paid_through: int | None, since: int, *, exact: bool, anchor: int | None = None
) -> PaidUntil:
    """Return the end of the period in which collection was paused, whether or not its invoice was paid.

    The pause began at `since`, or earlier unless `exact`, and not before the subscription was created. `paid_through`:
    the end of the last period that was seen before the pause, if there is one; of an exact pause that is the answer.
    Otherwise it is counted back from today's period.
    """
    earliest: int | None
    latest: int | None
    if exact and paid_through is not None:
        earliest = latest = paid_through
    else:
        latest = _end_after(subscription, since, anchor)
        if exact:
            earliest = latest
        elif paid_through is not None:
            earliest = paid_through
        else:
            earliest = None if subscription.created is None else _end_after(subscription, subscription.created, anchor)
    return PaidUntil(earliest, latest)


def _end_after(subscription: Subscription, moment: int, anchor: int | None) -> int | None:
    """Return the first end of a period after a moment; of items with different periods, of the one that ends last."""
    items = [item for item in subscription.items if item.current_period_end is not None]
    if not items:
        return None
    item = max(items, key=lambda each: each.current_period_end or 0)
    trial = subscription.trial_end
    return min(
        period_ends(item, after=moment if trial is None else max(moment, trial - 1), anchor=anchor), default=None
    )
