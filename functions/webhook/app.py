"""Adapts API Gateway's event to the webhook, and the outcome to a response for Stripe."""

import json
import time
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.webhook.receive import FAILED, LAG, RETRIED, DeadLetterResult, metric_of
from functions.webhook.wiring import wire
from shared.deadline import deadline
from shared.errors import PortalError, Unavailable, UnreadableEvent
from shared.http import CONTENT_TYPE, body_of, internal_error, log_failure, log_problem, problem, status_of
from shared.mirror.intake import EventResult
from shared.mirror.rule import Outcome
from shared.stripe.events import REPEATED_FOR, is_from_event_bus

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

logger = Logger(service="webhook")
metrics = Metrics(service="webhook")

_wire = cache(wire)
# Stripe gets its response within eight seconds, of which a cold start and the way there and back take a part.
REQUEST_SECONDS = 6.5
# For the response and the metrics of an invocation that nobody waits for.
_MARGIN_SECONDS = 2
# A read of Stripe with its retry, and two requests of DynamoDB.
LEAST_MILLISECONDS = 10_000
# Twice a snapshot of ten items, each with 50 keys of the longest metadata on item, price and plan, and what they were.
MOST_BODY_BYTES = 3_500_000


@logger.inject_lambda_context(log_event=False, clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Receive an event from API Gateway or EventBridge, or settle those of the queue.

    To EventBridge a failure means: send it again. To the queue the answer names the messages that stay in it.
    """
    if is_from_settle_queue(event):
        with deadline(_until_timeout(context)):
            return _settle(event, context)
    logger.set_correlation_id(event.get("requestContext", {}).get("requestId"))
    try:
        with deadline(_until_timeout(context) if is_from_event_bus(event) else REQUEST_SECONDS):
            result = _receive(event)
    except PortalError as error:
        log_problem(logger, error)
        return _refused(event, error)
    except Exception as error:  # noqa: BLE001 - a fault of our own: no event gets lost, and nothing of it is logged
        log_failure(logger, error)
        return _refused(event, internal_error())
    _count(result)
    body = json.dumps({"outcome": result.outcome})
    return {"statusCode": 200, "headers": {"Content-Type": "application/json"}, "body": body}


def _until_timeout(context: LambdaContext) -> float:
    """Return the seconds of an invocation that nobody waits for, so that Lambda does not end it first."""
    return context.get_remaining_time_in_millis() / 1000 - _MARGIN_SECONDS


def is_from_settle_queue(event: Mapping[str, Any]) -> bool:
    """Whether Lambda polled these messages from SQS; nobody else can invoke the function with such an event."""
    records = event.get("Records") or [{}]
    return "requestContext" not in event and records[0].get("eventSource") == "aws:sqs"


def _settle(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Settle each message by itself: one that fails stays in the queue, and the others leave it."""
    # Most environments receive requests only.
    from aws_lambda_powertools.utilities.batch import (  # noqa: PLC0415
        BatchProcessor,
        EventType,
        process_partial_response,
    )

    def settle(record: "SQSRecord") -> None:
        # What is begun too late would be cut off, and the messages before it would come again.
        if context.get_remaining_time_in_millis() < LEAST_MILLISECONDS:
            metrics.add_metric(RETRIED, MetricUnit.Count, 1)
            raise TimeoutError
        _settle_one(record.raw_event)

    processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
    return dict(process_partial_response(event, settle, processor, context))


def _settle_one(record: dict[str, Any]) -> None:
    """Settle a message; what is raised keeps it in the queue."""
    try:
        result = _wire().settler.settle(record)
    except (Unavailable, UnreadableEvent) as error:
        logger.info(error.message, extra={"code": error.code})
        metrics.add_metric(RETRIED, MetricUnit.Count, 1)
        raise
    except PortalError as error:
        log_problem(logger, error)
        metrics.add_metric(metric_of(error), MetricUnit.Count, 1)
        raise
    except Exception as error:
        log_failure(logger, error)
        metrics.add_metric(FAILED, MetricUnit.Count, 1)
        raise
    _count(result)


def _count(result: EventResult | DeadLetterResult) -> None:
    logger.info("event", extra=result.for_log())
    metrics.add_metric(metric_of(result.outcome), MetricUnit.Count, 1)
    if isinstance(result, EventResult) and result.outcome is Outcome.APPLIED:
        lag = time.time() - result.event_created
        if lag <= REPEATED_FOR.total_seconds():
            metrics.add_metric(LAG, MetricUnit.Seconds, max(0, lag))


def _refused(event: dict[str, Any], error: PortalError) -> dict[str, Any]:
    metrics.add_metric(metric_of(error), MetricUnit.Count, 1)
    if is_from_event_bus(event):
        # Without the cause: the runtime logs what is raised, and a cause may quote the event.
        raise error from None
    status = status_of(type(error)).value
    return {"statusCode": status, "headers": {"Content-Type": CONTENT_TYPE}, "body": problem(error)}


def _receive(event: dict[str, Any]) -> EventResult | DeadLetterResult:
    if is_from_event_bus(event):
        return _wire().receiver.receive_from_bus(event)
    return _wire().receiver.receive(body_of(event, MOST_BODY_BYTES), event.get("headers") or {})
