"""Whether a customer can pause or resume in the portal, and Stripe's calendar of the old pause button."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, tzinfo
from enum import StrEnum

from shared.i18n import Message, _
from shared.portal.configuration import SINCE
from shared.portal.facts import ENDED, Answer, PortalFacts, Reason, answer
from shared.stripe.subscription import Subscription, is_paused

PAUSE_BUTTON_REMOVED_ON = date(2024, 3, 29)
PAUSE_CUTOFF_ON = date(2024, 8, 1)


class Phase(StrEnum):
    """What a customer can still do with the pause button of the old portal."""

    BUTTON_AVAILABLE = "button_available"
    RESUME_ONLY = "resume_only"
    STRANDED = "stranded"


def phase_on(today: date, *, button_removed_on: date, cutoff_on: date) -> Phase:
    """Return the phase of a day; each date is the first day of what follows it (Stripe's portal FAQ)."""
    if today >= cutoff_on:
        return Phase.STRANDED
    return Phase.RESUME_ONLY if today >= button_removed_on else Phase.BUTTON_AVAILABLE


def days_until(cutoff_on: date, today: date) -> int:
    """Days from `today` to the cutoff; 0 on the cutoff and after it."""
    return max(0, (cutoff_on - today).days)


@dataclass(frozen=True, slots=True)
class PauseDay:
    """A day in Stripe's calendar of the old pause button; `days_left` until `cutoff_on`, 0 from then on."""

    phase: Phase
    days_left: int
    cutoff_on: date


def pause_day(
    today: date, *, button_removed_on: date = PAUSE_BUTTON_REMOVED_ON, cutoff_on: date = PAUSE_CUTOFF_ON
) -> PauseDay:
    """Look a day up in the calendar."""
    phase = phase_on(today, button_removed_on=button_removed_on, cutoff_on=cutoff_on)
    return PauseDay(phase, days_until(cutoff_on, today), cutoff_on)


class PauseOrigin(StrEnum):
    """Whether the old portal's pause button can have made a pause of collection."""

    BUTTON = "button"  # it began while the button existed, in the form that the button gave it
    NOT_BUTTON = "not_button"  # it has another form, or began when the button was gone
    UNKNOWN = "unknown"


def midnight_of(day: date, timezone: tzinfo) -> int:
    """Return the Unix second at which a day begins in a time zone."""
    return int(datetime.combine(day, time.min, timezone).timestamp())


def pause_origin(subscription: Subscription, since: int | None, *, exact: bool, removed_at: int) -> PauseOrigin:
    """Tell by its form and its dates whether the button can have made a pause of collection.

    `since`: the Unix second at which it began, or by which it had begun unless `exact`. `removed_at`: the second from
    which on the button was gone. The button set `void` without an end, and so can the Dashboard and the API: a date
    proves that it was not the button, or that it can have been.
    """
    pause = subscription.pause_collection
    if pause is None or pause.behavior != "void" or pause.resumes_at is not None:
        return PauseOrigin.NOT_BUTTON
    # Collection can be paused by an update only (stripe-python 16.1.0), so never before the subscription was created.
    if subscription.created is not None and subscription.created >= removed_at:
        return PauseOrigin.NOT_BUTTON
    if since is None:
        return PauseOrigin.UNKNOWN
    if since < removed_at:
        return PauseOrigin.BUTTON
    return PauseOrigin.NOT_BUTTON if exact else PauseOrigin.UNKNOWN


# `unpaid` is not on that page, and is left alone to be safe.
_NOT_PAUSABLE = frozenset({"canceled", "incomplete", "incomplete_expired", "paused", "unpaid"})
_TRIAL = Reason(
    "trial",
    _("A trial cannot be paused."),
    _("Wait until the trial has ended."),
)
_SEND_INVOICE = Reason(
    "send_invoice",
    _("A subscription paid by invoice (send_invoice) cannot be paused."),
    _("Charge it automatically, or pause its collection (pause_collection, in the Dashboard or the API)."),
)
_CLASSIC = Reason(
    "classic_billing_mode",
    _("Its billing_mode is classic."),
    _("Migrate it: POST /v1/subscriptions/{{id}}/migrate with billing_mode[type]=flexible."),
)
_SCHEDULE = Reason(
    "schedule",
    _("A subscription schedule is attached."),
    _("Release the schedule (POST /v1/subscription_schedules/{{id}}/release)."),
)


def pause_refusals(subscription: Subscription) -> Iterator[Reason]:
    """Return why Stripe would refuse a real pause; a billing cadence, which it refuses too, is not visible here."""
    status = subscription.status
    if status in _NOT_PAUSABLE:
        yield Reason(
            "status",
            _("A subscription that is {status} cannot be paused.", status=status),
            _("The status has to be active or past_due."),
        )
    if status == "trialing":
        yield _TRIAL
    if subscription.collection_method == "send_invoice":
        yield _SEND_INVOICE
    if subscription.billing_mode != "flexible":
        yield _CLASSIC
    if subscription.schedule_id:
        yield _SCHEDULE


# `features.subscription_pause` with a `duration` came with API 2026-10-28.endive.
PORTAL_PAUSE_RETURNED_ON = date.fromisoformat(SINCE["features.subscription_pause"].partition(".")[0])
_BUTTON_STATUSES = frozenset({"active", "trialing", "past_due"})
_PAUSE, _RESUME = _("Pause"), _("Resume")
_TEAM_RESUMES = _(
    "Only the team can resume it: portal resume --stranded, the Dashboard, or the API (pause_collection empty)."
)
_OFF = Reason(
    "subscription_pause_off",
    _("The configuration offers no pause."),
    _("Switch features.subscription_pause on, with a duration (API 2026-10-28.endive or later)."),
    configured=True,
)
_REMOVED = Reason(
    "button_removed",
    _(
        "Stripe removed the old pause button from the portal on {day}.",
        day=PAUSE_BUTTON_REMOVED_ON,
    ),
    _("Configure the current pause: subscription_pause with a duration, at API 2026-10-28.endive or later."),
)
_CUTOFF = Reason(
    "resume_cutoff",
    _(
        "Since {day} customers cannot resume paused collection in the portal.",
        day=PAUSE_CUTOFF_ON,
    ),
    _TEAM_RESUMES,
)
_NOT_YET = Reason(
    "pause_not_yet",
    _(
        "The portal has had this pause only since {day}.",
        day=PORTAL_PAUSE_RETURNED_ON,
    ),
    _("Pause its collection (pause_collection)."),
)
_PAUSED_ALREADY = Reason(
    "paused_already",
    _("It is already paused."),
)
_RESUME_SEND_INVOICE = Reason(
    "send_invoice",
    _("Stripe resumes only subscriptions that are charged automatically; this one is paid by invoice (send_invoice)."),
    _("Set collection_method=charge_automatically, once there is a payment method."),
)
_NOT_PAUSED = Reason(
    "not_paused",
    _("It is not paused."),
)
_MONEY_ONLY = _("The old button only pauses collection: invoices are voided, and the status does not change.")
_REDESIGNED = _("It is a real pause (status=paused), and appears only in the redesigned portal.")


def moment_of(day: date) -> int:
    """Return the Unix second at which a day of Stripe's calendar begins (UTC)."""
    return midnight_of(day, UTC)


def pausing(facts: PortalFacts) -> Answer:
    """Whether the customer can pause by themselves, at `facts.now`."""
    subscription, feature = facts.subscription, facts.features.subscription_pause
    if subscription.ended:
        return answer("pause", _PAUSE, (ENDED,))
    if not feature.enabled:
        return answer("pause", _PAUSE, (_OFF,))
    if subscription.status == "paused" or (feature.is_old_form and is_paused(subscription, facts.now)):
        return answer("pause", _PAUSE, (_PAUSED_ALREADY,))
    if feature.is_old_form:
        gone = None if _old_phase(facts) is Phase.BUTTON_AVAILABLE else _REMOVED
        wrong = None if subscription.status in _BUTTON_STATUSES else _status(subscription.status)
        return _with_note("pause", _PAUSE, (gone, wrong), _MONEY_ONLY)
    early = _NOT_YET if _is_before_return(facts) else None
    return _with_note("pause", _PAUSE, (early, *pause_refusals(subscription)), _REDESIGNED)


def resuming(facts: PortalFacts) -> Answer:
    """Whether the customer can end a pause by themselves, at `facts.now`."""
    subscription, feature = facts.subscription, facts.features.subscription_pause
    if subscription.ended:
        return answer("resume", _RESUME, (ENDED,))
    if not is_paused(subscription, facts.now):
        return answer("resume", _RESUME, (_NOT_PAUSED,))
    if subscription.pause_kind == "collection":
        stranded = _CUTOFF if _old_phase(facts) is Phase.STRANDED else None
        reason = stranded or (None if feature.is_old_form else _no_old_button())
        return answer("resume", _RESUME, (reason,))
    early = _NOT_YET if _is_before_return(facts) else None
    offered = feature.enabled and not feature.is_old_form
    cause = subscription.paused_reason
    other = _cause(cause) if cause not in (None, "pause_requested") else None
    by_invoice = _RESUME_SEND_INVOICE if subscription.collection_method == "send_invoice" else None
    return answer("resume", _RESUME, (None if offered else _OFF, early, other, by_invoice))


def _with_note(topic: str, title: Message, reasons: Iterable[Reason | None], note: Message) -> Answer:
    standing = tuple(each for each in reasons if each)
    return answer(topic, title, standing, () if standing else (note,))


def _old_phase(facts: PortalFacts) -> Phase:
    return pause_day(facts.now.astimezone(UTC).date()).phase


def _is_before_return(facts: PortalFacts) -> bool:
    return facts.now.timestamp() < moment_of(PORTAL_PAUSE_RETURNED_ON)


def _no_old_button() -> Reason:
    return Reason(
        "no_old_button",
        _("Its collection is paused, and the configuration lacks the old pause feature that could resume it."),
        _TEAM_RESUMES,
        configured=True,
    )


def _status(status: str) -> Reason:
    return Reason(
        "status",
        _("Its status is {status}.", status=status),
        _("The status has to be active, trialing or past_due."),
    )


def _cause(cause: str) -> Reason:
    return Reason(
        "not_on_request",
        _("It was not paused on request ({cause}): Stripe does not document that the portal resumes it.", cause=cause),
        _("Resume it in the Dashboard or through the API, once there is a payment method."),
    )
