from datetime import date
from zoneinfo import ZoneInfo

import pytest

from functions.nightly_audit.settings import NightlyAuditSettings
from shared.errors import OperatorError

GOOD = {
    "SECRET_ID": "stripe",
    "STRIPE_API_BASE": "https://api.stripe.com",
    "TABLE_NAME": "Subscriptions",
    "AUDITS_TABLE_NAME": "Audits",
    "AUDIT_BUCKET": "audit-reports",
    "ALLOW_VERIFIED_EMAIL": "false",
    "AUDIT_REQUESTS_PER_SECOND": "10",
    "AUDIT_LANGUAGE": "fr",
    "AUDIT_ALL_CLEAR": "mail",
    "EVENT_CLOCK_UNCERTAINTY_SECONDS": "3",
    "ENDED_RETENTION_DAYS": "400",
    "AUDIT_EMAIL_FROM": "audit@example.com",
    "AUDIT_EMAIL_TO": "one@example.com, two@example.com",
    "AUDIT_TIMEZONE": "Europe/Paris",
    "PAUSE_BUTTON_REMOVED_ON": "2024-03-29",
    "PAUSE_CUTOFF_ON": "2024-08-01",
}


def test_good_settings_are_read() -> None:
    settings = NightlyAuditSettings.from_environment(GOOD)
    assert settings.audit_email_to == ("one@example.com", "two@example.com")
    assert settings.audit_timezone == ZoneInfo("Europe/Paris")
    assert settings.webhook_url is None
    assert settings.pause_button_removed_on == date(2024, 3, 29)
    assert settings.pause_cutoff_on == date(2024, 8, 1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TABLE_NAME", ""),
        ("AUDITS_TABLE_NAME", ""),
        ("AUDIT_BUCKET", ""),
        ("AUDIT_REQUESTS_PER_SECOND", "0.5"),
        ("AUDIT_REQUESTS_PER_SECOND", "26"),
        ("AUDIT_LANGUAGE", "klingon"),
        ("AUDIT_ALL_CLEAR", "perhaps"),
        ("EVENT_CLOCK_UNCERTAINTY_SECONDS", "1"),
        ("WEBHOOK_URL", "shop.example"),
        ("AUDIT_EMAIL_FROM", "nobody"),
        ("AUDIT_EMAIL_FROM", "a@b\r\nBcc: c@d"),
        ("AUDIT_EMAIL_TO", ","),
        ("AUDIT_EMAIL_TO", "one@example.com,nobody"),
        ("AUDIT_TIMEZONE", "Europe/Nowhere"),
        ("AUDIT_TIMEZONE", "Europe"),
        ("AUDIT_TIMEZONE", "../etc"),
        ("PAUSE_BUTTON_REMOVED_ON", "29/03/2024"),
        ("PAUSE_CUTOFF_ON", "soon"),
        ("PAUSE_CUTOFF_ON", "2024-03-28"),
    ],
)
def test_a_bad_setting_is_named_and_its_value_is_not(name: str, value: str) -> None:
    with pytest.raises(OperatorError, match=name) as raised:
        NightlyAuditSettings.from_environment({**GOOD, name: value})
    assert value in ("", ",", "Europe") or value not in str(raised.value)
