"""Runs a history against the webhook's own code, in simulated time, switching between deliveries at every remote call.

There are no threads. The code under test runs until it makes a remote call whose answer is not there yet; there it is
broken off, and when the answer has come it runs again from the start, with the answers it had. So every interleaving of
remote calls can happen, and happens alike each time.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from heapq import heappop, heappush
from itertools import count
from typing import Any, Protocol

from stripe import WebhookSignature

from functions.webhook.receive import Receiver
from functions.webhook.settle import Settler
from shared.errors import PortalError, Unavailable
from shared.mirror.intake import EventMirror, Intake
from shared.mirror.items import Beginnings, MirroredSubscription, Write
from shared.mirror.rule import Mirror, Outcome
from shared.mirror.settle_queue import QueuedEvent, SettleQueue
from shared.mirror.table import WritableTable
from shared.stripe.subscription import Subscription, read_subscription
from shared.stripe.subscription_read import LIST_LAG, READ_LAG, SubscriptionRead
from tests.histories import ENVIRONMENTS, Call, Delivery, History, begun_at
from tests.history_events import SIGNING, KnownSecrets, NoDeadLetters, event_body

UNCERTAINTY = timedelta(seconds=3)
RETENTION = timedelta(days=400)

_CALM = Call()
_MOST_STEPS = 10_000
# A list's copy lags so many times longer than that of a read.
_LIST_LAG = LIST_LAG / READ_LAG


class Guard(EventMirror, Protocol):
    """What brings states into the table: the mirror, or a rule to compare it with."""

    def observe(self, found: SubscriptionRead, *, is_fresh: bool = False) -> Outcome:
        """Apply what was read without an event."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a remote call answered (perhaps an error), when it was sent, and when the answer was complete."""

    value: Any
    sent: float
    at: float


class Suspended(BaseException):
    """The running code has to wait for this call; not an `Exception`, so that nothing under test catches it."""

    def __init__(self, effect: Callable[[], Any]) -> None:
        super().__init__()
        self.effect = effect


class NeverSettledError(AssertionError):
    """Some message comes again and again: the guard never takes it."""


@dataclass
class World:
    """Stripe, the clocks and the wires of one history, begun at `start` (Unix seconds)."""

    history: History
    start: int = field(default_factory=lambda: int(time.time()))
    now: float = 0.0
    answers: list[Answer] = field(default_factory=list)
    lag: float = 0.0
    is_deleted: bool = False
    _live: int = 0
    _replayed: int = 0
    _agenda: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _numbers: "count[int]" = field(default_factory=count)

    def run(self, make: Callable[[], Guard], expire: Callable[[], None] = lambda: None) -> None:
        """Deliver everything until all was answered with 2xx, and all that was queued is settled.

        `make` makes the guard of a new environment; `expire` deletes the item if it has ended.
        """
        receiving = make()
        self._settling = [make() for _ in range(ENVIRONMENTS)]
        for delivery in self.history.deliveries:
            self.at(delivery.at, Attempts(self, receiving, delivery).begin)
        for restart in self.history.restarts:
            self.at(restart.at, partial(self._restart, restart.environment, make))
        if self.history.expires_at is not None:
            self.at(self.history.expires_at, partial(self._expire, expire))
        for _ in range(_MOST_STEPS):
            if not self._agenda:
                return
            self.now, _, act = heappop(self._agenda)
            act()
        raise NeverSettledError

    def _restart(self, environment: int, make: Callable[[], Guard]) -> None:
        self._settling[environment] = make()

    def _expire(self, expire: Callable[[], None]) -> None:
        """Delete the item, once no message of a live state is under way: an item outlives them all by far."""
        if self._live:
            self.at(self.now + 10, partial(self._expire, expire))
            return
        expire()
        self.is_deleted = True

    def settling_guard(self, environment: int) -> Guard:
        """Return what applies events in a settling environment now."""
        return self._settling[environment]

    def opened(self, delivery: Delivery, *, by: int = 1) -> None:
        """Count a delivery or a message of a live state, or with `by` -1 that it is dealt with."""
        if delivery.kind == "sweep" or self.history.changes[delivery.change].snapshot["ended_at"] is None:
            self._live += by

    def is_right(self, items: Sequence[MirroredSubscription]) -> bool:
        """Whether the mirror is as Stripe is at last."""
        if not items:
            return self.is_deleted
        return [item.subscription for item in items] == [self.end()]

    def end(self) -> Subscription:
        """What Stripe has at last."""
        return read_subscription(begun_at(self.start, self.history.end))

    def _state_at(self, at: float) -> Subscription:
        return read_subscription(begun_at(self.start, self.history.state_at(at)))

    def at(self, when: float, act: Callable[[], None]) -> None:
        """Act at that time, after what was planned before for the same time."""
        heappush(self._agenda, (when, next(self._numbers), act))

    def replay(self, answers: list[Answer]) -> None:
        """The code that runs next has had these answers."""
        self.answers, self._replayed = answers, 0

    def call(self, effect: Callable[[], Any]) -> Answer:
        """The next remote call of the running code."""
        if self._replayed == len(self.answers):
            raise Suspended(effect)
        answer = self.answers[self._replayed]
        self._replayed += 1
        if isinstance(answer.value, PortalError):
            raise answer.value
        return answer

    def read(self, _subscription_id: str, times: float = 1) -> SubscriptionRead:
        """Stripe's answer: the state of when the read took effect, or of a little earlier, dated when it ends."""
        answer = self.call(lambda: self._state_at(max(0.0, self.now - times * self.lag)))
        return SubscriptionRead(answer.value, self.start + int(answer.at), answer.at - answer.sent)


@dataclass
class RemoteTable:
    """A table whose every request is a remote call of this world."""

    world: World
    table: WritableTable

    def get(self, customer_id: str, subscription_id: str) -> MirroredSubscription | None:
        return self._call(lambda: self.table.get(customer_id, subscription_id))

    def put_if_older(self, write: Write, than: int) -> MirroredSubscription | None:
        return self._call(lambda: self.table.put_if_older(write, than))

    def put_if_unchanged(self, write: Write, since: MirroredSubscription | None) -> MirroredSubscription | None:
        return self._call(lambda: self.table.put_if_unchanged(write, since))

    def add_beginnings(self, to: MirroredSubscription, beginnings: Beginnings) -> bool:
        added: bool = self.world.call(lambda: self.table.add_beginnings(to, beginnings)).value
        return added

    def _call(self, effect: Callable[[], MirroredSubscription | None]) -> MirroredSubscription | None:
        found: MirroredSubscription | None = self.world.call(effect).value
        return found


class RemoteQueue(SettleQueue):
    """The settle queue, as the world carries its messages."""

    def __init__(self, world: World, enqueue: Callable[[bytes, int], None]) -> None:
        self._world, self._enqueue = world, enqueue

    def keep(self, body: bytes, delay_seconds: int) -> None:
        self._world.call(lambda: self._enqueue(body, delay_seconds))

    def retry_later(self, event: QueuedEvent, *, at_least: float = 0) -> None:
        """The world says when it comes again."""


def the_rule(world: World, table: WritableTable, *, uncertainty: timedelta = UNCERTAINTY) -> Mirror:
    """The mirror under test."""
    return Mirror(RemoteTable(world, table), world.read, uncertainty=uncertainty, retention=RETENTION)


class Running:
    """Code under test that runs until it has succeeded, through every call that the world makes go wrong."""

    def __init__(self, world: World, delivery: Delivery, calls: Iterable[Call]) -> None:
        self._world, self._delivery, self._calls = world, delivery, iter(calls)
        world.opened(delivery)

    def begin(self) -> None:
        """Run it from its start."""
        self._clock = self._world.start + self._world.now + self._delivery.clock_error
        self._answers: list[Answer] = []
        self._go_on()

    def run(self) -> object:
        """The code; it raises `Unavailable` or `UnreadableEvent` to be run again."""
        raise NotImplementedError

    def clock(self) -> float:
        """The clock of the machine that runs it."""
        return self._clock

    def _go_on(self) -> None:
        self._world.replay(self._answers)
        try:
            outcome = self.run()
        except Suspended as waiting:
            self._send(waiting.effect)
        except Unavailable:
            self._again()
        else:
            assert isinstance(outcome, Outcome), outcome
            self._world.opened(self._delivery, by=-1)

    def _send(self, effect: Callable[[], Any]) -> None:
        world, call = self._world, next(self._calls, _CALM)
        sent, results = world.now, list[Any]()
        learnt = sent + call.after if call.late else sent + call.before + call.after
        works = learnt + call.before if call.late else sent + call.before

        def work() -> None:
            world.lag = call.lag
            results.append(_result(effect))

        for when in (works, max(works, learnt))[: call.effects]:
            world.at(when, work)
        world.at(learnt, lambda: self._learn(call, results, sent))

    def _learn(self, call: Call, results: list[Any], sent: float) -> None:
        if call.result == "crashed":
            self._again()
            return
        value = results[-1] if call.result == "answered" else Unavailable("mirror_unavailable", "The call failed")
        self._answers.append(Answer(value, sent, self._world.now))
        self._go_on()

    def _again(self) -> None:
        self._world.at(self._world.now + self._delivery.retry_after, self.begin)


class Attempts(Running):
    """One delivery, from its arrival to its 2xx."""

    def __init__(self, world: World, guard: Guard, delivery: Delivery) -> None:
        super().__init__(world, delivery, delivery.calls)
        self._guard = guard
        self._body = event_body(world.history, delivery, world.start)
        self._receiver = Receiver(
            KnownSecrets(),
            Intake(guard, lambda: False),
            RemoteQueue(world, self._enqueue),
            NoDeadLetters(),
            self.clock,
        )

    def run(self) -> object:
        if self._delivery.kind == "sweep":
            return self._guard.observe(self._page())
        # By the clock of the machine that receives it: how old a signature may be is no matter of the rule.
        signature = WebhookSignature.generate_signature_header(self._body.decode(), SIGNING, int(self.clock()))
        return self._receiver.receive(self._body, {"stripe-signature": signature}).outcome

    def _page(self) -> SubscriptionRead:
        """What a list says, which may lag much longer than a read of one subscription."""
        return replace(self._world.read("sub_1", times=_LIST_LAG), lag=LIST_LAG)

    def _enqueue(self, body: bytes, delay_seconds: int) -> None:
        world, delivery = self._world, self._delivery
        settling = Settling(world, delivery, body, sent=world.start + world.now)
        world.at(world.now + delay_seconds + delivery.queue_delay, settling.begin)


class Settling(Running):
    """One message of the settle queue, until it has left the queue."""

    def __init__(self, world: World, delivery: Delivery, body: bytes, *, sent: float) -> None:
        super().__init__(world, delivery, delivery.settle_calls)
        self._record = {
            "body": body.decode(),
            "receiptHandle": "",
            "attributes": {"SentTimestamp": str(int(sent * 1000)), "ApproximateReceiveCount": "1"},
        }

    def begin(self) -> None:
        """An environment takes the message."""
        guard = self._world.settling_guard(self._delivery.environment)
        self._settler = Settler(
            Intake(guard, lambda: False), RemoteQueue(self._world, lambda *_: None), NoDeadLetters(), self.clock
        )
        super().begin()

    def run(self) -> object:
        return self._settler.settle(self._record).outcome


def _result(effect: Callable[[], Any]) -> Any:
    try:
        return effect()
    except PortalError as error:
        return error
