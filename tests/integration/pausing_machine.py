"""Whatever customers, the team, Stripe, time and crashes do: the promise of a pause is kept.

Hypothesis chooses who acts, when, and what goes wrong with which request; the judge of `pausing_lab` looks at Stripe's
side after every step. Run it by hand for histories that nobody has tried:

    .venv/bin/python -m tests.integration.pausing_machine --histories 1000
"""

import sys
from argparse import ArgumentParser
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, Phase, settings
from hypothesis import seed as given_seed
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from shared.pausing.plan import Begin
from tests.integration.pausing_faults import Fault, FaultKind
from tests.integration.pausing_lab import DAY, HOUR, RULES, TICK, Lab
from tests.integration.pausing_world import TEAM

ZONES = ("UTC", "Europe/Paris", "America/New_York", "Pacific/Kiritimati", "Australia/Lord_Howe")
# Ordinary days, the ends of long and short months, and the days around the clocks' change in Europe and America.
STARTS = ("2027-02-01T10:00", "2027-01-31T23:58", "2028-01-30T03:00", "2027-03-13T06:30", "2027-09-29T22:00")
KINDS = ("subscription", "subscription", "subscription", "classic", "trial", "send_invoice")
# What may happen in the middle of a request: somebody else's, the schedule's, or something in the Dashboard.
MEANWHILE: dict[str, Callable[[Lab], object]] = {
    "pause": lambda lab: lab.pause(lab.day(60)),
    "pause now": lambda lab: lab.pause(lab.day(50), Begin.NOW),
    "resume": lambda lab: lab.resume(),
    "undo": lambda lab: lab.undo(),
    "release": lambda lab: lab.release(),
    "tick": lambda lab: lab.tick(),
    "look": lambda lab: lab.look(lab.subscription),
    "seconds": lambda lab: lab.go_to(lab.now + 10),
    "release in the Dashboard": lambda lab: lab.release_in_the_dashboard(),
    "collect in the Dashboard": lambda lab: lab.collect_in_the_dashboard(),
    "cancel": lambda lab: lab.cancel_in_the_portal(),
}


@dataclass(frozen=True)
class Planned:
    """A fault, and what overtakes or follows the request then."""

    kind: FaultKind
    meanwhile: str | None

    def at(self, lab: Lab) -> Fault:
        return Fault(self.kind, partial(MEANWHILE[self.meanwhile], lab)) if self.meanwhile else Fault(self.kind)


Plan = dict[int, Planned]


@st.composite
def faults(draw: Any) -> Plan:
    """What goes wrong with the requests of one operation, by their number: often nothing, mostly one of the first."""
    plan: Plan = {}
    for _ in range(draw(st.sampled_from((0, 0, 1, 1, 1, 2)))):
        first, kind = draw(st.integers(0, 12)), draw(st.sampled_from(FaultKind))
        meanwhile = draw(st.sampled_from(sorted(MEANWHILE))) if kind in {"overtaken", "followed"} else None
        # The library tries again once: only what fails twice is seen.
        for number in range(first, first + draw(st.sampled_from((1, 2, 4)))):
            plan[number] = Planned(kind, meanwhile)
    return plan


class PauseMachine(RuleBasedStateMachine):
    """One subscription, and everybody who acts on it."""

    lab: Lab

    @initialize(
        kind=st.sampled_from(KINDS),
        zone=st.sampled_from(ZONES),
        start=st.sampled_from(STARTS),
        interval=st.sampled_from(("month", "month", "week", "year")),
        far=st.sampled_from(("", "scheduled", "begun", "back", "waiting")),
    )
    def subscribe(self, kind: str, zone: str, start: str, interval: Any, far: str) -> None:
        now = int(datetime.fromisoformat(start).replace(tzinfo=UTC).timestamp())
        options: dict[str, Any] = {}
        if kind == "trial":
            options = {"trial_end": now + 20 * DAY}
        if kind == "send_invoice":
            options = {"collection_method": "send_invoice", "days_until_due": 30}
        mode = "classic" if kind == "classic" else "flexible"
        self.lab = Lab(now, ZoneInfo(zone), mode, interval, options)
        if far:
            end = datetime.fromtimestamp(self.lab.period_end, ZoneInfo(zone)).date()
            self.lab.pause(end + timedelta(days=40))
        if far in {"begun", "back", "waiting"}:
            self.lab.pass_time(self.lab.period_end - self.lab.now + DAY)
        if far == "waiting":
            self.lab.use_card("pm_card_chargeCustomerFail")
        if far in {"back", "waiting"} and self.lab.record:
            self.lab.pass_time(self.lab.record.resumes - self.lab.now + (2 * HOUR if far == "waiting" else -HOUR))

    # What people ask for.

    @rule(days=st.integers(0, 130), begin=st.sampled_from(Begin), is_team=st.booleans(), plan=faults())
    def pause(self, days: int, begin: Begin, plan: Plan, *, is_team: bool) -> None:
        options = {"customer": None, "actor": TEAM, "override": True} if is_team else {}
        self._disturbed(lambda: self.lab.pause(self.lab.day(days), begin, **options), plan)

    @rule(plan=faults())
    def resume(self, plan: Plan) -> None:
        self._disturbed(self.lab.resume, plan)

    @rule(plan=faults())
    def undo(self, plan: Plan) -> None:
        self._disturbed(self.lab.undo, plan)

    @rule(plan=faults())
    def release(self, plan: Plan) -> None:
        self._disturbed(self.lab.release, plan)

    @rule(plan=faults())
    def tick(self, plan: Plan) -> None:
        self.lab.go_to(self.lab.now + TICK)
        self._disturbed(self.lab.tick, plan)

    @rule(days=st.integers(0, 400), now=st.sampled_from(("credit", "forfeit", "never")))
    def change_the_rules(self, days: int, now: str) -> None:
        self.lab.rules = RULES.with_changes({"max_pause_days": days, "pause_now": now})

    # What happens at Stripe.

    @rule(card=st.sampled_from(("pm_card_visa", "pm_card_visa", "pm_card_chargeCustomerFail", "")))
    def use_a_card(self, card: str) -> None:
        if card:
            self.lab.use_card(card)
        else:
            self.lab.detach_cards()

    @rule(
        what=st.sampled_from(
            (
                "release",
                "collect",
                "resume",
                "pause",
                "schedule",
                "cancel",
                "withdraw",
                "week",
                "month",
                "year",
                "end",
                "pay",
            )
        )
    )
    def act_elsewhere(self, what: str) -> None:
        lab = self.lab
        match what:
            case "release":
                lab.release_in_the_dashboard()
            case "collect":
                lab.collect_in_the_dashboard()
            case "resume":
                lab.resume_in_the_dashboard()
            case "pause":
                lab.pause_in_the_dashboard()
            case "schedule":
                lab.schedule_in_the_dashboard()
            case "cancel" | "withdraw":
                lab.cancel_in_the_portal(withdraw=what == "withdraw")
            case "pay":
                lab.pay_what_is_open()
            case "end":
                lab.cancel_now()
            case _:
                lab.change_plan(what)

    # Time.

    @rule(
        seconds=st.sampled_from((60, TICK, HOUR, DAY, 4 * DAY, 9 * DAY, 31 * DAY)),
        ticks=st.sampled_from((True, True, False)),
    )
    def pass_time(self, seconds: int, *, ticks: bool) -> None:
        """The schedule may be down meanwhile."""
        self.lab.pass_time(seconds, ticks=ticks)

    @rule(
        what=st.sampled_from(("begins", "resumes", "next_charge", "period_end")),
        seconds=st.sampled_from((-1200, -301, -61, -5, 0, 1, 61)),
    )
    def go_near(self, what: str, seconds: int) -> None:
        """Go to a moment at which something changes, if it is not too far away."""
        record = self.lab.record
        moment = self.lab.period_end if what == "period_end" else getattr(record, what, 0)
        if self.lab.now < moment + seconds < self.lab.now + 200 * DAY:
            self.lab.pass_time(moment + seconds - self.lab.now)

    def _disturbed(self, act: Callable[[], object], plan: Plan) -> None:
        self.lab.disturbed(act, {number: fault.at(self.lab) for number, fault in plan.items()})

    @invariant()
    def judge(self) -> None:
        if hasattr(self, "lab"):
            self.lab.judge.look()

    def teardown(self) -> None:
        if hasattr(self, "lab") and sys.exc_info()[0] is None:
            self.lab.heal()
            record = self.lab.record
            assert record is None or record.state.is_settled or record.waiting, record
            self.lab.judge.can_cancel()


def try_histories(histories: int, *, steps: int, seed: int | None = None, is_shrunk: bool = False) -> None:
    """Try random histories of at most so many steps until one breaks a promise, which raises; a seed repeats them."""
    machine = PauseMachine if seed is None else given_seed(seed)(PauseMachine)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=histories,
            stateful_step_count=steps,
            deadline=None,
            derandomize=False,
            database=None,
            print_blob=False,
            report_multiple_bugs=False,
            phases=(Phase.generate, Phase.shrink) if is_shrunk else (Phase.generate,),
            suppress_health_check=list(HealthCheck),
        ),
    )


def main() -> None:
    """Try random histories until one breaks a promise: then print its steps, and end with 1."""
    parser = ArgumentParser(prog="python -m tests.integration.pausing_machine", description=main.__doc__)
    parser.add_argument("--histories", type=int, default=100)
    parser.add_argument("--steps", type=int, default=60, help="the most steps of one history (60)")
    parser.add_argument("--shrink", action="store_true", help="look for the shortest history that fails, for minutes")
    chosen = parser.parse_args()
    try_histories(chosen.histories, steps=chosen.steps, is_shrunk=chosen.shrink)


if __name__ == "__main__":
    main()
