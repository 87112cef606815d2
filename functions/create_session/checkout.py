"""Leads a customer without a live subscription to Stripe Checkout, and sells no subscription twice."""

import json
from hashlib import sha256
from typing import TYPE_CHECKING

import stripe
from stripe import StripeClient

from functions.create_session.refusal import refusal
from functions.create_session.user_customer import LIVE_STATUSES
from shared.errors import OperatorError, PortalError, Unavailable
from shared.stripe_gateway import stripe_errors

if TYPE_CHECKING:
    from stripe.checkout import Session
    from stripe.params.checkout import SessionCreateParams

# An incomplete one may still be paid within 23 hours, in the portal; a second one beside it would be paid twice.
SUBSCRIBED_STATUSES = LIVE_STATUSES | {"incomplete"}
# Which Checkout sessions are ours, and what each was made for; the site's own are left alone.
MARK = "portal_link"


def is_subscribed(client: StripeClient, customer: str) -> bool:
    """Whether Stripe has a subscription of the customer that a new one would stand beside."""
    with stripe_errors():
        try:
            listed = client.v1.subscriptions.list({"customer": customer, "limit": 100})
            return any(each.status in SUBSCRIBED_STATUSES for each in listed.auto_paging_iter())
        except stripe.InvalidRequestError as error:
            raise refusal(error) from error


def checkout_url(client: StripeClient, params: "SessionCreateParams") -> str:
    """Answer the address of the customer's one open Checkout session for these params, made if there is none.

    One that was made for other params is ended first, so that only one can be paid. The idempotency key is the state in
    which the session was missing: clicks at the same moment share one session.
    """
    # Not its language: a mail scanner that follows the link too would end what the customer is about to pay.
    lasting = {name: value for name, value in params.items() if name != "locale"}
    made_for = sha256(json.dumps(lasting, sort_keys=True).encode()).hexdigest()[:32]
    customer = params["customer"]
    made: Session | None
    with stripe_errors():
        ours = _ours(client, customer)
        for each in ours:
            if each.status == "open" and each.metadata and each.metadata[MARK] == made_for and each.url:
                return each.url
        try:
            for each in ours:
                if each.status == "open":
                    client.v1.checkout.sessions.expire(each.id)
            key = sha256(f"{customer} {ours[0].id if ours else ''}".encode()).hexdigest()
            marked: SessionCreateParams = {**params, "metadata": {MARK: made_for}}
            made = client.v1.checkout.sessions.create(marked, {"idempotency_key": f"portal-link-{key}"})
        except stripe.IdempotencyError:
            # Another page asked for other params just now: the customer gets the session made for that one.
            made = next((each for each in _ours(client, customer) if each.status == "open"), None)
        except stripe.InvalidRequestError as error:
            raise _checkout_refusal(error) from error
    if made is None or made.url is None:
        raise Unavailable("checkout_contended", "Several requests changed the customer's Checkout at once; try again")
    return made.url


def _ours(client: StripeClient, customer: str) -> "list[Session]":
    """The customer's sessions that this link made, newest first."""
    listed = client.v1.checkout.sessions.list({"customer": customer, "limit": 100}).data
    return [each for each in listed if each.metadata and MARK in each.metadata]


def _checkout_refusal(error: stripe.InvalidRequestError) -> PortalError:
    text = error.user_message or str(error)
    if (error.param or "").startswith("line_items"):
        return OperatorError("bad_checkout_price", f"CHECKOUT_PRICE is no recurring price that Stripe takes: {text}")
    known = refusal(error)
    if known.code != "stripe_refused":
        return known
    return OperatorError("checkout_refused", f"Stripe refused the Checkout session: {text} ({error.request_id})")
