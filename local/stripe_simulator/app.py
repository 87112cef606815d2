"""The ASGI application: the simulator's routes, pages and headers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from local.stripe_simulator import admin, cli_sessions, invoice_page
from local.stripe_simulator import api as simulator_api
from local.stripe_simulator import checkout as checkout_sessions
from local.stripe_simulator.errors import unrecognized
from local.stripe_simulator.guard import Guard
from local.stripe_simulator.portal import login
from local.stripe_simulator.portal import page as portal_page
from local.stripe_simulator.seed import Seed
from local.stripe_simulator.simulator import Simulator
from local.stripe_simulator.state import restore, save
from local.stripe_simulator.store import new_id
from local.stripe_simulator.versions import CURRENT

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


class StripeHeaders:
    """Adds Stripe's headers to every response: `Date` by the simulator's clock, `Request-Id`, `Stripe-Version`."""

    def __init__(self, app: ASGIApp, simulator: Simulator) -> None:
        self._app, self._simulator = app, simulator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wrap one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = new_id("req")
        scope.setdefault("state", {})["request_id"] = request_id
        version = Headers(scope=scope).get("stripe-version", CURRENT)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Date"] = self._simulator.clock.http_date()
                headers["Request-Id"] = request_id
                headers["Stripe-Version"] = version
            await send(message)

        await self._app(scope, receive, send_with_headers)


async def _unrecognized(request: Request) -> Response:
    error = unrecognized(request.method, request.url.path)
    return JSONResponse(error.body(request.state.request_id), error.status)


def create_app(  # noqa: PLR0913 - the options of the command
    *,
    public_url: str,
    now: float | None = None,
    retry_seconds: float = 2.0,
    host: str = "127.0.0.1",
    seed: Seed | None = None,
    state_file: Path | None = None,
) -> Starlette:
    """Return a new simulator; `public_url` is where browsers reach its pages, `now` its first time (Unix seconds).

    It serves requests to `host`, to the host of `public_url` and to this machine's own names. Its first objects are
    those of `state_file` if that exists, else those of `seed`. The file is written at the end of the ASGI lifespan.
    """
    simulator = Simulator(public_url=public_url, now=now, retry_seconds=retry_seconds)
    if state_file and state_file.exists():
        restore(simulator, state_file)
    elif seed:
        seed.apply(simulator)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        simulator.deliveries.start()
        yield
        simulator.deliveries.close()
        if state_file:
            save(simulator, state_file)

    hosts = {host, urlsplit(public_url).hostname or host}
    application = Starlette(
        routes=[
            *cli_sessions.ROUTES,
            Route("/v1/{path:path}", simulator_api.endpoint, methods=_METHODS),
            Route("/v2/{path:path}", simulator_api.endpoint, methods=_METHODS),
            *admin.ROUTES,
            *portal_page.ROUTES,
            *login.ROUTES,
            *checkout_sessions.ROUTES,
            *invoice_page.ROUTES,
            Route("/{path:path}", _unrecognized, methods=_METHODS),
        ],
        middleware=[Middleware(Guard, hosts=hosts), Middleware(StripeHeaders, simulator=simulator)],
        lifespan=lifespan,
        exception_handlers={admin.Refused: admin.refusal},
    )
    application.state.simulator = simulator
    application.state.seed = seed
    return application
