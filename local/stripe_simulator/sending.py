"""One attempt to deliver one event: Stripe's headers, signature and patience."""

import json

import requests
import stripe

from local.stripe_simulator.store import StripeObject

_TIMEOUT_SECONDS = 10


def post(event: StripeObject, endpoint: StripeObject, now: int) -> tuple[int | None, str | None]:
    """Send the event; returns the status code, or the name of what went wrong on the way."""
    body = json.dumps(event, indent=2, ensure_ascii=False)
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        "Stripe-Signature": stripe.WebhookSignature.generate_signature_header(body, endpoint["secret"], now),
    }
    try:
        with requests.Session() as session:
            session.trust_env = False
            answer = session.post(
                endpoint["url"], data=body.encode(), headers=headers, timeout=_TIMEOUT_SECONDS, allow_redirects=False
            )
    except (requests.RequestException, ValueError) as error:
        return None, type(error).__name__
    return answer.status_code, None
