"""The rule that keeps customers' entitlements in the mirror true (docs/decisions/0011-entitlements.md has its reasons).

An event about entitlements is a signal: it embeds ten of them at most, and only its own time orders it. So the list is
read again, once a copy of Stripe's that lags behind is certain to have the change. Until then the mirror shows what the
event names, if it names all. An item is only written over by a read that is certain of a later time; so whatever order
signals come in, the item ends with every change that a signal was sent for.
"""

import math
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from shared.errors import InvalidRequest, Unavailable, sentence
from shared.mirror.items import EntitlementsWrite, MirroredCustomer, MirroredSubscription
from shared.mirror.rule import LONGEST_DELAY_SECONDS, Defer, Outcome
from shared.mirror.table import EntitlementsTable
from shared.stripe.events import EntitlementsSignal
from shared.stripe.subscription_read import LIST_LAG

if TYPE_CHECKING:
    # It imports Stripe's library, which the webhook's usual event does not need.
    from shared.stripe.entitlements import EntitlementsRead

# `created` and `Date` are in whole seconds, and a read takes part of one.
_ROUNDING_SECONDS = 2
# A read of up to a second is then certain to have the change.
_SHORT_READ_SECONDS = 1

ReadEntitlements = Callable[[str, Collection[str]], "EntitlementsRead | None"]


class EntitlementsMirror:
    """Brings customers' entitlements into the table so that it ends as Stripe is."""

    def __init__(
        self,
        table: EntitlementsTable,
        read: ReadEntitlements,
        *,
        uncertainty: timedelta,
        retention: timedelta,
        account: str | None = None,
    ) -> None:
        """`read` reads a customer's entitlements from Stripe, and the features of the products that it is given.

        One read settles the signals of `uncertainty`. That a customer has none is kept for `retention`.
        """
        self._table, self._read, self._account = table, read, account
        self._uncertainty = int(uncertainty.total_seconds())
        self._retention = int(retention.total_seconds())

    def apply(
        self, signal: EntitlementsSignal, *, now: float, received: float | None = None, defer: Defer | None = None
    ) -> Outcome:
        """Apply a signal; `now`, `received` and `defer` are as for `Mirror.apply`.

        With `defer` the read is left for later, and one read then settles a burst. Raises `Unavailable` when the
        signal has to come again.
        """
        if defer is not None:
            defer(self._delay(signal.created, now))
            if signal.features is not None and signal.created <= now:
                # The signal is in the queue already, so a failure here loses nothing.
                with suppress(Unavailable):
                    self._table.show_entitlements(
                        signal.customer_id, signal.features, signal.created, account=self._account
                    )
            return Outcome.QUEUED
        # The change happened before `created`, and before the signal arrived.
        changed_before = min(signal.created, int(now if received is None else received) + 1)
        held = self._table.customer(signal.customer_id)
        if held.entitlements and held.entitlements.as_of > changed_before:
            return Outcome.STALE
        found = self._read(signal.customer_id, products_of(held.subscriptions))
        if found is None:
            # Deleted, and the subscriptions with the customer: there is nothing left that a feature depends on.
            return Outcome.STALE
        if found.certain_as_of <= changed_before:
            raise Unavailable(
                "unsettled",
                sentence("Stripe's list for {customer_id} may be out of date", customer_id=signal.customer_id),
            )
        return self.write(signal.customer_id, found)

    def observe(self, customer_id: str, held: MirroredCustomer | None = None) -> Outcome:
        """Apply what Stripe has now, without any event; `held` is what the mirror has, if that is known."""
        known = held or self._table.customer(customer_id)
        found = self._read(customer_id, products_of(known.subscriptions))
        return Outcome.UNCHANGED if found is None else self.write(customer_id, found)

    def write(self, customer_id: str, found: "EntitlementsRead") -> Outcome:
        """Write what was read, unless the mirror has what is certain of a later time."""
        as_of = found.certain_as_of
        expires_at = None if found.features else as_of + self._retention
        write = EntitlementsWrite(customer_id, found.features, found.products, as_of, expires_at, self._account)
        return Outcome.APPLIED if self._table.put_entitlements(write) else Outcome.STALE

    def _delay(self, created: int, now: float) -> int:
        """Return after how many seconds one read settles the signal, and every other within the uncertainty of it."""
        wait = self._uncertainty + LIST_LAG.total_seconds() + _ROUNDING_SECONDS + _SHORT_READ_SECONDS
        return min(max(0, math.ceil(min(created, now) + wait - now)), LONGEST_DELAY_SECONDS)


def products_of(subscriptions: Iterable[MirroredSubscription]) -> frozenset[str]:
    """Return the products of the subscriptions that have not ended."""
    live = (one.subscription for one in subscriptions if not one.subscription.ended)
    return frozenset(item.product_id for each in live for item in each.items if item.product_id is not None)


def require_entitlements(*, on: bool) -> None:
    """Raise `InvalidRequest` unless the stack's parameter `Entitlements` is on: without it nobody knows any feature."""
    if not on:
        raise InvalidRequest(
            "entitlements_off",
            sentence(
                "Entitlements are off in this stack: set its parameter Entitlements to true, and then run "
                "`portal reconcile --entitlements --repair`"
            ),
        )
