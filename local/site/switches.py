"""What can be disturbed on the control room's page, what is tried with it, and what healed it."""

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import requests

from local.site.backend import Backend
from local.site.delivery_feed import ShownDelivery
from local.site.room import Room, RoomQueue
from local.site.session import SiteSession

_LONGEST_SECONDS = 240
_COMMAND_SECONDS = 300
_UNTIL_LIFTED = 1_000_000
# So much longer than EventClockUncertaintySeconds, and the webhook has long begun to settle what it cannot order.
_UNTIL_SETTLING = 30.0
_BURST = 1000

Place = Literal["simulator", "database", "queue"]
Effect = Literal["failed_delivery", "refused_read", "stalled_message", "settled"]


@dataclass(frozen=True, slots=True)
class Switch:
    """Something that can go wrong: `before` says what turning it on does, `healed_by` what repairs the mirror.

    To try it, each of `subscriptions` is changed `changes` times; it stays on until it has had its `effect` on them. A
    switch that is turned on only after the changes has `changes_first`.
    """

    name: str
    label: str
    before: str
    healed_by: str
    faults: Mapping[str, Any] = field(default_factory=dict)
    place: Place = "simulator"
    subscriptions: int = 2
    changes: int = 2
    effect: Effect | None = None
    changes_first: bool = False
    heals_itself: bool = True


def _failing(status: int) -> dict[str, Any]:
    failure = {"status": status, "times": _UNTIL_LIFTED, "method": "GET", "path": "/v1/subscriptions/"}
    return {"fail": [failure]}


SWITCHES = (
    Switch(
        "duplicate",
        "Duplicate",
        "Stripe sends every event three times.",
        "The mirror knows the event that it wrote last, and one read of Stripe settles the rest.",
        {"duplicate": 2},
    ),
    Switch(
        "reorder",
        "Reorder",
        "Stripe holds six events and sends them last first.",
        "No event is taken for newer because it came later: what cannot be ordered waits for one read of Stripe.",
        {"reorder": 6},
        subscriptions=1,
        changes=6,
    ),
    Switch(
        "delay",
        "Delay",
        "Stripe sends every event five seconds late. Until then the two sides differ.",
        "The events themselves, late: their own times decide, and not when they arrive.",
        {"delay_seconds": 5},
    ),
    Switch(
        "drop",
        "Drop",
        "Stripe loses events. Nothing tells the mirror, so the two sides differ until somebody compares them.",
        "Reconcile compares all with Stripe and writes what differs; Replay fetches what was not delivered. The "
        "nightly audit reports it.",
        {"drop": _UNTIL_LIFTED},
        subscriptions=3,
        changes=1,
        heals_itself=False,
    ),
    Switch(
        "ties",
        "Ties",
        "Three subscriptions are changed five times within a second or two: Stripe's event times are whole seconds, so "
        "nobody can order them.",
        "Ties wait for one read of Stripe, later than all of them.",
        subscriptions=3,
        changes=5,
    ),
    Switch(
        "slow",
        "Slow reads",
        "Every answer of Stripe's API is three seconds old when it arrives. This site's other pages get slow too.",
        "A read counts as of when it began, so an old answer never overwrites a newer event.",
        {"latency_seconds": 3},
        changes_first=True,
        effect="settled",
    ),
    Switch(
        "429",
        "Stripe 429",
        "Stripe refuses every read of a subscription: too many requests. Events that cannot be ordered stay queued.",
        "The settle queue: its messages came again after Stripe answered.",
        _failing(429),
        changes_first=True,
        effect="refused_read",
    ),
    Switch(
        "500",
        "Stripe 500",
        "Every read of a subscription fails at Stripe. Events that cannot be ordered stay in the queue.",
        "The settle queue: its messages came again after Stripe answered.",
        _failing(500),
        changes_first=True,
        effect="refused_read",
    ),
    Switch(
        "database",
        "Database refuses",
        "DynamoDB refuses every write. The webhook answers 503, because it has kept nothing.",
        "Stripe sent the events again, because the webhook never says 200 to what it has not kept.",
        place="database",
        effect="failed_delivery",
    ),
    Switch(
        "queue",
        "Queue stalled",
        "Nobody reads the settle queue. The mirror shows the likely state meanwhile.",
        "The settle queue: what waited in it was settled when it ran again.",
        place="queue",
        effect="stalled_message",
    ),
)
_BY_NAME = {switch.name: switch for switch in SWITCHES}


@dataclass(frozen=True, slots=True)
class Run:
    """A button that runs something of the project's own; `command` is that of `portal`."""

    name: str
    label: str
    before: str
    command: tuple[str, ...] = ()


RUNS = (
    Run(
        "burst", f"Burst of {_BURST:,} events", f"Changes subscriptions {_BURST:,} times, as fast as Stripe accepts it."
    ),
    Run(
        "audit",
        "Run the audit",
        "Runs the nightly audit, which also compares a part of the mirror, and mails its report.",
    ),
    Run(
        "replay",
        "Replay",
        "portal replay --apply: dead letters, and events that Stripe could not deliver.",
        ("replay", "--apply"),
    ),
    Run(
        "reconcile",
        "Reconcile",
        "portal reconcile --repair: compares all with Stripe, and writes what differs.",
        ("reconcile", "--repair"),
    ),
    Run("backfill", "Backfill", "portal backfill: fills the mirror from the whole account.", ("backfill",)),
)
_RUNS = {run.name: run for run in RUNS}


@dataclass(frozen=True, slots=True)
class Trial:
    """What runs or ran last: `says` is the latest about it, `output` what a command printed."""

    label: str
    says: str
    is_running: bool = True
    is_healed: bool = False
    output: str = ""


class Gone(Exception):
    """Raised when everything began again, or the stack stops, while something runs."""


class Switches:
    """Turns switches on and off, and runs one trial at a time."""

    def __init__(self, backend: Backend, session: SiteSession, room: Room) -> None:
        self._backend, self._session, self._room = backend, session, room
        self._beginning = session.beginning
        uncertainty = str(backend.template.parameters()["EventClockUncertaintySeconds"])
        self._until_settling = int(uncertainty) + _UNTIL_SETTLING
        self._left_on: set[str] = set()
        self._tried: str | None = None
        self._lock = threading.RLock()
        self._running = threading.Lock()
        self.trial: Trial | None = None
        if room.is_simulated:
            session.on_end(self._refuse_writes_no_longer)

    @property
    def left_on(self) -> frozenset[str]:
        """The names of the switches that somebody has left on."""
        return frozenset(self._left_on)

    def leave_on(self, name: str) -> None:
        """Turn a switch on until it is turned off. Raises `KeyError` for one that does not exist."""
        with self._lock:
            self._left_on.add(_BY_NAME[name].name)
            self._apply()

    def turn_off(self, name: str) -> None:
        """Turn a switch off. Raises `KeyError` for one that does not exist."""
        with self._lock:
            self._left_on.discard(_BY_NAME[name].name)
            self._apply()

    def try_out(self, name: str) -> None:
        """Turn a switch on, change something, turn it off, and wait for the mirror. Returns at once."""
        switch = _BY_NAME[name]
        self._start(switch.label, lambda: self._try_out(switch))

    def run(self, name: str) -> None:
        """Run something of the project's own. Returns at once. Raises `KeyError` for one that does not exist."""
        run = _RUNS[name]
        act = {"burst": self._burst, "audit": self._audit}.get(name, lambda: self._command(run))
        self._start(run.label, act)

    def _start(self, label: str, act: Callable[[], None]) -> None:
        if not self._running.acquire(blocking=False):
            return
        self.trial = Trial(label, "Beginning ...")

        def work() -> None:
            try:
                act()
            except Gone:
                self.trial = None
            except Exception as error:  # noqa: BLE001 - shown on the page
                self._end(f"It failed: {type(error).__name__}: {error}", is_healed=False)
            finally:
                self._running.release()

        threading.Thread(target=work, name="trial", daemon=True).start()

    def _say(self, says: str) -> None:
        self._check()
        if self.trial:
            self.trial = replace(self.trial, says=says)

    def _end(self, says: str, *, is_healed: bool, output: str = "") -> None:
        if self.trial:
            self.trial = Trial(self.trial.label, says, is_running=False, is_healed=is_healed, output=output)

    def _check(self) -> None:
        if self._session.closed.is_set() or self._session.beginning != self._beginning:
            raise Gone

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._check()
            time.sleep(0.1)

    def _try_out(self, switch: Switch) -> None:
        since = self._latest()
        try:
            if not switch.changes_first:
                self._turn(switch.name)
            self._say(f"{switch.before} Changing {switch.subscriptions} subscriptions.")
            self._change(switch.subscriptions, switch.changes)
            if switch.changes_first:
                self._turn(switch.name)
            self._say(switch.before)
            self._hold(switch, since)
        finally:
            self._turn(None)
        self._finish(since, switch.healed_by, heals_itself=switch.heals_itself)

    def _hold(self, switch: Switch, since: int) -> None:
        """Wait until the switch has had its effect, or nothing is left that it could have one on."""
        effects: dict[Effect, Callable[[], bool]] = {
            "settled": lambda: False,
            "failed_delivery": lambda: any(one.outcome == "failed" for one in self._deliveries(since)),
            "refused_read": self._has_refused_a_read,
            "stalled_message": lambda: any(queue.ready for queue in self._settle_queue()),
        }
        until = time.monotonic() + self._until_settling
        while switch.effect and not effects[switch.effect]() and time.monotonic() < until:
            if self._is_idle() and not self._settle_queue():
                break
            self._wait(0.2)

    def _deliveries(self, since: int) -> list[ShownDelivery]:
        self._room.feed.update()
        return self._room.feed.since(since)

    def _has_refused_a_read(self) -> bool:
        faults = requests.get(f"{self._backend.addresses.stripe_url}/_simulator/faults", timeout=10).json()
        return any(failure["times"] < _UNTIL_LIFTED for failure in faults["fail"])

    def _settle_queue(self) -> list[RoomQueue]:
        """Return the settle queue, if it has messages."""
        queues = self._room.queues()
        return [queue for queue in queues if queue.name == "SettleQueue" and (queue.ready or queue.waiting)]

    def _is_idle(self) -> bool:
        """Whether no event is on its way; an answer of the webhook that is a failure is followed by another attempt."""
        return requests.get(f"{self._backend.addresses.stripe_url}/_simulator/idle", {"timeout": 0.1}, timeout=10).ok

    def _finish(self, since: int, healed_by: str, *, heals_itself: bool = True) -> None:
        """Wait until both sides agree and nothing waits any more, and say what became of the events."""
        self._say("It is off again. Waiting until both sides agree ...")
        until = time.monotonic() + (_LONGEST_SECONDS if heals_itself else 0)
        while not (is_calm := self._is_calm()) and time.monotonic() < until:
            self._wait(0.3)
        state = self._room.look_again()
        happened = _in_words(self._room.feed.since(since))
        if is_calm and heals_itself:
            self._end(f"All {len(state.rows)} are in sync. {happened} What healed it: {healed_by}", is_healed=True)
        elif heals_itself:
            self._end(
                f"{state.in_sync} of {len(state.rows)} are in sync after {_LONGEST_SECONDS} s. {happened}",
                is_healed=False,
            )
        else:
            self._end(
                f"{state.in_sync} of {len(state.rows)} are in sync. {happened} What heals it: {healed_by}",
                is_healed=False,
            )

    def _is_calm(self) -> bool:
        # In this order: what is delivered is in the queue or in the mirror when these are looked at.
        if not self._is_idle() or self._settle_queue():
            return False
        state = self._room.look_again()
        return state.is_in_sync and not self._awaits_retry(state.deliveries)

    @staticmethod
    def _awaits_retry(deliveries: Sequence[ShownDelivery]) -> bool:
        newest: dict[str, ShownDelivery] = {}
        for one in deliveries:
            newest.setdefault(one.event, one)
        return any(one.next_retry for one in newest.values())

    def _latest(self) -> int:
        self._room.look()
        return self._room.feed.last

    def _turn(self, name: str | None) -> None:
        with self._lock:
            self._tried = name
            self._apply()

    def _apply(self) -> None:
        """Have exactly those switches on that somebody left on or that is being tried."""
        self._check()
        on = [switch for switch in SWITCHES if switch.name in {*self._left_on, self._tried}]
        faults: dict[str, Any] = {"fail": [failure for switch in on for failure in switch.faults.get("fail", ())]}
        for switch in on:
            faults |= {name: value for name, value in switch.faults.items() if name != "fail"}
        addresses = self._backend.addresses
        requests.post(f"{addresses.stripe_url}/_simulator/faults", json=faults, timeout=10).raise_for_status()
        refuses = any(switch.place == "database" for switch in on)
        requests.post(f"{addresses.aws_url}/_local", json={"refuse_writes": refuses}, timeout=10).raise_for_status()
        if any(switch.place == "queue" for switch in on):
            self._session.stalled.set()
        else:
            self._session.stalled.clear()

    def _refuse_writes_no_longer(self) -> None:
        requests.post(f"{self._backend.addresses.aws_url}/_local", json={"refuse_writes": False}, timeout=10)

    def _change(self, subscriptions: int, times: int) -> None:
        """Announce the end of subscriptions, and take that back, in turn."""
        targets = self._targets()[:subscriptions]
        ends = {raw["id"]: bool(raw["cancel_at"]) for raw in targets}
        for _ in range(times):
            ends = {name: not is_ending for name, is_ending in ends.items()}
            for name, is_ending in ends.items():
                self._check()
                self._backend.stripe.v1.subscriptions.update(name, {"cancel_at_period_end": is_ending})

    def _targets(self) -> list[dict[str, Any]]:
        found = [
            raw
            for raw in self._backend.subscriptions_at_stripe().subscriptions
            if raw["status"] == "active" and not raw["pause_collection"] and not raw["schedule"]
        ]
        if not found:
            raise RuntimeError("no subscription is active: begin again")
        return found

    def _burst(self) -> None:
        since = self._latest()
        targets = len(self._targets())
        for number in range(0, _BURST, 2 * targets):
            self._say(f"{number:,} of {_BURST:,} changes made.")
            self._change(targets, min(2, -(-(_BURST - number) // targets)))
        self._finish(
            since, "Nothing was lost: what the mirror has already is skipped, and reads of Stripe settle the rest."
        )

    def _audit(self) -> None:
        self._say("The audit reads the account.")
        self._backend.run_audit()
        self._end("The audit has run. Its mail is in the outbox.", is_healed=True)

    def _command(self, run: Run) -> None:
        self._say(run.before)
        command = [sys.executable, "-c", "from cli.main import main; main()", "--local", "--local-url"]
        done = subprocess.run(  # noqa: S603 - our own command
            [*command, self._backend.addresses.site_url, *run.command],
            capture_output=True,
            text=True,
            timeout=_COMMAND_SECONDS,
            check=False,
        )
        self._check()
        state = self._room.look_again()
        self._end(
            f"portal {' '.join(run.command)} ended with {done.returncode}. "
            f"{state.in_sync} of {len(state.rows)} are in sync.",
            is_healed=state.is_in_sync,
            output=f"{done.stdout}{done.stderr}".strip(),
        )


def _in_words(deliveries: Sequence[ShownDelivery]) -> str:
    counts = Counter(one.words for one in deliveries)
    if not counts:
        return "No event was delivered."
    return f"Deliveries: {', '.join(f'{count:,} {words}' for words, count in counts.most_common())}."
