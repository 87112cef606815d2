"""Claims are text by the time that a function sees them."""

from typing import Any

import pytest

from local.gateway.authorizer import as_text


@pytest.mark.parametrize(
    ("claim", "text"),
    [
        ("cus_1", "cus_1"),
        (["cus_1", "cus_2"], "[cus_1 cus_2]"),
        (["cus_1"], "[cus_1]"),
        ([], "[]"),
        ([["cus_1"]], "[[cus_1]]"),
        (True, "true"),
        (False, "false"),
        (7, "7"),
        (None, "<nil>"),
        ({"id": "cus_1", "a": [1]}, "map[a:[1] id:cus_1]"),
        ("[cus_1 cus_2]", "[cus_1 cus_2]"),
    ],
)
def test_every_claim_becomes_text(claim: Any, text: str) -> None:
    assert as_text(claim) == text
