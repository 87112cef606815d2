"""Reads the account once, in one go, and shows every object to every check."""

from collections.abc import Callable

from shared.audit.check import Check
from shared.audit.day import AuditDay
from shared.audit.drift_seen import DriftSeen
from shared.audit.paused_findings import PausedFindings
from shared.audit.reading import Reading
from shared.audit.registry import CHECKS
from shared.audit.report import Report
from shared.audit.sources import Sources
from shared.audit.window import Window
from shared.recovery.seen import Seen


def run_audit(
    sources: Sources,
    day: AuditDay,
    *,
    checks: tuple[Check, ...] = CHECKS,
    webhook_url: str | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Report:
    """Audit the account that the client's key belongs to.

    `webhook_url` is the deployment's own endpoint, if known. `progress` is told how many subscriptions were read.
    Reads all subscriptions that are not canceled, what the mirror has of them, and the few other lists that the checks
    want. Raises `OperatorError` when Stripe refuses the key or its reading of subscriptions, and `Unavailable` when it
    does not answer: half an audit is none. A key that may not read another list is a finding, and so is a mirror that
    does not answer.
    """
    paused = PausedFindings()
    reading = Reading(sources, day, checks, paused.add, Seen(), DriftSeen())

    def tell() -> bool:
        progress(reading.looking.subscriptions_read)
        return True

    reading.subscriptions((Window(),), tell)
    progress(reading.looking.subscriptions_read)
    reading.mirrored(None)
    reading.account(webhook_url)
    return reading.report(paused)
