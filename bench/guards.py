"""Other ways to guard a mirror, as public projects have them, and this one's with a part taken out."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from shared.mirror.items import MirroredSubscription, Write
from shared.mirror.rule import Defer, Mirror, Outcome
from shared.stripe.events import SubscriptionEvent
from shared.stripe.subscription import Subscription
from shared.stripe.subscription_read import READ_LAG, SubscriptionRead
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

    def apply_notification(self, event_id: str, created: int, subscription_id: str, **_: object) -> Outcome:
        """Not compared."""
        raise NotImplementedError

    def observe(self, found: SubscriptionRead, *, is_fresh: bool = False) -> Outcome:
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

    def apply(self, event: SubscriptionEvent, **_: object) -> Outcome:
        """One unconditional write."""
        return self._put(event, event.subscription, event.created, lambda _: True)


class StrictTimestamp(OtherGuard):
    """Writes what the event says if the event is newer than the one written last."""

    def apply(self, event: SubscriptionEvent, **_: object) -> Outcome:
        """One write, conditional on the event's time."""
        return self._put(event, event.subscription, event.created, lambda old: old.as_of < event.created)


class Reread(OtherGuard):
    """Takes the event as a hint, and writes what Stripe has."""

    def apply(self, event: SubscriptionEvent, **_: object) -> Outcome:
        """One read, one unconditional write."""
        found = self._world.read(event.subscription.id)
        return self._put(event, found.subscription, found.as_of, lambda _: True)


class RereadStampedAfter(OtherGuard):
    """Writes what Stripe has, unless the mirror was written from a later read; a read's time is that of its answer."""

    def apply(self, event: SubscriptionEvent, **_: object) -> Outcome:
        """One read, one write, conditional on the read's time."""
        found = self._world.read(event.subscription.id)
        return self._put(event, found.subscription, found.as_of, lambda old: old.as_of <= found.as_of)


class _ReadsAreCurrent(Mirror):
    """The rule, with reads believed to be as new as their date."""

    def _as_of(self, found: SubscriptionRead) -> int:
        return replace(found, lag=timedelta(0)).certain_as_of


class _SlowReadsAreCurrent(Mirror):
    """The rule, with a read's time that of its answer, however long it took."""

    def _as_of(self, found: SubscriptionRead) -> int:
        return replace(found, took=0).certain_as_of


class _AnyReadSettles(Mirror):
    """The rule, with no question whether the read has the event's change."""

    def _covers(self, as_of: int, created: int, received: float) -> bool:  # noqa: ARG002 - the rule's form
        return True


class _AnyReadIsNewer(Mirror):
    """The rule, with no question whether the read has all that the item has."""

    def _is_newer(self, subscription: Subscription, as_of: int, old: MirroredSubscription) -> bool:  # noqa: ARG002 - the rule's form
        return True


class _ListsAreCurrent(Mirror):
    """The rule, with a list written as if it were a read of the subscription."""

    def observe(self, found: SubscriptionRead, *, is_fresh: bool = False) -> Outcome:  # noqa: ARG002 - the rule's form
        """Write what the list says."""
        return super().observe(replace(found, lag=READ_LAG), is_fresh=True)


class _ReadsUndoEnds(Mirror):
    """The rule, with a live read written over an end, and taken to settle one."""

    def _is_newer(self, subscription: Subscription, as_of: int, old: MirroredSubscription) -> bool:  # noqa: ARG002 - the rule's form
        return as_of > old.as_of


class _EveryReadIsRemembered(Mirror):
    """The rule, with a read for a thin event remembered before it is written."""

    def __init__(self, table: RemoteTable, read: Callable[[str], SubscriptionRead], **settings: Any) -> None:
        def read_and_remember(subscription_id: str) -> SubscriptionRead:
            found = read(subscription_id)
            self._remember(subscription_id, found.certain_as_of)
            return found

        super().__init__(table, read_and_remember, **settings)


class _AnyClock(Mirror):
    """The rule, with no branch for events ahead of our own clock."""

    def apply(
        self, event: SubscriptionEvent, *, now: float, received: float | None = None, defer: Defer | None = None
    ) -> Outcome:
        """Trust the event's time."""
        return super().apply(event, now=max(now, event.created), received=received, defer=defer)


class _TenItems(Mirror):
    """The rule, with the first ten items of an event taken for all."""

    def apply(
        self, event: SubscriptionEvent, *, now: float, received: float | None = None, defer: Defer | None = None
    ) -> Outcome:
        """Take the event for whole."""
        return super().apply(replace(event, complete=True), now=now, received=received, defer=defer)


class _ShownIsCertain(Mirror):
    """The rule, with an event that is shown until it is settled taken for settled."""

    def _without_reading(self, event: SubscriptionEvent, old: MirroredSubscription) -> Outcome | None:
        return super()._without_reading(event, replace(old, settling=None))


class _NoRevision(RemoteTable):
    """A table that writes what was read, whoever wrote meanwhile."""

    def put_if_unchanged(self, write: Write, since: MirroredSubscription | None) -> MirroredSubscription | None:  # noqa: ARG002 - the table's form
        """Write."""

        def put() -> MirroredSubscription | None:
            return self.table.put_if_unchanged(
                write, self.table.get(write.subscription.customer_id, write.subscription.id)
            )

        return self._call(put)


class _EndsAreNotFinal(RemoteTable):
    """A table that compares times only, whether a subscription has ended or not."""

    def put_if_older(self, write: Write, than: int) -> MirroredSubscription | None:
        """Write over what is older."""

        def put() -> MirroredSubscription | None:
            old = self.table.get(write.subscription.customer_id, write.subscription.id)
            return old if old and old.as_of >= than else self.table.put_if_unchanged(write, old)

        return self._call(put)


def _made(rule: type[Mirror], table: RemoteTable, *, uncertainty: timedelta = UNCERTAINTY) -> Mirror:
    return rule(table, table.world.read, uncertainty=uncertainty, retention=RETENTION)


MakeGuard = Callable[[World, AnyTable], Guard]


def _rule(rule: type[Mirror]) -> MakeGuard:
    return lambda world, table: _made(rule, RemoteTable(world, table))


GUARDS: dict[str, MakeGuard] = {
    "overwrite from the payload": Overwrite,
    "write if the event's time is later": StrictTimestamp,
    "read from Stripe, write": Reread,
    "read from Stripe, write if the read's `Date` is not earlier": RereadStampedAfter,
    "this rule with its window zero": lambda world, table: _made(
        Mirror, RemoteTable(world, table), uncertainty=timedelta(0)
    ),
    "this rule, ends not final": lambda world, table: _made(Mirror, _EndsAreNotFinal(world, table)),
    "this rule, events ahead of our clock trusted": _rule(_AnyClock),
    "this rule without the revision": lambda world, table: _made(Mirror, _NoRevision(world, table)),
    "this rule, reads taken for current": _rule(_ReadsAreCurrent),
    "this rule, slow reads dated by their end": _rule(_SlowReadsAreCurrent),
    "this rule, any read settles an event": _rule(_AnyReadSettles),
    "this rule, any read newer than the item": _rule(_AnyReadIsNewer),
    "this rule, lists taken for current": _rule(_ListsAreCurrent),
    "this rule, reads undo ends": _rule(_ReadsUndoEnds),
    "this rule, every read remembered": _rule(_EveryReadIsRemembered),
    "this rule, what is shown taken for settled": _rule(_ShownIsCertain),
    "this rule, ten items taken for all": _rule(_TenItems),
    "this rule": the_rule,
}
