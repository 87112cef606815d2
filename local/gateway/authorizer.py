"""API Gateway's JWT authorizer: verifies a token, and gives its claims in the form that functions receive.

Source of the checks: docs.aws.amazon.com/apigateway/latest/developerguide/http-api-jwt-authorizer.html. Lists
arrive as `[a b]`, which that page does not say; it was measured on AWS by aws-solutions-library-samples'
guidance-for-claude-code-with-amazon-bedrock (pull request 803). That is how Go prints lists, so other values are
printed as in Go too.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import jwt
import requests

from local.aws.template import JwtAuthorizer

# RSA only, as on AWS: this rules out shared secrets and unsigned tokens.
_ALGORITHMS = ("RS256", "RS384", "RS512")


class Unauthorized(Exception):
    """Raised for a request whose token is not valid; API Gateway returns 401 without invoking the function."""


class JwtCheck:
    """Verifies the tokens of one authorizer; reads the issuer's keys when the first token comes."""

    def __init__(self, authorizer: JwtAuthorizer) -> None:
        self._authorizer = authorizer

    def claims(self, authorization: str | None) -> dict[str, str]:
        """Return the claims of an `Authorization` header's token; `Bearer` is optional. Raises `Unauthorized`."""
        word, _, rest = (authorization or "").strip().partition(" ")
        token = rest.strip() if word.lower() == "bearer" else (authorization or "").strip()
        try:
            key = self._keys.get_signing_key_from_jwt(token)
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=list(_ALGORITHMS),
                issuer=self._authorizer.issuer,
                options={"require": ["exp", "iss"], "verify_aud": False},
            )
        except (jwt.PyJWTError, requests.RequestException) as error:
            raise Unauthorized(type(error).__name__) from error
        if not self._has_our_audience(claims):
            raise Unauthorized("The token is for another audience")
        return {name: as_text(value) for name, value in claims.items()}

    def _has_our_audience(self, claims: Mapping[str, Any]) -> bool:
        """`client_id` counts only if there is no `aud`."""
        named = claims.get("aud", claims.get("client_id"))
        return bool(set(self._authorizer.audience) & set(named if isinstance(named, list) else [str(named)]))

    @cached_property
    def _keys(self) -> jwt.PyJWKClient:
        issuer = self._authorizer.issuer.rstrip("/")
        discovered = requests.get(f"{issuer}/.well-known/openid-configuration", timeout=5)
        discovered.raise_for_status()
        return jwt.PyJWKClient(str(discovered.json()["jwks_uri"]), timeout=5)


def as_text(claim: Any) -> str:
    """Return a claim as API Gateway passes it on: always text."""
    match claim:
        case bool():
            return str(claim).lower()
        case None:
            return "<nil>"
        case list():
            return f"[{' '.join(map(as_text, claim))}]"
        case dict():
            return f"map[{' '.join(f'{name}:{as_text(value)}' for name, value in sorted(claim.items()))}]"
        case _:
            return str(claim)
