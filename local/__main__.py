"""`python -m local`: runs the whole product on this machine until it is interrupted."""

import argparse
import os
import signal
import sys
from datetime import UTC, datetime
from typing import NoReturn

from local import stack
from local.addresses import Addresses, Options
from local.aws.intrinsics import TemplateError
from local.processes import NotRunning
from shared.aws import isolate_environment


class _Interrupted(BaseException):
    """Raised by a signal, so that everything is stopped in order."""


def main() -> int:
    """Run the stack and return the exit code."""
    options = _read_options()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    isolate_environment()
    try:
        stack.run(options)
    except (NotRunning, TemplateError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - a program for a terminal
        return 1
    except _Interrupted:
        print("Stopped.")  # noqa: T201 - a program for a terminal
    return 0


def _interrupt(_number: int, _frame: object) -> NoReturn:
    # Once is enough: what follows is the stopping itself.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    raise _Interrupted


def _read_options() -> Options:
    parser = argparse.ArgumentParser(
        prog="python -m local",
        description="Run the whole product on this machine: the API, a demo site, a Stripe simulator and a local AWS.",
    )
    parser.add_argument(
        "--as-of", type=_moment, metavar="TIME", help="start at this time instead of now, such as 2024-07-15 (UTC)"
    )
    parser.add_argument("--port", type=int, default=8787, help="port of the demo site and the API (default: 8787)")
    parser.add_argument("--stripe-port", type=int, default=12111, help="port of the Stripe simulator (default: 12111)")
    parser.add_argument("--aws-port", type=int, default=5555, help="port of the local AWS (default: 5555)")
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
    addresses = Addresses(given.port, None if key else given.stripe_port, given.aws_port)
    return Options(
        addresses, given.as_of, key, os.environ.get("STRIPE_WEBHOOK_SECRET") or None, given.log_level, given.oidc
    )


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a date or time: write 2024-07-15 or 2024-07-15T08:30"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


if __name__ == "__main__":
    sys.exit(main())
