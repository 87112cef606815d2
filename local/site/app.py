"""The demo site: its routes, its main pages, the team's actions, and the security headers."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import stripe
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from local.addresses import Addresses
from local.guard import LocalGuard
from local.site.backend import Backend
from local.site.clock import SiteClock
from local.site.explain import SiteExplain
from local.site.mails import SiteMails
from local.site.pages import TEMPLATES, describe_site, page
from local.site.room import Room
from local.site.room_page import SiteRoom
from local.site.session import SiteSession
from local.site.shop import SiteShop, UserToken
from local.site.story import SiteStory
from local.site.switches import Switches

_HEADERS = {
    # `same-origin` and not `no-referrer`: with the latter browsers send `Origin: null` with our own forms.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
_POLICY = (
    "default-src 'none'; style-src 'self'; img-src data:; frame-src 'self'; form-action 'self' {}; "
    "frame-ancestors 'none'; base-uri 'none'"
)


class SiteHeaders(BaseHTTPMiddleware):
    """Adds security headers, which a page may override."""

    def __init__(self, app: ASGIApp, addresses: Addresses) -> None:
        super().__init__(app)
        # Where our forms may redirect to: some browsers apply `form-action` to redirects too.
        self._policy = _POLICY.format(addresses.stripe_pages)

    async def dispatch(self, request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        """Return the application's response with the headers added."""
        response = await call_next(request)
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers.setdefault("Content-Security-Policy", self._policy)
        return response


_MONTH = timedelta(days=31)
_BEHAVIORS = frozenset({"void", "keep_as_draft", "mark_uncollectible"})


class SiteActions:
    """The team's actions; each redirects to the page that shows its effect."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def audit(self, _: Request) -> Response:
        """Run the nightly audit now."""
        try:
            await run_in_threadpool(self._backend.run_audit)
        except Exception as error:  # noqa: BLE001 - shown as Lambda would report it
            return page("message", 502, title="The audit failed", text=f"{type(error).__name__}: {error}")
        return RedirectResponse("/outbox", 303)

    async def change_pause(self, request: Request) -> Response:
        """Pause or resume a subscription or its collection."""
        form = await request.form()
        customer_id, subscription_id = request.path_params["id"], request.path_params["subscription"]
        back = f"/customers/{customer_id}"
        try:
            await run_in_threadpool(self._apply, subscription_id, str(form.get("action")), str(form.get("behavior")))
        except stripe.InvalidRequestError as error:
            return RedirectResponse(f"{back}?error={quote(str(error.user_message))}", 303)
        await run_in_threadpool(self._backend.wait_for_webhooks)
        return RedirectResponse(back, 303)

    async def let_a_month_pass(self, request: Request) -> Response:
        """Move the clock of everything, to see paid periods end."""
        if not self._backend.is_simulated:
            raise HTTPException(400, "Stripe's own clock cannot be moved.")
        await run_in_threadpool(self._backend.let_time_pass, datetime.now(UTC) + _MONTH)
        return RedirectResponse(f"/customers/{request.path_params['id']}", 303)

    def _apply(self, subscription_id: str, action: str, behavior: str) -> None:
        subscriptions = self._backend.stripe.v1.subscriptions
        match action:
            case "pause_collection" if behavior in _BEHAVIORS:
                pause: Any = {"behavior": behavior}
                subscriptions.update(subscription_id, {"pause_collection": pause})
            case "resume_collection":
                subscriptions.update(subscription_id, {"pause_collection": ""})
            case "pause":
                subscriptions.pause(subscription_id)
            case "resume":
                subscriptions.resume(subscription_id, {"payment_behavior": "resume_on_payment_success"})
            case _:
                raise HTTPException(400, "This action does not exist.")


_SHOWN_DELIVERIES = 200
_RECENT_DELIVERIES = 12


class Site:
    """The pages about customers, the mirror and webhook deliveries."""

    def __init__(self, backend: Backend, user_token: UserToken | None) -> None:
        self._backend, self._user_token = backend, user_token

    def home(self, _: Request) -> Response:
        """Every customer with its mirrored subscriptions and its portal links."""
        mirror = self._backend.mirror
        rows = [
            {
                "customer": customer,
                "subscriptions": (mirrored := list(mirror.of_customer(customer.id))),
                "portal": self._backend.home_link(self._backend.portal_link(customer), customer),
                "pause": self._backend.portal_link(customer, flow="pause"),
                "deep_links": {
                    name: self._backend.home_link(link, customer)
                    for name, link in self._backend.deep_links(customer, mirrored).items()
                },
            }
            for customer in self._backend.customers()
        ]
        return page(
            "home",
            rows=rows,
            outputs=self._backend.template.outputs(),
            has_sign_in=self._user_token is not None,
        )

    def customer(self, request: Request) -> Response:
        """One customer with the whole mirrored items and the team's actions."""
        try:
            customer = self._backend.customer(request.path_params["id"])
        except stripe.InvalidRequestError as error:
            raise HTTPException(404, str(error.user_message)) from error
        mirrored = list(self._backend.mirror.of_customer(customer.id))
        return page(
            "customer",
            customer=customer,
            mirrored=[(one, asdict(one.subscription)) for one in mirrored],
            portal=self._backend.portal_link(customer),
            deliveries=self._backend.deliveries()[:_RECENT_DELIVERIES],
            error=request.query_params.get("error", ""),
        )

    def deliveries(self, _: Request) -> Response:
        """The simulator's deliveries, and the dead letters."""
        return page(
            "deliveries",
            deliveries=self._backend.deliveries()[:_SHOWN_DELIVERIES],
            dead_letters=self._backend.dead_letters(),
        )

    def local_json(self, _: Request) -> Response:
        """The addresses and settings that `portal --local` needs."""
        return JSONResponse(
            {
                "environment": self._backend.addresses.aws_environment,
                "stripe_api_base": self._backend.addresses.stripe_url,
                "outputs": self._backend.template.outputs(),
                "parameters": self._backend.template.parameters(),
                "clock": time.time(),
            },
        )


def make_site(backend: Backend, session: SiteSession, user_token: UserToken | None = None) -> Starlette:
    """Return the application; synchronous pages run in worker threads. `user_token` is given where users sign in."""
    describe_site(account=backend.account)
    site, mails, actions = Site(backend, user_token), SiteMails(backend), SiteActions(backend)
    explain, shop = SiteExplain(backend), SiteShop(backend, user_token)
    clock = SiteClock(backend, session)
    story = SiteStory(backend, session, clock)
    room = SiteRoom(state := Room(backend, session), session, Switches(backend, session, state))

    def get(path: str, endpoint: Callable[[Request], Response]) -> Route:
        return Route(path, endpoint, methods=["GET"])

    return Starlette(
        routes=[
            get("/", site.home),
            get("/story", story.story),
            Route("/story", story.go_on, methods=["POST"]),
            get("/room", room.room),
            Route("/room/changes", room.changes, methods=["GET"]),
            Route("/room", room.act, methods=["POST"]),
            get("/room.js", lambda _: FileResponse(TEMPLATES / "room.js")),
            get("/customers/{id}", site.customer),
            get("/deliveries", site.deliveries),
            get("/local.json", site.local_json),
            get("/site.css", lambda _: FileResponse(TEMPLATES / "site.css")),
            get("/outbox", mails.outbox),
            get("/outbox/{number:int}", mails.mail),
            get("/outbox/{number:int}/html", mails.html),
            get("/outbox/{number:int}/attachments/{position:int}", mails.attachment),
            get("/customers/{id}/subscriptions/{subscription}", explain.subscription),
            get("/customers/{id}/portal", explain.portal_then),
            get("/customers/{id}/shop", shop.shop),
            get("/customers/{id}/shop/live", shop.live),
            Route("/customers/{id}/portal-token", shop.token, methods=["POST"]),
            Route("/clock", clock.move, methods=["POST"]),
            Route("/audit", actions.audit, methods=["POST"]),
            Route("/customers/{id}/clock", actions.let_a_month_pass, methods=["POST"]),
            Route("/customers/{id}/subscriptions/{subscription}", actions.change_pause, methods=["POST"]),
        ],
        middleware=[Middleware(LocalGuard), Middleware(SiteHeaders, addresses=backend.addresses)],
        exception_handlers={HTTPException: _refusal, stripe.StripeError: _failure, Exception: _failure},
    )


def _refusal(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    detail = error.detail if isinstance(error, HTTPException) else ""
    return page("message", status, title="Not found" if status == 404 else "Not possible", text=detail)  # noqa: PLR2004 - an HTTP status


def _failure(_: Request, error: Exception) -> Response:
    status = 502 if isinstance(error, stripe.StripeError) else 500
    return page("message", status, title="Something failed", text=f"{type(error).__name__}: {error}")
