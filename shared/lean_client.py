"""The few AWS requests that nearly every invocation makes, without botocore's client of the service.

Making such a client reads the description of the whole service and of all endpoints, and loads boto3 and urllib3: a
third of a cold start. Each request through it costs five times the CPU of this way (bench/README.md). So the first
attempt at these requests is built, signed and sent here, with the standard library. All else is left to botocore's
client, which is made when it is first needed: other operations, further attempts, pauses, errors, endpoints, proxies.
"""

import hmac
import json
import os
import re
import select
import ssl
import weakref
import zlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache, cached_property, lru_cache, partial
from hashlib import sha256
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import botocore
from botocore.exceptions import ClientError

from shared.aws import CONDITION_FAILED, ClientSettings, refuse_what_is_too_late, request_client


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
# Settings that change how requests are addressed, signed or sent; under any of them botocore's client sends them all.
_OWN_WAYS = frozenset(
    {
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
        "AWS_PROFILE",
        "AWS_USE_DUALSTACK_ENDPOINT",
        "AWS_USE_FIPS_ENDPOINT",
        "HTTPS_PROXY",
        "HTTP_PROXY",
        "http_proxy",
        "https_proxy",
    }
)
# The same authorities as botocore trusts where it is installed without certifi.
_AUTHORITIES = Path(botocore.__file__).with_name("cacert.pem")


class Response(NamedTuple):
    """A whole response; `checksum` is that of the content, if the service sends one, as DynamoDB does."""

    status: int
    checksum: str | None
    content: bytes


class Signer(NamedTuple):
    """Signs requests with Signature Version 4, with the credentials that Lambda sets once for each environment.

    Source: docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html; a test compares the
    signatures with botocore's.
    """

    service: str
    region: str
    access_key: str
    secret_key: str
    token: str | None

    def signed(self, headers: Mapping[str, str], body: bytes, now: datetime) -> dict[str, str]:
        """Return the headers of a POST to `/` with its signature; their names are in lower case."""
        time = now.strftime("%Y%m%dT%H%M%SZ")
        day = time[:8]
        dated = {**headers, "x-amz-date": time} | ({"x-amz-security-token": self.token} if self.token else {})
        names = sorted(dated)
        signed = ";".join(names)
        lines = "".join(f"{name}:{dated[name]}\n" for name in names)
        request = f"POST\n/\n\n{lines}\n{signed}\n{sha256(body).hexdigest()}"
        scope = f"{day}/{self.region}/{self.service}/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{time}\n{scope}\n{sha256(request.encode()).hexdigest()}"
        signature = _hmac(_signing_key(self.secret_key, day, self.region, self.service), text).hex()
        credential = f"Credential={self.access_key}/{scope}, SignedHeaders={signed}, Signature={signature}"
        return dated | {"authorization": f"AWS4-HMAC-SHA256 {credential}"}


@lru_cache(maxsize=8)
def _signing_key(secret_key: str, *scope: str) -> bytes:
    key = f"AWS4{secret_key}".encode()
    for part in (*scope, "aws4_request"):
        key = _hmac(key, part)
    return key


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")


class Connections:
    """Connections to one address, each kept for the next request."""

    def __init__(self, endpoint: str, settings: ClientSettings, authorities: str | Path = _AUTHORITIES) -> None:
        """`authorities` is the file of certificates that an HTTPS server's certificate has to come from."""
        self._address = urlsplit(endpoint)
        self._idle: list[HTTPConnection] = []
        weakref.finalize(self, _close_all, self._idle)
        self.settings = settings
        self.authorities = authorities

    def post(self, headers: Mapping[str, str], body: bytes) -> Response | None:
        """Return the response to a POST to `/`; `None` where there was no whole one."""
        connection = None
        try:
            connection = self._kept() or self._opened()
            connection.request("POST", "/", body, headers)
            reading = connection.getresponse()
            response = Response(reading.status, reading.getheader("x-amz-crc32"), reading.read())
        except (OSError, HTTPException):
            if connection:
                connection.close()
            return None
        if connection.sock:
            self._idle.append(connection)
        return response

    def _kept(self) -> HTTPConnection | None:
        """Return a connection that is still open; each is used by one thread at a time."""
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            # What comes without being asked for is the end of the connection.
            unasked = select.poll()
            unasked.register(connection.sock, select.POLLIN)
            if not unasked.poll(0):
                return connection
            connection.close()

    def _opened(self) -> HTTPConnection:
        host, port, seconds = self._address.hostname or "", self._address.port, self.settings.connect_timeout
        connection = (
            HTTPSConnection(host, port, timeout=seconds, context=_tls(self.authorities))
            if self._address.scheme == "https"
            else HTTPConnection(host, port, seconds)
        )
        try:
            connection.connect()
        except BaseException:
            connection.close()
            raise
        connection.sock.settimeout(self.settings.read_timeout)
        return connection


def _close_all(connections: list[HTTPConnection]) -> None:
    for connection in connections:
        connection.close()


@cache
def _tls(authorities: str | Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # it checks certificates and host names
    context.load_verify_locations(authorities)
    return context


def lean_client(
    service: str,
    settings: ClientSettings,
    *,
    make: Callable[[], Any] | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Any:
    """Return a client that sends the first attempts itself, and has the client that `make` makes do all else.

    `make` makes a `request_client` unless it is given. Where the environment has no credentials, no known region, or
    unusual settings, that client is returned itself.
    """
    make = make or partial(request_client, service, settings)
    endpoint = endpoint_of(service, environment)
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    if endpoint is None or not all(environment.get(name) for name in names):
        return make()
    region = environment.get("AWS_DEFAULT_REGION", "us-east-1")
    access_key, secret_key = (environment[name] for name in names)
    signer = Signer(service, region, access_key, secret_key, environment.get("AWS_SESSION_TOKEN"))
    authorities = environment.get("AWS_CA_BUNDLE") or environment.get("REQUESTS_CA_BUNDLE") or _AUTHORITIES
    return LeanClient(signer, make, Connections(endpoint, settings, authorities), urlsplit(endpoint).netloc)


def endpoint_of(service: str, environment: Mapping[str, str]) -> str | None:
    """Return the address of the service in the environment's region; `None` where only botocore knows it."""
    if _OWN_WAYS & environment.keys():
        return None
    region = environment.get("AWS_DEFAULT_REGION", "")
    regional = f"https://{service}.{region}.amazonaws.com" if _REGION.fullmatch(region) else None
    own = environment.get(f"AWS_ENDPOINT_URL_{_PROTOCOLS[service].setting}") or environment.get("AWS_ENDPOINT_URL")
    return own if own and urlsplit(own).path in {"", "/"} else None if own else regional


class LeanClient:
    """Has the methods of botocore's client: a few are its own, and the others are those of the client that it makes."""

    def __init__(self, signer: Signer, make: Callable[[], Any], connections: Connections, host: str) -> None:
        self.signer = signer
        self._protocol = _PROTOCOLS[signer.service]
        self._make = make
        self._connections = connections
        self._host = host

    def __getattr__(self, name: str) -> Any:
        """Return a method; it is only asked for what this class does not have."""
        operation = _OPERATIONS.get(name)
        return partial(self._call, name, operation) if operation else getattr(self._botocore, name)

    @cached_property
    def _botocore(self) -> Any:
        return self._make()

    def _call(self, method: str, operation: str, **parameters: Any) -> Any:
        """Return the response's content; raise `ClientError` where a condition failed, as botocore's client does."""
        response = self._first_attempt(operation, json.dumps(parameters).encode())
        if response is not None and _is_whole(response):
            if response.status == HTTPStatus.OK:
                return json.loads(response.content)
            if failed := _failed_condition(response):
                raise ClientError(failed, operation)
        return getattr(self._botocore, method)(**parameters)

    def _first_attempt(self, operation: str, body: bytes) -> Response | None:
        """Return the response; `None` where there was none. Raises `DeadlineReached`."""
        refuse_what_is_too_late()
        headers = {
            "content-type": f"application/x-amz-json-{self._protocol.json_version}",
            "host": self._host,
            "x-amz-target": f"{self._protocol.target}.{operation}",
        }
        return self._connections.post(self.signer.signed(headers, body, datetime.now(UTC)), body)


def _is_whole(response: Response) -> bool:
    return response.checksum is None or response.checksum == str(zlib.crc32(response.content))


def _failed_condition(response: Response) -> Any:
    """Return the error in botocore's form if a write's condition did not hold, which no further attempt changes."""
    if response.status != HTTPStatus.BAD_REQUEST:
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
