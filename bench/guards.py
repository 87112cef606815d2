"""Other ways to guard a mirror, as public projects have them, and this one's with a part taken out."""

from collections.abc import Callable
from datetime import timedelta

from shared.mirror.rule import Mirror, Outcome
from shared.mirror.table import MirroredSubscription, Write
from shared.stripe.events import SubscriptionEvent
from shared.stripe.gateway import SubscriptionRead
from shared.stripe.subscription import Subscription
from tests.fakes import FakeTable
from tests.history_world import RETENTION, UNCERTAINTY, Guard, RemoteTable, World, the_rule


class AnyTable(FakeTable):
    """A table that takes any condition."""

    def put_if(self, write: Write, condition: Callable[[MirroredSubscription], bool]) -> MirroredSubscription | None:
        """Write if there is no item or the item meets the condition; answers as the table's other writes do."""
        old = self.get(write.subscription.customer_id, write.subscription.id)
        if old and not condition(old):
            return old
        return self.put_if_unchanged(write, old)


class OtherGuard:
    """One of the others: it takes snapshots of events, and nothing else."""

    def __init__(self, world: World, table: AnyTable) -> None:
        self._world, self._table = world, table

    def apply_notification(self, event_id: str, created: int, subscription_id: str) -> Outcome:
        """Not compared."""
        raise NotImplementedError

    def observe(self, found: SubscriptionRead) -> Outcome:
        """Not compared."""
        raise NotImplementedError

    def _put(
        self,
        event: SubscriptionEvent,
        subscription: Subscription,
        as_of: int,
        condition: Callable[[MirroredSubscription], bool],
    ) -> Outcome:
        write = Write(subscription, as_of, event.id)
        old = self._world.call(lambda: self._table.put_if(write, condition)).value
        return Outcome.STALE if old else Outcome.APPLIED


class Overwrite(OtherGuard):
    """Writes what the event says."""

    def apply(self, event: SubscriptionEvent, *, now: float) -> Outcome:  # noqa: ARG002 - the guards' form
        """One unconditional write."""
        return self._put(event, event.subscription, event.created, lambda _: True)


class StrictTimestamp(OtherGuard):
    """Writes what the event says if the event is newer than the one written last."""

    def apply(self, event: SubscriptionEvent, *, now: float) -> Outcome:  # noqa: ARG002 - the guards' form
        """One write, conditional on the event's time."""
        return self._put(event, event.subscription, event.created, lambda old: old.as_of < event.created)


class Reread(OtherGuard):
    """Takes the event as a hint, and writes what Stripe has."""

    def apply(self, event: SubscriptionEvent, *, now: float) -> Outcome:  # noqa: ARG002 - the guards' form
        """One read, one unconditional write."""
        found = self._world.read(event.subscription.id)
        return self._put(event, found.subscription, found.as_of, lambda _: True)


class RereadStampedAfter(OtherGuard):
    """Writes what Stripe has, unless the mirror was written from a later read; a read's time is that of its answer."""

    def apply(self, event: SubscriptionEvent, *, now: float) -> Outcome:  # noqa: ARG002 - the guards' form
        """One read, one write, conditional on the read's time."""
        found = self._world.read(event.subscription.id)
        return self._put(event, found.subscription, found.as_of, lambda old: old.as_of <= found.as_of)


class _AnyRead(Mirror):
    """The rule, with slow reads not refused."""

    @property
    def _longest_read(self) -> int:
        return 60


class _UsualRead(Mirror):
    """The rule whose window may be zero; slow reads are refused as with the usual window."""

    @property
    def _longest_read(self) -> int:
        return int(UNCERTAINTY.total_seconds()) - 1


class _NoRevision(RemoteTable):
    """A table that writes what was read, whoever wrote meanwhile."""

    def put_if_unchanged(self, write: Write, since: MirroredSubscription | None) -> MirroredSubscription | None:  # noqa: ARG002 - the table's form
        """Write."""

        def put() -> MirroredSubscription | None:
            return self.table.put_if_unchanged(
                write, self.table.get(write.subscription.customer_id, write.subscription.id)
            )

        return self._call(put)


def _made(rule: type[Mirror], table: RemoteTable, *, uncertainty: timedelta = UNCERTAINTY) -> Mirror:
    return rule(table, table.world.read, uncertainty=uncertainty, retention=RETENTION)


MakeGuard = Callable[[World, AnyTable], Guard]

GUARDS: dict[str, MakeGuard] = {
    "overwrite from the payload": Overwrite,
    "write if the event's time is later": StrictTimestamp,
    "read from Stripe, write": Reread,
    "read from Stripe, write if the read's `Date` is not earlier": RereadStampedAfter,
    "this rule with its window zero": lambda world, table: _made(
        _UsualRead, RemoteTable(world, table), uncertainty=timedelta(0)
    ),
    "this rule without the revision": lambda world, table: _made(Mirror, _NoRevision(world, table)),
    "this rule, slow reads accepted": lambda world, table: _made(_AnyRead, RemoteTable(world, table)),
    "this rule": the_rule,
}
