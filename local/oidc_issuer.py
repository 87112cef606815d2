"""An OpenID Connect provider of the demo's own: it signs in whoever asks, for it knows nobody's password."""

import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

_KEY_ID = "demo"
_LIFE_SECONDS = 300


def _new_key() -> RSAPrivateKey:
    return generate_private_key(public_exponent=65537, key_size=2048)


@dataclass(frozen=True)
class OidcIssuer:
    """Its `url` is what tokens bear as `iss`; what it publishes is below it, where OpenID Connect looks for it."""

    url: str
    audience: str
    _key: RSAPrivateKey = field(default_factory=_new_key, repr=False)

    def token(self, subject: str, **claims: Any) -> str:
        """Sign an ID token."""
        now = int(time.time())
        times = {"iat": now, "nbf": now, "exp": now + _LIFE_SECONDS}
        who = {"iss": self.url, "aud": self.audience, "sub": subject}
        return jwt.encode({**who, **times, **claims}, self._key, algorithm="RS256", headers={"kid": _KEY_ID})

    def routes(self, path: str) -> list[Route]:
        """Answer the two documents that an authorizer reads, for a site that has the issuer at `path`."""
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
