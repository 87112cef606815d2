"""Adapts API Gateway's event to the webhook, and the outcome to a response for Stripe."""

import json
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.webhook.receive import DeadLetterResult, metric_of
from functions.webhook.wiring import wire
from shared.errors import OperatorError, PortalError
from shared.http import CONTENT_TYPE, body_of, log_failure, log_problem, problem, status_of
from shared.mirror.intake import EventResult
from shared.stripe.events import is_from_event_bus

logger = Logger(service="webhook")
metrics = Metrics(service="webhook")

_wire = cache(wire)


@logger.inject_lambda_context(log_event=False, clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Receive an event from API Gateway or EventBridge; to EventBridge a failure means: send it again."""
    logger.set_correlation_id(event.get("requestContext", {}).get("requestId"))
    try:
        result = _receive(event)
    except PortalError as error:
        log_problem(logger, error)
        return _refused(event, error)
    except Exception as error:  # noqa: BLE001 - a fault of our own: no event gets lost, and nothing of it is logged
        log_failure(logger, error)
        return _refused(event, OperatorError("internal_error", "A fault of the bundle's own; see the log"))
    logger.info("event", extra=result.for_log())
    metrics.add_metric(metric_of(result.outcome), MetricUnit.Count, 1)
    body = json.dumps({"outcome": result.outcome})
    return {"statusCode": 200, "headers": {"Content-Type": "application/json"}, "body": body}


def _refused(event: dict[str, Any], error: PortalError) -> dict[str, Any]:
    metrics.add_metric(metric_of(error), MetricUnit.Count, 1)
    if is_from_event_bus(event):
        # Without the cause: the runtime logs what is raised, and a cause may quote the event.
        raise error from None
    status = status_of(type(error)).value
    return {"statusCode": status, "headers": {"Content-Type": CONTENT_TYPE}, "body": problem(error)}


def _receive(event: dict[str, Any]) -> EventResult | DeadLetterResult:
    if is_from_event_bus(event):
        return _wire().receive_trusted(json.dumps(event["detail"]).encode())
    return _wire().receive(body_of(event), event.get("headers") or {})
