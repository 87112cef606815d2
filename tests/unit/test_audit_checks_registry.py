"""The registry, its documentation, and the two languages of everything that it says."""

import re
from datetime import date
from decimal import Decimal
from pathlib import Path

from shared.audit.checks.configurations import CHECKS_OF_RULES
from shared.audit.checks.registry import CHECKS, OWN_TITLES, title_of
from shared.audit.findings import Severity
from shared.i18n import Text, count, format_date, joined, same
from shared.stripe.money import format_amount, format_amounts

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
    known = {check.name: (", ".join(check.severities), check.title.en) for check in OWN_CHECKS}
    assert {name: ROWS[name] for name in known} == known


def test_every_title_is_in_both_languages() -> None:
    titles = [title_of(name) for name in (*ROWS, *(check.name for check in CHECKS_OF_RULES))]
    assert all(title.en and title.fr and title.en != title.fr for title in titles)
    assert title_of("check_of_tomorrow") == same("check_of_tomorrow")


def test_severities_have_names_in_both_languages() -> None:
    assert [severity.label.say("fr") for severity in Severity] == ["information", "avertissement", "critique"]


def test_french_is_printed_with_its_spaces_and_apostrophes() -> None:
    typed = Text("", "Rien n'est perdu : l'API dit « oui » ; sûr ? 50 % ! https://a.example:80/?a=b")
    assert typed.say("fr") == (
        "Rien n\u2019est perdu\u00a0: l\u2019API dit «\u00a0oui\u00a0»\u202f; sûr\u202f? 50\u00a0%\u202f! "
        "https://a.example:80/?a=b"
    )
    assert Text("", typed.say("fr")).say("fr") == typed.say("fr")


def test_empty_parts_leave_no_double_space() -> None:
    assert joined([Text("a", "b"), Text("", ""), Text("c", "d")]) == Text("a c", "b d")


def test_days_numbers_and_money_are_in_the_readers_form() -> None:
    assert (format_date(date(2024, 7, 15)), format_date(date(2024, 7, 15), "fr")) == ("15 July 2024", "15 juillet 2024")
    assert format_date(date(2024, 8, 1), "fr") == "1er août 2024"
    assert format_amount(Decimal(123450), "eur", "fr") == "1\u202f234,50\u00a0EUR"
    assert format_amounts({"eur": Decimal(100), "jpy": Decimal(5)}, "fr") == "1,00\u00a0EUR et 5\u00a0JPY"
    assert [count(number, "client", "fr") for number in (0, 1, 2000)] == ["0 client", "1 client", "2\u202f000 clients"]
    assert [count(number, "customer") for number in (0, 1, 2000)] == ["0 customers", "1 customer", "2,000 customers"]
