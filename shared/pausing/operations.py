"""Pause, resume, change and end, safe under races and crashes.

A request writes what it intends by one conditional write, before it asks Stripe for anything. Then it, or whoever takes
it up after a crash, goes on as `course.py` decides: read Stripe, act, read again, until the pause is settled.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, tzinfo
from enum import StrEnum
from uuid import uuid4

from shared.deadline import seconds_left
from shared.errors import Forbidden, OperatorError, Unavailable, sentence
from shared.pausing.at_stripe import (
    AtStripe,
    CustomerSubscriptions,
    SoughtSchedule,
    StripePauses,
    StripeRefusalError,
    pause_entry,
)
from shared.pausing.conversion import ConversionPlan, ConversionRequest, PlannedConversion, plan_conversion
from shared.pausing.course import DAILY, LAST_MINUTE, LEASE, Call, Settle, after_refusal, next_step
from shared.pausing.history import NO_RETURN, Actor, CustomerPause, PauseAction, PauseRecord, PauseState, PauseTable
from shared.pausing.plan import (
    LEAD,
    MARGIN,
    Begin,
    PausePlan,
    PauseRequest,
    PlanFacts,
    Planned,
    last_return,
    next_renewal,
    plan_new_return,
    plan_pause,
)
from shared.pausing.policy import PausePolicy, PauseRefusal
from shared.pausing.refusals import (
    ABOUT_TO_RESUME,
    ALREADY_BEGUN,
    ALREADY_SET,
    INVOICE_VOIDED,
    NOT_PAUSED,
    OUR_PAUSE,
    PAUSED_ELSEWHERE,
    why_it_does_not_return,
    why_it_failed,
)
from shared.stripe.gateway import StripeJson
from shared.stripe.subscription import Subscription

# The longest way is that of a conversion: schedule refused, collection unset, schedule refused, attached, planned,
# read, set, begun, released, settled.
_MOST_STEPS = 20
# How often a write is tried again because somebody else wrote meanwhile, and how long a double click waits for the
# first one's result.
_ATTEMPTS = 4
_WAIT_SECONDS, _POLL_SECONDS = 3.0, 0.25
# The failure of a pause whose subscription Stripe does not have.
_MISSING = "subscription_missing"


class Outcome(StrEnum):
    """What became of a request."""

    DONE = "done"
    UNDERWAY = "underway"  # its outcome is not known yet: the next tick finishes it
    REFUSED = "refused"
    BUSY = "busy"  # something else is under way


@dataclass(frozen=True, slots=True)
class PauseResult:
    """The result of a request; `record` is the pause as it is now.

    `payment_page`: where the invoice of a resume that waits for its payment can be paid.
    """

    outcome: Outcome
    record: PauseRecord | None = None
    refusals: tuple[PauseRefusal, ...] = ()
    payment_page: str | None = None


@dataclass(frozen=True, slots=True)
class PauseView:
    """A subscription, its present or last pause, and what a pause of it would be.

    `offer` is a pause with the earliest date of return, `first_day` and `last_day` are the dates of return that the
    rules allow; none of them if it cannot be paused now, or has a pause.
    """

    at: AtStripe
    record: PauseRecord | None
    offer: PausePlan | None = None
    refusals: tuple[PauseRefusal, ...] = ()
    first_day: date | None = None
    last_day: date | None = None


@dataclass(frozen=True, slots=True)
class PauseViews:
    """Subscriptions of a customer; `has_more`: there are others, which could not be read within a request."""

    views: list[PauseView]
    has_more: bool = False


@dataclass(frozen=True, slots=True)
class PausePreview:
    """A subscription, and what a request would make of it."""

    view: PauseView
    planned: Planned


@dataclass(frozen=True, slots=True)
class Pausing:
    """The operations; made once per execution environment. `stripe` returns the requests with the present key.

    A `customer` of `None` is the team, which may act for everybody. All raise `Forbidden` for a subscription that is
    not the customer's, and `Unavailable` or `OperatorError` while nothing has been changed; once the intent is written
    the result is `UNDERWAY` instead.
    """

    stripe: Callable[[], StripePauses]
    table: PauseTable
    timezone: tzinfo
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep

    def views(self, customer: str, policy: PausePolicy, *, only: str | None = None) -> PauseViews:
        """Return the customer's subscriptions that have not ended, or the one that a token is good for."""
        found = self.stripe().of_customer(customer) if only is None else self._just(only, customer)
        pauses = self._pauses(customer, policy)
        return PauseViews([self._view(at, policy, pauses) for at in found.subscriptions], found.has_more)

    def view(self, subscription_id: str, *, customer: str | None, policy: PausePolicy) -> PauseView:
        """Return one subscription."""
        at = self._own(subscription_id, customer)
        return self._view(at, policy, self._pauses(at.subscription.customer_id, policy))

    def preview(
        self, subscription_id: str, request: PauseRequest, *, customer: str | None, policy: PausePolicy
    ) -> PausePreview:
        """Return a subscription, and what `pause` would make of the request now."""
        at = self._own(subscription_id, customer)
        pauses = self._pauses(at.subscription.customer_id, policy)
        view, facts = self._view(at, policy, pauses), self._facts(at, policy, pauses)
        if view.record and view.record.state.is_open:
            return PausePreview(view, plan_new_return(facts, request, _plan_of(view.record)))
        if at.planned:
            return PausePreview(view, Planned(None, (PAUSED_ELSEWHERE,)))
        return PausePreview(view, plan_pause(facts, request))

    def pause(
        self, subscription_id: str, request: PauseRequest, *, customer: str | None, actor: Actor, policy: PausePolicy
    ) -> PauseResult:
        """Pause, or change the date of return of a pause that is set or running.

        The same request again, such as a double click, has the result of the first one.
        """
        for _attempt in range(_ATTEMPTS):
            # In this order: what Stripe has is never older than the record, and a write fails if that has changed.
            record = self.table.get(subscription_id)
            at, now = self._own(subscription_id, customer), self.clock()
            if record and not record.state.is_settled:
                return self._result_of_same(record, request)
            if record and record.state.is_open:
                changed = self._change(record, at, request, actor, policy)
                if changed:
                    return changed
                continue
            facts = self._facts(at, policy, self._pauses(at.subscription.customer_id, policy))
            # The company's own schedule will pause it; its collection would then be paused too.
            planned = Planned(None, (PAUSED_ELSEWHERE,)) if at.planned else plan_pause(facts, request)
            if planned.plan is None:
                if self._has_changed(subscription_id, record):
                    # What Stripe has is the pause of a click a moment before.
                    continue
                return PauseResult(Outcome.REFUSED, record, planned.refusals)
            intent = self._intent(at, planned.plan, request, actor, now)
            if written := self.table.write(intent, record):
                return self._finish(written, at)
        raise _contended()

    def plan_conversion(
        self, subscription: Subscription, request: ConversionRequest, policy: PausePolicy
    ) -> PlannedConversion:
        """Return what `convert` would make of a subscription that was read already; it asks nothing of Stripe."""
        return plan_conversion(subscription, request, policy=policy, timezone=self.timezone, now=self.clock())

    def convert(
        self, subscription_id: str, request: ConversionRequest, *, actor: Actor, policy: PausePolicy
    ) -> PauseResult:
        """Pause a subscription in place of its collection. Only the team asks for that."""
        for _attempt in range(_ATTEMPTS):
            record = self.table.get(subscription_id)
            at = self._own(subscription_id, None)
            if record and record.state.is_open:
                if record.is_conversion:
                    return self._wait_for(record)
                return PauseResult(Outcome.REFUSED, record, (OUR_PAUSE,))
            planned = self.plan_conversion(at.subscription, request, policy)
            if planned.plan is None:
                return PauseResult(Outcome.REFUSED, record, planned.refusals)
            intent = self._conversion_intent(at, planned.plan, request, actor)
            if written := self.table.write(intent, record):
                return self._finish(written, at)
        raise _contended()

    def resume(self, subscription_id: str, *, customer: str | None, actor: Actor) -> PauseResult:
        """Resume a running pause; one that has not begun is undone.

        A real pause is resumed at once, when it is paid. A pause of collection ends at the next renewal: the period
        that runs is void, and to serve it would be to give it away.
        """
        return self._end(subscription_id, customer, actor, self._to_resume)

    def undo(self, subscription_id: str, *, customer: str | None, actor: Actor) -> PauseResult:
        """Undo a pause that has not begun. It never charges: if the pause has begun meanwhile, it goes on."""
        return self._end(subscription_id, customer, actor, self._to_undo)

    def release(self, subscription_id: str, *, customer: str | None, actor: Actor) -> PauseResult:
        """Give up the date of return, without resuming, so that the subscription can be canceled in the portal.

        A pause that has not begun is undone. A pause of collection does not keep anybody from canceling, and stays.
        """
        return self._end(subscription_id, customer, actor, self._to_release)

    def follow(self, subscription_id: str) -> PauseRecord | None:
        """Look at a pause again, and finish, continue or end it; return it as it is then, `None` if there is none.

        Raises what the dependencies raise: the pause stays due, and the next tick tries again.
        """
        record, now = self.table.get(subscription_id), self.clock()
        if record is None or record.retry_at is None or record.retry_at > now:
            return record
        claimed = replace(
            record,
            attempt=record.attempt + 1,
            retry_at=int(now + _lease_of(record).total_seconds()),
            # Whether Stripe has it is seen anew by each look.
            failure=None if record.failure == _MISSING else record.failure,
        )
        taken = self.table.write(claimed, record)
        if taken is None:
            return self.table.get(subscription_id)
        if not taken.state.is_open:
            # Only its mail is left to send.
            return taken
        try:
            return self._drive(taken, None)
        except Forbidden:
            # It may be deleted, with its test clock; or the key may be another account's, and then nothing is known.
            # What is being undone goes on as was decided, so its reason is kept.
            failure = (taken.state is PauseState.UNDOING and taken.failure) or _MISSING
            lost = replace(taken, failure=failure, retry_at=int(now + DAILY.total_seconds()))
            return self.table.write(lost, taken) or self.table.get(subscription_id)

    # One request.

    def _own(self, subscription_id: str, customer: str | None) -> AtStripe:
        at = self.stripe().read(subscription_id)
        if customer is not None and at.subscription.customer_id != customer:
            raise Forbidden("not_your_subscription", sentence("That subscription is not yours"))
        return at

    def _just(self, subscription_id: str, customer: str) -> CustomerSubscriptions:
        try:
            at = self._own(subscription_id, customer)
        except Forbidden:
            return CustomerSubscriptions((), has_more=False)
        return CustomerSubscriptions(() if at.subscription.ended else (at,), has_more=False)

    def _pauses(self, customer: str, policy: PausePolicy) -> list[CustomerPause]:
        return self.table.pauses_of(customer, since=int(self.clock() - policy.look_back.total_seconds()))

    def _facts(self, at: AtStripe, policy: PausePolicy, pauses: Iterable[CustomerPause] = ()) -> PlanFacts:
        # An index may be behind for a moment. The record, which is read consistently, has said that this subscription
        # has no pause that still is to begin.
        own = at.subscription.id
        others = [each for each in pauses if each.has_begun or each.subscription_id != own]
        return PlanFacts(at.subscription, at.anchor, others, policy, self.timezone, self.clock())

    def _has_changed(self, subscription_id: str, record: PauseRecord | None) -> bool:
        now = self.table.get(subscription_id)
        return (now and now.version) != (record and record.version)

    def _intent(self, at: AtStripe, plan: PausePlan, request: PauseRequest, actor: Actor, now: float) -> PauseRecord:
        operation_id = uuid4().hex
        return PauseRecord(
            subscription_id=at.subscription.id,
            customer_id=at.subscription.customer_id,
            operation_id=operation_id,
            intent=operation_id,
            kind=plan.kind,
            state=PauseState.STARTING,
            begin=plan.begin.value,
            begins=plan.begins,
            resumes=plan.resumes,
            next_charge=plan.next_charge,
            asked_resume=plan.asked_resume.isoformat(),
            unused_time=plan.unused_time,
            created=int(now),
            actor=actor.kind,
            actor_name=actor.name,
            reason=request.reason,
            overridden=request.override,
            group=request.group,
            why_not_real=tuple(reason.code for reason in plan.why_not_real),
            retry_at=int(now + LEASE.total_seconds()),
        )

    def _conversion_intent(
        self, at: AtStripe, plan: ConversionPlan, request: ConversionRequest, actor: Actor
    ) -> PauseRecord:
        operation_id, now = uuid4().hex, self.clock()
        returns = NO_RETURN if plan.resumes is None else plan.resumes
        day = "" if plan.resumes is None else datetime.fromtimestamp(returns, self.timezone).date().isoformat()
        return PauseRecord(
            subscription_id=at.subscription.id,
            customer_id=at.subscription.customer_id,
            operation_id=operation_id,
            intent=operation_id,
            kind="subscription",
            state=PauseState.STARTING,
            begin=plan.begin.value,
            begins=plan.begins,
            resumes=returns,
            next_charge=returns,
            asked_resume=day,
            # The time that runs was not paid, or ends when the pause begins.
            unused_time="forfeit",
            created=int(now),
            actor=actor.kind,
            actor_name=actor.name,
            retry_at=int(now + LEASE.total_seconds()),
            collection_behavior=request.seen.behavior,
            collection_resumes=request.seen.resumes_at,
        )

    def _result_of_same(self, record: PauseRecord, request: PauseRequest) -> PauseResult:
        """Wait a moment for the result of the same request; anything else has to wait until it is settled."""
        wanted = request.resume_on.isoformat()
        is_same = (
            record.state is PauseState.STARTING and (record.asked_resume, record.begin) == (wanted, request.begin)
        ) or (record.state is PauseState.CHANGING and record.wanted_asked_resume == wanted)
        return self._wait_for(record) if is_same else PauseResult(Outcome.BUSY, record)

    def _wait_for(self, record: PauseRecord) -> PauseResult:
        ends = time.monotonic() + min(_WAIT_SECONDS, max(seconds_left() - 2, 0))
        found: PauseRecord | None = record
        while found and not found.state.is_settled and time.monotonic() < ends:
            self.sleep(_POLL_SECONDS)
            found = self.table.get(record.subscription_id)
        return self._result(found or record)

    def _change(
        self, record: PauseRecord, at: AtStripe, request: PauseRequest, actor: Actor, policy: PausePolicy
    ) -> PauseResult | None:
        """Change the date of return; `None`: somebody else wrote meanwhile."""
        has_begun = record.has_begun or at.subscription.status == "paused"
        if request.begin is Begin.NOW and record.begin != Begin.NOW and not has_begun:
            return PauseResult(Outcome.REFUSED, record, (ALREADY_SET,))
        if record.asked_resume == request.resume_on.isoformat():
            return PauseResult(Outcome.DONE, record)
        now = self.clock()
        if now >= record.resumes - LEAD.total_seconds():
            return PauseResult(Outcome.REFUSED, record, (ABOUT_TO_RESUME,))
        planned = plan_new_return(self._facts(at, policy), request, _plan_of(record))
        if planned.plan is None:
            return PauseResult(Outcome.REFUSED, record, planned.refusals)
        asked = replace(record, group=request.group or record.group)
        return self._write_change(asked, at, planned.plan, actor, overridden=request.override)

    def _write_change(
        self, record: PauseRecord, at: AtStripe | None, plan: PausePlan, actor: Actor, *, overridden: bool
    ) -> PauseResult | None:
        intent = replace(
            self._next_intent(record, actor, PauseState.CHANGING),
            wanted_resumes=plan.resumes,
            wanted_next_charge=plan.next_charge,
            wanted_asked_resume=plan.asked_resume.isoformat(),
            overridden=overridden,
        )
        written = self.table.write(intent, record)
        return self._finish(written, at) if written else None

    def _next_intent(self, record: PauseRecord, actor: Actor, state: PauseState) -> PauseRecord:
        return replace(
            record,
            intent=uuid4().hex,
            attempt=0,
            actor=actor.kind,
            actor_name=actor.name,
            state=state,
            step=None,
            waiting=None,
            outcome=None,
            failure=None,
            failure_detail=None,
            change_failed=False,
            retry_at=int(self.clock() + LEASE.total_seconds()),
        )

    def _end(
        self,
        subscription_id: str,
        customer: str | None,
        actor: Actor,
        decide: "Callable[[PauseRecord | None, AtStripe, Actor], PauseRecord | PausePlan | PauseResult]",
    ) -> PauseResult:
        for _attempt in range(_ATTEMPTS):
            record = self.table.get(subscription_id)
            at = self._own(subscription_id, customer)
            decided = decide(record, at, actor)
            if isinstance(decided, PauseResult):
                return decided
            if isinstance(decided, PausePlan):
                # Only a pause that there is can be given another date of return.
                changed = record and self._write_change(record, at, decided, actor, overridden=False)
                if changed:
                    return changed
            elif written := self.table.write(decided, record):
                return self._finish(written, at)
        raise _contended()

    def _to_resume(  # noqa: PLR0911 - one for each state
        self, record: PauseRecord | None, at: AtStripe, actor: Actor
    ) -> "PauseRecord | PausePlan | PauseResult":
        if record is None or (not record.state.is_open and record.outcome != PauseAction.RELEASED):
            return self._nothing_to_end(record, at)
        if not record.state.is_open:
            if at.subscription.status != "paused":
                return self._nothing_to_end(record, at)
            return replace(self._next_intent(record, actor, PauseState.RESUMING), schedule_id=None)
        if record.state is PauseState.RESUMING:
            if record.waiting is None:
                return self._wait_for(record)
            return self._next_intent(record, actor, PauseState.RESUMING)
        if record.state is PauseState.UNDOING and record.outcome == PauseAction.RESUMED:
            return self._wait_for(record)
        if not record.state.is_settled:
            return PauseResult(Outcome.BUSY, record)
        has_begun = record.has_begun or at.subscription.status == "paused"
        if record.kind == "collection" and self.clock() > record.begins - LAST_MINUTE:
            return self._return_at_renewal(record, at)
        if not has_begun:
            return self._to_undo(record, at, actor)
        return replace(self._next_intent(record, actor, PauseState.RESUMING), has_begun=True)

    def _return_at_renewal(self, record: PauseRecord, at: AtStripe) -> "PausePlan | PauseResult":
        renewal = next_renewal(at.subscription, at.anchor, after=max(self.clock(), record.begins))
        if renewal is None or renewal >= record.next_charge:
            return PauseResult(Outcome.DONE, record)
        day = datetime.fromtimestamp(renewal, self.timezone).date()
        return replace(
            _plan_of(record), resumes=renewal - int(MARGIN.total_seconds()), next_charge=renewal, asked_resume=day
        )

    def _to_undo(self, record: PauseRecord | None, at: AtStripe, actor: Actor) -> PauseRecord | PauseResult:
        if record is None or not record.state.is_open:
            return self._nothing_to_end(record, at)
        if record.state is PauseState.UNDOING and record.outcome == PauseAction.UNDONE:
            return self._wait_for(record)
        if not record.state.is_settled:
            return PauseResult(Outcome.BUSY, record)
        is_over = record.kind == "collection" and self.clock() > record.begins - LAST_MINUTE
        if record.has_begun or is_over or at.subscription.status == "paused":
            return PauseResult(Outcome.REFUSED, record, (ALREADY_BEGUN,))
        if record.kind == "collection" and self._has_voided(record):
            # Without the pause, what that invoice was for would be served for free: after a change of plan, a year.
            return PauseResult(Outcome.REFUSED, record, (INVOICE_VOIDED,))
        return replace(self._next_intent(record, actor, PauseState.UNDOING), outcome=PauseAction.UNDONE.value)

    def _has_voided(self, record: PauseRecord) -> bool:
        # The clocks may differ by some seconds.
        return "void" in self.stripe().invoice_states(record.subscription_id, since=record.created - LAST_MINUTE)

    def _to_release(self, record: PauseRecord | None, at: AtStripe, actor: Actor) -> PauseRecord | PauseResult:
        if record is None or not record.state.is_open:
            return PauseResult(Outcome.DONE, record)
        if record.state is PauseState.UNDOING:
            return self._wait_for(record)
        if not record.state.is_settled and not record.waiting:
            return PauseResult(Outcome.BUSY, record)
        if record.kind == "collection":
            return PauseResult(Outcome.DONE, record)
        outcome = PauseAction.RELEASED if at.subscription.status == "paused" else PauseAction.UNDONE
        return replace(self._next_intent(record, actor, PauseState.UNDOING), outcome=outcome.value)

    def _nothing_to_end(self, record: PauseRecord | None, at: AtStripe) -> PauseResult:
        """Answer somebody who ends what is over, or what was paused by somebody else."""
        subscription = at.subscription
        if subscription.is_pause_running(self.clock()):
            return PauseResult(Outcome.REFUSED, record, (PAUSED_ELSEWHERE,))
        if record is not None and record.state is PauseState.ENDED:
            return PauseResult(Outcome.DONE, record)
        return PauseResult(Outcome.REFUSED, record, (NOT_PAUSED,))

    # The way to its end.

    def _finish(self, record: PauseRecord, at: AtStripe | None) -> PauseResult:
        """Go on until it is settled. What stops it is left to the tick."""
        try:
            return self._result(self._drive(record, at))
        except (Unavailable, OperatorError):
            return PauseResult(Outcome.UNDERWAY, record)

    def _result(self, record: PauseRecord) -> PauseResult:
        if record.waiting:
            refused = why_it_does_not_return(record)
            return PauseResult(
                Outcome.UNDERWAY, record, (refused,) if refused else (), payment_page=self.payment_page(record)
            )
        if record.state is PauseState.FAILED:
            return PauseResult(Outcome.REFUSED, record, (why_it_failed(record),))
        if record.state.is_settled and record.failure:
            return PauseResult(Outcome.REFUSED, record, (why_it_failed(record),))
        return PauseResult(Outcome.DONE if record.state.is_settled else Outcome.UNDERWAY, record)

    def payment_page(self, record: PauseRecord) -> str | None:
        """Return where the invoice that a resume waits for can be paid; `None` if there is none, or it is not known."""
        if record.waiting != "payment":
            return None
        try:
            stripe = self.stripe()
            latest = stripe.read(record.subscription_id).latest_invoice
            return stripe.invoice_page(latest) if latest else None
        except (Unavailable, OperatorError):
            return None

    def _drive(self, record: PauseRecord, at: AtStripe | None) -> PauseRecord:
        stripe = self.stripe()
        for _step in range(_MOST_STEPS):
            is_starting = record.state is PauseState.STARTING
            sought = SoughtSchedule(record.operation_id, record.created) if is_starting else None
            at = at or stripe.read(record.subscription_id, record.schedule_id, sought)
            step = next_step(record, at, self.clock(), self.timezone)
            if isinstance(step, Call):
                refused = None
                try:
                    record, at = self._carry_out(stripe, step, record, at), None
                except StripeRefusalError as error:
                    refused = error
                if refused is None:
                    continue
                step, at = after_refusal(record, step, refused, self.clock()), None
            written = self._write(step, record)
            if written is None:
                return self.table.get(record.subscription_id) or record
            record = written
            if not step.again:
                return record
        return record

    def _write(self, step: Settle, record: PauseRecord) -> PauseRecord | None:
        if step.record == record and not step.entries:
            return record
        return self.table.write(step.record, record, *step.entries)

    def _carry_out(  # noqa: C901, PLR0911, PLR0912 - one case for each request
        self, stripe: StripePauses, call: Call, record: PauseRecord, at: AtStripe
    ) -> PauseRecord:
        """Send one request; return the record with what it has brought, which the next write keeps."""
        # Stripe repeats the first response to a key for a day, a 500 too. So each attempt has its own, but for the
        # schedule without a plan: by its key it is recognised after a crash.
        again = "" if record.cleared_at is None else "-cleared"
        key = f"pause-{record.intent}-{call}{again}" + ("" if call is Call.ATTACH else f"-{record.attempt}")
        subscription_id, operation_id = record.subscription_id, record.operation_id
        wanted = record.wanted_resumes if record.state is PauseState.CHANGING else None
        resumes = record.resumes if wanted is None else wanted
        schedule_id = (planned.schedule_id if (planned := at.planned_by(operation_id)) else record.schedule_id) or ""
        match call:
            case Call.SCHEDULE:
                made = stripe.schedule_pause(subscription_id, self._entry_of(record), key=key)
                return replace(record, schedule_id=made)
            case Call.ATTACH:
                return replace(record, schedule_id=stripe.attach_schedule(subscription_id, key=key))
            case Call.PLAN:
                stripe.plan_on(schedule_id, self._entry_of(record), key=key)
            case Call.RETURN:
                made = stripe.schedule_return(subscription_id, operation_id, resumes=resumes, key=key)
                return replace(record, schedule_id=made)
            case Call.MOVE:
                stripe.move_return(schedule_id, operation_id, resumes=resumes, key=key)
            case Call.RESUME_PLANNED:
                stripe.move_return(schedule_id, operation_id, resumes=None, key=key)
            case Call.RESUME:
                stripe.resume_now(subscription_id, key=key)
            case Call.RELEASE:
                stripe.release(schedule_id, key=key)
                return replace(_removed(record), schedule_id=None)
            case Call.VOID_INVOICE:
                stripe.void_invoice(at.latest_invoice or "", key=key)
            case Call.PAUSE_COLLECTION:
                stripe.pause_collection(subscription_id, resumes=resumes, key=key)
            case Call.COLLECT_AGAIN:
                stripe.collect_again(subscription_id, key=key)
                return _removed(record)
            case Call.START_PERIOD:
                stripe.start_period(subscription_id, since=record.resumes, key=key)
                return replace(record, step="started")
            case Call.RESTORE:
                behavior, until = record.collection_behavior or "void", record.collection_resumes
                stripe.pause_collection(subscription_id, resumes=until, behavior=behavior, key=key)
        return record

    def _entry_of(self, record: PauseRecord) -> StripeJson:
        """Return the entry of a schedule that a pause is planned by."""
        is_now = record.begin == Begin.NOW or (record.is_conversion and record.begins <= self.clock())
        return pause_entry(
            record.operation_id,
            at=None if is_now else record.begins,
            resumes=record.resumes if record.has_return else None,
            unused_time=record.unused_time,
            bills_usage=not record.is_conversion,
        )

    # What is shown.

    def _view(self, at: AtStripe, policy: PausePolicy, pauses: Iterable[CustomerPause]) -> PauseView:
        record = self.table.get(at.subscription.id)
        facts = self._facts(at, policy, pauses)
        if record and record.state.is_open:
            return PauseView(at, record, last_day=last_return(record.begins, policy, self.timezone))
        planned, first = _earliest(facts)
        if planned.plan is None or first is None:
            return PauseView(at, record, refusals=planned.refusals)
        return PauseView(at, record, planned.plan, (), first, last_return(planned.plan.begins, policy, self.timezone))


def _lease_of(record: PauseRecord) -> timedelta:
    """Return how long to leave a pause to whoever takes it up.

    Of one that is over only its mail is left to send. An address that is never accepted is tried less and less often.
    """
    return LEASE if record.state.is_open else min(LEASE * 2 ** min(record.attempt, 10), DAILY)


def _removed(record: PauseRecord) -> PauseRecord:
    """Keep that what was set at Stripe is removed, where that ends the pause."""
    return replace(record, step="removed") if record.state is PauseState.UNDOING else record


def _earliest(facts: PlanFacts) -> tuple[Planned, date | None]:
    """Plan the pause with the earliest date of return."""
    end = max(facts.subscription.current_period_end or 0, facts.now)
    first = (datetime.fromtimestamp(end, facts.timezone) + LEAD + timedelta(days=1)).date()
    planned = plan_pause(facts, PauseRequest(first))
    if planned.plan and planned.plan.is_moved:
        first = datetime.fromtimestamp(planned.plan.next_charge, facts.timezone).date()
        planned = plan_pause(facts, PauseRequest(first))
    return planned, first


def _plan_of(record: PauseRecord) -> PausePlan:
    """Return the plan that a record was made from; the words of `why_not_real` are not kept."""
    return PausePlan(
        record.kind,
        Begin(record.begin),
        record.begins,
        record.resumes,
        record.next_charge,
        date.fromisoformat(record.asked_resume),
        record.unused_time,  # type: ignore[arg-type]  # written from a plan
    )


def _contended() -> Unavailable:
    return Unavailable(
        "pauses_contended", sentence("The pause of one subscription was changed by several at the same time")
    )
