"""The checks of money that is not collected without a pause: what each finds, and what it leaves alone."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.audit.check import AccountFacts, AuditContext, InvoicesRead, UnpaidInvoice
from shared.audit.checks import leaks
from shared.audit.findings import CustomerName, Finding, Severity
from shared.audit.options import AuditOptions
from shared.portal.pause import PAUSE_CUTOFF_ON, Phase
from shared.stripe.subscription import read_subscription
from tests.raw_subscription import VOID, raw_subscription

NOW = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)
SECOND = int(NOW.timestamp())
DAY = 86_400
AUDIT = AuditContext(NOW, Phase.STRANDED, 0, PAUSE_CUTOFF_ON)


def found(check: Any, audit: AuditContext = AUDIT, **changes: Any) -> list[Finding]:
    raw = raw_subscription(1, created=SECOND - 400 * DAY, **changes)
    return list(check.of_subscription(read_subscription(raw), replace(audit, listed={raw["id"]: raw})))


def codes(check: Any, audit: AuditContext = AUDIT, **changes: Any) -> list[str]:
    return [finding.code for finding in found(check, audit, **changes)]


def discount(end: int | None = None, **coupon: Any) -> dict[str, Any]:
    terms = {"id": "co_1", "duration": "forever", "percent_off": 20, "valid": True, **coupon}
    return {"id": "di_1", "end": end, "source": {"type": "coupon", "coupon": terms}}


@pytest.mark.parametrize(
    ("discounts", "code"),
    [
        ([discount(percent_off=100)], "free_forever"),
        ([discount(percent_off=None, amount_off=1250, currency="eur")], "free_forever"),
        ([discount(), discount(percent_off=100)], "free_forever"),
        ([discount(percent_off=99.5)], None),
        ([discount(percent_off=None, amount_off=1249, currency="eur")], None),
        ([discount(percent_off=100, duration="repeating", end=SECOND + DAY)], None),
        ([discount(percent_off=100, duration="once")], None),
        ([discount(end=SECOND - 1, percent_off=100)], None),
        ([discount(valid=False, redeem_by=SECOND - DAY)], "expired_promotion"),
        ([discount(valid=False, max_redemptions=10, times_redeemed=10)], None),
        ([discount(valid=False, duration="repeating")], None),
        (["di_1"], None),
        ([], None),
    ],
)
def test_discounts_without_an_end(discounts: list[Any], code: str | None) -> None:
    assert codes(leaks.LASTING_DISCOUNT, discounts=discounts) == ([code] if code else [])


def with_item(**changes: Any) -> dict[str, Any]:
    (item,) = raw_subscription()["items"]["data"]
    price = {**item["price"], **{key: changes.pop(key) for key in list(changes) if key in item["price"]}}
    return {"data": [{**item, "price": price, **changes}]}


METERED = {"interval": "month", "interval_count": 1, "usage_type": "metered"}


@pytest.mark.parametrize(
    ("items", "code"),
    [
        (with_item(quantity=0), "quantity_of_zero"),
        (with_item(unit_amount_decimal="0"), "price_of_zero"),
        (with_item(unit_amount_decimal="0.000"), "price_of_zero"),
        (with_item(unit_amount_decimal="0", quantity=0), "price_of_zero"),
        ({"data": [*with_item(unit_amount_decimal="0")["data"], *with_item()["data"]]}, None),
        ({"data": [*with_item(quantity=0)["data"], *with_item()["data"]]}, "quantity_of_zero"),
        (with_item(unit_amount_decimal="0.001"), None),
        (with_item(unit_amount_decimal=None, billing_scheme="tiered"), None),
        (with_item(quantity=None, unit_amount_decimal="0", recurring=METERED), None),
        ({"data": []}, None),
        (with_item(), None),
    ],
)
def test_prices_and_quantities_of_zero(items: Any, code: str | None) -> None:
    assert codes(leaks.NOTHING_TO_PAY, items=items) == ([code] if code else [])


def trial(days: float, since: int = SECOND - 5 * DAY) -> dict[str, Any]:
    return {"status": "trialing", "trial_start": since, "trial_end": since + int(days * DAY)}


def test_a_trial_is_measured_from_its_beginning_to_its_end() -> None:
    assert codes(leaks.LONG_TRIAL, **trial(90)) == []
    (finding,) = found(leaks.LONG_TRIAL, **trial(90.01))
    assert finding.meaning.say("en") == "These trials are longer than 90 days."
    shorter = replace(AUDIT, options=AuditOptions(max_trial_days=30))
    assert codes(leaks.LONG_TRIAL, shorter, **trial(31)) == ["long_trial"]
    assert codes(leaks.LONG_TRIAL, replace(AUDIT, options=AuditOptions(max_trial_days=0)), **trial(1000)) == []
    assert codes(leaks.LONG_TRIAL, **trial(1000) | {"status": "active"}) == []


def test_a_trial_that_began_long_after_the_subscription_is_a_pause_under_another_name() -> None:
    assert codes(leaks.HIDDEN_PAUSE, **trial(30)) == ["trial_after_the_start"]
    created = SECOND - 400 * DAY
    assert codes(leaks.HIDDEN_PAUSE, **trial(800, since=created)) == []
    assert codes(leaks.HIDDEN_PAUSE, **trial(800, since=created + DAY)) == []
    assert codes(leaks.HIDDEN_PAUSE, **trial(30) | {"status": "active"}) == []


@pytest.mark.parametrize(
    ("pause", "resume", "expected"),
    [
        ("scheduled", "scheduled", ["pause_planned"]),
        ("scheduled", None, ["pause_planned"]),
        ("succeeded", "scheduled", []),
        ("succeeded", "pending", []),
        ("succeeded", "succeeded", []),
        ("error", "scheduled", ["planned_pause_failed"]),
        ("succeeded", "error", ["planned_resume_failed"]),
        ("succeeded", "requires_action", ["planned_resume_failed"]),
    ],
)
def test_what_a_schedule_plans_and_what_failed(pause: str, resume: str | None, expected: list[str]) -> None:
    plan = {"pause": {"status": {"type": pause}}, "resume": resume and {"status": {"type": resume}}}
    assert codes(leaks.HIDDEN_PAUSE, schedule={"id": "sub_sched_1", "pause_schedules": [plan]}) == expected


def test_a_schedule_that_was_not_expanded_says_nothing() -> None:
    assert codes(leaks.HIDDEN_PAUSE, schedule="sub_sched_1") == []
    assert codes(leaks.HIDDEN_PAUSE, schedule={"id": "sub_sched_1", "pause_schedules": None}) == []


def customer(**changes: Any) -> dict[str, Any]:
    return {"id": "cus_1", "object": "customer", "invoice_settings": {"default_payment_method": None}, **changes}


def ending(days: float, **changes: Any) -> dict[str, Any]:
    items = with_item(current_period_end=SECOND + int(days * DAY))
    return {"customer": customer(), "items": items, "default_payment_method": None, **changes}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (ending(7), True),
        (ending(7, customer="cus_1"), False),  # not expanded: nothing is known of it
        (ending(7.01), False),
        (ending(-1), False),
        (ending(7, default_payment_method="pm_1"), False),
        (ending(7, default_source="card_1"), False),
        (ending(7, customer=customer(default_source="card_1")), False),
        (ending(7, customer=customer(invoice_settings={"default_payment_method": "pm_1"})), False),
        (ending(7, collection_method="send_invoice"), False),
        (ending(7, cancel_at_period_end=True), False),
        (ending(7, cancel_at=SECOND + 7 * DAY), False),
        (ending(7, cancel_at=SECOND + 8 * DAY), True),
        (ending(7, pause_collection=VOID), False),
        (ending(7, status="past_due"), False),
        (ending(7, discounts=[discount(percent_off=100)]), False),
        (ending(30, status="trialing", trial_end=SECOND + 5 * DAY), True),
    ],
)
def test_a_charge_without_a_payment_method(changes: dict[str, Any], expected: bool) -> None:  # noqa: FBT001 - a column
    assert codes(leaks.NO_PAYMENT_METHOD, **changes) == (["no_payment_method"] if expected else [])


def test_payment_methods_are_read_one_by_one_only_where_the_team_wants_that() -> None:
    asked: list[str] = []
    objects: dict[str, Any] = {
        "/v1/payment_methods/pm_old": {"type": "card", "card": {"exp_month": 10, "exp_year": 2026}},
        "/v1/payment_methods/pm_new": {"type": "card", "card": {"exp_month": 11, "exp_year": 2026}},
        "/v1/payment_methods/pm_sepa": {"type": "sepa_debit", "sepa_debit": {}},
        "/v1/customers/cus_without": customer(),
        "/v1/customers/cus_old": customer(invoice_settings={"default_payment_method": "pm_old"}),
    }

    def look_up(path: str) -> Any:
        asked.append(path)
        return objects.get(path)

    reading = replace(AUDIT, look_up=look_up)
    for method, expected in (("pm_old", ["card_expires"]), ("pm_new", []), ("pm_sepa", []), ("pm_refused", [])):
        assert codes(leaks.NO_PAYMENT_METHOD, reading, **ending(3, default_payment_method=method)) == expected
    assert codes(leaks.NO_PAYMENT_METHOD, reading, **ending(3, customer="cus_without")) == ["no_payment_method"]
    assert codes(leaks.NO_PAYMENT_METHOD, reading, **ending(3, customer="cus_old")) == ["card_expires"]
    assert codes(leaks.NO_PAYMENT_METHOD, reading, **ending(3, customer="cus_refused")) == []
    # A card that is good in the month of the charge is good.
    assert codes(leaks.NO_PAYMENT_METHOD, reading, **ending(9, default_payment_method="pm_new")) == []
    asked.clear()
    assert codes(leaks.NO_PAYMENT_METHOD, reading, **ending(30, default_payment_method="pm_old")) == []
    assert asked == []


LEAKING: list[tuple[Any, dict[str, Any]]] = [
    (leaks.LASTING_DISCOUNT, {"discounts": [discount(percent_off=100)]}),
    (leaks.NOTHING_TO_PAY, {"items": with_item(quantity=0)}),
    (leaks.LONG_TRIAL, trial(100)),
    (leaks.HIDDEN_PAUSE, trial(30)),
    (leaks.NO_PAYMENT_METHOD, ending(3)),
]


@pytest.mark.parametrize(("check", "changes"), LEAKING)
def test_what_the_team_accepts_is_left_out_until_its_day(check: Any, changes: dict[str, Any]) -> None:
    assert len(found(check, **changes)) == 1
    assert found(check, **changes, metadata={"portal_audit_ok": "yes"}) == []
    assert found(check, **changes, metadata={"portal_audit_ok": "2026-11-22"}) == []
    assert len(found(check, **changes, metadata={"portal_audit_ok": "2026-11-21"})) == 1


@pytest.mark.parametrize(("check", "changes"), LEAKING)
def test_what_is_paused_or_over_does_not_leak_here(check: Any, changes: dict[str, Any]) -> None:
    assert found(check, **changes | {"status": "canceled"}) == []
    if check is not leaks.HIDDEN_PAUSE:
        assert found(check, **changes | {"pause_collection": VOID}) == []


@pytest.mark.parametrize(("check", "changes"), LEAKING)
def test_a_subscription_of_which_the_list_shows_nothing_more_is_no_crash(check: Any, changes: dict[str, Any]) -> None:
    raw = raw_subscription(1, **changes)
    findings = list(check.of_subscription(read_subscription(raw), AUDIT))
    assert [finding.subjects for finding in findings] in ([], [("sub_1",)])


def invoice(number: int, **changes: Any) -> UnpaidInvoice:
    facts: dict[str, Any] = {
        "id": f"in_{number}",
        "is_automatic": True,
        "subscription_id": f"sub_{number}",
        "status": "past_due",
        "metadata": {},
        "amount_remaining": 1250,
        "currency": "eur",
        "customer": CustomerName(f"cus_{number}", f"Customer {number}"),
    }
    return UnpaidInvoice(**facts | changes)


def account(*invoices: UnpaidInvoice, whole: bool = True) -> AccountFacts:
    return AccountFacts(1, None, None, None, unpaid_invoices=InvoicesRead(invoices, whole))


def test_past_due_and_unpaid_are_counted_by_subscription_with_what_they_owe() -> None:
    facts = account(
        *(invoice(number) for number in range(7, 0, -1)),
        invoice(1, id="in_older"),
        invoice(20, status="unpaid", currency="usd"),
        invoice(21, status="active"),
        invoice(22, metadata={"portal_audit_ok": "yes"}),
        invoice(23, is_automatic=False),
    )
    past_due, unpaid = leaks.find_long_past_due(facts, AUDIT)
    assert past_due.meaning.say("en") == "7 subscriptions are past_due, and have owed 100.00 EUR for more than 30 days."
    # The oldest first.
    assert [each.name for each in past_due.customers] == [f"Customer {number}" for number in range(1, 6)]
    assert (past_due.subjects, past_due.more) == (("sub_1", "sub_2", "sub_3", "sub_4", "sub_5"), 2)
    assert unpaid.meaning.say("en") == "1 subscription is unpaid, and has owed 12.50 USD for more than 30 days."
    assert (unpaid.subjects, unpaid.more, unpaid.severity) == (("sub_20",), 0, Severity.WARNING)


def test_overdue_invoices_are_those_that_the_customer_pays_whatever_the_status() -> None:
    facts = account(
        *(invoice(number, is_automatic=False, status="active") for number in range(6, 0, -1)),
        invoice(8),
        invoice(9, is_automatic=False, metadata={"portal_audit_ok": "yes"}),
        whole=False,
    )
    (finding,) = leaks.find_overdue_invoices(facts, AUDIT)
    assert finding.meaning.say("en") == (
        "6 invoices of subscriptions were due more than 30 days ago, and are not paid: 75.00 EUR. "
        "There may be more: only the newest invoices were read."
    )
    assert [each.id for each in finding.customers] == ["cus_1", "cus_2", "cus_3", "cus_4", "cus_5"]
    assert (finding.subjects, finding.more) == (("in_1", "in_2", "in_3", "in_4", "in_5"), 1)


@pytest.mark.parametrize("facts", [AccountFacts(1, None, None, None), account()])
def test_without_invoices_nothing_is_owed(facts: AccountFacts) -> None:
    assert list(leaks.find_long_past_due(facts, AUDIT)) == []
    assert list(leaks.find_overdue_invoices(facts, AUDIT)) == []
