"""How late events arrive, and how late Stripe dates them: what the uncertainty of the clocks has to cover."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from shared.mirror.items import MirroredSubscription
from shared.stripe.events import REPEATED_FOR

# Above this, lags are rounded up to two digits, so that the counts stay few however long a lag is.
_EXACT_SECONDS = 100


@dataclass(frozen=True, slots=True)
class LagCounts:
    """How many subscriptions had a lag of so many seconds; above 100 it is rounded up to two digits."""

    counts: Mapping[int, int] = field(default_factory=dict)

    def plus(self, seconds: Iterable[int | None]) -> "LagCounts":
        """Count these too; `None` is not known, and a lag below zero is a clock that is behind."""
        return LagCounts(dict(Counter(self.counts) + Counter(_rounded(each) for each in seconds if each is not None)))

    @property
    def number(self) -> int:
        """Of how many subscriptions the lag is known."""
        return sum(self.counts.values())

    @property
    def largest(self) -> int:
        """The largest lag, in seconds; 0 if none is known."""
        return max(self.counts, default=0)

    def percentile(self, percent: int) -> int:
        """Return the seconds that so many percent of the lags are not above; 0 if none is known."""
        seen = 0
        for seconds, count in sorted(self.counts.items()):
            seen += count
            if seen * 100 >= self.number * percent:
                return seconds
        return 0


@dataclass(frozen=True, slots=True)
class EventLags:
    """Of the last event that was written for each subscription: how late it arrived after the time that Stripe gave it.

    What arrived when Stripe no longer repeats a delivery was sent again by hand: only `resent` counts it. `stamp`: of
    each subscription whose beginning was seen, how late after that Stripe dated the event that said so.
    """

    delivery: LagCounts = field(default_factory=LagCounts)
    stamp: LagCounts = field(default_factory=LagCounts)
    resent: int = 0

    def plus(self, items: Iterable[MirroredSubscription]) -> "EventLags":
        """Count what these items of the mirror know."""
        known = tuple(items)
        arrived = [item.delivery_lag for item in known if item.delivery_lag is not None]
        repeated = [seconds for seconds in arrived if seconds <= REPEATED_FOR.total_seconds()]
        return EventLags(
            self.delivery.plus(repeated),
            self.stamp.plus(item.stamp_lag for item in known),
            self.resent + len(arrived) - len(repeated),
        )


def _rounded(seconds: int) -> int:
    if seconds < _EXACT_SECONDS:
        return max(0, seconds)
    unit = int("1" + "0" * (len(str(seconds)) - 2))
    return -(-seconds // unit) * unit
