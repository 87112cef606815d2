"""The Stripe customer of a signed-in user who has a verified e-mail address and no customer claim."""

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import stripe
from stripe import StripeClient

from functions.create_session.refusal import refusal
from shared.errors import Forbidden, PortalError, Unavailable
from shared.stripe_gateway import stripe_errors
from shared.subscription import LIVE_STATUSES

if TYPE_CHECKING:
    from stripe import Customer

# Under these a customer that was made here remembers whom it was made for.
ISSUER, SUBJECT, EMAIL = "portal_issuer", "portal_subject", "portal_email"
# A key's first answer is given again for a day, a 500 and a customer deleted since among them.
_KEYS = 3


@dataclass(frozen=True, slots=True)
class User:
    """Whom an identity provider has signed in; `email` is verified."""

    issuer: str
    subject: str
    email: str


def customer_by_email(client: StripeClient, email: str) -> str | None:
    """Choose as Stripe's own login does: the newest with that address and a live subscription; else the newest.

    Stripe compares the address letter by letter, capitals included, and lists what was written a moment ago.
    Source: docs.stripe.com/customer-management/activate-no-code-customer-portal.
    """
    with stripe_errors():
        try:
            found = client.v1.customers.list({"email": email, "limit": 100, "expand": ["data.subscriptions"]}).data
        except stripe.InvalidRequestError as error:
            raise _refused(error) from error
    newest = sorted((one for one in found if _is_of(one, email)), key=lambda one: one.created, reverse=True)
    live = [customer for customer in newest if _has_live_subscription(customer)]
    return next((customer.id for customer in [*live, *newest]), None)


def customer_made_for(client: StripeClient, user: User) -> str:
    """Answer the customer that was made for this user, making it if there is none: one, however often this is asked.

    To be called when `customer_by_email` has found nothing. Raises `Unavailable` when it cannot be told yet whether
    there is one.
    """
    if known := _by_metadata(client, user):
        return known
    for place in range(_KEYS):
        if made := _make(client, user, place):
            return made
        # Whoever got that first answer may have a customer by now.
        if found := customer_by_email(client, user.email):
            return found
    raise Unavailable("customer_not_made", "Stripe could not make a customer for this user for a day; try again later")


def _by_metadata(client: StripeClient, user: User) -> str | None:
    """Find it although the address has changed since. A minute behind, blind to case, and not to be had in India.

    Source: docs.stripe.com/search.
    """
    query = f"metadata['{ISSUER}']:'{_quoted(user.issuer)}' AND metadata['{SUBJECT}']:'{_quoted(user.subject)}'"
    with stripe_errors():
        try:
            found = client.v1.customers.search({"query": query, "limit": 100}).data
        except stripe.InvalidRequestError:
            return None
    mine = [one for one in found if one.metadata and one.metadata.to_dict().items() >= _metadata(user).items()]
    return min(mine, key=lambda one: one.created).id if mine else None


def _make(client: StripeClient, user: User, place: int) -> str | None:
    """Ask for it under the user's key of that place; `None` when the key's first answer is of no use any more."""
    key = sha256("\n".join((user.issuer, user.subject, str(place))).encode()).hexdigest()
    with stripe_errors():
        try:
            made = client.v1.customers.create(
                {"email": user.email, "metadata": _metadata(user) | {EMAIL: user.email}},
                {"idempotency_key": f"portal-{key}"},
            )
            if _is_replayed(made.last_response) and _is_deleted(client, made.id):
                return None
        except stripe.IdempotencyError:
            # The same user a short while ago, with another address: the search will find that customer soon.
            raise Unavailable("customer_not_found_yet", "This user's customer is being made; try again soon") from None
        except stripe.InvalidRequestError as error:
            raise _refused(error) from error
        except stripe.APIError as error:
            if not _is_replayed(error):
                raise
            return None
    return made.id


def _refused(error: stripe.InvalidRequestError) -> PortalError:
    if error.code == "email_invalid":
        return Forbidden("no_customer", "Stripe does not take your e-mail address for one")
    return refusal(error)


def _is_of(customer: "Customer", email: str) -> bool:
    """Whether the address is the customer's, and still the one that was verified when the customer was made here.

    Whoever is in a portal that lets customers change their address can write somebody else's there, and would share the
    customer with that person. The user for whom it was made is still found by the metadata.
    """
    metadata = customer.metadata.to_dict() if customer.metadata else {}
    return customer.email == email and metadata.get(EMAIL, email) == email


def _is_replayed(answer: Any) -> bool:
    return ((answer and answer.headers) or {}).get("Idempotent-Replayed") == "true"


def _is_deleted(client: StripeClient, customer: str) -> bool:
    return bool(getattr(client.v1.customers.retrieve(customer), "deleted", False))


def _metadata(user: User) -> dict[str, str]:
    return {ISSUER: user.issuer, SUBJECT: user.subject}


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")


def _has_live_subscription(customer: "Customer") -> bool:
    subscriptions = getattr(customer, "subscriptions", None)
    return subscriptions is not None and any(each.status in LIVE_STATUSES for each in subscriptions.data)
