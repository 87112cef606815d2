"""Adapts API Gateway's events to the portal link, and the portal link's results and errors to HTTP responses.

A visitor who is sent to Checkout is recognised on return by a cookie. The address that Checkout leads back to
holds no proof: Stripe sends a Checkout session's addresses to every webhook endpoint, and whoever pays sees the last
one. The cookie stays in the one browser that followed the link.
"""

import json
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.shared.cookies import Cookie, SameSite
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.create_session.wiring import wire
from shared.deadline import deadline
from shared.errors import ErrorEntry, OperatorError, PortalError, Unavailable
from shared.http import (
    CONTENT_TYPE,
    NOT_KEPT,
    SAFE_HEADERS,
    body_of,
    internal_error,
    log_failure,
    log_problem,
    problem_response,
    verified_claims,
)
from shared.visitor_page import Visitor, visitor_page

logger = Logger(service="create_session")
metrics = Metrics(service="create_session")
# `debug` and, below, `log_event` are set explicitly, so that none of Powertools' own variables (POWERTOOLS_DEV,
# POWERTOOLS_LOGGER_LOG_EVENT) prints the event, which holds tokens.
app = APIGatewayHttpResolver(debug=False)

_wire = cache(wire)

# Every response holds a credential, or leads to one.
_HEADERS = NOT_KEPT | SAFE_HEADERS
_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
}

# `__Host-`: no other host can set it, and it is sent to this host alone (RFC 6265bis, 4.1.3.2).
_COOKIE = "__Host-portal-return"
_COOKIE_SECONDS = 3600
# A visitor waits ten seconds at most; two are for a cold start and the way there and back.
REQUEST_SECONDS = 8
# A request has a dozen short fields and an address.
_MOST_BODY_BYTES = 16_384


class PortalMetric(StrEnum):
    """Each request counts as one of these. `PortalMisconfigured` is accompanied by the metric of the error's entry."""

    OPENED = "PortalOpened"
    CHECKOUT = "PortalCheckout"
    CHECKED = "PortalChecked"
    REFUSED = "PortalRefused"
    MISCONFIGURED = "PortalMisconfigured"
    UNAVAILABLE = "PortalUnavailable"
    FAILED = "PortalFailed"


@logger.inject_lambda_context(log_event=False, clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Handle a request of API Gateway's (payload format 2.0)."""
    logger.set_correlation_id(_request_id(event))
    with deadline(REQUEST_SECONDS):
        return app.resolve(event, context)


@app.get("/portal")
def get_portal() -> Response[str]:
    """Redirect a visitor to the portal, to Checkout, or to the login page."""
    event = app.current_event
    followed = _wire().follow(event.query_string_parameters, event.headers.get("accept-language"))
    if followed.return_token is None:
        _count(PortalMetric.OPENED)
        return _redirect(followed.url)
    _count(PortalMetric.CHECKOUT)
    return _redirect(followed.url, _return_cookie(followed.return_token))


@app.get("/portal/return")
def get_portal_return() -> Response[str]:
    """Redirect a visitor who comes back from Checkout to the portal."""
    event = app.current_event
    token, language = _return_token(event.raw_event), event.headers.get("accept-language")
    back = _wire().return_from_checkout(event.query_string_parameters, token, language)
    _count(PortalMetric.OPENED)
    return _redirect(back.url, _return_cookie(None)) if back.token_used else _redirect(back.url)


@app.head("/portal")
def head_portal() -> Response[str]:
    """Tell link checkers that the link exists, without creating a session."""
    _count(PortalMetric.CHECKED)
    return Response(HTTPStatus.OK.value, headers=_HEADERS, body="")


@app.post("/portal/sessions")
def post_portal_sessions() -> Response[str]:
    """Create a session for a signed-in user's page, or for a server, and return its address."""
    event = app.current_event
    claims, language = verified_claims(event.raw_event), event.headers.get("accept-language")
    session = _wire().create(
        claims, event.headers.get("authorization"), body_of(event.raw_event, _MOST_BODY_BYTES), language
    )
    _count(PortalMetric.CHECKOUT if session.is_checkout else PortalMetric.OPENED)
    return Response(HTTPStatus.CREATED.value, "application/json", json.dumps({"url": session.url}), headers=_HEADERS)


@app.exception_handler(PortalError)  # type: ignore[untyped-decorator]  # Powertools leaves this one untyped
def respond_to_error(error: PortalError) -> Response[str]:
    """Log and count an error that was raised on purpose, and return its response."""
    log_problem(logger, error)
    _count(*metrics_of(error))
    return _error_response(error)


@app.exception_handler(Exception)  # type: ignore[untyped-decorator]  # Powertools leaves this one untyped
def respond_to_failure(error: Exception) -> Response[str]:
    """Log and count a fault of ours, and return the usual response instead of API Gateway's bare JSON."""
    log_failure(logger, error)
    _count(PortalMetric.FAILED)
    return _error_response(internal_error())


def metrics_of(error: PortalError) -> list[str]:
    """Return the metrics that count a request which ended in this error."""
    match error:
        case OperatorError(entry=ErrorEntry(metric=str(cause))):
            return [PortalMetric.MISCONFIGURED, cause]
        case OperatorError():
            return [PortalMetric.MISCONFIGURED]
        case Unavailable():
            return [PortalMetric.UNAVAILABLE]
        case _:
            return [PortalMetric.REFUSED]


def _count(*names: str) -> None:
    for name in names:
        metrics.add_metric(name, MetricUnit.Count, 1)


def _request_id(event: Mapping[str, Any]) -> str:
    return str(event["requestContext"].get("requestId", ""))


def _return_token(event: Mapping[str, Any]) -> str | None:
    """Return the token in the browser's return cookie. Of two different ones neither counts.

    Only ASCII spaces are stripped from a name: a sibling host can set a cookie whose name begins with another kind of
    space, which the `__Host-` prefix does not cover.
    """
    pairs = (cookie.partition("=") for cookie in event.get("cookies") or [])
    tokens = {value for name, _, value in pairs if name.strip(" \t") == _COOKIE}
    return tokens.pop() if len(tokens) == 1 else None


def _return_cookie(token: str | None) -> Cookie:
    """Return the cookie that keeps the token, or without one deletes it. `Lax`: Stripe's page leads back by a GET."""
    return Cookie(
        _COOKIE,
        token or "",
        path="/",
        http_only=True,
        max_age=_COOKIE_SECONDS if token else 0,
        same_site=SameSite.LAX_MODE,
    )


def _redirect(url: str, *cookies: Cookie) -> Response[str]:
    return Response(HTTPStatus.SEE_OTHER.value, headers=_HEADERS | {"Location": url}, body="", cookies=list(cookies))


def _error_response(error: PortalError) -> Response[str]:
    """Return a page where a browser shows the response to a person, and problem+json to programs."""
    event = app.current_event
    headers = {name: event.headers.get(name) for name in ("accept", "accept-language")}
    response = problem_response(error)
    if event.http_method not in {"GET", "POST"} or "text/html" not in (headers["accept"] or ""):
        return Response(response.status, CONTENT_TYPE, response.body, response.headers)
    has_token = "token" in event.query_string_parameters
    visitor = Visitor(
        headers["accept-language"], has_token, _request_id(event.raw_event), followed_link=event.http_method == "GET"
    )
    page_headers = _HEADERS | _PAGE_HEADERS | {"Content-Language": visitor.language}
    return Response(response.status, "text/html; charset=utf-8", visitor_page(error, visitor), page_headers)
