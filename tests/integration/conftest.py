"""AWS as the template describes it, served on this machine one request at a time."""

import copyreg
import io
import threading
from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import pytest
import requests
from moto.backends import get_backend

from functions.access import app as access_app
from functions.access import wiring as access_wiring
from functions.create_session import app as create_session_app
from functions.create_session import wiring as create_session_wiring
from functions.pause import app as pause_app
from functions.pause import wiring as pause_wiring
from functions.webhook import app as webhook_app
from functions.webhook import wiring as webhook_wiring
from local.aws.intrinsics import ACCOUNT_ID, PhysicalNames
from local.aws.lambda_function import LambdaFunction
from local.aws.resources import AwsClients, create_resources, put_parameters
from local.aws.server import make_aws_server
from local.aws.template import Template
from local.gateway.event import HttpRequest, HttpResponse, event_of, response_of
from shared.aws import REQUEST_SETTINGS
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


# A copy of a queue of moto's needs a lock of its own.
copyreg.pickle(threading.Condition, lambda _: (threading.Condition, ()))


class NewResources:
    """The template's resources, made once by requests and then copied: thirty requests take 0.16 s, a copy 0.01 s."""

    # All that `create_resources` asks for, but SSM, whose parameters cannot be copied.
    _SERVICES = ("dynamodb", "dynamodbstreams", "events", "s3", "secretsmanager", "ses", "sesv2", "sns", "sqs")

    def __init__(self, url: str, clients: AwsClients) -> None:
        self._url, self._clients = url, clients
        self._made: dict[tuple[str, str], dict[str, Any]] = {}

    def put(self, template: Template) -> None:
        """Have them as they are after a deployment, and nothing else."""
        requests.post(f"{self._url}/moto-api/reset", timeout=60).raise_for_status()
        if self._made:
            for (service, region), state in self._made.items():
                backend = self._backends(service)[region]
                vars(backend).clear()
                vars(backend).update(self._copy(backend, state))
            put_parameters(template, self._clients.ssm)
            return
        secrets: dict[str, dict[str, object]] = {
            "Secret": {"stripe_api_key": "sk_test_1"},
            "SigningSecrets": {"webhook_signing_secrets": [SIGNING]},
            "LinkSecrets": {"1": LINK_SECRET},
        }
        create_resources(template, self._clients, sender=SENDER, secrets=secrets)
        self._made = {
            (service, region): self._copy(backend, vars(backend))
            for service in self._SERVICES
            for region, backend in self._backends(service).items()
        }

    @staticmethod
    def _backends(service: Any) -> Any:
        return get_backend(service)[ACCOUNT_ID]

    @staticmethod
    def _copy(backend: Any, state: dict[str, Any]) -> dict[str, Any]:
        """Copy all but the backend itself, which its resources may point to."""
        return deepcopy(state, {id(backend): backend})


@pytest.fixture(scope="session")
def new_resources(aws_server: str, aws_clients: AwsClients) -> NewResources:
    return NewResources(aws_server, aws_clients)


@pytest.fixture
def aws(
    aws_server: str,
    aws_clients: AwsClients,
    new_resources: NewResources,
    dynoxide: DynamoDb | None,
    monkeypatch: pytest.MonkeyPatch,
) -> Aws:
    """Fresh resources, and the environment that leads every client to them."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws_server)
    parameters = {
        "AllowedReturnOrigins": "https://shop.example",
        "DefaultReturnUrl": "https://shop.example/account",
        "AuditEmailFrom": SENDER,
        "AuditEmailTo": "team@shop.example",
    }
    template = Template.load(parameters=parameters, names=PhysicalNames(aws_url=aws_server))
    new_resources.put(template)
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


@pytest.fixture(autouse=True)
def _patient(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine moto may take longer than a function waits for AWS: wait as long as it takes.

    Else a failure that a test asks for is met by another request than the one that it is meant for.
    """
    if request.node.get_closest_marker("real_timeouts"):
        return
    patient = REQUEST_SETTINGS._replace(connect_timeout=60, read_timeout=60)
    for wiring in (webhook_wiring, create_session_wiring, access_wiring, pause_wiring):
        monkeypatch.setattr(wiring, "REQUEST_SETTINGS", patient)
    for app in (webhook_app, create_session_app, access_app, pause_app):
        monkeypatch.setattr(app, "REQUEST_SECONDS", 60)


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
