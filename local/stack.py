"""Starts the stack, prints its addresses, watches it, and ends it without leaving anything behind."""

import os
import sys
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from local.addresses import Addresses, Options
from local.function_log import function_log
from local.processes import Children, NotRunning, responds
from local.stop_signals import StopSignals

_WATCH_SECONDS = 0.2


def run(options: Options, signals: StopSignals) -> None:
    """Run until a signal interrupts it. Raises `NotRunning` if the stack cannot start or a part of it ends."""
    began = time.monotonic()
    addresses = options.addresses
    addresses.check_free()
    signals.check()
    # Standard output is the functions' from here on.
    say = partial(print, file=sys.stdout, flush=True)
    say(f"Starting {'the Stripe simulator and ' if addresses.stripe_port else ''}AWS (moto) ...")
    with function_log(addresses.port) as log, Children(signals) as children:
        _start_children(children, addresses)
        # Imported while the children start.
        from local.assembly import assembled  # noqa: PLC0415

        signals.check()
        _wait_for_children(children, addresses)
        customers = " and the demo's customers" if addresses.stripe_port else ""
        say(f"Creating the tables, the queues, the secrets{customers} ...")
        with assembled(options, signals) as site:
            say(_summary(options, log, time.monotonic() - began))
            while site.is_alive():
                children.check()
                time.sleep(_WATCH_SECONDS)
            raise NotRunning("The site ended unexpectedly. Everything else was stopped.")


def _start_children(children: Children, addresses: Addresses) -> None:
    if addresses.stripe_port:
        port = str(addresses.stripe_port)
        children.start(
            "The Stripe simulator", "local.stripe_simulator", "--port", port, "--public-url", addresses.stripe_url
        )
    children.start("AWS (moto)", "local.aws.server", "--port", str(addresses.aws_port))


def _wait_for_children(children: Children, addresses: Addresses) -> None:
    if addresses.stripe_port:
        children.wait_until("The Stripe simulator", lambda: responds(f"{addresses.stripe_url}/_simulator/clock"))
    children.wait_until("AWS (moto)", lambda: responds(f"{addresses.aws_url}/moto-api/"))


def _summary(options: Options, log: Path, seconds: float) -> str:
    addresses = options.addresses
    is_simulated = addresses.stripe_port is not None
    about = "simulator; key sk_test_local" if is_simulated else "your test account: it has real objects, in test mode"
    rows = [
        ("Demo site and API", addresses.site_url),
        ("Stripe", f"{addresses.stripe_url}  ({about})"),
        ("AWS", f"{addresses.aws_url}  (moto; key and secret: local, region eu-west-1)"),
        ("Functions' log", os.path.relpath(log)),
        ("Clock", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC" + (" (moved by --as-of)" if options.as_of else "")),
    ]
    if options.oidc:
        rows.insert(1, ("Sign in (OIDC)", f"{addresses.site_url}/sign-in"))
    lines = [f"  {name:<20}{value}" for name, value in rows]
    if options.stripe_key:
        listen = f"stripe listen --all-snapshot --forward-to {addresses.site_url}/webhooks/stripe"
        lines += ["", f"  Webhooks need: {listen}"]
        if not options.webhook_secret:
            lines += ["  and its signing secret in STRIPE_WEBHOOK_SECRET, before this is started."]
    return "\n".join([f"Ready after {seconds:.1f} s. Ctrl-C stops everything.", "", *lines, ""])
