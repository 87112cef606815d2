"""Measures the warm access function's CPU and latency against a floor in the same run (`python -m bench.access`).

The floor: one `query` with the same request and the same items, by a client with the same settings. Requests are
answered before they are sent, so that only the work of this process counts in the CPU. For the latency each query takes
`--query-ms`, in the handler and in the floor: what a call of DynamoDB is assumed to take on AWS.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import boto3
import jwt

from bench.aws_answers import answered_here
from bench.bursts import percentile
from shared.aws import REQUEST_SETTINGS, serialize
from shared.mirror.items import ENTITLEMENTS_KEY, Beginnings, Write, item_key, update_expression
from shared.stripe.subscription import Subscription, SubscriptionItem

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

LINK_SECRET = "l" * 64
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "bench",
    "AWS_SECRET_ACCESS_KEY": "bench",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "POWERTOOLS_METRICS_NAMESPACE": "StripePortal",
    "SECRET_ID": "secret",
    "LINK_SECRETS_ID": "links",
    "STRIPE_API_BASE": "https://api.stripe.com",
    "TABLE_NAME": "Subscriptions",
    "LOOKUPS_TABLE_NAME": "AccessLookups",
    "ACCESS_LOOKUPS_PER_MINUTE": "60",
    "CUSTOMER_CLAIM": "stripe_customer_id",
    "ALLOW_VERIFIED_EMAIL": "false",
    "ENDED_RETENTION_DAYS": "400",
    "EVENT_CLOCK_UNCERTAINTY_SECONDS": "10",
    "ENTITLEMENTS": "true",
}
KEYS = [f"feature-{number}" for number in range(10)]
FEATURES = item_key("cus_1", ENTITLEMENTS_KEY) | {
    name: serialize(value)
    for name, value in {"features": KEYS, "products": {"prod_1": KEYS}, "as_of": 1_750_000_000, "revision": 1}.items()
}
BLOCK = 200


def mirrored(number: int) -> dict[str, Any]:
    """An item of the table, with what an active subscription of one price has."""
    item = SubscriptionItem("si_1", "price_1", "prod_1", 2, "1200", "eur", "month", current_period_end=1_900_000_000)
    subscription = Subscription(
        f"sub_{number}",
        "cus_1",
        "active",
        livemode=False,
        created=1_700_000_000,
        currency="eur",
        current_period_end=1_900_000_000,
        items=(item,),
    )
    write = Write(subscription, 1_750_000_000, "evt_1", Beginnings(paid_through=1_900_000_000))
    _, values = update_expression(write)
    attributes = {name[1:]: value for name, value in values.items() if name not in {":zero", ":one"}}
    return item_key("cus_1", f"sub_{number}") | attributes | {"revision": serialize(1)}


@dataclass
class Pause:
    """How long a query takes, in seconds; nothing while CPU is measured."""

    seconds: float = 0.0


def content_of(items: list[dict[str, Any]], pause: Pause, target: str, _: bytes) -> dict[str, Any]:
    """What AWS answers, before the request is sent."""
    if pause.seconds:
        time.sleep(pause.seconds)
    if target.startswith("secretsmanager"):
        return {"SecretString": json.dumps({"1": LINK_SECRET})}
    return {"Items": items, "Count": len(items), "ScannedCount": len(items)}


def _context() -> "LambdaContext":
    from aws_lambda_powertools.utilities.typing import LambdaContext  # noqa: PLC0415 - as the handler

    context = LambdaContext()
    for name, value in {"_function_name": "access", "_memory_limit_in_mb": 512, "_aws_request_id": "1"}.items():
        setattr(context, name, value)
    context._invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:access"  # noqa: SLF001
    return context


def handler_of(query: str) -> Callable[[], object]:
    """The real handler, given API Gateway's event of a customer whom the mirror knows."""
    from functions.access.app import _wire, handler  # noqa: PLC0415 - it reads the environment when imported

    token = jwt.encode({"aud": "access", "sub": "cus_1", "exp": int(time.time()) + 3600}, LINK_SECRET)
    event = {
        "version": "2.0",
        "routeKey": "GET /access",
        "rawPath": "/access",
        "rawQueryString": query,
        "queryStringParameters": dict(parse_qsl(query)),
        "headers": {"authorization": f"Bearer {token}"},
        "requestContext": {"http": {"method": "GET", "path": "/access"}, "stage": "$default", "requestId": "1"},
        "isBase64Encoded": False,
    }
    _wire.cache_clear()
    answer = handler(event, _context())
    if answer["statusCode"] != 200 or not json.loads(answer["body"])["granted"]:  # noqa: PLR2004 - an HTTP status
        raise SystemExit(f"The handler answers {answer}")
    return lambda: handler(event, _context())


def floor_of() -> Callable[[], object]:
    """The query alone."""
    client = boto3.client("dynamodb", config=REQUEST_SETTINGS.config())
    return lambda: client.query(
        TableName="Subscriptions",
        KeyConditionExpression="customer_id = :id",
        ExpressionAttributeValues={":id": {"S": "cus_1"}},
        ConsistentRead=True,
    )


def microseconds(act: Callable[[], object]) -> float:
    """CPU of one call, over a block of them."""
    began = time.process_time()
    for _ in range(BLOCK):
        act()
    return (time.process_time() - began) / BLOCK * 1e6


def milliseconds(floor: Callable[[], object], handler: Callable[[], object], calls: int) -> "tuple[Latency, Latency]":
    """The latencies of both, called in turn."""
    times: tuple[list[float], list[float]] = [], []
    for _ in range(calls):
        for act, own in zip((floor, handler), times, strict=True):
            began = time.perf_counter()
            act()
            own.append((time.perf_counter() - began) * 1000)
    first, second = (Latency(percentile(own, 0.5), percentile(own, 0.99)) for own in times)
    return first, second


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds that half of the calls are not above, and 99 of 100."""

    half: float
    most: float

    def __str__(self) -> str:
        """As printed."""
        return f"{self.half:.1f} ms (99 %: {self.most:.1f})"


def main() -> None:
    """Measure in turn, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=15)
    parser.add_argument("--subscriptions", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--feature", action="store_true", help="ask about one of ten features")
    parser.add_argument("--query-ms", type=float, default=4)
    parser.add_argument("--calls", type=int, default=500, help="calls whose latency is measured")
    arguments = parser.parse_args()
    os.environ.update(ENVIRONMENT)
    for count in arguments.subscriptions:
        items = [mirrored(number) for number in range(count)] + ([FEATURES] if arguments.feature else [])
        pause = Pause()
        answers = answered_here(partial(content_of, items, pause))
        with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), answers:
            floor, handler = floor_of(), handler_of("feature=feature-5" if arguments.feature else "")
            pairs = [(microseconds(floor), microseconds(handler)) for _ in range(arguments.blocks)]
            pause.seconds = arguments.query_ms / 1000
            slow, slower = milliseconds(floor, handler, arguments.calls)
        floors, handlers = (statistics.median(each) for each in zip(*pairs, strict=True))
        sys.stdout.write(
            f"{count} subscriptions: floor {floors:.0f} us, handler {handlers:.0f} us, {handlers / floors:.2f} x; "
            f"floor {slow}, handler {slower}\n"
        )


if __name__ == "__main__":
    main()
