"""How late a burst's changes of access are published, and whether one is lost: `python -m bench.access_burst`.

The code of the webhook and of `access_changes` runs against tables, a Stripe and a bus in memory, in simulated time:
events, mirror, stream, answers, bus. The stream is read as AWS Lambda reads it: so many batches side by side for each
shard, each of up to 100 records, a new one at most every quarter of a second. Each call of AWS takes the time that is
assumed for it. With `--crash` the process ends at some calls, before or after they take effect, and Lambda gives it the
same records again. At the end, the last answer on the bus of every customer is compared with the decision on Stripe's
last state.
"""

import argparse
import os
import sys
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from bench.bursts import START, Burst, percentile
from functions.access_changes import app
from functions.access_changes.access_table import DecidedAccess, plain
from functions.access_changes.changes import AccessChanges
from shared.access import AccessPolicy, customer_access
from shared.mirror.items import MirroredCustomer, Write
from shared.stripe.subscription import read_subscription
from tests.fakes import FakeAccessTable, FakeTable

# template.yaml's event source mapping, and how often Lambda looks for new records
# (docs.aws.amazon.com/lambda/latest/dg/with-ddb.html).
BATCH = 100
PARALLEL = 4
POLL_SECONDS = 0.25
MOST_ATTEMPTS = 20
SWEEP_SECONDS = 300
# Assumed: a call of DynamoDB or EventBridge from Lambda, and the start of the function after it crashed.
DYNAMODB_SECONDS = 0.005
EVENTS_SECONDS = 0.02
RESTART_SECONDS = 1.0
# What a subscription goes through; each differs in the answer.
STATUSES = ("active", "past_due", "unpaid", "paused", "active", "canceled")


class Crash(BaseException):
    """The process ends here: nothing catches it."""


class StreamedTable(FakeTable):
    """The mirror, with its stream: `written` gets the customer of each write."""

    def __init__(self, written: Callable[[str], None]) -> None:
        super().__init__()
        self._written = written

    def customer(self, customer_id: str) -> MirroredCustomer:
        """Read the one subscription, without looking through all."""
        item = self.items.get((customer_id, f"sub_{customer_id[4:]}"))
        return MirroredCustomer((item,) if item else ())

    def _put(self, write: Write, old: Any) -> None:
        super()._put(write, old)
        self._written(write.subscription.customer_id)


@dataclass
class Process:
    """The function's process at work: its time goes on with each call, and at some calls it ends."""

    random: Random
    crash: float
    now: float = 0.0
    calls: Counter[str] = field(default_factory=Counter)
    crashes: int = 0

    def call(self, name: str, seconds: float, act: Callable[[], Any]) -> Any:
        """Make a call of AWS."""
        self.now += seconds
        self.calls[name] += 1
        ends = self.random.random() < self.crash
        before = self.random.random() < 0.5  # noqa: PLR2004 - as likely as not
        self.crashes += ends
        if ends and before:
            raise Crash
        result = act()
        if ends:
            raise Crash
        return result


@dataclass
class Calls:
    """A table or a bus whose calls go through the process."""

    process: Process
    target: Any
    seconds: float = DYNAMODB_SECONDS

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.target, name)
        return lambda *args, **options: self.process.call(name, self.seconds, partial(method, *args, **options))


@dataclass
class Bus:
    """What subscribers got: the highest version of each customer, and when it came first."""

    process: Process
    published: int = 0
    last: dict[str, tuple[DecidedAccess, float]] = field(default_factory=dict)

    def publish(self, customer_id: str, decided: DecidedAccess) -> None:
        """Take an event."""
        self.published += 1
        known = self.last.get(customer_id)
        if known is None or known[0].version < decided.version:
            self.last[customer_id] = decided, self.process.now
        elif known[0].version == decided.version and known[0].answer != decided.answer:
            raise AssertionError(f"Two answers of {customer_id} have the version {decided.version}")


class AccessBurst(Burst):
    """A burst, its stream, and the function that takes it."""

    def __init__(self, subscriptions: int, events: int, *, shards: int, crash: float = 0.0, seed: int = 1) -> None:
        """`shards` of the stream; `crash` is the share of calls at which the process ends."""
        self.random = Random(seed)  # noqa: S311 - no secret
        self.process = Process(self.random, crash)
        self.bus = Bus(self.process)
        self.answers = FakeAccessTable()
        self.lanes: list[deque[dict[str, Any]]] = [deque() for _ in range(shards * PARALLEL)]
        self.written_at: dict[str, float] = {}
        self.attempts: defaultdict[int, int] = defaultdict(int)
        self._busy = [False] * len(self.lanes)
        self._sizes = [BATCH] * len(self.lanes)
        super().__init__(subscriptions, events, timedelta(seconds=10), 10.0, table=StreamedTable(self._stream))
        self.policy = AccessPolicy()
        self._changes = AccessChanges(
            Calls(self.process, self.table),  # type: ignore[arg-type]
            Calls(self.process, self.answers),  # type: ignore[arg-type]
            Calls(self.process, self.bus, EVENTS_SECONDS),  # type: ignore[arg-type]
            self.policy,
            None,
            lambda: self.process.now,
        )

    def run(self, random: Random) -> None:
        """Run to the end, and two sweeps of the schedule beyond it; the last one without a crash."""
        namespace = app.metrics.provider.namespace or "bench"
        with (
            patch.object(app, "_wire", lambda: self._changes),
            patch.object(app.metrics.provider, "namespace", namespace),
            patch.object(app.logger, "info"),
        ):
            super().run(random)
            for crash in (self.process.crash, 0.0):
                self.process.crash = crash
                self.now += SWEEP_SECONDS
                self._invoke({}, self.now)

    def lags(self) -> list[float]:
        """Seconds from the write that made the last answer to the event with it, of each customer."""
        return [
            self.bus.last[customer][1] - at for customer, at in self.written_at.items() if customer in self.bus.last
        ]

    def lost(self) -> list[str]:
        """Return the customers whose last answer on the bus is not the decision on Stripe's last state."""
        return [customer for customer in self._customers() if not self._is_told(customer)]

    def _customers(self) -> Iterator[str]:
        return (f"cus_{number}" for number in range(self.subscriptions))

    def _is_told(self, customer: str) -> bool:
        held: MirroredCustomer = self.table.customer(customer)
        (item,) = held.subscriptions
        truth = read_subscription(self._state(item.subscription.id, self.events))
        decided = customer_access(customer, [item], now=self.process.now, policy=self.policy)
        known = self.bus.last.get(customer)
        return item.subscription == truth and known is not None and known[0].answer == plain(decided)

    def _stream(self, customer: str) -> None:
        self.written_at[customer] = self.now
        lane = int(customer[4:]) % len(self.lanes)
        change = {"Keys": {"customer_id": {"S": customer}}, "SequenceNumber": str(self.table.requests)}
        self.lanes[lane].append({"dynamodb": change})
        if not self._busy[lane]:
            self._busy[lane] = True
            self._at(self.now + POLL_SECONDS, lambda: self._take(lane))

    def _take(self, lane: int) -> None:
        """Give the function the next records of a lane; those that failed come again, those of a crash in halves."""
        waiting = self.lanes[lane]
        records = [waiting[index] for index in range(min(self._sizes[lane], len(waiting)))]
        if not records:
            self._busy[lane] = False
            return
        began = self.now
        answer = self._invoke({"Records": records}, began)
        ended = self.process.now
        if answer is None:
            self.attempts[id(records[0])] += 1
            if self.attempts[id(records[0])] > MOST_ATTEMPTS:
                raise AssertionError("Lambda would have given these records up")
            ended += RESTART_SECONDS
            self._sizes[lane] = max(1, len(records) // 2)
        else:
            failed = {each["itemIdentifier"] for each in answer["batchItemFailures"]}
            taken = next(
                (n for n, each in enumerate(records) if each["dynamodb"]["SequenceNumber"] in failed), len(records)
            )
            for _ in range(taken):
                waiting.popleft()
            self._sizes[lane] = BATCH
        self._at(max(ended, began + POLL_SECONDS), lambda: self._take(lane))

    def _invoke(self, event: Mapping[str, Any], now: float) -> dict[str, Any] | None:
        """Return the function's answer; `None` if its process ended."""
        self.process.now = now
        try:
            return app.handler(dict(event), _CONTEXT)
        except Crash:
            return None

    @staticmethod
    def _state(subscription_id: str, number: int) -> dict[str, Any]:
        state = Burst._state(subscription_id, number)  # noqa: SLF001
        ended = {"ended_at": START} if STATUSES[number % len(STATUSES)] == "canceled" else {}
        return state | {"status": STATUSES[number % len(STATUSES)]} | ended


_CONTEXT: Any = SimpleNamespace(
    function_name="access_changes",
    memory_limit_in_mb=512,
    invoked_function_arn="arn:aws:lambda:eu-west-1:123456789012:function:access_changes",
    aws_request_id="1",
    get_remaining_time_in_millis=lambda: 300_000,
)


def row(burst: AccessBurst, name: str, shards: int, crash: float) -> str:
    """Run a burst, and return a row of the table."""
    burst.run(burst.random)
    lags = burst.lags()
    lag: Sequence[str] = [f"{percentile(lags, share):.1f} s" for share in (0.5, 0.99, 1)]
    calls = burst.process.calls.total() / burst.subscriptions
    return (
        f"| {name} | {shards} | {crash:.1%} | {burst.process.crashes:,} | {burst.bus.published:,} | {calls:.1f} | "
        f"{', '.join(lag)} | {len(burst.lost())} |"
    )


def main() -> None:
    """Run the bursts, and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000)
    options = parser.parse_args()
    lines = [
        "| within a second | shards | crash at | crashes | published | calls each | lag, 50, 99, 100 % | lost |",
        "|---|---|---|---|---|---|---|---|",
    ]
    with Path(os.devnull).open("w") as nowhere:
        for each in (1, 5):
            for shards, crash in ((1, 0.0), (4, 0.0), (4, 0.005)):
                customers = options.events // each
                name = f"{each} event{'s' if each > 1 else ''} of {customers:,} customers"
                with redirect_stdout(nowhere):
                    lines.append(row(AccessBurst(customers, each, shards=shards, crash=crash), name, shards, crash))
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
