"""Who the caller is: which Stripe customers a link token or a signed-in user's claims stand for.

A user whose claims name no customer can be found by a verified e-mail address, where the deployment allows it, and one
whose address finds none can have a customer created, which then belongs to that user only.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import stripe
from pydantic import TypeAdapter, ValidationError
from stripe import StripeClient

from functions.create_session.refusals import refusal
from functions.create_session.settings import CreateSessionSettings
from shared.errors import Forbidden, InvalidRequest, PortalError, Unavailable
from shared.link_token import CustomerId, FlowClaims, LinkClaims
from shared.stripe.gateway import stripe_errors
from shared.stripe.subscription import LIVE_STATUSES

if TYPE_CHECKING:
    from stripe import Customer


# The metadata keys by which a customer that was created here belongs to one user.
ISSUER, SUBJECT, EMAIL = "portal_issuer", "portal_subject", "portal_email"
# Stripe repeats the first response to an idempotency key for a day: a 500, or a customer that has been deleted since.
# After such a response another key is needed.
_KEYS = 3

MAX_EMAIL_LENGTH = 254
# The longest value that Stripe's metadata can hold.
MAX_NAME_LENGTH = 500

NO_LIMITS = FlowClaims()

_customer_ids = TypeAdapter(tuple[CustomerId, ...])
# One plain address: no list, no display name, no control character.
_EMAIL = re.compile(r"[^\s\x00-\x1f\x7f@,;:<>()\[\]\\\"]+@[^\s\x00-\x1f\x7f@,;:<>()\[\]\\\"]+")


@dataclass(frozen=True, slots=True)
class User:
    """A signed-in user: `issuer` and `subject` are the token's `iss` and `sub`, `email` is verified."""

    issuer: str
    subject: str
    email: str


@dataclass(frozen=True, slots=True)
class Identity:
    """The customers that the caller may act for, and what the token limits the caller to."""

    customers: tuple[str, ...]
    group: str | None = None
    locale: str | None = None
    limits: FlowClaims = NO_LIMITS
    checkout: bool = True

    def pick(self, customer: str | None) -> str:
        """Return the customer to act for; the caller may only pick one of their own. Raises `Forbidden`."""
        if customer is None and len(self.customers) > 1:
            raise InvalidRequest("customer_required", "You have several customers: name one of them in `customer`")
        if customer is not None and customer not in self.customers:
            raise Forbidden("not_your_customer", "That customer is not yours")
        return customer or self.customers[0]


def identity_of_token(claims: LinkClaims) -> Identity:
    """Return the identity of a link token's bearer: the one customer that the token names."""
    return Identity((claims.sub,), claims.group, claims.locale, claims, claims.checkout)


def identity_of_user(claims: Mapping[str, Any], settings: CreateSessionSettings, client: StripeClient) -> Identity:
    """Find the customers of a signed-in user from the claims that API Gateway's JWT authorizer has verified.

    API Gateway passes every claim on as a string, a list as `[a b]` and true as `true`; a claim of another type did not
    come from there. Raises `Forbidden` when the user has no customer.
    """
    group = _text(claims, settings.group_claim)
    if customers := _customers_in(claims.get(settings.customer_claim)):
        return Identity(customers, group=group)
    email = _verified_email(claims) if settings.allow_verified_email else None
    if email is None:
        raise Forbidden("no_customer", "No customer belongs to your sign-in")
    customer = customer_by_email(client, email)
    if customer is None and settings.create_missing_customers:
        customer = customer_created_for(client, _user(claims, email))
    if customer is None:
        raise Forbidden("no_customer", "No customer belongs to your sign-in")
    return Identity((customer,), group=group)


def _customers_in(claim: Any) -> tuple[str, ...]:
    """Read the customer claim: nothing, one id, or several in brackets with one space between them."""
    if claim in (None, "", "[]"):
        return ()
    is_list = isinstance(claim, str) and claim.startswith("[") and claim.endswith("]")
    try:
        return tuple(dict.fromkeys(_customer_ids.validate_python(claim[1:-1].split(" ") if is_list else [claim])))
    except ValidationError:
        raise Forbidden("no_customer", "The customer claim of your sign-in is not a Stripe customer id") from None


def _verified_email(claims: Mapping[str, Any]) -> str | None:
    """Return the address if the provider says that it is verified, in the one form in which API Gateway says true."""
    email = _text(claims, "email")
    if claims.get("email_verified") != "true" or not email or len(email) > MAX_EMAIL_LENGTH:
        return None
    return email if _EMAIL.fullmatch(email) else None


def _user(claims: Mapping[str, Any], email: str) -> User:
    issuer, subject = _text(claims, "iss"), _text(claims, "sub")
    if not issuer or not subject or len(issuer) > MAX_NAME_LENGTH or len(subject) > MAX_NAME_LENGTH:
        raise Forbidden("no_customer", "Your sign-in needs the claims `iss` and `sub`, of 500 characters at most")
    return User(issuer, subject, email)


def _text(claims: Mapping[str, Any], name: str) -> str | None:
    claim = claims.get(name)
    return claim if claim and isinstance(claim, str) else None


def customer_by_email(client: StripeClient, email: str) -> str | None:
    """Return the newest customer with the address and a live subscription, else the newest one with the address.

    Stripe's own login chooses in the same way. Stripe compares addresses exactly, upper and lower case included, and
    lists customers created a moment ago.
    Source: docs.stripe.com/customer-management/activate-no-code-customer-portal.
    """
    with stripe_errors():
        try:
            found = client.v1.customers.list({"email": email, "limit": 100, "expand": ["data.subscriptions"]}).data
        except stripe.InvalidRequestError as error:
            raise _refused(error) from error
    newest = sorted((one for one in found if _has_address(one, email)), key=lambda one: one.created, reverse=True)
    live = [customer for customer in newest if _has_live_subscription(customer)]
    return next((customer.id for customer in [*live, *newest]), None)


def customer_created_for(client: StripeClient, user: User) -> str:
    """Return the customer that was created for this user; create it if there is none. A user gets only one.

    To be called when `customer_by_email` has found nothing. Raises `Unavailable` while it is not known whether there is
    one.
    """
    if known := _by_metadata(client, user):
        return known
    for attempt in range(_KEYS):
        if created := _create(client, user, attempt):
            return created
        # The request that got this key's first response may have created a customer since.
        if found := customer_by_email(client, user.email):
            return found
    raise Unavailable("customer_not_made", "Stripe could not create a customer for this user today; try again later")


def _by_metadata(client: StripeClient, user: User) -> str | None:
    """Find the user's customer even if its address has changed.

    Stripe's search is about a minute behind, ignores case, and does not exist in India. Source: docs.stripe.com/search.
    """
    query = f"metadata['{ISSUER}']:'{_quoted(user.issuer)}' AND metadata['{SUBJECT}']:'{_quoted(user.subject)}'"
    with stripe_errors():
        try:
            found = client.v1.customers.search({"query": query, "limit": 100}).data
        except stripe.InvalidRequestError:
            return None
    mine = [one for one in found if one.metadata and one.metadata.to_dict().items() >= _metadata(user).items()]
    return min(mine, key=lambda one: one.created).id if mine else None


def _create(client: StripeClient, user: User, attempt: int) -> str | None:
    """Create it under the user's key for this attempt; return `None` when Stripe repeats a response that is no use."""
    key = sha256("\n".join((user.issuer, user.subject, str(attempt))).encode()).hexdigest()
    with stripe_errors():
        try:
            created = client.v1.customers.create(
                {"email": user.email, "metadata": _metadata(user) | {EMAIL: user.email}},
                {"idempotency_key": f"portal-{key}"},
            )
            if _is_replayed(created.last_response) and _is_deleted(client, created.id):
                return None
        except stripe.IdempotencyError:
            # The same user created one a moment ago, with another address: the search will find that customer soon.
            raise Unavailable(
                "customer_not_found_yet", "This user's customer is being created; try again soon"
            ) from None
        except stripe.InvalidRequestError as error:
            raise _refused(error) from error
        except stripe.APIError as error:
            if not _is_replayed(error):
                raise
            return None
    return created.id


def _refused(error: stripe.InvalidRequestError) -> PortalError:
    if error.code == "email_invalid":
        return Forbidden("no_customer", "Stripe does not accept your e-mail address")
    return refusal(error)


def _has_address(customer: "Customer", email: str) -> bool:
    """Whether the address is the customer's, and the one that was verified if the customer was created here.

    In a portal that lets customers change their address they can write somebody else's there, and would share their
    customer with that person. The user for whom the customer was created is still found by the metadata.
    """
    metadata = customer.metadata.to_dict() if customer.metadata else {}
    return customer.email == email and metadata.get(EMAIL, email) == email


def _is_replayed(response: Any) -> bool:
    return ((response and response.headers) or {}).get("Idempotent-Replayed") == "true"


def _is_deleted(client: StripeClient, customer: str) -> bool:
    return bool(getattr(client.v1.customers.retrieve(customer), "deleted", False))


def _metadata(user: User) -> dict[str, str]:
    return {ISSUER: user.issuer, SUBJECT: user.subject}


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")


def _has_live_subscription(customer: "Customer") -> bool:
    subscriptions = getattr(customer, "subscriptions", None)
    return subscriptions is not None and any(each.status in LIVE_STATUSES for each in subscriptions.data)
