"""What the audit found, in plain data that every renderer shares."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from zoneinfo import ZoneInfo

from shared.audit.text import Text
from shared.money import MonthlyAmount, add_amounts
from shared.pause import Phase
from shared.subscription import PauseKind

CRASHED_CHECK = "crashed_check"
MISSING_PERMISSION = "missing_permission"
UNREADABLE_SUBSCRIPTION = "unreadable_subscription"


class Severity(StrEnum):
    """How much a finding matters: nothing to do, something to decide, something broken or money lost for good."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def label(self) -> Text:
        """What people read."""
        return _LABELS[self]


_LABELS = {
    Severity.INFO: Text("info", "information"),
    Severity.WARNING: Text("warning", "avertissement"),
    Severity.CRITICAL: Text("critical", "critique"),
}


@dataclass(frozen=True, slots=True)
class PausedSubscription:
    """The facts of one pause; times are aware, UTC.

    `paused_since` is `None` when nobody knows; when it is not exact, the pause began then or earlier. `served_free`:
    the status looks like a paying customer's, something would be due, and it is not collected.
    """

    subscription_id: str
    customer_id: str
    status: str
    kind: PauseKind
    behavior: str | None
    resumes_at: datetime | None
    paused_since: datetime | None
    paused_since_is_exact: bool
    cause: str | None
    monthly: MonthlyAmount
    served_free: bool


# Check, severity, meaning and action: findings that share them belong together in a rendering.
FindingKind = tuple[str, Severity, Text, Text]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to know: what it means on the day of the audit, and what to do.

    `subjects` are Stripe ids; `more` counts those that are left out. Of `sampled` findings of one kind the audit makes
    one, which keeps the first few subjects: what is said of thousands does not take the memory, or the page, of
    thousands.
    """

    check: str
    severity: Severity
    subjects: tuple[str, ...]
    meaning: Text
    action: Text
    paused: PausedSubscription | None = None
    more: int = 0
    sampled: bool = False

    @property
    def kind(self) -> FindingKind:
        """What it says, whatever it says it of."""
        return self.check, self.severity, self.meaning, self.action

    @property
    def size(self) -> int:
        """How many subjects it is about, shown or not."""
        return len(self.subjects) + self.more


@dataclass(frozen=True, slots=True)
class Report:
    """The audit of one account at one time. `livemode` is `None` when the account showed no object that tells."""

    as_of: datetime
    timezone: ZoneInfo
    phase: Phase
    days_left: int
    livemode: bool | None
    subscriptions_read: int
    findings: tuple[Finding, ...]

    @property
    def complete(self) -> bool:
        """Whether everything was read and every check ran to its end: only then does silence mean "all clear"."""
        return not any(finding.check in (CRASHED_CHECK, UNREADABLE_SUBSCRIPTION) for finding in self.findings)

    @property
    def paused(self) -> tuple[PausedSubscription, ...]:
        """Every paused subscription once, in the order of the findings."""
        all_paused = (finding.paused for finding in self.findings)
        return tuple({paused.subscription_id: paused for paused in all_paused if paused}.values())

    @property
    def served_free(self) -> tuple[PausedSubscription, ...]:
        """The paused subscriptions that a service which looks at the status alone serves for free."""
        return tuple(paused for paused in self.paused if paused.served_free)

    @property
    def customers_served_free(self) -> int:
        """How many customers these are."""
        return len({paused.customer_id for paused in self.served_free})

    @property
    def totals(self) -> Mapping[str, Decimal]:
        """What is not collected a month from those served for free: by currency, smallest unit, known amounts only."""
        return add_amounts(paused.monthly.amounts for paused in self.served_free)

    @property
    def unknown_amounts(self) -> int:
        """How many of those served for free are not, or not wholly, in `totals`."""
        return sum(bool(paused.monthly.unknown) for paused in self.served_free)
