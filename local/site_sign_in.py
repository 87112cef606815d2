"""The demo's signed-in users: a page where anybody signs in, and the way from there to the portal by OpenID Connect."""

from hashlib import sha256
from typing import Any

import jwt
import requests
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from local.backend import Backend
from local.oidc_issuer import OidcIssuer
from local.pages import page
from local.places import OIDC_PATH
from local.site_guard import SiteGuard


class SiteSignIn:
    """Does what the site's backend would do for a user with a session: it asks the API with the user's own token."""

    def __init__(self, backend: Backend, issuer: OidcIssuer) -> None:
        self._backend = backend
        self._issuer = issuer

    def form(self, _: Request) -> Response:
        """Who wants to be who."""
        return page("sign_in", customers=self._backend.customers(), asked=None)

    async def sign_in(self, request: Request) -> Response:
        """Sign in with an address that the provider calls verified, or not, and ask for the portal."""
        form = await request.form()
        email, verified = str(form.get("email", "")).strip(), form.get("verified") == "yes"
        return await run_in_threadpool(self._ask, email, verified)

    def _ask(self, email: str, verified: bool) -> Response:  # noqa: FBT001 - a ticked box
        subject = sha256(email.encode()).hexdigest()[:16]
        token = self._issuer.token(subject, email=email, email_verified=verified)
        known = bool(self._backend.stripe.v1.customers.list({"email": email, "limit": 1}).data)
        answer = requests.post(
            f"{self._backend.places.site_url}/portal/sessions",
            json={},
            headers={"Authorization": f"Bearer {token}"},
            timeout=30,
        )
        asked: dict[str, Any] = {
            "email": email,
            "known": known,
            "claims": jwt.decode(token, options={"verify_signature": False}),
            "status": answer.status_code,
            "answer": answer.json(),
        }
        return page("sign_in", customers=self._backend.customers(), asked=asked)


def with_sign_in(backend: Backend, issuer: OidcIssuer, site: ASGIApp) -> Starlette:
    """Put the sign-in page and the issuer's documents before a site."""
    sign_in = SiteSignIn(backend, issuer)
    own = Starlette(
        routes=[
            Route("/sign-in", sign_in.form, methods=["GET"]),
            Route("/sign-in", sign_in.sign_in, methods=["POST"]),
            *issuer.routes(OIDC_PATH),
        ],
        middleware=[Middleware(SiteGuard, places=backend.places)],
    )
    paths = {route.path for route in own.routes if isinstance(route, Route)}

    async def choose(scope: Any, receive: Any, send: Any) -> None:
        await (own if scope["path"] in paths else site)(scope, receive, send)

    return Starlette(routes=[Mount("/", choose)])
