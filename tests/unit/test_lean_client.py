"""The lean client sends what botocore's client would, and leaves to it whatever is unusual."""

import io
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from unittest.mock import Mock, patch
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from botocore.httpsession import DEFAULT_CA_BUNDLE, URLLib3Session
from hypothesis import given
from hypothesis import strategies as st

from shared.aws import REQUEST_SETTINGS, DeadlineReached
from shared.deadline import deadline
from shared.lean_client import Connections, LeanClient, Response, Signer, endpoint_of, lean_client

KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token"}
ENVIRONMENT = KEYS | {"AWS_DEFAULT_REGION": "eu-west-1"}
UPDATE = {
    "TableName": "Subscriptions",
    "Key": {"customer_id": {"S": "cus_é"}},
    "UpdateExpression": "SET a = :a",
    "ExpressionAttributeValues": {":a": {"N": "1"}},
}
REQUESTS: list[tuple[str, str, dict[str, Any]]] = [
    ("dynamodb", "get_item", {"TableName": "Subscriptions", "Key": {"customer_id": {"S": "cus_1"}}}),
    ("dynamodb", "query", {"TableName": "Subscriptions", "KeyConditionExpression": "a = :a", "ConsistentRead": True}),
    ("dynamodb", "update_item", UPDATE),
    ("secretsmanager", "get_secret_value", {"SecretId": "secret"}),
]


class Raw(io.BytesIO):
    """What botocore reads a response from."""

    def stream(self) -> list[bytes]:
        """All at once."""
        return [self.read()]


@dataclass(frozen=True)
class Sent:
    """A request, as it would be sent; the names of headers are in lower case."""

    headers: dict[str, str]
    body: bytes


@dataclass
class Wire:
    """Keeps each request, and gives each the next response, or `None` for none."""

    sent: list[Sent] = field(default_factory=list)
    responses: list[Response | None] = field(default_factory=list)

    def post(self, headers: dict[str, str], body: bytes) -> Response | None:
        self.sent.append(Sent(headers, body))
        return self.responses.pop(0) if self.responses else Response(200, None, b"{}")

    def send(self, request: Any) -> AWSResponse:
        headers = {
            name.lower(): value if isinstance(value, str) else value.decode() for name, value in request.headers.items()
        }
        assert (request.method, urlsplit(request.url).path) == ("POST", "/")
        response = self.post({"host": urlsplit(request.url).netloc, **headers}, request.body)
        assert response is not None
        no_headers: Any = {}
        return AWSResponse(request.url, response.status, no_headers, Raw(response.content))


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    wire = Wire()
    monkeypatch.setattr(Connections, "post", lambda _, headers, body: wire.post(headers, body))
    monkeypatch.setattr(URLLib3Session, "send", wire.send)
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    return wire


def lean(service: str = "dynamodb", make: Callable[[], Any] | None = None) -> Any:
    return lean_client(service, REQUEST_SETTINGS, make=make, environment=ENVIRONMENT)


def refusal(code: str, status: int = 400, **more: object) -> Response:
    content = {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", **more}
    return Response(status, None, json.dumps(content).encode())


@pytest.mark.parametrize(("service", "method", "parameters"), REQUESTS, ids=[method for _, method, _ in REQUESTS])
def test_its_requests_are_those_of_botocore(wire: Wire, service: str, method: str, parameters: dict[str, Any]) -> None:
    made: Any = service
    getattr(lean(service), method)(**parameters)
    getattr(boto3.Session().client(made, config=REQUEST_SETTINGS.config()), method)(**parameters)
    own, usual = wire.sent
    assert json.loads(own.body) == json.loads(usual.body)
    for name in ("content-type", "host", "x-amz-target", "x-amz-security-token"):
        assert own.headers[name] == usual.headers[name]
    scope = usual.headers["authorization"].partition(", ")[0]
    assert own.headers["authorization"].startswith(scope)
    assert set(usual.headers) - set(own.headers) <= {
        "amz-sdk-invocation-id",
        "amz-sdk-request",
        "content-length",
        "user-agent",
    }


_texts = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)


_signers = st.builds(
    Signer,
    st.sampled_from(["dynamodb", "secretsmanager"]),
    st.sampled_from(["eu-west-1", "us-gov-west-1"]),
    _texts,
    _texts,
    st.none() | _texts,
)


@given(signer=_signers, target=_texts, body=st.binary(max_size=200), seconds=st.integers(0, 4_000_000_000))
def test_its_signature_is_that_of_botocore(signer: Signer, target: str, body: bytes, seconds: int) -> None:
    headers = {"content-type": "application/x-amz-json-1.0", "host": "service.example:8000", "x-amz-target": target}
    now = datetime.fromtimestamp(seconds, UTC)
    request: Any = AWSRequest("POST", "http://service.example:8000", headers, body)
    credentials = Credentials(signer.access_key, signer.secret_key, signer.token)
    with patch("botocore.auth.get_current_datetime", return_value=now.replace(tzinfo=None)):
        SigV4Auth(credentials, signer.service, signer.region).add_auth(request)
    assert signer.signed(headers, body, now) == {name.lower(): value for name, value in request.headers.items()}


def test_every_endpoint_is_that_of_botocore_or_left_to_it() -> None:
    session = boto3.Session()
    compared = 0
    for partition in session.get_available_partitions():
        for region in session.get_available_regions("dynamodb", partition, allow_non_regional=False):
            for service in ("dynamodb", "secretsmanager"):
                made: Any = service
                own = endpoint_of(service, {"AWS_DEFAULT_REGION": region})
                if partition in {"aws", "aws-us-gov"}:
                    assert own == session.client(made, region_name=region).meta.endpoint_url
                    compared += 1
                else:
                    assert own is None, region
    assert compared > 50


@pytest.mark.parametrize(
    ("settings", "endpoint"),
    [
        ({"AWS_ENDPOINT_URL": "http://all"}, "http://all"),
        ({"AWS_ENDPOINT_URL": "http://all", "AWS_ENDPOINT_URL_SECRETS_MANAGER": "http://own"}, "http://own"),
        ({"AWS_ENDPOINT_URL": "http://all", "AWS_ENDPOINT_URL_DYNAMODB": "http://other"}, "http://all"),
        ({"AWS_USE_FIPS_ENDPOINT": "true"}, None),
        ({"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true", "AWS_ENDPOINT_URL": "http://all"}, None),
        ({"AWS_DEFAULT_REGION": "evil.example/"}, None),
        ({"AWS_ENDPOINT_URL": "http://all/below"}, None),
        ({"https_proxy": "http://proxy"}, None),
        ({"HTTPS_PROXY": "http://proxy"}, None),
    ],
)
def test_the_endpoint_follows_the_settings(settings: dict[str, str], endpoint: str | None) -> None:
    assert endpoint_of("secretsmanager", ENVIRONMENT | settings) == endpoint


@pytest.mark.parametrize("missing", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"])
def test_without_keys_or_a_region_it_is_the_client_of_botocore(missing: str) -> None:
    """A restored snapshot has no keys in its environment: botocore asks for new ones, again and again."""
    botocore = Mock()
    environment = {name: value for name, value in ENVIRONMENT.items() if name != missing}
    assert lean_client("dynamodb", REQUEST_SETTINGS, make=lambda: botocore, environment=environment) is botocore


@pytest.mark.parametrize(
    ("settings", "trusted"),
    [
        ({"REQUESTS_CA_BUNDLE": "/requests.pem"}, "/requests.pem"),
        ({"REQUESTS_CA_BUNDLE": "/requests.pem", "AWS_CA_BUNDLE": "/aws.pem"}, "/aws.pem"),
    ],
)
def test_the_trusted_authorities_are_those_of_botocore(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], trusted: str
) -> None:
    for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (ENVIRONMENT | settings).items():
        monkeypatch.setenv(name, value)
    usual: Any = boto3.Session().client("dynamodb")
    assert usual._endpoint.http_session._verify == trusted
    own: Any = lean_client("dynamodb", REQUEST_SETTINGS, environment=ENVIRONMENT | settings)
    assert own._connections.authorities == trusted


def test_without_a_setting_the_authorities_are_those_that_botocore_brings() -> None:
    own: Any = lean_client("dynamodb", REQUEST_SETTINGS, environment=ENVIRONMENT)
    assert str(own._connections.authorities) == DEFAULT_CA_BUNDLE


def test_a_usual_answer_needs_no_client_of_botocore(wire: Wire) -> None:
    content = json.dumps({"Items": []}).encode()
    wire.responses = [Response(200, str(zlib.crc32(content)), content)]
    assert lean(make=Mock(side_effect=AssertionError)).query(TableName="t") == {"Items": []}


def test_a_condition_that_failed_is_the_error_of_botocore(wire: Wire) -> None:
    wire.responses = [refusal("ConditionalCheckFailedException", message="It failed", Item={"a": {"N": "1"}})] * 2
    responses: list[Any] = []
    for client in (
        lean(make=Mock(side_effect=AssertionError)),
        boto3.Session().client("dynamodb", config=REQUEST_SETTINGS.config()),
    ):
        with pytest.raises(ClientError) as failed:
            client.update_item(**UPDATE)
        responses.append(failed.value.response)
    own, usual = responses
    assert own["Error"] == usual["Error"]
    assert own["Item"] == usual["Item"]
    assert len(wire.sent) == 2


@pytest.mark.parametrize(
    "failure",
    [
        refusal("AccessDeniedException"),
        refusal("ProvisionedThroughputExceededException"),
        refusal("ConditionalCheckFailedException", status=500),
        Response(400, None, b"no JSON"),
        Response(400, None, b"[]"),
        Response(503, None, b""),
        Response(200, "1", b'{"Item": {}}'),
        Response(200, "not a number", b'{"Item": {}}'),
        None,
    ],
)
def test_whatever_else_goes_wrong_is_left_to_botocore(wire: Wire, failure: Any) -> None:
    wire.responses = [failure]
    botocore = Mock()
    client = lean(make=lambda: botocore)
    assert client.update_item(**UPDATE) is botocore.update_item.return_value
    botocore.update_item.assert_called_once_with(**UPDATE)


def test_other_operations_are_those_of_one_client_of_botocore(wire: Wire) -> None:
    make = Mock()
    client = lean(make=make)
    assert isinstance(client, LeanClient)
    assert client.scan is make.return_value.scan
    assert client.exceptions is make.return_value.exceptions
    make.assert_called_once_with()
    assert wire.sent == []


def test_nothing_is_sent_that_could_outlast_the_deadline(wire: Wire) -> None:
    with deadline(2.9), pytest.raises(DeadlineReached):
        lean(make=Mock(side_effect=AssertionError)).get_item(TableName="t")
    assert wire.sent == []
