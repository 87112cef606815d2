"""Serves an ASGI application from a thread of this process, so that the main thread can watch and be interrupted."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from local.children import NotRunning
from local.places import HOST


@contextmanager
def serving(application: ASGIApp, port: int) -> Iterator[threading.Thread]:
    """Serve while the `with` block runs. Raises `NotRunning` when the server does not start."""
    config = uvicorn.Config(
        application,
        host=HOST,
        port=port,
        lifespan="off",
        log_level="warning",
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="site", daemon=True)
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise NotRunning(f"The site could not start on port {port}.")
            time.sleep(0.02)
        yield thread
    finally:
        server.should_exit = True
        thread.join(5)
