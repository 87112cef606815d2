"""A subscription and everybody who acts on it, in this process and by one clock, and a judge of what they may see.

The judge reads the simulated account itself: its invoices, its statuses and what they cover. It compares them with what
the customer was told, and never asks our own table whether something was right.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from email import message_from_bytes, policy
from functools import lru_cache, partial
from typing import Any, Literal

import stripe

from functions.pause.look import Brand, shown
from functions.pause.notices import Notices
from local.stripe_simulator.resources.passing_time import advance
from local.stripe_simulator.store import Clock
from shared.access import AccessPolicy, subscription_access
from shared.deadline import deadline
from shared.errors import PortalError, Unavailable
from shared.mirror.rule import Mirror
from shared.pausing.at_stripe import StripePauses
from shared.pausing.history import CUSTOMER, HistoryEntry, PauseAction, PauseRecord, PauseState, PauseTable
from shared.pausing.operations import Outcome, PauseResult, Pausing
from shared.pausing.plan import LEAD, MARGIN, Begin, PauseRequest
from shared.pausing.policy import PausePolicy
from shared.stripe.events import SnapshotEvent, read_event, subscription_event
from shared.stripe.gateway import read_from_stripe
from tests.fakes import FakeTable
from tests.integration.pausing_faults import Crashed, FakeDynamoDb, FakeSes, Fault, Faults, FaultyTransport
from tests.integration.pausing_world import LINKS
from tests.simulator_in_process import SimulatorInProcess

DAY, HOUR, QUARTER = 86_400, 3_600, 900
TICK = 300
MARGIN_SECONDS, LEAD_SECONDS = int(MARGIN.total_seconds()), int(LEAD.total_seconds())
# The webhook's queue settles what it cannot order within this time.
SETTLED_AFTER = 90
# After its moment a charge is a draft for an hour, and a tick may come five minutes late.
AT_THE_LATEST = 2 * HOUR
OVER = {"undone", "resumed", "released", "canceled", "ended_elsewhere"}
RULES = PausePolicy(pause_allowed="everybody", pause_now="credit", max_pause_days=100)


class StoppedClock(Clock):
    """Time that passes only when it is told to."""

    def set(self, now: float | None) -> None:
        self._now = int(now or 0)

    def now(self) -> int:
        return self._now


@dataclass
class Promise:
    """What the customer was told of a pause: nothing is charged, and nothing served, from `begins` to `ends`."""

    kind: str
    begin: str
    begins: int
    ends: int
    since: int
    is_over: bool = False


@dataclass
class Lab:
    """One customer's subscription; `now` is the time of everybody (Unix seconds)."""

    now: int
    timezone: tzinfo = UTC
    mode: str = "flexible"
    interval: Literal["week", "month", "year"] = "month"
    options: Mapping[str, Any] = field(default_factory=dict)
    rules: PausePolicy = RULES

    def __post_init__(self) -> None:
        self.account = SimulatorInProcess(self.now)
        self.simulator = self.account.app.state.simulator
        self.simulator.clock = StoppedClock(self.now)
        self.faults = Faults()
        self.stripe = self.account.client()
        self.watched = stripe.StripeClient(
            "sk_test_1", http_client=FaultyTransport(self.account, self.faults), max_network_retries=1
        )
        dynamodb = FakeDynamoDb(self.faults)
        self.table: PauseTable = PauseTable(dynamodb, "Pauses")  # type: ignore[arg-type]  # as far as it is asked
        self.kept: PauseTable = PauseTable(dynamodb.undisturbed(), "Pauses")  # type: ignore[arg-type]
        self.ses = FakeSes(self.faults)
        product = self.account.create("products", {"name": "Gold"})
        self.prices = {name: self._price(product, name) for name in ("week", "month", "year")}
        self.customer = self.account.create(
            "customers", {"payment_method": "pm_card_visa", "email": "ada@example.com", "preferred_locales[0]": "en"}
        )
        wanted: Any = {
            "customer": self.customer,
            "items": [{"price": self.prices[self.interval]}],
            "billing_mode": {"type": self.mode},
            **self.options,
        }
        self.events: list[Any] = []
        self.calm_ticks: list[int] = []
        self.was_disturbed = False
        self.simulator.listeners.append(self.events.append)
        self.subscription = self.stripe.v1.subscriptions.create(wanted).id
        self.judge = Judge(self)

    def _price(self, product: str, interval: str) -> str:
        fields = {"product": product, "currency": "eur", "unit_amount": 1200, "recurring[interval]": interval}
        return self.account.create("prices", fields)

    # Our own functions.

    @property
    def pausing(self) -> Pausing:
        return Pausing(
            lambda: StripePauses(self.watched), self.table, self.timezone, lambda: self.now, lambda _seconds: None
        )

    @property
    def notices(self) -> Notices:
        return Notices(
            lambda: self.ses,  # type: ignore[arg-type,return-value]  # as far as it is asked
            lambda: self.watched,
            self.table,
            sender="Northwind <hello@shop.example>",
            brand=Brand("Northwind"),
            timezone=self.timezone,
            policy_of=lambda _group: self.rules,
            links=LINKS,
        )

    def request(self, act: Callable[[], PauseResult]) -> PauseResult | None:
        """Do what the function does for one request; `None` if it died, or nobody answered."""
        try:
            # A double click is not waited for: no time passes here.
            with deadline(2):
                result = act()
        except PortalError:
            return None
        self._notify(result.record)
        return result

    def disturbed(self, act: Callable[[], Any], plan: Mapping[int, Fault], **named: Fault) -> Any:
        """Act while things go wrong as planned; `None` if the process has died."""
        self.faults.begin(plan, named)
        self.was_disturbed = self.was_disturbed or bool(plan or named)
        try:
            return act()
        except Crashed:
            return None
        finally:
            self.faults.plan, self.faults.named = {}, {}

    def look(self, subscription: str) -> None:
        """Do what the schedule does for one pause that is due."""
        with suppress(PortalError), deadline(2):
            self._notify(self.pausing.follow(subscription))

    def tick(self) -> None:
        """Do what the schedule does."""
        if not self.faults.plan:
            self.calm_ticks.append(self.now)
        try:
            due = list(self.table.due(now=self.now))
        except PortalError:
            return
        for subscription in due:
            self.look(subscription)

    def _notify(self, record: PauseRecord | None) -> None:
        if record is not None:
            with suppress(PortalError):
                self.notices.send_due(record, now=self.now)

    # What the customer and the team ask for.

    def pause(self, on: date, begin: Begin = Begin.PERIOD_END, **options: Any) -> PauseResult | None:
        given: dict[str, Any] = {"customer": self.customer, "actor": CUSTOMER, "policy": self.rules} | options
        wanted = PauseRequest(on, begin, override=given.pop("override", False))
        asked = self.judge.asked_to_pause()
        since = self.now
        try:
            result = self.request(lambda: self.pausing.pause(self.subscription, wanted, **given))
        finally:
            self.judge.may_begin(begin, since)
        if self.judge.asked == asked:
            self.judge.answered_pause(wanted, result)
        return result

    def resume(self) -> PauseResult | None:
        self.judge.asked_to_resume()
        result = self.request(lambda: self.pausing.resume(self.subscription, customer=self.customer, actor=CUSTOMER))
        if not self.judge.may_resume:
            # A pause was asked for meanwhile: this may have ended it.
            self.judge.asked_to_resume()
        return result

    def undo(self) -> PauseResult | None:
        result = self.request(lambda: self.pausing.undo(self.subscription, customer=self.customer, actor=CUSTOMER))
        self.judge.answered_undo(result)
        return result

    def release(self) -> PauseResult | None:
        result = self.request(lambda: self.pausing.release(self.subscription, customer=self.customer, actor=CUSTOMER))
        self.judge.answered_release(result)
        return result

    # What others do at Stripe.

    def use_card(self, card: str) -> None:
        method = self.stripe.v1.payment_methods.attach(card, {"customer": self.customer}).id
        settings: Any = {"invoice_settings": {"default_payment_method": method}}
        self.stripe.v1.customers.update(self.customer, settings)

    def detach_cards(self) -> None:
        for each in self.stripe.v1.customers.payment_methods.list(self.customer).data:
            self.stripe.v1.payment_methods.detach(each.id)

    def pay_what_is_open(self) -> None:
        for invoice in self.invoices:
            if invoice["status"] == "open":
                with suppress(stripe.StripeError):
                    self.stripe.v1.invoices.pay(invoice["id"])

    def release_in_the_dashboard(self) -> None:
        if (schedule := self.raw["schedule"]) and not self.is_over:
            self.judge.somebody_else_acted()
            self.stripe.v1.subscription_schedules.release(schedule)

    def collect_in_the_dashboard(self) -> None:
        if self.raw["pause_collection"] and not self.is_over:
            self.judge.somebody_else_acted(gives_service=True)
            self.stripe.v1.subscriptions.update(self.subscription, {"pause_collection": ""})

    def resume_in_the_dashboard(self) -> None:
        if self.raw["status"] == "paused":
            self.judge.somebody_else_acted()
            with suppress(stripe.StripeError):
                self.stripe.v1.subscriptions.resume(self.subscription, {"billing_cycle_anchor": {"type": "now"}})

    def pause_in_the_dashboard(self) -> None:
        """Pause collection without an end; nobody does that to a subscription that shows a pause."""
        raw = self.raw
        if raw["status"] in {"active", "trialing"} and not raw["pause_collection"]:
            self.judge.somebody_else_acted()
            self.judge.is_paused_by_another = True
            self.stripe.v1.subscriptions.update(self.subscription, {"pause_collection": {"behavior": "void"}})

    def schedule_in_the_dashboard(self) -> None:
        """Attach a schedule that plans nothing."""
        if self.raw["schedule"] is None and not self.is_over:
            # A cancellation that is due is carried out first.
            with suppress(stripe.InvalidRequestError):
                made = self.stripe.v1.subscription_schedules.create({"from_subscription": self.subscription})
                self.judge.foreign_schedules.add(made.id)

    def cancel_now(self) -> None:
        if not self.is_over:
            self.judge.somebody_else_acted()
            self.stripe.v1.subscriptions.cancel(self.subscription)

    def cancel_in_the_portal(self, *, withdraw: bool = False) -> None:
        """At the end of the period, where Stripe allows it."""
        if not self.is_over:
            self.judge.somebody_else_acted()
            with suppress(stripe.InvalidRequestError):
                self.stripe.v1.subscriptions.update(self.subscription, {"cancel_at_period_end": not withdraw})

    def change_plan(self, interval: str) -> None:
        """Switch to another rhythm, billed at once as the portal does."""
        item = self.raw["items"]["data"][0]
        if item["price"]["id"] == self.prices[interval] or self.raw["status"] not in {"active", "trialing"}:
            return
        changes: Any = {
            "items": [{"id": item["id"], "price": self.prices[interval]}],
            "proration_behavior": "always_invoice",
        }
        self.judge.changed_plan()
        with suppress(stripe.StripeError):
            self.stripe.v1.subscriptions.update(self.subscription, changes)

    # Time.

    def go_to(self, moment: int) -> None:
        """Let Stripe do at its time what is due until a moment; nobody else does anything."""
        while True:
            entries = self.simulator.due_changes._entries
            due = entries[0][0] if entries else moment
            self.now = max(self.now, min(due, moment))
            self.simulator.clock.set(self.now)
            advance(self.simulator)
            if due >= moment:
                break
        self.simulator.clock.set(moment)
        self.now = moment
        advance(self.simulator)

    def pass_time(self, seconds: int, *, ticks: bool = True) -> None:
        """Let time pass, with a judge at each moment that matters."""
        until = self.now + seconds
        while self.now < until:
            entries = self.simulator.due_changes._entries
            moments = [until, *(entry[0] + late for entry in entries[:1] for late in (0, 1, SETTLED_AFTER))]
            record = self.kept.get(self.subscription)
            if record:
                of_pause = (record.begins, record.resumes, record.next_charge, record.next_charge - 3 * DAY)
                moments += [moment + late for moment in of_pause for late in (1, SETTLED_AFTER, MARGIN_SECONDS + 1)]
            if self.events:
                moments.append(self.events[0]["created"] + SETTLED_AFTER)
            retry_at = self._next_look(record) if ticks and record else None
            if retry_at:
                moments.append(max(retry_at, self.now + 1))
            self.go_to(min(moment for moment in moments if moment > self.now))
            self.judge.look()
            if retry_at and self.now >= retry_at:
                self.tick()
                self.judge.look()

    def _next_look(self, record: PauseRecord) -> int | None:
        """Return when the schedule has something to do: not each day, while a pause only waits."""
        ahead = [record.begins, record.resumes - QUARTER, record.resumes, record.next_charge - 4 * DAY]
        soon = min((moment + 60 for moment in ahead if moment + 60 > self.now), default=None)
        return max(record.retry_at, soon) if record.retry_at and record.state.is_settled and soon else record.retry_at

    def heal(self) -> None:
        """Let everybody answer again, and the schedule come a few times."""
        for _ in range(4):
            self.pass_time(TICK)
            self.tick()
            self.judge.look()

    # What there is.

    @property
    def raw(self) -> dict[str, Any]:
        """The subscription as Stripe has it."""
        found: dict[str, Any] = self.simulator.store.subscriptions.get(self.subscription)
        return found

    @property
    def is_over(self) -> bool:
        return self.raw["status"] in {"canceled", "incomplete_expired"}

    @property
    def invoices(self) -> list[dict[str, Any]]:
        """Newest first."""
        found: list[dict[str, Any]] = self.simulator.store.invoices.of_subscription(self.subscription)
        return found

    @property
    def record(self) -> PauseRecord | None:
        return self.kept.get(self.subscription)

    @property
    def period_end(self) -> int:
        return max(int(item["current_period_end"]) for item in self.raw["items"]["data"])

    def day(self, days: int) -> date:
        return datetime.fromtimestamp(self.now, self.timezone).date() + timedelta(days=days)

    def midnight(self, day: date) -> int:
        return int(datetime(day.year, day.month, day.day, tzinfo=self.timezone).timestamp())

    @property
    def mails(self) -> list[str]:
        """The subjects of all mails, oldest first."""
        return [_subject_and_text(raw)[0] for raw in self.ses.sent]

    @property
    def texts(self) -> list[str]:
        """What the mails say, without their links."""
        return [_subject_and_text(raw)[1] for raw in self.ses.sent]


@lru_cache(maxsize=1000)
def _subject_and_text(raw: bytes) -> tuple[str, str]:
    mail = message_from_bytes(raw, policy=policy.default)
    body = mail.get_body(("plain",))
    return str(mail["Subject"]), " ".join(body.get_content().split()) if body else ""


@dataclass
class Judge:
    """Looks at what Stripe holds and has charged, and at what the customer was told."""

    lab: Lab
    promises: dict[str, Promise] = field(default_factory=dict)
    is_paused_by_another: bool = False
    foreign_schedules: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.mirrored = FakeTable()
        read = partial(read_from_stripe, self.lab.stripe)
        self.mirror = Mirror(self.mirrored, read, uncertainty=timedelta(seconds=3), retention=timedelta(days=60))
        self.history: dict[str, HistoryEntry] = {}
        # Served by somebody else's hand, or as a subscription is that nobody has paused.
        self.granted: list[tuple[int, int]] = []
        self.mails: list[tuple[str, int]] = []
        # How many pauses were asked for, and when one may begin.
        self.asked = 0
        self.beginnings: set[int] = set()
        # A resume was asked for since the last pause was.
        self.may_resume = False
        # Somebody else has changed something since the customer asked for a pause.
        self.is_touched = self.has_changed_plan = False
        self.changed_plan_at = 0

    # What happens.

    def asked_to_pause(self) -> int:
        """Return the number of this pause: what overtakes it has a later one."""
        self.may_resume = False
        raw = self.lab.raw
        if raw["status"] == "active" and raw["schedule"] is None and raw["pause_collection"] is None:
            self.is_touched = self.is_paused_by_another = False
        self.beginnings.add(self.lab.period_end)
        self.asked += 1
        return self.asked

    def may_begin(self, begin: Begin, since: int) -> None:
        """Note when a pause may begin that was asked for since then; the period may have renewed meanwhile."""
        self.beginnings.add(self.lab.period_end)
        if begin is Begin.NOW:
            self.beginnings.update(range(since, self.lab.now + 1))

    def asked_to_resume(self) -> None:
        """From now on it may be charged."""
        self.may_resume = True
        self._end_promises()

    def answered_pause(self, wanted: PauseRequest, result: PauseResult | None) -> None:
        if result is None or result.record is None:
            return
        assert result.outcome is not Outcome.REFUSED or result.refusals, "refused without a reason"
        # Somebody else may have ended it in the same moment.
        if result.outcome is Outcome.DONE and (record := result.record).state.is_open:
            day = self.lab.midnight(wanted.resume_on)
            if record.kind == "subscription":
                assert record.resumes == record.next_charge == day, "told another date than was asked for"
            else:
                assert day <= record.next_charge, "told an earlier charge than was asked for"

    def answered_undo(self, result: PauseResult | None) -> None:
        if result is not None and result.outcome is Outcome.DONE:
            self._end_promises()

    def answered_release(self, result: PauseResult | None) -> None:
        if result is None or result.outcome is not Outcome.DONE:
            return
        raw = self.lab.raw
        if raw["status"] != "paused" and not raw["pause_collection"]:
            self._end_promises()
        now = self.lab.record
        is_paused_again = now and result.record and now.operation_id != result.record.operation_id
        if not self.lab.is_over and not is_paused_again and raw["schedule"] not in self.foreign_schedules:
            assert raw["schedule"] is None, "released, and a schedule still keeps the customer from canceling"

    def somebody_else_acted(self, *, gives_service: bool = False) -> None:
        self.is_touched = True
        self._end_promises()
        if gives_service:
            self.granted.append((self.lab.now, self.lab.period_end))

    def changed_plan(self) -> None:
        self.has_changed_plan = True
        self.changed_plan_at = self.lab.now
        for promise in self.promises.values():
            promise.is_over = promise.is_over or promise.kind == "collection"

    def _end_promises(self) -> None:
        for promise in self.promises.values():
            promise.ends = min(promise.ends, self.lab.now)
            promise.is_over = True

    # What must hold.

    def look(self) -> None:
        """Check everything that must hold now."""
        raw, record = self.lab.raw, self.lab.record
        self._keep_promises(record)
        self._never_both(raw, record)
        self._is_followed(record)
        self._history_is_complete(record)
        self._nothing_is_charged_in_a_pause()
        access = self._access()
        if access is not None:
            self._nothing_is_free(raw, granted=access)
            self._what_is_paid_is_served(raw, granted=access)
        self._it_returns(raw, record)
        self._mails_are_sent(record)

    def _keep_promises(self, record: PauseRecord | None) -> None:
        if record is None:
            return
        known = self.promises.get(record.operation_id)
        if record.state in {PauseState.SCHEDULED, PauseState.PAUSED} and record.failure is None:
            self._dates_are_right(record)
            if known is None:
                known = Promise(record.kind, record.begin, record.begins, record.next_charge, self.lab.now)
                self.promises[record.operation_id] = known
                known.is_over = self.may_resume
            # After a change of plan the pause may end at another renewal than was told; it is charged from then on.
            known.ends = min(known.ends, record.next_charge) if known.is_over else record.next_charge
        if known and record.state in {PauseState.ENDED, PauseState.FAILED}:
            known.is_over = True
            known.ends = min(known.ends, self.lab.now)

    def _dates_are_right(self, record: PauseRecord) -> None:
        lead = MARGIN_SECONDS if record.kind == "subscription" and record.begin == "period_end" else 0
        assert record.begins + lead in self.beginnings, "begins at another time than the end of what was paid"

    def _never_both(self, raw: Mapping[str, Any], record: PauseRecord | None) -> None:
        if self.is_paused_by_another:
            return
        is_real = raw["status"] == "paused" or (raw["schedule"] and raw["schedule"] not in self.foreign_schedules)
        assert not (raw["pause_collection"] and is_real), "both pauses are set"
        is_settled = record is None or not record.state.is_open
        if is_settled and not self.lab.is_over:
            assert raw["pause_collection"] is None, "collection is still paused when all is over"
            schedule = raw["schedule"]
            assert schedule is None or schedule in self.foreign_schedules, "a schedule is left when all is over"

    def _is_followed(self, record: PauseRecord | None) -> None:
        if record is None:
            return
        if record.state.is_open:
            assert record.retry_at, "an open pause that nobody looks at again"
            assert record.retry_at <= self.lab.now + DAY, "an open pause that nobody looks at for days"
        elif record.state is not PauseState.FAILED:
            assert record.retry_at is None, "a pause that is over, and looked at"

    def _history_is_complete(self, record: PauseRecord | None) -> None:
        entries = self.lab.kept.history(self.lab.subscription)
        found = {entry.key: entry for entry in entries}
        for key, entry in self.history.items():
            assert found.get(key) == entry, "the history has changed"
        assert [entry.at for entry in entries] == sorted(entry.at for entry in entries)
        self.history = found
        self._one_at_a_time(entries)
        by_operation: dict[str, list[str]] = {}
        for entry in entries:
            by_operation.setdefault(entry.operation_id, []).append(entry.action.value)
        for actions in by_operation.values():
            assert actions.count("set") <= 1, actions
            assert actions.count("begun") <= 1, actions
            assert actions[0] in {"set", "failed", "undone", "canceled"}, actions
            ends = [action for action in actions if action in OVER]
            assert len(ends) <= 1 or ends[0] == "released", actions
        if record and record.state in {PauseState.SCHEDULED, PauseState.PAUSED}:
            assert "set" in by_operation[record.operation_id], "a pause that the history does not know"
        if record and record.state is PauseState.PAUSED:
            assert "begun" in by_operation[record.operation_id], "a beginning that the history does not know"
        if record and record.state is PauseState.ENDED:
            assert by_operation[record.operation_id][-1] in OVER, "an end that the history does not know"

    def _one_at_a_time(self, entries: list[HistoryEntry]) -> None:
        open_ones: set[str] = set()
        for entry in entries:
            if entry.action is PauseAction.SET:
                assert not open_ones, "a second pause while one is open"
                open_ones.add(entry.operation_id)
            if entry.action.value in OVER:
                open_ones.discard(entry.operation_id)
            if entry.action is PauseAction.FAILED and entry.detail not in {"payment", "payment_method", "stripe"}:
                open_ones.discard(entry.operation_id)

    def _nothing_is_charged_in_a_pause(self) -> None:
        for invoice in self.lab.invoices:
            if invoice["status"] == "void" or invoice["amount_due"] <= 0:
                continue
            for promise in self.promises.values():
                ends = promise.ends - MARGIN_SECONDS
                assert not promise.begins < invoice["created"] < ends, "charged in a pause"

    def _access(self) -> bool | None:
        """Return whether there is service, as the mirror has it; `None` while events are on their way."""
        events = self.lab.events
        while events and self.lab.now >= events[0]["created"] + SETTLED_AFTER:
            event = events.pop(0)
            if event["type"].startswith("customer.subscription."):
                read = read_event(json.dumps(event).encode())
                assert isinstance(read, SnapshotEvent)
                with suppress(Unavailable):
                    self.mirror.apply(subscription_event(read), now=self.lab.now, received=event["created"])
        if events:
            return None
        item = self.mirrored.items[self.lab.customer, self.lab.subscription]
        return subscription_access(item, now=self.lab.now, policy=AccessPolicy()).granted

    def _paid(self) -> list[tuple[int, int]]:
        """What invoices cover that are paid, or being collected."""
        collected = (invoice for invoice in self.lab.invoices if invoice["status"] in {"paid", "open", "draft"})
        lines = (line for invoice in collected for line in invoice["lines"]["data"] if line["amount"] >= 0)
        return [(line["period"]["start"], line["period"]["end"]) for line in lines]

    def _nothing_is_free(self, raw: Mapping[str, Any], *, granted: bool) -> None:
        now = self.lab.now
        if not granted or raw["status"] not in {"active", "paused", "trialing"}:
            return
        has_looked = any(moment > self.changed_plan_at for moment in self.lab.calm_ticks)
        is_refused = (record := self.lab.record) and record.waiting
        if self.has_changed_plan and (raw["cancel_at_period_end"] or is_refused or not has_looked):
            # What a change of plan costs is void in a pause of collection. Only who has not canceled is charged for it
            # at the return, once somebody has looked, and can pay.
            return
        # Collection starts again shortly before the renewal that is to be paid, or the cancellation in its place.
        renewal = min(int(item["current_period_end"]) for item in raw["items"]["data"])
        ends = [each for each in (renewal, raw["cancel_at"]) if each]
        covered = [*self._paid(), *self.granted, *((each, each) for each in ends)]
        assert any(start - MARGIN_SECONDS <= now <= end + MARGIN_SECONDS + SETTLED_AFTER for start, end in covered), (
            "served for free"
        )

    def _what_is_paid_is_served(self, raw: Mapping[str, Any], *, granted: bool) -> None:
        now = self.lab.now
        if granted or raw["status"] not in {"active", "trialing"} or self.is_paused_by_another:
            return
        if self.has_changed_plan:
            # What a change of plan costs is void while collection is paused, and a credit for it is none.
            return
        is_paid = any(start < now < end - MARGIN_SECONDS for start, end in self._paid())
        assert not is_paid, "no service in time that was paid"

    def _it_returns(self, raw: Mapping[str, Any], record: PauseRecord | None) -> None:
        if self.is_touched or self.lab.is_over or record is None:
            return
        is_left = raw["status"] == "paused" and not record.state.is_open and record.outcome != "released"
        assert not is_left, f"left paused without a date of return: {record.outcome}, {record.failure}"
        promise = self.promises.get(record.operation_id)
        if promise is None or promise.is_over or self.lab.now < promise.ends + AT_THE_LATEST:
            return
        if sum(moment > promise.ends for moment in self.lab.calm_ticks) < 3:
            return
        if record.state is PauseState.RESUMING and record.waiting:
            # It may have been paid since somebody looked.
            is_looked_at_soon = record.retry_at and record.retry_at <= self.lab.now + 2 * HOUR
            assert raw["status"] == "paused" or is_looked_at_soon
            return
        if record.state is PauseState.UNDOING and record.outcome == "released":
            # The customer has given the date of return up, and Stripe has not answered yet.
            return
        raise AssertionError(f"not back on the promised day: {raw['status']}, {record.state}")

    def _mails_are_sent(self, record: PauseRecord | None) -> None:
        """Each mail once, or again after a fault; and the day of return is named in one before it comes."""
        new = self.lab.mails[len(self.mails) :]
        if new and not self.lab.was_disturbed:
            repeated = {(subject, len(self.history)) for subject in new} & set(self.mails)
            assert not repeated, f"the same mail twice: {repeated}"
        self.mails += [(subject, len(self.history)) for subject in new]
        if record is None or record.state not in {PauseState.SCHEDULED, PauseState.PAUSED}:
            return
        promise = self.promises.get(record.operation_id)
        looks = [moment for moment in self.lab.calm_ticks if promise and moment > promise.since]
        if promise and looks and not promise.is_over and self.lab.now > promise.ends - HOUR and record.retry_at:
            day = datetime.fromtimestamp(promise.ends, self.lab.timezone).date()
            assert any(shown("en", day) in text for text in self.lab.texts), f"no mail has named the return on {day}"

    def can_cancel(self) -> None:
        """Check that the customer can cancel, after giving up the date of return if there is one."""
        lab = self.lab
        if lab.is_over:
            return
        result = lab.release()
        assert result, "the date of return cannot be given up"
        assert result.outcome is Outcome.DONE, "the date of return cannot be given up"
        if lab.raw["schedule"] in self.foreign_schedules:
            return
        lab.stripe.v1.subscriptions.update(lab.subscription, {"cancel_at_period_end": True})
