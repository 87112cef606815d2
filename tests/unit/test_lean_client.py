"""The lean client sends what botocore's client would, and leaves to it whatever is unusual."""

import io
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import Mock

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError
from botocore.httpsession import URLLib3Session

from shared.aws import REQUEST_CONFIG, DeadlineReached
from shared.deadline import deadline
from shared.lean_client import LeanClient, endpoint_of, lean_client

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


@dataclass
class Wire:
    """Keeps each request, and gives each the next response, or raises it."""

    sent: list[Any] = field(default_factory=list)
    responses: list[tuple[int, dict[str, str], bytes] | Exception] = field(default_factory=list)

    def send(self, request: Any) -> AWSResponse:
        self.sent.append(request)
        response = self.responses.pop(0) if self.responses else (200, {}, b"{}")
        if isinstance(response, Exception):
            raise response
        status, headers, content = response
        any_headers: Any = headers
        return AWSResponse(request.url, status, any_headers, Raw(content))


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    wire = Wire()
    monkeypatch.setattr(URLLib3Session, "send", wire.send)
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    return wire


def lean(service: str = "dynamodb", make: Callable[[], Any] | None = None) -> Any:
    return lean_client(service, REQUEST_CONFIG, make=make, environment=ENVIRONMENT)


def refusal(code: str, status: int = 400, **more: object) -> tuple[int, dict[str, str], bytes]:
    return status, {}, json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", **more}).encode()


@pytest.mark.parametrize(("service", "method", "parameters"), REQUESTS, ids=[method for _, method, _ in REQUESTS])
def test_its_requests_are_those_of_botocore(wire: Wire, service: str, method: str, parameters: dict[str, Any]) -> None:
    made: Any = service
    getattr(lean(service), method)(**parameters)
    getattr(boto3.Session().client(made, config=REQUEST_CONFIG), method)(**parameters)
    own, usual = wire.sent
    assert (own.method, own.url.rstrip("/")) == (usual.method, usual.url.rstrip("/"))
    assert json.loads(own.body) == json.loads(usual.body)

    def headers(request: Any) -> dict[str, str]:
        return {
            name.lower(): value if isinstance(value, str) else value.decode() for name, value in request.headers.items()
        }

    for name in ("content-type", "x-amz-target", "x-amz-security-token"):
        assert headers(own)[name] == headers(usual)[name]
    scope = headers(usual)["authorization"].partition(", ")[0]
    assert headers(own)["authorization"].startswith(scope)
    assert set(headers(usual)) - set(headers(own)) <= {"user-agent", "amz-sdk-invocation-id", "amz-sdk-request"}


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
    ],
)
def test_the_endpoint_follows_the_settings(settings: dict[str, str], endpoint: str | None) -> None:
    assert endpoint_of("secretsmanager", ENVIRONMENT | settings) == endpoint


@pytest.mark.parametrize("missing", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"])
def test_without_keys_or_a_region_it_is_the_client_of_botocore(missing: str) -> None:
    """A restored snapshot has no keys in its environment: botocore asks for new ones, again and again."""
    botocore = Mock()
    environment = {name: value for name, value in ENVIRONMENT.items() if name != missing}
    assert lean_client("dynamodb", REQUEST_CONFIG, make=lambda: botocore, environment=environment) is botocore


@pytest.mark.parametrize(
    ("settings", "verify"),
    [
        ({}, True),
        ({"REQUESTS_CA_BUNDLE": "/requests.pem"}, "/requests.pem"),
        ({"REQUESTS_CA_BUNDLE": "/requests.pem", "AWS_CA_BUNDLE": "/aws.pem"}, "/aws.pem"),
    ],
)
def test_servers_are_verified_as_by_botocore(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], verify: object
) -> None:
    for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (ENVIRONMENT | settings).items():
        monkeypatch.setenv(name, value)
    usual: Any = boto3.Session().client("dynamodb")
    assert usual._endpoint.http_session._verify == verify
    own: Any = lean_client("dynamodb", REQUEST_CONFIG, environment=ENVIRONMENT | settings)
    assert own._session._verify == verify


def test_a_usual_answer_needs_no_client_of_botocore(wire: Wire) -> None:
    content = json.dumps({"Items": []}).encode()
    wire.responses = [(200, {"x-amz-crc32": str(zlib.crc32(content))}, content)]
    assert lean(make=Mock(side_effect=AssertionError)).query(TableName="t") == {"Items": []}


def test_a_condition_that_failed_is_the_error_of_botocore(wire: Wire) -> None:
    wire.responses = [refusal("ConditionalCheckFailedException", message="It failed", Item={"a": {"N": "1"}})] * 2
    responses: list[Any] = []
    for client in (
        lean(make=Mock(side_effect=AssertionError)),
        boto3.Session().client("dynamodb", config=REQUEST_CONFIG),
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
        (400, {}, b"no JSON"),
        (400, {}, b"[]"),
        (503, {}, b""),
        (200, {"x-amz-crc32": "1"}, b'{"Item": {}}'),
        ReadTimeoutError(endpoint_url="https://dynamodb"),
        ConnectionClosedError(endpoint_url="https://dynamodb"),
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
