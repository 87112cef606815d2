"""The body of an API Gateway event as the bytes that were sent."""

from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from shared.errors import InvalidRequest


def body_of(event: Mapping[str, Any]) -> bytes:
    """Answer the body; API Gateway hands what it does not take for text on as base64. Raises `InvalidRequest`."""
    body = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        return str(body).encode()
    try:
        return b64decode(body, validate=True)
    except ValueError as error:
        raise InvalidRequest("unreadable_body", "The body is said to be base64, and is not") from error
