"""Turns what a token and a request say about a page of the portal into Stripe's `flow_data`."""

from typing import TYPE_CHECKING, Any

import stripe
from pydantic import ValidationError
from stripe import StripeClient

from functions.create_session.session_request import SessionRequest
from shared.errors import Forbidden, InvalidRequest
from shared.portal_flow import FlowClaims
from shared.stripe_gateway import stripe_errors

if TYPE_CHECKING:
    from stripe import Subscription
    from stripe.params.billing_portal import SessionCreateParamsFlowData

# With its flow, a token also fixes these: a discount is for one change, and `portal_homepage` would open all the rest.
_FIXED_WITH_FLOW = ("item", "price", "quantity", "after_completion")


def limited(limits: FlowClaims, request: SessionRequest) -> FlowClaims:
    """Answer the page that is wanted: the token's, or what the request may choose.

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
    """Answer the session's `flow_data`, or `None` for the whole portal. The subscription has to be the customer's."""
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
