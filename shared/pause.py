"""When a pause counts as one, and what Stripe's calendar of the old portal button means for a given day."""

from datetime import date, datetime
from enum import StrEnum

from shared.subscription import Subscription

PAUSE_BUTTON_REMOVED_ON = date(2024, 3, 29)
PAUSE_CUTOFF_ON = date(2024, 8, 1)


class Phase(StrEnum):
    """What a customer can still do with the pause button of the old portal."""

    BUTTON_AVAILABLE = "button_available"
    RESUME_ONLY = "resume_only"
    STRANDED = "stranded"


def phase_on(today: date, *, button_removed_on: date, cutoff_on: date) -> Phase:
    """Answer the phase of a day; each date is the first day of what follows it (Stripe's portal FAQ)."""
    if today >= cutoff_on:
        return Phase.STRANDED
    return Phase.RESUME_ONLY if today >= button_removed_on else Phase.BUTTON_AVAILABLE


def days_until(cutoff_on: date, today: date) -> int:
    """Days from `today` to the cutoff; 0 on the cutoff and after it."""
    return max(0, (cutoff_on - today).days)


def is_paused(subscription: Subscription, now: datetime) -> bool:
    """Whether it is paused at `now` (aware), in either of Stripe's two ways; what has ended never is.

    Stripe collects invoices made from `resumes_at` on, and is not known to clear `pause_collection` then: a
    `resumes_at` that is not in the future counts as resumed.
    """
    match subscription.pause_kind:
        case None:
            return False
        case "subscription":
            return True
        case "collection":
            resumes_at = subscription.pause_collection.resumes_at if subscription.pause_collection else None
            return resumes_at is None or resumes_at > now.timestamp()
