"""The table `Subscriptions`, fresh for each test, in one of three engines.

With DYNAMODB_ENDPOINT at that endpoint, with DYNOXIDE in a Dynoxide that is started here (DYNOXIDE is the path of the
program), else in the locked moto. docs/decisions/0007-second-database-engine.md says what each of them proves.
"""

import os
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from local.aws.template import Template, at_creation
from shared.aws import AWS_SETTINGS, ClientSettings
from shared.lean_client import lean_client
from shared.mirror.table import MirrorTable

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


# Stated by CloudFormation at creation, by the API afterwards; point-in-time recovery changes nothing that a test sees.
_NEEDED = ("AllowedReturnOrigins", "DefaultReturnUrl", "AuditEmailFrom", "AuditEmailTo")


@dataclass(frozen=True, slots=True)
class DynamoDb:
    """Where a DynamoDB is and who asks, in a form that can be given to another process."""

    url: str
    region: str
    access_key: str
    secret_key: str
    token: str | None = None

    def client(self, settings: ClientSettings = AWS_SETTINGS) -> "DynamoDBClient":
        client: DynamoDBClient = _session(self).client("dynamodb", endpoint_url=self.url, config=settings.config())
        return client

    def lean_client(self) -> "DynamoDBClient":
        """The client of the functions that somebody waits for."""
        environment = {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
        } | ({"AWS_SESSION_TOKEN": self.token} if self.token else {})
        client: DynamoDBClient = lean_client("dynamodb", AWS_SETTINGS, make=self.client, environment=environment)
        return client

    @classmethod
    def named_by_the_environment(cls, url: str) -> "DynamoDb":
        """With the credentials and the region of whoever runs the tests."""
        session = boto3.Session()
        credentials = session.get_credentials()
        if credentials is None:
            pytest.exit("DYNAMODB_ENDPOINT is set, and there are no AWS credentials (DynamoDB Local takes any)")
        keys = credentials.get_frozen_credentials()
        assert keys.access_key
        assert keys.secret_key
        return cls(url, session.region_name or "eu-west-1", keys.access_key, keys.secret_key, keys.token)


@cache
def _session(dynamodb: DynamoDb) -> boto3.Session:
    """One for all clients of a process, because each reads the whole description of DynamoDB anew."""
    return boto3.Session(dynamodb.access_key, dynamodb.secret_key, dynamodb.token, region_name=dynamodb.region)


@dataclass(frozen=True, slots=True)
class Subscriptions:
    """A table of the template's making, and how to reach it."""

    dynamodb: DynamoDb
    name: str

    def table(self) -> MirrorTable:
        return MirrorTable(self.dynamodb.lean_client(), self.name)


@pytest.fixture(scope="session")
def dynoxide() -> Iterator[DynamoDb | None]:
    """An empty Dynoxide of this process's own, in memory; `None` unless DYNOXIDE names the program."""
    program = os.environ.get("DYNOXIDE")
    if program is None:
        yield None
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with subprocess.Popen([program, "--host", "127.0.0.1", "--port", str(port)], stdout=subprocess.DEVNULL) as process:
        try:
            _wait_for(process, port)
            yield DynamoDb(f"http://127.0.0.1:{port}", "eu-west-1", "test", "test")
        finally:
            process.terminate()


def _wait_for(process: "subprocess.Popen[bytes]", port: int) -> None:
    for _ in range(100):
        assert process.poll() is None, "Dynoxide ended"
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError("Dynoxide did not start within 10 s")


@pytest.fixture(scope="session")
def dynamodb(request: pytest.FixtureRequest, dynoxide: DynamoDb | None) -> DynamoDb:
    if url := os.environ.get("DYNAMODB_ENDPOINT"):
        return DynamoDb.named_by_the_environment(url)
    return dynoxide or DynamoDb(request.getfixturevalue("aws_server"), "eu-west-1", "test", "test")


def create_table(client: "DynamoDBClient", name: str, properties: Mapping[str, Any]) -> None:
    """Create a table as the template says, without point-in-time recovery, which not every engine has."""
    client.create_table(TableName=name, **at_creation(properties))
    client.get_waiter("table_exists").wait(TableName=name)
    if time_to_live := properties.get("TimeToLiveSpecification"):
        client.update_time_to_live(TableName=name, TimeToLiveSpecification=time_to_live)


@pytest.fixture
def subscriptions(dynamodb: DynamoDb) -> Iterator[Subscriptions]:
    """A table with a name of its own, so that no test at a shared endpoint touches what is not its own."""
    client = dynamodb.client()
    properties: Mapping[str, Any] = Template.load(parameters=dict.fromkeys(_NEEDED, "any")).resources(
        "AWS::DynamoDB::Table"
    )["Subscriptions"]
    name = f"Subscriptions-test-{uuid.uuid4().hex[:12]}"
    try:
        create_table(client, name, properties)
        yield Subscriptions(dynamodb, name)
    finally:
        client.delete_table(TableName=name)
