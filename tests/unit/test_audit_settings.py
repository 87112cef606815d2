from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError

from functions.nightly_audit.settings import NightlyAuditSettings, read_settings
from shared.errors import OperatorError, PortalError, Unavailable

GOOD = {
    "SECRET_ID": "stripe",
    "STRIPE_API_BASE": "https://api.stripe.com",
    "TABLE_NAME": "Subscriptions",
    "AUDITS_TABLE_NAME": "Audits",
    "PAUSES_TABLE_NAME": "Pauses",
    "AUDIT_BUCKET": "audit-reports",
    "SIGNING_SECRETS_ID": "signing",
    "LINK_SECRETS_ID": "links",
    "AUDIT_SETTINGS": "audit-settings",
    "DEAD_LETTER_QUEUE_URL": "https://sqs.example/dead",
    "SETTLE_DEAD_LETTER_QUEUE_URL": "https://sqs.example/settle-dead",
    "AUDIT_DEAD_LETTER_QUEUE_URL": "https://sqs.example/audit-dead",
    "ALLOW_VERIFIED_EMAIL": "false",
    "AUDIT_REQUESTS_PER_SECOND": "10",
    "AUDIT_LANGUAGE": "fr",
    "AUDIT_ALL_CLEAR": "mail",
    "AUDIT_NAMES_CUSTOMERS": "true",
    "EVENT_CLOCK_UNCERTAINTY_SECONDS": "3",
    "ENDED_RETENTION_DAYS": "400",
    "AUDIT_EMAIL_FROM": "audit@example.com",
    "AUDIT_EMAIL_TO": "one@example.com, two@example.com",
    "AUDIT_TIMEZONE": "Europe/Paris",
    "PAUSE_BUTTON_REMOVED_ON": "2024-03-29",
    "PAUSE_CUTOFF_ON": "2024-08-01",
}


def test_good_settings_are_read() -> None:
    settings = NightlyAuditSettings.from_environment(GOOD | {"AUDIT_SKIPS": "Invoices, Event Destinations"})
    assert settings.audit_skips == ("Invoices", "Event Destinations")
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
        ("AUDIT_SKIPS", "Subscriptions"),
        ("PAUSE_BUTTON_REMOVED_ON", "29/03/2024"),
        ("PAUSE_CUTOFF_ON", "soon"),
        ("PAUSE_CUTOFF_ON", "2024-03-28"),
    ],
)
def test_a_bad_setting_is_named_and_its_value_is_not(name: str, value: str) -> None:
    with pytest.raises(OperatorError, match=name) as raised:
        NightlyAuditSettings.from_environment({**GOOD, name: value})
    assert value in ("", ",", "Europe") or value not in str(raised.value)


class FakeSsm:
    """Holds one parameter, or fails."""

    def __init__(self, value: str, error: Exception | None = None) -> None:
        self._value, self._error = value, error

    def get_parameter(self, **_: str) -> dict[str, Any]:
        if self._error:
            raise self._error
        return {"Parameter": {"Value": self._value}}


def test_what_the_parameter_says_counts_and_not_an_environment_of_an_earlier_deployment() -> None:
    ssm: Any = FakeSsm("AUDIT_LANGUAGE=en\nWEBHOOK_URL=https://api.example/webhooks/stripe?a=b\nSTRIPE_ACCOUNT_ID=")
    settings = read_settings(ssm, GOOD)
    assert (settings.audit_language, settings.audit_bucket) == ("en", "audit-reports")
    assert settings.webhook_url == "https://api.example/webhooks/stripe?a=b"
    assert settings.stripe_account_id is None


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (ClientError({"Error": {"Code": "ParameterNotFound"}}, "GetParameter"), OperatorError),
        (ClientError({"Error": {"Code": "AccessDeniedException"}}, "GetParameter"), OperatorError),
        (ClientError({"Error": {"Code": "ThrottlingException"}}, "GetParameter"), Unavailable),
        (ConnectTimeoutError(endpoint_url="https://ssm"), Unavailable),
    ],
)
def test_a_parameter_that_cannot_be_read_is_the_operators_or_tried_again(
    error: Exception, raised: type[PortalError]
) -> None:
    ssm: Any = FakeSsm("", error)
    with pytest.raises(raised):
        read_settings(ssm, GOOD)
