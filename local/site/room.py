"""The control room: Stripe's side and the mirror's side by side, compared and kept up to date while one looks."""

import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import requests
from botocore.exceptions import BotoCoreError, ClientError

from functions.access.settings import AccessSettings
from local.site.backend import Backend
from local.site.delivery_feed import DeliveryFeed, ShownDelivery, WebhookLog
from local.site.session import SiteSession
from shared.access import CustomerAccess, customer_access
from shared.mirror.drift import Difference, differences, is_expired
from shared.mirror.items import MirroredSubscription
from shared.stripe.subscription import Subscription, read_subscription

_SHOWN_DELIVERIES = 40
# A look reads every subscription: Stripe's own API is asked less often than the simulator.
_SIMULATOR_SECONDS = 0.4
_STRIPE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class RoomRow:
    """One subscription: what Stripe has, what the mirror has, and where they differ.

    `stripe_changes` and `mirror_changes` name the fields that changed last on either side while somebody looked.
    """

    id: str
    customer_id: str
    customer: str
    stripe: Subscription | None
    mirrored: MirroredSubscription | None
    differences: tuple[Difference, ...]
    is_expired: bool
    access: CustomerAccess
    stripe_changes: tuple[str, ...] = ()
    mirror_changes: tuple[str, ...] = ()

    @property
    def in_sync(self) -> bool:
        """Whether both sides agree in every field; the mirror forgets what ended long ago."""
        if self.stripe is None or self.mirrored is None:
            return self.mirrored is None and self.is_expired
        return not self.differences

    def after(self, before: "RoomRow") -> "RoomRow":
        """Return this row with the names of what has changed since `before`, or of what had changed until then."""
        return replace(
            self,
            stripe_changes=_state_changes(before.stripe, self.stripe) or before.stripe_changes,
            mirror_changes=_mirror_changes(before.mirrored, self.mirrored) or before.mirror_changes,
        )


def _state_changes(before: Subscription | None, now: Subscription | None) -> tuple[str, ...]:
    if before is None or now is None:
        return ()
    names = [each.field for each in differences(before, now)]
    # This field alone is not compared with Stripe's.
    if before.cancellation_reason != now.cancellation_reason:
        names.append("cancellation_reason")
    # Of `items.si_1.quantity` and `pause_collection.behavior`, what people know: `quantity` and `pause_collection`.
    return tuple(dict.fromkeys(re.sub(r"^items\.\w+\.|\..*", "", name) for name in names))


def _mirror_changes(before: MirroredSubscription | None, now: MirroredSubscription | None) -> tuple[str, ...]:
    if before is None or now is None:
        return ()
    # Every write changes its own fields, such as `revision`: they are named where nothing else changed.
    return _state_changes(before.subscription, now.subscription) or tuple(
        each.name for each in fields(MirroredSubscription) if getattr(before, each.name) != getattr(now, each.name)
    )


@dataclass(frozen=True, slots=True)
class RoomQueue:
    """A queue and how many messages it has: ready, and waiting for their time."""

    name: str
    ready: int
    waiting: int


@dataclass(frozen=True, slots=True)
class RoomState:
    """Everything that the page shows, as of one look."""

    rows: tuple[RoomRow, ...]
    deliveries: tuple[ShownDelivery, ...]
    queues: tuple[RoomQueue, ...]
    names: dict[str, str]
    mails: int
    problem: str = ""

    @property
    def in_sync(self) -> int:
        """How many rows agree."""
        return sum(row.in_sync for row in self.rows)

    @property
    def is_in_sync(self) -> bool:
        """Whether all rows agree, and both sides could be read."""
        return not self.problem and self.in_sync == len(self.rows)


class Room:
    """Looks at both sides, for as many readers as there are."""

    def __init__(self, backend: Backend, session: SiteSession) -> None:
        self._backend, self._session = backend, session
        self._settings = AccessSettings.from_environment()
        self._log = WebhookLog()
        self.is_simulated = backend.is_simulated
        self.feed = DeliveryFeed(backend.addresses.stripe_url, self._log)
        self._lock = threading.Lock()
        self._looked_at = 0.0
        self._state: RoomState | None = None
        self._log.attach()
        session.on_end(self._log.detach)

    def look(self) -> RoomState:
        """Return the present state; it is at most some tenths of a second old."""
        age = _SIMULATOR_SECONDS if self.is_simulated else _STRIPE_SECONDS
        with self._lock:
            if self._state is None or time.monotonic() - self._looked_at > age:
                self._state = self._look()
                self._looked_at = time.monotonic()
            return self._state

    def look_again(self) -> RoomState:
        """Return the state of now, and none that is some tenths of a second old."""
        with self._lock:
            self._looked_at = 0.0
        return self.look()

    def _look(self) -> RoomState:
        try:
            if self.is_simulated:
                self.feed.update()
            listed = self._backend.subscriptions_at_stripe()
            before = {row.id: row for row in self._state.rows} if self._state else {}
            rows = tuple(
                row.after(before.get(row.id, row)) for row in self._rows(listed.subscriptions, dict(listed.customers))
            )
            deliveries = tuple(self.feed.newest(_SHOWN_DELIVERIES))
            return RoomState(rows, deliveries, tuple(self.queues()), dict(listed.customers), self._mails())
        except Exception as error:  # noqa: BLE001 - shown on the page, which goes on looking
            old = self._state or RoomState((), (), (), {}, 0)
            problem = f"This is old: {type(error).__name__} while looking."
            return RoomState(old.rows, old.deliveries, old.queues, old.names, old.mails, problem)

    def _rows(self, listed: list[dict[str, Any]], names: dict[str, str]) -> Iterator[RoomRow]:
        # Stripe first: what the mirror has later can only be newer.
        now, retention = time.time(), self._settings.retention
        at_stripe = {raw["id"]: read_subscription(raw) for raw in listed}
        held = {one.subscription.id: one for one in self._backend.mirror.all()}
        by_customer: dict[str, list[MirroredSubscription]] = {}
        for one in held.values():
            by_customer.setdefault(one.subscription.customer_id, []).append(one)
        for name in [*at_stripe, *(name for name in held if name not in at_stripe)]:
            stripe, mirrored = at_stripe.get(name), held.get(name)
            customer = stripe.customer_id if stripe else held[name].subscription.customer_id
            yield RoomRow(
                name,
                customer,
                names.get(customer, customer),
                stripe,
                mirrored,
                differences(mirrored.subscription, stripe) if stripe and mirrored else (),
                stripe is not None and is_expired(stripe, now=now, retention=retention),
                customer_access(customer, by_customer.get(customer, ()), now=now, policy=self._settings),
            )

    def queues(self) -> Iterator[RoomQueue]:
        """Yield every queue as it is now."""
        sqs = self._backend.aws.sqs
        for name in self._backend.template.resources("AWS::SQS::Queue"):
            try:
                found = sqs.get_queue_attributes(QueueUrl=self._backend.template.ref(name), AttributeNames=["All"])
            except (BotoCoreError, ClientError):
                continue
            counts = found["Attributes"]
            waiting = int(counts["ApproximateNumberOfMessagesDelayed"])
            waiting += int(counts["ApproximateNumberOfMessagesNotVisible"])
            yield RoomQueue(name, int(counts["ApproximateNumberOfMessages"]), waiting)

    def _mails(self) -> int:
        return len(requests.get(f"{self._backend.addresses.aws_url}/_local", timeout=10).json()["mails"])
