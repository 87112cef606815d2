"""What a real pause in place of a pause of collection would be, or why Stripe cannot make one.

Pure, as `plan` is. How it is carried out, whichever way Stripe answers, is in `course`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo

from shared.i18n import _
from shared.pausing.plan import LEAD, MARGIN, Begin
from shared.pausing.policy import PausePolicy, PauseRefusal, PauseTime
from shared.portal.pause import midnight_of, pause_refusals
from shared.stripe.periods import next_invoice_at
from shared.stripe.subscription import PauseCollection, Subscription, is_paused

# Where Stripe refuses to pause a subscription while its collection is paused, neither pause is set for a moment, or
# after a crash until the next tick. Nothing is unset when a renewal is nearer than this, so that not even hours without
# a tick charge anybody.
SAFE_GAP = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class ConversionRequest:
    """What the team asks for.

    `seen` is the pause of collection that was shown; any other is left alone. `until`: the day of return, where it is
    not that of `seen`. `paid_through`: the end of the time that was paid (Unix seconds), `None` if that is not known.
    `at_once`: even where that time has not ended, and then what is left of it is lost.
    """

    seen: PauseCollection
    until: date | None = None
    paid_through: int | None = None
    at_once: bool = False


@dataclass(frozen=True, slots=True)
class ConversionPlan:
    """A real pause in place of one of collection; times are Unix seconds.

    It begins at once, or when the paid time ends. `resumes`: when the subscription returns and is charged; `None`: not
    before somebody resumes it. `is_paused_already`: only the pause of collection is left to unset.
    """

    begin: Begin
    begins: int
    resumes: int | None
    is_paused_already: bool = False


@dataclass(frozen=True, slots=True)
class PlannedConversion:
    """The plan, or every reason why there is none."""

    plan: ConversionPlan | None
    refusals: tuple[PauseRefusal, ...] = ()


def plan_conversion(
    subscription: Subscription, request: ConversionRequest, *, policy: PausePolicy, timezone: tzinfo, now: float
) -> PlannedConversion:
    """Plan the conversion of a subscription as it is at `now` (Unix seconds)."""
    pause = subscription.pause_collection
    if pause is None or pause != request.seen:
        return PlannedConversion(None, (_CHANGED,))
    if subscription.status == "paused" and subscription.paused_reason == "pause_requested" and request.until is None:
        return PlannedConversion(ConversionPlan(Begin.NOW, int(now), None, is_paused_already=True))
    refusals = list(_refusals(subscription, now))
    begin, begins = _beginning(subscription, request, now)
    resumes = pause.resumes_at if request.until is None else midnight_of(request.until, timezone)
    if begin is Begin.PERIOD_END:
        after = (subscription.current_period_end or 0) + int(LEAD.total_seconds())
        if now > begins - LEAD.total_seconds():
            refusals.append(_about_to_renew(after))
        elif resumes is None:
            refusals.append(_paid(after))
    if resumes is not None and resumes < begins + LEAD.total_seconds():
        refusals.append(_RETURNS_FIRST)
    if request.until is not None and resumes is not None:
        # The company's longest pause; the other rules are about pauses that customers ask for.
        rules = policy.model_copy(update={"pause_allowed": "everybody"})
        refusals += rules.refusals(PauseTime(subscription.id, begins, resumes))
    return (
        PlannedConversion(None, tuple(refusals))
        if refusals
        else PlannedConversion(ConversionPlan(begin, begins, resumes))
    )


def is_safe_to_unset(subscription: Subscription, now: float) -> bool:
    """Whether no renewal is near: whatever happens, the next tick comes before it."""
    renewal = next_invoice_at(subscription)
    return renewal is not None and renewal - now >= SAFE_GAP.total_seconds()


def _beginning(subscription: Subscription, request: ConversionRequest, now: float) -> tuple[Begin, int]:
    """Nobody loses time that was paid, or may have been, unless the team says so: it begins at the period's end."""
    end, paid = subscription.current_period_end, request.paid_through
    if request.at_once or end is None or end <= now or (paid is not None and paid <= now):
        return Begin.NOW, int(now)
    return Begin.PERIOD_END, end - int(MARGIN.total_seconds())


def _refusals(subscription: Subscription, now: float) -> Iterator[PauseRefusal]:
    for reason in pause_refusals(subscription):
        yield PauseRefusal(reason.code, reason.why, reason.lifted_by)
    if not is_paused(subscription, datetime.fromtimestamp(now, UTC)):
        yield PauseRefusal("not_paused", _("The pause of its collection is over."))
    if subscription.is_canceling:
        yield PauseRefusal(
            "canceling",
            _("This subscription is set to be canceled."),
            _("Whoever wants a pause in place of that withdraws the cancellation first."),
        )


def _about_to_renew(allowed_from: int) -> PauseRefusal:
    return PauseRefusal(
        "renewal_too_close",
        _("This subscription is about to renew."),
        _("Try again once it has renewed."),
        allowed_from,
    )


def _paid(allowed_from: int) -> PauseRefusal:
    """A pause without a date of return can only be made at once."""
    return PauseRefusal(
        "paid_time_left",
        _("The time that runs was paid, or may have been, and a pause without a date of return begins at once."),
        _("Wait until that time has ended, choose a date of return with --until, or give the time up with --now."),
        allowed_from,
    )


_CHANGED = PauseRefusal("changed_meanwhile", _("Its pause has changed meanwhile: nothing was done."))
_RETURNS_FIRST = PauseRefusal(
    "resume_too_early",
    _("It would return before the pause could begin, or right after it."),
    _("Choose a later date of return with --until."),
)
