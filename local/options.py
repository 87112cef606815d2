"""The options of `python -m local`, and what of the environment it heeds."""

import argparse
import os
import re
from datetime import UTC, datetime

from local.addresses import STRIPE_API, Addresses, Options


def read_options() -> Options:
    """Read the command line and the environment; ends the process with one line where they are wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m local",
        description="Run the whole product on this machine: the API, a demo site, a Stripe simulator and a local AWS.",
    )
    parser.add_argument(
        "--as-of", type=_moment, metavar="TIME", help="start at this time instead of now, such as 2024-07-15 (UTC)"
    )
    parser.add_argument("--port", type=_port, default=8787, help="port of the demo site and the API (8787)")
    parser.add_argument("--stripe-port", type=_port, default=12111, help="port of the Stripe simulator (12111)")
    parser.add_argument("--aws-port", type=_port, default=5555, help="port of the local AWS (5555)")
    parser.add_argument(
        "--log-level",
        default="WARNING",
        choices=["DEBUG", "INFO", "WARNING"],
        help="log level of the functions (default: WARNING)",
    )
    parser.add_argument(
        "--oidc", action="store_true", help="let users sign in: POST /portal/sessions requires their token"
    )
    parser.add_argument(
        "--parameter",
        type=_parameter,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of template.yaml, as you would deploy it; can be repeated",
    )
    given = parser.parse_args()
    key = os.environ.get("STRIPE_API_KEY") or None
    if key and not key.startswith(("sk_test_", "rk_test_")):
        parser.error(
            "STRIPE_API_KEY must be a test key (sk_test_... or rk_test_...): this demo does not run on live data."
        )
    if key and given.as_of:
        parser.error(
            "--as-of works only with the simulator: unset STRIPE_API_KEY, because Stripe's own clock cannot be moved."
        )
    api = os.environ.get("STRIPE_API_BASE") or STRIPE_API
    if key and api != STRIPE_API and not re.fullmatch(r"http://127\.0\.0\.1:\d+", api):
        parser.error("STRIPE_API_BASE may only name another simulator on this machine, such as http://127.0.0.1:12111.")
    ports = [given.port, given.aws_port, *([] if key else [given.stripe_port])]
    if len(set(ports)) < len(ports):
        parser.error("--port, --stripe-port and --aws-port must be different.")
    addresses = Addresses(given.port, None if key else given.stripe_port, given.aws_port, api if key else STRIPE_API)
    return Options(
        addresses,
        given.as_of,
        key,
        os.environ.get("STRIPE_WEBHOOK_SECRET") or None,
        given.log_level,
        given.oidc,
        dict(given.parameter),
    )


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):  # noqa: PLR2004 - the ports that there are
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: write a number from 1 to 65535")
    return int(text)


def _parameter(text: str) -> list[str]:
    name, separator, value = text.partition("=")
    if not (name and separator):
        raise argparse.ArgumentTypeError(f"{text!r} is not a parameter: write NAME=VALUE")
    return [name, value]


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a date or time: write 2024-07-15 or 2024-07-15T08:30"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
