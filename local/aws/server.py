"""AWS on this machine: moto's server, one request at a time, because moto loses concurrent conditional writes."""

import argparse
import io
import logging
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


HOST = "127.0.0.1"


class OneAtATime:
    """A WSGI application that lets one request into the wrapped one, and the next when its answer is complete."""

    def __init__(self, application: "WSGIApplication") -> None:
        self._application = application
        self._lock = threading.Lock()

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Return a request; its body is read before the lock is taken, so that a slow client holds up nobody."""
        if length := environ.get("CONTENT_LENGTH"):
            environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(int(length)))
        with self._lock:
            answer = self._application(environ, start_response)
            try:
                return [b"".join(answer)]
            finally:
                if hasattr(answer, "close"):
                    answer.close()


def make_aws_server(port: int) -> BaseWSGIServer:
    """Return a server for the port (0: any free one, see its `server_port`), to be run by `serve_forever`."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    application = OneAtATime(DomainDispatcherApplication(create_backend_app))
    return make_server(HOST, port, application, threaded=True, request_handler=MotoRequestHandler)


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=5555)
    make_aws_server(parser.parse_args().port).serve_forever()


if __name__ == "__main__":
    main()
