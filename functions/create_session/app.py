"""The cookie by which a visitor who was sent to Checkout is known again on the way back.

No address carries the proof: Stripe tells every webhook endpoint a Checkout session's addresses, and whoever pays sees
the last one. The cookie stays in the one browser that followed the link.
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

from functions.create_session.portal_link import PortalLink
from functions.create_session.visitor_page import Visitor, visitor_page
from shared.errors import ErrorEntry, OperatorError, PortalError, Unavailable
from shared.http import CONTENT_TYPE, body_of, log_failure, log_problem, problem, status_of

# `__Host-`: no other host can set it, and it goes to this host alone (RFC 6265bis, 4.1.3.2).
_NAME = "__Host-portal-return"
_MAX_AGE_SECONDS = 3600


def return_cookie(token: str | None) -> Cookie:
    """Keep the token in the browser, or with `None` forget it. `Lax`: Stripe's page leads back with a plain GET."""
    return Cookie(
        _NAME,
        token or "",
        path="/",
        http_only=True,
        max_age=_MAX_AGE_SECONDS if token else 0,
        same_site=SameSite.LAX_MODE,
    )


def return_token_of(event: Mapping[str, Any]) -> str | None:
    """Return the token that the browser kept; `event` is API Gateway's, payload format 2.0.

    Only ASCII's spaces are no part of a name: a sibling host may set a cookie whose name begins with another kind,
    which the prefix does not cover. Of two different ones neither counts.
    """
    pairs = (cookie.partition("=") for cookie in event.get("cookies") or [])
    tokens = {value for name, _, value in pairs if name.strip(" \t") == _NAME}
    return tokens.pop() if len(tokens) == 1 else None


class PortalMetric(StrEnum):
    """Each request counts as one of these. `PortalMisconfigured` is accompanied by the metric of the error's entry."""

    OPENED = "PortalOpened"
    CHECKOUT = "PortalCheckout"
    CHECKED = "PortalChecked"
    REFUSED = "PortalRefused"
    MISCONFIGURED = "PortalMisconfigured"
    UNAVAILABLE = "PortalUnavailable"
    FAILED = "PortalFailed"


def metrics_of(error: PortalError) -> list[str]:
    """Return the metrics that count a request refused with this error."""
    match error:
        case OperatorError(entry=ErrorEntry(metric=str(cause))):
            return [PortalMetric.MISCONFIGURED, cause]
        case OperatorError():
            return [PortalMetric.MISCONFIGURED]
        case Unavailable():
            return [PortalMetric.UNAVAILABLE]
        case _:
            return [PortalMetric.REFUSED]


logger = Logger(service="create_session")
metrics = Metrics(service="create_session")
# `debug` and, below, `log_event` are said, so that none of Powertools' own variables (POWERTOOLS_DEV,
# POWERTOOLS_LOGGER_LOG_EVENT) prints the event, which holds tokens.
app = APIGatewayHttpResolver(debug=False)

# An answer holds a credential, or leads to one.
_HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff"}
_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
}

_link = cache(PortalLink.from_environment)


@app.get("/portal")
def get_portal() -> Response[str]:
    """Lead a visitor to the portal, to Checkout, or to the login page."""
    event = app.current_event
    url, return_token = _link().follow(event.query_string_parameters, event.headers.get("accept-language"))
    _count(PortalMetric.CHECKOUT if return_token else PortalMetric.OPENED)
    return _lead_to(url, [return_cookie(return_token)] if return_token else [])


@app.get("/portal/return")
def get_portal_return() -> Response[str]:
    """Lead a visitor who comes back from Checkout to the portal."""
    event = app.current_event
    token, language = return_token_of(event.raw_event), event.headers.get("accept-language")
    url, is_used_up = _link().come_back(event.query_string_parameters, token, language)
    _count(PortalMetric.OPENED)
    return _lead_to(url, [return_cookie(None)] if is_used_up else [])


@app.head("/portal")
def head_portal() -> Response[str]:
    """Return link checkers without making a session."""
    _count(PortalMetric.CHECKED)
    return Response(HTTPStatus.OK.value, headers=_HEADERS, body="")


@app.post("/portal/sessions")
def post_portal_sessions() -> Response[str]:
    """Return a session's address to a signed-in user's page, or to a server."""
    event = app.current_event
    claims, language = _claims(event.raw_event), event.headers.get("accept-language")
    found = _link().create(claims, event.headers.get("authorization"), body_of(event.raw_event), language)
    _count(PortalMetric.CHECKOUT if found.is_checkout else PortalMetric.OPENED)
    return Response(HTTPStatus.CREATED.value, "application/json", json.dumps({"url": found.url}), headers=_HEADERS)


def _claims(event: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return what API Gateway's JWT authorizer has verified; `None` on a route that has no such authorizer."""
    authorizer = event["requestContext"].get("authorizer") or {}
    if "jwt" not in authorizer:
        return None
    claims: Mapping[str, Any] = (authorizer["jwt"] or {}).get("claims") or {}
    return claims


@app.exception_handler(PortalError)  # type: ignore[untyped-decorator]  # Powertools leaves this one untyped
def refuse(error: PortalError) -> Response[str]:
    """Say what is wrong: a page for a person who followed a link, problem+json for programs."""
    log_problem(logger, error)
    _count(*metrics_of(error))
    return _refused(error)


@app.exception_handler(Exception)  # type: ignore[untyped-decorator]  # Powertools leaves this one untyped
def apologise(error: Exception) -> Response[str]:
    """Keep a fault of ours from the caller, who would else see API Gateway's bare JSON."""
    log_failure(logger, error)
    _count(PortalMetric.FAILED)
    return _refused(OperatorError("internal_error", "A fault of the bundle's own; see the log"))


def _refused(error: PortalError) -> Response[str]:
    event = app.current_event
    headers = {name: event.headers.get(name) for name in ("accept", "accept-language")}
    status = status_of(type(error)).value
    if event.http_method != "GET" or "text/html" not in (headers["accept"] or ""):
        return Response(status, CONTENT_TYPE, problem(error), _HEADERS)
    has_token = "token" in event.query_string_parameters
    visitor = Visitor(headers["accept-language"], has_token, app.lambda_context.aws_request_id)
    page_headers = _HEADERS | _PAGE_HEADERS | {"Content-Language": visitor.language}
    return Response(status, "text/html; charset=utf-8", visitor_page(error, visitor), page_headers)


@logger.inject_lambda_context(log_event=False, clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Lambda's entrance."""
    return app.resolve(event, context)


def _lead_to(url: str, cookies: list[Cookie]) -> Response[str]:
    return Response(HTTPStatus.SEE_OTHER.value, headers=_HEADERS | {"Location": url}, body="", cookies=cookies)


def _count(*names: str) -> None:
    for name in names:
        metrics.add_metric(name, MetricUnit.Count, 1)
