"""Adapts API Gateway's events to the questions about access, and the answers to HTTP responses."""

import json
import time
from enum import StrEnum
from functools import cache
from hashlib import sha256
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.access.answers import Answer
from functions.access.wiring import wire
from shared.access import CustomerAccess
from shared.deadline import deadline
from shared.errors import OperatorError, PortalError, Unavailable
from shared.http import (
    CONTENT_TYPE,
    NOT_KEPT,
    SAFE_HEADERS,
    body_of,
    internal_error,
    log_failure,
    log_problem,
    problem_response,
    retry_after,
    verified_claims,
)

logger = Logger(service="access")
metrics = Metrics(service="access")
# `debug` and, below, `log_event` are set explicitly, so that none of Powertools' own variables prints the event, which
# holds tokens.
app = APIGatewayHttpResolver(debug=False)

_wire = cache(wire)

# How long a browser may keep an answer: a pause counts within half a minute, a payment within seconds.
GRANTED_SECONDS = 30
DENIED_SECONDS = 5
# A page or a server waits for the answer, and has to be able to decide without it.
REQUEST_SECONDS = 6.5
# A hundred customers, and a product.
_MOST_BODY_BYTES = 32_768


class AccessMetric(StrEnum):
    """Each question counts as one of these but `LOOKED_UP`, which counts beside them."""

    GRANTED = "AccessGranted"
    DENIED = "AccessDenied"
    BATCH = "AccessBatch"
    LOOKED_UP = "AccessLookedUp"
    REFUSED = "AccessRefused"
    MISCONFIGURED = "AccessMisconfigured"
    BUSY = "AccessBusy"
    UNAVAILABLE = "AccessUnavailable"
    FAILED = "AccessFailed"


@logger.inject_lambda_context(log_event=False, clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Handle a request of API Gateway's (payload format 2.0)."""
    logger.set_correlation_id(str(event["requestContext"].get("requestId", "")))
    with deadline(REQUEST_SECONDS):
        return app.resolve(event, context)


@app.get("/access")
def get_access() -> Response[str]:
    """Answer a signed-in user, or the holder of an access token, about the own customer."""
    event = app.current_event
    claims = verified_claims(event.raw_event)
    return _respond(_wire().own(claims, event.headers.get("authorization"), event.query_string_parameters))


@app.get("/access/<customer>")
def get_access_of_customer(customer: str) -> Response[str]:
    """Answer the holder of that customer's access token."""
    event = app.current_event
    answer = _wire().of_customer(customer, event.headers.get("authorization"), event.query_string_parameters)
    return _respond(answer)


@app.post("/access")
def post_access() -> Response[str]:
    """Answer a server about up to a hundred customers."""
    event = app.current_event
    answers = _wire().batch(event.headers.get("authorization"), body_of(event.raw_event, _MOST_BODY_BYTES))
    metrics.add_metric(AccessMetric.BATCH, MetricUnit.Count, 1)
    body = json.dumps({"customers": [answer.as_json() for answer in answers]})
    return Response(HTTPStatus.OK.value, "application/json", body, headers=SAFE_HEADERS | NOT_KEPT)


@app.exception_handler(PortalError)  # type: ignore[untyped-decorator]  # Powertools leaves this one untyped
def respond_to_error(error: PortalError) -> Response[str]:
    """Log and count an error that was raised on purpose, and return its response."""
    log_problem(logger, error)
    match error:
        case OperatorError():
            metrics.add_metric(AccessMetric.MISCONFIGURED, MetricUnit.Count, 1)
        case Unavailable(code="access_lookup_busy"):
            metrics.add_metric(AccessMetric.BUSY, MetricUnit.Count, 1)
        case Unavailable():
            metrics.add_metric(AccessMetric.UNAVAILABLE, MetricUnit.Count, 1)
        case _:
            metrics.add_metric(AccessMetric.REFUSED, MetricUnit.Count, 1)
    return _error_response(error)


@app.exception_handler(Exception)  # type: ignore[untyped-decorator]  # Powertools leaves this one untyped
def respond_to_failure(error: Exception) -> Response[str]:
    """Log and count a fault of ours, and return the usual response instead of API Gateway's bare JSON."""
    log_failure(logger, error)
    metrics.add_metric(AccessMetric.FAILED, MetricUnit.Count, 1)
    return _error_response(internal_error())


def _error_response(error: PortalError) -> Response[str]:
    response = problem_response(error)
    return Response(response.status, CONTENT_TYPE, response.body, headers=response.headers | retry_after(error))


def _respond(answer: Answer) -> Response[str]:
    """Return the answer, or 304 where the caller has it already."""
    access = answer.access
    metrics.add_metric(AccessMetric.GRANTED if access.granted else AccessMetric.DENIED, MetricUnit.Count, 1)
    if answer.looked_up:
        metrics.add_metric(AccessMetric.LOOKED_UP, MetricUnit.Count, 1)
    body = json.dumps(access.as_json())
    tag = f'"{sha256(body.encode()).hexdigest()[:32]}"'
    headers = SAFE_HEADERS | {
        "Cache-Control": f"private, max-age={max_age(access, now=time.time())}",
        "ETag": tag,
        "Vary": "Authorization",
    }
    if _has(app.current_event.headers.get("if-none-match"), tag):
        return Response(HTTPStatus.NOT_MODIFIED.value, headers=headers, body="")
    return Response(HTTPStatus.OK.value, "application/json", body, headers=headers)


def max_age(access: CustomerAccess, *, now: float) -> int:
    """Return for how many seconds the answer may be kept: never beyond its `until`."""
    seconds = GRANTED_SECONDS if access.granted else DENIED_SECONDS
    return seconds if access.until is None else max(0, min(seconds, int(access.until - now)))


def _has(if_none_match: str | None, tag: str) -> bool:
    """Whether `If-None-Match` names the tag (RFC 9110, 13.1.2: a weak tag of the same value is the same)."""
    named = {each.strip().removeprefix("W/") for each in (if_none_match or "").split(",")}
    return tag in named or "*" in named
