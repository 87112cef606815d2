"""Turns a report into the words that the mail's templates lay out, so that a template decides nothing."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from zoneinfo import ZoneInfo

from shared.audit.finding import Finding, FindingKind, PausedSubscription, Severity
from shared.audit.headline import count, headline
from shared.audit.registry import title_of
from shared.audit.report import Report
from shared.money import format_amounts
from shared.pause import Phase

SHOWN_ROWS = 100
DASHBOARD = "https://dashboard.stripe.com"

_ORDER = (Severity.CRITICAL, Severity.WARNING, Severity.INFO)


@dataclass(frozen=True, slots=True)
class Row:
    """One subject of a finding."""

    subject: str
    url: str
    details: tuple[str, ...] = ()
    amount: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Findings that say the same."""

    title: str
    severity: str
    meaning: str
    action: str
    size: int
    rows: tuple[Row, ...]

    @property
    def left_out(self) -> int:
        """How many subjects the mail does not show."""
        return self.size - len(self.rows)


@dataclass(frozen=True, slots=True)
class Page:
    """All that a template shows."""

    headline: str
    good: bool
    mode: str
    as_of: str
    facts: tuple[str, ...]
    calendar: str
    groups: tuple[Group, ...]
    attachment: str


def page_of(report: Report, attachment: str) -> Page:
    """Lay out a report: worst findings first, at most `SHOWN_ROWS` rows in all. `attachment` says what became of it."""
    return Page(
        headline=headline(report),
        good=report.complete and not report.served_free_count,
        mode="test mode" if report.livemode is False else "",
        as_of=_time(report.as_of, report.timezone),
        facts=(
            f"{count(report.subscriptions_read, 'subscription')} read, {len(report.paused):,} paused",
            count(report.findings_count, "finding"),
        ),
        calendar=_calendar(report),
        groups=tuple(_groups(report)),
        attachment=attachment,
    )


def _calendar(report: Report) -> str:
    match report.phase:
        case Phase.BUTTON_AVAILABLE:
            return "Customers can still pause and resume with the old portal's button."
        case Phase.RESUME_ONLY:
            days = count(report.days_left, "day")
            return f"The old portal's pause button is gone; customers can resume there for {days} more."
        case Phase.STRANDED:
            return "Customers paused by the old portal's button can no longer resume by themselves."


def _groups(report: Report) -> Iterator[Group]:
    together: dict[FindingKind, list[Finding]] = {}
    for finding in report.every_finding():
        together.setdefault(finding.kind, []).append(finding)
    left = SHOWN_ROWS
    for key in sorted(together, key=lambda key: _ORDER.index(key[1])):
        check, severity, meaning, action = key
        rows = tuple(islice(_rows(together[key], report), left))
        left -= len(rows)
        size = sum(finding.size for finding in together[key])
        yield Group(title_of(check).say("en"), severity.value, meaning.say("en"), action.say("en"), size, rows)


def _rows(findings: list[Finding], report: Report) -> Iterator[Row]:
    for finding in findings:
        for subject in finding.subjects:
            url = _url(subject, report)
            if finding.paused is None:
                yield Row(subject, url)
            else:
                yield Row(subject, url, tuple(_details(finding.paused, report.timezone)), _amount(finding.paused))


def _url(subject: str, report: Report) -> str:
    """Where the Dashboard shows it; nothing for what is no id of Stripe's."""
    mode = "/test" if report.livemode is False else ""
    if subject.startswith("sub_") and subject.isascii() and subject.replace("_", "").isalnum():
        return f"{DASHBOARD}{mode}/subscriptions/{subject}"
    return f"{DASHBOARD}{mode}/settings/billing/portal" if subject.startswith("bpc_") else ""


def _details(paused: PausedSubscription, timezone: ZoneInfo) -> Iterator[str]:
    yield paused.customer_id
    if paused.paused_since is None:
        yield "paused since an unknown day"
    else:
        yield f"paused since {paused.paused_since.astimezone(timezone):%Y-%m-%d}" + (
            "" if paused.paused_since_is_exact else " or earlier"
        )
    if paused.resumes_at:
        yield f"collects again on {_time(paused.resumes_at, timezone)}"


def _amount(paused: PausedSubscription) -> str:
    known = format_amounts(paused.monthly.amounts)
    if not paused.monthly.unknown:
        return f"{known} a month"
    why = ", ".join(reason.say("en") for reason in paused.monthly.unknown)
    return f"at least {known} a month ({why})" if known else f"amount unknown ({why})"


def _time(time: datetime, timezone: ZoneInfo) -> str:
    return f"{time.astimezone(timezone):%Y-%m-%d %H:%M} {timezone.key}"
