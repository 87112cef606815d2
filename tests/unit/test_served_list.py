"""The company's own list of who is served, as spreadsheets, databases and people write it."""

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InvalidRequest
from shared.served_list import LONGEST_LINE, BadLine, ColumnNames, ListedCustomer, ServedList


def read(text: str | bytes, **columns: str) -> list[ListedCustomer | BadLine]:
    file = BytesIO(text if isinstance(text, bytes) else text.encode())
    return list(ServedList(file, ColumnNames(**columns)).rows())


def customers(text: str | bytes, **columns: str) -> list[tuple[str, bool]]:
    return [(each.customer, each.served) for each in read(text, **columns) if isinstance(each, ListedCustomer)]


def bad(text: str | bytes) -> dict[int, str]:
    return {each.line: each.problem.say("en") for each in read(text) if isinstance(each, BadLine)}


TWO = [("cus_1", True), ("cus_2", False)]


@pytest.mark.parametrize(
    "text",
    [
        "customer,served\ncus_1,yes\ncus_2,no\n",
        "\ufeffcustomer;served\r\ncus_1;TRUE\r\ncus_2;False",
        '"Customer ID"\t"Is Served"\n"cus_1"\t"1"\n"cus_2"\t"0"\n',
        'name,stripe_customer_id,active\n"Smith, Ada",cus_1,t\n\'O""Neil,cus_2,f\n',
        "\n\ncustomer,served,,\n\ncus_1,oui,,\n,,,\ncus_2,non,,\n",
        'id client;accès;adresse\ncus_1;oui;"1, rue A\n75001 Paris"\ncus_2;non;\n',
    ],
)
def test_lists_of_many_programs_say_the_same(text: str) -> None:
    assert customers(text) == TWO
    assert bad(text) == {}


def test_an_address_stands_in_where_a_customer_has_no_id() -> None:
    text = "email,customer_id,served\nAda@Example.com,,yes\nx@example.com,cus_2,no\n"
    assert customers(text) == [("ada@example.com", True), ("cus_2", False)]


def test_columns_can_be_named() -> None:
    text = "who,what,served,open,plan\ncus_1,cus_9,no,yes,prod_1\n"
    found = read(text, customer="who", served="OPEN", product="plan")
    assert found == [ListedCustomer(2, "cus_1", True, "prod_1")]


def test_each_bad_line_is_named_and_the_others_are_read() -> None:
    text = 'customer,served\ncus_1,yes\nnobody,yes\ncus_1,maybe\n,yes\ncus_1,yes,no\ncus_3,"yes\ncus_2,no\n'
    assert customers(text) == TWO
    assert bad(text) == {
        3: "'nobody' is neither a customer id nor an e-mail address",
        4: "'maybe' is neither yes nor no",
        5: "no customer",
        6: "the line has 3 columns, and the first line 2",
        7: "a quote is not closed",
    }


def test_bytes_that_are_no_text_and_endless_lines_stop_nothing() -> None:
    text = b"customer,served\ncus_\xff\xfe,yes\ncus_1,yes\n" + b"x" * (2 * LONGEST_LINE) + b"\ncus_2,no\n"
    assert customers(text) == TWO
    assert list(bad(text)) == [2, 4]


def test_an_inch_mark_in_a_name_is_no_quote() -> None:
    text = 'name,customer,served\n5" disk,cus_1,yes\nplain,cus_2,no\n'
    assert customers(text) == TWO


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("cus_1,yes\n", "holds a customer already"),
        ("customer,plan\n", "--served-column. The columns of the list are: customer, plan"),
        ("name,served\n", "--customer-column"),
        ("customer,served\n".encode("utf-16"), "UTF-16"),
        ("\x89PNG\0,served\n", "not a text"),
    ],
)
def test_a_list_without_the_columns_is_refused_with_what_to_do(text: str | bytes, message: str) -> None:
    with pytest.raises(InvalidRequest, match="(?s)" + message):
        read(text)


def test_a_named_column_must_exist_once() -> None:
    with pytest.raises(InvalidRequest, match="no column 'cus'"):
        read("customer,served\n", customer="cus")
    with pytest.raises(InvalidRequest, match="several columns"):
        read("customer,Served,served\n", served="served")


@given(st.binary(max_size=300))
def test_no_bytes_after_the_header_stop_the_reading(rest: bytes) -> None:
    numbers = [each.line for each in read(b"customer,served\ncus_1,yes\n" + rest + b"\ncus_2,no\n")]
    assert numbers[0] == 2
    assert numbers == sorted(numbers)


@given(st.lists(st.tuples(st.from_regex(r"cus_[a-z0-9]{1,9}", fullmatch=True), st.booleans(), st.text()), max_size=8))
def test_whatever_stands_in_other_columns_each_customer_is_read(rows: list[tuple[str, bool, str]]) -> None:
    """A field is quoted as RFC 4180 says; a line end within one is a line of its own in the numbers only."""
    clean = [(who, served, note.replace("\r", " ").encode(errors="replace").decode()) for who, served, note in rows]
    lines = ['{},"{}",{}'.format(who, note.replace('"', '""'), served) for who, served, note in clean]
    text = "customer,note,served\n" + "\n".join(lines)
    assert customers(text) == [(who, served) for who, served, _ in clean]
