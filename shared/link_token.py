"""Link tokens: how a web site's backend says which customer a portal link is for.

A link token is a JWT (HS256) that any JWT library can mint: `aud` "portal", `sub` the customer (`cus_...`), `exp` at
most 7 days ahead, and optionally `group`, `locale`, `checkout` and the page of the portal (`shared/portal_flow.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

import jwt
from pydantic import Field, ValidationError

from shared.errors import InvalidRequest, Unauthenticated
from shared.portal_flow import FlowClaims

AUDIENCE = "portal"
ALGORITHM = "HS256"
MAX_AGE = timedelta(days=7)
# A token has a handful of short claims; longer ones are not read at all.
MAX_LENGTH = 2048

CustomerId = Annotated[str, Field(pattern=r"^cus_[A-Za-z0-9_]{1,250}$")]
Group = Annotated[str, Field(min_length=1, max_length=100)]
Locale = Annotated[str, Field(pattern=r"^[A-Za-z]{2,4}(-[A-Za-z0-9]{2,4})?$")]


class LinkClaims(FlowClaims):
    """What a link token says; a `flow` in it is the only one that the token opens.

    `checkout: false` keeps a customer without a live subscription out of Checkout: the portal opens all the same.
    """

    sub: CustomerId
    group: Group | None = None
    locale: Locale | None = None
    checkout: bool = True


@dataclass(frozen=True, slots=True)
class LinkTokens:
    """Mints and reads link tokens with the deployment's `link_secret`."""

    secret: str
    audience: str = AUDIENCE

    def mint(self, claims: LinkClaims, *, expires_in: timedelta, now: float) -> str:
        """Mint a token. Raises `InvalidRequest` unless it expires within 7 days from `now` (Unix seconds)."""
        if not timedelta(0) < expires_in <= MAX_AGE:
            raise InvalidRequest("bad_expiry", f"A link lives for more than 0 and at most {MAX_AGE.days} days")
        times = {"aud": self.audience, "iat": int(now), "exp": int(now + expires_in.total_seconds())}
        token = jwt.encode(claims.model_dump(exclude_defaults=True) | times, self.secret, algorithm=ALGORITHM)
        if len(token) > MAX_LENGTH:
            raise InvalidRequest("link_too_long", "The link would be too long: shorten its `custom_message`")
        return token

    def read(self, token: str, *, now: float) -> LinkClaims:
        """Read a token. Raises `Unauthenticated` unless it is genuine, for the portal, and not expired at `now`."""
        if len(token) > MAX_LENGTH or not token.isascii():
            raise Unauthenticated("bad_token", "The link token is too long, or no token at all")
        try:
            claims = jwt.decode(
                token,
                self.secret,
                algorithms=[ALGORITHM],
                audience=self.audience,
                # The times are checked below: PyJWT knows no clock but its own. `iat` is not part of the contract, and
                # a minute's clock error would refuse good tokens.
                options={
                    "require": ["exp", "sub", "aud"],
                    "strict_aud": True,
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except jwt.InvalidTokenError as error:
            raise Unauthenticated("bad_token", f"Not a valid link token ({type(error).__name__})") from None
        _check_times(claims, now)
        try:
            return LinkClaims.model_validate(claims)
        except ValidationError as error:
            wrong = ", ".join(sorted({".".join(map(str, each["loc"])) or each["msg"] for each in error.errors()}))
            raise Unauthenticated("bad_token", f"The link token has claims that are wrong: {wrong}") from None


def _check_times(claims: Mapping[str, Any], now: float) -> None:
    try:
        expiry, not_before = int(claims["exp"]), int(claims.get("nbf", 0))
    except (OverflowError, TypeError, ValueError):
        raise Unauthenticated("bad_token", "The link token's `exp` or `nbf` is no time") from None
    if expiry <= now:
        raise Unauthenticated("expired_token", "This link has expired; ask for a new one")
    if expiry > now + MAX_AGE.total_seconds():
        raise Unauthenticated("bad_token", f"A link token may not live longer than {MAX_AGE.days} days")
    if not_before > now:
        raise Unauthenticated("bad_token", "The link token is not valid yet")
