"""The days of the French page, seen from Paris: what the audit says of one endless void on each of them."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from shared.audit.findings import Severity
from shared.portal.pause import Phase
from tests.raw_subscription import VOID
from tests.raw_subscription import raw_subscription as subscription
from tests.unit.test_audit_run import FakeAccount, audit

PARIS = ZoneInfo("Europe/Paris")


@pytest.mark.parametrize(
    ("now", "phase", "severity", "words", "mots"),
    [
        (
            "2024-03-28T12:00+01:00",
            Phase.BUTTON_AVAILABLE,
            Severity.WARNING,
            "can resume in the portal.",
            "peut reprendre ses paiements",
        ),
        ("2024-03-28T23:30+00:00", Phase.RESUME_ONLY, Severity.WARNING, "(125 days left)", "(encore 125 jours)"),
        (
            "2024-06-01T12:00+02:00",
            Phase.RESUME_ONLY,
            Severity.WARNING,
            "(61 days left)",
            "jusqu\u2019au 1er août 2024",
        ),
        ("2024-07-31T12:00+02:00", Phase.RESUME_ONLY, Severity.WARNING, "(1 day left)", "(encore 1 jour)"),
        ("2024-07-31T21:59:59+00:00", Phase.RESUME_ONLY, Severity.WARNING, "(1 day left)", "(encore 1 jour)"),
        (
            "2024-07-31T22:00:00+00:00",
            Phase.STRANDED,
            Severity.CRITICAL,
            "only the team can",
            "seule l\u2019équipe peut le faire",
        ),
        ("2024-08-01T12:00+02:00", Phase.STRANDED, Severity.CRITICAL, "since 1 August 2024", "depuis le 1er août 2024"),
        (
            "2026-11-22T06:00+00:00",
            Phase.STRANDED,
            Severity.CRITICAL,
            "only the team can",
            "seule l\u2019équipe peut le faire",
        ),
    ],
)
def test_an_endless_void_means_what_the_day_in_paris_makes_of_it(
    now: str, phase: Phase, severity: Severity, words: str, mots: str
) -> None:
    account = FakeAccount([subscription(pause_collection=VOID)])
    report = audit(account, now=datetime.fromisoformat(now).astimezone(UTC), timezone="Europe/Paris")
    (finding,) = report.every_finding()
    assert (report.phase, finding.severity) == (phase, severity)
    assert words in finding.meaning.say("en")
    assert mots in finding.meaning.say("fr")
