import csv
import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from shared.audit.findings import Finding, PausedSubscription, Severity
from shared.audit.rendering.as_csv import write_csv
from shared.audit.rendering.as_json import to_json
from shared.audit.rendering.summary import headline
from shared.audit.report import Report
from shared.i18n import verbatim
from shared.stripe.money import MonthlyAmount
from shared.stripe.subscription import SubscriptionItem
from tests.audit_findings import PAUSED as A_PAUSE
from tests.fakes import audit_report

PAUSED = replace(
    A_PAUSE,
    paused_since=datetime(2024, 3, 1, 9, 30, tzinfo=UTC),
    monthly=MonthlyAmount({"eur": Decimal(123450)}),
)


def finding(paused: PausedSubscription | None = PAUSED, **changes: Any) -> Finding:
    subjects = (paused.subscription_id,) if paused else ("bpc_1",)
    return replace(
        Finding("paused_collection", Severity.CRITICAL, subjects, verbatim("Meaning."), verbatim("Action."), paused),
        **changes,
    )


def to_csv(report: Report) -> str:
    file = StringIO(newline="")
    write_csv(report.paused, file)
    return file.getvalue()


def paused(number: int, **changes: Any) -> PausedSubscription:
    return replace(PAUSED, subscription_id=f"sub_{number}", customer_id=f"cus_{number}", **changes)


@pytest.mark.parametrize(
    ("findings", "sentence"),
    [
        ([], "No customer is served for free."),
        ([finding()], "1 customer is served for free: 1,234.50 EUR a month not collected."),
        (
            [finding(), finding(paused(2, monthly=MonthlyAmount({"jpy": Decimal(500)})))],
            "2 customers are served for free: 1,234.50 EUR and 500 JPY a month not collected.",
        ),
        (
            [finding(), finding(paused(2, monthly=MonthlyAmount({}, (verbatim("a tiered price"),))))],
            (
                "2 customers are served for free: at least 1,234.50 EUR a month not collected "
                "(the amount of 1 subscription is unknown)."
            ),
        ),
        (
            [finding(paused(2, monthly=MonthlyAmount({}, (verbatim("a tiered price"),))))],
            "1 customer is served for free; the amount not collected per month is unknown.",
        ),
        (
            [finding(), finding(paused(2, free_is_certain=False))],
            "Up to 2 customers are served for free: up to 2,469.00 EUR a month not collected.",
        ),
        (
            [finding(paused(2, monthly=MonthlyAmount({"eur": Decimal(100)}, at_most=(verbatim("a discount"),))))],
            "1 customer is served for free: up to 1.00 EUR a month not collected.",
        ),
        (
            [finding(paused(2, monthly=MonthlyAmount({"eur": Decimal(100)}, (verbatim("a"),), (verbatim("b"),))))],
            (
                "1 customer is served for free: about 1.00 EUR a month not collected "
                "(the amount of 1 subscription is unknown)."
            ),
        ),
        (
            [finding(None, check="crashed_check")],
            "No customer is served for free. The audit is incomplete: see its critical findings.",
        ),
    ],
)
def test_the_headline_is_never_more_certain_than_the_report(findings: list[Finding], sentence: str) -> None:
    assert headline(audit_report(*findings)).say("en") == sentence


def test_a_subscription_with_two_findings_is_counted_once() -> None:
    twice = audit_report(finding(), finding(check="another"))
    assert twice.totals == {"eur": Decimal(123450)}
    assert twice.customers_served_free == 1


def test_the_json_has_the_documented_shape() -> None:
    resumes_at = datetime(2026, 12, 1, tzinfo=ZoneInfo("Europe/Paris"))
    answer = json.loads(
        to_json(audit_report(finding(replace(PAUSED, resumes_at=resumes_at)), finding(None, check="old")))
    )
    second, first = answer.pop("findings")
    assert answer == {
        "version": 1,
        "language": "en",
        "as_of": "2026-11-22T06:00:00+00:00",
        "timezone": "Europe/Paris",
        "livemode": True,
        "phase": "stranded",
        "days_left": 0,
        "complete": True,
        "headline": "1 customer is served for free: 1,234.50 EUR a month not collected.",
        "subscriptions_read": 7,
        "subscriptions_paused": 1,
        "customers_served_free": 1,
        "not_collected_monthly": {"eur": "1234.50"},
        "unknown_amounts": 0,
        "uncertain_subscriptions": 0,
        "not_collected_is_at_most": False,
        "missed": {
            "voided": {"amounts": {}, "at_least": True, "at_most": False},
            "recoverable": {"amounts": {}, "at_least": False, "at_most": False},
        },
    }
    assert first == {
        "check": "paused_collection",
        "code": "paused_collection",
        "title": "Collection paused",
        "severity": "critical",
        "subjects": ["sub_1"],
        "more_subjects": 0,
        "parameters": {"words": "Meaning."},
        "meaning": "Meaning.",
        "action": "Action.",
        "paused": {
            "subscription_id": "sub_1",
            "customer_id": "cus_1",
            "status": "active",
            "kind": "collection",
            "behavior": "void",
            "resumes_at": "2026-11-30T23:00:00+00:00",
            "paused_since": "2024-03-01T09:30:00+00:00",
            "paused_since_is_exact": False,
            "origin": "button",
            "cause": None,
            "served_free": True,
            "monthly": {"eur": "1234.50"},
            "monthly_unknown": [],
            "monthly_at_most": [],
            "served_free_is_certain": True,
            "free_since": None,
            "free_since_is_exact": False,
            "paid_until": None,
            "ends_at": None,
            "missed": None,
            "acknowledged": None,
        },
    }
    assert second["paused"] is None


def test_the_csv_has_one_row_per_paused_subscription_and_a_number_to_add_up() -> None:
    real = paused(2, kind="subscription", cause="system", status="paused", served_free=False, paused_since=None)
    rows = list(csv.DictReader(StringIO(to_csv(audit_report(finding(), finding(None), finding(real))))))
    assert [row["id"] for row in rows] == ["sub_1", "sub_2"]
    assert rows[0]["Customer ID"] == "cus_1"
    assert rows[0]["Status"] == "active"
    assert rows[0]["Currency"] == "eur"
    assert float(rows[0]["Monthly Amount"]) == 1234.5
    assert rows[0]["Served Free"] == "true"
    assert rows[0]["Paused Since (UTC)"] == "2024-03-01 09:30"
    assert rows[1]["Cause"] == "system"
    assert rows[1]["Paused Since (UTC)"] == ""


@pytest.mark.parametrize(
    "cell", ["=HYPERLINK(1)", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1", "\uff0b1"]
)
def test_no_cell_of_the_csv_is_a_formula(cell: str) -> None:
    hostile = replace(PAUSED, customer_id=cell, behavior=cell, cause=cell)
    (row,) = csv.DictReader(StringIO(to_csv(audit_report(finding(hostile, meaning=verbatim(cell)))), newline=""))
    assert [row[name] for name in ("Customer ID", "Collection Behavior", "Cause", "Meaning")] == [f"'{cell}"] * 4


DASHBOARD_COLUMNS = (
    "id",
    "Customer ID",
    "Plan",
    "Product",
    "Quantity",
    "Currency",
    "Interval",
    "Amount",
    "Status",
    "Created (UTC)",
    "Current Period End (UTC)",
    "Trial End (UTC)",
    "Canceled At (UTC)",
)
ITEM = SubscriptionItem("si_1", "price_1", "prod_1", 3, "1250", "eur", "month")


def only_row(facts: PausedSubscription) -> dict[str, str]:
    (row,) = csv.DictReader(StringIO(to_csv(audit_report(finding(facts))), newline=""))
    return row


def test_the_csv_begins_with_the_columns_of_the_dashboards_export() -> None:
    at = datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC)
    row = only_row(
        replace(PAUSED, created=at, current_period_end=at, trial_end=None, canceled_at=at, items=(ITEM,)),
    )
    assert tuple(row)[: len(DASHBOARD_COLUMNS)] == DASHBOARD_COLUMNS
    assert [row[name] for name in DASHBOARD_COLUMNS] == [
        *("sub_1", "cus_1", "price_1", "prod_1", "3", "eur", "month", "12.50", "active"),
        *("2024-02-29 23:59", "2024-02-29 23:59", "", "2024-02-29 23:59"),
    ]


def test_several_items_stand_side_by_side_in_their_order() -> None:
    other = replace(ITEM, price_id="price_2", quantity=None, unit_amount_decimal="0.05", interval_count=3)
    row = only_row(replace(PAUSED, items=(ITEM, other), monthly=MonthlyAmount({}, (verbatim("a usage-based price"),))))
    assert (row["Plan"], row["Quantity"], row["Interval"]) == ("price_1 + price_2", "3 + ", "month + 3 month")
    assert row["Amount"] == "12.50 + 0.0005"
    assert row["Currency"] == "eur"


def test_what_a_subscription_does_not_tell_is_an_empty_cell() -> None:
    row = only_row(replace(PAUSED, items=(SubscriptionItem("si_1", unit_amount_decimal="nonsense", currency="jpy"),)))
    assert [row[name] for name in ("Plan", "Product", "Quantity", "Interval", "Amount")] == [""] * 5


@pytest.mark.parametrize(
    ("amount", "currency", "written"),
    [
        ("500", "jpy", "500"),
        ("12345", "kwd", "12.345"),
        ("0.5", "usd", "0.005"),
        ("100", "usd", "1.00"),
        ("0", "usd", "0.00"),
    ],
)
def test_a_price_is_written_exactly_in_the_currencys_main_unit(amount: str, currency: str, written: str) -> None:
    item = replace(ITEM, unit_amount_decimal=amount, currency=currency)
    assert only_row(replace(PAUSED, items=(item,)))["Amount"] == written


def test_a_price_of_stripe_that_is_a_formula_is_text() -> None:
    row = only_row(replace(PAUSED, items=(replace(ITEM, price_id="=1", product_id="@x", interval="+month"),)))
    assert (row["Plan"], row["Product"], row["Interval"]) == ("'=1", "'@x", "'+month")


def test_commas_and_quotes_stay_in_their_cells() -> None:
    (row,) = csv.DictReader(StringIO(to_csv(audit_report(finding(replace(PAUSED, customer_id='a,"b'))))))
    assert row["Customer ID"] == 'a,"b'
