"""What a check is, and what it may look at: the day, the customers seen, the drift, the account."""

from array import array
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from hashlib import blake2b
from typing import Any, Self
from zoneinfo import ZoneInfo

from shared.access_comparison import DifferenceKind
from shared.audit.findings import SAMPLE, CustomerName, Finding, Severity
from shared.audit.options import DEFAULT_OPTIONS, AuditOptions
from shared.audit.pauses import PausesRead
from shared.i18n import Message
from shared.mirror.drift import ComparisonResult, DriftKind
from shared.mirror.lag import EventLags
from shared.pausing.history import PauseRecord
from shared.portal.pause import PAUSE_BUTTON_REMOVED_ON, PauseDay, Phase, midnight_of, pause_day
from shared.stripe.gateway import StripeJson
from shared.stripe.subscription import Subscription


@dataclass(frozen=True, slots=True)
class AuditDay:
    """`now` is aware; the day in `timezone` decides the phase of the old portal's pause button."""

    now: datetime
    timezone: ZoneInfo
    phase: Phase
    days_left: int
    cutoff_on: date
    button_removed_on: date

    @classmethod
    def at(cls, now: datetime, timezone: ZoneInfo, *, button_removed_on: date, cutoff_on: date) -> Self:
        """Look up the phase of the day. Raises `ValueError` for a `now` without a time zone."""
        if now.tzinfo is None:
            raise ValueError("`now` must be aware: its day depends on the time zone")
        today = now.astimezone(timezone).date()
        day = pause_day(today, button_removed_on=button_removed_on, cutoff_on=cutoff_on)
        return cls(now, timezone, day.phase, day.days_left, day.cutoff_on, button_removed_on)

    @property
    def today(self) -> date:
        """The team's day."""
        return self.now.astimezone(self.timezone).date()


MOST_CUSTOMERS = 100_000


@dataclass(frozen=True, slots=True)
class KnownCustomers:
    """The digests of the customers seen so far, and of those seen more than once; base64 of 8 bytes for each."""

    once: str = ""
    again: str = ""


class SeenCustomers:
    """Holds 8 bytes of a digest for each of the first `most` customers; later ones are not remembered."""

    def __init__(self, most: int = MOST_CUSTOMERS) -> None:
        self._most = most
        self._known = KnownCustomers()
        self._sets: tuple[set[int], set[int]] | None = None

    def dump(self) -> KnownCustomers:
        """Return the digests, to be loaded by the next step."""
        if self._sets:
            self._known = KnownCustomers(*map(_packed, self._sets))
        return self._known

    def load(self, known: KnownCustomers) -> None:
        """Restore what `dump` returned."""
        self._known, self._sets = known, None

    def is_seen_for_the_second_time(self, customer_id: str) -> bool:
        """Remember the customer; return `True` for the second subscription only, not for the first or the third."""
        # As sets they take ten times the memory: not in the steps that read no subscriptions.
        self._sets = once, again = self._sets or (_unpacked(self._known.once), _unpacked(self._known.again))
        key = int.from_bytes(blake2b(customer_id.encode(), digest_size=8).digest())
        if key in once:
            is_second = key not in again
            again.add(key)
            return is_second
        if len(once) < self._most:
            once.add(key)
        return False


def _packed(digests: Iterable[int]) -> str:
    return b64encode(array("Q", sorted(digests)).tobytes()).decode()


def _unpacked(packed: str) -> set[int]:
    return set(array("Q", b64decode(packed)))


# What the rule of every write can repair; the others are for people to judge.
_REPAIRABLE = (DriftKind.ABSENT, DriftKind.DIFFERENT)


@dataclass(frozen=True, slots=True)
class DriftTotals:
    """The sum of several comparisons. Counts are of all; `subjects` and `not_repairable` are the first few ids.

    `not_repairable` are items of the mirror that Stripe does not have, or has under another customer. `asked`: how many
    items of the mirror were read from Stripe singly; `given_up`: there were more of these than an audit reads.
    """

    found: Mapping[DriftKind, int] = field(default_factory=dict)
    repaired: int = 0
    failed: int = 0
    subjects: tuple[str, ...] = ()
    not_repairable: tuple[str, ...] = ()
    asked: int = 0
    given_up: bool = False

    def plus(self, summary: ComparisonResult) -> "DriftTotals":
        """Add what another step found."""
        names = [drift.subscription_id for drift in summary.drifts if drift.kind in _REPAIRABLE]
        not_repairable = [drift.subscription_id for drift in summary.drifts if drift.kind not in _REPAIRABLE]
        return replace(
            self,
            found=dict(Counter(self.found) + Counter(summary.found)),
            repaired=self.repaired + summary.repaired,
            failed=self.failed + summary.failed,
            subjects=(*self.subjects, *names)[:SAMPLE],
            not_repairable=(*self.not_repairable, *not_repairable)[:SAMPLE],
        )

    @property
    def drifted(self) -> int:
        """How many subscriptions differed, repaired or not."""
        return sum(self.found.get(kind, 0) for kind in _REPAIRABLE)


_UTC = ZoneInfo("UTC")


def no_prices(_product_id: str) -> Sequence[StripeJson]:
    """Know no prices of a product."""
    return ()


def _look_up_nothing(_path: str) -> StripeJson | None:
    return None


@dataclass(frozen=True, slots=True)
class AuditContext:
    """What a check may look at besides its subject.

    `now` is aware. `paused_since`: subscription id to the Unix second at which, or before which, its collection was
    paused, as the mirror knows it of those that are looked at; `exactly_paused` are the ids of which it is that very
    second. `paid_through`: the end of the last period that was seen before the pause. `listed`: the subscriptions as
    Stripe's JSON. `prices_of`: a product's prices, at the cost of a request. `allow_verified_email`: the deployment's
    setting. `customers`: those seen before in this run. `options`: what the team decided about its audit.
    `look_up`: one object by its path, at the cost of a request; `None` where the team does not want that, or it failed.
    `pauses`: by subscription, the record in the table `Pauses` of those that are looked at and are paused at Stripe;
    `pauses_read`: what that table says of the night, `None` where it was not, or could not be, read.
    """

    now: datetime
    phase: Phase
    days_left: int
    cutoff_on: date
    paused_since: Mapping[str, int] = field(default_factory=dict)
    prices_of: Callable[[str], Sequence[StripeJson]] = no_prices
    allow_verified_email: bool = False
    customers: SeenCustomers = field(default_factory=SeenCustomers)
    exactly_paused: Collection[str] = ()
    paid_through: Mapping[str, int] = field(default_factory=dict)
    listed: Mapping[str, StripeJson] = field(default_factory=dict)
    button_removed_on: date = PAUSE_BUTTON_REMOVED_ON
    timezone: ZoneInfo = _UTC
    options: AuditOptions = DEFAULT_OPTIONS
    look_up: Callable[[str], StripeJson | None] = _look_up_nothing
    pauses: Mapping[str, PauseRecord] = field(default_factory=dict)
    pauses_read: PausesRead | None = None

    @property
    def button_removed_at(self) -> int:
        """The Unix second from which on the old pause button was gone."""
        return midnight_of(self.button_removed_on, self.timezone)

    @property
    def today(self) -> date:
        """The team's day."""
        return self.now.astimezone(self.timezone).date()

    @property
    def seconds(self) -> int:
        """`now` in Unix seconds."""
        return int(self.now.timestamp())

    def json_of(self, subscription: Subscription) -> StripeJson:
        """Return a subscription as Stripe listed it; empty if it was not in the list."""
        return self.listed.get(subscription.id, {})

    def day_of(self, seconds: int) -> date:
        """Return the team's day of a Unix second."""
        return datetime.fromtimestamp(seconds, self.timezone).date()

    def days_ago(self, days: int) -> int:
        """Return the Unix second that is so many days before `now`."""
        return int((self.now - timedelta(days=days)).timestamp())

    @property
    def pause_day(self) -> PauseDay:
        """The day in Stripe's calendar of the old pause button."""
        return PauseDay(self.phase, self.days_left, self.cutoff_on)


@dataclass(frozen=True, slots=True)
class UnpaidInvoice:
    """An open invoice of a subscription, whose it is, and the status and metadata that the subscription has now.

    `is_automatic`: Stripe charges it, instead of the customer paying it. `amount_remaining` is in the currency's
    smallest unit.
    """

    id: str
    is_automatic: bool
    subscription_id: str
    status: str
    metadata: Mapping[str, Any]
    amount_remaining: int
    currency: str
    customer: CustomerName


@dataclass(frozen=True, slots=True)
class InvoicesRead:
    """Invoices that have been unpaid for longer than the team's limits, the newest first; `whole`: these are all."""

    invoices: tuple[UnpaidInvoice, ...] = ()
    whole: bool = True


@dataclass(frozen=True, slots=True)
class WaitingMessages:
    """A dead-letter queue: how many messages it holds, and when the oldest that was looked at was sent (aware)."""

    number: int
    oldest: datetime | None = None


@dataclass(frozen=True, slots=True)
class ListedWrongly:
    """The differences of one kind: how many, the first few customers, and what all of them would pay a month."""

    number: int = 0
    customers: tuple[CustomerName, ...] = ()
    monthly: Mapping[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AccessListFacts:
    """What the comparison with the list found; nothing else of the list is kept.

    `problem`: the list could not be compared, and why; all else is empty then. `written_at`: when it was uploaded
    (aware). `bad_lines`: how many lines could not be read; `first_bad_lines` are their numbers. `not_asked`: Stripe
    could not be asked about those whom the mirror does not know.
    """

    problem: str = ""
    written_at: datetime | None = None
    lines: int = 0
    customers: int = 0
    bad_lines: int = 0
    first_bad_lines: tuple[int, ...] = ()
    not_asked: bool = False
    wrong: Mapping[DifferenceKind, ListedWrongly] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """What the account has once, or few of, as Stripe's raw JSON; `None` is what was not, or could not be, read.

    `undelivered`: events about subscriptions, the newest first; `undelivered_whole`: whether these are all. `drift`:
    what the comparison with the mirror found, if there was one. `dead_letters`: the deployment's queues by name.
    `lags`: how late events came, as the mirror has seen it; `uncertainty`: the window of its rule.
    `access_list`: the comparison with the company's own list, if it has one. `pauses`: what the table `Pauses` says of
    the night.
    """

    subscriptions_read: int
    configurations: Sequence[StripeJson] | None
    webhook_endpoints: Sequence[StripeJson] | None
    undelivered: Sequence[StripeJson] | None
    undelivered_whole: bool = True
    webhook_url: str | None = None
    drift: DriftTotals | None = None
    unpaid_invoices: InvoicesRead | None = None
    event_destinations: Sequence[StripeJson] | None = None
    dead_letters: Mapping[str, WaitingMessages] | None = None
    lags: EventLags = field(default_factory=EventLags)
    uncertainty: timedelta = timedelta(seconds=10)
    access_list: AccessListFacts | None = None
    pauses: PausesRead | None = None


def nothing(_subject: object, _audit: AuditContext) -> tuple[Finding, ...]:
    """Find nothing: the default for the kinds of object that a check does not look at."""
    return ()


@dataclass(frozen=True, slots=True)
class Check:
    """A named check. It sees every object once and keeps nothing between them; configurations are Stripe's raw JSON.

    `severities` are all that its findings can have, the worst first. `reports` says what it finds, and `permission`
    what the key has to be allowed to read for it, besides subscriptions: both are for the documentation. `of_paused`:
    of subscriptions it sees only those that are paused at Stripe, of either kind, which in most accounts are few.
    """

    name: str
    title: Message
    severities: tuple[Severity, ...]
    reports: str = ""
    permission: str = ""
    of_subscription: Callable[[Subscription, AuditContext], Iterable[Finding]] = nothing
    of_configuration: Callable[[StripeJson, AuditContext], Iterable[Finding]] = nothing
    of_account: Callable[[AccountFacts, AuditContext], Iterable[Finding]] = nothing
    of_paused: bool = False


def at(seconds: int | None) -> datetime | None:
    """Turn Stripe's Unix seconds into an aware time, UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
