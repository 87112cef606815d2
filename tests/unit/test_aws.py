"""DynamoDB's form of values: what is stored comes back, as boto3 itself reads it."""

from typing import Any

from boto3.dynamodb.types import TypeDeserializer
from hypothesis import given
from hypothesis import strategies as st

from shared.aws import deserialize, serialize

stored = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.text(),
    lambda values: st.lists(values) | st.dictionaries(st.text(), values),
)


@given(stored)
def test_a_stored_value_comes_back_as_boto3_reads_it(value: Any) -> None:
    typed: Any = serialize(value)
    assert deserialize(typed) == value == TypeDeserializer().deserialize(typed)


def test_a_number_that_another_program_wrote_is_read_whole() -> None:
    assert deserialize({"N": "12E+2"}) == 1200
