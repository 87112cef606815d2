"""Services that are slow, hang, throttle or are down, in time that passes only for the code under test.

A fault takes effect where botocore and requests send a request, and costs what the time-outs of that request say.
Waiting moves a clock instead of passing, and a request is answered as one of its kind was before, so a drill of ten
seconds takes milliseconds. `tests/integration/test_hanging_services.py` shows that sockets keep to these time-outs.
"""

import io
import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ConnectTimeoutError, EndpointConnectionError, HTTPClientError, ReadTimeoutError
from botocore.httpsession import URLLib3Session
from requests.adapters import HTTPAdapter
from urllib3 import Timeout

from shared.lean_client import Connections, Response


class Service(StrEnum):
    """What a function waits for."""

    SECRETS_MANAGER = "Secrets Manager"
    DYNAMODB = "DynamoDB"
    SQS = "SQS"
    SES = "SES"
    STRIPE = "Stripe"


class Fault(StrEnum):
    """How a service can fail somebody who waits."""

    DOWN = "down"
    UNREACHABLE = "unreachable"
    HANGING = "hanging"
    SLOW = "3.5 s a call"
    SLUGGISH = "1.9 s a call"
    THROTTLED = "throttled"


SECONDS = {Fault.SLOW: 3.5, Fault.SLUGGISH: 1.9}
# The longest pause before a second attempt that botocore takes from a service.
RETRY_AFTER_MILLISECONDS = "5000"
_BY_TARGET = {
    "secretsmanager": Service.SECRETS_MANAGER,
    "DynamoDB_20120810": Service.DYNAMODB,
    "AmazonSQS": Service.SQS,
}
# Status, headers and content.
_Answer = tuple[int, dict[str, str], bytes]


class SlowServices:
    """The faults now, and `now`, the seconds that have passed for this thread and those that it starts.

    Within `recording` requests are sent; afterwards each is answered as the first, second... of its kind was there.
    """

    def __init__(self, stripe_url: str) -> None:
        self._stripe_url = stripe_url
        self._outsiders = {thread.ident for thread in threading.enumerate()} - {threading.get_ident()}
        self._main = threading.get_ident()
        self._times = {self._main: 0.0}
        self._faults: Mapping[Service, Fault] = {}
        self._answers: defaultdict[str, list[_Answer]] = defaultdict(list)
        self._asked: Counter[str] = Counter()
        self._records = False

    @property
    def now(self) -> float:
        """The seconds that have passed. Threads wait side by side, and whoever started them waits for the last."""
        thread = threading.get_ident()
        if thread == self._main:
            self._times = {thread: max(self._times.values())}
        return self._times.setdefault(thread, self._times[self._main])

    def _pass(self, seconds: float) -> None:
        self._times[threading.get_ident()] = self.now + seconds

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Send requests, and remember the answers."""
        self._records = True
        yield
        self._records = False

    @contextmanager
    def failing(self, faults: Mapping[Service, Fault]) -> Iterator[None]:
        """Have these services fail for a while."""
        self._faults = faults
        self._asked.clear()
        yield
        self._faults = {}
        self._asked.clear()

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Stand between the code and its services until the test ends."""
        send_to_aws, post, send_to_stripe = URLLib3Session.send, Connections.post, HTTPAdapter.send
        sleep, monotonic = time.sleep, time.monotonic

        def to_aws(session: Any, request: Any) -> Any:
            timeout = session._timeout
            name = request.headers.get("X-Amz-Target", b"")
            status, headers, body = self._to_aws(
                name if isinstance(name, str) else name.decode(),
                request.body,
                (timeout.connect_timeout, timeout.read_timeout),
                lambda: _of_aws(send_to_aws(session, request)),
            )
            any_headers: Any = headers
            return AWSResponse(request.url, status, any_headers, _Raw(body))

        def to_aws_at_once(connections: Connections, headers: Mapping[str, str], body: bytes) -> Response | None:
            def send() -> _Answer:
                response = post(connections, headers, body)
                assert response is not None
                return response.status, {}, response.content

            timeouts = connections.settings.connect_timeout, connections.settings.read_timeout
            try:
                status, _, content = self._to_aws(headers["x-amz-target"], body, timeouts, send)
            except (HTTPClientError, ConnectionError):
                return None
            return Response(status, None, content)

        def to_stripe(adapter: Any, request: Any, *args: Any, **options: Any) -> Any:
            def send() -> Any:
                return send_to_stripe(adapter, request, *args, **options)

            if not request.url.startswith(f"{self._stripe_url}/v1/"):
                return send()
            return self._to_stripe(request, options["timeout"], send)

        def pause(seconds: float) -> None:
            if threading.get_ident() in self._outsiders:
                sleep(seconds)
            else:
                self._pass(seconds)

        monkeypatch.setattr(URLLib3Session, "send", to_aws)
        monkeypatch.setattr(Connections, "post", to_aws_at_once)
        monkeypatch.setattr(HTTPAdapter, "send", to_stripe)
        monkeypatch.setattr(time, "sleep", pause)
        monkeypatch.setattr(
            time, "monotonic", lambda: monotonic() if threading.get_ident() in self._outsiders else self.now
        )

    def _to_aws(self, target: str, body: Any, timeouts: tuple[Any, Any], send: Callable[[], _Answer]) -> _Answer:
        service = _BY_TARGET.get(target.partition(".")[0], Service.SES)
        connect_timeout, read_timeout = map(_seconds, timeouts)
        match self._faults.get(service):
            case Fault.DOWN:
                raise EndpointConnectionError(endpoint_url=service)
            case Fault.UNREACHABLE:
                self._pass(connect_timeout)
                raise ConnectTimeoutError(endpoint_url=service)
            case Fault.THROTTLED:
                return _throttled()
            case fault if self._is_late(fault, read_timeout):
                raise ReadTimeoutError(endpoint_url=service)
        # Of secrets it matters which one.
        return self._answer(f"{target} {json.loads(body)}" if service is Service.SECRETS_MANAGER else target, send)

    def _to_stripe(
        self, request: requests.PreparedRequest, timeout: float | Timeout, send: Callable[[], requests.Response]
    ) -> requests.Response:
        whole = _seconds(timeout.clone().total if isinstance(timeout, Timeout) else timeout)
        match self._faults.get(Service.STRIPE):
            case Fault.DOWN:
                raise requests.ConnectionError("refused")
            case Fault.UNREACHABLE:
                self._pass(whole)
                raise requests.ConnectTimeout("no connection")
            case Fault.THROTTLED:
                return _response(request, 429, {}, b'{"error": {"code": "rate_limit"}}')
            case fault if self._is_late(fault, whole):
                raise requests.ReadTimeout("no answer")
        kind = f"{request.method} {urlsplit(str(request.url)).path}"
        return _response(request, *self._answer(kind, lambda: _of_stripe(send())))

    def _is_late(self, fault: Fault | None, most: float) -> bool:
        """Wait for the answer, but not longer than `most` seconds."""
        if fault is None:
            return False
        seconds = SECONDS.get(fault, float("inf"))
        self._pass(min(seconds, most))
        return seconds >= most

    def _answer(self, kind: str, send: Callable[[], _Answer]) -> _Answer:
        known = self._answers[kind]
        if self._records or not known:
            known.append(send())
            return known[-1]
        self._asked[kind] += 1
        return known[min(self._asked[kind], len(known)) - 1]


def _seconds(value: object) -> float:
    assert isinstance(value, int | float)
    return float(value)


class _Raw(io.BytesIO):
    """What botocore reads a response from."""

    def stream(self) -> list[bytes]:
        """All at once."""
        return [self.read()]


def _of_aws(response: Any) -> _Answer:
    return response.status_code, dict(response.headers), response.content


def _of_stripe(response: requests.Response) -> _Answer:
    return response.status_code, dict(response.headers), response.content


def _throttled() -> _Answer:
    headers = {"Content-Type": "application/x-amz-json-1.0", "x-amz-retry-after": RETRY_AFTER_MILLISECONDS}
    return 400, headers, json.dumps({"__type": "ThrottlingException", "message": "Rate exceeded"}).encode()


def _response(
    request: requests.PreparedRequest, status: int, headers: dict[str, str], body: bytes
) -> requests.Response:
    response = requests.Response()
    response.status_code, response.request, response.url = status, request, str(request.url)
    response.headers.update(headers)
    response._content = body
    return response
