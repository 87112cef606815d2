"""Finds portal configurations that still ask for the pause button which Stripe withdrew in 2024."""

from collections.abc import Iterator, Mapping
from typing import Any

from shared.audit.check import AuditContext, Check
from shared.audit.report import Finding, Severity
from shared.pause import Phase

NAME = "old_portal_pause"


def of_configuration(configuration: Mapping[str, Any], audit: AuditContext) -> Iterator[Finding]:
    """Say what the withdrawn form means today.

    It is `features.subscription_pause` with `enabled` alone (until API 2024-04-10). The feature of the same name that
    came with API 2026-10-28.endive always shows a `duration`, and is no fault.
    """
    feature = (configuration.get("features") or {}).get("subscription_pause") or {}
    if not feature.get("enabled") or feature.get("duration"):
        return
    active = bool(configuration.get("active"))
    severity, meaning, action = _by_phase(audit)
    state = "This portal configuration" if active else "This inactive portal configuration"
    yield Finding(
        NAME,
        severity if active else Severity.INFO,
        (str(configuration["id"]),),
        f"{state} has features.subscription_pause in its old form. {meaning}",
        action,
    )


def _by_phase(audit: AuditContext) -> tuple[Severity, str, str]:
    match audit.phase:
        case Phase.BUTTON_AVAILABLE:
            return (
                Severity.INFO,
                "Customers can pause the collection of their payments themselves; the status stays active.",
                f"Plan for the end of the button: from {audit.cutoff_on} customers cannot resume by themselves.",
            )
        case Phase.RESUME_ONLY:
            return (
                Severity.WARNING,
                f"Customers can no longer pause, only resume, until {audit.cutoff_on} (days left: {audit.days_left}).",
                f"Ask paused customers to resume while they can, and stop sending the parameter by {audit.cutoff_on}.",
            )
        case Phase.STRANDED:
            return (
                Severity.WARNING,
                f"Since {audit.cutoff_on} it neither pauses nor resumes, and code that sends it may get an error.",
                "Stop sending the old form. Today's pause wants a duration beside it (API 2026-10-28.endive or later).",
            )


CHECK = Check(NAME, of_configuration=of_configuration)
