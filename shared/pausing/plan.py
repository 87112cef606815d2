"""What a pause of a subscription would be: which of Stripe's two kinds, from when until when, or why it is impossible.

Pure: it looks at what was read from Stripe and at the time, and changes nothing.
"""

from calendar import monthrange
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import Literal

from shared.i18n import _
from shared.pausing.policy import PausePolicy, PauseRefusal, PauseTime, too_long
from shared.pausing.refusals import ASK_US, CANCELING, OVER, OVERDUE, PAUSED_ELSEWHERE
from shared.portal.facts import Reason
from shared.portal.pause import midnight_of, pause_refusals
from shared.stripe.periods import renewals
from shared.stripe.subscription import PauseKind, Subscription, is_paused

# A pause begins, and collection starts again, so long before a renewal: which of the two Stripe does first in the very
# second is not known, and a renewal must not be billed before a pause, nor voided after a return.
MARGIN = timedelta(minutes=5)
# Stripe needs the request a while before the pause begins, and a crashed request is finished by the next tick.
LEAD = timedelta(minutes=15)
# No pause ends later, not even the team's: no calendar goes on for ever.
_FURTHEST = timedelta(days=3650)


class Begin(StrEnum):
    """When a pause begins: when the time that was paid ends, or at once."""

    PERIOD_END = "period_end"
    NOW = "now"


@dataclass(frozen=True, slots=True)
class PausePlan:
    """A pause as it would be made; times are Unix seconds.

    `service_until`: when the paid time ends. `begins`: from when on nothing is charged and there is no service.
    `resumes`: when Stripe resumes; `next_charge` is when it charges again. `asked_resume`: the day that was asked for,
    which is earlier than `resumes` where collection can only start again at a renewal. `unused_time` says what becomes
    of paid time that is not used. `why_not_real`: why it is a pause of collection only.
    """

    kind: PauseKind
    begin: Begin
    begins: int
    resumes: int
    next_charge: int
    asked_resume: date
    unused_time: Literal["credit", "forfeit", "none"]
    why_not_real: tuple[Reason, ...] = ()
    is_moved: bool = False


@dataclass(frozen=True, slots=True)
class PauseRequest:
    """What somebody asks for; `override` is the team's: the company's rules do not count then.

    `group` is that of the customer, if it has one.
    """

    resume_on: date
    begin: Begin = Begin.PERIOD_END
    reason: str | None = None
    override: bool = False
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan, or every reason why there is none."""

    plan: PausePlan | None
    refusals: tuple[PauseRefusal, ...] = ()


@dataclass(frozen=True, slots=True)
class PlanFacts:
    """What a plan is made from; `anchor` is the subscription's `billing_cycle_anchor`, `now` in Unix seconds."""

    subscription: Subscription
    anchor: int | None
    others: Sequence[PauseTime]
    policy: PausePolicy
    timezone: tzinfo
    now: float


def plan_pause(facts: PlanFacts, request: PauseRequest) -> Planned:
    """Plan a pause of a subscription that has none."""
    subscription = facts.subscription
    refusals = list(_state_refusals(facts, request.begin))
    if refusals:
        return Planned(None, tuple(refusals))
    reasons = tuple(pause_refusals(subscription))
    kind: PauseKind = "collection" if reasons else "subscription"
    if kind == "collection" and (found := _collection_refusal(subscription, request.begin)):
        return Planned(None, (found,))
    ends = subscription.current_period_end or 0
    begins = int(facts.now) if request.begin is Begin.NOW else ends
    if kind == "subscription" and request.begin is Begin.PERIOD_END:
        begins -= int(MARGIN.total_seconds())
    if found := _too_far(facts, request, begins):
        return Planned(None, (found,))
    return _checked(facts, request, _with_return(facts, request, kind, begins, reasons))


def plan_new_return(facts: PlanFacts, request: PauseRequest, current: PausePlan) -> Planned:
    """Plan another date of return for a pause that is scheduled or running; all else of it stays."""
    if found := _too_far(facts, request, current.begins):
        return Planned(None, (found,))
    plan = _with_return(facts, request, current.kind, current.begins, current.why_not_real)
    return _checked(facts, request, plan, is_new=False)


def last_return(begins: int, policy: PausePolicy, timezone: tzinfo) -> date:
    """Return the latest day of return that the rules allow a pause which begins then."""
    return (datetime.fromtimestamp(begins, timezone) + policy.longest).date()


def longer_return(begins: int, returns: int, policy: PausePolicy, timezone: tzinfo) -> date | None:
    """Return the later day of return to propose for a pause: a month later, or the last day that the rules allow.

    `begins` and `returns` are Unix seconds. `None` where the rules allow none that is later.
    """
    day = datetime.fromtimestamp(returns, timezone).date()
    year, month = divmod(day.year * 12 + day.month, 12)
    month_later = date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))
    longer = min(month_later, last_return(begins, policy, timezone))
    return longer if longer > day and policy.pause_allowed == "everybody" else None


def next_renewal(subscription: Subscription, anchor: int | None, *, after: float) -> int | None:
    """Return the first renewal that is later than `after` by more than the margin; Unix seconds."""
    item = max(subscription.items, key=lambda each: each.current_period_end or 0, default=None)
    if item is None:
        return None
    earliest = after + 2 * MARGIN.total_seconds()
    return next((moment for moment in renewals(item, anchor=anchor) if moment >= earliest), None)


def _too_far(facts: PlanFacts, request: PauseRequest, begins: int) -> PauseRefusal | None:
    """Return why the day is too far away, before anything is counted up to it."""
    furthest = datetime.fromtimestamp(begins, facts.timezone) + _FURTHEST
    return too_long(facts.policy.longest) if request.resume_on > furthest.date() else None


def _with_return(
    facts: PlanFacts, request: PauseRequest, kind: PauseKind, begins: int, reasons: tuple[Reason, ...]
) -> PausePlan:
    asked = midnight_of(request.resume_on, facts.timezone)
    resumes = next_charge = asked
    if kind == "collection":
        renewal = next_renewal(facts.subscription, facts.anchor, after=max(asked - 2 * MARGIN.total_seconds(), begins))
        next_charge = asked if renewal is None else renewal
        resumes = next_charge - int(MARGIN.total_seconds())
    unused: Literal["credit", "forfeit", "none"] = "none"
    if request.begin is Begin.NOW and kind == "subscription":
        unused = "forfeit" if facts.policy.pause_now == "forfeit" else "credit"
    moved = datetime.fromtimestamp(next_charge, facts.timezone).date() != request.resume_on
    return PausePlan(kind, request.begin, begins, resumes, next_charge, request.resume_on, unused, reasons, moved)


def _checked(facts: PlanFacts, request: PauseRequest, plan: PausePlan, *, is_new: bool = True) -> Planned:
    refusals = []
    earliest = max(plan.begins, int(facts.now)) + int(LEAD.total_seconds())
    if midnight_of(request.resume_on, facts.timezone) < earliest:
        refusals.append(
            PauseRefusal(
                "resume_too_early",
                _("The date of return has to be later than {day}.", day=_day(earliest, facts.timezone)),
                _("Choose a later date of return."),
            )
        )
    if not request.override:
        pause = PauseTime(facts.subscription.id, plan.begins, plan.resumes)
        refusals += (
            facts.policy.refusals(pause, others=facts.others, reason=request.reason)
            if is_new
            else facts.policy.refusals(pause)
        )
        if is_new and request.begin is Begin.NOW and facts.policy.pause_now == "never":
            refusals.append(
                PauseRefusal(
                    "not_at_once",
                    _("A pause begins at the end of the time that you have paid for."),
                    _("Let it begin then."),
                )
            )
    return Planned(None, tuple(refusals)) if refusals else Planned(plan)


def _state_refusals(facts: PlanFacts, begin: Begin) -> Iterator[PauseRefusal]:
    """Return what keeps a subscription from being paused in either way."""
    subscription, now = facts.subscription, facts.now
    if subscription.ended or subscription.status == "incomplete":
        yield OVER
        return
    if is_paused(subscription, datetime.fromtimestamp(now, facts.timezone)):
        yield PAUSED_ELSEWHERE
        return
    if subscription.is_past_due:
        yield OVERDUE
    if subscription.is_canceling:
        yield CANCELING
    end = subscription.current_period_end
    if end is None:
        yield PauseRefusal("period_unknown", _("When the time that you have paid for ends is not known."), ASK_US)
    elif begin is Begin.PERIOD_END and now > end - MARGIN.total_seconds() - LEAD.total_seconds():
        # Not the period after it: that would charge somebody once more who has just asked not to be charged.
        yield PauseRefusal(
            "renewal_too_close",
            _("This subscription is about to renew."),
            _("Try again once it has renewed."),
            end + int(LEAD.total_seconds()),
        )


_NOT_AT_ONCE = _("This subscription can only be paused at the end of the time that you have paid for.")


def _collection_refusal(subscription: Subscription, begin: Begin) -> PauseRefusal | None:
    """Return why not even the collection of a subscription can be paused."""
    if begin is Begin.NOW:
        return PauseRefusal("not_at_once", _NOT_AT_ONCE, _("Let it begin then."))
    if any(item.usage_type == "metered" for item in subscription.items):
        # The renewal at which the pause begins bills the usage of the time before, and its invoice would be void.
        return PauseRefusal("metered", _("Its usage is billed afterwards, so it cannot be paused here."), ASK_US)
    # One renewal has to be the renewal of all items, or some would be served free until their own.
    rhythms = {(item.interval, item.interval_count, item.current_period_end) for item in subscription.items}
    if len(rhythms) != 1 or next(iter(rhythms))[0] is None:
        return PauseRefusal(
            "several_rhythms", _("Its parts are billed at different times, so it cannot be paused here."), ASK_US
        )
    return None


def _day(moment: int, timezone: tzinfo) -> date:
    return datetime.fromtimestamp(moment, timezone).date()
