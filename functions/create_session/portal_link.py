"""The portal link's two ways in: a link that a visitor follows, and a request that a page or a server makes."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Self
from urllib.parse import urlencode

import boto3
from pydantic import ValidationError
from stripe import StripeClient

from functions.create_session.identity import identity_of_token, identity_of_user
from functions.create_session.login_page import LoginPage, with_email
from functions.create_session.portal_session import (
    Destination,
    PortalRequest,
    SessionRequest,
    allowed_return_url,
    destination,
)
from functions.create_session.settings import CreateSessionSettings
from shared.aws import AWS_CONFIG
from shared.errors import InvalidRequest, Unauthenticated
from shared.link_token import LinkClaims, LinkTokens
from shared.secret_store import SecretStore
from shared.stripe.gateway import stripe_client

# How long a visitor may take for Checkout and still come back to the portal.
RETURN_AGE = timedelta(hours=1)
_KEPT_OVER_CHECKOUT = ("return_url", "locale")
_SHOWN_FAULTS = 10
_SHOWN_LETTERS = 40


@dataclass(frozen=True, slots=True)
class PortalLink:
    """All that a request needs, made once per execution environment."""

    settings: CreateSessionSettings
    secrets: SecretStore
    clock: Callable[[], float] = time.time
    login_page: LoginPage = field(default_factory=LoginPage)

    @classmethod
    def from_environment(cls) -> Self:
        """Wire it. Raises `OperatorError` naming the settings that are wrong."""
        settings = CreateSessionSettings.from_environment()
        return cls(settings, SecretStore(settings.secret_id, boto3.client("secretsmanager", config=AWS_CONFIG)))

    def follow(self, query: Mapping[str, str], accept_language: str | None = None) -> tuple[str, str | None]:
        """Return where a visitor goes: with a token to the portal or to Checkout, without one to the login page.

        For the way to Checkout there is a second answer, which only the visitor's browser may keep: `come_back` takes
        it. The login page's address is the same whether or not a customer with the given e-mail address exists.
        """
        if "token" not in query:
            return with_email(self.login_page.url(self._client), query.get("email")), None
        claims = self._tokens.read(query["token"], now=self.clock())
        request = _validated(_asked(query))
        kept = {"customer": claims.sub} | {name: query[name] for name in _KEPT_OVER_CHECKOUT if name in query}
        back = f"{self.settings.portal_url}/return?{urlencode(kept)}"
        found = self._destination(PortalRequest(identity_of_token(claims), request, accept_language, back))
        if not found.is_checkout:
            return found.url, None
        returning = LinkClaims(sub=found.customer, group=claims.group, locale=claims.locale, checkout=False)
        return found.url, self._return_tokens.mint(returning, expires_in=RETURN_AGE, now=self.clock())

    def come_back(
        self, query: Mapping[str, str], return_token: str | None, accept_language: str | None = None
    ) -> tuple[str, bool]:
        """Return where the visitor goes after Checkout, and whether that used the token up.

        It is the portal in the browser that `follow` sent there.

        Anybody else who knows the address, whoever paid among them, goes to the return URL, and so does a browser that
        has been sent to another customer's Checkout since. What Stripe adds to an address is not looked at.
        """
        request = _validated({name: query[name] for name in ("customer", *_KEPT_OVER_CHECKOUT) if name in query})
        try:
            claims = self._return_tokens.read(return_token or "", now=self.clock())
        except Unauthenticated:
            claims = None
        if claims is None or claims.sub != request.customer:
            return allowed_return_url(request.return_url, self.settings), False
        return self._destination(PortalRequest(identity_of_token(claims), request, accept_language)).url, True

    def create(
        self,
        claims: Mapping[str, Any] | None,
        authorization: str | None,
        body: bytes,
        accept_language: str | None = None,
    ) -> Destination:
        """Return a session's address to whoever proves an identity.

        `claims` are those that API Gateway's authorizer has verified; without them `authorization` has to be
        `Bearer <link token>`.
        """
        if claims is not None:
            # Before anything is asked of Stripe, or made there.
            request = _validated(body or b"{}")
            allowed_return_url(request.return_url, self.settings)
            identity = identity_of_user(claims, self.settings, self._client)
        else:
            scheme, _, token = (authorization or "").partition(" ")
            if scheme.lower() != "bearer" or not token:
                raise Unauthenticated("no_token", "Send a link token as `Authorization: Bearer <token>`")
            identity = identity_of_token(self._tokens.read(token.strip(), now=self.clock()))
            request = _validated(body or b"{}")
        return self._destination(PortalRequest(identity, request, accept_language))

    def _destination(self, visit: PortalRequest) -> Destination:
        return destination(self._client, visit, self.settings)

    @property
    def _client(self) -> StripeClient:
        return stripe_client(self.secrets.get().api_key, self.settings.stripe_api_base)

    @property
    def _tokens(self) -> LinkTokens:
        return LinkTokens(self.secrets.get().link_secret.get_secret_value())

    @property
    def _return_tokens(self) -> LinkTokens:
        """An audience of their own: neither kind is taken for the other."""
        return LinkTokens(self.secrets.get().link_secret.get_secret_value(), "portal-return")


def _asked(query: Mapping[str, str]) -> dict[str, str]:
    return {name: query[name] for name in SessionRequest.model_fields if name in query}


def _validated(asked: bytes | Mapping[str, str]) -> SessionRequest:
    try:
        if isinstance(asked, bytes):
            return SessionRequest.model_validate_json(asked)
        return SessionRequest.model_validate(asked)
    except ValidationError as error:
        wrong = "; ".join(_fault(one["loc"], one["msg"]) for one in error.errors()[:_SHOWN_FAULTS])
        raise InvalidRequest("bad_request", f"These are wrong: {wrong}") from None


def _fault(place: tuple[int | str, ...], message: str) -> str:
    """Name the field; how a caller may call a field of their own has no end."""
    name = ".".join(map(str, place)) or "the body"
    return f"{name if len(name) <= _SHOWN_LETTERS else f'{name[:_SHOWN_LETTERS]}...'}: {message}"
