"""Compares Stripe's subscriptions with the mirror, confirms each difference, and repairs it by the rule."""

from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import blake2b
from typing import Any, Protocol, TypeVar

from shared.errors import Unavailable, UnreadableEvent
from shared.mirror.drift import ComparisonCounts, Drift, DriftKind, Failure, differences, is_expired, is_newer, is_older
from shared.mirror.rule import Outcome
from shared.mirror.table import MirroredSubscription, SubscriptionTable
from shared.stripe.gateway import SubscriptionRead
from shared.stripe.lists import ListPage
from shared.stripe.pacing import RateLimit, Retries
from shared.stripe.subscription import read_subscription

# `Unavailable` with these codes concerns one subscription; with any other, nothing will work for now.
_CONCERNS_ONE = frozenset({"mirror_contended", "slow_read"})
# Numbers are sorted a chunk at a time: Python's own list of them is five times as large as an array.
CHUNK = 100_000
# Each costs a minute and more of retries. After so many in a row this comparison repairs nothing else.
MOST_SLOW = 3

_Result = TypeVar("_Result")


class Observer(Protocol):
    """What applies reads of Stripe to the table: `shared.mirror.rule.Mirror`."""

    def observe(self, found: SubscriptionRead) -> Outcome:
        """Apply what was read from Stripe without any event."""


def attempt(subject: str, act: Callable[[], _Result], retries: Retries) -> _Result | Failure:
    """Act, with retries, and return a `Failure` if only this subject is at fault.

    Raises `Unavailable` when Stripe or the table fail altogether: everything that follows would fail too.
    """
    try:
        return retries.of(act)
    except UnreadableEvent as error:
        return Failure(subject, error.code, error.message)
    except Unavailable as error:
        if error.code not in _CONCERNS_ONE:
            raise
        return Failure(subject, error.code, error.message)


def read_subscriptions(page: ListPage) -> list[SubscriptionRead | Failure]:
    """Read a page's subscriptions; each that cannot be read is a `Failure`."""
    return [_read_one(raw, page) for raw in page.data]


def _read_one(raw: Mapping[str, Any], page: ListPage) -> SubscriptionRead | Failure:
    try:
        return SubscriptionRead(read_subscription(raw), page.as_of, page.took)
    except UnreadableEvent as error:
        return Failure(str(raw.get("id")), error.code, error.message)


class SeenSubscriptions:
    """A set of (customer, subscription), each as 64 bits of a digest: of 10 million, two share one in 300,000 runs."""

    def __init__(self) -> None:
        self._fresh: set[int] = set()
        self._sorted: list[array[int]] = []

    def add(self, keys: Iterable[tuple[str, str]]) -> None:
        """Add keys, which may be in it already."""
        self._fresh.update(map(_digest, keys))
        if len(self._fresh) >= CHUNK:
            self._sort()

    def __contains__(self, key: tuple[str, str]) -> bool:
        """Whether it was listed."""
        wanted = _digest(key)
        if wanted in self._fresh:
            return True
        found = ((numbers, bisect_left(numbers, wanted)) for numbers in self._sorted)
        return any(index < len(numbers) and numbers[index] == wanted for numbers, index in found)

    def dump(self) -> bytes:
        """Return all of it, for `load` on any machine of this byte order."""
        self._sort()
        return b"".join(numbers.tobytes() for numbers in self._sorted)

    def load(self, dumped: bytes) -> None:
        """Add what another set dumped."""
        numbers: array[int] = array("Q")
        numbers.frombytes(dumped)
        for first in range(0, len(numbers), CHUNK):
            self._sorted.append(array("Q", sorted(numbers[first : first + CHUNK])))

    def _sort(self) -> None:
        if self._fresh:
            self._sorted.append(array("Q", sorted(self._fresh)))
            self._fresh = set()


def _digest(key: tuple[str, str]) -> int:
    return int.from_bytes(blake2b("\0".join(key).encode(), digest_size=8).digest())


@dataclass(frozen=True, slots=True)
class _Unconfirmed:
    """A difference, and when it was first seen (seconds of the rate limit's clock)."""

    found: SubscriptionRead
    seen_at: float


def key_of(found: SubscriptionRead) -> tuple[str, str]:
    """Return the table's key of what was read."""
    return found.subscription.customer_id, found.subscription.id


class Comparison:
    """One run: its unconfirmed differences, and the counts of what was found."""

    def __init__(  # noqa: PLR0913, PLR0917 - private, made in one place
        self,
        table: SubscriptionTable,
        mirror: Observer | None,
        read: Callable[[str], SubscriptionRead],
        now: float,
        retention: timedelta,
        uncertainty: timedelta,
        limit: RateLimit,
        seen: SeenSubscriptions,
    ) -> None:
        self.counts = ComparisonCounts()
        self.retries = Retries(limit)
        self._table, self._mirror, self._read, self._seen, self._limit = table, mirror, read, seen, limit
        self._now, self._retention, self._uncertainty = now, retention, uncertainty
        # In the order in which they were found; at most what is listed within the uncertainty.
        self._unconfirmed: deque[_Unconfirmed] = deque()
        self._slow = 0

    def compare_page(self, page: ListPage) -> None:
        """Compare a page of Stripe's list with the table."""
        read = []
        for each in read_subscriptions(page):
            if isinstance(each, Failure):
                self.counts.read += 1
                self.counts.fail(each)
            else:
                read.append(each)
        self.compare(read, self.retries.of(lambda: self._table.get_many(map(key_of, read))))

    def compare(self, read: Sequence[SubscriptionRead], held: Mapping[tuple[str, str], MirroredSubscription]) -> None:
        """Compare what Stripe listed with what the table has of it."""
        self.counts.read += len(read)
        self._seen.add(map(key_of, read))
        for found in read:
            self._compare_one(found, held.get(key_of(found)))
        self.confirm()

    def compare_mirrored(self, held: MirroredSubscription) -> bool:
        """Read from Stripe an item of the table that its list did not have; return whether that was so."""
        self.counts.mirrored += 1
        mine = held.subscription
        if not self.is_stray(held):
            return False
        found = self._read_one(mine.id)
        if found is None:
            self.counts.add(Drift(DriftKind.MISSING, mine.id, mine.customer_id))
        elif isinstance(found, Failure):
            self.counts.fail(found)
        elif found.subscription.customer_id != mine.customer_id:
            self.counts.add(Drift(DriftKind.OTHER_CUSTOMER, mine.id, mine.customer_id))
        else:
            self._compare_one(found, held)
        self.confirm()
        return True

    def is_stray(self, held: MirroredSubscription) -> bool:
        """Whether Stripe's list did not have it, although the mirror's state is from before the list."""
        return held.as_of < self._now and (held.subscription.customer_id, held.subscription.id) not in self._seen

    def confirm(self, *, wait: bool = False) -> None:
        """Confirm the differences that have waited long enough; with `wait`, wait for the others too."""
        while self._unconfirmed:
            left = self._unconfirmed[0].seen_at + self._uncertainty.total_seconds() - self._limit.seconds()
            if left > 0:
                if not wait:
                    return
                self._limit.sleep(left)
            else:
                self._confirm_one(self._unconfirmed.popleft().found)

    def _compare_one(self, found: SubscriptionRead, held: MirroredSubscription | None) -> None:
        if held is None:
            if is_expired(found.subscription, now=self._now, retention=self._retention):
                self.counts.expired += 1
                return
        elif not differences(held.subscription, found.subscription):
            return
        elif is_newer(held, found, uncertainty=self._uncertainty):
            self.counts.in_flight += 1
            return
        self._unconfirmed.append(_Unconfirmed(found, self._limit.seconds()))

    def _confirm_one(self, seen: SubscriptionRead) -> None:
        held, found = self._held(seen), seen
        if held and not is_older(held, found, uncertainty=self._uncertainty):
            # Written since, or too close in time to say which is newer.
            again = self._read_one(found.subscription.id)
            if not isinstance(again, SubscriptionRead):
                gone = Failure(found.subscription.id, "subscription_missing", "Deleted while comparing")
                self.counts.fail(again or gone)
                return
            found = again
        unlike = differences(held.subscription, found.subscription) if held else ()
        if held and not (unlike and is_older(held, found, uncertainty=self._uncertainty)):
            self.counts.in_flight += 1
            return
        kind = DriftKind.DIFFERENT if held else DriftKind.ABSENT
        drift = Drift(kind, found.subscription.id, found.subscription.customer_id, unlike)
        self.counts.add(drift, repaired=self._repair(found, held))

    def _repair(self, found: SubscriptionRead, held: MirroredSubscription | None) -> bool:
        if self._mirror is None:
            return False
        observe = self._mirror.observe
        outcome: Outcome | Failure = Failure(
            found.subscription.id, "slow_read", "Stripe was too slow for the repairs before"
        )
        if self._slow < MOST_SLOW:
            outcome = attempt(found.subscription.id, lambda: observe(found), self.retries)
            self._slow = self._slow + 1 if isinstance(outcome, Failure) and outcome.code == "slow_read" else 0
        if outcome is Outcome.STALE and held and held.subscription.ended and not found.subscription.ended:
            reason = "The mirror says that it ended, which no read overrides: delete the item, then repair"
            outcome = Failure(found.subscription.id, "ended_in_mirror", reason)
        if isinstance(outcome, Failure):
            self.counts.fail(outcome)
            return False
        return True

    def _held(self, found: SubscriptionRead) -> MirroredSubscription | None:
        wanted = found.subscription
        return self.retries.of(lambda: self._table.get(wanted.customer_id, wanted.id))

    def _read_one(self, subscription_id: str) -> SubscriptionRead | Failure | None:
        """Return `None` where Stripe has no such subscription."""
        try:
            return self.retries.of(lambda: self._read(subscription_id))
        except UnreadableEvent as error:
            if error.code == "subscription_missing":
                return None
            return Failure(subscription_id, error.code, error.message)
