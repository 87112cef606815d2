"""Runs a history against the webhook's own code, in simulated time, switching between deliveries at every remote call.

There are no threads. The code under test runs until it makes a remote call whose answer is not there yet; there it is
broken off, and when the answer has come it runs again from the start, with the answers it had. So every interleaving of
remote calls can happen, and happens alike each time.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from heapq import heappop, heappush
from itertools import count
from typing import Any, Protocol

from stripe import WebhookSignature

from functions.webhook.receive import Receiver
from shared.errors import PortalError, Unavailable
from shared.mirror.intake import EventMirror, Intake
from shared.mirror.rule import Mirror, Outcome
from shared.mirror.table import MirroredSubscription, WritableTable, Write
from shared.stripe.gateway import SubscriptionRead
from shared.stripe.subscription import read_subscription
from tests.histories import Call, Delivery, History
from tests.history_events import SIGNING, KnownSecrets, NoDeadLetters, event_body

UNCERTAINTY = timedelta(seconds=3)
RETENTION = timedelta(days=400)

_CALM = Call()
_MOST_STEPS = 20_000


class Guard(EventMirror, Protocol):
    """What brings states into the table: the mirror, or a rule to compare it with."""

    def observe(self, found: SubscriptionRead) -> Outcome:
        """Bring in what was read without an event."""


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


@dataclass
class World:
    """Stripe, the clocks and the wires of one history, begun at `start` (Unix seconds)."""

    history: History
    start: int = field(default_factory=lambda: int(time.time()))
    now: float = 0.0
    answers: list[Answer] = field(default_factory=list)
    _replayed: int = 0
    _agenda: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _numbers: "count[int]" = field(default_factory=count)

    def run(self, guard: Guard) -> None:
        """Deliver everything until all was answered with 2xx."""
        for delivery in self.history.deliveries:
            self.at(delivery.at, Attempts(self, guard, delivery).begin)
        for _ in range(_MOST_STEPS):
            if not self._agenda:
                return
            self.now, _, act = heappop(self._agenda)
            act()
        raise AssertionError("The deliveries never end")

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

    def read(self, _subscription_id: str) -> SubscriptionRead:
        """Stripe's answer: the state of when the read took effect, dated when the answer ends."""
        answer = self.call(lambda: read_subscription(self.history.state_at(self.now)))
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

    def _call(self, effect: Callable[[], MirroredSubscription | None]) -> MirroredSubscription | None:
        found: MirroredSubscription | None = self.world.call(effect).value
        return found


def the_rule(world: World, table: WritableTable, *, uncertainty: timedelta = UNCERTAINTY) -> Mirror:
    """The mirror under test."""
    return Mirror(RemoteTable(world, table), world.read, uncertainty=uncertainty, retention=RETENTION)


class Attempts:
    """One delivery, from its arrival to its 2xx."""

    def __init__(self, world: World, guard: Guard, delivery: Delivery) -> None:
        secrets = KnownSecrets()
        intake = Intake(guard, lambda: secrets.get().livemode)
        self._receiver = Receiver(secrets, intake, NoDeadLetters(), lambda: self._clock)
        self._world, self._guard, self._delivery = world, guard, delivery
        self._body = event_body(world.history, delivery, world.start)
        self._calls = iter(delivery.calls)

    def begin(self) -> None:
        """The event arrives, signed anew."""
        signature = WebhookSignature.generate_signature_header(self._body.decode(), SIGNING, int(time.time()))
        self._headers = {"stripe-signature": signature}
        self._clock = self._world.start + self._world.now + self._delivery.clock_error
        self._answers: list[Answer] = []
        self._go_on()

    def _go_on(self) -> None:
        self._world.replay(self._answers)
        try:
            outcome = self._run()
        except Suspended as waiting:
            self._send(waiting.effect)
        except Unavailable:
            self._again()
        else:
            assert isinstance(outcome, Outcome), outcome

    def _run(self) -> str:
        if self._delivery.kind == "sweep":
            return self._guard.observe(self._world.read("sub_1"))
        return self._receiver.receive(self._body, self._headers).outcome

    def _send(self, effect: Callable[[], Any]) -> None:
        world, call = self._world, next(self._calls, _CALM)
        sent, results = world.now, list[Any]()
        learnt = sent + call.after if call.late else sent + call.before + call.after
        works = learnt + call.before if call.late else sent + call.before
        for when in (works, max(works, learnt))[: call.effects]:
            world.at(when, lambda: results.append(_result(effect)))
        world.at(learnt, lambda: self._learn(call, results, sent))

    def _learn(self, call: Call, results: list[Any], sent: float) -> None:
        if call.result == "crashed":
            self._again()
            return
        value = results[-1] if call.result == "answered" else Unavailable("stripe_unavailable", "The call failed")
        self._answers.append(Answer(value, sent, self._world.now))
        self._go_on()

    def _again(self) -> None:
        self._world.at(self._world.now + self._delivery.retry_after, self.begin)


def _result(effect: Callable[[], Any]) -> Any:
    try:
        return effect()
    except PortalError as error:
        return error
