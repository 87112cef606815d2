"""One night in steps that can each be repeated: read subscriptions, compare the mirror, check the account, report."""

import gc
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, replace
from datetime import UTC, date, datetime
from functools import partial
from io import TextIOWrapper
from tempfile import TemporaryFile
from typing import Any, Protocol, TypeVar
from uuid import uuid4

from functions.nightly_audit.audits_table import AuditsTable, MailStatus, last_complete
from functions.nightly_audit.bucket import FindingSink, ReportBucket, ScanState
from functions.nightly_audit.mail import Mailer
from functions.nightly_audit.settings import NightlyAuditSettings
from shared.access_comparison import AccessComparison
from shared.audit.check import AccessListFacts, AuditDay, WaitingMessages
from shared.audit.checks.access_list import SHOWN, compared_list
from shared.audit.checks.registry import CHECKS
from shared.audit.findings import NIGHT_WITHOUT_MAIL, Finding, ListChange, PausedFindings, Severity
from shared.audit.pauses import SETTLED_SECONDS
from shared.audit.rendering.as_csv import write_csv
from shared.audit.rendering.summary import is_all_clear
from shared.audit.report import ListLink, PastNight, Report, ReportView
from shared.audit.scan import Scan, Sources
from shared.errors import OperatorError, PortalError, Unavailable
from shared.i18n import _, _n, listed
from shared.mirror.comparison import SeenSubscriptions
from shared.mirror.items import MirroredSubscription
from shared.mirror.table import MirrorTable
from shared.pausing.history import PauseTable
from shared.secret_store import SecretStore, StripeSecret
from shared.served_list import BadLine, ServedList
from shared.stripe.gateway import PATIENT_TIMEOUT_SECONDS, stripe_client
from shared.stripe.lists import Window
from shared.stripe.money import in_major_units
from shared.stripe.pacing import RateLimit, Retries

logger = logging.getLogger(__name__)

# Some mail servers refuse larger mails: a longer list is linked to instead.
LARGEST_ATTACHMENT = 2_000_000


@contextmanager
def _short_collections() -> Iterator[None]:
    """Keep what was imported out of the garbage collector's full runs: each would hold up the requests for 50 ms."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class AuditRun:
    """One run: its name, and the time that all of its steps are about.

    `pauses_since`: the Unix second from which on pauses are new, because no mail has named them.
    """

    name: str
    as_of: datetime
    pauses_since: int

    @property
    def pauses_until(self) -> int:
        """The Unix second before which pauses are this run's; what is later is the next one's."""
        return max(self.pauses_since, int(self.as_of.timestamp()) - SETTLED_SECONDS)


@dataclass(frozen=True, slots=True)
class NightlyAudit:
    """The steps of a night and what they work with; a step reads for `step_seconds` at most, well below 15 minutes."""

    settings: NightlyAuditSettings
    secrets: SecretStore[StripeSecret]
    table: MirrorTable
    pauses: PauseTable
    audits: AuditsTable
    bucket: ReportBucket
    mailer: Mailer
    dead_letters: Callable[[], Mapping[str, WaitingMessages]]
    oldest_secret_days: Callable[[float], int | None]
    clock: Callable[[], float] = time.time
    step_seconds: float = 120
    list_seconds: float = 600

    def begin(self, count_failures: Callable[[int], None]) -> AuditRun:
        """Name the run and its time, once, and record that it has begun.

        An earlier run that Lambda ended at its time limit could not count its own failure: that is done here.
        """
        as_of = datetime.fromtimestamp(self.clock(), UTC)
        night = as_of.astimezone(self.settings.audit_timezone).date()
        run = AuditRun(uuid4().hex, as_of, self.audits.pauses_named_until(night, now=as_of))
        ended = self.audits.nights_without_mail(night, now=run.as_of)
        if uncounted := [each.night for each in ended if not each.counted]:
            count_failures(len(uncounted))
            for earlier in uncounted:
                self.audits.record_failure(earlier)
        self.audits.begin(night, now=run.as_of)
        return run

    def record_failure(self, run: AuditRun) -> None:
        """Record that the run has failed, for the next night's mail. Raises `Unavailable`."""
        self.audits.record_failure(self._day(run).today)

    def read_subscriptions(self, run: AuditRun, number: int, windows: Sequence[Window]) -> tuple[Window, ...]:
        """Read subscriptions from Stripe and compare each with the mirror; return the windows that are left.

        Step `number` continues from step `number - 1`. Raises `PortalError`; nothing of the step is stored then.
        """
        seen = SeenSubscriptions()
        with self.bucket.paused_findings(run.name, number) as findings, _short_collections():
            scan = self._resume_scan(run, number, findings, seen)
            if number == 0:
                scan.read_pauses(run.pauses_since, run.pauses_until)
            left = scan.read_subscriptions(windows, self._time_is_left())
            self._save_scan(run, number, scan)
        self.bucket.put_seen(run.name, number, seen)
        return left

    def compare_mirror(
        self, run: AuditRun, number: int, steps: int, start: Mapping[str, Any] | None
    ) -> Mapping[str, Any] | None:
        """Look up at Stripe what the mirror has and the first `steps` steps did not see; return where to continue."""
        scan = self._resume_scan(run, number, PausedFindings(), self.bucket.seen(run.name, steps))
        left = scan.compare_mirror(start, self._time_is_left())
        self._save_scan(run, number, scan)
        return left

    def compare_access(self, run: AuditRun, number: int) -> bool:
        """Compare the company's own list of who is served, if there is one; return whether there is one.

        A list that cannot be compared is for the mail to say. Nothing of it is stored but numbers and a few names.
        """
        state = self.bucket.scan_state(run.name, number - 1)
        facts = self._compare_list(run) if self.settings.access_list else None
        self.bucket.put_scan_state(run.name, number, replace(state, access_list=facts))
        return facts is not None

    def _compare_list(self, run: AuditRun) -> AccessListFacts:
        settings, bad_lines = self.settings, list[int]()
        until = time.monotonic() + self.list_seconds

        def in_time(rows: Iterator[_Result]) -> Iterator[_Result]:
            for row in rows:
                if time.monotonic() > until:
                    raise Unavailable("list_unreadable", f"It takes longer than {self.list_seconds:g} s")
                yield row

        def bad(line: BadLine) -> None:
            if len(bad_lines) < SHOWN:
                bad_lines.append(line.line)

        comparison = AccessComparison(
            _TableInTime(self.table, in_time),
            stripe_client(self.secrets.get().api_key, settings.stripe_api_base, PATIENT_TIMEOUT_SECONDS),
            Retries(RateLimit(settings.audit_requests_per_second), more=lambda: time.monotonic() < until),
            policy=settings,
            now=run.as_of.timestamp,
            account=settings.stripe_account_id,
        )
        try:
            with self.bucket.uploaded_list(settings.access_list) as uploaded:
                comparison.read_list(in_time(ServedList(uploaded.file).rows()), bad=bad)
            comparison.read_customers()
            comparison.read_mirror()
            return compared_list(
                comparison,
                bad_lines=tuple(bad_lines),
                written_at=uploaded.written_at,
                names=settings.audit_names_customers,
            )
        except PortalError as error:
            logger.warning("The list %s was not compared: %s", settings.access_list, error.message)
            return AccessListFacts(problem=error.message)

    def check_account(self, run: AuditRun, number: int) -> None:
        """Check what the account has only once: configurations, endpoints, undelivered events, drift."""
        scan = self._resume_scan(run, number, PausedFindings(), SeenSubscriptions())
        scan.check_account(self.settings.webhook_url, self.bucket.scan_state(run.name, number - 1).access_list)
        self._save_scan(run, number, scan)

    def send_report(self, run: AuditRun, number: int, steps: int, *, again: bool) -> dict[str, Any]:
        """Send the report, unless the night's mail was sent before; return the counts and what became of the mail."""
        paused = PausedFindings.of(self.bucket.findings(run.name, steps))
        scan = self._resume_scan(run, number, paused, SeenSubscriptions())
        ended = self.audits.nights_without_mail(self._day(run).today, now=run.as_of)
        if ended:
            scan.checks.add_own_finding(_without_mail([each.night for each in ended]))
        report = scan.report(paused)
        counts = self._counts(report) | {
            "subscriptions_repaired": scan.drift().repaired,
            "oldest_secret_days": self.oldest_secret_days(self.clock()),
        }
        return counts | {"mail": self._send(run, report, again=again)}

    def _send(self, run: AuditRun, report: Report, *, again: bool) -> str:
        """Send, then record it: a crash in between sends the mail twice and never loses it."""
        now, night = datetime.fromtimestamp(self.clock(), UTC), self._day(run).today
        if not self.audits.claim(night, run.name, report, now=now, again=again):
            return "sent_before"
        view = self._view(report, night)
        silent = self.settings.audit_all_clear == "silence" and is_all_clear(report)
        try:
            if not silent:
                self.mailer.send(view)
        except OperatorError:
            self.audits.record_mail(night, MailStatus.REFUSED)
            raise
        mail = MailStatus.SILENT if silent else MailStatus.SENT
        try:
            Retries(RateLimit(1)).of(lambda: self.audits.record_mail(night, mail))
        except Unavailable as error:  # repeating the step would send the mail again
            logger.warning("What became of the mail was not recorded: %s", error.message)
        return mail.value

    def _view(self, report: Report, night: date) -> ReportView:
        nights = self.audits.earlier_nights(night)
        change = self._change(report.paused, last_complete(nights))
        settings = self.settings
        return ReportView(
            report,
            settings.audit_language,
            nights,
            change,
            self._list(report, night),
            settings.stripe_account_id,
            settings.audit_help_url,
        )

    def _change(self, paused: PausedFindings, last: PastNight | None) -> ListChange | None:
        """Compare with the last complete night; without its list the mail goes out without the comparison."""
        if last is None:
            return None
        try:
            return paused.change_since(last.night, self.bucket.listed(last.night))
        except Unavailable as error:
            logger.warning("The mail does not say what changed: %s", error.message)
            return None

    def _list(self, report: Report, night: date) -> ListLink | None:
        """Store the list for the next night and for people; return a link when it is too long for a mail."""
        with TextIOWrapper(TemporaryFile(), "utf-8", newline="") as text:
            write_csv(report.paused, text, self.settings.audit_language)
            size = text.tell()
            text.seek(0)
            self.bucket.put_list(night, text.buffer)
        return (
            ListLink(self.bucket.list_url(night), self.bucket.list_location(night))
            if size > LARGEST_ATTACHMENT
            else None
        )

    def _resume_scan(self, run: AuditRun, number: int, paused: FindingSink, seen: SeenSubscriptions) -> Scan:
        settings, state = self.settings, self.bucket.scan_state(run.name, number - 1)
        sources = Sources(
            stripe_client(self.secrets.get().api_key, settings.stripe_api_base, PATIENT_TIMEOUT_SECONDS),
            self.table,
            RateLimit(settings.audit_requests_per_second),
            settings.uncertainty,
            settings.retention,
            repair=True,
            allow_verified_email=settings.allow_verified_email,
            account=settings.stripe_account_id,
            options=settings,
            dead_letters=self.dead_letters,
            pauses=self.pauses,
        )
        scan = Scan(sources, self._day(run), CHECKS, paused.add, seen, state.drift)
        scan.load(state.checks, state.lags, state.pauses)
        return scan

    def _save_scan(self, run: AuditRun, number: int, scan: Scan) -> None:
        drift = scan.drift()
        state = ScanState(scan.checks.dump(), drift, scan.lags, pauses=scan.pauses)
        self.bucket.put_scan_state(run.name, number, state)

    def _day(self, run: AuditRun) -> AuditDay:
        settings = self.settings
        return AuditDay.at(
            run.as_of,
            settings.audit_timezone,
            button_removed_on=settings.pause_button_removed_on,
            cutoff_on=settings.pause_cutoff_on,
        )

    def _time_is_left(self) -> Callable[[], bool]:
        until = time.monotonic() + self.step_seconds
        return lambda: time.monotonic() < until

    @staticmethod
    def _counts(report: Report) -> dict[str, Any]:
        return {
            "subscriptions_read": report.subscriptions_read,
            "subscriptions_paused": len(report.paused),
            "customers_served_free": report.customers_served_free,
            "findings": report.findings_count,
            "uncollected_per_month": {
                currency: float(in_major_units(amount, currency)) for currency, amount in report.totals.items()
            },
        }


@dataclass(frozen=True, slots=True)
class _TableInTime:
    """The mirror for one comparison, whose reading ends when its time is used up."""

    table: MirrorTable
    in_time: Callable[[Iterator[MirroredSubscription]], Iterator[MirroredSubscription]]

    def all(self) -> Iterator[MirroredSubscription]:
        return self.in_time(self.table.all())

    def of_customer(self, customer_id: str) -> Iterator[MirroredSubscription]:
        return self.in_time(self.table.of_customer(customer_id))


def _without_mail(nights: Sequence[date]) -> Finding:
    return Finding(
        NIGHT_WITHOUT_MAIL,
        Severity.WARNING,
        (),
        _n(
            "No mail was sent for the audit of {nights}: it failed, or reached its time limit.",
            "No mail was sent for the audits of {nights}: they failed, or reached their time limit.",
            len(nights),
            nights=listed(nights),
        ),
        _("Find the cause in the audit's log of that time; if it is still there, it will stop the next audits too."),
    )


_Wire = Callable[[], NightlyAudit]


class Steps(Protocol):
    """Runs a step once and remembers its result; the code between steps runs again after every interruption.

    `failures` are what `step` raises when a step has failed for good.
    """

    failures: tuple[type[Exception], ...]

    def step(self, name: str, act: Callable[[], _Result]) -> _Result:
        """Act once; after an interruption, return the recorded result."""

    def rest(self, name: str) -> None:
        """End this invocation and continue in another."""


def run_steps(wire: _Wire, steps: Steps, count_failures: Callable[[int], None], *, again: bool) -> dict[str, Any]:
    """Run a night and return its counts.

    `count_failures` is called with the number of earlier runs that ended uncounted. Raises what `Steps.step` raises; no
    mail was sent then.
    """
    begun = steps.step("begin", partial(_begin, wire, count_failures))
    run = AuditRun(begun["name"], datetime.fromisoformat(begun["as_of"]), begun["pauses_since"])
    try:
        return _report(wire, steps, run, again=again)
    except steps.failures:
        try:
            wire().record_failure(run)
        except PortalError as error:
            logger.warning("The failure was not recorded, and will be counted twice: %s", error.message)
        raise


def _report(wire: _Wire, steps: Steps, run: AuditRun, *, again: bool) -> dict[str, Any]:
    read = _read_all(wire, steps, run)
    number = _compare_all(wire, steps, run, read)
    # A long list takes minutes, of which the steps before may have used up some, and the next step needs most.
    if steps.step("compare-access", lambda: wire().compare_access(run, number)):
        steps.rest("rest-account")
    number += 1
    steps.step("check-account", lambda: wire().check_account(run, number))
    # A long list takes minutes, which the step before may have used up.
    steps.rest("rest-report")
    return steps.step("send-report", lambda: wire().send_report(run, number + 1, read, again=again))


def _read_all(wire: _Wire, steps: Steps, run: AuditRun) -> int:
    """Read all subscriptions; return the number of steps."""
    number, windows = 0, [astuple(Window())]
    while windows:
        if number:
            steps.rest(f"rest-{number}")
        windows = steps.step(f"read-{number}", partial(_read, wire, run, number, windows))
        number += 1
    return number


def _compare_all(wire: _Wire, steps: Steps, run: AuditRun, read: int) -> int:
    """Compare the mirror with Stripe; return the number of the next step."""
    number, start = read, None
    while True:
        start = steps.step(f"compare-{number}", partial(_compare, wire, run, number, read, start))
        number += 1
        if not start:
            return number
        steps.rest(f"rest-{number}")


def _begin(wire: _Wire, count_failures: Callable[[int], None]) -> dict[str, Any]:
    run = wire().begin(count_failures)
    return {"name": run.name, "as_of": run.as_of.isoformat(), "pauses_since": run.pauses_since}


def _read(wire: _Wire, run: AuditRun, number: int, windows: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
    begun = [Window(gte, lt, tuple(after)) for gte, lt, after in windows]
    return [astuple(each) for each in wire().read_subscriptions(run, number, begun)]


def _compare(
    wire: _Wire, run: AuditRun, number: int, read: int, start: Mapping[str, Any] | None
) -> dict[str, Any] | None:
    then = wire().compare_mirror(run, number, read, start)
    return dict(then) if then else None
