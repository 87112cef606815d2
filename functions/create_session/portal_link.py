"""The portal link's two ways in: a link that a visitor follows, and a request that a page or a server makes."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import boto3
from pydantic import ValidationError
from stripe import StripeClient

from functions.create_session.identity import identity_of_token, identity_of_user
from functions.create_session.login_page import LoginPage, with_email
from functions.create_session.portal_session import SessionRequest, portal_session
from functions.create_session.settings import CreateSessionSettings
from shared.aws import AWS_CONFIG
from shared.errors import InvalidRequest, Unauthenticated
from shared.link_token import LinkTokens
from shared.secret_store import SecretStore
from shared.stripe_gateway import stripe_client

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

    def follow(self, query: Mapping[str, str]) -> str:
        """Answer where a visitor goes: with a token to a portal session, without one to the login page.

        The login page's address is the same whether or not a customer with the given e-mail address exists.
        """
        if "token" not in query:
            return with_email(self.login_page.url(self._client), query.get("email"))
        identity = identity_of_token(self._tokens.read(query["token"], now=self.clock()))
        asked = {name: query[name] for name in SessionRequest.model_fields if name in query}
        return portal_session(self._client, identity, _validated(asked), self.settings)

    def create(self, claims: Mapping[str, Any] | None, authorization: str | None, body: bytes) -> str:
        """Answer a session's address to whoever proves an identity.

        `claims` are those that API Gateway's authorizer has verified; without them `authorization` has to be
        `Bearer <link token>`.
        """
        if claims is not None:
            identity = identity_of_user(claims, self.settings, self._client)
        else:
            scheme, _, token = (authorization or "").partition(" ")
            if scheme.lower() != "bearer" or not token:
                raise Unauthenticated("no_token", "Send a link token as `Authorization: Bearer <token>`")
            identity = identity_of_token(self._tokens.read(token.strip(), now=self.clock()))
        return portal_session(self._client, identity, _validated(body or b"{}"), self.settings)

    @property
    def _client(self) -> StripeClient:
        return stripe_client(self.secrets.get().api_key, self.settings.stripe_api_base)

    @property
    def _tokens(self) -> LinkTokens:
        return LinkTokens(self.secrets.get().link_secret.get_secret_value())


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
