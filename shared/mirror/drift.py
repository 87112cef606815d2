"""How the mirror and Stripe can differ about a subscription, and the counts of a comparison."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import timedelta
from enum import StrEnum
from typing import Any

from shared.stripe.subscription import Subscription

MOST_RECORDS = 1000


class DriftKind(StrEnum):
    """In which way they differ; the last two are for people to judge, and are never repaired."""

    ABSENT = "absent_in_mirror"
    DIFFERENT = "different"
    MISSING = "missing_at_stripe"
    OTHER_CUSTOMER = "other_customer_at_stripe"


@dataclass(frozen=True, slots=True)
class Difference:
    """One field, such as `status` or `items.si_1.quantity`, in the mirror and at Stripe."""

    field: str
    mirror: Any
    stripe: Any


@dataclass(frozen=True, slots=True)
class Drift:
    """One subscription; `differences` are empty where one side has nothing to compare with."""

    kind: DriftKind
    subscription_id: str
    customer_id: str
    differences: tuple[Difference, ...] = ()
    repaired: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """Why one subscription or event failed; the reason names fields, never their values."""

    subject: str
    code: str
    reason: str


def differences(mirror: Subscription, stripe: Subscription) -> tuple[Difference, ...]:
    """Compare field by field; items are matched by their ids, in whatever order they are listed."""
    if mirror == stripe:
        return ()
    old, new = dict(_flat(mirror)), dict(_flat(stripe))
    names = [*old, *(name for name in new if name not in old)]
    return tuple(Difference(name, old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name))


def is_expired(subscription: Subscription, *, now: float, retention: timedelta) -> bool:
    """Whether it ended so long ago that the mirror no longer keeps it; `now` in Unix seconds."""
    ended_at = subscription.ended_at
    return subscription.ended and ended_at is not None and ended_at + retention.total_seconds() <= now


def _flat(subscription: Subscription) -> Iterator[tuple[str, Any]]:
    for attribute in filter(lambda each: each.compare, fields(subscription)):
        value = getattr(subscription, attribute.name)
        match attribute.name:
            case "items":
                for item in value:
                    yield from ((f"items.{item.id}.{name}", each) for name, each in asdict(item).items())
            case "pause_collection" if value is not None:
                yield from ((f"pause_collection.{name}", each) for name, each in asdict(value).items())
            case "pause_collection":
                continue
            case name:
                yield name, value


@dataclass(frozen=True, slots=True)
class ComparisonResult:
    """Counts are of all; `drifts` and `failures` hold the first 1,000 each.

    `read`: subscriptions that Stripe listed. `mirrored`: items of the table. `in_flight`: differences that went away,
    or are too recent to judge. `expired`: ended so long ago that the mirror does not keep them.
    """

    read: int = 0
    mirrored: int = 0
    in_flight: int = 0
    expired: int = 0
    found: Mapping[DriftKind, int] = field(default_factory=dict)
    repaired: int = 0
    failed: int = 0
    drifts: tuple[Drift, ...] = ()
    failures: tuple[Failure, ...] = ()

    @property
    def drifted(self) -> int:
        """How many subscriptions drifted, repaired or not."""
        return sum(self.found.values())

    @property
    def is_whole(self) -> bool:
        """Whether mirror and Stripe agree now, as far as is known."""
        return self.drifted == self.repaired and not self.failed


class ComparisonCounts:
    """Counts while a comparison runs."""

    def __init__(self) -> None:
        self.read = self.mirrored = self.in_flight = self.expired = 0
        self._repaired = self._failed = 0
        self._found: Counter[DriftKind] = Counter()
        self._drifts: list[Drift] = []
        self._failures: list[Failure] = []

    def add(self, drift: Drift, *, repaired: bool = False) -> None:
        """Count a drift."""
        self._found[drift.kind] += 1
        self._repaired += repaired
        if len(self._drifts) < MOST_RECORDS:
            self._drifts.append(replace(drift, repaired=repaired))

    def fail(self, failure: Failure) -> None:
        """Count a failure."""
        self._failed += 1
        if len(self._failures) < MOST_RECORDS:
            self._failures.append(failure)

    def result(self) -> ComparisonResult:
        """Return what is known so far."""
        return ComparisonResult(
            self.read,
            self.mirrored,
            self.in_flight,
            self.expired,
            dict(self._found),
            self._repaired,
            self._failed,
            tuple(self._drifts),
            tuple(self._failures),
        )
