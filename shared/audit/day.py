"""What day it is for an audit, and what Stripe's calendar makes of that."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Self
from zoneinfo import ZoneInfo

from shared.pause import Phase, days_until, phase_on


@dataclass(frozen=True, slots=True)
class AuditDay:
    """`now` is aware; the day in `timezone` decides the phase of the old portal's pause button."""

    now: datetime
    timezone: ZoneInfo
    phase: Phase
    days_left: int
    cutoff_on: date

    @classmethod
    def at(cls, now: datetime, timezone: ZoneInfo, *, button_removed_on: date, cutoff_on: date) -> Self:
        """Look the day up in the calendar. Raises `ValueError` for a `now` without a zone."""
        if now.tzinfo is None:
            raise ValueError("`now` must be aware: its day depends on the time zone")
        today = now.astimezone(timezone).date()
        phase = phase_on(today, button_removed_on=button_removed_on, cutoff_on=cutoff_on)
        return cls(now, timezone, phase, days_until(cutoff_on, today), cutoff_on)

    @property
    def today(self) -> date:
        """The team's day."""
        return self.now.astimezone(self.timezone).date()
