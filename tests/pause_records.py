"""Records and entries of the table `Pauses` for tests about what reads them."""

from typing import Any

from shared.pausing.history import HistoryEntry, PauseAction, PauseRecord, PauseState

DAY = 86_400


def pause_record(subscription: str, customer: str, *, begins: int, resumes: int, **more: Any) -> PauseRecord:
    """A real pause that the customer has set and that has begun."""
    given: dict[str, Any] = {
        "operation_id": f"op_{subscription}",
        "intent": "intent",
        "kind": "subscription",
        "state": PauseState.PAUSED,
        "begin": "period_end",
        "next_charge": resumes,
        "asked_resume": "2027-01-01",
        "unused_time": "none",
        "created": begins - DAY,
        "actor": "customer",
        "has_begun": True,
        "retry_at": resumes,
    }
    return PauseRecord(subscription, customer, begins=begins, resumes=resumes, **(given | more))


def pause_entry(
    subscription: str, customer: str, action: PauseAction = PauseAction.SET, *, at: int, **more: Any
) -> HistoryEntry:
    """An entry of a real pause of 30 days that begins a day after it was set, by the customer."""
    given: dict[str, Any] = {
        "operation_id": f"op_{subscription}",
        "version": 1,
        "actor": "customer",
        "kind": "subscription",
        "begins": at + DAY,
        "resumes": at + 31 * DAY,
    }
    return HistoryEntry(subscription, customer, at=at, action=action, **(given | more))
