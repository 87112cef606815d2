"""The OpenAPI document of the access function says what the handler answers."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from functions.access.openapi import document
from tests.integration.conftest import Api, Aws
from tests.integration.simulator_fixtures import RunningSimulator
from tests.integration.test_access_function import Access, header

KEPT = Path(__file__).parents[2] / "docs" / "reference" / "access.openapi.json"
DOCUMENT = document()


def test_the_document_that_is_kept_is_the_handlers_own() -> None:
    assert json.loads(KEPT.read_text()) == DOCUMENT


def test_every_route_of_the_function_is_in_the_document(aws: Aws) -> None:
    mine = {route.key for route in aws.template.routes() if route.function_id == "AccessFunction"}
    paths = DOCUMENT["paths"]
    assert {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods} == mine


@pytest.fixture
def access(api: Api, aws: Aws, simulator: RunningSimulator) -> Access:
    return Access(api, aws, simulator)


def check(answer: Any, method: str, path: str) -> int:
    """Check a response against the document, and return its status."""
    described = DOCUMENT["paths"][path][method]["responses"][str(answer.status)]
    headers = {name.lower(): value for name, value in answer.headers}
    missing = [name for name in described.get("headers", {}) if name.lower() not in headers]
    assert missing == []
    if "content" not in described:
        assert answer.body == b""
        return int(answer.status)
    schema = described["content"][headers["content-type"]]["schema"]
    jsonschema.validate(json.loads(answer.body), schema | {"components": DOCUMENT["components"]})
    return int(answer.status)


def test_answers_and_refusals_are_as_described(access: Access) -> None:
    access.mirror()
    one = access.get()
    tag = header(one, "etag") or ""
    answers = [
        check(one, "get", "/access"),
        check(access.get(headers={"if-none-match": tag}), "get", "/access"),
        check(access.get(path="/cus_1"), "get", "/access/{customer}"),
        check(access.get(path="/cus_2"), "get", "/access/{customer}"),
        check(access.get(feature="x"), "get", "/access"),
        check(access.get("x"), "get", "/access"),
        check(access.batch(access.token(None, aud="access-batch"), customers=["cus_1", "cus_2"]), "post", "/access"),
        check(access.batch(access.token(None, aud="access-batch"), customers=[]), "post", "/access"),
    ]
    assert answers == [200, 304, 200, 403, 400, 401, 200, 400]
    access.simulator.admin("POST", "faults", {"fail": [{"status": 500, "times": 99}]})
    assert check(access.get(access.token("cus_new")), "get", "/access") == 503
