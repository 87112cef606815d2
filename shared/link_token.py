"""Link tokens: how a web site's backend says which customer a portal link is for.

A link token is a JWT (HS256) that any JWT library can mint: `aud` "portal", `sub` the customer (`cus_...`), `exp` at
most 7 days ahead, and optionally `group`, `flow`, `subscription` and `locale`.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Literal

import jwt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.errors import InvalidRequest, Unauthenticated

AUDIENCE = "portal"
ALGORITHM = "HS256"
MAX_AGE = timedelta(days=7)
# A token has a handful of short claims; longer ones are not read at all.
MAX_LENGTH = 2048

CustomerId = Annotated[str, Field(pattern=r"^cus_[A-Za-z0-9_]{1,250}$")]
SubscriptionId = Annotated[str, Field(pattern=r"^sub_[A-Za-z0-9_]{1,250}$")]
Group = Annotated[str, Field(min_length=1, max_length=100)]
Locale = Annotated[str, Field(pattern=r"^[A-Za-z]{2,4}(-[A-Za-z0-9]{2,4})?$")]
# Stripe's `flow_data.type` values (API 2026-10-28.endive) but `subscription_update_confirm`, which needs items as well.
Flow = Literal[
    "customer_update",
    "payment_method_update",
    "subscription_cancel",
    "subscription_pause",
    "subscription_update",
]


class LinkClaims(BaseModel):
    """What a link token says; a `flow` in it is the only one that the token opens."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    sub: CustomerId
    group: Group | None = None
    flow: Flow | None = None
    subscription: SubscriptionId | None = None
    locale: Locale | None = None


@dataclass(frozen=True, slots=True)
class LinkTokens:
    """Mints and reads link tokens with the deployment's `link_secret`."""

    secret: str

    def mint(self, claims: LinkClaims, *, expires_in: timedelta, now: float) -> str:
        """Mint a token. Raises `InvalidRequest` unless it expires within 7 days from `now` (Unix seconds)."""
        if not timedelta(0) < expires_in <= MAX_AGE:
            raise InvalidRequest("bad_expiry", f"A link lives for more than 0 and at most {MAX_AGE.days} days")
        times = {"aud": AUDIENCE, "iat": int(now), "exp": int(now + expires_in.total_seconds())}
        return jwt.encode(claims.model_dump(exclude_none=True) | times, self.secret, algorithm=ALGORITHM)

    def read(self, token: str, *, now: float) -> LinkClaims:
        """Read a token. Raises `Unauthenticated` unless it is genuine, for the portal, and not expired at `now`."""
        if len(token) > MAX_LENGTH:
            raise Unauthenticated("bad_token", "The link token is too long")
        try:
            claims = jwt.decode(
                token,
                self.secret,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                # `iat` is not part of the contract, and a minute's clock error would refuse good tokens.
                options={"require": ["exp", "sub", "aud"], "strict_aud": True, "verify_iat": False},
            )
        except jwt.ExpiredSignatureError:
            raise Unauthenticated("expired_token", "This link has expired; ask for a new one") from None
        except jwt.InvalidTokenError as error:
            raise Unauthenticated("bad_token", f"Not a valid link token ({type(error).__name__})") from None
        if int(claims["exp"]) > now + MAX_AGE.total_seconds():
            raise Unauthenticated("bad_token", f"A link token may not live longer than {MAX_AGE.days} days")
        try:
            return LinkClaims.model_validate(claims)
        except ValidationError as error:
            wrong = ", ".join(sorted({".".join(map(str, each["loc"])) for each in error.errors()}))
            raise Unauthenticated("bad_token", f"The link token has claims that are wrong: {wrong}") from None
