"""Adapts API Gateway's routes to the portal link."""

import json
from functools import cache
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.create_session.portal_link import PortalLink
from functions.create_session.visitor_page import visitor_page
from shared.errors import OperatorError, PortalError
from shared.problem import CONTENT_TYPE, detail_of, log_problem, problem, status_of

logger = Logger(service="create_session")
metrics = Metrics(service="create_session")
app = APIGatewayHttpResolver()

# An answer holds a credential, or leads to one.
_HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff"}
_PAGE_HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"}

_link = cache(PortalLink.from_environment)


@app.get("/portal")
def get_portal() -> Response[str]:
    """Lead a visitor to the portal, or to the login page."""
    url = _link().follow(app.current_event.query_string_parameters)
    metrics.add_metric("PortalOpened", MetricUnit.Count, 1)
    return Response(HTTPStatus.SEE_OTHER.value, headers=_HEADERS | {"Location": url}, body="")


@app.head("/portal")
def head_portal() -> Response[str]:
    """Answer link checkers without making a session."""
    metrics.add_metric("PortalChecked", MetricUnit.Count, 1)
    return Response(HTTPStatus.OK.value, headers=_HEADERS, body="")


@app.post("/portal/sessions")
def post_portal_sessions() -> Response[str]:
    """Answer a session's address to a signed-in user's page, or to a server."""
    event = app.current_event
    authorizer = event.raw_event["requestContext"].get("authorizer") or {}
    url = _link().create(
        authorizer.get("jwt", {}).get("claims"), event.headers.get("authorization"), event.decoded_body
    )
    metrics.add_metric("PortalOpened", MetricUnit.Count, 1)
    return Response(HTTPStatus.CREATED.value, "application/json", json.dumps({"url": url}), headers=_HEADERS)


@app.exception_handler(PortalError)  # type: ignore[untyped-decorator]  # Powertools leaves this one untyped
def refuse(error: PortalError) -> Response[str]:
    """Say what is wrong: a page for a person who followed a link, problem+json for programs."""
    log_problem(logger, error)
    metrics.add_metric(
        "PortalMisconfigured" if isinstance(error, OperatorError) else "PortalRefused", MetricUnit.Count, 1
    )
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
