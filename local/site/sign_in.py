"""Sign-in for `--oidc`: an OpenID Connect provider without passwords, and a page that uses its tokens at the API."""

import time
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any

import jwt
import requests
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from local.addresses import OIDC_PATH
from local.guard import LocalGuard
from local.site.app import SiteHeaders
from local.site.backend import Backend
from local.site.pages import page

_KEY_ID = "demo"
_LIFE_SECONDS = 300


def _new_key() -> RSAPrivateKey:
    return generate_private_key(public_exponent=65537, key_size=2048)


@dataclass(frozen=True)
class OidcIssuer:
    """The provider: `url` is the `iss` of its tokens, and the base of the documents that it publishes."""

    url: str
    audience: str
    _key: RSAPrivateKey = field(default_factory=_new_key, repr=False)

    def token(self, subject: str, **claims: Any) -> str:
        """Return a signed ID token."""
        now = int(time.time())
        times = {"iat": now, "nbf": now, "exp": now + _LIFE_SECONDS}
        who = {"iss": self.url, "aud": self.audience, "sub": subject}
        return jwt.encode({**who, **times, **claims}, self._key, algorithm="RS256", headers={"kid": _KEY_ID})

    def user_token(self, email: str, *, verified: bool = True) -> str:
        """Return the token of the user with an address, which the provider has verified or not."""
        return self.token(sha256(email.encode()).hexdigest()[:16], email=email, email_verified=verified)

    def routes(self, path: str) -> list[Route]:
        """Return the routes of the two documents that an authorizer reads, below `path`."""
        return [
            Route(f"{path}/.well-known/openid-configuration", self._discovery, methods=["GET"]),
            Route(f"{path}/jwks.json", self._jwks, methods=["GET"]),
        ]

    @cached_property
    def _public(self) -> dict[str, Any]:
        key: dict[str, Any] = jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return key | {"kid": _KEY_ID, "use": "sig", "alg": "RS256"}

    def _discovery(self, _: Request) -> Response:
        return JSONResponse({"issuer": self.url, "jwks_uri": f"{self.url}/jwks.json"})

    def _jwks(self, _: Request) -> Response:
        return JSONResponse({"keys": [self._public]})


class SiteSignIn:
    """Acts as a site's backend for a signed-in user: calls the API with the user's own token."""

    def __init__(self, backend: Backend, issuer: OidcIssuer) -> None:
        self._backend = backend
        self._issuer = issuer

    def form(self, _: Request) -> Response:
        """The form that signs in."""
        return page("sign_in", customers=self._backend.customers(), attempt=None)

    async def sign_in(self, request: Request) -> Response:
        """Sign in with an address, verified by the provider or not, and create a portal session."""
        form = await request.form()
        email, verified = str(form.get("email", "")).strip(), form.get("verified") == "yes"
        return await run_in_threadpool(self._open_portal, email, verified)

    def _open_portal(self, email: str, verified: bool) -> Response:  # noqa: FBT001 - a ticked box
        token = self._issuer.user_token(email, verified=verified)
        known = bool(self._backend.stripe.v1.customers.list({"email": email, "limit": 1}).data)
        response = requests.post(
            f"{self._backend.addresses.site_url}/portal/sessions",
            json={},
            headers={"Authorization": f"Bearer {token}"},
            timeout=30,
        )
        attempt: dict[str, Any] = {
            "email": email,
            "known": known,
            "claims": jwt.decode(token, options={"verify_signature": False}),
            "status": response.status_code,
            "answer": response.json(),
        }
        return page("sign_in", customers=self._backend.customers(), attempt=attempt)


def with_sign_in(backend: Backend, issuer: OidcIssuer, site: ASGIApp) -> Starlette:
    """Return the site with the sign-in page and the issuer's documents added."""
    sign_in = SiteSignIn(backend, issuer)
    pages = Starlette(
        routes=[
            Route("/sign-in", sign_in.form, methods=["GET"]),
            Route("/sign-in", sign_in.sign_in, methods=["POST"]),
            *issuer.routes(OIDC_PATH),
        ],
        middleware=[Middleware(LocalGuard), Middleware(SiteHeaders, addresses=backend.addresses)],
    )
    paths = {route.path for route in pages.routes if isinstance(route, Route)}

    async def choose(scope: Any, receive: Any, send: Any) -> None:
        await (pages if scope["path"] in paths else site)(scope, receive, send)

    return Starlette(routes=[Mount("/", choose)])
