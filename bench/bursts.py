"""What bursts of events cost, and how long the mirror takes to be right: `python -m bench.bursts`.

The webhook's own code runs against a table and a Stripe in memory, in simulated time. Stripe takes 25 reads a second,
and answers the others with 429. Two environments settle the queue, as template.yaml has it.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Any

from functions.webhook.receive import Receiver
from functions.webhook.settle import Settler
from functions.webhook.wiring import SETTLING_ENVIRONMENTS
from shared.errors import PortalError, Unavailable
from shared.mirror.intake import Intake
from shared.mirror.rule import Mirror
from shared.mirror.settle_queue import QueuedEvent, SettleQueue
from shared.stripe.events import SubscriptionEvent
from shared.stripe.subscription import Subscription, read_subscription
from shared.stripe.subscription_read import SubscriptionRead
from tests.fakes import FakeTable
from tests.history_events import KnownSecrets, NoDeadLetters

START = 1_900_000_000
STRIPE_READS_PER_SECOND = 25
READ_SECONDS = 0.15
RETENTION = timedelta(days=400)
SOURCE = "aws.partner/stripe.com/ed_1"
# How many subscriptions, how many events of each within a second, and whether these are thin.
BURSTS = {
    "10 events of one subscription": (1, 10, False),
    "2 events of 100 subscriptions": (100, 2, False),
    "2 events of 1,000 subscriptions": (1000, 2, False),
    "10 thin events of one subscription": (1, 10, True),
    "2 thin events of 100 subscriptions": (100, 2, True),
    "2 thin events of 1,000 subscriptions": (1000, 2, True),
}


@dataclass
class Burst(SettleQueue):
    """One burst, its Stripe, its queue and its clock."""

    subscriptions: int
    events: int
    uncertainty: timedelta
    reads_per_second: float
    thin: bool = False
    now: float = float(START)
    table: FakeTable = field(default_factory=FakeTable)
    reads: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    right_after: dict[str, float] = field(default_factory=dict)
    failures: int = 0
    _recent: list[float] = field(default_factory=list)
    _agenda: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _numbers: "count[int]" = field(default_factory=count)

    def __post_init__(self) -> None:
        self._free = [self.now] * SETTLING_ENVIRONMENTS
        # Each environment remembers its own reads.
        self._receiving, *self._settling = (self._intake() for _ in range(1 + SETTLING_ENVIRONMENTS))

    def run(self, random: Random) -> None:
        """Deliver every event within a second, in any order, and settle what waits."""
        bodies = [self._body(name, event) for name in range(self.subscriptions) for event in range(self.events)]
        random.shuffle(bodies)
        for body in bodies:
            self._at(START + 0.5 + random.random(), lambda body=body: self._deliver(body))  # type: ignore[misc]
        while self._agenda:
            self.now, _, act = heappop(self._agenda)
            act()

    def keep(self, body: bytes, delay_seconds: int) -> None:
        """Take a message of the queue."""
        event = QueuedEvent(body, self.now, 1, "")
        self._at(self.now + delay_seconds, lambda: self._settle(event))

    def retry_later(self, event: QueuedEvent, *, at_least: float = 0) -> None:
        """Take a message again, as the queue does."""
        again = QueuedEvent(event.body, event.received, event.attempt + 1, "")
        self._at(self.now + max(15 * 2 ** (event.attempt - 1), at_least), lambda: self._settle(again))

    def read(self, subscription_id: str) -> SubscriptionRead:
        """Answer as Stripe does: the last state, or 429."""
        self._recent = [each for each in self._recent if each > self.now - 1]
        if len(self._recent) >= STRIPE_READS_PER_SECOND:
            self.refused += 1
            raise Unavailable("stripe_rate_limited", "429")
        self._recent.append(self.now)
        self.reads[subscription_id] += 1
        return SubscriptionRead(
            read_subscription(self._state(subscription_id, self.events)), int(self.now + READ_SECONDS), READ_SECONDS
        )

    def is_right(self, subscription_id: str) -> bool:
        """Whether the mirror is as Stripe is, and knows it."""
        item = self.table.items.get((f"cus_{subscription_id[4:]}", subscription_id))
        truth = read_subscription(self._state(subscription_id, self.events))
        return item is not None and item.subscription == truth and item.settling is None

    def _at(self, when: float, act: Callable[[], None]) -> None:
        heappush(self._agenda, (when, next(self._numbers), act))

    def _intake(self) -> Intake:
        mirror = Mirror(self.table, self.read, uncertainty=self.uncertainty, retention=RETENTION)
        return Intake(mirror, lambda: False)

    def _deliver(self, body: bytes) -> None:
        receiver = Receiver(KnownSecrets(), self._receiving, self, NoDeadLetters(), lambda: self.now, SOURCE)
        try:
            receiver.receive_from_bus({"source": SOURCE, "detail": json.loads(body)})
        except PortalError:
            self.failures += 1
            self._at(self.now + 60, lambda: self._deliver(body))
        self._note(body)

    def _settle(self, event: QueuedEvent) -> None:
        """One environment takes the message, when one is free; it waits for its share of the rate before a read."""
        environment = min(range(SETTLING_ENVIRONMENTS), key=lambda one: self._free[one])
        if self._free[environment] > self.now:
            self._at(self._free[environment], lambda: self._settle(event))
            return
        reads = self.reads.total() + self.refused
        record = {
            "body": event.body.decode(),
            "receiptHandle": "",
            "attributes": {
                "SentTimestamp": str(int(event.received * 1000)),
                "ApproximateReceiveCount": str(event.attempt),
            },
        }
        with suppress(Unavailable):
            Settler(self._settling[environment], self, NoDeadLetters(), lambda: self.now).settle(record)
        read = self.reads.total() + self.refused > reads
        self._free[environment] = self.now + (SETTLING_ENVIRONMENTS / self.reads_per_second if read else 0.01)
        self._note(event.body)

    def _note(self, body: bytes) -> None:
        event = json.loads(body)
        name = event["related_object"]["id"] if self.thin else event["data"]["object"]["id"]
        if not self.is_right(name):
            self.right_after.pop(name, None)
        else:
            self.right_after.setdefault(name, self.now - START)

    def _body(self, number: int, event: int) -> bytes:
        whole = {
            "id": f"evt_{number}_{event}",
            "object": "event",
            "type": "customer.subscription.updated",
            "created": START,
            "livemode": False,
            "data": {"object": self._state(f"sub_{number}", event + 1)},
        }
        thin = {
            "object": "v2.core.event",
            "type": "v1.customer.subscription.updated",
            "created": datetime.fromtimestamp(START, UTC).isoformat(),
            "related_object": {"id": f"sub_{number}", "type": "subscription"},
        }
        return json.dumps(whole | thin if self.thin else whole).encode()

    @staticmethod
    def _state(subscription_id: str, number: int) -> dict[str, Any]:
        state = {"id": subscription_id, "customer": f"cus_{subscription_id[4:]}", "status": "active", "livemode": False}
        return state | {"items": {"data": [{"id": "si_1", "quantity": number}]}}


# What happens to subscriptions on a day: how many of them, and when their events come (seconds, and the next hour).
# Checkout's second event was seen 3 and 5 s after the first; a renewal is updated again when its invoice is paid.
DAY = (
    (1000, (0, 4)),
    (3000, (0, 2, 3600)),
    (500, (0,)),
)
WINDOWS = (3, 10, 30)


@dataclass(frozen=True, slots=True)
class DayCost:
    """How many events a day has, how many of them wait in the queue, and how many reads settle those."""

    events: int = 0
    queued: int = 0
    reads: int = 0


def day(uncertainty: int) -> DayCost:
    """Count a day's events, each applied in order and a second after it happened."""
    events = queued = reads = 0
    for number, times in DAY:
        table = FakeTable()
        mirror = Mirror(table, _no_read, uncertainty=timedelta(seconds=uncertainty), retention=RETENTION)
        waiting: list[int] = []
        for at in times:
            state = Subscription("sub_1", "cus_1", "active", livemode=False, created=at)
            mirror.apply(SubscriptionEvent(f"evt_{at}", START + at, state), now=START + at + 1, defer=waiting.append)
        events += number * len(times)
        queued += number * len(waiting)
        reads += number * bool(waiting)
    return DayCost(events, queued, reads)


def _no_read(_subscription_id: str) -> SubscriptionRead:
    raise NotImplementedError


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that `share` of the values are not above."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def main() -> None:
    """Run the bursts, and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uncertainty", type=int, default=10, help="EVENT_CLOCK_UNCERTAINTY_SECONDS")
    parser.add_argument("--reads-per-second", type=float, default=10, help="SETTLE_READS_PER_SECOND")
    parser.add_argument(
        "--storm", type=int, help="two events each of so many subscriptions, instead of the usual bursts"
    )
    options = parser.parse_args()
    bursts = BURSTS
    if options.storm:
        bursts = {f"2 events of {options.storm:,} subscriptions": (options.storm, 2, False)}
    lines = [
        "| within a second | 5xx | reads refused | most reads of one | right | for good after (50 %, 99 %, all) |",
        "|---|---|---|---|---|---|",
    ]
    for name, (subscriptions, events, thin) in bursts.items():
        burst = Burst(subscriptions, events, timedelta(seconds=options.uncertainty), options.reads_per_second, thin)
        burst.run(Random(1))  # noqa: S311 - no secret
        times = list(burst.right_after.values())
        right = sum(burst.is_right(f"sub_{number}") for number in range(subscriptions))
        spread = ", ".join(f"{percentile(times, share):.0f} s" for share in (0.5, 0.99, 1))
        most = max(burst.reads.values(), default=0)
        lines.append(
            f"| {name} | {burst.failures} | {burst.refused} | {most} | {right:,} of {subscriptions:,} | {spread} |"
        )
    lines += ["", "| window | events of a day | that wait | reads |", "|---|---|---|---|"]
    for window in WINDOWS:
        cost = day(window)
        lines.append(f"| {window} s | {cost.events:,} | {cost.queued:,} | {cost.reads:,} |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
