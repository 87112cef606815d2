"""Which customers a report names, where the names come from, and what happens where they cannot be read."""

import json
from dataclasses import replace
from datetime import date
from typing import Any
from urllib.parse import unquote
from zoneinfo import ZoneInfo

import pytest

from shared.audit.check import AuditDay
from shared.audit.findings import CustomerName, Finding, ListChange, ListedPause, PausedFindings, Severity
from shared.audit.options import AuditOptions
from shared.audit.report import Report
from shared.audit.scan import run_audit
from shared.portal.pause import PAUSE_BUTTON_REMOVED_ON, PAUSE_CUTOFF_ON
from tests.audit_findings import finding
from tests.raw_subscription import VOID, raw_subscription
from tests.unit.test_audit_run import NOW, FakeAccount, sources_of

DAY = AuditDay.at(NOW, ZoneInfo("Europe/Paris"), button_removed_on=PAUSE_BUTTON_REMOVED_ON, cutoff_on=PAUSE_CUTOFF_ON)
CUSTOMER, COUPON = "data.customer", "data.discounts.source.coupon"


class People(FakeAccount):
    """An account whose customers can be expanded; `forbidden` are the expansions that the key may not ask for."""

    def __init__(self, subscriptions: list[Any], *, forbidden: frozenset[str] = frozenset()) -> None:
        super().__init__(subscriptions)
        self.forbidden = forbidden
        self.asked: list[frozenset[str]] = []

    def request(self, method: str, url: str, *more: Any) -> tuple[str, int, dict[str, str]]:  # type: ignore[override]
        wanted = frozenset(each for each in (CUSTOMER, COUPON) if each in unquote(url))
        if "/v1/subscriptions?" in url:
            self.asked.append(wanted)
        self.refused = {"/v1/subscriptions"} if wanted & self.forbidden else set()
        body, status, headers = super().request(method, url, *more)
        if status != 200 or CUSTOMER not in wanted:
            return body, status, headers
        page = json.loads(body)
        for each in page["data"]:
            number = each["customer"]["id"].removeprefix("cus_")
            each["customer"] |= {"name": f"Person {number}", "email": f"{number}@b.example"}
        return json.dumps(page), status, headers


def report_of(account: FakeAccount, *, names: bool = True) -> Report:
    sources = replace(sources_of(account, account.mirrored()), options=AuditOptions(audit_names_customers=names))
    return run_audit(sources, DAY)


def customers_of(report: Report, check: str) -> list[tuple[CustomerName, ...]]:
    return [each.customers for each in report.every_finding() if each.check == check]


def person(number: int) -> CustomerName:
    return CustomerName(f"cus_{number}", f"Person {number}", f"{number}@b.example")


def test_every_finding_about_a_customer_names_the_customer() -> None:
    hourly = raw_subscription(2, collection_method="send_invoice")
    report = report_of(People([raw_subscription(1, pause_collection=VOID), hourly]))
    assert customers_of(report, "paused_collection") == [(person(1),)]
    assert customers_of(report, "portal_limits") == [(person(2),)]
    assert customers_of(report, "missing_permission") == []


def test_of_many_the_first_few_are_named_in_the_order_of_their_ids() -> None:
    many = [raw_subscription(number, collection_method="send_invoice") for number in range(1, 9)]
    (limits,) = (each for each in report_of(People(many)).findings if each.check == "portal_limits")
    assert limits.subjects == tuple(f"sub_{number}" for number in range(1, 6))
    assert limits.customers == tuple(person(number) for number in range(1, 6))


def test_one_request_reads_a_page_and_its_customers() -> None:
    account = People([raw_subscription(number, pause_collection=VOID) for number in range(250)])
    report_of(account)
    assert account.asked == [{CUSTOMER, COUPON}] * 3
    assert not [url for url in account.requests if "/v1/customers" in url]


def test_without_the_setting_no_name_is_read() -> None:
    account = People([raw_subscription(1, pause_collection=VOID)])
    report = report_of(account, names=False)
    assert account.asked == [{COUPON}]
    assert customers_of(report, "paused_collection") == [(CustomerName("cus_1"),)]
    assert report.findings == ()


@pytest.mark.parametrize("forbidden", [CUSTOMER, COUPON])
def test_a_key_that_lacks_one_permission_keeps_what_the_other_allows(forbidden: str) -> None:
    (allowed,) = {CUSTOMER, COUPON} - {forbidden}
    account = People(
        [raw_subscription(number, pause_collection=VOID) for number in range(250)], forbidden=frozenset({forbidden})
    )
    report = report_of(account)
    assert report.subscriptions_read == 250
    assert account.asked[0] == {CUSTOMER, COUPON}
    # What is refused once is not asked for again.
    assert account.asked[-2:] == [{allowed}] * 2
    assert len(account.asked) <= 6
    named = customers_of(report, "paused_collection")[0][0].name
    assert bool(named) == (forbidden == COUPON)


def test_a_key_that_may_not_read_customers_shows_their_ids_and_says_so() -> None:
    account = People([raw_subscription(1, pause_collection=VOID)], forbidden=frozenset({CUSTOMER, COUPON}))
    report = report_of(account)
    assert customers_of(report, "paused_collection") == [(CustomerName("cus_1"),)]
    (missing,) = report.findings
    assert (missing.check, missing.severity) == ("missing_permission", Severity.INFO)
    assert "Customers" in missing.meaning.say("en")


@pytest.mark.parametrize(
    ("customer", "known"),
    [
        ({"id": "cus_1", "deleted": True}, CustomerName("cus_1")),
        ({"id": "cus_1", "name": None, "email": None}, CustomerName("cus_1")),
        ({"id": "cus_1", "name": "Zoé", "email": None}, CustomerName("cus_1", "Zoé")),
    ],
)
def test_a_customer_without_a_name_has_an_id(customer: dict[str, Any], known: CustomerName) -> None:
    report = report_of(FakeAccount([raw_subscription(1, pause_collection=VOID, customer=customer)]))
    assert customers_of(report, "paused_collection") == [(known,)]


def test_a_subscription_that_cannot_be_read_names_its_customer() -> None:
    account = People([raw_subscription(1, status=None)])
    assert customers_of(report_of(account), "unreadable_subscription") == [(person(1),)]


# ------------------------------------------------------------------ the comparison with the night before


def test_both_the_new_and_the_gone_are_named() -> None:
    def named(number: int) -> Finding:
        return replace(finding(number), customers=(person(number),))

    before = [ListedPause("sub_1", person(1)), ListedPause("sub_9", person(9))]
    change = PausedFindings.of([named(1), named(2)]).change_since(date(2026, 11, 21), before)
    assert change == ListChange(
        date(2026, 11, 21), ("sub_2",), 1, ("sub_9",), 1, {"sub_2": person(2), "sub_9": person(9)}
    )
