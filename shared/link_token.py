"""Link tokens: JWTs that say whose portal a link opens, and if it opens only one page (a flow), which one."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeVar

import jwt
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from shared.errors import InvalidRequest, Unauthenticated, sentence

if TYPE_CHECKING:
    from shared.secret_store import LinkSecrets, SecretStore

_Claims = TypeVar("_Claims")

# The ids of subscriptions from before 2014 may begin with `su_`: a subscription is looked up, not recognised.
SubscriptionId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,255}$")]
ItemId = Annotated[str, Field(pattern=r"^si_[A-Za-z0-9_]{1,250}$")]
# Coupons, and prices that were plans once, can have ids of the account's own choice.
OwnId = Annotated[str, Field(pattern=r"^[!-~]{1,255}$")]
PromotionCodeId = Annotated[str, Field(pattern=r"^promo_[A-Za-z0-9_]{1,250}$")]
Quantity = Annotated[int, Field(ge=1, le=1_000_000)]

# `pause` is the bundle's own page for pauses, or where those are off `subscription_pause`; the others are every
# `flow_data.type` of API 2026-10-28.endive.
Flow = Literal[
    "customer_update",
    "pause",
    "payment_method_update",
    "subscription_cancel",
    "subscription_pause",
    "subscription_update",
    "subscription_update_confirm",
]
AfterCompletion = Literal["hosted_confirmation", "portal_homepage", "redirect"]


class FlowClaims(BaseModel):
    """A page of the portal and its details: Stripe's `flow_data` as flat fields.

    `item`, `price` and `quantity` are the one change that `subscription_update_confirm` shows for confirmation (Stripe
    takes one item at most). `coupon` is offered to a customer who cancels, or discounts that change; `promotion_code`
    only does the latter. `custom_message` is the text of the `hosted_confirmation` (Stripe allows 500 characters).
    """

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    flow: Flow | None = None
    subscription: SubscriptionId | None = None
    item: ItemId | None = None
    price: OwnId | None = None
    quantity: Quantity | None = None
    coupon: OwnId | None = None
    promotion_code: PromotionCodeId | None = None
    after_completion: AfterCompletion | None = None
    custom_message: Annotated[str, Field(min_length=1, max_length=500)] | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        reason = next(self._misfits(), None)
        if reason:
            raise PydanticCustomError("misfit", "{reason}", {"reason": reason})
        return self

    def _misfits(self) -> Iterator[str]:
        is_change = self.flow == "subscription_update_confirm"
        for name in ("item", "price", "quantity", "promotion_code"):
            if getattr(self, name) is not None and not is_change:
                yield f"`{name}` is for the flow subscription_update_confirm"
        if self.coupon and not is_change and self.flow != "subscription_cancel":
            yield "`coupon` is for the flows subscription_cancel and subscription_update_confirm"
        if self.coupon and self.promotion_code:
            yield "give a `coupon` or a `promotion_code`, not both"
        if is_change and (self.coupon or self.promotion_code) and self.price is None and self.quantity is None:
            yield "a discount is for one change: name its `price` or `quantity` too"
        if self.after_completion and self.flow is None:
            yield "`after_completion` needs a `flow`"
        if self.custom_message and self.after_completion != "hosted_confirmation":
            yield "`custom_message` is for `after_completion` hosted_confirmation"


AUDIENCE = "portal"
# Tokens that only tell who has service: of one customer, and for a server that asks about many. Neither opens a portal,
# and no link to the portal is one of them (docs/decisions/0009-access-tokens.md).
ACCESS_AUDIENCE = "access"
ACCESS_BATCH_AUDIENCE = "access-batch"
# Tokens that pause and resume: neither a link to the portal nor an access token is one
# (docs/decisions/0012-pause-tokens.md).
PAUSE_AUDIENCE = "pause"
ALGORITHM = "HS256"
MAX_AGE = timedelta(days=7)
# A token has a few short claims; longer ones are refused before they are parsed.
MAX_LENGTH = 2048

CustomerId = Annotated[str, Field(pattern=r"^cus_[A-Za-z0-9_]{1,250}$")]
GroupName = Annotated[str, Field(min_length=1, max_length=100)]
Locale = Annotated[str, Field(pattern=r"^[A-Za-z]{2,4}(-[A-Za-z0-9]{2,4})?$")]


class LinkClaims(FlowClaims):
    """The claims of a link token; a `flow` in it is the only one that the token opens.

    `checkout: false` keeps a customer without a live subscription out of Checkout: the portal opens all the same.
    """

    sub: CustomerId
    group: GroupName | None = None
    locale: Locale | None = None
    checkout: bool = True


@dataclass(frozen=True, slots=True)
class LinkTokens:
    """Mints and reads link tokens; `secrets` are the deployment's link secrets by their `kid`, the newest first.

    A token whose header has a `kid` must be signed with that secret, one without it with any of them.
    """

    secrets: Mapping[str, str]
    audience: str = AUDIENCE

    def mint(self, claims: LinkClaims, *, expires_in: timedelta, now: float) -> str:
        """Mint a token. Raises `InvalidRequest` unless it expires within 7 days from `now` (Unix seconds)."""
        if not timedelta(0) < expires_in <= MAX_AGE:
            raise InvalidRequest(
                "bad_expiry", sentence("A link lives for more than 0 and at most {days} days", days=MAX_AGE.days)
            )
        times = {"aud": self.audience, "iat": int(now), "exp": int(now + expires_in.total_seconds())}
        kid, secret = next(iter(self.secrets.items()))
        payload = claims.model_dump(exclude_defaults=True) | times
        token = jwt.encode(payload, secret, algorithm=ALGORITHM, headers={"kid": kid})
        if len(token) > MAX_LENGTH:
            raise InvalidRequest("link_too_long", sentence("The link would be too long: shorten its `custom_message`"))
        return token

    def read(self, token: str, *, now: float) -> LinkClaims:
        """Read a token. Raises `Unauthenticated` unless it is genuine, for the audience, and not expired at `now`."""
        claims = self.verify(token, now=now)
        try:
            return LinkClaims.model_validate(claims)
        except ValidationError as error:
            wrong = ", ".join(sorted({".".join(map(str, each["loc"])) or each["msg"] for each in error.errors()}))
            raise Unauthenticated("bad_token", f"The link token has claims that are wrong: {wrong}") from None

    def verify(self, token: str, *, now: float) -> dict[str, Any]:
        """Return the claims of a token, unread. Raises `Unauthenticated` as `read` does, but for the claims."""
        if len(token) > MAX_LENGTH or not token.isascii():
            raise Unauthenticated("bad_token", "The link token is too long, or no token at all")
        try:
            claims = self._decode(token)
        except jwt.InvalidTokenError as error:
            raise Unauthenticated("bad_token", f"Not a valid link token ({type(error).__name__})") from None
        _check_times(claims, now)
        return claims

    def _decode(self, token: str) -> dict[str, Any]:
        """Return the claims of a token that one of the secrets has signed. Raises `jwt.InvalidTokenError`."""
        kid = jwt.get_unverified_header(token).get("kid")
        for secret in self.secrets.values() if kid is None else filter(None, [self.secrets.get(kid)]):
            try:
                claims: dict[str, Any] = jwt.decode(
                    token,
                    secret,
                    algorithms=[ALGORITHM],
                    audience=self.audience,
                    # The times are checked elsewhere: PyJWT knows no clock but its own. `iat` is not part of the
                    # contract, and a minute's clock error would refuse good tokens.
                    options={
                        "require": ["exp", "aud"],
                        "strict_aud": True,
                        "verify_exp": False,
                        "verify_nbf": False,
                        "verify_iat": False,
                    },
                )
            except jwt.InvalidSignatureError:
                continue
            return claims
        raise jwt.InvalidSignatureError


def with_link_secrets(
    store: "SecretStore[LinkSecrets]", audience: str, read: Callable[[LinkTokens], _Claims], *, now: float
) -> _Claims:
    """Read a token with the link secrets that count at `now`.

    One that does not fit may be signed with a new secret: then they are reread.
    """
    try:
        return read(LinkTokens(store.get().valid_at(now), audience))
    except Unauthenticated as error:
        if error.code != "bad_token" or (renewed := store.reread()) is None:
            raise
    return read(LinkTokens(renewed.valid_at(now), audience))


def bearer_token(authorization: str | None) -> str:
    """Return the token of an `Authorization` header. Raises `Unauthenticated` without one."""
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("no_token", "Send a link token as `Authorization: Bearer <token>`")
    return token.strip()


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
