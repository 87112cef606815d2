"""Makes one session at Stripe for a proven identity: of the portal, or of Checkout where there is nothing to manage."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import stripe
from stripe import StripeClient

from functions.create_session.checkout import checkout_url, is_subscribed
from functions.create_session.flow_data import flow_data, limited
from functions.create_session.identity import Identity
from functions.create_session.locale import CHECKOUT_LOCALES, granted
from functions.create_session.refusal import refusal, without_addresses
from functions.create_session.session_request import SessionRequest
from functions.create_session.settings import CreateSessionSettings
from shared.errors import InvalidRequest, OperatorError
from shared.portal_flow import FlowClaims
from shared.return_url import is_allowed
from shared.stripe_gateway import stripe_errors

if TYPE_CHECKING:
    from stripe.params.billing_portal import SessionCreateParams
    from stripe.params.checkout import SessionCreateParams as CheckoutParams


@dataclass(frozen=True, slots=True)
class Destination:
    """Where to send the customer: the address is a credential, never to be logged or stored."""

    url: str
    customer: str
    is_checkout: bool = False


@dataclass(frozen=True, slots=True)
class Visit:
    """Who asks for what; `back_from_checkout` is where Checkout leads on success, the return URL by default."""

    identity: Identity
    request: SessionRequest
    accept_language: str | None = None
    back_from_checkout: str | None = None


def destination(client: StripeClient, visit: Visit, settings: CreateSessionSettings) -> Destination:
    """Make a fresh session (it lives for 5 minutes).

    Raises `InvalidRequest`, `Forbidden`, and for what only the team can mend `OperatorError`.
    """
    identity, request = visit.identity, visit.request
    return_url = allowed_return_url(request.return_url, settings)
    customer = identity.pick(request.customer)
    wanted = limited(identity.limits, request)
    wishes = (identity.locale, request.locale, settings.portal_locale, visit.accept_language)
    if settings.checkout_price and identity.checkout and wanted.flow is None and not is_subscribed(client, customer):
        success_url = visit.back_from_checkout or return_url
        params = _checkout_params(customer, settings.checkout_price, success_url, return_url)
        if locale := granted(wishes, CHECKOUT_LOCALES):
            params["locale"] = locale
        return Destination(checkout_url(client, params), customer, is_checkout=True)
    session: SessionCreateParams = {"customer": customer, "return_url": return_url}
    if data := flow_data(client, customer, wanted, return_url, settings.retention_coupon):
        session["flow_data"] = data
    if configuration := _configuration(client, customer, identity.group, settings):
        session["configuration"] = configuration
    if locale := granted(wishes):
        session["locale"] = locale
    if settings.expired_session_login:
        session["after_expiration"] = {"type": "customer_login"}
    return Destination(_portal_url(client, session, wanted, names_return=request.return_url is not None), customer)


def allowed_return_url(asked: str | None, settings: CreateSessionSettings) -> str:
    """Answer the address asked for, or the default. Raises `InvalidRequest` unless its origin is an allowed one."""
    if asked is None:
        return settings.default_return_url
    if not is_allowed(asked, settings.allowed_return_origins):
        raise InvalidRequest("bad_return_url", "return_url has to begin with one of the allowed origins")
    return asked


def _checkout_params(customer: str, price: str, success_url: str, cancel_url: str) -> "CheckoutParams":
    return {
        "mode": "subscription",
        "customer": customer,
        "line_items": [{"price": price, "quantity": 1}],
        "success_url": success_url,
        "cancel_url": cancel_url,
    }


def _portal_url(client: StripeClient, params: "SessionCreateParams", wanted: FlowClaims, *, names_return: bool) -> str:
    with stripe_errors():
        try:
            return client.v1.billing_portal.sessions.create(params).url
        except stripe.InvalidRequestError as error:
            refused = refusal(error)
            if error.param == "return_url" and names_return:
                refused = InvalidRequest("bad_return_url", "Stripe does not take this return_url")
            if refused.code == "discount_refused" and not wanted.coupon and not wanted.promotion_code:
                refused = OperatorError("bad_retention_coupon", "RETENTION_COUPON is no coupon that Stripe takes")
            raise refused from error


def _configuration(
    client: StripeClient,
    customer: str,
    group: str | None,
    settings: CreateSessionSettings,
) -> str | None:
    if not settings.portal_configurations:
        return None
    group = group or _group_of_customer(client, customer)
    if group is None:
        return None
    if group not in settings.portal_configurations:
        known = sorted(settings.portal_configurations)
        raise OperatorError(
            "unknown_group", f"PORTAL_CONFIGURATIONS has no group {without_addresses(group)!r}, only {known}"
        )
    return settings.portal_configurations[group]


def _group_of_customer(client: StripeClient, customer: str) -> str | None:
    with stripe_errors():
        try:
            found = client.v1.customers.retrieve(customer)
        except stripe.InvalidRequestError as error:
            raise refusal(error) from error
    metadata = getattr(found, "metadata", None)
    return metadata["portal_group"] if metadata and "portal_group" in metadata else None
