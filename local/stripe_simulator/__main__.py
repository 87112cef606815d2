"""Runs the simulator as a server of its own: `python -m local.stripe_simulator`."""

import argparse
import socket
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import uvicorn

from local.stripe_simulator.app import create_app
from local.stripe_simulator.seed import Seed, SeedError
from local.stripe_simulator.state import StateError


def moment(text: str) -> float:
    """Unix seconds of a date or of a time; without a zone it is UTC."""
    parsed = datetime.fromisoformat(text)
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local.stripe_simulator", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=12111, help="0 takes a free one (default: 12111)")
    parser.add_argument("--as-of", type=moment, metavar="TIME", help="the simulator's time at start, ISO 8601")
    parser.add_argument("--seed", type=Path, metavar="FILE", help="first objects, in the format of `stripe fixtures`")
    parser.add_argument(
        "--state",
        type=Path,
        metavar="FILE",
        help="go on from this file if it exists, and write it when the server ends",
    )
    parser.add_argument("--public-url", metavar="URL", help="where browsers reach the hosted pages (default: here)")
    parser.add_argument("--retry-seconds", type=float, default=2.0, help="wait before a delivery's first retry")
    return parser.parse_args()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    # Only with its protocol named does asyncio switch Nagle's algorithm off, which costs 40 ms a request.
    listener = socket.socket(family, proto=socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen()
    return listener


def main() -> None:
    """Serve until interrupted."""
    options = _options()
    try:
        listener = _listen(options.host, options.port)
        name = f"[{options.host}]" if ":" in options.host else options.host
        url = f"http://{name}:{listener.getsockname()[1]}"
        app = create_app(
            public_url=options.public_url or url,
            now=options.as_of,
            retry_seconds=options.retry_seconds,
            host=options.host,
            seed=Seed.read(options.seed) if options.seed else None,
            state_file=options.state,
        )
    except (OSError, SeedError, StateError) as error:
        sys.exit(f"The simulator cannot start. {error}")
    sys.stdout.write(f"Simulated Stripe on {url}\n")
    sys.stdout.flush()
    config = uvicorn.Config(app, log_level="warning", date_header=False, server_header=False, ws="wsproto")
    # uvicorn ends cleanly at Ctrl-C, and then raises it again.
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
