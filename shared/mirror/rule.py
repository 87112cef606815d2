"""The rule that keeps the mirror true in every order of arrival (docs/explanation/mirror.md has its reasons)."""

from collections.abc import Callable
from datetime import timedelta
from enum import StrEnum

from shared.errors import Unavailable
from shared.mirror.table import MirroredSubscription, WritableTable, Write
from shared.stripe.events import SubscriptionEvent
from shared.stripe.gateway import SubscriptionRead
from shared.stripe.subscription import Subscription

ATTEMPTS = 5


class Outcome(StrEnum):
    """What became of a state that was applied to the mirror."""

    APPLIED = "applied"
    STALE = "stale"
    DUPLICATE = "duplicate"
    UNCHANGED = "unchanged"


class Mirror:
    """Brings states into the table so that it ends as Stripe is, in whatever order and however often they come."""

    def __init__(
        self,
        table: WritableTable,
        read: Callable[[str], SubscriptionRead],
        *,
        uncertainty: timedelta,
        retention: timedelta,
    ) -> None:
        self._table = table
        self._read = read
        self._uncertainty = int(uncertainty.total_seconds())
        self._retention = int(retention.total_seconds())

    def apply(self, event: SubscriptionEvent, *, now: float) -> Outcome:
        """Bring in the snapshot of an event.

        `now` is our own clock: an event ahead of it has a time that cannot be trusted to order anything. Raises
        `Unavailable` when nothing was written and the event has to come again.
        """
        return self._bring(event, event.created if event.created <= now else None)

    def apply_notification(self, event_id: str, created: int, subscription_id: str) -> Outcome:
        """Bring in what Stripe has now, because an event without a snapshot (a thin event) said that it changed."""
        found = self._read_in_time(subscription_id)
        return self._bring(SubscriptionEvent(event_id, created, found.subscription), found.as_of)

    def observe(self, found: SubscriptionRead) -> Outcome:
        """Bring in what was read from Stripe without any event; a read that took too long is done again."""
        if found.took > self._longest_read:
            found = self._read_in_time(found.subscription.id)
        return self._bring(SubscriptionEvent(None, found.as_of, found.subscription), found.as_of)

    def _bring(self, event: SubscriptionEvent, as_of: int | None) -> Outcome:
        """`as_of`: when the event's state was Stripe's; `None` when that is not known."""
        if as_of is None:
            old = self._table.get(event.subscription.customer_id, event.subscription.id)
        else:
            write = self._write(event.subscription, as_of, event, None)
            old = self._table.put_if_older(write, than=as_of - self._uncertainty)
            if old is None:
                return Outcome.APPLIED
        for _ in range(ATTEMPTS):
            if old and (settled := self._settled(event, old)):
                return settled
            old = self._write_what_stripe_has(event, old)
            if old is None:
                return Outcome.APPLIED
        raise Unavailable("mirror_contended", f"{event.subscription.id} changed {ATTEMPTS} times while it was read")

    def _settled(self, event: SubscriptionEvent, old: MirroredSubscription) -> Outcome | None:
        """What can be said without asking Stripe."""
        if event.id is None and old.subscription == event.subscription:
            return Outcome.UNCHANGED
        if event.id is not None and old.event_id == event.id:
            return Outcome.DUPLICATE
        if old.subscription.ended != event.subscription.ended:
            return Outcome.STALE if old.subscription.ended else None
        return Outcome.STALE if old.as_of > event.created + self._uncertainty else None

    def _write_what_stripe_has(
        self,
        event: SubscriptionEvent,
        old: MirroredSubscription | None,
    ) -> MirroredSubscription | None:
        """The order is not known: ask Stripe, and write its answer if nobody wrote meanwhile."""
        found = self._read_in_time(event.subscription.id)
        as_of = max(found.as_of, old.as_of) if old else found.as_of
        return self._table.put_if_unchanged(self._write(found.subscription, as_of, event, old), old)

    @property
    def _longest_read(self) -> int:
        """Beyond this a read's own time is no better known than an event's: its state may be older than its `Date`.

        A second less than the uncertainty, because `Date` is in whole seconds.
        """
        return max(0, self._uncertainty - 1)

    def _read_in_time(self, subscription_id: str) -> SubscriptionRead:
        found = self._read(subscription_id)
        if found.took > self._longest_read:
            raise Unavailable(
                "slow_read", f"Stripe took {found.took:.1f} s to answer, too long to tell its state's time"
            )
        return found

    def _write(
        self,
        subscription: Subscription,
        as_of: int,
        event: SubscriptionEvent,
        old: MirroredSubscription | None,
    ) -> Write:
        """`paused_since`: Stripe's own time for a real pause; else the event that began it; else as it stood.

        An event whose order against the item is not known never moves the beginning of a pause to a later time.
        """
        paused_since = subscription.paused_at
        if paused_since is None and event.starts_pause:
            paused_since = event.created
            if old and old.paused_since is not None and old.subscription.pause_kind == subscription.pause_kind:
                paused_since = min(paused_since, old.paused_since)
        ended_at = (subscription.ended_at or as_of) if subscription.ended else None
        return Write(
            subscription,
            as_of,
            event.id,
            paused_since,
            None if ended_at is None else ended_at + self._retention,
        )
