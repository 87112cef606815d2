"""Measures the warm webhook's CPU per event against floors in the same run (`python -m bench.webhook_cpu`).

The floor: Stripe's signature check, `json.loads`, and one `update_item` of the same request, with boto3's usual client;
and again with the handler's (shared/lean_client.py). With `--send` the requests go to another process, as a request has
to; else each is answered before it is sent, so that only the work of this process counts.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import stripe

from bench.aws_answers import answered_here, empty_answers_from_beside

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


SIGNING = "whsec_bench_0123456789"
SECRET = {"stripe_api_key": "sk_test_1", "webhook_signing_secrets": [SIGNING]}
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "bench",
    "AWS_SECRET_ACCESS_KEY": "bench",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "DEAD_LETTER_QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/123456789012/dead",
    "SETTLE_QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/123456789012/settle",
    "SETTLE_READS_PER_SECOND": "10",
    "ENDED_RETENTION_DAYS": "400",
    "EVENT_CLOCK_UNCERTAINTY_SECONDS": "3",
    "POWERTOOLS_METRICS_NAMESPACE": "StripePortal",
    "SECRET_ID": "secret",
    "SIGNING_SECRETS_ID": "signing",
    "STRIPE_API_BASE": "https://api.stripe.com",
    "TABLE_NAME": "Subscriptions",
}


def event_body(items: int) -> bytes:
    """A `customer.subscription.updated` of a usual subscription, about as large as Stripe's."""
    price = {"id": "price_1", "object": "price", "product": "prod_1", "currency": "eur", "unit_amount": 1200}
    price |= {
        "unit_amount_decimal": "1200",
        "recurring": {"interval": "month", "interval_count": 1, "usage_type": "licensed"},
    }
    price |= {
        "billing_scheme": "per_unit",
        "nickname": None,
        "metadata": {},
        "tax_behavior": "exclusive",
        "type": "recurring",
    }
    each = {
        "object": "subscription_item",
        "quantity": 1,
        "price": price,
        "plan": price,
        "current_period_end": 1_900_000_000,
    }
    subscription = {
        "id": "sub_1",
        "object": "subscription",
        "customer": "cus_1",
        "status": "active",
        "livemode": False,
        "billing_mode": {"type": "flexible"},
        "created": 1_700_000_000,
        "currency": "eur",
        "collection_method": "charge_automatically",
        "metadata": {"plan": "gold", "note": "x" * 400},
        "items": {"object": "list", "data": [each | {"id": f"si_{n}"} for n in range(items)]},
        "unknown": [{"name": f"field {n}", "value": n} for n in range(60)],
    }
    event = {"id": "evt_1", "object": "event", "api_version": "2026-10-28.endive", "created": int(time.time()) - 60}
    event |= {"type": "customer.subscription.updated", "livemode": False, "pending_webhooks": 1}
    return json.dumps(event | {"data": {"object": subscription, "previous_attributes": {"metadata": {}}}}).encode()


def handler_of(body: bytes, header: str) -> Callable[[], object]:
    """The real handler, given API Gateway's event."""
    from functions.webhook.app import handler  # noqa: PLC0415 - it reads the environment when imported

    event = {"body": body.decode(), "headers": {"stripe-signature": header}, "isBase64Encoded": False}
    return lambda: handler(event, _context())


def _context() -> "LambdaContext":
    from aws_lambda_powertools.utilities.typing import LambdaContext  # noqa: PLC0415 - as the handler

    context = LambdaContext()
    for name, value in {"_function_name": "webhook", "_memory_limit_in_mb": 512, "_aws_request_id": "1"}.items():
        setattr(context, name, value)
    context._invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:webhook"  # noqa: SLF001
    return context


def floor_of(body: bytes, header: str, update: dict[str, Any], client: Any) -> Callable[[], object]:
    """What no webhook of this kind can do without."""

    def floor() -> None:
        stripe.WebhookSignature.verify_header(body, header, SIGNING, 300)
        json.loads(body)
        client.update_item(**update)

    return floor


def cpu(work: Callable[[], object], times: int) -> float:
    """Microseconds of CPU per call."""
    began = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - began) / times * 1e6


def main() -> None:
    """Run all in turn, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=30)
    parser.add_argument("--events", type=int, default=50, help="events in a block")
    parser.add_argument("--items", type=int, default=1, help="items of the subscription")
    parser.add_argument("--send", action="store_true", help="send the requests, over HTTP, to another process")
    options = parser.parse_args()
    os.environ |= ENVIRONMENT
    body = event_body(options.items)
    update: dict[str, Any] = {}

    def content_of(target: str, request: bytes) -> dict[str, Any] | None:
        if target.startswith("secretsmanager"):
            return {"SecretString": json.dumps(SECRET)}
        # Of the first event only: what is kept for longer, the garbage collector walks in every later block.
        if not update:
            update.update(json.loads(request))
        return None if options.send else {}

    with ExitStack() as stack:
        # The log and the metrics go nowhere.
        stack.enter_context(redirect_stdout(stack.enter_context(Path(os.devnull).open("w"))))
        if options.send:
            os.environ["AWS_ENDPOINT_URL_DYNAMODB"] = stack.enter_context(empty_answers_from_beside())
        stack.enter_context(answered_here(content_of))
        works = _works(body, update)
        for work in works:
            cpu(work, options.events)
        blocks = [[cpu(work, options.events) for work in works] for _ in range(options.blocks)]
    handler, floor, same = (statistics.median(times) for times in zip(*blocks, strict=True))
    ratios = [statistics.median(block[0] / block[place] for block in blocks) for place in (1, 2)]
    sys.stdout.write(f"event of {len(body):,} bytes, {options.blocks} blocks of {options.events}, CPU per event\n")
    sys.stdout.write(f"floor {floor:,.0f} us, handler {handler:,.0f} us, ratio {ratios[0]:.2f}\n")
    sys.stdout.write(f"floor with the handler's client {same:,.0f} us, ratio {ratios[1]:.2f}\n")


def _works(body: bytes, update: dict[str, Any]) -> tuple[Callable[[], object], ...]:
    """The handler, the floor with boto3's usual client, and the floor with the handler's client."""
    from shared.aws import AWS_SETTINGS, REQUEST_SETTINGS  # noqa: PLC0415 - nothing of AWS before the environment
    from shared.lean_client import lean_client  # noqa: PLC0415

    header = stripe.WebhookSignature.generate_signature_header(body.decode(), SIGNING, int(time.time()))
    handler = handler_of(body, header)
    handler()
    clients = (boto3.client("dynamodb", config=AWS_SETTINGS.config()), lean_client("dynamodb", REQUEST_SETTINGS))
    return handler, *(floor_of(body, header, update, client) for client in clients)


if __name__ == "__main__":
    main()
