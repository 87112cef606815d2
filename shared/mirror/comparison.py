"""Compares Stripe's subscriptions with the mirror, confirms each difference, and repairs it by the rule."""

from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from hashlib import blake2b
from typing import Any, Protocol, TypeVar

from shared.errors import Unavailable, UnreadableEvent
from shared.mirror.drift import ComparisonCounts, Difference, Drift, DriftKind, Failure, differences, is_expired
from shared.mirror.items import MirroredSubscription
from shared.mirror.rule import Outcome
from shared.mirror.table import SubscriptionTable
from shared.stripe.lists import ListPage
from shared.stripe.pacing import RateLimit, Retries
from shared.stripe.subscription import read_subscription
from shared.stripe.subscription_read import LIST_LAG, SubscriptionRead

# `Unavailable` with these codes concerns one subscription; with any other, nothing will work for now.
_CONCERNS_ONE = frozenset({"mirror_contended", "unsettled"})
# Numbers are sorted a chunk at a time: Python's own list of them is five times as large as an array.
CHUNK = 100_000
# Confirmed and repaired side by side: fewer than the connections that boto3 keeps.
WORKERS = 8
BATCH = 1000

_Result = TypeVar("_Result")


class Observer(Protocol):
    """What applies reads of Stripe to the table: `shared.mirror.rule.Mirror`."""

    def observe(self, found: SubscriptionRead, *, is_fresh: bool = False) -> Outcome:
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
        return SubscriptionRead(read_subscription(raw), page.as_of, page.took, LIST_LAG)
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
class _Confirmed:
    """What a second look found: a drift, if there still is one, and what became of its repair."""

    drift: Drift | None
    outcome: Outcome | Failure | None = None


@dataclass(frozen=True, slots=True)
class _Unconfirmed:
    """A difference, and when it was first seen (seconds of the rate limit's clock)."""

    found: SubscriptionRead
    is_absent: bool
    seen_at: float


def key_of(found: SubscriptionRead) -> tuple[str, str]:
    """Return the table's key of what was read."""
    return found.subscription.customer_id, found.subscription.id


def _drift(kind: DriftKind, found: SubscriptionRead, unlike: tuple[Difference, ...] = ()) -> Drift:
    return Drift(kind, found.subscription.id, found.subscription.customer_id, unlike)


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
        while due := self._due():
            with ThreadPoolExecutor(min(WORKERS, len(due))) as pool:
                for confirmed in pool.map(self._confirm_one, due):
                    self._count(confirmed)
        if wait and self._unconfirmed:
            self._limit.sleep(self._seconds_left())
            self.confirm(wait=True)

    def _due(self) -> list[_Unconfirmed]:
        """Take the differences that have waited long enough, a batch of them."""
        due: list[_Unconfirmed] = []
        while self._unconfirmed and len(due) < BATCH and self._seconds_left() <= 0:
            due.append(self._unconfirmed.popleft())
        return due

    def _seconds_left(self) -> float:
        return self._unconfirmed[0].seen_at + self._uncertainty.total_seconds() - self._limit.seconds()

    def _compare_one(self, found: SubscriptionRead, held: MirroredSubscription | None) -> None:
        if held is None:
            if is_expired(found.subscription, now=self._now, retention=self._retention):
                self.counts.expired += 1
                return
        elif not differences(held.subscription, found.subscription):
            return
        elif held.as_of > found.as_of:
            # Written since the list was read.
            self.counts.in_flight += 1
            return
        self._unconfirmed.append(_Unconfirmed(found, held is None, self._limit.seconds()))

    def _confirm_one(self, difference: _Unconfirmed) -> _Confirmed:
        """Look at a difference again. A list may lag: where the mirror has something, Stripe is read once more.

        What was absent is written without another look: the write is refused if something is there by now.
        """
        listed = difference.found
        if difference.is_absent and self._mirror:
            return _Confirmed(_drift(DriftKind.ABSENT, listed), self._repair(listed, is_fresh=False))
        held = self._held(listed)
        if held is None:
            return _Confirmed(_drift(DriftKind.ABSENT, listed), self._repair(listed, is_fresh=False))
        fresh = self._read_one(listed.subscription.id)
        if not isinstance(fresh, SubscriptionRead):
            gone = Failure(listed.subscription.id, "subscription_missing", "Deleted while comparing")
            return _Confirmed(None, fresh or gone)
        unlike = differences(held.subscription, fresh.subscription)
        if not unlike or held.settling is not None or held.as_of >= fresh.certain_as_of:
            return _Confirmed(None)
        if held.subscription.ended and not fresh.subscription.ended:
            reason = "The mirror says that it ended, which no read overrides: delete the item, then repair"
            ended = Failure(fresh.subscription.id, "ended_in_mirror", reason) if self._mirror else None
            return _Confirmed(_drift(DriftKind.DIFFERENT, fresh, unlike), ended)
        return _Confirmed(_drift(DriftKind.DIFFERENT, fresh, unlike), self._repair(fresh, is_fresh=True))

    def _repair(self, found: SubscriptionRead, *, is_fresh: bool) -> Outcome | Failure | None:
        if self._mirror is None:
            return None
        observe = self._mirror.observe
        return attempt(found.subscription.id, lambda: observe(found, is_fresh=is_fresh), self.retries)

    def _count(self, confirmed: _Confirmed) -> None:
        drift, outcome = confirmed.drift, confirmed.outcome
        if isinstance(outcome, Failure):
            self.counts.fail(outcome)
        if drift and outcome not in {Outcome.UNCHANGED, Outcome.STALE}:
            self.counts.add(drift, repaired=outcome is Outcome.APPLIED)
        elif not isinstance(outcome, Failure):
            self.counts.in_flight += 1

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
