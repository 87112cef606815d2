"""The requests that open the portal or the page for pauses: a followed link, the return from Checkout, and a call."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

from pydantic import ValidationError
from stripe import StripeClient

from functions.create_session.login_page import LoginPage, with_email
from functions.create_session.portal_session import (
    AlreadyOpened,
    CreatedSession,
    IdentifiedRequest,
    SessionRequest,
    allowed_return_url,
    create_session,
)
from functions.create_session.settings import CreateSessionSettings
from shared.errors import InvalidRequest, Unauthenticated
from shared.identity import Identity, User, customer_of_user, identity_of_token, identity_of_user, text_claim
from shared.link_token import AUDIENCE, PAUSE_AUDIENCE, LinkClaims, LinkTokens, bearer_token, with_link_secrets
from shared.secret_store import LinkSecrets, SecretStore, StripeSecret
from shared.stripe.gateway import stripe_client

# How long a visitor may take for Checkout and still come back to the portal.
RETURN_AGE = timedelta(hours=1)
# How long a visitor who followed a link may use the page for pauses: an hour, like a portal session
# in use (docs.stripe.com/customer-management).
PAUSE_PAGE_AGE = timedelta(hours=1)
# The audience of return tokens: neither kind of token is accepted as the other.
_RETURN_AUDIENCE = "portal-return"
_KEPT_OVER_CHECKOUT = ("return_url", "locale")
_MAX_ERRORS_SHOWN = 10
_MAX_NAME_SHOWN = 40


@dataclass(frozen=True, slots=True)
class FollowedLink:
    """Where to send a visitor who followed a link.

    `return_token` is set where that is Checkout: only the visitor's browser may keep it, for `return_from_checkout`.
    """

    url: str
    return_token: str | None = None


@dataclass(frozen=True, slots=True)
class CheckoutReturn:
    """Where to send a visitor who comes back from Checkout, and whether the return token has served its purpose."""

    url: str
    token_used: bool


def portal_user(claims: Mapping[str, Any], settings: CreateSessionSettings, client: StripeClient) -> Identity:
    """Return the identity of a signed-in user, with the claimed group; it may bind or create the user's customer.

    Raises `Forbidden` when the user has no customer.
    """

    def find(user: User) -> str | None:
        return customer_of_user(client, user, create_missing=settings.create_missing_customers)

    return replace(identity_of_user(claims, settings, find), group=text_claim(claims, settings.group_claim))


@dataclass(frozen=True, slots=True)
class PortalLink:
    """Handles the requests; made once per execution environment."""

    settings: CreateSessionSettings
    secrets: SecretStore[StripeSecret]
    link_secrets: SecretStore[LinkSecrets]
    clock: Callable[[], float] = time.time
    login_page: LoginPage = field(default_factory=LoginPage)

    def follow(self, query: Mapping[str, str], accept_language: str | None = None) -> FollowedLink:
        """Return where a visitor goes: with a token to the portal or to Checkout, without one to the login page.

        The login page's address is the same whether or not a customer with the given e-mail address exists.
        """
        if "token" not in query:
            return FollowedLink(with_email(self.login_page.url(self._client), query.get("email")))
        claims = self._read_token(query["token"])
        request = _validated({name: query[name] for name in SessionRequest.model_fields if name in query})
        kept = {"customer": claims.sub} | {name: query[name] for name in _KEPT_OVER_CHECKOUT if name in query}
        back = f"{self.settings.portal_url}/return?{urlencode(kept)}"
        session = self._session(IdentifiedRequest(identity_of_token(claims), request, accept_language, back))
        if not session.is_checkout:
            return FollowedLink(session.url)
        returning = LinkClaims(sub=session.customer, group=claims.group, locale=claims.locale, checkout=False)
        return FollowedLink(session.url, self._mint(_RETURN_AUDIENCE, returning, RETURN_AGE))

    def return_from_checkout(
        self, query: Mapping[str, str], return_token: str | None, accept_language: str | None = None
    ) -> CheckoutReturn:
        """Return where a visitor goes after Checkout: to the portal, in the browser that `follow` sent to Checkout.

        Anybody else who knows the address, such as whoever paid, goes to the return URL. So does a browser that has
        been sent to another customer's Checkout since, and one whose token has opened the portal before. Parameters
        that Stripe adds to the address are ignored.
        """
        request = _validated({name: query[name] for name in ("customer", *_KEPT_OVER_CHECKOUT) if name in query})
        try:
            claims = self._read_token(return_token, _RETURN_AUDIENCE) if return_token else None
        except Unauthenticated:
            claims = None
        if claims is None or claims.sub != request.customer:
            return CheckoutReturn(allowed_return_url(request.return_url, self.settings), token_used=False)
        # Stripe remembers the key for longer than the token lives, so that nobody can use a copied cookie afterwards.
        once = f"portal-return-{sha256((return_token or '').encode()).hexdigest()}"
        try:
            session = self._session(IdentifiedRequest(identity_of_token(claims), request, accept_language, once=once))
        except AlreadyOpened:
            return CheckoutReturn(allowed_return_url(request.return_url, self.settings), token_used=True)
        return CheckoutReturn(session.url, token_used=True)

    def create(
        self,
        claims: Mapping[str, Any] | None,
        authorization: str | None,
        body: bytes,
        accept_language: str | None = None,
    ) -> CreatedSession:
        """Create a session for a caller who proves an identity.

        `claims` are those that API Gateway's authorizer has verified; without them `authorization` has to be
        `Bearer <link token>`. `body` is the JSON of a `SessionRequest`, or empty.
        """
        if claims is not None:
            # Checked first: finding the user's customer asks Stripe, and may create one there.
            request = _validated(body or b"{}")
            allowed_return_url(request.return_url, self.settings)
            identity = portal_user(claims, self.settings, self._client)
        else:
            identity = identity_of_token(self._read_token(bearer_token(authorization)))
            request = _validated(body or b"{}")
        return self._session(IdentifiedRequest(identity, request, accept_language))

    def _session(self, request: IdentifiedRequest) -> CreatedSession:
        return create_session(self._client, request, self.settings, self._pause_page)

    def _pause_page(self, claims: LinkClaims) -> str:
        return f"{self.settings.pause_page_url}?token={self._mint(PAUSE_AUDIENCE, claims, PAUSE_PAGE_AGE)}"

    def _mint(self, audience: str, claims: LinkClaims, age: timedelta) -> str:
        now = self.clock()
        return LinkTokens(self.link_secrets.get().valid_at(now), audience).mint(claims, expires_in=age, now=now)

    @property
    def _client(self) -> StripeClient:
        return stripe_client(self.secrets.get().api_key, self.settings.stripe_api_base)

    def _read_token(self, token: str, audience: str = AUDIENCE) -> LinkClaims:
        now = self.clock()
        return with_link_secrets(self.link_secrets, audience, lambda tokens: tokens.read(token, now=now), now=now)


def _validated(fields: bytes | Mapping[str, str]) -> SessionRequest:
    try:
        if isinstance(fields, bytes):
            return SessionRequest.model_validate_json(fields)
        return SessionRequest.model_validate(fields)
    except ValidationError as error:
        wrong = "; ".join(_error_text(one["loc"], one["msg"]) for one in error.errors()[:_MAX_ERRORS_SHOWN])
        raise InvalidRequest("bad_request", f"These fields are wrong: {wrong}") from None


def _error_text(location: tuple[int | str, ...], message: str) -> str:
    """Name the field, shortened: an unknown field's name is the caller's and may have any length."""
    name = ".".join(map(str, location)) or "the body"
    return f"{name if len(name) <= _MAX_NAME_SHOWN else f'{name[:_MAX_NAME_SHOWN]}...'}: {message}"
