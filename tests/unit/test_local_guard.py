"""Which requests the local servers refuse; the stack's guard and the simulator's own have to agree."""

import asyncio
from collections.abc import Callable

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Scope

from local.guard import LocalGuard
from local.stripe_simulator.guard import Guard

HOST = "127.0.0.1:8787"
OWN = f"http://{HOST}"
LINK = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
Status = Callable[[str, dict[str, str]], int]


async def _status(application: ASGIApp, method: str, headers: dict[str, str]) -> int:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    scope: Scope = {"type": "http", "method": method, "path": "/", "query_string": b"", "headers": raw}
    statuses: list[int] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])
            assert not any(name.startswith(b"access-control") for name, _ in message["headers"])

    await application(scope, receive, send)
    return statuses[0]


@pytest.fixture(params=[LocalGuard, Guard], ids=["the stack's", "the simulator's"])
def status(request: pytest.FixtureRequest) -> Status:
    guarded = request.param(PlainTextResponse("secret"))
    return lambda method, headers: asyncio.run(_status(guarded, method, headers))


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", {"host": HOST}),
        ("POST", {"host": "localhost"}),
        ("GET", {"host": "LOCALHOST:1"}),
        ("POST", {"host": HOST, "origin": OWN}),
        ("POST", {"host": HOST, "origin": OWN, "sec-fetch-site": "same-origin"}),
        ("GET", {"host": HOST, "sec-fetch-site": "none", **LINK}),
        (
            "GET",
            {"host": HOST, "sec-fetch-site": "same-origin", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"},
        ),
        # Somebody follows a link or a redirect from another site.
        ("GET", {"host": HOST, "sec-fetch-site": "cross-site", **LINK}),
        ("GET", {"host": HOST, "sec-fetch-site": "same-site", **LINK}),
    ],
)
def test_programs_and_own_pages_pass_and_links_may_be_followed(
    status: Status, method: str, headers: dict[str, str]
) -> None:
    assert status(method, headers) == 200


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        # A name that its owner points at 127.0.0.1 (DNS rebinding).
        ("GET", {"host": "evil.example:8787"}),
        ("GET", {"host": "127.0.0.1.evil.example"}),
        ("GET", {"host": "127.0.0.1@evil.example"}),
        ("GET", {"host": "evil.example", "origin": "http://evil.example"}),
        ("GET", {"host": "0.0.0.0:8787"}),
        ("GET", {"host": "[::1"}),
        ("GET", {"host": ""}),
        ("GET", {}),
        # A page of another origin, on this machine too.
        ("GET", {"host": HOST, "origin": "https://evil.example"}),
        ("OPTIONS", {"host": HOST, "origin": "https://evil.example"}),
        ("GET", {"host": HOST, "origin": "null"}),
        ("GET", {"host": HOST, "origin": ""}),
        ("POST", {"host": HOST, "origin": "http://127.0.0.1:8788"}),
        ("POST", {"host": HOST, "origin": "http://localhost:8787"}),
        ("POST", {"host": HOST, "origin": f"https://{HOST}"}),
        # What a browser sends without `Origin`: images, scripts, frames.
        (
            "GET",
            {"host": HOST, "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "script"},
        ),
        ("GET", {"host": HOST, "sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}),
        (
            "GET",
            {"host": HOST, "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"},
        ),
        ("POST", {"host": HOST, "sec-fetch-site": "cross-site", **LINK}),
    ],
)
def test_other_hosts_and_pages_of_other_origins_are_refused(
    status: Status, method: str, headers: dict[str, str]
) -> None:
    assert status(method, headers) == 403


def test_an_origin_can_be_allowed_and_links_can_be_refused() -> None:
    shop = "http://localhost:8787"
    api = LocalGuard(PlainTextResponse("secret"), allowed_origins=[shop])
    asked = {"host": HOST, "origin": shop, "sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"}
    assert asyncio.run(_status(api, "POST", asked)) == 200
    assert asyncio.run(_status(api, "POST", asked | {"origin": "http://localhost:8788"})) == 403


@pytest.mark.parametrize("guard", [LocalGuard, Guard])
def test_a_web_socket_of_another_origin_is_refused(guard: Callable[[ASGIApp], ASGIApp]) -> None:
    async def never(*_: object) -> None:
        raise AssertionError("the application was called")

    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"host", HOST.encode()), (b"origin", b"https://evil.example")]
    asyncio.run(guard(never)({"type": "websocket", "path": "/", "headers": headers}, receive, send))  # type: ignore[arg-type]  # a coroutine too
    assert [message["type"] for message in sent] == ["websocket.close"]
