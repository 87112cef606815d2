import csv
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from shared.audit.findings import CustomerName, Finding, PausedSubscription, Severity
from shared.audit.rendering.as_csv import read_csv, write_csv
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


def to_csv(report: Report, language: str = "en") -> str:
    file = StringIO(newline="")
    write_csv(report.paused, file, language)
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
    del answer["event_lags"]  # tests/unit/test_mirror_lag.py
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
        "customers": [],
        "notes": [],
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
            "set_here": None,
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
    cells = [row[name] for name in ("Customer ID", "Collection Behavior", "Cause", "Meaning")]
    assert all(each.startswith("'") and each.replace("'", "") == cell for each in cells)


DASHBOARD_COLUMNS = (
    "id",
    "Customer ID",
    "Customer Email",
    "Customer Name",
    "Plan",
    "Product",
    "Quantity",
    "Currency",
    "Interval",
    "Amount",
    "Status",
    "Created (UTC)",
    "Start Date (UTC)",
    "Current Period Start (UTC)",
    "Current Period End (UTC)",
    "Trial Start (UTC)",
    "Trial End (UTC)",
    "Coupon",
    "Canceled At (UTC)",
    "Ended At (UTC)",
    "Cancellation Reason",
)
ITEM = SubscriptionItem("si_1", "price_1", "prod_1", 3, "1250", "eur", "month")


def only_row(facts: PausedSubscription, *customers: CustomerName) -> dict[str, str]:
    (row,) = csv.DictReader(StringIO(to_csv(audit_report(finding(facts, customers=customers))), newline=""))
    return row


def test_the_csv_begins_with_the_columns_of_the_dashboards_export() -> None:
    at = datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC)
    row = only_row(
        replace(
            PAUSED,
            created=at,
            started=at,
            current_period_start=at,
            current_period_end=at,
            trial_end=None,
            coupons=("HALF", "LOYAL"),
            canceled_at=at,
            cancellation_reason="cancellation_requested",
            items=(ITEM,),
        ),
        CustomerName("cus_1", "Zoé Martin", "zoe@customers.example"),
    )
    assert tuple(row)[: len(DASHBOARD_COLUMNS)] == DASHBOARD_COLUMNS
    assert [row[name] for name in DASHBOARD_COLUMNS] == [
        *("sub_1", "cus_1", "zoe@customers.example", "Zoé Martin"),
        *("price_1", "prod_1", "3", "eur", "month", "12.50", "active"),
        *("2024-02-29 23:59", "2024-02-29 23:59", "2024-02-29 23:59", "2024-02-29 23:59", "", "", "HALF + LOYAL"),
        *("2024-02-29 23:59", "", "cancellation_requested"),
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


# ------------------------------------------------------------------ people
ZOE = CustomerName("cus_1", 'Zoé "Z" Martin; fils', "zoe@customers.example")


def test_the_json_names_the_customers_of_every_finding() -> None:
    limits = finding(None, check="portal_limits", subjects=("sub_8",), customers=(CustomerName("cus_8"),))
    answer = json.loads(to_json(audit_report(finding(customers=(ZOE,)), limits)))
    assert [each["customers"] for each in answer["findings"]] == [
        [{"id": "cus_8", "name": None, "email": None}],
        [{"id": "cus_1", "name": 'Zoé "Z" Martin; fils', "email": "zoe@customers.example"}],
    ]


def test_a_french_list_has_the_numbers_times_and_semicolons_of_french_spreadsheets() -> None:
    written = to_csv(audit_report(finding(replace(PAUSED, items=(ITEM,)), customers=(ZOE,))), "fr")
    assert written.startswith("\ufeffid;Customer ID;Customer Email;")
    (row,) = csv.DictReader(StringIO(written.removeprefix("\ufeff"), newline=""), delimiter=";")
    assert row["Customer Name"] == ZOE.name
    assert (row["Amount"], row["Monthly Amount"]) == ("12,50", "1234,50")
    assert row["Paused Since (UTC)"] == "01/03/2024 09:30"


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize("name", [ZOE.name, "=1+1", "", "-Anna", "a,b;c\r\nd"])
def test_a_list_of_any_language_can_be_read_again(language: str, name: str) -> None:
    report = audit_report(finding(customers=(CustomerName("cus_1", name, "a@b.example"),)))
    (row,) = read_csv(StringIO(to_csv(report, language), newline=""))
    assert (row.subscription_id, row.customer) == ("sub_1", CustomerName("cus_1", name, "a@b.example"))


@pytest.mark.parametrize("file", ["", "nothing", "<html>", "ids;names\r\n1;2"])
def test_another_file_is_not_taken_for_a_list(file: str) -> None:
    with pytest.raises(ValueError, match="no column of ids"):
        list(read_csv(StringIO(file, newline="")))


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize("formula", ["=1+1", "+1", "-1", "@SUM(A1)"])
@pytest.mark.parametrize("before", ["", "x;", "x,", 'x;"', "x\t", "x\n", "x;,"])
def test_a_name_is_no_formula_whatever_a_spreadsheet_takes_for_the_delimiter(
    language: str, formula: str, before: str
) -> None:
    """A list with commas, opened where semicolons are expected, falls apart at the semicolons of a name."""
    hostile = CustomerName("cus_1", before + formula, f"{before}{formula}@b.example")
    written = to_csv(audit_report(finding(customers=(hostile,))), language)
    for delimiter in ",;\t":
        for row in csv.reader(StringIO(written, newline=""), delimiter=delimiter):
            assert not [cell for cell in row if cell.startswith(("=", "+", "-", "@"))]
    # A reader that knows no quotes.
    assert not [cell for cell in re.split(r"[,;\t\r\n]\"*", written) if cell.startswith(("=", "+", "-", "@"))]
