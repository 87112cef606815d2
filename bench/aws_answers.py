"""AWS's answers for a bench: before the request is sent, so that no network counts, or from a process beside it."""

import io
import json
import multiprocessing
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import uvicorn
from botocore.awsrequest import AWSRequest, AWSResponse


class _Body(io.BytesIO):
    """What botocore reads an answer from."""

    def stream(self) -> list[bytes]:
        """All at once."""
        return [self.read()]


def _answer(content: dict[str, Any], request: AWSRequest, **_: object) -> AWSResponse:
    headers: Any = {"Content-Type": "application/x-amz-json-1.0"}
    return AWSResponse(str(request.url), 200, headers, _Body(json.dumps(content).encode()))


def answer_before_sending(client: Any, content: dict[str, Any]) -> None:
    """Give each request of the client this answer."""
    service = client.meta.service_model.service_id.hyphenize()
    client.meta.events.register(f"before-send.{service}", partial(_answer, content))


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
    with socket.create_server(("127.0.0.1", 0)) as listening:
        process = multiprocessing.get_context("spawn").Process(target=_serve, args=(listening,), daemon=True)
        process.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            process.terminate()
            process.join()
