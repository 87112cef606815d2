"""Random histories of one subscription: what happened at Stripe, and all that befell the events that tell of it.

All times are seconds since the history began, in steps of 1/64 s: those are exact in binary, so a history runs alike at
whatever second it is started.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Literal

from shared.stripe.subscription import is_collected, read_subscription

LONGEST_LAG = 2.5
# How far Stripe's answer to a read of one subscription may be behind.
LONGEST_READ_LAG = 2.0
STATUSES = ("active", "active", "active", "trialing", "past_due", "unpaid", "paused")
BEHAVIORS = ("void", "keep_as_draft", "mark_uncollectible")
# The first remote calls of a delivery, over all its attempts, may go wrong; the later ones go well.
TROUBLED_CALLS = 8

FIRST_PERIOD_END = 1_900_000_000
MONTH = 2_600_000

Kind = Literal["snapshot", "thin", "sweep"]

_STEPS = 64
# All our machines may agree on a wrong time; besides that, they differ by up to a second.
_CLOCKS_AHEAD = (0.0, 0.0, 15.0, -15.0)
# An event's time may be wrong by so much that it is ahead of every clock until the history is over.
FAR_AHEAD = 100_000
# DynamoDB deletes an ended item long after the last event with a live state; a message of its end may come even then.
EXPIRES_AFTER = 1000.0
ENVIRONMENTS = 2
_FAILURES: tuple[Literal["failed", "crashed"], ...] = ("failed", "crashed")


@dataclass(frozen=True, slots=True)
class Change:
    """From this time on the subscription is like this, in Stripe's JSON."""

    at: float
    snapshot: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """What befalls one remote call: it works after `before` (`effects` times, by a client's own retry), and the caller
    learns of it `after` that.

    `failed`: the caller gets an error, whether it worked or not; `crashed`: the caller is no more. `late`: it works
    only when the caller has long been told that it failed, or is no more. `lag`: the age of the state that a read
    finds.
    """

    before: float = 1 / _STEPS
    after: float = 1 / _STEPS
    effects: int = 1
    result: Literal["answered", "failed", "crashed"] = "answered"
    late: bool = False
    lag: float = 0.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """One arrival of an event, repeated until it is answered with 2xx.

    `clock_error` is that of the machine it arrives at. A `sweep` is no event: a backfill reads the subscription and
    applies what it found. An event that is queued comes out of the queue `queue_delay` later than it was to, and
    `settle_calls` befall it there, in one of the settling environments.
    """

    kind: Kind
    change: int
    event_id: str
    created: int
    at: float
    clock_error: float
    retry_after: float
    calls: tuple[Call, ...]
    queue_delay: float = 0.0
    settle_calls: tuple[Call, ...] = ()
    environment: int = 0


@dataclass(frozen=True, slots=True)
class Restart:
    """At this time a settling environment is replaced by a new one, which remembers nothing."""

    at: float
    environment: int


@dataclass(frozen=True, slots=True)
class History:
    """Stripe's side, and the world between it and us; at `expires_at` DynamoDB deletes the item, if it has ended."""

    changes: tuple[Change, ...]
    deliveries: tuple[Delivery, ...]
    restarts: tuple[Restart, ...] = ()
    expires_at: float | None = None

    def state_at(self, at: float) -> Mapping[str, Any]:
        """What Stripe had at that time."""
        return [change for change in self.changes if change.at <= at][-1].snapshot

    @property
    def end(self) -> Mapping[str, Any]:
        """What Stripe has at last."""
        return self.changes[-1].snapshot


def begun_at(start: int, snapshot: Mapping[str, Any]) -> dict[str, Any]:
    """Return the snapshot of a history that began at `start` (Unix seconds): Stripe dates a pause by its own clock."""
    if snapshot["status_details"] is None:
        return dict(snapshot)
    paused = snapshot["status_details"]["paused"]
    return {
        **snapshot,
        "status_details": {"paused": {**paused, "transitioned_at": start + paused["transitioned_at"]}},
    }


@dataclass(frozen=True, slots=True)
class TrueBeginnings:
    """What the mirror may say at last of when something began: each a set, because event times lag.

    `paused_since` and `past_due_since` are the times of the events that began it; `paid_through` is the end of the last
    period before the pause. `None` is in a set where nothing began.
    """

    paused_since: frozenset[int | None]
    past_due_since: frozenset[int | None]
    paid_through: frozenset[int | None]


def true_beginnings(history: History) -> TrueBeginnings:
    """Work out the truth from Stripe's side, where every event brings a snapshot and the subscription has not ended."""
    states = [read_subscription(change.snapshot) for change in history.changes]
    end = states[-1]
    began = _began(history, [not is_collected(state, at=0) for state in states])
    past_due_since = {created for created, _ in _began(history, [state.is_past_due for state in states])}
    is_paid = is_collected(end, at=0)
    # Stripe names the beginning of a pause of its own kind.
    stated = {change: states[change].paused_at for _, change in began}
    since = {created if stated[change] is None else stated[change] for created, change in began}
    return TrueBeginnings(
        frozenset({None} if is_paid else since),
        frozenset(past_due_since if end.is_past_due else {None}),
        frozenset({end.current_period_end} if is_paid else {states[k - 1].current_period_end for _, k in began}),
    )


def _began(history: History, is_so: Sequence[bool]) -> set[tuple[int, int]]:
    """Return the event times, each with its change, that can be taken for the last beginning of what is so."""
    begins = [number for number in range(1, len(is_so)) if is_so[number] and not is_so[number - 1]]
    times = {(each.created, each.change) for each in history.deliveries if each.change in begins}
    last = [created for created, change in times if change == begins[-1]] if begins else []
    stated = read_subscription(history.changes[begins[-1]].snapshot).paused_at if begins else None
    first = min([*last, *([] if stated is None else [stated])], default=0)
    return {(created, change) for created, change in times if created >= first}


@dataclass(frozen=True, slots=True)
class Pace:
    """What is usual in a history, in seconds.

    `gap`: between changes; `delay`: of deliveries and messages; `wait`: of remote calls; `calm`: the share of calls
    that nothing befalls.
    """

    gap: float
    delay: float
    wait: float
    calm: float


def _pace(random: Random) -> Pace:
    """Some histories are all bursts, some all patience, in some every read is slow, and some have a bit of each."""
    match random.randrange(4):
        case 0:
            return Pace(random.choice((0.5, 2.0)), 0.125, 0.0625, 0.9)
        case 1:
            return Pace(10.0, 30.0, 20.0, 0.3)
    return Pace(
        random.choice((0.5, 2.0, 4.0, 10.0)),
        random.choice((0.125, 1.0, 4.0, 10.0, 30.0)),
        random.choice((0.0625, 2.0, 5.0, 10.0)),
        random.choice((0.1, 0.5, 0.9)),
    )


@dataclass(frozen=True, slots=True)
class Conditions:
    """How wrong the world may be, in seconds.

    `lag`: how far an event's time may be from that of its change; with `far_ahead` some are later than that by a day.
    `read_lag`: how far Stripe's answer to a read may be behind; that of a list, five times as far. `ends`: how many
    histories end with the subscription. `scenes`: whether some histories are set up for what rarely meets by chance.
    """

    lag: float = LONGEST_LAG
    read_lag: float = LONGEST_READ_LAG
    ends: float = 0.3
    far_ahead: bool = True
    scenes: bool = True


WITHIN_LIMITS = Conditions()
NOTHING_FAR_AHEAD = Conditions(far_ahead=False)
# The mirror may be wrong then while the subscription lives, and never about its end.
BEYOND_LIMITS = Conditions(lag=60.0, read_lag=60.0, ends=1.0, scenes=False)


def make_history(
    random: Random, conditions: Conditions = WITHIN_LIMITS, *, kinds: Sequence[Kind] = ("snapshot",)
) -> History:
    """Return one history, whose events are of these kinds."""
    if conditions.scenes and random.random() < 0.1:
        return random.choice((_slow_read, _old_copy, _lost_write))(random, kinds)
    pace = _pace(random)
    changes = _changes(random, conditions, pace.gap)
    post = _Post(random, conditions, pace, random.choice(_CLOCKS_AHEAD), kinds)
    deliveries = [
        delivery
        for number, change in enumerate(changes)
        for event in range(random.choice((1, 1, 1, 1, 2)))
        for delivery in post.deliveries(number, change, f"evt_{number}_{event}")
    ]
    if "sweep" in kinds:
        deliveries += [post.sweep(changes[-1].at + 15.0) for _ in range(random.choice((0, 1, 2, 4)))]
    expires_at = None
    if changes[-1].snapshot["ended_at"] is not None and random.random() < 0.3:
        expires_at = EXPIRES_AFTER + _seconds(random, 10.0)
        late = post.deliveries(len(changes) - 1, Change(EXPIRES_AFTER, changes[-1].snapshot), "evt_late")
        deliveries += [replace(each, created=int(changes[-1].at) + 1) for each in late]
    return History(changes, tuple(deliveries), post.restarts(changes[-1].at + 60.0), expires_at)


def _slow_read(random: Random, _kinds: Sequence[Kind]) -> History:
    """Two events are settled by a slow read, and a third change happens meanwhile, whose event comes after that."""
    second = _seconds(random, 2.0)
    third = second + 7.5 + _seconds(random, 4.0)
    changes = _changes_at(random, (0.0, second, third))
    slow = (Call(), Call(after=5.0 + _seconds(random, 10.0)))
    return History(
        changes,
        (
            _plain_delivery("snapshot", 0, changes, at=0.25),
            _plain_delivery("snapshot", 1, changes, at=second + 0.25, settle_calls=slow),
            _plain_delivery("snapshot", 2, changes, at=third + 5.0 + _seconds(random, 15.0)),
        ),
    )


def _old_copy(random: Random, kinds: Sequence[Kind]) -> History:
    """Our clocks are ahead, so an event is settled at once, by a read from the oldest copy that there may be."""
    changes = _changes_at(random, (0.0, 5.0 + _seconds(random, 2.0), 7.0 + _seconds(random, 2.0)))
    last = changes[2].at
    old = tuple(Call(lag=LONGEST_READ_LAG) for _ in range(TROUBLED_CALLS))
    late = last + _seconds(random, 3.0)
    if "thin" in kinds:
        hasty = _plain_delivery("thin", 2, changes, at=late, clock_error=15.0, settle_calls=old)
        return History(changes, (_plain_delivery("snapshot", 0, changes, at=0.25), hasty))
    hasty = _plain_delivery("snapshot", 1, changes, at=late, clock_error=15.0, settle_calls=old)
    return History(changes, (hasty, _plain_delivery("snapshot", 2, changes, at=last + 1 / _STEPS)))


def _lost_write(random: Random, kinds: Sequence[Kind]) -> History:
    """The last event is read, but the write of what was read fails."""
    last = _seconds(random, 30.0)
    changes = _changes_at(random, (0.0, last))
    kind = random.choice([kind for kind in kinds if kind != "sweep"])
    calls = (Call(), Call(effects=0, result=random.choice(_FAILURES)))
    return History(
        changes,
        (
            _plain_delivery("snapshot", 0, changes, at=0.25),
            _plain_delivery(kind, 1, changes, at=last + _seconds(random, 5.0), settle_calls=calls),
        ),
    )


def _changes_at(random: Random, times: Sequence[float]) -> tuple[Change, ...]:
    changes = [Change(times[0], _snapshot(0))]
    for number, at in enumerate(times[1:], start=1):
        changes.append(Change(at, _changed(random, changes[-1].snapshot, number, at, ends=False)))
    return tuple(changes)


def _plain_delivery(  # noqa: PLR0913 - keywords, each a part of the delivery
    kind: Kind,
    change: int,
    changes: Sequence[Change],
    *,
    at: float,
    clock_error: float = 0.0,
    settle_calls: tuple[Call, ...] = (),
) -> Delivery:
    """Return a delivery that nothing befalls before it is settled; its event's time is that of the change."""
    created = int(changes[change].at)
    return Delivery(kind, change, f"evt_{change}_0", created, at, clock_error, 1.0, (), settle_calls=settle_calls)


def _changes(random: Random, conditions: Conditions, longest_gap: float) -> tuple[Change, ...]:
    count, ends = random.randint(1, 8), random.random() < conditions.ends
    if conditions.ends == 1.0:
        count = max(2, count)
    at, snapshot, changes = 0.0, _snapshot(0, items=random.choice((1, 1, 1, 1, 12))), []
    for number in range(count):
        if number:
            at += random.choice((0.0, 1.0, 1.0)) * _seconds(random, longest_gap)
            snapshot = _changed(random, snapshot, number, at, ends=ends and number == count - 1)
        changes.append(Change(at, snapshot))
    return tuple(changes)


def _snapshot(number: int, *, items: int = 1, period_end: int = FIRST_PERIOD_END) -> dict[str, Any]:
    """`number` makes every state another: no two changes leave the same."""
    price = {
        "id": "price_1",
        "product": "prod_1",
        "currency": "eur",
        "unit_amount": 1200,
        "recurring": {"interval": "month"},
    }
    return {
        "id": "sub_1",
        "object": "subscription",
        "customer": "cus_1",
        "status": "active",
        "livemode": False,
        "pause_collection": None,
        "status_details": None,
        "ended_at": None,
        "items": {
            "data": [
                {"id": f"si_{item}", "quantity": number + 1, "price": price, "current_period_end": period_end}
                for item in range(items)
            ]
        },
    }


def _changed(random: Random, before: Mapping[str, Any], number: int, at: float, *, ends: bool) -> dict[str, Any]:
    """The next state: its status, either pause, its period, and always its quantity."""
    items = before["items"]["data"]
    after, period_end = dict(before), items[0]["current_period_end"]
    if ends:
        after |= {"status": random.choice(("canceled", "incomplete_expired")), "ended_at": 1_800_000_000 + int(at)}
    else:
        if random.random() < 0.5:
            after["status"] = random.choice(STATUSES)
        if random.random() < 0.3:
            pause = {"behavior": random.choice(BEHAVIORS), "resumes_at": None}
            after["pause_collection"] = None if before["pause_collection"] else pause
        paused = {"transitioned_at": int(at), "subscription": {"type": "pause_requested"}}
        began = before["status_details"] or {"paused": paused}
        after["status_details"] = began if after["status"] == "paused" else None
        if after["status"] == "paused" != before["status"]:
            period_end = 1_800_000_000 + int(at)  # Stripe cuts the period when it pauses
        elif after["status"] != "paused" and random.random() < 0.3:
            period_end = FIRST_PERIOD_END + number * MONTH
    return after | {"items": _snapshot(number, items=len(items), period_end=period_end)["items"]}


@dataclass(frozen=True, slots=True)
class _Post:
    """How events travel in one history."""

    random: Random
    conditions: Conditions
    pace: Pace
    clocks_ahead: float
    kinds: Sequence[Kind]

    def deliveries(self, number: int, change: Change, event_id: str) -> list[Delivery]:
        """An event's arrivals: its own, and duplicates."""
        random, created = (
            self.random,
            int(change.at + self.random.choice((0.0, _seconds(self.random, self.conditions.lag)))),
        )
        if self.conditions.far_ahead and random.random() < 0.03:
            created += FAR_AHEAD
        events = [kind for kind in self.kinds if kind != "sweep"]
        return [
            self._delivery(random.choice(events), number, event_id, created, change.at + 1 / _STEPS)
            for _ in range(random.choice((1, 1, 1, 2, 3)))
        ]

    def sweep(self, until: float) -> Delivery:
        """Return a sweep at any time until then."""
        return self._delivery("sweep", 0, "", 0, _seconds(self.random, until))

    def restarts(self, until: float) -> tuple[Restart, ...]:
        """Return a few restarts until then."""
        random = self.random
        return tuple(
            Restart(_seconds(random, until), random.randrange(ENVIRONMENTS)) for _ in range(random.choice((0, 0, 1, 3)))
        )

    def _delivery(self, kind: Kind, change: int, event_id: str, created: int, begin: float) -> Delivery:
        random = self.random
        return Delivery(
            kind,
            change,
            event_id,
            created,
            at=begin + self._delay(),
            clock_error=self.clocks_ahead + _seconds(random, 2.0) - 1,
            retry_after=0.25 + self._delay(),
            calls=tuple(self._call() for _ in range(TROUBLED_CALLS)),
            queue_delay=self._delay(),
            settle_calls=tuple(self._call() for _ in range(TROUBLED_CALLS)),
            environment=random.randrange(ENVIRONMENTS),
        )

    def _delay(self) -> float:
        return self.random.choice((0.0, _seconds(self.random, self.pace.delay)))

    def _wait(self) -> float:
        return self.random.choice((1 / _STEPS, _seconds(self.random, self.pace.wait)))

    def _call(self) -> Call:
        random = self.random
        lag = random.choice((0.0, _seconds(random, self.conditions.read_lag), self.conditions.read_lag))
        if random.random() < self.pace.calm:
            return Call(lag=lag)
        before, after = self._wait(), self._wait()
        if random.random() < 0.75:
            return Call(before, after, random.choice((1, 1, 2)), lag=lag)
        result = random.choice(_FAILURES)
        return Call(before, after, random.choice((0, 1, 2)), result, late=random.random() < 0.5, lag=lag)


def _seconds(random: Random, most: float) -> float:
    return random.randrange(int(most * _STEPS) + 1) / _STEPS
