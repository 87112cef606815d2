"""What a caller may ask for, as JSON or as query parameters."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import stripe
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from stripe import StripeClient

from functions.create_session.checkout import checkout_url, is_subscribed
from functions.create_session.identity import Identity
from functions.create_session.refusals import refusal, without_addresses
from functions.create_session.settings import CreateSessionSettings
from shared.errors import Forbidden, InvalidRequest, OperatorError
from shared.i18n import CHECKOUT_LOCALES, stripe_locale
from shared.link_token import (
    AfterCompletion,
    CustomerId,
    Flow,
    FlowClaims,
    ItemId,
    Locale,
    OwnId,
    Quantity,
    SubscriptionId,
)
from shared.return_url import MAX_LENGTH, is_allowed
from shared.stripe.gateway import stripe_errors

if TYPE_CHECKING:
    from stripe import Subscription
    from stripe.params.billing_portal import SessionCreateParams, SessionCreateParamsFlowData
    from stripe.params.checkout import SessionCreateParams as CheckoutParams


class SessionRequest(BaseModel):
    """None of it says who the caller is (`customer` only picks among the proven ones), and none of it gives money away.

    `price` and `quantity` are shown to the customer, who has to confirm them, and Stripe takes only those that the
    portal's configuration offers.
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


# With its flow, a token also fixes these: a discount is for one change, and `portal_homepage` would open all the rest.
_FIXED_WITH_FLOW = ("item", "price", "quantity", "after_completion")


def limited(limits: FlowClaims, request: SessionRequest) -> FlowClaims:
    """Return the page that is wanted: the token's, or what the request may choose.

    Money is only the token's: a request has no coupon. Raises `Forbidden` where the request asks for other than what
    the token fixes, `InvalidRequest` where its fields do not go together.
    """
    wanted: dict[str, Any] = {name: getattr(limits, name) for name in FlowClaims.model_fields}
    for name in ("flow", "subscription", *_FIXED_WITH_FLOW):
        asked, limit = getattr(request, name), getattr(limits, name)
        is_fixed = limit is not None or (limits.flow is not None and name in _FIXED_WITH_FLOW)
        if asked is not None and is_fixed and asked != limit:
            raise Forbidden(f"other_{name}", f"This link is for another {name}")
        wanted[name] = asked if limit is None else limit
    try:
        return FlowClaims.model_validate(wanted)
    except ValidationError as error:
        raise InvalidRequest("bad_request", "; ".join(each["msg"] for each in error.errors())) from None


def flow_data(
    client: StripeClient,
    customer: str,
    wanted: FlowClaims,
    return_url: str,
    retention_coupon: str | None,
) -> "SessionCreateParamsFlowData | None":
    """Return the session's `flow_data`, or `None` for the whole portal. The subscription has to be the customer's."""
    if wanted.flow is None:
        return None
    data: Any = {"type": wanted.flow, "after_completion": _after_completion(wanted, return_url)}
    if wanted.flow.startswith("subscription_"):
        if wanted.subscription is None:
            raise InvalidRequest("subscription_required", f"The flow {wanted.flow} needs a `subscription`")
        subscription = _own(client, customer, wanted.subscription)
        data[wanted.flow] = {"subscription": subscription.id} | _details(wanted, subscription, retention_coupon)
    found: SessionCreateParamsFlowData = data
    return found


def _details(wanted: FlowClaims, subscription: "Subscription", retention_coupon: str | None) -> dict[str, Any]:
    if wanted.flow == "subscription_cancel" and (coupon := wanted.coupon or retention_coupon):
        return {"retention": {"type": "coupon_offer", "coupon_offer": {"coupon": coupon}}}
    if wanted.flow != "subscription_update_confirm":
        return {}
    change = {"price": wanted.price, "quantity": wanted.quantity}
    if not any(change.values()):
        raise InvalidRequest("change_required", f"The flow {wanted.flow} needs a `price` or a `quantity`")
    item = {"id": _item(wanted.item, subscription)} | change
    discount = {"coupon": wanted.coupon, "promotion_code": wanted.promotion_code}
    details: dict[str, Any] = {"items": [_given(item)]}
    return details | ({"discounts": [_given(discount)]} if any(discount.values()) else {})


def _item(asked: str | None, subscription: "Subscription") -> str:
    items = [item.id for item in subscription["items"].data]
    if asked is not None and asked not in items:
        raise Forbidden("not_your_item", "That item is not of this subscription")
    if len(items) != 1:
        raise InvalidRequest("several_items", "The portal changes no subscription that has several items")
    return str(items[0])


def _after_completion(wanted: FlowClaims, return_url: str) -> dict[str, Any]:
    match wanted.after_completion:
        case "portal_homepage":
            return {"type": "portal_homepage"}
        case "hosted_confirmation":
            return {
                "type": "hosted_confirmation",
                "hosted_confirmation": _given({"custom_message": wanted.custom_message}),
            }
        case _:
            return {"type": "redirect", "redirect": {"return_url": return_url}}


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _own(client: StripeClient, customer: str, subscription: str) -> "Subscription":
    """Raise the same `Forbidden` whether the subscription is somebody else's or nobody's."""
    with stripe_errors():
        try:
            found = client.v1.subscriptions.retrieve(subscription)
        except stripe.InvalidRequestError:
            found = None
    if found is None or found.customer != customer:
        raise Forbidden("not_your_subscription", "That subscription is not yours")
    return found


@dataclass(frozen=True, slots=True)
class Destination:
    """Where to send the customer: the address is a credential, never to be logged or stored."""

    url: str
    customer: str
    is_checkout: bool = False


@dataclass(frozen=True, slots=True)
class PortalRequest:
    """Who asks for what; `back_from_checkout` is where Checkout leads on success, the return URL by default."""

    identity: Identity
    request: SessionRequest
    accept_language: str | None = None
    back_from_checkout: str | None = None


def destination(client: StripeClient, visit: PortalRequest, settings: CreateSessionSettings) -> Destination:
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
        if locale := stripe_locale(wishes, CHECKOUT_LOCALES):
            params["locale"] = locale
        return Destination(checkout_url(client, params), customer, is_checkout=True)
    session: SessionCreateParams = {"customer": customer, "return_url": return_url}
    if data := flow_data(client, customer, wanted, return_url, settings.retention_coupon):
        session["flow_data"] = data
    if configuration := _configuration(client, customer, identity.group, settings):
        session["configuration"] = configuration
    if locale := stripe_locale(wishes):
        session["locale"] = locale
    if settings.expired_session_login:
        session["after_expiration"] = {"type": "customer_login"}
    return Destination(_portal_url(client, session, wanted, names_return=request.return_url is not None), customer)


def allowed_return_url(asked: str | None, settings: CreateSessionSettings) -> str:
    """Return the address asked for, or the default. Raises `InvalidRequest` unless its origin is an allowed one."""
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
