"""Random histories of one subscription: what happened at Stripe, and all that befell the events that tell of it.

All times are seconds since the history began, in steps of 1/64 s: those are exact in binary, so a history runs alike at
whatever second it is started.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
# Each history draws from these what is usual in it, so that some are all bursts, and some all patience.
_GAPS = (0.5, 2.0, 4.0, 10.0)
_DELAYS = (0.125, 1.0, 4.0, 10.0, 30.0)
_WAITS = (0.0625, 2.0, 5.0, 10.0)
_CALM = (0.1, 0.5, 0.9)
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
    `settle_calls` befall it there.
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


@dataclass(frozen=True, slots=True)
class History:
    """Stripe's side, and the world between it and us."""

    changes: tuple[Change, ...]
    deliveries: tuple[Delivery, ...]

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


def make_history(
    random: Random,
    *,
    longest_lag: float = LONGEST_LAG,
    kinds: Sequence[Kind] = ("snapshot",),
) -> History:
    """One history; `longest_lag`: how far an event's time may be from that of its change."""
    changes = _changes(random)
    post = _Post(random, longest_lag, random.choice(_DELAYS), random.choice(_WAITS), random.choice(_CALM), kinds)
    deliveries = [
        delivery
        for number, change in enumerate(changes)
        for event in range(random.choice((1, 1, 1, 1, 2)))
        for delivery in post.deliveries(number, change, f"evt_{number}_{event}")
    ]
    return History(changes, tuple(deliveries))


def _changes(random: Random) -> tuple[Change, ...]:
    count, ends = random.randint(1, 8), random.random() < 0.3
    longest_gap = random.choice(_GAPS)
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
    longest_lag: float
    longest_delay: float
    longest_wait: float
    calm: float
    kinds: Sequence[Kind]

    def deliveries(self, number: int, change: Change, event_id: str) -> list[Delivery]:
        """An event's arrivals: its own, and duplicates."""
        random, created = self.random, int(change.at + _seconds(self.random, self.longest_lag))
        return [
            Delivery(
                # Every event is delivered; a sweep comes in addition.
                kind=random.choice(self.kinds if duplicate else [kind for kind in self.kinds if kind != "sweep"]),
                change=number,
                event_id=event_id,
                created=created,
                at=change.at + 1 / _STEPS + _seconds(random, self.longest_delay),
                clock_error=_seconds(random, 2.0) - 1,
                retry_after=0.25 + _seconds(random, self.longest_delay),
                calls=tuple(self._call() for _ in range(TROUBLED_CALLS)),
                queue_delay=_seconds(random, self.longest_delay),
                settle_calls=tuple(self._call() for _ in range(TROUBLED_CALLS)),
            )
            for duplicate in range(random.choice((1, 1, 1, 2, 3)))
        ]

    def _call(self) -> Call:
        random = self.random
        lag = random.choice((0.0, 1.0)) * _seconds(random, LONGEST_READ_LAG)
        if random.random() < self.calm:
            return Call(lag=lag)
        before, after = _seconds(random, self.longest_wait), _seconds(random, self.longest_wait)
        if random.random() < 0.75:
            return Call(before, after, random.choice((1, 1, 2)), lag=lag)
        result = random.choice(_FAILURES)
        return Call(before, after, random.choice((0, 1, 2)), result, late=random.random() < 0.5, lag=lag)


def _seconds(random: Random, most: float) -> float:
    return random.randrange(int(most * _STEPS) + 1) / _STEPS
