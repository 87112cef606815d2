"""The rule that keeps the mirror true in every order of arrival (docs/explanation/mirror.md has its reasons).

Every item carries `as_of`: its state includes every change before that time. An event whose place is certain from its
time alone is written at once. Every other event is settled by a read of Stripe that is certain to be newer than the
event and the item: later, from a queue, because a read made at once may come from a copy that lags behind.
"""

import math
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from enum import StrEnum

from shared.errors import Unavailable, sentence
from shared.mirror.beginnings import beginnings_of
from shared.mirror.items import Beginnings, MirroredSubscription, Write
from shared.mirror.table import WritableTable
from shared.stripe.events import SubscriptionEvent
from shared.stripe.subscription import Subscription
from shared.stripe.subscription_read import READ_LAG, SubscriptionRead

ATTEMPTS = 5
# `created` and `Date` are in whole seconds, and a read takes part of one.
_ROUNDING_SECONDS = 2
# SQS delays a message by 15 minutes at most.
LONGEST_DELAY_SECONDS = 900
# A thin event is read this much later than a read could have it: a read of up to a second is then certain to.
_SHORT_READ_SECONDS = 1
# Of so many subscriptions the time of the last read is remembered.
MOST_REMEMBERED = 10_000

Defer = Callable[[int], None]


class Outcome(StrEnum):
    """What became of a state that was given to the mirror."""

    APPLIED = "applied"
    STALE = "stale"
    DUPLICATE = "duplicate"
    UNCHANGED = "unchanged"
    QUEUED = "queued"


class Mirror:
    """Writes states into the table so that it ends as Stripe is, in whatever order and however often they come."""

    def __init__(
        self,
        table: WritableTable,
        read: Callable[[str], SubscriptionRead],
        *,
        uncertainty: timedelta,
        retention: timedelta,
        account: str | None = None,
    ) -> None:
        """`read` reads a subscription from Stripe; event times closer than `uncertainty` cannot be ordered.

        `account` is the Stripe account that the subscriptions belong to, if known; each item names it.
        """
        self._table = table
        self._read = read
        self._uncertainty = int(uncertainty.total_seconds())
        self._retention = int(retention.total_seconds())
        self._account = account
        # For thin events: up to when the mirror certainly has each subscription's changes. It is lost at a restart.
        self._certain: dict[str, int] = {}

    def apply(
        self, event: SubscriptionEvent, *, now: float, received: float | None = None, defer: Defer | None = None
    ) -> Outcome:
        """Apply an event that has a snapshot; `now` and `received` (when it first arrived) are our clock's seconds.

        An event that cannot be ordered is settled by a read of Stripe. With `defer` that is left for later: `defer` is
        called with the seconds to wait, and has to keep the event durably; the mirror then shows the event's state
        meanwhile if it is likely to be the latest. Raises `Unavailable` when the event has to come again.
        """
        if event.complete and (event.created <= now or event.subscription.ended):
            write = self._write(event.subscription, min(event.created, int(now)), event, None)
            old = self._table.put_if_older(write, than=write.as_of - self._uncertainty)
            if old is None:
                return Outcome.APPLIED
        else:
            old = self._table.get(event.subscription.customer_id, event.subscription.id)
        if old and (outcome := self._without_reading(event, old)):
            return outcome
        if defer is None:
            return self._settle(event, old, now if received is None else received)
        defer(self._delay(event.created, now))
        self._show(event, old)
        return Outcome.QUEUED

    def apply_notification(  # noqa: PLR0913 - keywords, and the three parts of a thin event
        self,
        event_id: str,
        created: int,
        subscription_id: str,
        *,
        now: float,
        received: float | None = None,
        defer: Defer | None = None,
    ) -> Outcome:
        """Apply what Stripe has now, because an event without a snapshot (a thin event) said that it changed.

        `defer` is as for `apply`, and always called: a read made at once may not have the change yet, and would not
        be the last of a burst. Raises `Unavailable` when the event has to come again.
        """
        if defer is not None:
            ready = min(created, now) + READ_LAG.total_seconds() + _ROUNDING_SECONDS + _SHORT_READ_SECONDS
            defer(_seconds_until(ready, now))
            return Outcome.QUEUED
        arrived = now if received is None else received
        if self._covers(self._certain.get(subscription_id, 0), created, arrived):
            return Outcome.STALE
        found = self._read(subscription_id)
        lag = None if received is None else int(received) - created
        event, as_of = SubscriptionEvent(event_id, created, found.subscription, delivery_lag=lag), self._as_of(found)
        if not self._covers(as_of, created, arrived):
            raise _unsettled(subscription_id)
        old = self._table.put_if_older(self._write(found.subscription, as_of, event, None), than=as_of)
        if old is None or old.subscription == found.subscription:
            self._remember(subscription_id, as_of)
            return Outcome.STALE if old else Outcome.APPLIED
        if outcome := self._without_reading(event, old):
            return outcome
        raise _unsettled(subscription_id)

    def observe(self, found: SubscriptionRead, *, is_fresh: bool = False) -> Outcome:
        """Apply what was read from Stripe without any event.

        A list may lag far behind, so a page of one only fills in what the mirror does not have; where they differ, the
        subscription is read once more. With `is_fresh` this is what was just read by itself.
        """
        old = self._table.put_if_unchanged(self._write(found.subscription, self._as_of(found), None, None), None)
        if old is None:
            return Outcome.APPLIED
        if old.subscription == found.subscription:
            return Outcome.UNCHANGED
        for _ in range(ATTEMPTS):
            fresh = found if is_fresh else self._read(found.subscription.id)
            is_fresh = False
            if old.subscription == fresh.subscription:
                return Outcome.UNCHANGED
            as_of = self._as_of(fresh)
            is_pending = old.settling is not None and as_of <= old.settling + self._uncertainty
            if is_pending or not self._is_newer(fresh.subscription, as_of, old):
                return Outcome.STALE
            old = self._table.put_if_unchanged(self._write(fresh.subscription, as_of, None, old), old)
            if old is None:
                return Outcome.APPLIED
        raise Unavailable(
            "mirror_contended",
            sentence(
                "{subscription} changed {attempts} times while it was read",
                subscription=found.subscription.id,
                attempts=ATTEMPTS,
            ),
        )

    def _without_reading(self, event: SubscriptionEvent, old: MirroredSubscription) -> Outcome | None:
        """Return the outcome of an event that can be ordered against the item; `None` if Stripe has to be read."""
        if old.event_id == event.id and old.settling is None:
            return Outcome.DUPLICATE
        if old.subscription.ended != event.subscription.ended:
            return Outcome.STALE if old.subscription.ended else None
        if old.as_of <= event.created + self._uncertainty:
            return None
        missed = beginnings_of(event, old.subscription, old.beginnings, at=old.as_of)
        if missed and not self._table.add_beginnings(old, missed):
            return None
        return Outcome.STALE

    def _settle(self, event: SubscriptionEvent, old: MirroredSubscription | None, received: float) -> Outcome:
        """Write what Stripe has, unless the read may be older than the event or the item."""
        for _ in range(ATTEMPTS):
            found = self._read(event.subscription.id)
            as_of = self._as_of(found)
            if (
                not self._covers(as_of, event.created, received)
                or (event.subscription.ended and not found.subscription.ended)
                or (old and not self._is_newer(found.subscription, as_of, old))
            ):
                raise _unsettled(event.subscription.id)
            old = self._table.put_if_unchanged(self._write(found.subscription, as_of, event, old), old)
            if old is None:
                return Outcome.APPLIED
            if outcome := self._without_reading(event, old):
                return outcome
        raise Unavailable(
            "mirror_contended",
            sentence(
                "{subscription} changed {attempts} times while it was read",
                subscription=event.subscription.id,
                attempts=ATTEMPTS,
            ),
        )

    def _show(self, event: SubscriptionEvent, old: MirroredSubscription | None) -> None:
        """Write the event's own state until it is settled, if its time is not before that of the state shown now.

        `as_of` stays: nothing is certain yet. The event is in the queue already, so a failure here loses nothing.
        """
        shown = 0 if old is None else old.as_of if old.settling is None else old.settling
        if not event.complete or event.created < shown:
            return
        write = self._write(event.subscription, old.as_of if old else 0, event, old, settling=event.created)
        with suppress(Unavailable):
            self._table.put_if_unchanged(write, old)

    def _delay(self, created: int, now: float) -> int:
        """Return after how many seconds one read settles the event, and every other within the uncertainty of it."""
        return _seconds_until(min(created, now) + self._uncertainty + READ_LAG.total_seconds() + _ROUNDING_SECONDS, now)

    def _remember(self, subscription_id: str, as_of: int) -> None:
        if len(self._certain) >= MOST_REMEMBERED:
            self._certain.clear()
        self._certain[subscription_id] = as_of

    def _as_of(self, found: SubscriptionRead) -> int:
        return found.certain_as_of

    def _covers(self, as_of: int, created: int, received: float) -> bool:
        """Whether a read as of then has an event's change, which happened before `created` and before it arrived."""
        return as_of > min(created, int(received) + 1)

    def _is_newer(self, subscription: Subscription, as_of: int, old: MirroredSubscription) -> bool:
        """Whether a read is certain to have all that the item has; an end is never undone."""
        return as_of > old.as_of and (subscription.ended or not old.subscription.ended)

    def _write(
        self,
        subscription: Subscription,
        as_of: int,
        event: SubscriptionEvent | None,
        old: MirroredSubscription | None,
        *,
        settling: int | None = None,
    ) -> Write:
        ended_at = (subscription.ended_at or as_of) if subscription.ended else None
        return Write(
            subscription,
            as_of,
            event.id if event else None,
            beginnings_of(event, subscription, old.beginnings if old else Beginnings(), at=as_of),
            expires_at=None if ended_at is None else ended_at + self._retention,
            settling=settling,
            account=self._account,
            delivery_lag=event.delivery_lag if event else None,
            stamp_lag=event.stamp_lag if event else None,
        )


def _seconds_until(ready: float, now: float) -> int:
    return min(max(0, math.ceil(ready - now)), LONGEST_DELAY_SECONDS)


def _unsettled(subscription_id: str) -> Unavailable:
    return Unavailable(
        "unsettled",
        sentence("Stripe's answer about {subscription_id} may be out of date", subscription_id=subscription_id),
    )
