"""Makes one portal session at Stripe for a proven identity."""

from typing import TYPE_CHECKING, Annotated

import stripe
from pydantic import BaseModel, ConfigDict, Field
from stripe import StripeClient

from functions.create_session.identity import Identity
from functions.create_session.refusal import refusal
from functions.create_session.return_url import MAX_LENGTH, is_allowed
from functions.create_session.settings import CreateSessionSettings
from shared.errors import Forbidden, InvalidRequest, OperatorError
from shared.link_token import CustomerId, Flow, Locale, SubscriptionId
from shared.stripe_gateway import stripe_errors

if TYPE_CHECKING:
    from stripe.params.billing_portal import SessionCreateParams, SessionCreateParamsFlowData


class SessionRequest(BaseModel):
    """What a caller may ask for. None of it says who the caller is: `customer` only picks among the proven ones."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    return_url: Annotated[str, Field(max_length=MAX_LENGTH)] | None = None
    flow: Flow | None = None
    subscription: SubscriptionId | None = None
    customer: CustomerId | None = None
    locale: Locale | None = None


def portal_session(
    client: StripeClient,
    identity: Identity,
    request: SessionRequest,
    settings: CreateSessionSettings,
) -> str:
    """Answer the address of a fresh session: a credential, never to be logged or stored (it lives for 5 minutes).

    Raises `InvalidRequest`, `Forbidden`, and for what only the team can mend `OperatorError`.
    """
    return_url = _return_url(request.return_url, settings)
    customer = identity.pick(request.customer)
    params: SessionCreateParams = {"customer": customer, "return_url": return_url}
    if flow_data := _flow_data(client, customer, identity, request, return_url):
        params["flow_data"] = flow_data
    if configuration := _configuration(client, customer, identity.group, settings):
        params["configuration"] = configuration
    if locale := request.locale or identity.locale:
        params["locale"] = locale
    with stripe_errors():
        try:
            return client.v1.billing_portal.sessions.create(params).url
        except stripe.InvalidRequestError as error:
            raise refusal(error) from error


def _return_url(asked: str | None, settings: CreateSessionSettings) -> str:
    if asked is None:
        return settings.default_return_url
    if not is_allowed(asked, settings.allowed_return_origins):
        raise InvalidRequest("bad_return_url", "return_url has to begin with one of the allowed origins")
    return asked


def _flow_data(
    client: StripeClient,
    customer: str,
    identity: Identity,
    request: SessionRequest,
    return_url: str,
) -> "SessionCreateParamsFlowData | None":
    flow = _limited("flow", identity.flow, request.flow)
    subscription = _limited("subscription", identity.subscription, request.subscription)
    if flow is None:
        return None
    flow_data = {"type": flow, "after_completion": {"type": "redirect", "redirect": {"return_url": return_url}}}
    if flow.startswith("subscription_"):
        if subscription is None:
            raise InvalidRequest("subscription_required", f"The flow {flow} needs a `subscription`")
        _check_owner(client, customer, subscription)
        flow_data[flow] = {"subscription": subscription}
    return flow_data  # type: ignore[return-value]  # the key named by `flow` is a variable


def _limited(name: str, limit: str | None, asked: str | None) -> str | None:
    """What the token fixes cannot be asked otherwise."""
    if limit is not None and asked not in {None, limit}:
        raise Forbidden(f"other_{name}", f"This link is for another {name}")
    return limit or asked


def _check_owner(client: StripeClient, customer: str, subscription: str) -> None:
    """Raise the same `Forbidden` whether the subscription is somebody else's or nobody's."""
    with stripe_errors():
        try:
            owner = client.v1.subscriptions.retrieve(subscription).customer
        except stripe.InvalidRequestError:
            owner = None
    if owner != customer:
        raise Forbidden("not_your_subscription", "That subscription is not yours")


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
        raise OperatorError("unknown_group", f"PORTAL_CONFIGURATIONS has no group {group!r}, only {known}")
    return settings.portal_configurations[group]


def _group_of_customer(client: StripeClient, customer: str) -> str | None:
    with stripe_errors():
        try:
            found = client.v1.customers.retrieve(customer)
        except stripe.InvalidRequestError as error:
            raise refusal(error) from error
    metadata = getattr(found, "metadata", None)
    return metadata["portal_group"] if metadata and "portal_group" in metadata else None
