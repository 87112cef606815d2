"""The few AWS requests that nearly every invocation makes, without botocore's client of the service.

Making such a client reads the description of the whole service and of all endpoints, and loads boto3: a quarter of a
cold start. Each request through it costs twice the CPU of signing and sending (bench/README.md). So the first attempt
at these requests is built here, and signed and sent by botocore's own signer and session. All else is left to
botocore's client, which is made when it is first needed: other operations, further attempts, pauses, errors, endpoints.
"""

import json
import os
import re
import socket
import zlib
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.exceptions import ClientError, HTTPClientError
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies

from shared.aws import CONDITION_FAILED, refuse_what_is_too_late, request_client

if TYPE_CHECKING:
    from botocore.config import Config


class _Protocol(NamedTuple):
    """How a service is addressed, as its description in botocore says: `targetPrefix`, `jsonVersion`, `serviceId`."""

    target: str
    json_version: str
    setting: str


_PROTOCOLS = {
    "dynamodb": _Protocol("DynamoDB_20120810", "1.0", "DYNAMODB"),
    "secretsmanager": _Protocol("secretsmanager", "1.1", "SECRETS_MANAGER"),
}
_OPERATIONS = {
    "get_item": "GetItem",
    "get_secret_value": "GetSecretValue",
    "query": "Query",
    "update_item": "UpdateItem",
}
# The regions whose endpoints end in `amazonaws.com` (botocore's partitions.json; a test compares all endpoints).
_REGION = re.compile(r"(us|eu|ap|sa|ca|me|af|il|mx)-\w+-\d+|us-gov-\w+-\d+")
# Settings that change how requests are addressed or signed; under any of them botocore's client sends all requests.
_OWN_WAYS = frozenset(
    {
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
        "AWS_PROFILE",
        "AWS_USE_DUALSTACK_ENDPOINT",
        "AWS_USE_FIPS_ENDPOINT",
    }
)
# botocore's clients set it too: a request is sent in two parts, and the second must not wait for an acknowledgement.
_SOCKET_OPTIONS: Any = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]


class _Credentials(NamedTuple):
    """What a signer needs; Lambda sets them once for each environment, unless it restores a snapshot."""

    access_key: str
    secret_key: str
    token: str | None


def lean_client(
    service: str,
    config: "Config",
    *,
    make: Callable[[], Any] | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Any:
    """Return a client that sends the first attempts itself, and has the client that `make` makes do all else.

    `make` makes a `request_client` unless it is given. Where the environment has no credentials, no known region, or
    unusual settings, that client is returned itself.
    """
    make = make or partial(request_client, service, config)
    endpoint = endpoint_of(service, environment)
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    if endpoint is None or not all(environment.get(name) for name in names):
        return make()
    access_key, secret_key = (environment[name] for name in names)
    keys: Any = _Credentials(access_key, secret_key, environment.get("AWS_SESSION_TOKEN"))
    signer = SigV4Auth(keys, service, environment.get("AWS_DEFAULT_REGION", "us-east-1"))
    return LeanClient(_PROTOCOLS[service], signer, make, _session(endpoint, config, environment), endpoint)


def _session(endpoint: str, config: "Config", environment: Mapping[str, str]) -> URLLib3Session:
    """Return what sends requests, as botocore makes it for its own clients."""
    settings: Any = config
    verify: Any = environment.get("AWS_CA_BUNDLE") or environment.get("REQUESTS_CA_BUNDLE") or True
    timeout: Any = (settings.connect_timeout, settings.read_timeout)
    return URLLib3Session(
        verify=verify,
        proxies=get_environ_proxies(endpoint),
        timeout=timeout,
        max_pool_connections=settings.max_pool_connections,
        socket_options=_SOCKET_OPTIONS,
    )


def endpoint_of(service: str, environment: Mapping[str, str]) -> str | None:
    """Return the address of the service in the environment's region; `None` where only botocore knows it."""
    if _OWN_WAYS & environment.keys():
        return None
    region = environment.get("AWS_DEFAULT_REGION", "")
    regional = f"https://{service}.{region}.amazonaws.com" if _REGION.fullmatch(region) else None
    own = environment.get(f"AWS_ENDPOINT_URL_{_PROTOCOLS[service].setting}") or environment.get("AWS_ENDPOINT_URL")
    return own or regional


class LeanClient:
    """Has the methods of botocore's client: a few are its own, and the others are those of the client that it makes."""

    def __init__(
        self, protocol: _Protocol, signer: SigV4Auth, make: Callable[[], Any], session: URLLib3Session, endpoint: str
    ) -> None:
        self._protocol = protocol
        self._signer = signer
        self._make = make
        self._session = session
        self._endpoint = endpoint
        # Without it the signer takes the host from the address, twice for each request.
        self._host = urlsplit(endpoint).netloc

    def __getattr__(self, name: str) -> Any:
        """Return a method; it is only asked for what this class does not have."""
        operation = _OPERATIONS.get(name)
        return partial(self._call, name, operation) if operation else getattr(self._botocore, name)

    @cached_property
    def _botocore(self) -> Any:
        return self._make()

    def _call(self, method: str, operation: str, **parameters: Any) -> Any:
        """Return the response's content; raise `ClientError` where a condition failed, as botocore's client does."""
        response = self._first_attempt(operation, parameters)
        if response is not None and _is_whole(response):
            if response.status_code == HTTPStatus.OK:
                return json.loads(response.content)
            if failed := _failed_condition(response):
                raise ClientError(failed, operation)
        return getattr(self._botocore, method)(**parameters)

    def _first_attempt(self, operation: str, parameters: Mapping[str, Any]) -> AWSResponse | None:
        """Return the response; `None` where there was none. Raises `DeadlineReached`."""
        refuse_what_is_too_late()
        headers = {
            "Host": self._host,
            "Content-Type": f"application/x-amz-json-{self._protocol.json_version}",
            "X-Amz-Target": f"{self._protocol.target}.{operation}",
        }
        request: Any = AWSRequest("POST", self._endpoint, headers, json.dumps(parameters).encode())
        self._signer.add_auth(request)
        try:
            return self._session.send(request.prepare())
        except HTTPClientError:
            return None


def _is_whole(response: AWSResponse) -> bool:
    """Whether the content is what DynamoDB's checksum says, which no other service sends."""
    checksum = response.headers.get("x-amz-crc32")
    return checksum is None or int(checksum) == zlib.crc32(response.content)


def _failed_condition(response: AWSResponse) -> Any:
    """Return the error in botocore's form if a write's condition did not hold, which no further attempt changes."""
    if response.status_code != HTTPStatus.BAD_REQUEST:
        return None
    try:
        content = json.loads(response.content)
    except ValueError:
        return None
    match content:
        case {"__type": str(kind), **more} if kind.rpartition("#")[2] == CONDITION_FAILED:
            message = more.pop("message", None) or more.pop("Message", "")
            return {"Error": {"Code": CONDITION_FAILED, "Message": message}, **more}
        case _:
            return None
