"""What earlier nights found, so that a report can say what changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class PastNight:
    """The sums of one night's report; `totals` is as in `Report`: by currency, in its smallest unit, a month."""

    night: date
    complete: bool
    subscriptions_paused: int
    customers_served_free: int
    totals: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class Change:
    """How the list of paused subscriptions differs from that of the night `since`.

    `new` and `gone` are the first few subscription ids, the worst and the largest amounts first.
    """

    since: date
    new: tuple[str, ...] = ()
    new_count: int = 0
    gone: tuple[str, ...] = ()
    gone_count: int = 0
