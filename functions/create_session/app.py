"""Adapts API Gateway's routes to the portal link."""

import json
from functools import cache
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.shared.cookies import Cookie
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.create_session.metrics import PortalMetric
from functions.create_session.portal_link import PortalLink
from functions.create_session.return_cookie import return_cookie, return_token_of
from functions.create_session.visitor_page import visitor_page
from shared.errors import OperatorError, PortalError, Unavailable
from shared.http_body import body_of
from shared.problem import CONTENT_TYPE, detail_of, log_problem, problem, status_of

logger = Logger(service="create_session")
metrics = Metrics(service="create_session")
app = APIGatewayHttpResolver()

# An answer holds a credential, or leads to one.
_HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff"}
_PAGE_HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"}

_FAILURES: dict[type[PortalError], PortalMetric] = {
    OperatorError: PortalMetric.MISCONFIGURED,
    Unavailable: PortalMetric.UNAVAILABLE,
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
    url = _link().come_back(event.query_string_parameters, token, language)
    _count(PortalMetric.OPENED)
    return _lead_to(url, [return_cookie(None)])


@app.head("/portal")
def head_portal() -> Response[str]:
    """Answer link checkers without making a session."""
    _count(PortalMetric.CHECKED)
    return Response(HTTPStatus.OK.value, headers=_HEADERS, body="")


@app.post("/portal/sessions")
def post_portal_sessions() -> Response[str]:
    """Answer a session's address to a signed-in user's page, or to a server."""
    event = app.current_event
    authorizer = event.raw_event["requestContext"].get("authorizer") or {}
    claims = authorizer.get("jwt", {}).get("claims")
    language = event.headers.get("accept-language")
    found = _link().create(claims, event.headers.get("authorization"), body_of(event.raw_event), language)
    _count(PortalMetric.CHECKOUT if found.is_checkout else PortalMetric.OPENED)
    return Response(HTTPStatus.CREATED.value, "application/json", json.dumps({"url": found.url}), headers=_HEADERS)


@app.exception_handler(PortalError)  # type: ignore[untyped-decorator]  # Powertools leaves this one untyped
def refuse(error: PortalError) -> Response[str]:
    """Say what is wrong: a page for a person who followed a link, problem+json for programs."""
    log_problem(logger, error)
    _count(_FAILURES.get(type(error), PortalMetric.REFUSED))
    status = status_of(error).value
    event = app.current_event
    if event.http_method == "GET" and "text/html" in (event.headers.get("accept") or ""):
        return Response(status, "text/html; charset=utf-8", visitor_page(detail_of(error)), _HEADERS | _PAGE_HEADERS)
    return Response(status, CONTENT_TYPE, problem(error), _HEADERS)


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Lambda's entrance."""
    return app.resolve(event, context)


def _lead_to(url: str, cookies: list[Cookie]) -> Response[str]:
    return Response(HTTPStatus.SEE_OTHER.value, headers=_HEADERS | {"Location": url}, body="", cookies=cookies)


def _count(metric: PortalMetric) -> None:
    metrics.add_metric(metric, MetricUnit.Count, 1)
