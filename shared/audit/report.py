"""The audit of one account at one time, in plain data that every renderer shares."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from shared.audit.findings import CRASHED_CHECK, UNREADABLE_SUBSCRIPTION, Finding, ListChange, PausedFindings, Severity
from shared.i18n import Message, _
from shared.mirror.lag import EventLags
from shared.portal.pause import PAUSE_BUTTON_REMOVED_ON, Phase


@dataclass(frozen=True, slots=True)
class PastNight:
    """The sums of one night's report; `totals` is as in `Report`: by currency, in its smallest unit, a month."""

    night: date
    complete: bool
    subscriptions_paused: int
    customers_served_free: int
    totals: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class Report:
    """The audit of one account at one time. `livemode` is `None` when the account showed no object that tells.

    `findings` are those about anything but a paused subscription: few, because what is said of many is sampled.
    `paused` has one for each paused subscription. `lags`: how late events came, as the mirror has seen it;
    `uncertainty`: the window of its rule. `skips`: the lists that the team does without, by the Dashboard's names.
    `pauses_until`: the Unix second before which pauses were looked for in the table `Pauses`, if it was read.
    """

    as_of: datetime
    timezone: ZoneInfo
    phase: Phase
    days_left: int
    livemode: bool | None
    subscriptions_read: int
    findings: tuple[Finding, ...]
    paused: PausedFindings
    button_removed_on: date = PAUSE_BUTTON_REMOVED_ON
    service_honors_pauses: bool = False
    lags: EventLags = field(default_factory=EventLags)
    uncertainty: timedelta = timedelta(seconds=10)
    skips: tuple[str, ...] = ()
    pauses_until: int | None = None

    @property
    def complete(self) -> bool:
        """Whether everything was read and every check ran to its end: only then does silence mean "all clear"."""
        return not any(finding.check in (CRASHED_CHECK, UNREADABLE_SUBSCRIPTION) for finding in self.findings)

    @property
    def findings_count(self) -> int:
        """How many findings there are, those about paused subscriptions included."""
        return len(self.findings) + len(self.paused)

    def every_finding(self) -> Iterator[Finding]:
        """Return all: what the audit says of itself and of the account first, then of each paused subscription."""
        yield from self.findings
        yield from self.paused

    def severities(self) -> frozenset[Severity]:
        """Which severities there are among the findings."""
        return frozenset(finding.severity for finding in self.findings) | set(self.paused.severities())

    @property
    def served_free_count(self) -> int:
        """How many paused subscriptions a service that looks at the status alone serves for free."""
        return self.paused.served_free

    @property
    def customers_served_free(self) -> int:
        """How many customers these belong to."""
        return self.paused.customers_served_free

    @property
    def totals(self) -> Mapping[str, Decimal]:
        """What is not collected a month because of pauses: by currency, smallest unit, known amounts only.

        It is from those served for free, or, where the service honors pauses, from those who would be.
        """
        return self.paused.totals

    @property
    def unknown_amounts(self) -> int:
        """How many of these are not, or not wholly, in `totals`."""
        return self.paused.unknown_amounts

    @property
    def free_is_certain(self) -> bool:
        """Whether every one that counts as served for free is known to be."""
        return not self.paused.uncertain

    @property
    def totals_are_highest(self) -> bool:
        """Whether `totals` may be less: a discount or the end of what was paid is not known."""
        return bool(self.paused.uncertain or self.paused.highest_amounts)


@dataclass(frozen=True, slots=True)
class ListLink:
    """Where the whole list lies, as CSV: `url` opens it for some hours, `stays_at` names it while it is kept."""

    url: str
    stays_at: str


@dataclass(frozen=True, slots=True)
class ReportView:
    """A report for one reader's language.

    `nights` are those before this one, the oldest first; some may be missing. `change` is `None` when no earlier night
    is known. With a `list_link` the list is not attached. `account` is Stripe's id of the account, for links to the
    Dashboard; `help_url` is where its reader finds docs/reference/audit.md.
    """

    report: Report
    language: str
    nights: tuple[PastNight, ...] = ()
    change: ListChange | None = None
    list_link: ListLink | None = None
    account: str | None = None
    help_url: str = ""

    @property
    def night(self) -> date:
        """The day of the audit, where the team is."""
        return self.report.as_of.astimezone(self.report.timezone).date()


def since(day: date, night: date) -> Message:
    """Name an earlier day as seen from `night`, after the word "since": `yesterday`, `15 July 2024`."""
    if day == night - timedelta(days=1):
        return _("yesterday")
    # Translators: a day, after the word "since".
    return _("{past_night}", past_night=day)
