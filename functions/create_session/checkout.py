"""Sends a customer without a live subscription to Stripe Checkout, and never sells a subscription twice."""

import json
from hashlib import sha256
from itertools import islice
from typing import TYPE_CHECKING

import stripe
from stripe import StripeClient

from functions.create_session.refusals import refusal
from shared.errors import OperatorError, PortalError, Unavailable
from shared.stripe.gateway import stripe_errors, text_of
from shared.stripe.subscription import LIVE_STATUSES

if TYPE_CHECKING:
    from stripe.checkout import Session
    from stripe.params.checkout import SessionCreateParams


# An incomplete subscription can still be paid for 23 hours, in the portal: with a second one the customer pays twice.
SUBSCRIBED_STATUSES = LIVE_STATUSES | {"incomplete"}
# The metadata key of our own Checkout sessions; its value is a digest of the params. The site's own are left alone.
MARK = "portal_link"
# Stripe repeats the first response to an idempotency key for a day, even a 500. So after a 500 another key is needed.
_KEYS = 3
_MOST_SESSIONS = 500
_LONGEST_OPEN = 86_400
# The header of such a response.
REPLAYED = "Idempotent-Replayed"


def is_subscribed(client: StripeClient, customer: str) -> bool:
    """Whether the customer has a subscription that a new one would duplicate."""
    with stripe_errors():
        try:
            listed = client.v1.subscriptions.list({"customer": customer, "limit": 100})
            return any(each.status in SUBSCRIBED_STATUSES for each in listed.auto_paging_iter())
        except stripe.InvalidRequestError as error:
            raise refusal(error) from error


def checkout_url(client: StripeClient, params: "SessionCreateParams") -> str:
    """Return the address of the customer's one open Checkout session for these params; create it if there is none.

    An open session for other params is expired first, so that only one can be paid.
    """
    # Without the locale: a mail scanner that also follows the link must not expire what the customer is about to pay.
    fields = {name: value for name, value in params.items() if name != "locale"}
    digest = sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:32]
    with stripe_errors():
        try:
            ours = _ours(client, params["customer"])
            for each in ours:
                if each.status == "open" and each.metadata and each.metadata[MARK] == digest and each.url:
                    return each.url
            for each in ours:
                if each.status == "open":
                    _expire(client, each.id)
            created = _create(client, {**params, "metadata": {MARK: digest}}, ours)
        except stripe.InvalidRequestError as error:
            raise _checkout_refusal(error) from error
    if created is None or created.url is None:
        raise _contended()
    return created.url


def _contended() -> Unavailable:
    return Unavailable("checkout_contended", "The customer's Checkout has just changed; try again")


def _expire(client: StripeClient, session: str) -> None:
    try:
        client.v1.checkout.sessions.expire(session)
    except stripe.InvalidRequestError:
        # It was paid, or expired by another request, after it was listed: the next try will see.
        raise _contended() from None


def _create(client: StripeClient, params: "SessionCreateParams", ours: "list[Session]") -> "Session | None":
    """Create it under a key made of the customer and the last session: simultaneous clicks share one session.

    Returns `None` where that has not worked under any of the keys.
    """
    for attempt in range(_KEYS):
        state = f"{params['customer']} {ours[0].id if ours else ''} {attempt}"
        key = f"portal-link-{sha256(state.encode()).hexdigest()}"
        try:
            return client.v1.checkout.sessions.create(params, {"idempotency_key": key})
        except stripe.IdempotencyError:
            # Another request, with other params, was first: the customer gets that one's session.
            return next((each for each in _ours(client, params["customer"]) if each.status == "open"), None)
        except stripe.APIError as error:
            if (error.headers or {}).get(REPLAYED) != "true":
                raise
    return None


def _ours(client: StripeClient, customer: str) -> "list[Session]":
    """Return the customer's sessions that the portal link created, newest first: the last one, and all open ones.

    A session is open for a day at most (docs.stripe.com/api/checkout/sessions, `expires_at`), so none that is a day
    older than the last one is. Beyond `_MOST_SESSIONS`, most of them the site's own, none is looked for.
    """
    listed = client.v1.checkout.sessions.list({"customer": customer, "limit": 100})
    ours: list[Session] = []
    for each in islice(listed.auto_paging_iter(), _MOST_SESSIONS):
        if ours and each.created < ours[0].created - _LONGEST_OPEN:
            break
        if each.metadata and MARK in each.metadata:
            ours.append(each)
    return ours


def _checkout_refusal(error: stripe.InvalidRequestError) -> PortalError:
    text = text_of(error)
    if (error.param or "").startswith("line_items"):
        return OperatorError("bad_checkout_price", f"Set CHECKOUT_PRICE to an active recurring price: {text}")
    known = refusal(error)
    if known.code != "stripe_refused":
        return known
    return OperatorError("checkout_refused", f"Stripe refused the Checkout session: {text} ({error.request_id})")
