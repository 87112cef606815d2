"""Whatever customers, the team, Stripe, time and crashes do: the promise of a pause is kept.

No money and no service between its beginning and its return; service to the end of the paid time before; whatever is
begun is finished; and the history has all of it.
"""

import os
from contextlib import ExitStack
from typing import Any

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from shared.pausing.history import PauseRecord, PauseState, PauseTable
from shared.pausing.plan import MARGIN, Begin
from tests.integration.dynamodb_fixtures import Subscriptions
from tests.integration.pausing_world import DAY, OPEN, TEAM, Crashed, Outcome, Watcher, World, pauses
from tests.integration.simulator_fixtures import Server, server

__all__ = ["pauses", "server"]

EXAMPLES = int(os.environ.get("PAUSE_EXAMPLES", "4"))
# Without shrinking, which takes minutes with real requests; a failure prints its steps.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
OVER = {"undone", "resumed", "released", "canceled", "ended_elsewhere"}
MARGIN_SECONDS = int(MARGIN.total_seconds())


class PauseMachine(RuleBasedStateMachine):
    """One subscription. `ended_at`: when somebody has asked for the end of the pause that is running."""

    server: Server
    table: PauseTable
    subscriptions: Subscriptions

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.world = World(self.stack.enter_context(self.server.simulator()), self.table)
        self.watcher = Watcher(self.world, self.subscriptions.table())
        self.subscription = ""
        self.windows: dict[str, tuple[int, int]] = {}
        self.ended_at: dict[str, int] = {}
        self.was_touched = self.is_declined = False

    def teardown(self) -> None:
        if self.subscription:
            self._is_finished_by_ticks()
        self.stack.close()

    @initialize(mode=st.sampled_from(["flexible", "classic"]))
    def subscribe(self, mode: str) -> None:
        self.subscription = self.world.subscribe(mode=mode)

    # What people do.

    @rule(days=st.integers(1, 130), begin=st.sampled_from(Begin), is_team=st.booleans(), crash=st.integers(-12, 8))
    def pause(self, days: int, begin: Begin, *, is_team: bool, crash: int) -> None:
        policy = OPEN.with_changes({"pause_now": "credit", "max_pause_days": 100})
        options: dict[str, Any] = {"policy": policy}
        if is_team:
            options |= {"customer": None, "actor": TEAM, "override": True}
        self._act(lambda: self.world.pause(self.subscription, self.world.day(days), begin, **options), crash)

    @rule(action=st.sampled_from(["resume", "undo", "release"]), crash=st.integers(-12, 8))
    def end(self, action: str, crash: int) -> None:
        if action != "undo" and (record := self._record()):
            self.ended_at.setdefault(record.operation_id, self.world.now)
        self._act(lambda: getattr(self.world, action)(self.subscription), crash)

    def _act(self, act: Any, crash: int) -> None:
        self.world.crash_at = crash if crash >= 0 else None
        try:
            result = act()
            assert result.outcome in Outcome
            assert result.outcome is not Outcome.REFUSED or result.refusals
        except Crashed:
            pass
        finally:
            self.world.crash_at = None

    # What Stripe, and people in the Dashboard, do.

    @precondition(lambda self: not self.is_declined)
    @rule()
    def decline(self) -> None:
        self._use_card("pm_card_chargeCustomerFail")
        self.is_declined = True

    @precondition(lambda self: self.is_declined)
    @rule()
    def accept(self) -> None:
        self._use_card("pm_card_visa")
        self.is_declined = False

    def _use_card(self, card: str) -> None:
        method = self.world.stripe.v1.payment_methods.attach(card, {"customer": self.world.customer}).id
        settings_: Any = {"invoice_settings": {"default_payment_method": method}}
        self.world.stripe.v1.customers.update(self.world.customer, settings_)

    @rule()
    def change_in_the_dashboard(self) -> None:
        """Take away whatever keeps it paused."""
        raw = self.world.read(self.subscription)
        if record := self._record():
            self.ended_at.setdefault(record.operation_id, self.world.now)
        if raw["schedule"]:
            self.world.stripe.v1.subscription_schedules.release(raw["schedule"])
        elif raw["pause_collection"] and raw["status"] != "canceled":
            self.world.stripe.v1.subscriptions.update(self.subscription, {"pause_collection": ""})

    @rule(days=st.integers(20, 60))
    def cancel(self, days: int) -> None:
        """Rarely: nothing happens after it."""
        if days == 42:
            self.world.stripe.v1.subscriptions.cancel(self.subscription)

    # Time.

    @rule(seconds=st.sampled_from([60, 600, 3600, DAY, 9 * DAY, 31 * DAY]), ticks=st.booleans())
    def pass_time(self, seconds: int, *, ticks: bool) -> None:
        """Stripe does everything when it is due; the schedule may be down meanwhile."""
        until = self.world.now + seconds
        while self.world.now < until:
            record, now = self._record(), self.world.now
            moments = [record.begins, record.resumes, record.next_charge] if record else []
            moments.append(self.world.period_end(self.subscription))
            ahead = [each + late for each in moments for late in (1, MARGIN_SECONDS + 1) if each + late > now]
            self.world.go_to(min([until, *ahead]))
            self._watch()
            if ticks:
                # The schedule comes every five minutes, so what is due at once is done within them.
                self.world.tick(self.subscription)
                self._watch()

    @rule()
    def tick(self) -> None:
        self.world.go_to(self.world.now + 300)
        self.world.tick(self.subscription)

    # The promise.

    def _record(self) -> PauseRecord | None:
        return self.world.table.get(self.subscription)

    @invariant()
    def promise(self) -> None:
        if self.subscription:
            self._watch()

    def _watch(self) -> None:
        record, now, raw = self._record(), self.world.now, self.world.read(self.subscription)
        access = self.watcher.access(self.subscription)
        self._never_both(record, raw)
        self._history_is_complete()
        if record is None or raw["status"] == "canceled":
            return
        is_promised = record.state in {PauseState.SCHEDULED, PauseState.PAUSED, PauseState.CHANGING}
        if is_promised and record.operation_id not in self.ended_at:
            # No service before the money comes again, but for the margin.
            self.windows[record.operation_id] = (record.begins, record.next_charge - MARGIN_SECONDS)
        for operation, (begins, resumes) in self.windows.items():
            ends = min(resumes, self.ended_at.get(operation, resumes))
            charged = [each for each in self.world.charges(self.subscription) if begins < each < ends]
            assert charged == [], "charged in a pause"
            is_this = operation == record.operation_id and (record.state.is_open or record.outcome == "resumed")
            if is_this and begins < now < ends:
                assert not access.granted, f"served in a pause: {access.reason}"
        before = now < record.begins and record.begin == Begin.PERIOD_END
        if before and raw["status"] == "active" and record.state.is_open:
            assert access.granted, f"service stopped before the paid time ended: {access.reason}"

    def _never_both(self, record: PauseRecord | None, raw: dict[str, Any]) -> None:
        has_collection = raw["pause_collection"] is not None
        assert not (has_collection and (raw["schedule"] or raw["status"] == "paused"))
        if record and record.state in {PauseState.ENDED, PauseState.FAILED} and raw["status"] != "canceled":
            assert raw["schedule"] is None
            assert not has_collection

    def _history_is_complete(self) -> None:
        entries = self.world.history(self.subscription)
        for operation in {entry.operation_id for entry in entries}:
            actions = [entry.action.value for entry in entries if entry.operation_id == operation]
            assert actions.count("set") <= 1
            assert actions[0] in {"set", "failed"}
            assert actions.count("begun") <= 1
            # One that was released has ended, and ends once more when it is resumed.
            ends = [action for action in actions if action in OVER]
            assert len(ends) <= 1 or ends[0] == "released"
        if (record := self._record()) and record.state is PauseState.ENDED:
            assert any(entry.operation_id == record.operation_id and entry.action in OVER for entry in entries)

    def _is_finished_by_ticks(self) -> None:
        """The tick after the lease finishes whatever is open, unless the customer has to pay first."""
        for _ in range(2):
            self.world.go_to(self.world.now + 600)
            self.world.tick(self.subscription)
            self._watch()
        record = self._record()
        assert record is None or record.state.is_settled or record.waiting


def test_the_promise_is_kept_whatever_happens(server: Server, pauses: PauseTable, subscriptions: Subscriptions) -> None:
    PauseMachine.server, PauseMachine.table, PauseMachine.subscriptions = server, pauses, subscriptions
    run_state_machine_as_test(
        PauseMachine,
        settings=settings(max_examples=EXAMPLES, stateful_step_count=15, deadline=None, phases=PHASES),
    )
