"""Who the caller is: which Stripe customers a link token or a signed-in user's claims stand for.

Where the deployment allows it, a user whose claims name no customer is found by a verified e-mail address, and a user
whose address finds none can have a customer created. Either way the customer belongs to that user from then on.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from typing import TYPE_CHECKING, Any

import stripe
from pydantic import TypeAdapter, ValidationError
from stripe import StripeClient

from shared.errors import Forbidden, InvalidRequest, PortalError, Unavailable
from shared.link_token import CustomerId, FlowClaims, LinkClaims
from shared.settings import IdentitySettings
from shared.stripe.gateway import refused_request, stripe_errors
from shared.stripe.subscription import LIVE_STATUSES

if TYPE_CHECKING:
    from stripe import Customer


# The metadata keys by which a customer belongs to one user.
ISSUER, SUBJECT = "portal_issuer", "portal_subject"
# Stripe repeats the first response to an idempotency key for a day: a 500, or a customer that has been deleted since.
# After such a response another key is needed.
_KEYS = 3

# Customers of one address that a request reads, in five pages.
_MOST_WITH_ADDRESS = 500

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
    """The customers that the caller may act for, and what the token limits the caller to.

    `is_user`: a signed-in user, not the bearer of a link.
    """

    customers: tuple[str, ...]
    group: str | None = None
    locale: str | None = None
    limits: FlowClaims = NO_LIMITS
    checkout: bool = True
    is_user: bool = False

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


def identity_of_user(
    claims: Mapping[str, Any], settings: IdentitySettings, find: Callable[[User], str | None]
) -> Identity:
    """Return the customers of a signed-in user, from the claims that API Gateway's JWT authorizer has verified.

    `find`, such as `customer_of_user`, returns the customer of a user whose claims name none, where settings allow it.
    API Gateway passes every claim on as a string, a list as `[a b]` and true as `true`; a claim of another type did not
    come from there. Raises `Forbidden` when the user has no customer.
    """
    if customers := _customers_in(claims.get(settings.customer_claim)):
        return Identity(customers, is_user=True)
    email = _verified_email(claims) if settings.allow_verified_email else None
    if email is None:
        raise Forbidden("no_customer", "No customer belongs to your sign-in")
    customer = find(_user(claims, email))
    if customer is None:
        raise Forbidden("no_customer", "No customer belongs to your sign-in")
    return Identity((customer,), is_user=True)


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
    email = text_claim(claims, "email")
    if claims.get("email_verified") != "true" or not email or len(email) > MAX_EMAIL_LENGTH:
        return None
    return email if _EMAIL.fullmatch(email) else None


def _user(claims: Mapping[str, Any], email: str) -> User:
    issuer, subject = text_claim(claims, "iss"), text_claim(claims, "sub")
    if not issuer or not subject or len(issuer) > MAX_NAME_LENGTH or len(subject) > MAX_NAME_LENGTH:
        raise Forbidden("no_customer", "Your sign-in needs the claims `iss` and `sub`, of 500 characters at most")
    return User(issuer, subject, email)


def text_claim(claims: Mapping[str, Any], name: str) -> str | None:
    """Return a claim that is text and not empty."""
    claim = claims.get(name)
    return claim if claim and isinstance(claim, str) else None


def customer_of_user(client: StripeClient, user: User, *, create_missing: bool) -> str | None:
    """Return the customer that belongs to the user; the first time, bind the one customer with the user's address.

    A customer whose metadata names an issuer and a subject belongs to that user only, whatever its address or theirs
    may become: providers give a freed address to somebody else, and a portal may let customers write any address.
    With `create_missing`, create a customer where no unbound one has the address; a user gets only one.

    Raises `Forbidden` where several unbound customers have the address, and `Unavailable` while it is not known
    whether the user has a customer.
    """
    listed = _with_address(client, user.email)
    own = [customer for customer in listed if _owner(customer) == (user.issuer, user.subject)]
    if own:
        return _newest(own).id
    if found := _by_metadata(client, user):
        return found
    unbound = [customer for customer in listed if _owner(customer) == (None, None)]
    if len(unbound) > 1 or len(listed) == _MOST_WITH_ADDRESS:
        raise Forbidden(
            "several_customers",
            "Several customers have your e-mail address. Write to support, who can say which of them is yours",
        )
    if unbound:
        return _bind(client, unbound[0].id, user)
    return _created(client, user) if create_missing else None


def _with_address(client: StripeClient, email: str) -> "list[Customer]":
    """Stripe compares addresses exactly, upper and lower case included, and lists customers created a moment ago.

    Returns `_MOST_WITH_ADDRESS` at most, and then there may be others.
    """
    with stripe_errors():
        try:
            found = client.v1.customers.list({"email": email, "limit": 100, "expand": ["data.subscriptions"]})
            with_it = (customer for customer in found.auto_paging_iter() if customer.email == email)
            return list(islice(with_it, _MOST_WITH_ADDRESS))
        except stripe.InvalidRequestError as error:
            raise _refused(error) from error


def _owner(customer: "Customer") -> tuple[str | None, str | None]:
    """Return the issuer and the subject of the user whom the customer belongs to."""
    metadata = customer.metadata.to_dict() if customer.metadata else {}
    return metadata.get(ISSUER) or None, metadata.get(SUBJECT) or None


def _newest(customers: "list[Customer]") -> "Customer":
    """Return the newest customer with a live subscription, else the newest, as Stripe's own login does.

    Source: docs.stripe.com/customer-management/activate-no-code-customer-portal.
    """
    return max(customers, key=lambda customer: (_has_live_subscription(customer), customer.created))


def _by_metadata(client: StripeClient, user: User) -> str | None:
    """Find the user's customer even if its address has changed.

    Stripe's search is about a minute behind, ignores case, and does not exist in India. Source: docs.stripe.com/search.
    """
    query = f"metadata['{ISSUER}']:'{_quoted(user.issuer)}' AND metadata['{SUBJECT}']:'{_quoted(user.subject)}'"
    with stripe_errors():
        try:
            found = list(client.v1.customers.search({"query": query, "limit": 100}).auto_paging_iter())
        except stripe.InvalidRequestError:
            return None
    own = [customer for customer in found if _owner(customer) == (user.issuer, user.subject)]
    return min(own, key=lambda customer: customer.created).id if own else None


def _bind(client: StripeClient, customer: str, user: User) -> str:
    """Write the user into the customer's metadata. Of two users at the same moment only the first gets the customer.

    Both use the customer's one idempotency key, and Stripe refuses a key that comes again with other parameters.
    """
    key = sha256(f"bind\n{customer}".encode()).hexdigest()
    with stripe_errors():
        try:
            client.v1.customers.update(customer, {"metadata": _metadata(user)}, {"idempotency_key": f"portal-{key}"})
        except stripe.IdempotencyError:
            raise Unavailable(
                "customer_not_found_yet", "The customer with your address has just changed; try again soon"
            ) from None
        except stripe.InvalidRequestError as error:
            raise _refused(error) from error
    return customer


def _created(client: StripeClient, user: User) -> str:
    for attempt in range(_KEYS):
        if created := _create(client, user, attempt):
            return created
        # The request that got this key's first response may have created a customer since.
        own = [each for each in _with_address(client, user.email) if _owner(each) == (user.issuer, user.subject)]
        if own:
            return _newest(own).id
    raise Unavailable("customer_not_made", "Stripe could not create a customer for this user today; try again later")


def _create(client: StripeClient, user: User, attempt: int) -> str | None:
    """Create it under the user's key for this attempt; return `None` when Stripe repeats a response that is no use."""
    key = sha256("\n".join((user.issuer, user.subject, str(attempt))).encode()).hexdigest()
    with stripe_errors():
        try:
            created = client.v1.customers.create(
                {"email": user.email, "metadata": _metadata(user)},
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
    return refused_request(error)


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
