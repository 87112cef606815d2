"""moto's server, which handles one request at a time here, because moto loses concurrent conditional writes."""

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
