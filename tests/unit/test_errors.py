"""The catalogue of errors has every code that can be raised, and no other; the docs say the same."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from shared.errors import CATALOGUE, Forbidden, InvalidRequest, OperatorError, PortalError
from tests.error_tables import pages, tables, with_tables
from tests.unit.test_architecture import IMPORTS, MODULES

# What modules of the portal link's own imports raise where the portal link does not go: they mint links for the
# command, read events for the webhook, or read a configuration for `portal explain`.
NOT_REACHED = {
    "subscription_refused",
    "bad_expiry",
    "link_too_long",
    "no_configuration",
    "stripe_without_date",
    "subscription_missing",
    "subscription_without_customer",
    "unreadable_subscription",
}


@dataclass(frozen=True)
class Raised:
    """A place that makes an error; `{...}` in an f-string's code is `.*` in the pattern."""

    error: str
    pattern: str
    module: str

    def codes(self) -> set[str]:
        return {code for code in CATALOGUE if re.fullmatch(self.pattern, code)}


def _pattern(code: ast.expr) -> str:
    match code:
        case ast.Constant(value=str(text)):
            return re.escape(text)
        case ast.JoinedStr(values=parts):
            return "".join(_pattern(part) if isinstance(part, ast.Constant) else ".*" for part in parts)
    raise AssertionError(f"line {code.lineno}: write the code of an error where the error is made")


def _raised() -> Iterator[Raised]:
    classes = {each.__name__ for each in PortalError.__subclasses__()}
    for module, tree in MODULES.items():
        if module.startswith("local.stripe_simulator"):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in classes:
                yield Raised(node.func.id, _pattern(node.args[0]), module)


RAISED = list(_raised())


def test_every_error_has_an_entry_of_its_class() -> None:
    offenders = [
        f"{one.module}: {one.error} {one.pattern}"
        for one in RAISED
        if {CATALOGUE[code].error.__name__ for code in one.codes()} != {one.error}
    ]
    assert offenders == []


def test_every_entry_can_be_raised() -> None:
    assert set(CATALOGUE) - {code for one in RAISED for code in one.codes()} == set()


def test_the_portal_link_can_answer_with_the_codes_that_it_reaches() -> None:
    reached: set[str] = set()
    waiting = ["functions.create_session.app"]
    while waiting:
        module = waiting.pop()
        if module not in reached:
            reached.add(module)
            waiting += IMPORTS[module]
    codes = {code for one in RAISED if one.module in reached for code in one.codes()}
    assert codes - NOT_REACHED == {entry.code for entry in CATALOGUE.values() if entry.portal_link}
    assert codes >= NOT_REACHED


@pytest.mark.parametrize(("error", "code"), [(InvalidRequest, "a_new_one"), (Forbidden, "bad_request")])
def test_a_code_that_is_not_in_the_catalogue_cannot_be_raised(error: type[PortalError], code: str) -> None:
    with pytest.raises(LookupError, match=code):
        error(code, "message")


def test_only_operator_errors_have_a_metric_of_their_own() -> None:
    assert {entry.error for entry in CATALOGUE.values() if entry.metric} == {OperatorError}


def test_the_docs_have_every_table_as_the_catalogue_has_it() -> None:
    texts = {page: page.read_text() for page in pages()}
    assert [page.name for page, text in texts.items() if with_tables(text) != text] == [], "run `make reference`"
    markers = [name for text in texts.values() for name in re.findall(r"<!-- error codes: (.+?) -->", text)]
    assert sorted(markers) == sorted(tables())
