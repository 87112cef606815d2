"""The questions that the function answers: for a signed-in user, for the holder of a token, and for a server."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from http import HTTPStatus
from typing import Annotated, Any

import stripe
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from stripe import StripeClient

from functions.access.lookups import Lookups
from functions.access.settings import AccessSettings
from shared.access import CustomerAccess, customer_access
from shared.deadline import keeping_deadline, seconds_left
from shared.errors import InvalidRequest
from shared.identity import User, customer_of_user, identity_of_token, identity_of_user
from shared.link_token import (
    ACCESS_AUDIENCE,
    ACCESS_BATCH_AUDIENCE,
    CustomerId,
    LinkClaims,
    OwnId,
    bearer_token,
    with_link_secrets,
)
from shared.mirror.entitlements import EntitlementsMirror, require_entitlements
from shared.mirror.items import MirroredCustomer
from shared.mirror.rule import Mirror
from shared.mirror.table import MirrorTable
from shared.secret_store import LinkSecrets, SecretStore, StripeSecret
from shared.stripe.entitlements import EntitlementsReader
from shared.stripe.gateway import read_from_stripe, refused_request, stripe_client, stripe_errors, with_all_items
from shared.stripe.lists import PAGE, read_page
from shared.stripe.subscription import has_more_items, read_subscription
from shared.stripe.subscription_read import LIST_LAG, SubscriptionRead

MOST_CUSTOMERS = 100
# Queries side by side, for a server's batch.
_STREAMS = 10
# What a request has to have left to read another page of a customer's subscriptions, write them and decide.
_PAGE_SECONDS = 3

# Any text that the company chose (docs.stripe.com/api/entitlements/feature/create: up to 80 characters).
LookupKey = Annotated[str, Field(min_length=1, max_length=80)]


class AccessRequest(BaseModel):
    """What a caller may ask about: which of its own customers, which product, and which feature."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    customer: CustomerId | None = None
    product: OwnId | None = None
    feature: LookupKey | None = None


class BatchRequest(BaseModel):
    """What a server may ask about."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    customers: Annotated[list[CustomerId], Field(min_length=1, max_length=MOST_CUSTOMERS)]
    product: OwnId | None = None
    feature: LookupKey | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer, and whether Stripe was asked for it."""

    access: CustomerAccess
    looked_up: bool = False


@dataclass(frozen=True, slots=True)
class AccessAnswers:
    """Answers the questions; made once per execution environment."""

    settings: AccessSettings
    secrets: SecretStore[StripeSecret]
    link_secrets: SecretStore[LinkSecrets]
    table: MirrorTable
    lookups: Lookups
    entitlements: EntitlementsReader
    clock: Callable[[], float] = time.time

    def own(self, claims: Mapping[str, Any] | None, authorization: str | None, query: Mapping[str, str]) -> Answer:
        """Answer a signed-in user, whose `claims` API Gateway has verified; without them the holder of a token."""
        if claims is None:
            return self.of_customer(None, authorization, query)
        request = _request(query)
        return self._answer(identity_of_user(claims, self.settings, self._find).pick(request.customer), request)

    def of_customer(self, customer: str | None, authorization: str | None, query: Mapping[str, str]) -> Answer:
        """Answer the holder of an access token; `customer` is the one that the address names, if it names one."""
        token, now = bearer_token(authorization), self.clock()

        def read(tokens: Any) -> LinkClaims:
            claims: LinkClaims = tokens.read(token, now=now)
            return claims

        identity = identity_of_token(with_link_secrets(self.link_secrets, ACCESS_AUDIENCE, read, now=now))
        request = _request(query)
        if customer is not None and request.customer not in {None, customer}:
            raise InvalidRequest("bad_request", "The address and `customer` name two customers")
        return self._answer(identity.pick(customer or request.customer), request)

    def batch(self, authorization: str | None, body: bytes) -> list[CustomerAccess]:
        """Answer a server about many customers, in their order. Stripe is never asked."""
        token, now = bearer_token(authorization), self.clock()
        with_link_secrets(
            self.link_secrets, ACCESS_BATCH_AUDIENCE, lambda tokens: tokens.verify(token, now=now), now=now
        )
        try:
            request = BatchRequest.model_validate_json(body or b"{}")
        except ValidationError as error:
            raise _wrong(error) from None
        self._check(request)
        with ThreadPoolExecutor(_STREAMS) as pool:
            held = list(pool.map(keeping_deadline(self.table.customer), request.customers))
        return [
            self._decide(customer, mirrored, request, now)
            for customer, mirrored in zip(request.customers, held, strict=True)
        ]

    def _answer(self, customer: str, request: AccessRequest) -> Answer:
        """Answer from the mirror; ask Stripe about what it does not know before that counts.

        That is a customer without a subscription that has not ended and, for a feature, without entitlements.
        """
        self._check(request)
        held, now = self.table.customer(customer), self.clock()
        asked = False
        if not _is_alive(held):
            asked = self.lookups.once(f"customer#{customer}", partial(self._read_through, customer), now=now).asked
            held = self.table.customer(customer) if asked else held
        if request.feature is not None and held.entitlements is None and _is_alive(held):
            ask = partial(self._read_entitlements, customer, held)
            asked_too = self.lookups.once(f"entitlements#{customer}", ask, now=now).asked
            held = self.table.customer(customer) if asked_too else held
            asked = asked or asked_too
        return Answer(self._decide(customer, held, request, now), looked_up=asked)

    def _check(self, request: AccessRequest | BatchRequest) -> None:
        if request.feature is not None:
            require_entitlements(on=self.settings.entitlements)

    def _decide(
        self, customer: str, held: MirroredCustomer, request: AccessRequest | BatchRequest, now: float
    ) -> CustomerAccess:
        return customer_access(
            customer,
            held.subscriptions,
            now=now,
            policy=self.settings,
            product=request.product,
            account=self.settings.stripe_account_id,
            entitlements=held.entitlements if self.settings.entitlements else None,
            feature=request.feature,
        )

    def _read_entitlements(self, customer: str, held: MirroredCustomer) -> None:
        """Bring the customer's entitlements into the mirror, by its rule for them."""
        settings = self.settings
        mirror = EntitlementsMirror(
            self.table,
            self.entitlements.read,
            uncertainty=settings.uncertainty,
            retention=settings.retention,
            account=settings.stripe_account_id,
        )
        mirror.observe(customer, held)

    def _read_through(self, customer: str) -> None:
        """Bring the customer's subscriptions that have not ended into the mirror, by the mirror's own rule.

        The newest come first. Of a customer with very many the request may have no time for all: what is left then is
        brought by its events, or repaired by the audit.
        """
        settings, client = self.settings, self._client
        mirror = Mirror(
            self.table,
            partial(read_from_stripe, client),
            uncertainty=settings.uncertainty,
            retention=settings.retention,
            account=settings.stripe_account_id,
        )
        query: dict[str, Any] = {"customer": customer, "limit": PAGE}
        while True:
            with stripe_errors():
                try:
                    page = read_page(client, "/v1/subscriptions", query)
                except stripe.InvalidRequestError as error:
                    # No such customer; or the subscription that the page was to start after has just been canceled.
                    if error.http_status == HTTPStatus.NOT_FOUND or error.code == "resource_missing":
                        return
                    raise refused_request(error) from error
            for raw in page.data:
                whole = with_all_items(client, raw) if has_more_items(raw) else raw
                mirror.observe(SubscriptionRead(read_subscription(whole), page.as_of, page.took, LIST_LAG))
            if not page.has_more or seconds_left() < _PAGE_SECONDS:
                return
            query["starting_after"] = page.last_id

    def _find(self, user: User) -> str | None:
        """Find the customer of a user whose claims name none; a question about access creates none."""
        key = sha256(f"{user.issuer}\n{user.subject}\n{user.email}".encode()).hexdigest()
        ask = partial(customer_of_user, self._client, user, create_missing=False)
        return self.lookups.once(f"user#{key}", ask, now=self.clock()).found

    @property
    def _client(self) -> StripeClient:
        return stripe_client(self.secrets.get().api_key, self.settings.stripe_api_base)


def _is_alive(held: MirroredCustomer) -> bool:
    return any(not item.subscription.ended for item in held.subscriptions)


def _request(query: Mapping[str, str]) -> AccessRequest:
    try:
        return AccessRequest.model_validate(dict(query))
    except ValidationError as error:
        raise _wrong(error) from None


def _wrong(error: ValidationError) -> InvalidRequest:
    """Name the fields that are wrong, without what they hold."""
    names = sorted({".".join(map(str, each["loc"]))[:40] or "the body" for each in error.errors()})
    return InvalidRequest("bad_request", f"These fields are wrong: {', '.join(names[:10])}")
