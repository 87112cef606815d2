"""What the mail says about the company's own list of who is served."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from shared.access_comparison import DifferenceKind
from shared.audit.check import AccessListFacts, AccountFacts, AuditContext, ListedWrongly
from shared.audit.checks.access_list import find_list_differences
from shared.audit.findings import CustomerName, Finding, Severity
from shared.portal.pause import PAUSE_CUTOFF_ON, Phase

NOW = datetime(2026, 4, 10, 6, tzinfo=UTC)
AUDIT = AuditContext(NOW, Phase.STRANDED, 0, PAUSE_CUTOFF_ON)
FRESH = AccessListFacts(written_at=NOW - timedelta(hours=3), lines=9, customers=9)


def found(facts: AccessListFacts | None) -> list[Finding]:
    return list(find_list_differences(AccountFacts(0, None, None, None, access_list=facts), AUDIT))


def test_no_list_and_a_right_list_are_no_finding() -> None:
    assert found(None) == []
    assert found(FRESH) == []


def test_who_is_served_wrongly_is_critical_with_the_money_and_the_lists_time() -> None:
    customers = (CustomerName("cus_1"), CustomerName("", "", "a@example.com"))
    wrong = ListedWrongly(30, customers, {"eur": Decimal(4900), "usd": Decimal(0)})
    (finding,) = found(replace(FRESH, wrong={DifferenceKind.SERVED_WITHOUT_ACCESS: wrong}))
    assert (finding.severity, finding.code) == (Severity.CRITICAL, "served_without_access")
    assert (finding.subjects, finding.more) == (("cus_1", "a@example.com"), 28)
    assert finding.meaning.say("en") == (
        "Your list serves 30 customers who should have no service. Their subscriptions cost 49.00 EUR a month. "
        "The list is of 2026-04-10 03:00 UTC."
    )


def test_every_kind_of_difference_has_its_words() -> None:
    findings = found(replace(FRESH, wrong={kind: ListedWrongly(1) for kind in DifferenceKind}))
    assert {each.code for each in findings} == {kind.value for kind in DifferenceKind}
    assert {each.code for each in findings if each.severity is Severity.CRITICAL} == {
        "served_without_access",
        "not_served",
    }


def test_what_makes_the_comparison_worth_less_is_said() -> None:
    facts = replace(FRESH, written_at=NOW - timedelta(hours=49), bad_lines=3, first_bad_lines=(2, 5, 9), not_asked=True)
    findings = {each.code: each.meaning.say("en") for each in found(facts)}
    assert set(findings) == {"bad_lines", "stripe_not_asked", "list_is_old"}
    assert "The first are: 2, 5, 9." in findings["bad_lines"]
    assert "is 49 hours old" in findings["list_is_old"]
    assert found(replace(FRESH, written_at=NOW - timedelta(hours=48))) == []


def test_a_list_that_cannot_be_compared_is_one_warning() -> None:
    (finding,) = found(AccessListFacts(problem="The list is empty."))
    assert finding.code == "list_not_compared"
    assert finding.meaning.say("en") == "Your list of who is served could not be compared: The list is empty."
