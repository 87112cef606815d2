"""A table that writes nothing, so that a dry run goes through the very rule of the real one."""

from typing import Protocol

from shared.mirror_item import MirroredSubscription, Write, stands_in_the_way


class Readable(Protocol):
    """What can be asked for one item."""

    def get(self, customer_id: str, subscription_id: str) -> MirroredSubscription | None:
        """Read one subscription, consistently."""


class DryRunTable:
    """Answers every write as the table would, from a read."""

    def __init__(self, table: Readable) -> None:
        self._table = table

    def get(self, customer_id: str, subscription_id: str) -> MirroredSubscription | None:
        """Read one subscription, consistently."""
        return self._table.get(customer_id, subscription_id)

    def put_if_older(self, write: Write, than: int) -> MirroredSubscription | None:
        """Answer the item that would stand in the way, or `None`."""
        old = self._old(write)
        if old and stands_in_the_way(old, write, than):
            return old
        return None

    def put_if_unchanged(self, write: Write, since: MirroredSubscription | None) -> MirroredSubscription | None:
        """Answer the item that would stand in the way, or `None`."""
        old = self._old(write)
        return old if (old and old.revision) != (since and since.revision) else None

    def _old(self, write: Write) -> MirroredSubscription | None:
        return self._table.get(write.subscription.customer_id, write.subscription.id)
