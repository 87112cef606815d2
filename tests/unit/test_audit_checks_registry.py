"""The registry, its documentation, and the two languages of everything that it says."""

import re
from decimal import Decimal
from pathlib import Path

from shared.audit.checks.configurations import CHECKS_OF_RULES
from shared.audit.checks.registry import CHECKS, OWN_TITLES, title_of
from shared.audit.findings import Severity
from shared.i18n import verbatim
from shared.stripe.money import written_amount, written_amounts

DOC = (Path(__file__).parents[2] / "docs" / "reference" / "audit.md").read_text()
ROWS = {
    name: (severities, title)
    for name, severities, title in re.findall(r"^\| `(\w+)` \| ([a-z, ]+) \| ([^|]+) \|", DOC, re.MULTILINE)
}


# Those of the rules about configurations are documented with `portal lint`.
OWN_CHECKS = [check for check in CHECKS if check not in CHECKS_OF_RULES]


def test_the_documentation_lists_every_check_in_the_order_of_the_report() -> None:
    assert list(ROWS) == [*(check.name for check in OWN_CHECKS), *OWN_TITLES]


def test_the_documentation_has_each_checks_title_and_severities() -> None:
    known = {check.name: (", ".join(check.severities), check.title.say("en")) for check in OWN_CHECKS}
    assert {name: ROWS[name] for name in known} == known


def test_every_title_is_in_both_languages() -> None:
    titles = [title_of(name) for name in (*ROWS, *(check.name for check in CHECKS_OF_RULES))]
    assert all(title.say("en") != title.say("fr") for title in titles)
    assert title_of("check_of_tomorrow") == verbatim("check_of_tomorrow")


def test_severities_have_names_in_both_languages() -> None:
    assert [severity.label.say("fr") for severity in Severity] == ["information", "avertissement", "critique"]


def test_money_is_in_the_readers_form() -> None:
    assert written_amount(Decimal(123450), "eur").say("fr") == "1\u202f234,50\u00a0EUR"
    assert written_amounts({"eur": Decimal(100), "jpy": Decimal(5)}).say("fr") == "1,00\u00a0EUR et 5\u00a0JPY"
