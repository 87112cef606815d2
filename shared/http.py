"""The HTTP edge: which status and log level each class of error gets, and the body of a request.

Error bodies are problem+json (RFC 9457).
"""

import json
import logging
import traceback
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from shared.errors import (
    Conflict,
    Forbidden,
    InvalidRequest,
    OperatorError,
    PortalError,
    Unauthenticated,
    Unavailable,
    UnreadableEvent,
)

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger


_STATUS: dict[type[PortalError], HTTPStatus] = {
    InvalidRequest: HTTPStatus.BAD_REQUEST,
    Unauthenticated: HTTPStatus.UNAUTHORIZED,
    Forbidden: HTTPStatus.FORBIDDEN,
    Conflict: HTTPStatus.CONFLICT,
    OperatorError: HTTPStatus.INTERNAL_SERVER_ERROR,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    UnreadableEvent: HTTPStatus.INTERNAL_SERVER_ERROR,
}
_LEVEL = {HTTPStatus.INTERNAL_SERVER_ERROR: logging.ERROR, HTTPStatus.SERVICE_UNAVAILABLE: logging.WARNING}
# What the operator has to fix goes to the log; the caller learns only that it is not their fault.
_APOLOGY = "Something is not set up right on our side. It has been noted; please try again later."

CONTENT_TYPE = "application/problem+json"
# Of every response to a browser or a server.
SAFE_HEADERS = {"Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff"}
NOT_KEPT = {"Cache-Control": "no-store"}


@dataclass(frozen=True, slots=True)
class ProblemResponse:
    """A response of problem+json, which no cache keeps."""

    status: int
    body: str
    headers: dict[str, str]


def status_of(error: type[PortalError]) -> HTTPStatus:
    """Return the status of the response to a request that failed with an error of this class."""
    return _STATUS[error]


def level_of(error: type[PortalError]) -> int:
    """Return the log level of the class: INFO for what a caller did wrong."""
    return _LEVEL.get(status_of(error), logging.INFO)


def problem(error: PortalError) -> str:
    """Return the response's body: `code` is stable for programs, `detail` is for people."""
    status = status_of(type(error))
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "code": error.code,
        "detail": _APOLOGY if status is HTTPStatus.INTERNAL_SERVER_ERROR else error.message,
    }
    return json.dumps(body)


def problem_response(error: PortalError) -> ProblemResponse:
    """Return the response to a request that failed with this error."""
    return ProblemResponse(status_of(type(error)).value, problem(error), SAFE_HEADERS | NOT_KEPT)


def retry_after(error: PortalError) -> dict[str, str]:
    """Return the header that says when to try again, of a response to a request that may succeed later."""
    return {"Retry-After": str(max(1, int(error.retry_after)))} if isinstance(error, Unavailable) else {}


def internal_error() -> OperatorError:
    """Return the error of a request that a fault of ours has ended; `log_failure` logs the fault itself."""
    return OperatorError("internal_error", "A fault of the bundle itself; see the log")


def log_problem(logger: "Logger", error: PortalError) -> None:
    """Log the message and the code at the level of the error's class, without a stack trace."""
    log = {logging.ERROR: logger.error, logging.WARNING: logger.warning}.get(level_of(type(error)), logger.info)
    frames = traceback.extract_tb(error.__traceback__)
    fields = {"code": error.code} | ({"raised_at": _place(frames[-1])} if frames else {})
    # 3: `location` is the caller's, not this function's.
    log(error.message, extra=fields, stacklevel=3)


def _place(frame: traceback.FrameSummary) -> str:
    return f"{PurePath(frame.filename).stem}.{frame.name}:{frame.lineno}"


def log_failure(logger: "Logger", error: Exception) -> None:
    """Log where a fault of our own happened, without its message: that may hold what the caller sent."""
    frames = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)]
    logger.error(
        "A fault of the bundle itself",
        extra={"code": "internal_error", "error": type(error).__name__, "where": frames},
        stacklevel=3,
    )


def verified_claims(event: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return what API Gateway's JWT authorizer has verified; `None` on a route that has no such authorizer."""
    authorizer = event["requestContext"].get("authorizer") or {}
    if "jwt" not in authorizer:
        return None
    claims: Mapping[str, Any] = (authorizer["jwt"] or {}).get("claims") or {}
    return claims


def body_of(event: Mapping[str, Any], most_bytes: int) -> bytes:
    """Return the body; API Gateway hands what it does not take for text on as base64.

    Raises `InvalidRequest` for one of more than `most_bytes`, before it is decoded.
    """
    body = event.get("body") or ""
    # Four characters of base64 are three bytes; a character of text is one byte or more.
    most_characters = -(-most_bytes // 3) * 4 if event.get("isBase64Encoded") else most_bytes
    if len(body) > most_characters:
        raise InvalidRequest("body_too_large", f"The body may have at most {most_bytes} bytes")
    if not event.get("isBase64Encoded"):
        return str(body).encode()
    try:
        return b64decode(body, validate=True)
    except ValueError as error:
        raise InvalidRequest("unreadable_body", "The body is said to be base64, and is not") from error
