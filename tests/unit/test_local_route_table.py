"""Which route a request takes."""

import pytest

from local.aws.intrinsics import TemplateError
from local.aws.template import Route
from local.gateway.api import RouteMatch, RouteTable

KEYS = [
    "$default",
    "ANY /{proxy+}",
    "GET /items/{id}",
    "GET /items/special",
    "ANY /items/{id}",
    "HEAD /portal",
    "GET /portal",
]


@pytest.mark.parametrize(
    ("method", "path", "key", "parameters"),
    [
        ("GET", "/items/special", "GET /items/special", {}),
        ("GET", "/items/7", "GET /items/{id}", {"id": "7"}),
        ("POST", "/items/7", "ANY /items/{id}", {"id": "7"}),
        ("GET", "/items/7/more", "ANY /{proxy+}", {"proxy": "items/7/more"}),
        ("GET", "/", "$default", {}),
        ("HEAD", "/portal", "HEAD /portal", {}),
    ],
)
def test_the_most_specific_route_wins(method: str, path: str, key: str, parameters: dict[str, str]) -> None:
    table = RouteTable(Route(each, "F") for each in KEYS)
    assert table.find(method, path) == RouteMatch(Route(key, "F"), parameters)


def test_head_is_a_method_of_its_own() -> None:
    table = RouteTable([Route("GET /portal", "F")])
    assert table.find("HEAD", "/portal") is None
    assert table.has_path("/portal")
    assert not table.has_path("/portal/")


def test_what_is_no_route_key_is_named() -> None:
    with pytest.raises(TemplateError, match="GETportal"):
        RouteTable([Route("GETportal", "F")])
