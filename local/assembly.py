"""Puts the stack together once its servers run: provision, serve, seed."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.types import ASGIApp

from local.backend import Backend
from local.gateway import Gateway
from local.options import Options
from local.places import OIDC_AUDIENCE, OIDC_PATH
from local.provision import provision, stripe_client_for
from local.seed import Seed
from local.serving import serving
from local.site import make_site
from local.stack_clock import StackClock


@contextmanager
def assembled(options: Options) -> Iterator[threading.Thread]:
    """Have the site and the API served and the simulator filled; answer the thread that serves."""
    places = options.places
    clock = StackClock(options.as_of, places.stripe_url if places.stripe_port else None)
    client = stripe_client_for(options)
    try:
        seed = Seed(client, places.stripe_url, places.site_url, clock) if places.stripe_port else None
        groups, checkout_price = (seed.configurations(), seed.checkout_price()) if seed else ({}, "")
        backend = provision(options, client, groups, checkout_price)
        apis = backend.template.resources("AWS::ApiGatewayV2::Api").values()
        gateway = Gateway(
            backend.template.routes(),
            backend.functions,
            cors=next(iter(apis), {}).get("CorsConfiguration"),
            otherwise=_site(options, backend),
        )
        with serving(gateway, places.port) as thread:
            if seed:
                seed.history()
                clock.come_back()
                seed.wait_until_idle()
            yield thread
    finally:
        clock.stop()


def _site(options: Options, backend: Backend) -> ASGIApp:
    site = make_site(backend)
    if not options.oidc:
        return site
    # Not needed otherwise, and its keys take a moment to make.
    from local.oidc_issuer import OidcIssuer  # noqa: PLC0415
    from local.site_sign_in import with_sign_in  # noqa: PLC0415

    return with_sign_in(backend, OidcIssuer(f"{options.places.site_url}{OIDC_PATH}", OIDC_AUDIENCE), site)
