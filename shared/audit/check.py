"""What a check is: a name, and what it has to say about each object of the account."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from shared.audit.customers import SeenCustomers
from shared.audit.drift_seen import DriftSeen
from shared.audit.finding import Finding, Severity
from shared.audit.text import Text
from shared.pause import Phase
from shared.subscription import Subscription

Raw = Mapping[str, Any]


def _no_prices(_product_id: str) -> Sequence[Raw]:
    return ()


@dataclass(frozen=True, slots=True)
class AuditContext:
    """What every check may look at besides its subject.

    `now` is aware. `paused_since`: subscription id to the Unix second at which, or before which, its collection was
    paused, as the mirror knows it of those that are looked at. `prices_of`: a product's prices, at the cost of a
    request. `customers`: who was seen before in this run.
    """

    now: datetime
    phase: Phase
    days_left: int
    cutoff_on: date
    paused_since: Mapping[str, int] = field(default_factory=dict)
    prices_of: Callable[[str], Sequence[Raw]] = _no_prices
    customers: SeenCustomers = field(default_factory=SeenCustomers)


@dataclass(frozen=True, slots=True)
class Account:
    """What the account has once, or few of, as Stripe's raw JSON; `None` is what the key may not read.

    `undelivered`: events about subscriptions, the newest first; `undelivered_whole`: whether these are all. `drift`:
    what the comparison with the mirror found, if there was one.
    """

    subscriptions_read: int
    configurations: Sequence[Raw] | None
    webhook_endpoints: Sequence[Raw] | None
    undelivered: Sequence[Raw] | None
    undelivered_whole: bool = True
    webhook_url: str | None = None
    drift: DriftSeen | None = None


def nothing(_subject: object, _audit: AuditContext) -> tuple[Finding, ...]:
    """What a check has to say about a kind of object that it does not look at."""
    return ()


@dataclass(frozen=True, slots=True)
class Check:
    """A check sees every object once, and keeps nothing between them; a configuration comes as Stripe's raw JSON.

    `severities` are all that its findings can have, the worst first.
    """

    name: str
    title: Text
    severities: tuple[Severity, ...]
    of_subscription: Callable[[Subscription, AuditContext], Iterable[Finding]] = nothing
    of_configuration: Callable[[Raw, AuditContext], Iterable[Finding]] = nothing
    of_account: Callable[[Account, AuditContext], Iterable[Finding]] = nothing


def at(seconds: int | None) -> datetime | None:
    """Turn Stripe's Unix seconds into an aware time, UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
