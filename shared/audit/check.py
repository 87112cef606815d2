"""What a check is: a name, and what it has to say about each subscription and each portal configuration."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from shared.audit.report import Finding
from shared.pause import Phase
from shared.subscription import Subscription


@dataclass(frozen=True, slots=True)
class AuditContext:
    """What every check may look at besides its subject.

    `now` is aware. `paused_since`: subscription id to the Unix second at which, or before which, its collection was
    paused, as the mirror knows it.
    """

    now: datetime
    phase: Phase
    days_left: int
    cutoff_on: date
    paused_since: Mapping[str, int]


def nothing(_subject: object, _audit: AuditContext) -> tuple[Finding, ...]:
    """What a check has to say about a kind of object that it does not look at."""
    return ()


@dataclass(frozen=True, slots=True)
class Check:
    """A check sees every object once, and keeps nothing between them; a configuration comes as Stripe's raw JSON."""

    name: str
    of_subscription: Callable[[Subscription, AuditContext], Iterable[Finding]] = nothing
    of_configuration: Callable[[Mapping[str, Any], AuditContext], Iterable[Finding]] = nothing


def at(seconds: int | None) -> datetime | None:
    """Turn Stripe's Unix seconds into an aware time, UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
