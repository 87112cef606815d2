"""The OpenAPI document says what the handler does: schemathesis asks all that it allows, and more."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from functions.create_session.openapi import document
from local.assembly import serving
from local.aws.lambda_function import LambdaFunction
from local.gateway.api import Gateway
from tests.end_to_end.stack_fixture import free_port
from tests.integration.conftest import Api, Aws
from tests.integration.portal_world import World
from tests.integration.simulator_fixtures import RunningSimulator

ROOT = Path(__file__).parents[2]
SCHEMA = schemathesis.openapi.from_dict(document())
CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
FUZZ = settings(
    max_examples=20,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@pytest.fixture
def url(world: World, aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The handler behind the gateway, with the simulator as its Stripe."""
    assert world.customer
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    functions = {name: LambdaFunction(each) for name, each in aws.template.functions().items()}
    port = free_port()
    with serving(Gateway(aws.template.routes(), functions), port):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def world(api: Api, simulator: RunningSimulator) -> World:
    return World(api, simulator)


def ask(case: "schemathesis.Case[Any]", url: str, **more: Any) -> Any:
    """Ask without following where it leads, and let every check look at the answer."""
    answer = case.call(base_url=url, allow_redirects=False, timeout=60, **more)
    if case.method != case.operation.method.upper():
        # Another method than the route's is for API Gateway to refuse.
        assert (answer.status_code, answer.json()) == (404, {"message": "Not Found"})
        return answer
    case.validate_response(answer, checks=CHECKS)
    assert answer.headers["cache-control"] == ["no-store"]
    return answer


@SCHEMA.parametrize()
@FUZZ
def test_whoever_asks_gets_a_documented_answer(case: "schemathesis.Case[Any]", url: str, world: World) -> None:
    answer = ask(case, url)
    # Nobody made a token, so nobody gets a session.
    assert answer.status_code in {200, 303, 400, 401, 404}
    assert world.sessions() == []


@SCHEMA.include(path_regex="^/portal(/sessions)?$", method=["GET", "POST"]).parametrize()
@FUZZ
def test_whoever_has_a_token_gets_a_documented_answer(case: "schemathesis.Case[Any]", url: str, world: World) -> None:
    case.query = {**(case.query or {}), "token": world.token()} if case.method == "GET" else case.query
    answer = ask(case, url, headers={"Authorization": f"Bearer {world.token()}"} if case.method == "POST" else None)
    # It also tries what happens without the header.
    has_token = case.method != "POST" or "Authorization" in answer.request.headers
    assert answer.status_code in ({201, 303, 400, 403, 404} if has_token else {401})
    assert {session["customer"] for session in world.sessions()} <= {world.customer}


def test_the_document_that_is_kept_is_the_handlers_own() -> None:
    assert json.loads((ROOT / "docs/reference/openapi.json").read_text()) == document()


def test_every_route_of_the_function_is_in_the_document(aws: Aws) -> None:
    mine = {route.key for route in aws.template.routes() if route.function_id == "CreateSessionFunction"}
    paths = document()["paths"]
    assert {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods} == mine
