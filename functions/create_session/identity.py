"""Who is asking: proven by a link token or by API Gateway's authorizer, never by a parameter."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError
from stripe import StripeClient

from functions.create_session.settings import CreateSessionSettings
from functions.create_session.user_customer import User, customer_by_email, customer_made_for
from shared.errors import Forbidden, InvalidRequest
from shared.link_token import CustomerId, LinkClaims
from shared.portal_flow import FlowClaims

MAX_EMAIL_LENGTH = 254
# As long as a value of Stripe's metadata may be.
MAX_NAME_LENGTH = 500

NO_LIMITS = FlowClaims()

_customer_ids = TypeAdapter(tuple[CustomerId, ...])
# One plain address: no list of them, no name around it, no control character.
_EMAIL = re.compile(r"[^\s\x00-\x1f\x7f@,;:<>()\[\]\\\"]+@[^\s\x00-\x1f\x7f@,;:<>()\[\]\\\"]+")


@dataclass(frozen=True, slots=True)
class Identity:
    """The customers that the caller may act for, and what the token limits the caller to."""

    customers: tuple[str, ...]
    group: str | None = None
    locale: str | None = None
    limits: FlowClaims = NO_LIMITS
    checkout: bool = True

    def pick(self, customer: str | None) -> str:
        """Answer the customer to act for; the caller may only pick one of their own. Raises `Forbidden`."""
        if customer is None and len(self.customers) > 1:
            raise InvalidRequest("customer_required", "You have several customers: name one of them in `customer`")
        if customer is not None and customer not in self.customers:
            raise Forbidden("not_your_customer", "That customer is not yours")
        return customer or self.customers[0]


def identity_of_token(claims: LinkClaims) -> Identity:
    """The bearer of a link token is its one customer."""
    return Identity((claims.sub,), claims.group, claims.locale, claims, claims.checkout)


def identity_of_user(claims: Mapping[str, Any], settings: CreateSessionSettings, client: StripeClient) -> Identity:
    """Find the customers of a signed-in user from the claims that API Gateway's JWT authorizer has verified.

    Raises `Forbidden` when the user has no customer. Source of the claims' form: API Gateway hands every claim on as a
    string, a list among them as `[a b]`, true as `true`; what is no string did not come from there.
    """
    group = _text(claims, settings.group_claim)
    if customers := _named(claims.get(settings.customer_claim)):
        return Identity(customers, group=group)
    email = _verified_email(claims) if settings.allow_verified_email else None
    if email is None:
        raise Forbidden("no_customer", "Your sign-in belongs to no customer")
    customer = customer_by_email(client, email)
    if customer is None and settings.create_missing_customers:
        customer = customer_made_for(client, _user(claims, email))
    if customer is None:
        raise Forbidden("no_customer", "Your sign-in belongs to no customer")
    return Identity((customer,), group=group)


def _named(claim: Any) -> tuple[str, ...]:
    """Read the customer claim: nothing, one id, or several in brackets with one space between them."""
    if claim in (None, "", "[]"):
        return ()
    is_list = isinstance(claim, str) and claim.startswith("[") and claim.endswith("]")
    try:
        return tuple(dict.fromkeys(_customer_ids.validate_python(claim[1:-1].split(" ") if is_list else [claim])))
    except ValidationError:
        raise Forbidden("no_customer", "Your sign-in names no valid Stripe customer") from None


def _verified_email(claims: Mapping[str, Any]) -> str | None:
    """Answer the address if the provider says that it is verified, in the one form in which API Gateway says true."""
    email = _text(claims, "email")
    if claims.get("email_verified") != "true" or not email or len(email) > MAX_EMAIL_LENGTH:
        return None
    return email if _EMAIL.fullmatch(email) else None


def _user(claims: Mapping[str, Any], email: str) -> User:
    issuer, subject = _text(claims, "iss"), _text(claims, "sub")
    if not issuer or not subject or len(issuer) > MAX_NAME_LENGTH or len(subject) > MAX_NAME_LENGTH:
        raise Forbidden("no_customer", "Your sign-in does not say who you are: it has no `iss` or no `sub`")
    return User(issuer, subject, email)


def _text(claims: Mapping[str, Any], name: str) -> str | None:
    claim = claims.get(name)
    return claim if claim and isinstance(claim, str) else None
