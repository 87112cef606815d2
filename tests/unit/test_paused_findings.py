"""What the report holds of every paused subscription."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from shared.audit.findings import Finding, PausedFindings, PausedSubscription, Severity
from shared.i18n import _, verbatim
from shared.stripe.money import MonthlyAmount


def finding(  # noqa: PLR0913 - each a fact that a test is about
    number: int,
    severity: Severity = Severity.WARNING,
    *,
    cents: str = "100",
    currency: str = "eur",
    served_free: bool = True,
    customer: str | None = None,
) -> Finding:
    facts = PausedSubscription(
        f"sub_{number}",
        customer or f"cus_{number}",
        "active",
        "collection",
        "void",
        None,
        datetime(2024, 3, 1, tzinfo=UTC),
        paused_since_is_exact=False,
        cause=None,
        monthly=MonthlyAmount({currency: Decimal(cents)}),
        served_free=served_free,
    )
    return Finding("paused_collection", severity, (facts.subscription_id,), verbatim("Means."), _("Nothing."), facts)


def subscriptions(paused: PausedFindings) -> list[str]:
    return [each.subjects[0] for each in paused]


def test_what_goes_in_comes_out_as_it_was() -> None:
    whole = finding(1, cents="1250.55")
    assert list(PausedFindings.of([whole])) == [whole]


def test_the_worst_comes_first_then_the_served_for_free_then_the_money() -> None:
    paused = PausedFindings.of(
        [
            finding(1, Severity.INFO, cents="999999"),
            finding(2, cents="100"),
            finding(3, cents="20000"),
            finding(4, Severity.CRITICAL, cents="1"),
            finding(5, cents="999999", served_free=False),
            finding(6, cents="500", currency="jpy"),
        ]
    )
    assert subscriptions(paused) == ["sub_4", "sub_6", "sub_3", "sub_2", "sub_5", "sub_1"]
    assert subscriptions(paused) == subscriptions(paused)
    assert paused.severities() == (Severity.CRITICAL, Severity.WARNING, Severity.INFO)


def test_a_subscription_counts_once_and_a_customer_once() -> None:
    paused = PausedFindings.of([finding(1, customer="cus_1"), finding(1), finding(2, customer="cus_1", currency="usd")])
    assert (len(paused), paused.served_free, paused.customers_served_free) == (2, 2, 1)
    assert paused.totals == {"eur": Decimal(100), "usd": Decimal(100)}


def test_only_those_served_for_free_are_in_the_sums() -> None:
    paused = PausedFindings.of([finding(1, served_free=False), finding(2)])
    assert (len(paused), paused.served_free, paused.customers_served_free) == (2, 1, 1)
    assert paused.totals == {"eur": Decimal(100)}


def test_it_tells_how_many_say_the_same() -> None:
    paused = PausedFindings.of([finding(1), finding(2), finding(3, Severity.INFO)])
    assert paused.kinds() == ((finding(1), 2), (finding(3, Severity.INFO), 1))


def test_nothing_paused_is_nothing() -> None:
    paused = PausedFindings()
    assert (len(paused), list(paused), paused.totals, paused.unknown_amounts, paused.severities()) == (0, [], {}, 0, ())


def test_a_finding_about_anything_else_is_refused() -> None:
    with pytest.raises(ValueError, match="paused subscription"):
        PausedFindings().add(Finding("old", Severity.INFO, (), verbatim("a"), verbatim("b")))
