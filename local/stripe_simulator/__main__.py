"""Runs the simulator as a server of its own: `python -m local.stripe_simulator`."""

import argparse
import socket
import sys
from datetime import UTC, datetime

import uvicorn

from local.stripe_simulator.app import create_app

_HOST = "127.0.0.1"


def moment(text: str) -> float:
    """Unix seconds of a date or of a time; without a zone it is UTC."""
    parsed = datetime.fromisoformat(text)
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local.stripe_simulator", description=__doc__)
    parser.add_argument("--port", type=int, default=12111, help="0 takes a free one (default: 12111)")
    parser.add_argument("--as-of", type=moment, metavar="TIME", help="the simulator's time at start, ISO 8601")
    parser.add_argument("--public-url", metavar="URL", help="where browsers reach the hosted pages (default: here)")
    parser.add_argument("--retry-seconds", type=float, default=2.0, help="wait before a delivery's first retry")
    return parser.parse_args()


def main() -> None:
    """Serve until interrupted."""
    options = _options()
    # Only with its protocol named does asyncio switch Nagle's algorithm off, which costs 40 ms a request.
    listener = socket.socket(proto=socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((_HOST, options.port))
    listener.listen()
    url = f"http://{_HOST}:{listener.getsockname()[1]}"
    app = create_app(public_url=options.public_url or url, now=options.as_of, retry_seconds=options.retry_seconds)
    sys.stdout.write(f"Simulated Stripe on {url}\n")
    sys.stdout.flush()
    config = uvicorn.Config(app, log_level="warning", date_header=False, server_header=False, ws="none")
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
