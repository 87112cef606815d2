"""Adapts API Gateway's event to the webhook, and the webhook's outcome to an answer for Stripe."""

import json
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.webhook.receive import DeadLetter, metric_of
from functions.webhook.wiring import wire
from shared.errors import PortalError
from shared.http import CONTENT_TYPE, body_of, log_problem, problem, status_of
from shared.mirror.intake import EventResult
from shared.stripe.events import is_from_event_bus

logger = Logger(service="webhook")
metrics = Metrics(service="webhook")


_wire = cache(wire)


@logger.inject_lambda_context(log_event=False, clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Take an event from API Gateway, or from EventBridge, where failing is how to have it sent again."""
    try:
        receipt = _take(event)
    except PortalError as error:
        log_problem(logger, error)
        metrics.add_metric(metric_of(error), MetricUnit.Count, 1)
        if is_from_event_bus(event):
            raise
        return {"statusCode": status_of(error).value, "headers": {"Content-Type": CONTENT_TYPE}, "body": problem(error)}
    logger.info("event", extra=receipt.for_log())
    metrics.add_metric(metric_of(receipt.outcome), MetricUnit.Count, 1)
    body = json.dumps({"outcome": receipt.outcome})
    return {"statusCode": 200, "headers": {"Content-Type": "application/json"}, "body": body}


def _take(event: dict[str, Any]) -> EventResult | DeadLetter:
    if is_from_event_bus(event):
        return _wire().take(json.dumps(event["detail"]).encode())
    return _wire().receive(body_of(event), event.get("headers") or {})
