"""None"""

import re
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError
from hypothesis import given
from hypothesis import strategies as st

from functions.nightly_audit.mail import LARGEST_CSV, LONGEST, Mailer, compose, subject
from shared.audit.findings import CustomerName, Finding, ListChange, Severity
from shared.audit.rendering.as_html import BANDS
from shared.audit.report import ListLink, PastNight, ReportView
from shared.errors import OperatorError, Unavailable
from shared.i18n import verbatim
from shared.portal.pause import Phase
from shared.stripe.money import MonthlyAmount
from tests.audit_findings import finding
from tests.fakes import audit_report

SENDER = "audit@example.com"
READERS = ("one@example.com", "two@example.com")


def bodies(message: EmailMessage) -> tuple[str, str]:
    plain, html = message.get_body(("plain",)), message.get_body(("html",))
    assert plain
    assert html
    return plain.get_content(), html.get_content()


def mail(*findings: Finding, language: str = "en", livemode: bool = True, **facts: Any) -> EmailMessage:
    report = audit_report(*findings, livemode=livemode)
    return compose(ReportView(report, language, **facts), SENDER, READERS)


def on_the_wire(edition: ReportView) -> bytes:
    ses = FakeSes()
    mailer(ses).send(edition)
    data: bytes = ses.sent[0]["Content"]["Raw"]["Data"]
    return data


def test_nothing_found_is_a_short_all_clear_without_an_attachment() -> None:
    message = mail()
    text, html = bodies(message)
    assert message["Subject"] == "Stripe audit: all clear"
    assert "No customer is served for free." in text
    assert "TO DO TODAY\nNothing." in text
    assert "7 subscriptions read, 0 paused; 0 findings." in text
    assert len(text.splitlines()) < 20
    assert BANDS["good"] in html
    assert list(message.iter_attachments()) == []


def test_both_bodies_lead_with_the_sum_and_say_what_to_do() -> None:
    text, html = bodies(mail(finding(resumes_at=datetime(2026, 12, 1, 12, 0, tzinfo=UTC))))
    assert text.index("1 customer is served for free: 12.50 EUR a month not collected.") < text.index("TO DO TODAY")
    assert html.index(">1 customer<") < html.index(">12.50 EUR<") < html.index("To do today</h2>")
    for body in (text, html):
        assert "Collection starts again by itself: check the date (1)" in body or "Ask the customer first" in body
        assert "22 November 2026, 07:00" in body
        assert "Times are in Europe/Paris." in body
    # The text part breaks lines.
    assert "paused since 2 March 2024 or earlier</td>" in html
    assert "collects again on 1 December 2026 at 13:00<br>" in html
    assert "paused since 2 March 2024 or earlier" in text


@pytest.mark.parametrize(("livemode", "path"), [(True, "/subscriptions/"), (False, "/test/subscriptions/")])
def test_links_lead_to_the_dashboard_of_the_right_mode(livemode: bool, path: str) -> None:  # noqa: FBT001 - a table's column
    for body in bodies(mail(finding(), livemode=livemode)):
        assert f"https://dashboard.stripe.com{path}sub_1" in body


@pytest.mark.parametrize(
    ("account", "livemode", "address"),
    [
        ("acct_1Shop", True, "https://dashboard.stripe.com/acct_1Shop/subscriptions/sub_1"),
        ("acct_1Shop", False, "https://dashboard.stripe.com/acct_1Shop/test/subscriptions/sub_1"),
        ("acct_1/../x", True, "https://dashboard.stripe.com/subscriptions/sub_1"),
        (None, True, "https://dashboard.stripe.com/subscriptions/sub_1"),
    ],
)
def test_the_button_opens_the_subscription_in_its_account(account: str | None, livemode: bool, address: str) -> None:  # noqa: FBT001 - a table's column
    for body in bodies(mail(finding(), livemode=livemode, account=account)):
        assert address in body


def test_a_sender_may_have_a_name() -> None:
    ses = FakeSes()
    Mailer(ses, "Zoé's Shop, Inc. <audit@example.com>".replace(",", ""), READERS).send(  # type: ignore[arg-type]  # the one call of the client that is used
        ReportView(audit_report(), "en")
    )
    (sent,) = ses.sent
    parsed = message_from_bytes(sent["Content"]["Raw"]["Data"], policy=SMTP)
    (sender,) = parsed["From"].addresses
    assert (sender.display_name, sender.addr_spec) == ("Zoé's Shop Inc.", "audit@example.com")
    assert sent["FromEmailAddress"].endswith("<audit@example.com>")
    assert sent["FromEmailAddress"].isascii()


def test_hostile_names_are_text_and_forge_no_line() -> None:
    hostile = CustomerName("cus_1", "<img src=x>\r\n- Nothing to do\u202e", "x@y.example\nBcc: z@y.example")
    for body in bodies(mail(replace(finding(), customers=(hostile,)))):
        assert "<img" not in body or body.count("<img src=x>\ufffd\ufffd- Nothing to do\ufffd") == body.count("<img")
        assert "\n- Nothing to do" not in body
        assert "\nBcc" not in body
    _, html = bodies(mail(replace(finding(), customers=(hostile,))))
    assert "<img" not in html


def test_hostile_ids_are_text_in_html_and_never_a_link() -> None:
    hostile = 'sub_"><script>alert(1)</script>'
    change = ListChange(date(2026, 11, 21), (hostile,), 1)
    found = finding(subscription_id=hostile, customer_id="<b>cus</b>")
    other = Finding(
        "odd", Severity.INFO, ("javascript:alert(1)", "evt_1/../x"), verbatim("<i>Means</i>"), verbatim("<u>Do</u>")
    )
    _, html = bodies(mail(found, other, change=change))
    assert "<script>" not in html
    assert not re.search("<b>cus|<[iu]>", html)
    assert "&lt;script&gt;" in html
    assert re.findall('<a href="([^"]*)"', html) == ["https://docs.stripe.com/billing/subscriptions/pause-payment"]


@pytest.mark.parametrize("mark", ["\n", "\r\n", "\u2028", "\u202e", "\x00", "\x1b[31m"])
def test_an_id_cannot_begin_a_line_or_turn_the_writing_around(mark: str) -> None:
    forged = f"sub_1{mark}Nothing to do."
    other = Finding("odd", Severity.INFO, (f"x{mark}y",), verbatim("Means."), verbatim("Do."))
    change = ListChange(date(2026, 11, 21), (forged,), 1)
    for body in bodies(mail(finding(subscription_id=forged, customer_id=f"cus{mark}z"), other, change=change)):
        for shown in ("sub_1\ufffd", "cus\ufffd", "x\ufffd"):
            assert shown in body
        assert f"sub_1{mark}" not in body


@pytest.mark.parametrize(
    ("phase", "days_left", "words"),
    [
        (
            Phase.BUTTON_AVAILABLE,
            126,
            "can still pause and resume with the old portal&#39;s button, until it is removed on",
        ),
        (Phase.RESUME_ONLY, 17, "can resume there for 17 more days"),
        (Phase.RESUME_ONLY, 1, "can resume there for 1 more day"),
        (Phase.STRANDED, 0, "can no longer resume by themselves"),
    ],
)
def test_the_mail_says_where_the_calendar_stands(phase: Phase, days_left: int, words: str) -> None:
    on_that_day = replace(audit_report(), phase=phase, days_left=days_left)
    _, html = bodies(compose(ReportView(on_that_day, "en"), SENDER, READERS))
    assert words in html


@pytest.mark.parametrize(
    ("day", "words"),
    [(27, "until it is removed on 29 March 2024"), (28, "is gone tomorrow (29 March 2024)")],
)
def test_on_the_day_before_the_button_goes_the_mail_says_so(day: int, words: str) -> None:
    last_days = replace(
        audit_report(), phase=Phase.BUTTON_AVAILABLE, days_left=126, as_of=datetime(2024, 3, day, 12, tzinfo=UTC)
    )
    _, html = bodies(compose(ReportView(last_days, "en"), SENDER, READERS))
    assert words in html


def test_an_unknown_amount_is_told_with_its_reason() -> None:
    nothing_known = finding(1, monthly=MonthlyAmount({}, (verbatim("a tiered price"),)))
    half_known = finding(2, monthly=MonthlyAmount({"eur": Decimal(100)}, (verbatim("a usage-based price"),)))
    for body in bodies(mail(nothing_known, half_known)):
        assert "amount unknown (a tiered price)" in body
        assert "at least 1.00 EUR a month (a usage-based price)" in body


def test_the_mail_shows_a_hundred_rows_and_the_attachment_has_all() -> None:
    message = mail(*(finding(number) for number in range(1234)))
    text, html = bodies(message)
    assert text.count("dashboard.stripe.com") == html.count("dashboard.stripe.com") == 100
    for body in (text, html):
        assert "and 1,134 more, not shown here." in body
        assert "The attached CSV file has every paused subscription." in body
    (attachment,) = message.iter_attachments()
    assert attachment.get_filename() == "paused-subscriptions-2026-11-22.csv"
    assert attachment.get_content_type() == "text/csv"
    assert len(attachment.get_content().splitlines()) == 1235


def test_a_list_too_long_for_a_mail_is_left_out_and_the_mail_says_so() -> None:
    message = compose(ReportView(audit_report(finding()), "en"), SENDER, READERS, largest_csv=10)
    assert list(message.iter_attachments()) == []
    for body in bodies(message):
        assert "too long for a mail" in body


def test_a_list_of_exactly_the_largest_size_is_attached() -> None:
    edition = ReportView(audit_report(finding(customer_id="cus_é")), "en")
    (attachment,) = compose(edition, SENDER, READERS).iter_attachments()
    size = len(attachment.get_payload(decode=True))
    assert list(compose(edition, SENDER, READERS, largest_csv=size).iter_attachments())
    assert not list(compose(edition, SENDER, READERS, largest_csv=size - 1).iter_attachments())


@pytest.mark.parametrize("language", ["en", "fr"])
def test_a_list_that_lies_elsewhere_is_linked_and_not_attached(language: str) -> None:
    link = ListLink("https://lists.example/1.csv?a=1&b=2", "s3://lists/1.csv")
    message = mail(finding(), language=language, list_link=link)
    text, html = bodies(message)
    assert list(message.iter_attachments()) == []
    assert f"\n{link.url}\n" in text
    assert 'href="https://lists.example/1.csv?a=1&amp;b=2"' in html
    assert link.stays_at in text
    assert link.stays_at in html


def test_the_largest_attachment_stays_under_the_ten_megabytes_of_readers_servers() -> None:
    message = EmailMessage(policy=SMTP)
    message.add_attachment(b"x" * LARGEST_CSV, "text", "csv")
    assert len(message.as_bytes()) < 9_000_000


@pytest.mark.parametrize("language", ["en", "fr"])
def test_what_goes_out_is_seven_bits_and_reads_as_it_was_written(language: str) -> None:
    nights = (PastNight(date(2026, 11, 21), complete=True, subscriptions_paused=0, customers_served_free=0, totals={}),)
    edition = ReportView(audit_report(finding()), language, nights, ListChange(date(2026, 11, 21), ("sub_1",), 1))
    raw = on_the_wire(edition)
    assert raw.isascii()
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    parsed = message_from_bytes(raw, policy=SMTP)
    assert parsed["Subject"] == subject(edition)
    assert parsed["Content-Language"] == language
    assert parsed["Auto-Submitted"] == "auto-generated"
    assert not parsed.defects
    sent = compose(edition, SENDER, READERS)
    assert [body.splitlines() for body in bodies(parsed)] == [body.splitlines() for body in bodies(sent)]
    (attachment,) = parsed.iter_attachments()
    begins = {"en": "id,Customer ID,Customer Email,", "fr": "\ufeffid;Customer ID;Customer Email;"}
    assert attachment.get_content().startswith(begins[language])


def test_an_encoded_subject_is_folded_into_words_that_every_reader_takes() -> None:
    many = finding(1, monthly=MonthlyAmount({"eur": Decimal(10**11), "jpy": Decimal(10**9)}))
    head = on_the_wire(ReportView(audit_report(many), "fr")).split(b"\r\n\r\n")[0]
    words = re.findall(rb"=\?utf-8\?[^ ]+\?=", head)
    assert len(words) > 1
    assert max(map(len, words)) <= 75


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
    mailer(ses).send(ReportView(audit_report(), "en"))
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
        mailer(FakeSes(error)).send(ReportView(audit_report(), "en"))
    assert "@" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


def test_a_subject_of_any_length_stands_on_the_line_of_its_name() -> None:
    for digits in range(3, 20):
        raw = on_the_wire(
            ReportView(audit_report(finding(1, monthly=MonthlyAmount({"eur": Decimal(10**digits)}))), "en")
        )
        assert re.search(rb"^Subject: [\d,.]+ EUR a month", raw, re.MULTILINE)


# ------------------------------------------------------------------ what a phone's list of mails shows of the audit
YESTERDAY = date(2026, 11, 21)
OTHER = Finding("webhook_endpoints", Severity.WARNING, ("we_1",), verbatim("Not subscribed."), verbatim("Fix it."))
CRASH = Finding("crashed_check", Severity.CRITICAL, (), verbatim("Crashed."), verbatim("Look."))


def plain(words: str) -> str:
    """Without the typography of French."""
    return words.replace("\u202f", " ").replace("\u00a0", " ").replace("\u2019", "'")


def of(*findings: Finding, language: str = "en", before: int | None = None, **facts: Any) -> str:
    nights = (
        ()
        if before is None
        else (
            PastNight(YESTERDAY, complete=True, subscriptions_paused=before, customers_served_free=before, totals={}),
        )
    )
    change = None if before is None else ListChange(YESTERDAY)
    return plain(subject(ReportView(audit_report(*findings, **facts), language, nights, change)))


@pytest.mark.parametrize(
    ("findings", "english", "french"),
    [
        ((), "Stripe audit: all clear", "Audit Stripe : rien à signaler"),
        (
            (finding(1, Severity.INFO, served_free=False),),
            "Stripe audit: all clear, 1 paused",
            "Audit Stripe : rien à signaler, 1 en pause",
        ),
        (
            (OTHER, finding(1, Severity.WARNING, served_free=False)),
            "Stripe audit: 2 warnings, nobody served for free",
            "Audit Stripe : 2 avertissements",
        ),
        (
            (Finding("webhook_endpoints", Severity.CRITICAL, ("we_1",), verbatim("Off."), verbatim("Fix it.")),),
            "Stripe audit: 1 critical finding, nobody served for free",
            "Audit Stripe : 1 constat critique",
        ),
        ((CRASH,), "Stripe audit incomplete, please check", "Audit Stripe incomplet, à vérifier"),
        (
            (CRASH, finding(1)),
            "Stripe audit incomplete: at least 1 customer served for free",
            "Audit Stripe incomplet : au moins 1 client servi gratuitement",
        ),
        (
            (finding(1), finding(2)),
            "25.00 EUR a month, 2 customers served for free",
            "25,00 EUR par mois, 2 clients servis gratuitement",
        ),
        (
            (finding(1), finding(2, monthly=MonthlyAmount({}, (verbatim("a tiered price"),)))),
            "at least 12.50 EUR a month, 2 customers served for free",
            "au moins 12,50 EUR par mois, 2 clients servis gratuitement",
        ),
        (
            (finding(1, monthly=MonthlyAmount({}, (verbatim("a tiered price"),))),),
            "1 customer served for free",
            "1 client servi gratuitement",
        ),
    ],
)
def test_the_subject_says_what_matters_first(findings: tuple[Finding, ...], english: str, french: str) -> None:
    assert of(*findings) == english
    assert of(*findings, language="fr") == french


def test_the_change_is_told_where_there_is_room() -> None:
    free = MonthlyAmount({}, (verbatim("a tiered price"),))
    assert of(finding(1, monthly=free), before=3) == "1 customer served for free (\u22122 since yesterday)"
    assert of(finding(1, monthly=free), before=0, language="fr") == "1 client servi gratuitement (+1 depuis hier)"
    assert of(finding(1), before=3) == "12.50 EUR a month, 1 customer served for free (\u22122)"
    assert (
        of(finding(1, monthly=MonthlyAmount({"jpy": Decimal(1)})), before=3)
        == "1 JPY a month, 1 customer served for free (\u22122 since yesterday)"
    )
    assert of(finding(1), before=1) == "12.50 EUR a month, 1 customer served for free"


def test_test_mode_is_told_first() -> None:
    assert of(finding(1), livemode=False) == "[test] 12.50 EUR a month, 1 customer served for free"


def test_an_earlier_night_that_was_incomplete_is_compared_with_nothing() -> None:
    half = PastNight(YESTERDAY, complete=False, subscriptions_paused=0, customers_served_free=0, totals={})
    edition = ReportView(audit_report(finding(1)), "en", (half,), ListChange(YESTERDAY, ("sub_1",), 1))
    assert subject(edition) == "12.50 EUR a month, 1 customer served for free"


def test_a_subject_names_the_sums_of_all_currencies_or_of_none() -> None:
    """4,500 yen are less than 171.17 euros: without exchange rates no sum can stand for the others."""
    amounts = {"eur": Decimal(17117), "jpy": Decimal(4500), "usd": Decimal(19800)}
    free = [
        finding(number, monthly=MonthlyAmount({code: amount})) for number, (code, amount) in enumerate(amounts.items())
    ]
    assert of(*free) == "171.17 EUR, 4,500 JPY and 198.00 USD a month, 3 customers"
    assert of(*free, livemode=False) == "[test] 171.17 EUR, 4,500 JPY and 198.00 USD a month"
    free += [finding(9, monthly=MonthlyAmount({"aud": Decimal(123456), "nok": Decimal(99900)}))]
    assert of(*free) == "4 customers served for free, in 5 currencies"
    assert of(*free, before=1) == "4 customers served for free (+3), in 5 currencies"
    assert of(*free, language="fr") == "4 clients servis gratuitement, en 5 devises"


@given(
    amounts=st.dictionaries(st.sampled_from(("aud", "eur", "jpy", "kwd", "usd")), st.integers(0, 10**13), max_size=5),
    number=st.integers(1, 3),
    before=st.none() | st.integers(0, 10**6),
    language=st.sampled_from(("en", "fr")),
    at_most=st.booleans(),
    certain=st.booleans(),
    live=st.booleans(),
    critical=st.integers(0, 99),
    complete=st.booleans(),
)
def test_no_subject_is_longer_than_a_phone_shows(  # noqa: PLR0913 - all that a subject depends on
    amounts: dict[str, int],
    number: int,
    before: int | None,
    language: str,
    *,
    at_most: bool,
    certain: bool,
    live: bool,
    critical: int,
    complete: bool,
) -> None:
    reasons = (verbatim("a discount"),) if at_most else ()
    monthly = MonthlyAmount({code: Decimal(amount) for code, amount in amounts.items()}, at_most=reasons)
    others = [replace(OTHER, severity=each, subjects=("we_1",) * critical) for each in Severity] if critical else []
    free = [finding(each, monthly=monthly, free_is_certain=certain) for each in range(number)] if amounts else []
    said = of(*free, *others, *([] if complete else [CRASH]), language=language, before=before, livemode=live)
    assert len(said) <= LONGEST
