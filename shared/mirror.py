"""The rule that keeps the mirror true in every order of arrival (docs/mirror.md has its reasons)."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Literal

from shared.errors import Unavailable
from shared.mirror_item import MirroredSubscription, Write
from shared.mirror_table import MirrorTable
from shared.stripe_gateway import SubscriptionRead
from shared.subscription import Subscription

ATTEMPTS = 5


class Outcome(StrEnum):
    """What became of an event about a subscription."""

    APPLIED = "applied"
    STALE = "stale"
    DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True)
class SubscriptionEvent:
    """An event with the snapshot that it carries; `created` is Stripe's clock in Unix seconds."""

    id: str
    created: int
    subscription: Subscription
    starts_pause: bool = False


class Mirror:
    """Applies events to the table so that it ends as Stripe is, in whatever order and however often they come."""

    def __init__(
        self,
        table: MirrorTable,
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
        """Bring the event into the table.

        `now` is our own clock: an event ahead of it has a time that cannot be trusted to order anything. Raises
        `Unavailable` when nothing was written and the event has to come again.
        """
        if event.created <= now:
            write = self._write(event.subscription, event.created, event, None)
            old = self._table.put_if_older(write, than=event.created - self._uncertainty)
            if old is None:
                return Outcome.APPLIED
        else:
            old = self._table.get(event.subscription.customer_id, event.subscription.id)
        for _ in range(ATTEMPTS):
            if old and (settled := self._settled(event, old)):
                return settled
            old = self._write_what_stripe_has(event, old)
            if old is None:
                return Outcome.APPLIED
        raise Unavailable("mirror_contended", f"{event.subscription.id} changed {ATTEMPTS} times while it was read")

    def _settled(
        self,
        event: SubscriptionEvent,
        old: MirroredSubscription,
    ) -> Literal[Outcome.DUPLICATE, Outcome.STALE] | None:
        if old.event_id == event.id:
            return Outcome.DUPLICATE
        if old.subscription.ended and not event.subscription.ended:
            return Outcome.STALE
        return Outcome.STALE if old.as_of > event.created + self._uncertainty else None

    def _write_what_stripe_has(
        self,
        event: SubscriptionEvent,
        old: MirroredSubscription | None,
    ) -> MirroredSubscription | None:
        """The order is not known: ask Stripe, and write its answer if nobody wrote meanwhile."""
        found = self._read(event.subscription.id)
        as_of = max(found.as_of, old.as_of) if old else found.as_of
        return self._table.put_if_unchanged(self._write(found.subscription, as_of, event, old), old)

    def _write(
        self,
        subscription: Subscription,
        as_of: int,
        event: SubscriptionEvent,
        old: MirroredSubscription | None,
    ) -> Write:
        """`paused_since`: Stripe's own time for a real pause; else the event that began it; else as it stood."""
        paused_since = subscription.paused_at
        if paused_since is None and event.starts_pause:
            paused_since = event.created
        if old and old.paused_since is not None and old.subscription.pause_kind == subscription.pause_kind:
            paused_since = min(old.paused_since, old.paused_since if paused_since is None else paused_since)
        ended_at = (subscription.ended_at or as_of) if subscription.ended else None
        return Write(
            subscription,
            as_of,
            event.id,
            paused_since,
            None if ended_at is None else ended_at + self._retention,
        )
