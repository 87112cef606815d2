"""The demo site: the pages of a company that uses the bundle, and a look behind them."""

import time
from collections.abc import Callable
from dataclasses import asdict

import stripe
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from local.backend import Backend
from local.pages import TEMPLATES, page
from local.site_actions import SiteActions
from local.site_explain import SiteExplain
from local.site_guard import SiteGuard
from local.site_mails import SiteMails
from local.site_shop import SiteShop

_SHOWN_DELIVERIES = 200


class Site:
    """The pages that show customers, the mirror and what is on its way to it."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def home(self, _: Request) -> Response:
        """The customers, what the mirror says of each, and their links."""
        mirror = self._backend.mirror
        rows = [
            {
                "customer": customer,
                "subscriptions": (mirrored := list(mirror.of_customer(customer.id))),
                "portal": self._backend.portal_link(customer),
                "deep_links": self._backend.deep_links(customer, mirrored),
            }
            for customer in self._backend.customers()
        ]
        return page("home", rows=rows, outputs=self._backend.template.outputs())

    def customer(self, request: Request) -> Response:
        """One customer: the mirror's rows in full, and what the team can do."""
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
            deliveries=self._backend.deliveries()[:12],
            error=request.query_params.get("error", ""),
        )

    def deliveries(self, _: Request) -> Response:
        """What the simulator sent, and what nobody could read."""
        return page(
            "deliveries",
            deliveries=self._backend.deliveries()[:_SHOWN_DELIVERIES],
            dead_letters=self._backend.dead_letters(),
            is_simulated=self._backend.places.stripe_port is not None,
        )

    def local_json(self, _: Request) -> Response:
        """What `portal --local` needs to find this stack."""
        return JSONResponse(
            {
                "environment": self._backend.places.aws_environment,
                "stripe_api_base": self._backend.places.stripe_url,
                "outputs": self._backend.template.outputs(),
                "parameters": self._backend.template.parameters(),
                "clock": time.time(),
            },
        )


def make_site(backend: Backend) -> Starlette:
    """Build the application; synchronous pages run in worker threads."""
    site, mails, actions = Site(backend), SiteMails(backend), SiteActions(backend)
    explain, shop = SiteExplain(backend), SiteShop(backend)

    def get(path: str, endpoint: Callable[[Request], Response]) -> Route:
        return Route(path, endpoint, methods=["GET"])

    return Starlette(
        routes=[
            get("/", site.home),
            get("/customers/{id}", site.customer),
            get("/deliveries", site.deliveries),
            get("/local.json", site.local_json),
            get("/site.css", lambda _: FileResponse(TEMPLATES / "site.css")),
            get("/outbox", mails.outbox),
            get("/outbox/{number:int}", mails.mail),
            get("/outbox/{number:int}/html", mails.html),
            get("/outbox/{number:int}/attachments/{place:int}", mails.attachment),
            get("/customers/{id}/subscriptions/{subscription}", explain.subscription),
            get("/customers/{id}/portal", explain.portal_then),
            get("/customers/{id}/shop", shop.shop),
            Route("/customers/{id}/portal-token", shop.token, methods=["POST"]),
            Route("/audit", actions.audit, methods=["POST"]),
            Route("/customers/{id}/subscriptions/{subscription}", actions.change, methods=["POST"]),
        ],
        middleware=[Middleware(SiteGuard, places=backend.places)],
        exception_handlers={HTTPException: _refusal, stripe.StripeError: _failure, Exception: _failure},
    )


def _refusal(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    detail = error.detail if isinstance(error, HTTPException) else ""
    return page("message", status, title="Not here" if status == 404 else "Not possible", text=detail)  # noqa: PLR2004 - HTTP's own


def _failure(_: Request, error: Exception) -> Response:
    status = 502 if isinstance(error, stripe.StripeError) else 500
    return page("message", status, title="Something failed", text=f"{type(error).__name__}: {error}")
