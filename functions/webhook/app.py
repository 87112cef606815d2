"""Adapts API Gateway's event to the webhook, and the webhook's outcome to an answer for Stripe."""

import binascii
import json
import time
from base64 import b64decode
from functools import cache
from typing import Any

import boto3
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.webhook.dead_letters import DeadLetters
from functions.webhook.receive import Receiver, metric_of
from functions.webhook.settings import WebhookSettings
from shared.aws import AWS_CONFIG
from shared.errors import InvalidRequest, PortalError
from shared.mirror import Mirror
from shared.mirror_table import MirrorTable
from shared.problem import CONTENT_TYPE, log_problem, problem, status_of
from shared.secret_store import SecretStore
from shared.stripe_gateway import read_from_stripe, stripe_client

logger = Logger(service="webhook")
metrics = Metrics(service="webhook")


@cache
def _wire() -> Receiver:
    settings = WebhookSettings.from_environment()
    secrets = SecretStore(settings.secret_id, boto3.client("secretsmanager", config=AWS_CONFIG))
    mirror = Mirror(
        MirrorTable(boto3.client("dynamodb", config=AWS_CONFIG), settings.table_name),
        lambda id_: read_from_stripe(stripe_client(secrets.get().api_key, settings.stripe_api_base), id_),
        uncertainty=settings.uncertainty,
        retention=settings.retention,
    )
    # Almost no event needs it, so no first request waits for it.
    sqs = cache(lambda: boto3.client("sqs", config=AWS_CONFIG))
    return Receiver(secrets, mirror, DeadLetters(sqs, settings.dead_letter_queue_url), clock=time.time)


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Answer Stripe: 200 and an outcome, 400 for what is not Stripe's, 5xx for "send it again"."""
    try:
        receipt = _wire().receive(_body(event), event.get("headers") or {})
    except PortalError as error:
        log_problem(logger, error)
        metrics.add_metric(metric_of(error), MetricUnit.Count, 1)
        return {"statusCode": status_of(error).value, "headers": {"Content-Type": CONTENT_TYPE}, "body": problem(error)}
    logger.info("event", extra=receipt.for_log())
    metrics.add_metric(metric_of(receipt.outcome), MetricUnit.Count, 1)
    body = json.dumps({"outcome": receipt.outcome})
    return {"statusCode": 200, "headers": {"Content-Type": "application/json"}, "body": body}


def _body(event: dict[str, Any]) -> bytes:
    body = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        return str(body).encode()
    try:
        return b64decode(body, validate=True)
    except binascii.Error as error:
        raise InvalidRequest("unreadable_body", "The body is said to be base64, and is not") from error
