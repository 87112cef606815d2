"""Proves that a body came from Stripe, with Stripe's own verifier, and recently, by either clock."""

import re
from collections.abc import Iterable

from pydantic import SecretStr
from stripe import SignatureVerificationError, WebhookSignature

from shared.errors import InvalidRequest
from shared.secret_store import SecretStore

TOLERANCE_SECONDS = 300

_TIMESTAMP = re.compile(r"(?:^|,)t=(\d{1,12})(?:,|$)")


def verify_signature(body: bytes, header: str | None, secrets: SecretStore, *, now: float) -> None:
    """Raise `InvalidRequest` unless the body is signed with one of the secrets, not over 300 s ago nor ahead.

    A signature that fits none may be made with a secret that was rolled since the last read, so the secret is read
    again then, at most once a minute. Source: docs.stripe.com/webhooks, "Verify webhook signatures manually".
    """
    timestamp = _TIMESTAMP.search(header or "")
    # Stripe's verifier takes a time in the future, which a captured request could use to live longer.
    if timestamp and int(timestamp[1]) > now + TOLERANCE_SECONDS:
        raise InvalidRequest("bad_signature", "The Stripe-Signature header's time is in the future")
    if _fits(body, header, secrets.get().webhook_signing_secrets):
        return
    renewed = secrets.reread()
    if renewed is None or not _fits(body, header, renewed.webhook_signing_secrets):
        raise InvalidRequest("bad_signature", "The Stripe-Signature header does not fit the body, or is too old")


def _fits(body: bytes, header: str | None, secrets: Iterable[SecretStr]) -> bool:
    return any(_fits_one(body, header, secret.get_secret_value()) for secret in secrets)


def _fits_one(body: bytes, header: str | None, secret: str) -> bool:
    try:
        WebhookSignature.verify_header(body, header, secret, TOLERANCE_SECONDS)
    except (SignatureVerificationError, UnicodeDecodeError):
        return False
    return True
