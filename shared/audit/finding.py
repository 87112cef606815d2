"""What a check finds, in plain data."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.audit.text import Text
from shared.money import MonthlyAmount
from shared.subscription import PauseKind, SubscriptionItem

CRASHED_CHECK = "crashed_check"
MIRROR_UNREADABLE = "mirror_unreadable"
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
    the status looks like a paying customer's, something would be due, and it is not collected. From `created` on the
    facts are the subscription's own, for a reader of the list.
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
    created: datetime | None = None
    current_period_end: datetime | None = None
    trial_end: datetime | None = None
    canceled_at: datetime | None = None
    items: tuple[SubscriptionItem, ...] = ()


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
