"""Who is asking: proven by a link token or by API Gateway's authorizer, never by a parameter."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError
from stripe import Customer, StripeClient

from functions.create_session.settings import CreateSessionSettings
from shared.errors import Forbidden, InvalidRequest
from shared.link_token import CustomerId, LinkClaims
from shared.portal_flow import FlowClaims
from shared.stripe_gateway import stripe_errors

LIVE_STATUSES = frozenset({"active", "trialing", "past_due", "unpaid", "paused"})

NO_LIMITS = FlowClaims()

_customer_ids = TypeAdapter(tuple[CustomerId, ...])


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
    string, a list among them as `[a b]`.
    """
    group = claims.get(settings.group_claim)
    named = _listed(claims.get(settings.customer_claim))
    if named:
        try:
            return Identity(_customer_ids.validate_python(named), group=group)
        except ValidationError:
            raise Forbidden("no_customer", "Your sign-in names no valid Stripe customer") from None
    email = claims.get("email")
    verified = str(claims.get("email_verified")).lower() == "true"
    if settings.allow_verified_email and isinstance(email, str) and email and verified:
        customer = _customer_of_email(client, email)
        if customer:
            return Identity((customer,), group=group)
    raise Forbidden("no_customer", "Your sign-in belongs to no customer")


def _listed(claim: Any) -> tuple[Any, ...]:
    if isinstance(claim, str) and claim.startswith("[") and claim.endswith("]"):
        return tuple(claim[1:-1].replace(",", " ").split())
    if isinstance(claim, list):
        return tuple(claim)
    return (claim,) if claim else ()


def _customer_of_email(client: StripeClient, email: str) -> str | None:
    """Choose as Stripe's own login does: the newest with that address and a live subscription; else the newest.

    Source: docs.stripe.com/customer-management/activate-no-code-customer-portal.
    """
    with stripe_errors():
        found = client.v1.customers.list({"email": email, "limit": 100, "expand": ["data.subscriptions"]}).data
    newest = sorted(found, key=lambda customer: customer.created, reverse=True)
    live = [customer for customer in newest if _has_live_subscription(customer)]
    return next((customer.id for customer in [*live, *newest]), None)


def _has_live_subscription(customer: Customer) -> bool:
    subscriptions = getattr(customer, "subscriptions", None)
    return subscriptions is not None and any(each.status in LIVE_STATUSES for each in subscriptions.data)
