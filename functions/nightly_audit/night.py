"""One night in steps that can each be done again: read, compare with the mirror, look at the account, tell."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
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
from shared.audit.check import AuditDay
from shared.audit.checks.registry import CHECKS
from shared.audit.findings import ListChange, PausedFindings
from shared.audit.rendering.as_csv import write_csv
from shared.audit.rendering.summary import is_all_clear
from shared.audit.report import ListLink, PastNight, Report, ReportView
from shared.audit.scan import Scan, Sources
from shared.errors import OperatorError, Unavailable
from shared.mirror.comparison import SeenSubscriptions
from shared.mirror.table import MirrorTable
from shared.secret_store import SecretStore
from shared.stripe.gateway import PATIENT_TIMEOUT_SECONDS, stripe_client
from shared.stripe.lists import Window
from shared.stripe.pacing import RateLimit, Retries

logger = logging.getLogger(__name__)

# A longer list would make a mail that some servers refuse; it is linked to instead.
LARGEST_ATTACHMENT = 2_000_000


@dataclass(frozen=True, slots=True)
class AuditRun:
    """One run: its name, and the time that all of its steps speak of."""

    name: str
    as_of: datetime


@dataclass(frozen=True, slots=True)
class NightlyAudit:
    """What a night works with. A step reads for `stretch_seconds` at most, far less than Lambda's 15 minutes."""

    settings: NightlyAuditSettings
    secrets: SecretStore
    table: MirrorTable
    nights: AuditsTable
    shelf: ReportBucket
    mailer: Mailer
    clock: Callable[[], float] = time.time
    stretch_seconds: float = 120

    def begin(self) -> AuditRun:
        """Name the run and its time, once."""
        return AuditRun(uuid4().hex, datetime.fromtimestamp(self.clock(), UTC))

    def read(self, run: AuditRun, number: int, windows: Sequence[Window]) -> tuple[Window, ...]:
        """Read subscriptions from Stripe, compare each with the mirror; answer what is left to be read.

        Each step is the one after `number - 1`. Raises `PortalError`s: nothing is kept of the step then.
        """
        seen = SeenSubscriptions()
        with self.shelf.part(run.name, number) as part:
            reading = self._go_on(run, number, part, seen)
            left = reading.subscriptions(windows, self._for_a_while())
            self._keep(run, number, reading)
        self.shelf.put_seen(run.name, number, seen)
        return left

    def compare(
        self, run: AuditRun, number: int, steps: int, start: Mapping[str, Any] | None
    ) -> Mapping[str, Any] | None:
        """Ask Stripe for what the mirror has beside the subscriptions that the first `steps` steps saw."""
        reading = self._go_on(run, number, PausedFindings(), self.shelf.seen(run.name, steps))
        left = reading.mirrored(start, self._for_a_while())
        self._keep(run, number, reading)
        return left

    def look(self, run: AuditRun, number: int) -> None:
        """Look at what the account has once."""
        reading = self._go_on(run, number, PausedFindings(), SeenSubscriptions())
        reading.account(self.settings.webhook_url)
        self._keep(run, number, reading)

    def tell(self, run: AuditRun, number: int, steps: int, *, again: bool) -> dict[str, Any]:
        """Send the report, unless the night's mail went out before; answer counts and what became of the mail."""
        paused = PausedFindings.of(self.shelf.findings(run.name, steps))
        reading = self._go_on(run, number, paused, SeenSubscriptions())
        report = reading.report(paused)
        return self._counts(report) | {"mail": self._send(run, report, again=again)}

    def _send(self, run: AuditRun, report: Report, *, again: bool) -> str:
        """The mail goes out before it is noted: a crash in between sends it twice, and never loses it."""
        now, night = datetime.fromtimestamp(self.clock(), UTC), self._day(run).today
        if not self.nights.claim(night, run.name, report, now=now, again=again):
            return "sent_before"
        edition = self._edition(report, night)
        silent = self.settings.audit_all_clear == "silence" and is_all_clear(report)
        try:
            if not silent:
                self.mailer.send(edition)
        except OperatorError:
            self.nights.told(night, MailStatus.REFUSED)
            raise
        mail = MailStatus.SILENT if silent else MailStatus.SENT
        try:
            Retries(RateLimit(1)).of(lambda: self.nights.told(night, mail))
        except Unavailable as error:  # to do the step again would send the mail again
            logger.warning("What became of the mail is not noted: %s", error.message)
        return mail.value

    def _edition(self, report: Report, night: date) -> ReportView:
        nights = self.nights.before(night)
        change = self._change(report.paused, last_complete(nights))
        return ReportView(report, self.settings.audit_language, nights, change, self._list(report, night))

    def _change(self, paused: PausedFindings, last: PastNight | None) -> ListChange | None:
        """A list that is gone costs the comparison, and not the mail."""
        if last is None:
            return None
        try:
            return paused.change_since(last.night, self.shelf.listed(last.night))
        except Unavailable as error:
            logger.warning("The mail goes without what changed: %s", error.message)
            return None

    def _list(self, report: Report, night: date) -> ListLink | None:
        """Keep the list for the next night and for people; link to it when it is long."""
        with TextIOWrapper(TemporaryFile(), "utf-8", newline="") as text:
            write_csv(report.paused, text, self.settings.audit_language)
            size = text.tell()
            text.seek(0)
            self.shelf.put_list(night, text.buffer)
        return ListLink(self.shelf.link(night), self.shelf.place(night)) if size > LARGEST_ATTACHMENT else None

    def _go_on(self, run: AuditRun, number: int, paused: FindingSink, seen: SeenSubscriptions) -> Scan:
        settings, before = self.settings, self.shelf.stretch(run.name, number - 1)
        sources = Sources(
            stripe_client(self.secrets.get().api_key, settings.stripe_api_base, PATIENT_TIMEOUT_SECONDS),
            self.table,
            RateLimit(settings.audit_requests_per_second),
            settings.uncertainty,
            settings.retention,
            repair=True,
        )
        reading = Scan(sources, self._day(run), CHECKS, paused.add, seen, before.drift)
        reading.load(before.looked)
        return reading

    def _keep(self, run: AuditRun, number: int, reading: Scan) -> None:
        drift = reading.drift()
        self.shelf.put_stretch(run.name, number, ScanState(reading.looking.dump(), drift))

    def _day(self, run: AuditRun) -> AuditDay:
        settings = self.settings
        return AuditDay.at(
            run.as_of,
            settings.audit_timezone,
            button_removed_on=settings.pause_button_removed_on,
            cutoff_on=settings.pause_cutoff_on,
        )

    def _for_a_while(self) -> Callable[[], bool]:
        until = time.monotonic() + self.stretch_seconds
        return lambda: time.monotonic() < until

    @staticmethod
    def _counts(report: Report) -> dict[str, Any]:
        return {
            "subscriptions_read": report.subscriptions_read,
            "subscriptions_paused": len(report.paused),
            "customers_served_free": report.customers_served_free,
            "findings": report.findings_count,
        }


_Result = TypeVar("_Result")
_Wire = Callable[[], NightlyAudit]


class Steps(Protocol):
    """What runs a step and remembers its answer; the code between steps runs again after every interruption."""

    def step(self, name: str, act: Callable[[], _Result]) -> _Result:
        """Act once, or answer what it answered before."""

    def rest(self, name: str) -> None:
        """End this invocation; another goes on."""


def run_steps(wire: _Wire, steps: Steps, *, again: bool) -> dict[str, Any]:
    """Run a night, and answer what it counted. Raises what `Steps.step` raises: then no mail was sent."""
    begun = steps.step("begin", partial(_begin, wire))
    run = AuditRun(begun["name"], datetime.fromisoformat(begun["as_of"]))
    read = _read_all(wire, steps, run)
    number = _compare_all(wire, steps, run, read)
    steps.step("look", lambda: wire().look(run, number))
    # A long list takes minutes: the last reading must not have used them up.
    steps.rest("rest-tell")
    return steps.step("tell", lambda: wire().tell(run, number + 1, read, again=again))


def _read_all(wire: _Wire, steps: Steps, run: AuditRun) -> int:
    """Read all subscriptions; answer how many steps that took."""
    number, windows = 0, [astuple(Window())]
    while windows:
        if number:
            steps.rest(f"rest-{number}")
        windows = steps.step(f"read-{number}", partial(_read, wire, run, number, windows))
        number += 1
    return number


def _compare_all(wire: _Wire, steps: Steps, run: AuditRun, read: int) -> int:
    """Compare the mirror the other way; answer the number of the next step."""
    number, start = read, None
    while True:
        start = steps.step(f"compare-{number}", partial(_compare, wire, run, number, read, start))
        number += 1
        if not start:
            return number
        steps.rest(f"rest-{number}")


def _begin(wire: _Wire) -> dict[str, str]:
    run = wire().begin()
    return {"name": run.name, "as_of": run.as_of.isoformat()}


def _read(wire: _Wire, run: AuditRun, number: int, windows: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
    return [astuple(each) for each in wire().read(run, number, [Window(*each) for each in windows])]


def _compare(
    wire: _Wire, run: AuditRun, number: int, read: int, start: Mapping[str, Any] | None
) -> dict[str, Any] | None:
    then = wire().compare(run, number, read, start)
    return dict(then) if then else None
