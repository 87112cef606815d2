"""`python -m local`: runs the whole product on this machine until it is interrupted."""

import argparse
import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from local.stop_signals import Interrupted, StopSignals

if TYPE_CHECKING:
    from local.addresses import Options


def main() -> int:
    """Run the stack and return the exit code."""
    signals = StopSignals()
    try:
        signals.install()
        return _run(signals)
    except Interrupted:
        print("Stopped.")  # noqa: T201 - a program for a terminal
        return 0


def _run(signals: StopSignals) -> int:
    # Imported here, because this takes a moment in which Ctrl-C must work too.
    from local import stack  # noqa: PLC0415
    from local.aws.intrinsics import TemplateError  # noqa: PLC0415
    from local.processes import NotRunning  # noqa: PLC0415
    from shared.aws import isolate_environment  # noqa: PLC0415

    options = _read_options()
    isolate_environment()
    try:
        stack.run(options, signals)
    except (NotRunning, TemplateError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - a program for a terminal
    return 1


def _read_options() -> "Options":
    from local.addresses import Addresses, Options  # noqa: PLC0415

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
    ports = [given.port, given.aws_port, *([] if key else [given.stripe_port])]
    if len(set(ports)) < len(ports):
        parser.error("--port, --stripe-port and --aws-port must be different.")
    addresses = Addresses(given.port, None if key else given.stripe_port, given.aws_port)
    return Options(
        addresses, given.as_of, key, os.environ.get("STRIPE_WEBHOOK_SECRET") or None, given.log_level, given.oidc
    )


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):  # noqa: PLR2004 - the ports that there are
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: write a number from 1 to 65535")
    return int(text)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a date or time: write 2024-07-15 or 2024-07-15T08:30"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Everything is stopped. The interpreter's own end can wait for threads of the server, so it is left out.
    os._exit(code)
