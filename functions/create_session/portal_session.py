"""Creates a portal session, a Checkout session or a link to the page for pauses, for a caller who is identified.

A session's parameters come from three sources: what the caller asks for, what the caller's token fixes, and the
deployment's settings. A token can limit a request to one page of the portal (a flow); the request can narrow it further
and never widen it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import stripe
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from stripe import StripeClient

from functions.create_session.checkout import REPLAYED, checkout_url, is_subscribed
from functions.create_session.refusals import refusal
from functions.create_session.settings import CreateSessionSettings
from shared.errors import Forbidden, InvalidRequest, OperatorError
from shared.i18n import CHECKOUT_LOCALES, stripe_locale
from shared.identity import Identity
from shared.link_token import (
    AfterCompletion,
    CustomerId,
    Flow,
    FlowClaims,
    ItemId,
    LinkClaims,
    Locale,
    OwnId,
    Quantity,
    SubscriptionId,
)
from shared.portal.which_configuration import configuration_of_group, group_in
from shared.return_url import MAX_LENGTH, is_allowed
from shared.stripe.gateway import stripe_errors

if TYPE_CHECKING:
    from stripe import RequestOptions, Subscription
    from stripe.params.billing_portal import SessionCreateParams, SessionCreateParamsFlowData
    from stripe.params.checkout import SessionCreateParams as CheckoutParams

# A token with a flow fixes these too, even where it has none: a discount is for one change, and the
# `after_completion` of `portal_homepage` would open the rest of the portal.
_FIXED_WITH_FLOW = ("item", "price", "quantity", "after_completion")


class SessionRequest(BaseModel):
    """What a caller may ask for, as JSON or as query parameters.

    No field says who the caller is (`customer` only picks one of the caller's own), and none gives money away: `price`
    and `quantity` are shown to the customer, who has to confirm them, and Stripe accepts only those that the portal's
    configuration offers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    return_url: Annotated[str, Field(max_length=MAX_LENGTH)] | None = None
    flow: Flow | None = None
    subscription: SubscriptionId | None = None
    item: ItemId | None = None
    price: OwnId | None = None
    quantity: Quantity | None = None
    after_completion: AfterCompletion | None = None
    customer: CustomerId | None = None
    locale: Locale | None = None


@dataclass(frozen=True, slots=True)
class IdentifiedRequest:
    """A request together with its caller's proven identity.

    `back_from_checkout` is where Checkout leads on success: the return URL by default. `once` is an idempotency key of
    Stripe's under which one session can be created, and no second.
    """

    identity: Identity
    request: SessionRequest
    accept_language: str | None = None
    back_from_checkout: str | None = None
    once: str | None = None


class AlreadyOpened(Exception):
    """Raised when a session was created under the request's key before."""


@dataclass(frozen=True, slots=True)
class CreatedSession:
    """A session of Stripe's, or a link to the page for pauses. Its address is a credential: never logged or stored."""

    url: str
    customer: str
    is_checkout: bool = False


def create_session(
    client: StripeClient,
    identified: IdentifiedRequest,
    settings: CreateSessionSettings,
    pause_page: Callable[[LinkClaims], str],
) -> CreatedSession:
    """Create a session of the portal, or of Checkout for a customer who has no live subscription to manage.

    The flow `pause` opens the bundle's own page where the customer is offered pauses, else Stripe's. `pause_page` mints
    a link to the former.

    Raises `InvalidRequest`, `Forbidden`, `Unavailable`, and `OperatorError` for what only the operator can fix;
    `AlreadyOpened` where the request's key was used before.
    """
    identity, request = identified.identity, identified.request
    return_url = allowed_return_url(request.return_url, settings)
    customer = identity.pick(request.customer)
    flow = permitted_flow(identity.limits, request)
    if flow.flow == "pause":
        if settings.offers_pauses(identity.group):
            return CreatedSession(pause_page(_pause_claims(client, customer, flow, identified, settings)), customer)
        flow = flow.model_copy(update={"flow": "subscription_pause"})
    locales = (identity.locale, request.locale, settings.portal_locale, identified.accept_language)
    if settings.checkout_price and identity.checkout and flow.flow is None and not is_subscribed(client, customer):
        success_url = identified.back_from_checkout or return_url
        params = _checkout_params(customer, settings.checkout_price, success_url, return_url)
        if locale := stripe_locale(locales, CHECKOUT_LOCALES):
            params["locale"] = locale
        return CreatedSession(checkout_url(client, params), customer, is_checkout=True)
    session: SessionCreateParams = {"customer": customer, "return_url": return_url}
    if data := _flow_data(client, customer, flow, return_url, settings.retention_coupon):
        session["flow_data"] = data
    if configuration := _configuration(client, customer, identity.group, settings):
        session["configuration"] = configuration
    if locale := stripe_locale(locales):
        session["locale"] = locale
    if settings.expired_session_login:
        session["after_expiration"] = {"type": "customer_login"}
    return CreatedSession(_portal_url(client, session, flow, identified), customer)


def allowed_return_url(url: str | None, settings: CreateSessionSettings) -> str:
    """Return the address, or without one the default. Raises `InvalidRequest` unless its origin is an allowed one."""
    if url is None:
        return settings.default_return_url
    if not is_allowed(url, settings.allowed_return_origins):
        raise InvalidRequest("bad_return_url", "return_url has to begin with one of the allowed origins")
    return url


def permitted_flow(limits: FlowClaims, request: SessionRequest) -> FlowClaims:
    """Return the flow to open: the token's, or where the token leaves it open, the request's.

    Discounts are only ever the token's. Raises `Forbidden` where the request asks for something other than the token
    fixes, and `InvalidRequest` where the request's fields do not go together.
    """
    fields: dict[str, Any] = {name: getattr(limits, name) for name in FlowClaims.model_fields}
    for name in ("flow", "subscription", *_FIXED_WITH_FLOW):
        requested, limit = getattr(request, name), getattr(limits, name)
        is_fixed = limit is not None or (limits.flow is not None and name in _FIXED_WITH_FLOW)
        if requested is not None and is_fixed and requested != limit:
            raise Forbidden(f"other_{name}", f"This link is for another {name}")
        fields[name] = requested if limit is None else limit
    try:
        return FlowClaims.model_validate(fields)
    except ValidationError as error:
        raise InvalidRequest("bad_request", "; ".join(each["msg"] for each in error.errors())) from None


def _pause_claims(
    client: StripeClient,
    customer: str,
    flow: FlowClaims,
    identified: IdentifiedRequest,
    settings: CreateSessionSettings,
) -> LinkClaims:
    """Return the claims of a pause token for a caller who may have one (docs/decisions/0013-pause-links.md).

    Whoever minted the link has to have meant pauses: a link to the portal alone does not become one that pauses.
    """
    identity = identified.identity
    if not identity.is_user and identity.limits.flow != "pause":
        raise Forbidden("flow_not_in_token", "This link does not open the page for pauses: its token has no such flow")
    if flow.subscription is not None:
        _own_subscription(client, customer, flow.subscription)
    return LinkClaims(
        sub=customer,
        group=settings.known_group(identity.group),
        locale=identity.locale or identified.request.locale,
        subscription=flow.subscription,
    )


def _flow_data(
    client: StripeClient,
    customer: str,
    flow: FlowClaims,
    return_url: str,
    retention_coupon: str | None,
) -> "SessionCreateParamsFlowData | None":
    """Return the session's `flow_data`, or `None` for the whole portal. The subscription has to be the customer's."""
    if flow.flow is None:
        return None
    data: Any = {"type": flow.flow, "after_completion": _after_completion(flow, return_url)}
    if flow.flow.startswith("subscription_"):
        if flow.subscription is None:
            raise InvalidRequest("subscription_required", f"The flow {flow.flow} needs a `subscription`")
        subscription = _own_subscription(client, customer, flow.subscription)
        data[flow.flow] = {"subscription": subscription.id} | _flow_details(flow, subscription, retention_coupon)
    flow_data: SessionCreateParamsFlowData = data
    return flow_data


def _flow_details(flow: FlowClaims, subscription: "Subscription", retention_coupon: str | None) -> dict[str, Any]:
    if flow.flow == "subscription_cancel" and (coupon := flow.coupon or retention_coupon):
        return {"retention": {"type": "coupon_offer", "coupon_offer": {"coupon": coupon}}}
    if flow.flow != "subscription_update_confirm":
        return {}
    change = {"price": flow.price, "quantity": flow.quantity}
    if not any(change.values()):
        raise InvalidRequest("change_required", f"The flow {flow.flow} needs a `price` or a `quantity`")
    item = {"id": _only_item(flow.item, subscription)} | change
    discount = {"coupon": flow.coupon, "promotion_code": flow.promotion_code}
    details: dict[str, Any] = {"items": [_without_none(item)]}
    return details | ({"discounts": [_without_none(discount)]} if any(discount.values()) else {})


def _only_item(requested: str | None, subscription: "Subscription") -> str:
    items = [item.id for item in subscription["items"].data]
    if requested is not None and requested not in items:
        raise Forbidden("not_your_item", "The subscription has no such item")
    if len(items) != 1:
        raise InvalidRequest("several_items", "The portal cannot change a subscription that has several items")
    return str(items[0])


def _after_completion(flow: FlowClaims, return_url: str) -> dict[str, Any]:
    match flow.after_completion:
        case "portal_homepage":
            return {"type": "portal_homepage"}
        case "hosted_confirmation":
            confirmation = _without_none({"custom_message": flow.custom_message})
            return {"type": "hosted_confirmation", "hosted_confirmation": confirmation}
        case _:
            return {"type": "redirect", "redirect": {"return_url": return_url}}


def _without_none(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _own_subscription(client: StripeClient, customer: str, subscription_id: str) -> "Subscription":
    """Raise the same `Forbidden` whether the subscription is somebody else's or does not exist."""
    with stripe_errors():
        try:
            subscription = client.v1.subscriptions.retrieve(subscription_id)
        except stripe.InvalidRequestError:
            subscription = None
    if subscription is None or subscription.customer != customer:
        raise Forbidden("not_your_subscription", "That subscription is not yours")
    return subscription


def _checkout_params(customer: str, price: str, success_url: str, cancel_url: str) -> "CheckoutParams":
    return {
        "mode": "subscription",
        "customer": customer,
        "line_items": [{"price": price, "quantity": 1}],
        "success_url": success_url,
        "cancel_url": cancel_url,
    }


def _portal_url(
    client: StripeClient, params: "SessionCreateParams", flow: FlowClaims, identified: IdentifiedRequest
) -> str:
    options: RequestOptions = {"idempotency_key": identified.once} if identified.once else {}
    with stripe_errors():
        try:
            session = client.v1.billing_portal.sessions.create(params, options)
        except stripe.IdempotencyError:
            raise AlreadyOpened from None
        except stripe.InvalidRequestError as error:
            refused = refusal(error)
            if error.param == "return_url" and identified.request.return_url is not None:
                refused = InvalidRequest("bad_return_url", "Stripe does not accept this return_url")
            if refused.code == "discount_refused" and not flow.coupon and not flow.promotion_code:
                refused = OperatorError("bad_retention_coupon", "Set RETENTION_COUPON to a coupon that Stripe accepts")
            raise refused from error
    # Stripe repeats the response to a key that was used before.
    if identified.once and session.last_response and session.last_response.headers.get(REPLAYED) == "true":
        raise AlreadyOpened
    return session.url


def _configuration(
    client: StripeClient, customer: str, group: str | None, settings: CreateSessionSettings
) -> str | None:
    """Return the configuration of the caller's group; without any groups the customer is not even read."""
    if not settings.portal_configurations:
        return None
    return configuration_of_group(group or _group_of_customer(client, customer), settings.portal_configurations)


def _group_of_customer(client: StripeClient, customer: str) -> str | None:
    with stripe_errors():
        try:
            found = client.v1.customers.retrieve(customer)
        except stripe.InvalidRequestError as error:
            raise refusal(error) from error
    metadata = getattr(found, "metadata", None)
    return group_in(metadata.to_dict() if metadata else None)
