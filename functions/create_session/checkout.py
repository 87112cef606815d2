"""Leads a customer without a live subscription to Stripe Checkout, and sells no subscription twice."""

import json
from hashlib import sha256
from typing import TYPE_CHECKING

import stripe
from stripe import StripeClient

from functions.create_session.refusals import refusal, without_addresses
from shared.errors import OperatorError, PortalError, Unavailable
from shared.stripe.gateway import stripe_errors
from shared.stripe.subscription import LIVE_STATUSES

if TYPE_CHECKING:
    from stripe.checkout import Session
    from stripe.params.checkout import SessionCreateParams


# An incomplete one may still be paid within 23 hours, in the portal; a second one beside it would be paid twice.
SUBSCRIBED_STATUSES = LIVE_STATUSES | {"incomplete"}
# Which Checkout sessions are ours, and what each was made for; the site's own are left alone.
MARK = "portal_link"
# A key's first answer is given again for a day, a 500 among them; each key is good for one such.
_KEYS = 3


def is_subscribed(client: StripeClient, customer: str) -> bool:
    """Whether Stripe has a subscription of the customer that a new one would stand beside."""
    with stripe_errors():
        try:
            listed = client.v1.subscriptions.list({"customer": customer, "limit": 100})
            return any(each.status in SUBSCRIBED_STATUSES for each in listed.auto_paging_iter())
        except stripe.InvalidRequestError as error:
            raise refusal(error) from error


def checkout_url(client: StripeClient, params: "SessionCreateParams") -> str:
    """Return the address of the customer's one open Checkout session for these params, made if there is none.

    One that was made for other params is ended first, so that only one can be paid.
    """
    # Not its language: a mail scanner that follows the link too would end what the customer is about to pay.
    lasting = {name: value for name, value in params.items() if name != "locale"}
    made_for = sha256(json.dumps(lasting, sort_keys=True).encode()).hexdigest()[:32]
    with stripe_errors():
        try:
            ours = _ours(client, params["customer"])
            for each in ours:
                if each.status == "open" and each.metadata and each.metadata[MARK] == made_for and each.url:
                    return each.url
            for each in ours:
                if each.status == "open":
                    _end(client, each.id)
            made = _make(client, {**params, "metadata": {MARK: made_for}}, ours)
        except stripe.InvalidRequestError as error:
            raise _checkout_refusal(error) from error
    if made is None or made.url is None:
        raise _contended()
    return made.url


def _contended() -> Unavailable:
    return Unavailable("checkout_contended", "The customer's Checkout has just changed; try again")


def _end(client: StripeClient, session: str) -> None:
    try:
        client.v1.checkout.sessions.expire(session)
    except stripe.InvalidRequestError:
        # Paid, or ended by another request, since it was listed: the next try finds out.
        raise _contended() from None


def _make(client: StripeClient, params: "SessionCreateParams", ours: "list[Session]") -> "Session | None":
    """Make it under a key that names the state in which it was missing: clicks at the same moment share one session."""
    for place in range(_KEYS):
        state = f"{params['customer']} {ours[0].id if ours else ''} {place}"
        key = f"portal-link-{sha256(state.encode()).hexdigest()}"
        try:
            return client.v1.checkout.sessions.create(params, {"idempotency_key": key})
        except stripe.IdempotencyError:
            # Another page asked for other params just now: the customer gets the session made for that one.
            return next((each for each in _ours(client, params["customer"]) if each.status == "open"), None)
        except stripe.APIError as error:
            if (error.headers or {}).get("Idempotent-Replayed") != "true":
                raise
    return None


def _ours(client: StripeClient, customer: str) -> "list[Session]":
    """The customer's sessions that this link made, newest first."""
    listed = client.v1.checkout.sessions.list({"customer": customer, "limit": 100}).data
    return [each for each in listed if each.metadata and MARK in each.metadata]


def _checkout_refusal(error: stripe.InvalidRequestError) -> PortalError:
    text = without_addresses(error.user_message or str(error))
    if (error.param or "").startswith("line_items"):
        return OperatorError("bad_checkout_price", f"CHECKOUT_PRICE is no recurring price that Stripe takes: {text}")
    known = refusal(error)
    if known.code != "stripe_refused":
        return known
    return OperatorError("checkout_refused", f"Stripe refused the Checkout session: {text} ({error.request_id})")
