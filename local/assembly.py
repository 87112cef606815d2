"""Builds and serves the stack: AWS resources, functions and their environment, API, site and demo data."""

import json
import os
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime
from urllib.parse import urlsplit

import requests
import stripe
import uvicorn
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from stripe import StripeClient

from local.addresses import HOST, OIDC_AUDIENCE, OIDC_PATH, SENDING_DOMAIN, STARTING, Options
from local.aws.intrinsics import TemplateError
from local.aws.lambda_function import LambdaFunction, forget_caches
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
from local.site.session import SiteSession
from local.stack_clock import FOLLOW_PATH, ClockFollower, StackClock
from local.stop_signals import Interrupted, StopSignals
from shared.stripe.webhook_endpoint import endpoint_parameters, events_for

LOCAL_KEY = "sk_test_local"
# The simulator takes every key of test mode; on AWS the functions have a restricted one.
FUNCTIONS_KEY = "rk_test_local"
# The functions share one process here; settings with this prefix may differ between them.
_MAY_DIFFER = "POWERTOOLS_"
# Each takes five seconds at most: a slow machine shows the demo's people only once the mirror has them all.
_SETTLING_TRIES = 12


def stripe_client_for(options: Options) -> StripeClient:
    """Return a client for Stripe or for the simulator."""
    return StripeClient(
        options.stripe_key or LOCAL_KEY,
        base_addresses={"api": options.addresses.stripe_url},
        max_network_retries=1,
    )


def account_name(client: StripeClient) -> str:
    """Return the name of the key's account. Raises `NotRunning` if Stripe does not take the key or does not answer."""
    try:
        account = client.v1.accounts.retrieve_current()
    except stripe.PermissionError:
        return "whose name the restricted key may not read"
    except stripe.AuthenticationError as error:
        raise NotRunning(f"Stripe does not take STRIPE_API_KEY: {error.user_message}") from error
    except stripe.StripeError as error:
        raise NotRunning(f"Stripe does not answer: {error.user_message or type(error).__name__}") from error
    profile = account.to_dict().get("business_profile") or {}
    return " ".join(filter(None, (profile.get("name"), account.id)))


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
        "Entitlements": "true",
        **(addresses.oidc_parameters if options.oidc else {}),
        **options.parameters,
    }
    template = Template.load(parameters=parameters, names=addresses.names)
    os.environ.update(process_environment(template, options))
    aws = AwsClients.at(addresses.aws_url)
    link_secrets = {"1": secrets.token_urlsafe(32)}
    contents: dict[str, dict[str, object]] = {
        "Secret": {"stripe_api_key": options.stripe_key or FUNCTIONS_KEY},
        "SigningSecrets": _signing_secrets(options, client, template),
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
        "BRAND_URL": f"{options.addresses.site_url}/",
    }
    shared: dict[str, str] = {}
    for function_id in template.functions():
        for name, value in template.environment(function_id, overrides).items():
            if shared.setdefault(name, value) != value and not name.startswith(_MAY_DIFFER):
                raise TemplateError(f"Two functions need different values for {name}, but share one environment here")
    return {**shared, **options.addresses.aws_environment}


def _signing_secrets(options: Options, client: StripeClient, template: Template) -> dict[str, object]:
    """Return the content of the secret: the one that was given, or that of a new endpoint, as `portal connect` does."""
    if options.stripe_key:
        return {"webhook_signing_secrets": [options.webhook_secret] if options.webhook_secret else []}
    events = events_for(entitlements=template.parameters()["Entitlements"] == "true")
    made = client.v1.webhook_endpoints.create(endpoint_parameters(template.outputs()["WebhookUrl"], events))
    return {"webhook_signing_secrets": [str(made.secret)], "endpoint": made.id}


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

    def __init__(self) -> None:
        self._application: ASGIApp | None = None
        self._webhook_path = ""
        self._is_open = False
        self._problem = ""

    def close(self, problem: str = "") -> None:
        """Pass on nothing; with a problem, show it instead of saying that the stack is starting."""
        self._is_open, self._application, self._problem = False, None, problem

    def begin(self, application: ASGIApp, webhook_url: str) -> None:
        """Pass on webhook events to an application."""
        self._webhook_path = urlsplit(webhook_url).path
        self._application = application

    def open(self) -> None:
        """Pass on everything from now on."""
        self._is_open = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or say that the stack is starting; a browser then tries again by itself."""
        if self._application and (self._is_open or scope["path"] == self._webhook_path):
            await self._application(scope, receive, send)
        elif self._problem:
            await PlainTextResponse(self._problem, 500)(scope, receive, send)
        else:
            headers = {"Refresh": "1", "Retry-After": "1", "Cache-Control": "no-store"}
            await PlainTextResponse(STARTING, 503, headers)(scope, receive, send)


class Assembly:
    """The stack in this process; `begin` builds it, as often as somebody wants to begin again."""

    def __init__(self, options: Options, signals: StopSignals) -> None:
        self._options, self._signals = options, signals
        addresses = options.addresses
        self._clock = StackClock(options.as_of, addresses.stripe_url if addresses.stripe_port else None)
        self._client = stripe_client_for(options)
        self._gate = ReadyGate()
        self._session = SiteSession(self.begin_again)
        self._running = ExitStack()
        self._is_beginning = threading.Lock()

    def application(self) -> ASGIApp:
        """Return what serves the API and the site."""
        origins = Template.load(parameters=self._options.addresses.parameters, names=self._options.addresses.names)
        apis = origins.resources("AWS::ApiGatewayV2::Api").values()
        allowed = next(iter(apis), {}).get("CorsConfiguration", {}).get("AllowOrigins", ())
        return LocalGuard(ClockFollower(self._gate, self._clock), allowed)

    def begin(self) -> None:
        """Create AWS's resources, the functions, the site and the demo data. Raises `Interrupted` after a signal."""
        options, signals, addresses = self._options, self._signals, self._options.addresses
        seed = None
        account = "" if addresses.stripe_port else account_name(self._client)
        if addresses.stripe_port:
            seed = Seed(self._client, addresses.stripe_url, addresses.site_url, self._clock, signals)
        groups, checkout_price = (seed.make_configurations(), seed.checkout_price) if seed else ({}, "")
        signals.check()
        backend = replace(provision(options, self._client, groups, checkout_price, signals), account=account)
        apis = backend.template.resources("AWS::ApiGatewayV2::Api").values()
        cors = next(iter(apis), {}).get("CorsConfiguration", {})
        site = _site(options, backend, self._session)
        signals.check()
        queues = queue_pollers(backend.template, backend.aws.sqs, backend.functions)
        streams = stream_pollers(backend.template, backend.aws, backend.functions)
        schedules = schedule_pollers(backend.template, backend.functions)
        self._running.enter_context(polling([*queues, *streams, *schedules], self._session.stalled))
        gateway = Gateway(backend.template.routes(), backend.functions, cors=cors, otherwise=site)
        self._gate.begin(gateway, backend.template.outputs()["WebhookUrl"])
        if seed:
            seed.make_history(lambda: self._settle(backend), backend.promise_pause)
            self._clock.return_to_present()
            seed.wait_until_idle()
            self._settle(backend)
            self._clock.be_followed_at(f"{addresses.site_url}{FOLLOW_PATH}")
        self._gate.open()

    def _settle(self, backend: Backend) -> None:
        for _ in range(_SETTLING_TRIES):
            self._signals.check()
            if backend.settle_now():
                break

    def begin_again(self, as_of: datetime | None) -> None:
        """Close the site and begin at another time, or at real time, with everything forgotten. Returns at once."""
        if self._is_beginning.acquire(blocking=False):
            self._gate.close()
            self._session.end_beginning()
            threading.Thread(target=self._begin_again, args=(as_of,), name="begin again", daemon=True).start()

    def _begin_again(self, as_of: datetime | None) -> None:
        addresses = self._options.addresses
        try:
            self._running.close()
            requests.post(f"{addresses.stripe_url}/_simulator/reset", timeout=30).raise_for_status()
            requests.post(f"{addresses.aws_url}/moto-api/reset", timeout=30).raise_for_status()
            forget_caches()
            self._clock.begin_at(as_of)
            self.begin()
        except Interrupted:
            pass
        except Exception as error:  # noqa: BLE001 - nobody else is told of it
            self._gate.close(
                f"The demo could not begin again: {type(error).__name__}: {error}\nStop it and start it anew.\n"
            )
        finally:
            self._is_beginning.release()

    def stop(self) -> None:
        """Stop the pollers and give this process real time again."""
        self._session.close()
        self._running.close()
        self._clock.stop()


@contextmanager
def assembled(options: Options, signals: StopSignals) -> Iterator[threading.Thread]:
    """Serve the API and the site, build the stack, and create the demo data. Yields the server's thread.

    Raises `Interrupted` soon after a signal.
    """
    assembly = Assembly(options, signals)
    try:
        with serving(assembly.application(), options.addresses.port) as thread:
            try:
                assembly.begin()
                yield thread
            finally:
                assembly.stop()
    finally:
        assembly.stop()


def _site(options: Options, backend: Backend, session: SiteSession) -> ASGIApp:
    if not options.oidc:
        return make_site(backend, session)
    # Imported and created only when needed, because making its keys takes a moment.
    from local.site.sign_in import OidcIssuer, with_sign_in  # noqa: PLC0415

    issuer = OidcIssuer(f"{options.addresses.site_url}{OIDC_PATH}", OIDC_AUDIENCE)
    return with_sign_in(backend, issuer, make_site(backend, session, issuer.user_token))
