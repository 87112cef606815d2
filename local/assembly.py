"""Builds and serves the stack: AWS resources, functions and their environment, API, site and demo data."""

import json
import os
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import uvicorn
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from stripe import StripeClient

from local.addresses import HOST, OIDC_AUDIENCE, OIDC_PATH, SENDING_DOMAIN, STARTING, Options
from local.aws.intrinsics import TemplateError
from local.aws.lambda_function import LambdaFunction
from local.aws.queue_poller import polling, queue_pollers
from local.aws.resources import AwsClients, create_resources
from local.aws.schedule_poller import schedule_pollers
from local.aws.stream_poller import stream_pollers
from local.aws.template import Template
from local.gateway.api import Gateway
from local.guard import LocalGuard
from local.processes import NotRunning
from local.seed import Seed
from local.site.app import make_site
from local.site.backend import Backend
from local.stack_clock import FOLLOW_PATH, ClockFollower, StackClock
from local.stop_signals import StopSignals

if TYPE_CHECKING:
    from stripe.params import WebhookEndpointCreateParams


LOCAL_KEY = "sk_test_local"
# The functions share one process here; settings with this prefix may differ between them.
_MAY_DIFFER = "POWERTOOLS_"


def stripe_client_for(options: Options) -> StripeClient:
    """Return a client for Stripe or for the simulator."""
    return StripeClient(
        options.stripe_key or LOCAL_KEY,
        base_addresses={"api": options.addresses.stripe_url},
        max_network_retries=1,
    )


def provision(
    options: Options, client: StripeClient, groups: Mapping[str, str], checkout_price: str, signals: StopSignals
) -> Backend:
    """Create everything that the functions need, and load them.

    `groups` maps groups to portal configurations; `checkout_price` is the price that Checkout offers.
    """
    addresses = options.addresses
    parameters = addresses.parameters | {
        "PortalConfigurations": json.dumps(dict(groups)),
        "CheckoutPrice": checkout_price,
        **(addresses.oidc_parameters if options.oidc else {}),
    }
    template = Template.load(parameters=parameters, names=addresses.names)
    os.environ.update(process_environment(template, options))
    aws = AwsClients.at(addresses.aws_url)
    signing_secrets = _signing_secrets(options, client, template.outputs()["WebhookUrl"])
    link_secrets = {"1": secrets.token_urlsafe(32)}
    contents: dict[str, dict[str, object]] = {
        "Secret": {"stripe_api_key": options.stripe_key or LOCAL_KEY},
        "SigningSecrets": {"webhook_signing_secrets": signing_secrets},
        "LinkSecrets": {**link_secrets},
    }
    create_resources(template, aws, sender=SENDING_DOMAIN, secrets=contents)
    functions = {}
    for logical_id, function in template.functions().items():
        signals.check()
        functions[logical_id] = LambdaFunction(function)
    return Backend(addresses, template, client, aws, functions, link_secrets, groups)


def process_environment(template: Template, options: Options) -> dict[str, str]:
    """Return the environment that all functions share here.

    Raises `TemplateError` if two functions need different values for one variable.
    """
    overrides = {
        "STRIPE_API_BASE": options.addresses.stripe_url,
        "POWERTOOLS_LOG_LEVEL": options.log_level,
        "POWERTOOLS_METRICS_DISABLED": "true",
    }
    shared: dict[str, str] = {}
    for function_id in template.functions():
        for name, value in template.environment(function_id, overrides).items():
            if shared.setdefault(name, value) != value and not name.startswith(_MAY_DIFFER):
                raise TemplateError(f"Two functions need different values for {name}, but share one environment here")
    return {**shared, **options.addresses.aws_environment}


def _signing_secrets(options: Options, client: StripeClient, webhook_url: str) -> list[str]:
    if options.stripe_key:
        return [options.webhook_secret] if options.webhook_secret else []
    endpoint: WebhookEndpointCreateParams = {
        "url": webhook_url,
        "enabled_events": [
            "customer.subscription.created",
            "customer.subscription.deleted",
            "customer.subscription.paused",
            "customer.subscription.resumed",
            "customer.subscription.updated",
        ],
    }
    return [str(client.v1.webhook_endpoints.create(endpoint).secret)]


@contextmanager
def serving(application: ASGIApp, port: int) -> Iterator[threading.Thread]:
    """Serve while the `with` block runs. Raises `NotRunning` if the server does not start."""
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


class ReadyGate:
    """ASGI middleware that passes on only webhook events until `open` is called: the demo data is still incomplete."""

    def __init__(self, application: ASGIApp, webhook_url: str) -> None:
        self._application = application
        self._webhook_path = urlsplit(webhook_url).path
        self._is_open = False

    def open(self) -> None:
        """Pass on everything from now on."""
        self._is_open = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or say that the stack is starting; a browser then tries again by itself."""
        if self._is_open or scope["path"] == self._webhook_path:
            await self._application(scope, receive, send)
        else:
            headers = {"Refresh": "1", "Retry-After": "1", "Cache-Control": "no-store"}
            await PlainTextResponse(STARTING, 503, headers)(scope, receive, send)


@contextmanager
def assembled(options: Options, signals: StopSignals) -> Iterator[threading.Thread]:
    """Build the stack, serve the API and the site, and create the demo data. Yields the server's thread.

    Raises `Interrupted` soon after a signal.
    """
    addresses = options.addresses
    clock = StackClock(options.as_of, addresses.stripe_url if addresses.stripe_port else None)
    client = stripe_client_for(options)
    try:
        seed = Seed(client, addresses.stripe_url, addresses.site_url, clock, signals) if addresses.stripe_port else None
        groups, checkout_price = (seed.make_configurations(), seed.checkout_price) if seed else ({}, "")
        signals.check()
        backend = provision(options, client, groups, checkout_price, signals)
        apis = backend.template.resources("AWS::ApiGatewayV2::Api").values()
        cors = next(iter(apis), {}).get("CorsConfiguration", {})
        gateway = Gateway(backend.template.routes(), backend.functions, cors=cors, otherwise=_site(options, backend))
        signals.check()
        gate = ReadyGate(gateway, backend.template.outputs()["WebhookUrl"])
        queues = queue_pollers(backend.template, backend.aws.sqs, backend.functions)
        streams = stream_pollers(backend.template, backend.aws, backend.functions)
        schedules = schedule_pollers(backend.template, backend.functions)
        application = LocalGuard(ClockFollower(gate, clock), cors.get("AllowOrigins", ()))
        with serving(application, addresses.port) as thread, polling([*queues, *streams, *schedules]):
            if seed:
                seed.make_history()
                clock.return_to_present()
                seed.wait_until_idle()
                clock.be_followed_at(f"{addresses.site_url}{FOLLOW_PATH}")
            gate.open()
            yield thread
    finally:
        clock.stop()


def _site(options: Options, backend: Backend) -> ASGIApp:
    site = make_site(backend)
    if not options.oidc:
        return site
    # Imported and created only when needed, because making its keys takes a moment.
    from local.site.sign_in import OidcIssuer, with_sign_in  # noqa: PLC0415

    return with_sign_in(backend, OidcIssuer(f"{options.addresses.site_url}{OIDC_PATH}", OIDC_AUDIENCE), site)
