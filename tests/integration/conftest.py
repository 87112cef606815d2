"""AWS as the template describes it, served on this machine one request at a time."""

import io
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import pytest
import requests

from functions.access import app as access_app
from functions.create_session import app as create_session_app
from functions.pause import app as pause_app
from functions.webhook import app as webhook_app
from local.aws.intrinsics import PhysicalNames
from local.aws.lambda_function import LambdaFunction
from local.aws.resources import AwsClients, create_resources
from local.aws.server import make_aws_server
from local.aws.template import Template
from local.gateway.event import HttpRequest, HttpResponse, event_of, response_of
from tests.integration.dynamodb_fixtures import DynamoDb, create_table
from tests.integration.simulator_fixtures import RunningSimulator

SENDER = "audit@shop.example"
SIGNING = "whsec_current_0123456789"
LINK_SECRET = "l" * 64


@dataclass(frozen=True, slots=True)
class Aws:
    """The services, and the template whose resources are in them."""

    url: str
    clients: AwsClients
    template: Template

    def create_table(self, logical_id: str) -> None:
        """Create one of the template's tables, empty, where an earlier test may have left it."""
        name = self.template.ref(logical_id)
        with suppress(self.clients.dynamodb.exceptions.ResourceNotFoundException):
            self.clients.dynamodb.delete_table(TableName=name)
        create_table(self.clients.dynamodb, name, self.template.resources("AWS::DynamoDB::Table")[logical_id])


@pytest.fixture(scope="session")
def aws_server() -> Iterator[str]:
    server = make_aws_server(0)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="session")
def aws_clients(aws_server: str) -> AwsClients:
    return AwsClients.at(aws_server)


@pytest.fixture
def aws(aws_server: str, aws_clients: AwsClients, dynoxide: DynamoDb | None, monkeypatch: pytest.MonkeyPatch) -> Aws:
    """Fresh resources, and the environment that leads every client to them."""
    requests.post(f"{aws_server}/moto-api/reset", timeout=10).raise_for_status()
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws_server)
    parameters = {
        "AllowedReturnOrigins": "https://shop.example",
        "DefaultReturnUrl": "https://shop.example/account",
        "AuditEmailFrom": SENDER,
        "AuditEmailTo": "team@shop.example",
    }
    template = Template.load(parameters=parameters, names=PhysicalNames(aws_url=aws_server))
    secrets: dict[str, dict[str, object]] = {
        "Secret": {"stripe_api_key": "sk_test_1"},
        "SigningSecrets": {"webhook_signing_secrets": [SIGNING]},
        "LinkSecrets": {"1": LINK_SECRET},
    }
    create_resources(template, aws_clients, sender=SENDER, secrets=secrets)
    if dynoxide is None:
        return Aws(aws_server, aws_clients, template)
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", dynoxide.url)
    made = Aws(aws_server, replace(aws_clients, dynamodb=dynoxide.client()), template)
    for logical_id in template.resources("AWS::DynamoDB::Table"):
        made.create_table(logical_id)
    return made


class Api:
    """The functions behind the template's routes, given API Gateway's own events."""

    def __init__(self, template: Template) -> None:
        self._functions = {name: LambdaFunction(function) for name, function in template.functions().items()}
        self._routes = {route.key: route.function_id for route in template.routes()}

    def send(  # noqa: PLR0913 - the parts of a request
        self,
        route: str,
        *,
        path: str | None = None,
        query: str = "",
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        claims: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """One request; `claims` are what API Gateway's authorizer would have verified.

        `path` is the request's own, where the route's has parameters.
        """
        method, pattern = route.split(" ")
        pairs = tuple(({"content-type": "application/json"} | (headers or {})).items())
        event = event_of(HttpRequest(method, path or pattern, query, pairs, body, "192.0.2.1", "HTTP/1.1"), route, {})
        if claims is not None:
            event["requestContext"]["authorizer"] = {"jwt": {"claims": claims, "scopes": None}}
        return self.invoke(route, event)

    def invoke(self, route: str, event: dict[str, Any]) -> HttpResponse:
        """A request whose event is the test's own."""
        return response_of(self._functions[self._routes[route]].invoke(event))


@pytest.fixture
def api(aws: Aws, simulator: RunningSimulator, monkeypatch: pytest.MonkeyPatch) -> Api:
    """The deployment as its callers see it, with the simulator as its Stripe."""
    overrides = {"STRIPE_API_BASE": simulator.url, "PORTAL_CONFIGURATIONS": '{"business": "bpc_missing"}'}
    for function_id in aws.template.functions():
        for name, value in aws.template.environment(function_id).items():
            monkeypatch.setenv(name, overrides.get(name, value))
    webhook_app._wire.cache_clear()
    create_session_app._wire.cache_clear()
    access_app._wire.cache_clear()
    pause_app._wire.cache_clear()
    return Api(aws.template)


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """All that the functions log."""
    text = io.StringIO()
    for app in (webhook_app, create_session_app, access_app, pause_app):
        monkeypatch.setattr(app.logger.registered_handler, "stream", text)
    return text
