"""Reads the account once and shows every object to every check."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from stripe import StripeClient

from shared.audit.check import AuditContext, Check
from shared.audit.registry import CHECKS
from shared.audit.report import CRASHED_CHECK, UNREADABLE_SUBSCRIPTION, Finding, Report, Severity
from shared.errors import UnreadableEvent
from shared.pause import days_until, phase_on
from shared.stripe_gateway import stripe_errors
from shared.stripe_shapes import read_subscription

logger = logging.getLogger(__name__)

PAGE = 100

_Subject = TypeVar("_Subject")
_Look = Callable[[_Subject, AuditContext], Iterable[Finding]]


def run_audit(  # noqa: PLR0913 - keywords, each a plain fact that a test or the command line sets
    client: StripeClient,
    paused_since: Mapping[str, int],
    *,
    now: datetime,
    timezone: ZoneInfo,
    button_removed_on: date,
    cutoff_on: date,
    checks: tuple[Check, ...] = CHECKS,
) -> Report:
    """Audit the account that the client's key belongs to.

    `paused_since` comes from `collection_paused_since`, or is empty. `now` is aware; the day in `timezone` decides the
    phase. Reads all subscriptions that are not canceled and all portal configurations. Raises `OperatorError` when
    Stripe refuses the key and `Unavailable` when it does not answer: half an audit is none.
    """
    if now.tzinfo is None:
        raise ValueError("`now` must be aware: its day depends on the time zone")
    today = now.astimezone(timezone).date()
    phase = phase_on(today, button_removed_on=button_removed_on, cutoff_on=cutoff_on)
    days_left = days_until(cutoff_on, today)
    audit = _Audit(checks, AuditContext(now, phase, days_left, cutoff_on, paused_since))
    for raw in _all_subscriptions(client):
        audit.see_subscription(raw)
    for raw in _all_configurations(client):
        audit.see_configuration(raw)
    return Report(now, timezone, phase, days_left, audit.livemode, audit.subscriptions_read, audit.all_findings())


def _all_subscriptions(client: StripeClient) -> Iterator[dict[str, Any]]:
    """Without a `status` Stripe lists all that are not canceled."""
    with stripe_errors():
        for each in client.v1.subscriptions.list({"limit": PAGE}).auto_paging_iter():
            yield each.to_dict(for_json=True)


def _all_configurations(client: StripeClient) -> Iterator[dict[str, Any]]:
    with stripe_errors():
        for each in client.v1.billing_portal.configurations.list({"limit": PAGE}).auto_paging_iter():
            yield each.to_dict(for_json=True)


class _Audit:
    """What has been seen so far; holds findings, never the objects."""

    def __init__(self, checks: tuple[Check, ...], context: AuditContext) -> None:
        self._checks = checks
        self._context = context
        self._findings: list[Finding] = []
        self._crashes: dict[tuple[str, str], list[str]] = {}
        self.subscriptions_read = 0
        self.livemode: bool | None = None

    def see_subscription(self, raw: Mapping[str, Any]) -> None:
        self.subscriptions_read += 1
        try:
            subscription = read_subscription(raw)
        except UnreadableEvent as error:
            self._findings.append(_unreadable(raw, error))
            return
        self.livemode = subscription.livemode
        for check in self._checks:
            self._look(check.name, check.of_subscription, subscription, subscription.id)

    def see_configuration(self, raw: Mapping[str, Any]) -> None:
        if isinstance(raw.get("livemode"), bool):
            self.livemode = raw["livemode"]
        for check in self._checks:
            self._look(check.name, check.of_configuration, raw, str(raw.get("id")))

    def all_findings(self) -> tuple[Finding, ...]:
        return (*(_crashed(*crash, subjects) for crash, subjects in self._crashes.items()), *self._findings)

    def _look(self, name: str, look: _Look[_Subject], subject: _Subject, subject_id: str) -> None:
        try:
            self._findings.extend(look(subject, self._context))
        except Exception as error:  # the one boundary: whatever a check does, the others go on
            subjects = self._crashes.setdefault((name, type(error).__name__), [])
            if not subjects:
                logger.exception("The check %s crashed at %s", name, subject_id)
            subjects.append(subject_id)


def _crashed(name: str, error_name: str, subjects: list[str]) -> Finding:
    return Finding(
        CRASHED_CHECK,
        Severity.CRITICAL,
        tuple(subjects),
        f"The check {name} crashed ({error_name}): what it would have said of these is not known.",
        "Look into the audit's log for the stack trace, and report it.",
    )


def _unreadable(raw: Mapping[str, Any], error: UnreadableEvent) -> Finding:
    return Finding(
        UNREADABLE_SUBSCRIPTION,
        Severity.CRITICAL,
        (str(raw.get("id")),),
        f"{error.message}. Whether it is paused is not known.",
        "Look at it in the Dashboard, and report its shape.",
    )
