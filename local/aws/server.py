"""moto's server, which handles one request at a time here, because moto loses concurrent conditional writes."""

import argparse
import io
import json
import logging
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from moto.backends import get_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.secretsmanager.models import SecretsManagerBackend
from werkzeug.serving import BaseWSGIServer, make_server

from local.guard import refusal_reason

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


HOST = "127.0.0.1"


_secrets_manager: Any = SecretsManagerBackend
_move_label = _secrets_manager.update_secret_version_stage


def _move_label_and_read_there(backend: Any, **options: Any) -> Any:
    """Move a label as moto does, and have moto read the version that AWSCURRENT was moved to, which it forgets."""
    moved = _move_label(backend, **options)
    if options["version_stage"] == "AWSCURRENT":
        backend.secrets[options["secret_id"]].set_default_version_id(options["move_to_version_id"])
    return moved


_secrets_manager.update_secret_version_stage = _move_label_and_read_there


class OneAtATime:
    """WSGI middleware that passes on one request at a time; the next waits until the response is complete."""

    def __init__(self, application: "WSGIApplication") -> None:
        self._application = application
        self._lock = threading.Lock()

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Serve one request. Its body is read before the lock is taken, so that a slow client blocks nobody."""
        if length := environ.get("CONTENT_LENGTH"):
            environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(int(length)))
        with self._lock:
            response = self._application(environ, start_response)
            try:
                return [b"".join(response)]
            finally:
                if hasattr(response, "close"):
                    response.close()


# What changes an item.
_WRITES = frozenset(
    f"DynamoDB_20120810.{name}"
    for name in ("BatchWriteItem", "DeleteItem", "PutItem", "TransactWriteItems", "UpdateItem")
)
_SEND_MAIL = "/v2/email/outbound-emails"
_REFUSAL = json.dumps(
    {
        "__type": "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
        "message": "The database refuses every write, because it was asked to.",
    }
).encode()


class LocalControl:
    """WSGI middleware at `/_local`: when mails were sent; on request DynamoDB refuses writes, and SQS ends delays.

    SQS does not know the stack's clock, so somebody who moves it says so. A mail's time is the one that its sender
    signed the request with (`X-Amz-Date`, such as `20261128T184016Z`).

    moto's own data (`/moto-api/data.json`) has the mails too, but building all of it stops every service meanwhile.
    """

    def __init__(self, application: "WSGIApplication") -> None:
        self._application = application
        self._refuses_writes = False
        self._mail_times: list[str] = []

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Serve a request of the control's own, refuse a write, or pass the request on."""
        if environ["PATH_INFO"] == "/_local":
            if environ["REQUEST_METHOD"] == "POST":
                body = json.loads(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)) or "{}")
                self._refuses_writes = bool(body.get("refuse_writes", self._refuses_writes))
                if body.get("queues_due"):
                    _end_delays()
            state = {"refuse_writes": self._refuses_writes, "mails": self._mail_times}
            return _respond(start_response, "200 OK", json.dumps(state).encode())
        if self._refuses_writes and environ.get("HTTP_X_AMZ_TARGET") in _WRITES:
            return _respond(start_response, "400 Bad Request", _REFUSAL)
        if environ["PATH_INFO"] == "/moto-api/reset":
            self._mail_times.clear()
        if environ["PATH_INFO"] != _SEND_MAIL:
            return self._application(environ, start_response)

        def start_and_note(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            if status.startswith("200"):
                self._mail_times.append(environ.get("HTTP_X_AMZ_DATE", ""))
            return start_response(status, headers, *error)

        return self._application(environ, start_and_note)


def _end_delays() -> None:
    for regions in get_backend("sqs").values():
        for backend in regions.values():
            for queue in backend.queues.values():
                for message in list(queue._messages):  # noqa: SLF001 - there is no public way
                    message.delayed_until = 0


def _respond(start_response: "StartResponse", status: str, body: bytes) -> list[bytes]:
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


class ProgramsOnly:
    """WSGI middleware that refuses every request of a web page, and removes the CORS headers that moto always sends."""

    def __init__(self, application: "WSGIApplication") -> None:
        self._application = application

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Serve or refuse one request."""
        headers = {
            name.removeprefix("HTTP_").replace("_", "-").lower(): value
            for name, value in environ.items()
            if name.startswith("HTTP_")
        }
        # Some AWS calls are plain GET requests: not even links from other sites may be followed.
        if reason := refusal_reason(environ["REQUEST_METHOD"], headers, links=False):
            start_response("403 Forbidden", [("Content-Type", "text/plain; charset=utf-8")])
            return [reason.encode()]

        def start_without_cors(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            kept = [(name, value) for name, value in headers if not name.lower().startswith("access-control-")]
            return start_response(status, kept, *error)

        return self._application(environ, start_without_cors)


def make_aws_server(port: int) -> BaseWSGIServer:
    """Return a server for the port (0: any free one, see its `server_port`), to be run by `serve_forever`."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    application = ProgramsOnly(LocalControl(OneAtATime(DomainDispatcherApplication(create_backend_app))))
    return make_server(HOST, port, application, threaded=True, request_handler=MotoRequestHandler)


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=5555)
    make_aws_server(parser.parse_args().port).serve_forever()


if __name__ == "__main__":
    main()
