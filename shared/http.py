"""How an error becomes an HTTP answer: the one place that knows status codes (RFC 9457, problem+json)."""

import json
import traceback
from base64 import b64decode
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from shared.errors import Forbidden, InvalidRequest, PortalError, Unauthenticated, Unavailable

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger


_STATUS: dict[type[PortalError], HTTPStatus] = {
    InvalidRequest: HTTPStatus.BAD_REQUEST,
    Unauthenticated: HTTPStatus.UNAUTHORIZED,
    Forbidden: HTTPStatus.FORBIDDEN,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}
# What only the team can mend is told to the log; the caller learns that it is not their fault.
_APOLOGY = "Something is not set up right on our side. It has been noted; please try again later."

CONTENT_TYPE = "application/problem+json"


def status_of(error: PortalError) -> HTTPStatus:
    """The answer's status; what is on the operator's side is a plain 500."""
    return _STATUS.get(type(error), HTTPStatus.INTERNAL_SERVER_ERROR)


def detail_of(error: PortalError) -> str:
    """What may be said to the caller."""
    return error.message if type(error) in _STATUS else _APOLOGY


def problem(error: PortalError) -> str:
    """The body: `code` is stable for programs, `detail` is for people."""
    status = status_of(error)
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "code": error.code,
        "detail": detail_of(error),
    }
    return json.dumps(body)


def log_problem(logger: "Logger", error: PortalError) -> None:
    """Log what a caller did wrong as information, what the team has to mend as an error; never a stack trace."""
    fields = {"code": error.code}
    match status_of(error):
        case HTTPStatus.INTERNAL_SERVER_ERROR:
            logger.error(error.message, extra=fields)
        case HTTPStatus.SERVICE_UNAVAILABLE:
            logger.warning(error.message, extra=fields)
        case _:
            logger.info(error.message, extra=fields)


def log_failure(logger: "Logger", error: Exception) -> None:
    """Log where a fault of our own happened, without its message: that may hold what the caller sent."""
    frames = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)]
    logger.error(
        "A fault of the bundle's own", extra={"code": "internal_error", "error": type(error).__name__, "where": frames}
    )


def body_of(event: Mapping[str, Any]) -> bytes:
    """Return the body; API Gateway hands what it does not take for text on as base64. Raises `InvalidRequest`."""
    body = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        return str(body).encode()
    try:
        return b64decode(body, validate=True)
    except ValueError as error:
        raise InvalidRequest("unreadable_body", "The body is said to be base64, and is not") from error
