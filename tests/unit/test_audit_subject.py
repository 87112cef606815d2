"""What a phone's list of mails shows of the audit."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from functions.nightly_audit.mail import subject
from shared.audit.findings import Finding, ListChange, Severity
from shared.audit.report import PastNight, ReportView
from shared.i18n import verbatim
from shared.stripe.money import MonthlyAmount
from tests.audit_findings import finding
from tests.fakes import audit_report

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
            "Audit Stripe : 2 avertissements, aucun client servi gratuitement",
        ),
        (
            (Finding("webhook_endpoints", Severity.CRITICAL, ("we_1",), verbatim("Off."), verbatim("Fix it.")),),
            "Stripe audit: 1 critical finding, nobody served for free",
            "Audit Stripe : 1 constat critique, aucun client servi gratuitement",
        ),
        ((CRASH,), "Stripe audit incomplete, please check", "Audit Stripe incomplet, à vérifier"),
        (
            (CRASH, finding(1)),
            "Stripe audit incomplete: at least 1 customer served for free",
            "Audit Stripe incomplet : au moins 1 client servi gratuitement",
        ),
        (
            (finding(1), finding(2)),
            "2 customers served for free, 25.00 EUR a month",
            "2 clients servis gratuitement, 25,00 EUR par mois",
        ),
        (
            (finding(1), finding(2, monthly=MonthlyAmount({}, (verbatim("a tiered price"),)))),
            "2 customers served for free, at least 12.50 EUR a month",
            "2 clients servis gratuitement, au moins 12,50 EUR par mois",
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
    assert of(finding(1), finding(2), before=0) == "2 customers (+2) served for free, 25.00 EUR a month"
    assert of(finding(1), before=1) == "1 customer served for free, 12.50 EUR a month"


def test_test_mode_is_told_first() -> None:
    assert of(finding(1), livemode=False) == "[test] 1 customer served for free, 12.50 EUR a month"


def test_an_earlier_night_that_was_incomplete_is_compared_with_nothing() -> None:
    half = PastNight(YESTERDAY, complete=False, subscriptions_paused=0, customers_served_free=0, totals={})
    edition = ReportView(audit_report(finding(1)), "en", (half,), ListChange(YESTERDAY, ("sub_1",), 1))
    assert subject(edition) == "1 customer served for free, 12.50 EUR a month"


def test_many_currencies_make_the_subject_no_longer_than_it_must_be() -> None:
    amounts = {code: Decimal(123456789) for code in ("aud", "chf", "eur", "gbp", "usd")}
    assert (
        of(finding(1, monthly=MonthlyAmount(amounts)))
        == "1 customer served for free, 1,234,567.89 AUD and 4 other currencies a month"
    )
