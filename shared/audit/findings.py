"""What the checks find, in plain data, and the findings of a whole audit, however many there are."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Self

from pydantic import TypeAdapter

from shared.audit.acknowledgement import Acknowledgement
from shared.i18n import Message, _
from shared.portal.pause import PauseOrigin
from shared.stripe.money import MissedAmount, MonthlyAmount, add_amounts, in_major_units
from shared.stripe.subscription import PauseKind, SubscriptionItem

# What the audit finds about itself.
CRASHED_CHECK = "crashed_check"
MIRROR_UNREADABLE = "mirror_unreadable"
MISSING_PERMISSION = "missing_permission"
NIGHT_WITHOUT_MAIL = "night_without_mail"
UNREADABLE_LIST = "unreadable_list"
SKIPPED_LIST = "skipped_list"
UNREADABLE_SUBSCRIPTION = "unreadable_subscription"
# So many subjects of a sampled finding are kept.
SAMPLE = 5


class Severity(StrEnum):
    """How much a finding matters: nothing to do, something to decide, something broken or money lost for good."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def label(self) -> Message:
        """What people read."""
        return _LABELS[self]


_LABELS = {
    Severity.INFO: _("info"),
    Severity.WARNING: _("warning"),
    Severity.CRITICAL: _("critical"),
}


@dataclass(frozen=True, slots=True)
class CustomerName:
    """Whom a subscription belongs to; `name` and `email` are empty where Stripe has none, or they were not read."""

    id: str
    name: str = ""
    email: str = ""


@dataclass(frozen=True, slots=True)
class SetHere:
    """Who set a pause through this product, or changed it last, why, and when it ends (aware), if it has an end.

    `actor` and `actor_name` are as in `shared.pausing.history.Actor`.
    """

    actor: str
    actor_name: str | None
    reason: str | None
    overridden: bool
    resumes: datetime | None


@dataclass(frozen=True, slots=True)
class PausedSubscription:
    """The facts of one pause; times are aware, UTC.

    `paused_since` is `None` when nobody knows; when it is not exact, the pause began then or earlier. `origin` is that
    of a pause of collection. `served_free`: the status looks like a paying customer's, something would be due, it is
    not collected, and what was paid before has run out, or may have unless `free_is_certain`. `free_since`: since when,
    or earlier unless exact. `paid_until`: what was paid has not run out yet. `ends_at`: it is set to cancel then.
    `missed`: what the invoices since the pause began would have brought. One that is `acknowledged` is never served for
    free. From `created` to `items`, and from `started` on, the facts are the subscription's own, for a reader of the
    list. `honored`: it would be served for free, but the service stops while collection is paused. `set_here`: what the
    table `Pauses` says of it, if the pause is there.
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
    origin: PauseOrigin | None = None
    free_is_certain: bool = True
    free_since: datetime | None = None
    free_since_is_exact: bool = False
    paid_until: datetime | None = None
    ends_at: datetime | None = None
    missed: MissedAmount | None = None
    acknowledged: Acknowledgement | None = None
    honored: bool = False
    started: datetime | None = None
    current_period_start: datetime | None = None
    trial_start: datetime | None = None
    ended_at: datetime | None = None
    cancellation_reason: str = ""
    coupons: tuple[str, ...] = ()
    set_here: SetHere | None = None

    @property
    def is_uncollected(self) -> bool:
        """Whether something would be due now, or may be, that is not collected, served or not."""
        return self.served_free or self.honored

    @property
    def is_gone(self) -> bool:
        """Whether what is not collected is lost, and not only put off: its invoices are voided."""
        return self.behavior == "void"


# Check, severity, meaning and action: findings that share them belong together in a rendering.
FindingKind = tuple[str, Severity, Message, Message]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to know: what it means on the day of the audit, and what to do.

    `code` says which of the things that the check finds this is; it is the check's own name where that is but one.
    `subjects` are Stripe ids; `more` counts those that are left out. `customers` are those whom the subjects belong to,
    in their order; of a finding about something else there are none. `notes` are what is said of each subject by
    itself, in their order too, or nothing. Of `sampled` findings of one kind the audit makes
    one, which keeps the first few subjects: what is said of thousands does not take the memory, or the page, of
    thousands.
    """

    check: str
    severity: Severity
    subjects: tuple[str, ...]
    meaning: Message
    action: Message
    paused: PausedSubscription | None = None
    more: int = 0
    sampled: bool = False
    code: str = ""
    customers: tuple[CustomerName, ...] = ()
    notes: tuple[Message, ...] = ()

    def __post_init__(self) -> None:
        """A check that finds one thing only needs no other code than its name."""
        if not self.code:
            object.__setattr__(self, "code", self.check)

    def about(self, subject: str) -> "Finding":
        """Return the same finding about one subject."""
        return replace(self, subjects=(subject,))

    @property
    def kind(self) -> FindingKind:
        """What it says, whatever it says it of."""
        return self.check, self.severity, self.meaning, self.action

    @property
    def size(self) -> int:
        """How many subjects it is about, shown or not."""
        return len(self.subjects) + self.more


class Findings:
    """In the order of their coming; sampled ones that say the same become one, with its first few subjects."""

    def __init__(self) -> None:
        self._findings: list[Finding] = []
        self._places: dict[FindingKind, int] = {}

    def add(self, finding: Finding) -> None:
        """Keep a finding, or count it where the same was said before."""
        if not finding.sampled:
            self._findings.append(finding)
            return
        key = finding.kind
        if key not in self._places:
            self._places[key] = len(self._findings)
            self._findings.append(_sampled(finding))
            return
        place = self._places[key]
        known = self._findings[place]
        both = replace(
            known,
            subjects=(*known.subjects, *finding.subjects),
            customers=(*_customers(known), *_customers(finding)),
            notes=(*known.notes, *finding.notes),
            more=known.more + finding.more,
        )
        self._findings[place] = _sampled(both)

    def all(self) -> tuple[Finding, ...]:
        """Return what was gathered."""
        return tuple(self._findings)


def _customers(finding: Finding) -> tuple[CustomerName, ...]:
    """One for each subject, also of a finding that names none."""
    return finding.customers or (CustomerName(""),) * len(finding.subjects)


def _sampled(finding: Finding) -> Finding:
    return replace(
        finding,
        subjects=finding.subjects[:SAMPLE],
        customers=finding.customers[:SAMPLE],
        notes=finding.notes[:SAMPLE],
        more=finding.size - min(len(finding.subjects), SAMPLE),
    )


@dataclass(frozen=True, slots=True)
class ListedPause:
    """A row of an earlier night's list."""

    subscription_id: str
    customer: CustomerName


@dataclass(frozen=True, slots=True)
class ListChange:
    """How the list of paused subscriptions differs from that of the night `since`.

    `new` and `gone` are the first few subscription ids, the worst and the largest amounts first; `customers` are whom
    they belong to, by these ids.
    """

    since: date
    new: tuple[str, ...] = ()
    new_count: int = 0
    gone: tuple[str, ...] = ()
    gone_count: int = 0
    customers: Mapping[str, CustomerName] = field(default_factory=dict)


FINDING = TypeAdapter(Finding)


class MissedSum:
    """The sum of what invoices would have brought; `at_least` and `at_most` are as in `MissedAmount`."""

    def __init__(self) -> None:
        self.amounts: dict[str, Decimal] = {}
        self.at_least = False
        self.at_most = False

    def add(self, missed: MissedAmount | None) -> None:
        """Add an amount; one that is not known makes the sum a lower bound."""
        if missed is None:
            self.at_least = True
            return
        self.amounts = add_amounts((self.amounts, missed.amounts))
        self.at_least |= missed.at_least
        self.at_most |= missed.at_most


_MILDEST_FIRST = tuple(Severity)
_TABLE = """
CREATE TABLE paused (
    subscription TEXT PRIMARY KEY, customer TEXT, severity INTEGER, served_free INTEGER, uncollected INTEGER,
    certain INTEGER, unknown INTEGER, at_most INTEGER, since INTEGER, exact INTEGER, amount REAL, finding BLOB
)
"""
_WORST_FIRST = "severity DESC, uncollected DESC, amount DESC, subscription"
_INSERT = "INSERT OR IGNORE INTO paused VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


@dataclass(frozen=True, slots=True)
class OldestPause:
    """When the oldest of several pauses began; then or earlier unless it is exact."""

    since: datetime
    is_exact: bool


class PausedFindings:
    """One finding for each paused subscription.

    Iteration yields the worst first, of these what a pause keeps from being collected, of these the largest amount a
    month; amounts of different currencies are compared as numbers. SQLite deletes its temporary file with the object;
    it belongs to the thread that made it.
    """

    def __init__(self) -> None:
        # Without a name it is a temporary file, of which SQLite keeps a few megabytes in memory.
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute("PRAGMA journal_mode = OFF")
        # A finding has some 2 KB: of 4 KB, SQLite's own page, half would stay empty.
        self._database.execute("PRAGMA page_size = 8192")
        self._database.execute(_TABLE)
        self.totals: dict[str, Decimal] = {}
        self.gone, self.recoverable = MissedSum(), MissedSum()
        self._kinds: dict[FindingKind, tuple[Finding, int]] = {}

    @classmethod
    def of(cls, findings: Iterable[Finding]) -> Self:
        """Gather findings, all of which are about a paused subscription."""
        paused = cls()
        for finding in findings:
            paused.add(finding)
        return paused

    def add(self, finding: Finding) -> None:
        """Keep a finding about a paused subscription; of one subscription the first is kept."""
        facts = finding.paused
        if facts is None:
            raise ValueError("not a finding about a paused subscription")
        row = (
            facts.subscription_id,
            facts.customer_id,
            _MILDEST_FIRST.index(finding.severity),
            facts.served_free,
            facts.is_uncollected,
            facts.free_is_certain,
            bool(facts.monthly.unknown),
            bool(facts.monthly.at_most),
            facts.paused_since and int(facts.paused_since.timestamp()),
            facts.paused_since_is_exact,
            float(_size(facts)),
            FINDING.dump_json(finding),
        )
        added = self._database.execute(_INSERT, row).rowcount
        if not added:
            return
        example, size = self._kinds.get(finding.kind, (finding, 0))
        self._kinds[finding.kind] = example, size + 1
        if facts.is_uncollected:
            self.totals = add_amounts((self.totals, facts.monthly.amounts))
            kept = self.gone if facts.is_gone else self.recoverable
            kept.add(facts.missed)

    def __len__(self) -> int:
        return self._number("SELECT COUNT(*) FROM paused")

    def __iter__(self) -> Iterator[Finding]:
        rows = self._database.execute(f"SELECT finding FROM paused ORDER BY {_WORST_FIRST}")  # noqa: S608 - a constant
        return (FINDING.validate_json(finding) for (finding,) in rows)

    @property
    def served_free(self) -> int:
        """How many of them a service that looks at the status alone serves for free."""
        return self._number("SELECT COUNT(*) FROM paused WHERE served_free")

    @property
    def customers_served_free(self) -> int:
        """How many customers these belong to."""
        return self._number("SELECT COUNT(DISTINCT customer) FROM paused WHERE served_free")

    @property
    def customers_uncollected(self) -> int:
        """How many customers have a subscription of which something is not collected; `totals` is of these."""
        return self._number("SELECT COUNT(DISTINCT customer) FROM paused WHERE uncollected")

    @property
    def oldest_uncollected(self) -> OldestPause | None:
        """The oldest of the pauses that keep money from being collected; `None` if no beginning is known."""
        known = self._database.execute(
            "SELECT since, exact FROM paused WHERE uncollected AND since NOT NULL ORDER BY since, exact LIMIT 1"
        ).fetchone()
        if known is None:
            return None
        unknown = self._number("SELECT COUNT(*) FROM paused WHERE uncollected AND since IS NULL")
        return OldestPause(datetime.fromtimestamp(known[0], UTC), bool(known[1]) and not unknown)

    @property
    def unknown_amounts(self) -> int:
        """How many of those that are not collected are not, or not wholly, in `totals`."""
        return self._number("SELECT COUNT(*) FROM paused WHERE uncollected AND unknown")

    @property
    def uncertain(self) -> int:
        """How many of those that are not collected may not be due yet: what they paid may not have run out."""
        return self._number("SELECT COUNT(*) FROM paused WHERE uncollected AND NOT certain")

    @property
    def highest_amounts(self) -> int:
        """How many of those that are not collected have an amount in `totals` that may be less."""
        return self._number("SELECT COUNT(*) FROM paused WHERE uncollected AND at_most")

    def kinds(self) -> tuple[tuple[Finding, int], ...]:
        """One finding of each kind, and how many say the same; a few dozens at most, in the order of their coming."""
        return tuple(self._kinds.values())

    def change_since(self, night: date, listed: Iterable[ListedPause]) -> ListChange:
        """Compare with the list of an earlier night, in that list's order."""
        self._database.execute(
            "CREATE TEMPORARY TABLE earlier "
            "(place INTEGER PRIMARY KEY, subscription TEXT UNIQUE, customer TEXT, name TEXT, email TEXT)"
        )
        self._database.executemany(
            "INSERT OR IGNORE INTO earlier (subscription, customer, name, email) VALUES (?, ?, ?, ?)",
            ((each.subscription_id, each.customer.id, each.customer.name, each.customer.email) for each in listed),
        )
        new = "FROM paused WHERE subscription NOT IN (SELECT subscription FROM earlier)"
        gone = "FROM earlier WHERE subscription NOT IN (SELECT subscription FROM paused)"
        first_new = self._first(f"SELECT finding {new} ORDER BY {_WORST_FIRST}")
        found = [FINDING.validate_json(finding) for (finding,) in first_new]
        first_gone = self._first(f"SELECT subscription, customer, name, email {gone} ORDER BY place")
        customers = {finding.subjects[0]: finding.customers[0] for finding in found if finding.customers}
        customers |= {subscription: CustomerName(*customer) for subscription, *customer in first_gone}
        change = ListChange(
            night,
            tuple(finding.paused.subscription_id for finding in found if finding.paused),
            self._number(f"SELECT COUNT(*) {new}"),
            tuple(subscription for subscription, *_customer in first_gone),
            self._number(f"SELECT COUNT(*) {gone}"),
            customers,
        )
        self._database.execute("DROP TABLE earlier")
        return change

    def severities(self) -> tuple[Severity, ...]:
        """Which severities they have, the worst first."""
        rows = self._database.execute("SELECT DISTINCT severity FROM paused ORDER BY severity DESC")
        return tuple(_MILDEST_FIRST[rank] for (rank,) in rows)

    def _first(self, query: str) -> list[tuple[Any, ...]]:
        return self._database.execute(f"{query} LIMIT {SAMPLE}").fetchall()

    def _number(self, query: str) -> int:
        return int(self._database.execute(query).fetchone()[0])


def _size(facts: PausedSubscription) -> Decimal:
    return sum((in_major_units(amount, currency) for currency, amount in facts.monthly.amounts.items()), Decimal(0))
