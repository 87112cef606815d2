"""Proves that a body came from Stripe, and recently, by either clock.

Stripe's own verifier is a few lines, and importing its library takes an eighth of a cold start, so the check is written
out here; a test compares both (docs/decisions/0010-fewer-imports.md).
"""

import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from pydantic import SecretStr

from shared.errors import InvalidRequest, OperatorError
from shared.secret_store import SecretStore, SigningSecrets

TOLERANCE_SECONDS = 300

_TIMESTAMP = re.compile(r"[0-9]{1,11}")
_SIGNATURE = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class SignatureHeader:
    """The parts of a `Stripe-Signature` header that count: its time in Unix seconds, and every `v1` signature."""

    timestamp: int
    signatures: tuple[str, ...]

    @classmethod
    def parse(cls, header: str | None) -> "SignatureHeader":
        """Read `t=<Unix seconds>,v1=<hex>[,v1=<hex>]`; other schemes are left out. Raises `InvalidRequest`.

        Stripe's verifier takes more than Stripe sends (`t= 1`, `t=1_0`, two times).
        """
        parts = [part.partition("=") for part in (header or "").split(",")]
        times = [value for name, _, value in parts if name == "t"]
        signatures = tuple(value for name, _, value in parts if name == "v1" and _SIGNATURE.fullmatch(value))
        if len(times) != 1 or not _TIMESTAMP.fullmatch(times[0]) or not signatures:
            raise InvalidRequest("bad_signature", "The Stripe-Signature header is missing or malformed")
        return cls(int(times[0]), signatures)


def verify_signature(body: bytes, header: str | None, secrets: SecretStore[SigningSecrets], *, now: float) -> None:
    """Raise `InvalidRequest` unless the body is signed with a secret that counts now, not over 300 s ago nor ahead.

    Raises `OperatorError` where there is no signing secret: no request could be accepted then. A signature that fits
    none may be made with a secret that was rolled since the last read, so the secret is read again then, at most once a
    minute. Source: docs.stripe.com/webhooks, "Verify webhook signatures manually".
    """
    signature = SignatureHeader.parse(header)
    if signature.timestamp < now - TOLERANCE_SECONDS:
        raise InvalidRequest("bad_signature", "The Stripe-Signature header is too old")
    # A captured request could use a time in the future to live longer.
    if signature.timestamp > now + TOLERANCE_SECONDS:
        raise InvalidRequest("bad_signature", "The Stripe-Signature header's time is in the future")
    known = secrets.get().valid_at(now)
    if _fits(body, signature, known):
        return
    renewed = secrets.reread()
    if not known and not (renewed and renewed.valid_at(now)):
        raise OperatorError("bad_secret", "Correct the secret of SIGNING_SECRETS_ID: webhook_signing_secrets is empty")
    if renewed is None or not _fits(body, signature, renewed.valid_at(now)):
        raise InvalidRequest("bad_signature", "The Stripe-Signature header does not fit the body")


def _fits(body: bytes, signature: SignatureHeader, secrets: Iterable[SecretStr]) -> bool:
    """Whether one of the signatures is that of the time, a dot and the body, made with one of the secrets."""
    signed = b"%d.%b" % (signature.timestamp, body)
    expected = (hmac.new(secret.get_secret_value().encode(), signed, sha256).hexdigest() for secret in secrets)
    return any(hmac.compare_digest(made, one) for made in expected for one in signature.signatures)
