"""The state machine of a pause: what comes next, decided from the record, from what Stripe has, and from the time.

Pure. The first request, a retry after a crash and the follow-up by the schedule all take the same way: read Stripe,
decide, act, read again. docs/reference/pause.md draws the states.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum
from itertools import islice
from typing import Any

from shared.pausing.at_stripe import AtStripe, StripeRefusalError
from shared.pausing.conversion import is_safe_to_unset
from shared.pausing.history import CUSTOMER, OVERDUE, STRIPE, Actor, HistoryEntry, PauseAction, PauseRecord, PauseState
from shared.pausing.plan import LEAD, MARGIN, Begin, next_renewal
from shared.portal.pause import pause_refusals
from shared.stripe.periods import next_invoice_at, period_ends
from shared.stripe.subscription import PauseCollection

# How long whoever has taken a pause up may work on it before somebody else does: longer than any invocation.
LEASE = timedelta(minutes=2)
# How soon to look again at what should have happened by now, at what waits for a payment, and at all else: somebody may
# have changed it at Stripe.
SOON, WAITING, DAILY = timedelta(minutes=4), timedelta(hours=1), timedelta(days=1)
# How long before collection starts again to look for a change of plan, every few minutes: later, Stripe collects again.
_EARLY_SECONDS = 900
# A pause is neither asked of Stripe in the last minute before it is to begin, nor undone.
LAST_MINUTE = 60
_MARGIN_SECONDS = int(MARGIN.total_seconds())
# What the history says of a pause that has taken the place of a pause of collection.
CONVERTED = "converted_from_collection"
# The failures of a change that Stripe was not asked for, because of what was seen before.
_SEEN = frozenset({"changed_meanwhile", "resume_begun"})
# The failure of a pause that Stripe accepted, and had not begun an hour after its time.
NOT_IN_TIME = "not_paused_in_time"


class Call(StrEnum):
    """A request to Stripe that changes something."""

    SCHEDULE = "schedule"
    ATTACH = "attach"
    PLAN = "plan"
    RETURN = "return"
    MOVE = "move"
    RESUME_PLANNED = "resume-planned"
    RESUME = "resume"
    RELEASE = "release"
    VOID_INVOICE = "void-invoice"
    PAUSE_COLLECTION = "pause-collection"
    COLLECT_AGAIN = "collect-again"
    START_PERIOD = "start-period"
    RESTORE = "restore"


@dataclass(frozen=True, slots=True)
class Settle:
    """Write this record with these entries; `again`: then decide once more, else that is all for now."""

    record: PauseRecord
    entries: tuple[HistoryEntry, ...] = ()
    again: bool = False


def next_step(  # noqa: PLR0911 - one for each edge
    record: PauseRecord, at: AtStripe, now: float, timezone: tzinfo
) -> Call | Settle:
    """Decide what comes next; `now` is in Unix seconds, and a day begins in `timezone`."""
    if not record.state.is_open:
        return Settle(record)
    if at.subscription.ended:
        return _over(record, now)
    is_real = record.kind == "subscription"
    match record.state:
        case PauseState.STARTING:
            return _start_real(record, at, now) if is_real else _start_collection(record, at, now)
        case PauseState.SCHEDULED:
            return _scheduled_real(record, at, now, timezone) if is_real else _scheduled_collection(record, at, now)
        case PauseState.PAUSED:
            return _paused_real(record, at, now, timezone) if is_real else _paused_collection(record, at, now)
        case PauseState.CHANGING:
            return _change_real(record, at, now) if is_real else _change_collection(record, at, now)
        case PauseState.RESUMING:
            return _resume_real(record, at, now)
        case _:
            return _undo_real(record, at, now) if is_real else _undo_collection(record, at, now)


def after_refusal(  # noqa: PLR0911 - one for each edge
    record: PauseRecord, call: Call, refused: StripeRefusalError, now: float
) -> Settle:
    """Decide what follows from a definite refusal: nothing was changed by that request."""
    match call:
        case Call.SCHEDULE if refused.param == "pause_schedules" and "from_subscription" in refused.text:
            # The SDK's text of `from_subscription` allows no other parameter, the page about pause schedules does.
            return Settle(replace(record, step="attach"), again=True)
        case Call.SCHEDULE | Call.ATTACH | Call.PLAN if record.is_conversion:
            return _not_in_place_of(record, now, refused.code, refused.text)
        case Call.SCHEDULE | Call.ATTACH | Call.PAUSE_COLLECTION if record.state is PauseState.STARTING:
            return _failed(record, now, refused.code, refused.text)
        case Call.PLAN:
            return _undoing(record, now, failure=refused.code, detail=refused.text)
        case Call.RETURN if record.wanted_resumes == record.resumes:
            # It is resumed by hand then, when the time has come.
            by_hand = replace(_back(record), step="no_return", failure_detail=refused.text)
            return Settle(_wait(by_hand, now, record.resumes))
        case Call.START_PERIOD:
            return _waiting(record, now, "stripe", refused.text)
        case Call.RESUME | Call.RESUME_PLANNED:
            return _waiting(record, now, _what_is_missing(refused), refused.text)
        case Call.MOVE | Call.RETURN | Call.PAUSE_COLLECTION:
            return _unchanged(record, now, refused.code, refused.text)
        case _:
            return Settle(_wait(replace(record, failure_detail=refused.text), now, None))


def _what_is_missing(refused: StripeRefusalError) -> str:
    words = refused.text.lower()
    if refused.is_card:
        return "payment"
    return "payment_method" if "payment method" in words or "payment source" in words else "stripe"


# A pause is set.


def _start_real(  # noqa: PLR0911 - one for each edge
    record: PauseRecord, at: AtStripe, now: float
) -> Call | Settle:
    if record.is_conversion and (first := _before_conversion(record, at, now)):
        return first
    if planned := at.planned_by(record.operation_id):
        if planned.pause_state == "error":
            return _undoing(record, now, failure="pause_error", detail=planned.pause_error)
        return _is_set(replace(record, schedule_id=planned.schedule_id), now)
    if at.paused_by:
        return _is_set(replace(record, schedule_id=at.paused_by), now)
    attached = at.subscription.schedule_id
    if record.step == "attach" and attached is None:
        return Call.ATTACH
    if record.step == "attach" and attached:
        # The request is repeated with the same key, so Stripe names the schedule that it made, or refuses.
        return Call.PLAN if record.schedule_id == attached else Call.ATTACH
    if not record.is_conversion and (blocked := _blocked(record, at, now)):
        return _failed(record, now, blocked)
    return Call.SCHEDULE


def _start_collection(record: PauseRecord, at: AtStripe, now: float) -> Call | Settle:
    if at.is_collection_paused_until(record.resumes):
        return _is_set(record, now)
    if blocked := _blocked(record, at, now):
        return _failed(record, now, blocked)
    return Call.PAUSE_COLLECTION


def _blocked(  # noqa: PLR0911 - one for each edge
    record: PauseRecord, at: AtStripe, now: float
) -> str | None:
    """Return what has come between the plan and the request; both kinds of pause are never set at once."""
    subscription = at.subscription
    if subscription.is_pause_running(now):
        return "paused_elsewhere"
    if subscription.is_canceling:
        return "canceling"
    reasons = [reason.code for reason in pause_refusals(subscription)]
    if record.kind == "subscription" and reasons:
        return "cannot_pause"
    if record.kind == "collection" and subscription.status not in {"active", "trialing"}:
        return "cannot_pause"
    if record.begin != Begin.PERIOD_END:
        # A crash has put it off beyond a renewal: a whole period is charged, which the pause would cut off at once.
        return "changed_meanwhile" if _has_renewed(at, since=record.begins) else None
    end = record.begins + (_MARGIN_SECONDS if record.kind == "subscription" else 0)
    if subscription.current_period_end != end:
        return "changed_meanwhile"
    return "too_late" if now > record.begins - LAST_MINUTE else None


def _is_set(record: PauseRecord, now: float) -> Settle:
    settled = replace(record, state=PauseState.SCHEDULED, step=None, failure=None, failure_detail=None)
    again = record.begins <= now
    settled = _wait(settled, now, record.begins)
    if record.step == "again":
        return Settle(settled, again=again)
    detail = CONVERTED if record.is_conversion else None
    return Settle(settled, (_entry(record, now, PauseAction.SET, detail=detail),), again=again)


# It is set, and has not begun.


def _scheduled_real(  # noqa: PLR0911 - one for each edge
    record: PauseRecord, at: AtStripe, now: float, timezone: tzinfo
) -> Call | Settle:
    planned = at.planned_by(record.operation_id)
    if at.subscription.status == "paused":
        return (
            Call.COLLECT_AGAIN if record.is_conversion and at.subscription.pause_collection else _has_begun(record, now)
        )
    if planned and planned.pause_state == "error" and record.is_conversion:
        again = replace(record, state=PauseState.STARTING, step="again")
        return _not_in_place_of(again, now, "pause_error", planned.pause_error)
    if planned and planned.pause_state == "error":
        return _undoing(record, now, failure="pause_error", detail=planned.pause_error)
    if planned and planned.resume_state == "succeeded":
        return _undoing(record, now, outcome=PauseAction.RESUMED)
    if planned and planned.pause_state != "succeeded" and now >= record.begins + OVERDUE.total_seconds():
        return _undoing(record, now, failure=NOT_IN_TIME)
    if planned:
        return _as_planned(record, planned.resume_at, now, record.begins, timezone)
    if at.ended_by_itself and at.subscription.schedule_id is None and now < record.begins - LAST_MINUTE:
        return Settle(replace(record, state=PauseState.STARTING, step="again", schedule_id=None), again=True)
    if record.is_conversion:
        return _undoing(record, now, failure=NOT_IN_TIME)
    if at.ended_by_itself:
        return _failed(record, now, NOT_IN_TIME)
    return _ended(record, now, PauseAction.ENDED_ELSEWHERE)


def _scheduled_collection(record: PauseRecord, at: AtStripe, now: float) -> Call | Settle:
    if not at.is_collection_paused_until(record.resumes):
        return _ended(record, now, PauseAction.ENDED_ELSEWHERE)
    if at.subscription.status == "paused":
        return _undoing(record, now, outcome=PauseAction.ENDED_ELSEWHERE)
    if now >= record.begins:
        return _has_begun(record, now)
    return _at_its_renewal(record, at, now) or Settle(_wait(record, now, record.begins))


def _has_begun(record: PauseRecord, now: float) -> Settle:
    begun = replace(_converted(record), state=PauseState.PAUSED, has_begun=True)
    return Settle(begun, (_entry(begun, now, PauseAction.BEGUN, STRIPE),), again=True)


def _converted(record: PauseRecord) -> PauseRecord:
    """Forget the pause of collection, which is unset."""
    nothing: dict[str, Any] = dict.fromkeys(("collection_behavior", "collection_resumes", "cleared_at"))
    return replace(record, **nothing)


def _as_planned(record: PauseRecord, resume_at: int | None, now: float, until: int, timezone: tzinfo) -> Settle:
    """Go on waiting; a date of return that somebody has changed at Stripe counts."""
    if resume_at is None and record.has_return and not record.is_conversion:
        return _ended(record, now, PauseAction.ENDED_ELSEWHERE)
    if resume_at is None or resume_at == record.resumes:
        return Settle(_wait(record, now, until))
    day = datetime.fromtimestamp(resume_at, timezone).date().isoformat()
    moved = replace(record, resumes=resume_at, next_charge=resume_at, asked_resume=day)
    return Settle(_wait(moved, now, until), (_entry(moved, now, PauseAction.CHANGED, STRIPE),))


# It has begun.


def _paused_real(  # noqa: PLR0911 - one for each edge
    record: PauseRecord, at: AtStripe, now: float, timezone: tzinfo
) -> Call | Settle:
    planned = at.planned_by(record.operation_id)
    if at.subscription.status != "paused":
        by_plan = now >= record.resumes or (planned is not None and planned.resume_state == "succeeded")
        outcome = PauseAction.RESUMED if by_plan else PauseAction.ENDED_ELSEWHERE
        return _undoing(record, now, outcome=outcome)
    if record.is_conversion:
        # An undo came too late.
        return Call.COLLECT_AGAIN if at.subscription.pause_collection else Settle(_converted(record), again=True)
    if not record.has_return and (planned is None or planned.resume_at is None):
        # Without a schedule the portal can cancel it, and somebody can resume it.
        return _undoing(record, now, outcome=PauseAction.RELEASED)
    if planned and planned.resume_state not in {"scheduled", None}:
        return _resuming(record, now)
    if planned and now < record.resumes + OVERDUE.total_seconds():
        return _as_planned(record, planned.resume_at, now, record.resumes, timezone)
    if now >= record.resumes - LAST_MINUTE:
        return _resuming(record, now) if now >= record.resumes else Settle(_wait(record, now, record.resumes))
    if at.subscription.schedule_id or record.step == "no_return":
        return Settle(_wait(record, now, record.resumes))
    if record.schedule_id and not at.ended_by_itself:
        return _ended(record, now, PauseAction.ENDED_ELSEWHERE)
    # Written first: a customer who gives the date of return up meanwhile would get it back.
    return _changing(record, now, record.resumes, record.next_charge)


def _paused_collection(record: PauseRecord, at: AtStripe, now: float) -> Call | Settle:
    is_ours = at.is_collection_paused_until(record.resumes)
    if is_ours and at.subscription.status == "paused":
        return _undoing(record, now, outcome=PauseAction.ENDED_ELSEWHERE)
    if now < record.resumes and is_ours and (moved := _at_its_renewal(record, at, now)):
        return moved
    if now >= record.resumes:
        if (is_ours or at.subscription.pause_collection is None) and _period_is_void(record, at):
            return Call.START_PERIOD
        return _undoing(record, now, outcome=PauseAction.RESUMED)
    if not is_ours:
        return _ended(record, now, PauseAction.ENDED_ELSEWHERE)
    return Settle(_wait(record, now, record.resumes - _EARLY_SECONDS))


def _at_its_renewal(record: PauseRecord, at: AtStripe, now: float) -> Settle | None:
    """Move the return from a pause of collection to a renewal again; `None` if it is at one.

    Another plan may renew at other times. What runs at the old date of return is void, and would be given away.
    """
    renewal = next_renewal(at.subscription, at.anchor, after=record.resumes - 2 * _MARGIN_SECONDS)
    if renewal is None or renewal == record.next_charge:
        return None
    return _changing(record, now, renewal - _MARGIN_SECONDS, renewal)


def _period_is_void(record: PauseRecord, at: AtStripe) -> bool:
    """Whether the period that runs began in the pause, and goes on beyond its end: it would be served for nothing.

    That is so where the plan was changed to another rhythm after the last look before the return. Who has canceled by
    then is charged nothing more all the same.
    """
    subscription = at.subscription
    item = max(subscription.items, key=lambda each: each.current_period_end or 0, default=None)
    if item is None or subscription.status != "active" or subscription.is_canceling or record.step == "started":
        return False
    ends = list(islice(period_ends(item, after=0, anchor=at.anchor), 2))
    return len(ends) > 1 and ends[0] > record.next_charge and ends[1] < record.resumes


def _changing(record: PauseRecord, now: float, resumes: int, next_charge: int) -> Settle:
    """Begin to change the date of return by ourselves."""
    change = replace(
        record,
        state=PauseState.CHANGING,
        actor=STRIPE.kind,
        actor_name=None,
        step=None,
        wanted_resumes=resumes,
        wanted_next_charge=next_charge,
    )
    return Settle(_wait(change, now, None), again=True)


# It takes the place of a pause of collection.


def _before_conversion(  # noqa: PLR0911 - one for each edge
    record: PauseRecord, at: AtStripe, now: float
) -> Call | Settle | None:
    """Decide what has to be done before the pause is asked for; `None`: nothing.

    Collection stays paused until the subscription is, so that no moment is without a pause. Only where Stripe refuses
    that, it is unset before, and put back if the pause is refused all the same.
    """
    subscription, planned = at.subscription, at.planned_by(record.operation_id)
    if planned and planned.pause_state != "error":
        return None
    if subscription.status == "paused":
        return _is_paused_without_plan(record, at, now)
    if blocked := _conversion_blocked(record, at, now):
        return _undoing(record, now, failure=blocked) if record.cleared_at else _failed(record, now, blocked)
    if record.cleared_at is None:
        return _not_in_place_of(record, now, "pause_error", planned.pause_error) if planned else None
    if planned or (record.schedule_id and record.schedule_id == subscription.schedule_id and record.step != "attach"):
        return Call.RELEASE
    if subscription.pause_collection:
        return Call.COLLECT_AGAIN if is_safe_to_unset(subscription, now) else _after_renewal(record, at, now)
    unused = _unused_after_clearing(record, at, now)
    return Settle(replace(record, unused_time=unused), again=True) if unused != record.unused_time else None


def _after_renewal(record: PauseRecord, at: AtStripe, now: float) -> Settle:
    """Wait, with collection still paused, until the renewal that is near is over."""
    renewal = next_invoice_at(at.subscription) or int(now)
    return Settle(_wait(replace(record, cleared_at=None), now, renewal + int(LEAD.total_seconds())))


def _is_paused_without_plan(record: PauseRecord, at: AtStripe, now: float) -> Call | Settle:
    """Only one pause is to be left, whoever has set the real one. Ours may have lost its schedule since."""
    if at.subscription.pause_collection:
        return Call.COLLECT_AGAIN
    made = record.schedule_id or at.paused_by
    return (
        _is_set(replace(record, schedule_id=made), now)
        if made or not record.has_return
        else _failed(record, now, "paused_elsewhere")
    )


def _conversion_blocked(record: PauseRecord, at: AtStripe, now: float) -> str | None:
    subscription = at.subscription
    kept = PauseCollection(record.collection_behavior or "", record.collection_resumes)
    if record.cleared_at is None and subscription.pause_collection != kept:
        return "changed_meanwhile"
    if subscription.is_canceling:
        return "canceling"
    if record.has_return and now >= record.resumes - LAST_MINUTE:
        return "resume_begun"
    # Whose schedule it is that is being attached, Stripe's answer to the same request tells.
    is_ours = at.planned_by(record.operation_id) or subscription.schedule_id == record.schedule_id
    is_allowed = {"schedule"} if is_ours or record.step == "attach" else set()
    reasons = {reason.code for reason in pause_refusals(subscription)} - is_allowed
    return "cannot_pause" if reasons else None


def _not_in_place_of(record: PauseRecord, now: float, failure: str, detail: str | None) -> Settle:
    """Stripe has refused the pause: perhaps because collection is paused, so the next try is without that."""
    if record.cleared_at is None:
        return Settle(
            replace(record, cleared_at=int(now), step=_without_attach(record), failure_detail=detail), again=True
        )
    return _undoing(record, now, failure=failure, detail=detail)


def _without_attach(record: PauseRecord) -> str | None:
    return None if record.step == "attach" else record.step


def _unused_after_clearing(record: PauseRecord, at: AtStripe, now: float) -> str:
    """What is left of the period that runs is credited if a renewal has come in between, because that is charged."""
    if _has_renewed(at, since=record.cleared_at or 0):
        return "credit_period"
    return "none" if record.begin == Begin.PERIOD_END and now < record.begins else "forfeit"


def _has_renewed(at: AtStripe, *, since: int) -> bool:
    return any(
        len(list(islice(period_ends(item, after=since, anchor=at.anchor), 2))) > 1 for item in at.subscription.items
    )


def _is_to_be_restored(record: PauseRecord, at: AtStripe, now: float) -> bool:
    subscription, until = at.subscription, record.collection_resumes
    is_over = until is not None and until <= now + LAST_MINUTE
    return subscription.status != "paused" and subscription.pause_collection is None and not is_over


# Its date of return is changed.


def _change_real(record: PauseRecord, at: AtStripe, now: float) -> Call | Settle:
    planned = at.planned_by(record.operation_id)
    is_paused_now = at.subscription.status == "paused"
    if planned and planned.resume_at == record.wanted_resumes:
        return _is_changed(replace(record, schedule_id=planned.schedule_id), now)
    if planned and planned.resume_state not in {"scheduled", None}:
        return _unchanged(record, now, "resume_begun", None)
    if planned:
        return Call.MOVE
    if is_paused_now and at.subscription.schedule_id is None:
        return Call.RETURN
    return _unchanged(record, now, "changed_meanwhile", None)


def _change_collection(record: PauseRecord, at: AtStripe, now: float) -> Call | Settle:
    if record.wanted_resumes is not None and at.is_collection_paused_until(record.wanted_resumes):
        return _is_changed(record, now)
    if not at.is_collection_paused_until(record.resumes) or now >= record.next_charge:
        return _unchanged(record, now, "changed_meanwhile", None)
    if record.wanted_resumes is None or now <= record.wanted_resumes - LAST_MINUTE:
        return Call.PAUSE_COLLECTION
    # The renewal that was meant is over, and its invoice is void.
    renewal = next_renewal(at.subscription, at.anchor, after=now)
    if renewal is None or renewal >= record.next_charge:
        return _unchanged(record, now, "changed_meanwhile", None)
    later = replace(record, wanted_resumes=renewal - _MARGIN_SECONDS, wanted_next_charge=renewal)
    return Settle(_wait(later, now, None), again=True)


def _is_changed(record: PauseRecord, now: float) -> Settle:
    changed = replace(
        _back(record),
        resumes=record.wanted_resumes or record.resumes,
        next_charge=record.wanted_next_charge or record.next_charge,
        asked_resume=record.wanted_asked_resume or record.asked_resume,
    )
    settled = _wait(changed, now, changed.resumes if changed.has_begun else changed.begins)
    if changed.resumes == record.resumes:
        return Settle(settled, again=True)
    return Settle(settled, (_entry(changed, now, PauseAction.CHANGED, _actor(record)),), again=True)


def _unchanged(record: PauseRecord, now: float, failure: str, detail: str | None) -> Settle:
    """Return to the pause as it was; the failure of the change is kept for whoever asked.

    The answer to a request (the first attempt) says itself that it failed. Later a customer gets a mail, if the pause
    goes on: where Stripe has not refused the change, something has come in between, which is looked at first.
    """
    back = replace(_back(record), failure=failure, failure_detail=detail)
    until = back.resumes if back.has_begun else back.begins
    if record.actor == STRIPE.kind:
        return Settle(_wait(back, now, until))
    entries = (_entry(back, now, PauseAction.CHANGE_FAILED, detail=failure),)
    if record.attempt == 0:
        return Settle(_wait(back, now, until), entries)
    late = replace(back, change_failed=record.actor == CUSTOMER.kind)
    return Settle(_wait(late, now, int(now)), entries, again=failure in _SEEN)


def _back(record: PauseRecord) -> PauseRecord:
    state = PauseState.PAUSED if record.has_begun else PauseState.SCHEDULED
    nothing: dict[str, Any] = dict.fromkeys(("wanted_resumes", "wanted_next_charge", "wanted_asked_resume", "step"))
    return replace(record, state=state, failure=None, failure_detail=None, **nothing)


# It is resumed.


def _resuming(record: PauseRecord, now: float) -> Settle:
    """Begin to resume because the time has come."""
    due = replace(record, state=PauseState.RESUMING, actor=STRIPE.kind, actor_name=None, waiting=None, step=None)
    return Settle(_wait(due, now, None), again=True)


def _resume_real(record: PauseRecord, at: AtStripe, now: float) -> Call | Settle:
    if at.subscription.status != "paused":
        return _undoing(record, now, outcome=PauseAction.RESUMED)
    planned = at.planned_by(record.operation_id)
    if planned and planned.resume_state in {"scheduled", None}:
        return Call.RESUME_PLANNED
    if at.waits_for_payment:
        return _waiting(record, now, "payment", planned.resume_error if planned else None)
    if planned and planned.resume_state in {"pending", "requires_action", "succeeded"}:
        waits_for = "payment" if planned.resume_state == "requires_action" else "stripe"
        return _waiting(record, now, waits_for, None)
    # A planned resume that failed is not tried again by Stripe; without the schedule it can be asked for.
    return Call.RELEASE if planned else Call.RESUME


def _waiting(record: PauseRecord, now: float, waiting: str, detail: str | None) -> Settle:
    """Access stays off, and the record says what is missing; Stripe tries failed payments again by itself."""
    every = DAILY if waiting == "payment_method" else WAITING
    waits = replace(record, waiting=waiting, failure_detail=detail, retry_at=int(now + every.total_seconds()))
    if record.waiting == waiting:
        return Settle(waits)
    waits = replace(waits, waiting_since=int(now))
    return Settle(waits, (_entry(waits, now, PauseAction.FAILED, detail=waiting),))


# What was set at Stripe is removed, and the pause ends.


def _undoing(
    record: PauseRecord,
    now: float,
    *,
    outcome: PauseAction | None = None,
    failure: str | None = None,
    detail: str | None = None,
) -> Settle:
    # Who asked to resume has resumed it; what is only seen here has happened at Stripe.
    by = _actor(record) if record.state is PauseState.RESUMING else STRIPE
    undo = replace(
        record,
        actor=by.kind,
        actor_name=by.name,
        state=PauseState.UNDOING,
        outcome=outcome.value if outcome else None,
        failure=failure,
        failure_detail=detail,
        step=None,
    )
    return Settle(_wait(undo, now, None), again=True)


def _undo_real(record: PauseRecord, at: AtStripe, now: float) -> Call | Settle:
    planned, is_paused_now = at.planned_by(record.operation_id), at.subscription.status == "paused"
    is_undo = record.outcome == PauseAction.UNDONE
    if record.is_conversion and (is_undo or record.failure) and _is_to_be_restored(record, at, now):
        return Call.RESTORE
    if is_paused_now and (is_undo or record.failure == NOT_IN_TIME):
        # Stripe was faster. To resume would charge somebody who has not asked for that, so the pause goes on.
        return _goes_on(replace(record, schedule_id=planned.schedule_id if planned else None), now)
    # A read may be a moment behind, so the schedule is released by its id even if the subscription does not name it.
    if record.step != "removed" and (record.schedule_id or planned):
        return Call.RELEASE
    if record.outcome == PauseAction.RELEASED and at.waits_for_payment and at.latest_invoice:
        # Stripe would go on charging it, and resume.
        return Call.VOID_INVOICE
    return _finished(record, now)


def _goes_on(record: PauseRecord, now: float) -> Settle:
    """Go on with a pause that has begun before it was undone; whoever asked to undo it learns that it was too late."""
    failure = "undo_too_late" if record.outcome == PauseAction.UNDONE else None
    begun = replace(record, state=PauseState.PAUSED, has_begun=True, outcome=None, failure=failure, step=None)
    return Settle(_wait(begun, now, None), (_entry(begun, now, PauseAction.BEGUN, STRIPE),), again=True)


def _undo_collection(record: PauseRecord, at: AtStripe, now: float) -> Call | Settle:
    is_free = at.subscription.pause_collection is None
    is_ours = at.is_collection_paused_until(record.resumes)
    if is_ours and record.outcome == PauseAction.UNDONE and now > record.begins - LAST_MINUTE:
        # The period that begins is void already, or about to be.
        return _goes_on(record, now)
    if record.step != "removed" and (is_ours or (is_free and record.outcome == PauseAction.UNDONE)):
        return Call.COLLECT_AGAIN
    return _finished(record, now)


def _finished(record: PauseRecord, now: float) -> Settle:
    if record.failure:
        return _failed(record, now, record.failure, record.failure_detail)
    return _ended(record, now, PauseAction(record.outcome or PauseAction.UNDONE))


def _over(record: PauseRecord, now: float) -> Settle:
    if record.state is PauseState.STARTING:
        return _failed(record, now, "subscription_over")
    return _ended(record, now, PauseAction.CANCELED)


def _ended(record: PauseRecord, now: float, action: PauseAction) -> Settle:
    by_hand = {PauseAction.UNDONE, PauseAction.RESUMED, PauseAction.RELEASED}
    actor = _actor(record) if action in by_hand else STRIPE
    over = replace(record, state=PauseState.ENDED, outcome=action.value, retry_at=None, waiting=None, step=None)
    return Settle(over, (_entry(over, now, action, actor),))


def _failed(record: PauseRecord, now: float, failure: str, detail: str | None = None) -> Settle:
    failed = replace(
        record, state=PauseState.FAILED, failure=failure, failure_detail=detail, retry_at=None, waiting=None, step=None
    )
    if _has_to_be_told(record, failure):
        failed = _wait(failed, now, int(now))
    return Settle(failed, (_entry(failed, now, PauseAction.FAILED, detail=failure),))


def _has_to_be_told(record: PauseRecord, failure: str) -> bool:
    """Whether the customer needs a mail about a failure: it is looked at again until that is sent.

    The answer to a request (the first attempt) says itself that it failed. A customer does not know of what the team
    asked for before it is set. A pause of collection that was not replaced goes on, and what is over costs nothing.
    """
    is_known = record.actor != "team" or record.told is not None
    return record.attempt > 0 and is_known and not record.is_conversion and failure != "subscription_over"


def _wait(record: PauseRecord, now: float, until: int | None) -> PauseRecord:
    """Look again at a time, but within a day; soon if that time has passed; after the lease without one."""
    if until is None:
        return replace(record, retry_at=int(now + LEASE.total_seconds()))
    soonest, latest = int(now + SOON.total_seconds()), int(now + DAILY.total_seconds())
    return replace(record, retry_at=min(max(until, soonest), latest))


def _actor(record: PauseRecord) -> Actor:
    return Actor(record.actor, record.actor_name)


def _entry(
    record: PauseRecord, now: float, action: PauseAction, actor: Actor | None = None, detail: str | None = None
) -> HistoryEntry:
    by = actor or _actor(record)
    return HistoryEntry(
        record.subscription_id,
        record.customer_id,
        record.operation_id,
        record.version + 1,
        int(now),
        action,
        by.kind,
        record.kind,
        record.begins,
        record.resumes,
        by.name,
        record.reason if action is PauseAction.SET else None,
        record.overridden if action in {PauseAction.SET, PauseAction.CHANGED} else False,
        detail,
    )
