"""Decides a customer's access anew, and publishes it if it has changed: at least once, with a version that only grows.

For one customer: read what was decided last, read the mirror, decide; if the answer differs, write it with the next
version, publish it, and note that it is published. The write is conditional on the version that was read before the
mirror was, so of two at a time the one that has read the older mirror starts again. Whatever stops this between two
steps leaves the item due, and the next look at the customer first publishes what may not have been.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from functions.access_changes.access_table import AccessTable, DecidedAccess, plain
from shared.access import AccessPolicy, customer_access
from shared.aws import code_of
from shared.errors import Unavailable
from shared.mirror.table import MirrorTable

if TYPE_CHECKING:
    from types_boto3_events import EventBridgeClient

SOURCE = "stripe-portal-bundle"
DETAIL_TYPE = "SubscriptionAccessChanged"
# Each attempt fails only if somebody else has decided for the same customer meanwhile.
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class AccessEvents:
    """Publishes answers on an event bus."""

    client: "EventBridgeClient"
    bus: str

    def publish(self, customer_id: str, decided: DecidedAccess) -> None:
        """Publish one answer; `id` is the same whenever the same version is published. Raises `Unavailable`."""
        detail = {"id": f"{customer_id}:{decided.version}", "version": decided.version, **decided.answer}
        entry: Any = {
            "Source": SOURCE,
            "DetailType": DETAIL_TYPE,
            "Detail": json.dumps(detail),
            "EventBusName": self.bus,
        }
        try:
            (result,) = self.client.put_events(Entries=[entry])["Entries"]
        except (ClientError, BotoCoreError) as error:
            raise _not_published(code_of(error)) from error
        if "ErrorCode" in result:
            raise _not_published(result["ErrorCode"])


@dataclass(frozen=True, slots=True)
class AccessChanges:
    """Decides and publishes; made once per execution environment. `clock` is in Unix seconds.

    Without `entitlements` the answers have no features.
    """

    mirror: MirrorTable
    table: AccessTable
    events: AccessEvents
    policy: AccessPolicy
    account: str | None
    clock: Callable[[], float]
    entitlements: bool = False

    def look_at(self, customer_id: str) -> int:
        """Decide anew, and publish what has changed or may not have been published; return how many events that was.

        Raises `Unavailable`; the customer has to be looked at again then, and will be, if an answer was written.
        """
        published = 0
        for _ in range(_ATTEMPTS):
            now = self.clock()
            last = self.table.get(customer_id)
            if last and last.is_pending:
                self.events.publish(customer_id, last)
                self.table.settle(customer_id, last.version, last.due_at)
                published += 1
            # Read after `last`: whoever decided that had read an older mirror.
            held = self.mirror.customer(customer_id)
            access = customer_access(
                customer_id,
                held.subscriptions,
                now=now,
                policy=self.policy,
                account=self.account,
                entitlements=held.entitlements if self.entitlements else None,
            )
            answer = plain(access)
            if last and last.answer == answer:
                if last.due_at != access.until:
                    self.table.settle(customer_id, last.version, access.until)
                return published
            decided = self.table.decide(answer, last)
            if decided:
                self.events.publish(customer_id, decided)
                self.table.settle(customer_id, decided.version, access.until)
                return published + 1
        raise Unavailable("access_contended", "The access of one customer was decided elsewhere again and again")


def _not_published(code: str) -> Unavailable:
    return Unavailable("access_events_unavailable", f"The event bus did not take an event ({code})")
