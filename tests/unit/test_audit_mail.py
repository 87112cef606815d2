from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError

from functions.nightly_audit.mail import LARGEST_CSV, Mailer, compose, subject
from shared.audit.finding import Finding, PausedSubscription, Severity
from shared.audit.report import Report
from shared.audit.text import same
from shared.errors import OperatorError, Unavailable
from shared.money import MonthlyAmount
from shared.pause import Phase
from tests.fakes import audit_report

SENDER = "audit@example.com"
READERS = ("one@example.com", "two@example.com")
PAUSED = PausedSubscription(
    subscription_id="sub_1",
    customer_id="cus_1",
    status="active",
    kind="collection",
    behavior="void",
    resumes_at=datetime(2026, 12, 1, 12, 0, tzinfo=UTC),
    paused_since=datetime(2024, 3, 1, 23, 30, tzinfo=UTC),
    paused_since_is_exact=False,
    cause=None,
    monthly=MonthlyAmount({"eur": Decimal(123450)}),
    served_free=True,
)


def finding(
    number: int = 1, severity: Severity = Severity.CRITICAL, meaning: str = "Meaning.", **facts: Any
) -> Finding:
    paused = replace(PAUSED, **{"subscription_id": f"sub_{number}", "customer_id": f"cus_{number}", **facts})
    return Finding("paused_collection", severity, (paused.subscription_id,), same(meaning), same("Action."), paused)


def report(*findings: Finding, livemode: bool = True) -> Report:
    return audit_report(*findings, livemode=livemode)


def bodies(message: EmailMessage) -> tuple[str, str]:
    plain, html = message.get_body(("plain",)), message.get_body(("html",))
    assert plain
    assert html
    return plain.get_content(), html.get_content()


def test_nothing_found_is_a_short_all_clear_without_an_attachment() -> None:
    message = compose(report(), SENDER, READERS)
    text, html = bodies(message)
    assert message["Subject"] == "Stripe audit: nobody is served for free"
    assert "No customer is served for free." in text
    assert "7 subscriptions read, 0 paused." in text
    assert len(text.splitlines()) < 12
    assert "#1e6b45" in html
    assert list(message.iter_attachments()) == []


def test_both_bodies_lead_with_the_sum_and_say_what_to_do() -> None:
    for body in bodies(compose(report(finding()), SENDER, READERS)):
        assert "1 customer is served for free: 1,234.50 EUR a month not collected." in body
        assert "Action." in body
        assert "2026-11-22 07:00 Europe/Paris" in body
        assert "paused since 2024-03-02 or earlier" in body
        assert "collects again on 2026-12-01 13:00 Europe/Paris" in body


def test_findings_that_say_the_same_stand_together_and_the_worst_stand_first() -> None:
    text, _ = bodies(
        compose(
            report(
                finding(1, Severity.INFO, "Mild."),
                finding(2, Severity.CRITICAL, "Grave."),
                finding(3, Severity.INFO, "Mild."),
            ),
            SENDER,
            READERS,
        )
    )
    assert text.index("Grave.") < text.index("Mild.")
    assert text.count("Mild.") == 1
    assert "INFO: Collection paused (2)" in text


@pytest.mark.parametrize(("livemode", "path"), [(True, "/subscriptions/"), (False, "/test/subscriptions/")])
def test_links_lead_to_the_dashboard_of_the_right_mode(livemode: bool, path: str) -> None:  # noqa: FBT001 - a table's column
    for body in bodies(compose(report(finding(), livemode=livemode), SENDER, READERS)):
        assert f"https://dashboard.stripe.com{path}sub_1" in body


def test_test_mode_is_told_in_the_subject() -> None:
    assert subject(report(finding(), livemode=False)).startswith("Stripe audit (test mode): ")


def test_hostile_ids_are_text_in_html_and_never_a_link() -> None:
    hostile = 'sub_"><script>alert(1)</script>'
    _, html = bodies(compose(report(finding(subscription_id=hostile, customer_id="<b>cus</b>")), SENDER, READERS))
    assert "<script>" not in html
    assert "<b>cus" not in html
    assert "&lt;script&gt;" in html
    assert "<a " not in html


@pytest.mark.parametrize(
    ("phase", "days_left", "words"),
    [
        (Phase.BUTTON_AVAILABLE, 126, "can still pause and resume"),
        (Phase.RESUME_ONLY, 17, "can resume there for 17 days more"),
        (Phase.RESUME_ONLY, 1, "can resume there for 1 day more"),
        (Phase.STRANDED, 0, "can no longer resume by themselves"),
    ],
)
def test_the_mail_says_where_the_calendar_stands(phase: Phase, days_left: int, words: str) -> None:
    text, _ = bodies(compose(replace(report(), phase=phase, days_left=days_left), SENDER, READERS))
    assert words in text


def test_an_unknown_amount_is_told_with_its_reason() -> None:
    nothing_known = finding(1, monthly=MonthlyAmount({}, (same("a tiered price"),)))
    half_known = finding(2, monthly=MonthlyAmount({"eur": Decimal(100)}, (same("a usage-based price"),)))
    for body in bodies(compose(report(nothing_known, half_known), SENDER, READERS)):
        assert "amount unknown (a tiered price)" in body
        assert "at least 1.00 EUR a month (a usage-based price)" in body


def test_an_incomplete_audit_is_never_green() -> None:
    crash = Finding("crashed_check", Severity.CRITICAL, ("sub_9",), same("The check x crashed."), same("Look."))
    message = compose(report(crash), SENDER, READERS)
    text, html = bodies(message)
    assert message["Subject"] == "Stripe audit: incomplete, please look"
    assert "The audit is incomplete" in text
    assert "#1e6b45" not in html


def test_the_mail_shows_a_hundred_rows_and_the_attachment_has_all() -> None:
    message = compose(report(*(finding(number) for number in range(1234))), SENDER, READERS)
    text, html = bodies(message)
    assert text.count("dashboard.stripe.com") == html.count("<a href") == 100
    assert "... and 1,134 more, not shown here." in text
    assert "... and 1,134 more, not shown here." in html
    (attachment,) = message.iter_attachments()
    assert attachment.get_filename() == "paused-subscriptions-2026-11-22.csv"
    assert attachment.get_content_type() == "text/csv"
    assert len(attachment.get_content().splitlines()) == 1235
    # Gmail cuts a message off at 102 KB of HTML.
    assert len(html.encode()) < 102_000


def test_a_list_too_long_for_ses_is_left_out_and_the_mail_says_so() -> None:
    message = compose(report(finding()), SENDER, READERS, largest_csv=10)
    assert list(message.iter_attachments()) == []
    for body in bodies(message):
        assert "too long for a mail" in body


def test_the_largest_attachment_stays_under_the_forty_megabytes_of_ses() -> None:
    message = EmailMessage(policy=SMTP)
    message.add_attachment(b"x" * LARGEST_CSV, "text", "csv")
    assert len(message.as_bytes()) < 39_000_000


class FakeSes:
    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.sent: list[dict[str, Any]] = []

    def send_email(self, **mail: Any) -> None:
        if self.error:
            raise self.error
        self.sent.append(mail)


def mailer(ses: FakeSes) -> Mailer:
    return Mailer(ses, SENDER, READERS)  # type: ignore[arg-type]  # the one call of the client that is used


def test_one_mail_goes_to_all_readers() -> None:
    ses = FakeSes()
    mailer(ses).send(report())
    (mail,) = ses.sent
    assert mail["FromEmailAddress"] == SENDER
    assert mail["Destination"] == {"ToAddresses": list(READERS)}
    assert b"\r\nTo: one@example.com, two@example.com\r\n" in mail["Content"]["Raw"]["Data"]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            ClientError({"Error": {"Code": "MessageRejected", "Message": f"{SENDER} is not verified"}}, "SendEmail"),
            OperatorError,
        ),
        (ClientError({"Error": {"Code": "TooManyRequestsException", "Message": "slow"}}, "SendEmail"), Unavailable),
        (ConnectTimeoutError(endpoint_url="https://email.example"), Unavailable),
    ],
)
def test_a_mail_that_ses_does_not_take_raises_without_naming_an_address(
    error: Exception, expected: type[Exception]
) -> None:
    with pytest.raises(expected) as raised:
        mailer(FakeSes(error)).send(report())
    assert "@" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


def test_a_subject_of_any_length_stands_on_the_line_of_its_name() -> None:
    for digits in range(3, 12):
        ses = FakeSes()
        mailer(ses).send(report(finding(1, monthly=MonthlyAmount({"eur": Decimal(10**digits)}))))
        assert b"Subject: Stripe audit: 1 customer served for free, " in ses.sent[0]["Content"]["Raw"]["Data"]
