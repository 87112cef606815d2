"""AWS's answers for a bench: before the request is sent, so that no network counts, or from a process beside it."""

import io
import json
import multiprocessing
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast
from unittest.mock import patch

import uvicorn
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.httpsession import URLLib3Session

from shared.lean_client import Connections, Response


class _Body(io.BytesIO):
    """What botocore reads an answer from."""

    def stream(self) -> list[bytes]:
        """All at once."""
        return [self.read()]


@contextmanager
def answered_here(content_of: Callable[[str, bytes], dict[str, Any] | None]) -> Iterator[None]:
    """Answer each request of AWS's clients, in whatever way it is sent, with this content; `None` lets it be sent.

    `content_of` is given the service and the operation (`DynamoDB_20120810.Query`), and the body.
    """
    send, post = URLLib3Session.send, Connections.post

    def answered(session: URLLib3Session, request: AWSPreparedRequest) -> AWSResponse:
        target, body = request.headers["X-Amz-Target"], cast("bytes", request.body)
        content = content_of(target.decode() if isinstance(target, bytes) else str(target), body)
        if content is None:
            return send(session, request)
        headers: Any = {"Content-Type": "application/x-amz-json-1.0"}
        return AWSResponse(str(request.url), 200, headers, _Body(json.dumps(content).encode()))

    def answered_post(connections: Connections, headers: Mapping[str, str], body: bytes) -> Response | None:
        content = content_of(headers["x-amz-target"], body)
        if content is None:
            return post(connections, headers, body)
        return Response(200, None, json.dumps(content).encode())

    with patch.object(URLLib3Session, "send", answered), patch.object(Connections, "post", answered_post):
        yield


async def _empty_answers(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/x-amz-json-1.0"), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"{}"})


def _serve(listening: socket.socket) -> None:
    config = uvicorn.Config(_empty_answers, log_level="error", lifespan="off", timeout_keep_alive=300)
    uvicorn.Server(config).run(sockets=[listening])


@contextmanager
def empty_answers_from_beside() -> Iterator[str]:
    """The address of a server in a process of its own that answers each request with an empty object."""
    # asyncio turns Nagle's algorithm off only where the protocol is named; else each answer waits 40 ms.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        process = multiprocessing.get_context("spawn").Process(target=_serve, args=(listening,), daemon=True)
        process.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            process.terminate()
            process.join()
