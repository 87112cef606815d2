"""How long a function's first answer takes from process start, beside two bare scripts that do the same by hand.

The usual floor imports the libraries that such a function usually has (of pydantic, which loads lazily, what one model
needs). The lean floor imports as little as it can: botocore for AWS, else urllib3 and the standard library. Both make
the same remote calls, and check nothing but the signature. All run in fresh processes, in turn, against the same local
servers: `python -m bench.cold_start`. With `--against FOLDER` the handlers of another checkout of this project run too.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import stripe

from bench import cold_portal
from local.aws.intrinsics import PhysicalNames
from local.aws.resources import AwsClients, create_resources
from local.aws.server import make_aws_server
from local.aws.template import Template

ROUNDS = 15
SIGNING = "whsec_bench_0123456789"
PARAMETERS = {
    "AllowedReturnOrigins": "https://shop.example",
    "DefaultReturnUrl": "https://shop.example/",
    "AuditEmailFrom": "audit@shop.example",
    "AuditEmailTo": "team@shop.example",
}

HANDLER = """
import json, sys
from functions.webhook.app import handler
class Context:
    function_name = memory_limit_in_mb = invoked_function_arn = aws_request_id = "x"
answer = handler(json.loads(sys.argv[1]), Context())
assert answer["statusCode"] == 200, answer
"""

FLOOR = """
import json, os, sys
import boto3, stripe
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.parameters import SecretsProvider
from boto3.dynamodb.types import TypeSerializer
from botocore.config import Config
from pydantic import BaseModel
class Event(BaseModel):
    id: str
logger, metrics = Logger(service="floor"), Metrics(service="floor")
config = Config(connect_timeout=2, read_timeout=4, retries={"mode": "standard", "total_max_attempts": 3})
provider = SecretsProvider(boto3_client=boto3.client("secretsmanager", config=config))
provider.get(os.environ["SECRET_ID"])
secret = json.loads(provider.get(os.environ["SIGNING_SECRETS_ID"]))
request = json.loads(sys.argv[1])
stripe.WebhookSignature.verify_header(
    request["body"], request["headers"]["stripe-signature"], secret["webhook_signing_secrets"][0], 300
)
subscription = json.loads(request["body"])["data"]["object"]
Event.model_validate_json(request["body"])
serialize = TypeSerializer().serialize
boto3.client("dynamodb", config=config).update_item(
    TableName=os.environ["TABLE_NAME"],
    Key={"customer_id": {"S": subscription["customer"]}, "subscription_id": {"S": subscription["id"]}},
    UpdateExpression="SET body = :body",
    ExpressionAttributeValues={":body": serialize(json.dumps(subscription))},
)
metrics.add_metric("Floor", MetricUnit.Count, 1)
metrics.flush_metrics()
logger.info("event")
"""

LEAN_FLOOR = """
import hmac, json, os, sys, time
import botocore.session
from botocore.config import Config
config = Config(connect_timeout=2, read_timeout=4, retries={"mode": "standard", "total_max_attempts": 3})
session = botocore.session.get_session()
secrets = session.create_client("secretsmanager", config=config)
secrets.get_secret_value(SecretId=os.environ["SECRET_ID"])
secret = json.loads(secrets.get_secret_value(SecretId=os.environ["SIGNING_SECRETS_ID"])["SecretString"])
request = json.loads(sys.argv[1])
time_, signature = (part.partition("=")[2] for part in request["headers"]["stripe-signature"].split(","))
key, signed = secret["webhook_signing_secrets"][0].encode(), f"{time_}.{request['body']}".encode()
assert hmac.compare_digest(hmac.new(key, signed, "sha256").hexdigest(), signature)
assert abs(time.time() - int(time_)) < 300
subscription = json.loads(request["body"])["data"]["object"]
session.create_client("dynamodb", config=config).update_item(
    TableName=os.environ["TABLE_NAME"],
    Key={"customer_id": {"S": subscription["customer"]}, "subscription_id": {"S": subscription["id"]}},
    UpdateExpression="SET body = :body",
    ExpressionAttributeValues={":body": {"S": json.dumps(subscription)}},
)
print(json.dumps({"message": "event"}))
"""


def request() -> str:
    """A signed request as API Gateway hands it over."""
    snapshot = Path(__file__).parents[1] / "tests/fixtures/subscription-2026-10-28.endive.json"
    event = {
        "id": f"evt_{time.time_ns()}",
        "object": "event",
        "type": "customer.subscription.updated",
        "created": int(time.time()) - 60,
        "livemode": False,
        "data": {"object": json.loads(snapshot.read_text()) | {"id": f"sub_{time.time_ns()}"}},
    }
    body = json.dumps(event)
    header = stripe.WebhookSignature.generate_signature_header(body, SIGNING)
    return json.dumps({"headers": {"stripe-signature": header}, "body": body, "isBase64Encoded": False})


@dataclass(frozen=True, slots=True)
class Case:
    """One function, the scripts that it is held to, and what all are asked."""

    function_id: str
    handler: str
    floor: str
    lean_floor: str
    request: Callable[[], str]


CASES = (
    Case("WebhookFunction", HANDLER, FLOOR, LEAN_FLOOR, request),
    Case("CreateSessionFunction", cold_portal.HANDLER, cold_portal.FLOOR, cold_portal.LEAN_FLOOR, cold_portal.request),
)


def timed(script: str, argument: str, environment: dict[str, str], folder: Path) -> float:
    """Seconds from process start to its end, which follows the answer at once."""
    began = time.perf_counter()
    command = [sys.executable, "-c", script, argument]
    subprocess.run(command, check=True, capture_output=True, env=environment, cwd=folder)  # noqa: S603 - our own scripts
    return time.perf_counter() - began


def environments(url: str, stripe_url: str) -> dict[str, dict[str, str]]:
    """Fill the local services and return the settings that lead each function to them."""
    template = Template.load(parameters=PARAMETERS, names=PhysicalNames(aws_url=url))
    secrets = {
        "Secret": {"stripe_api_key": "sk_test_1"},
        "SigningSecrets": {"webhook_signing_secrets": [SIGNING]},
        "LinkSecrets": {"1": cold_portal.LINK_SECRET},
    }
    create_resources(template, AwsClients.at(url), sender=PARAMETERS["AuditEmailFrom"], secrets=secrets)
    own: dict[str, Any] = {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "STRIPE_API_BASE": stripe_url,
    }
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {case.function_id: kept | template.environment(case.function_id) | own for case in CASES}


def measure(case: Case, environment: dict[str, str], against: Path | None, rounds: int) -> str:
    """Run all scripts in turn; say each median, and the median of the handler's ratios to it."""
    here = Path.cwd()
    scripts = {"floor": (case.floor, here), "lean floor": (case.lean_floor, here)}
    scripts |= {} if against is None else {str(against): (case.handler, against)}

    def all_in_turn() -> dict[str, float]:
        every = {"first answer": (case.handler, here), **scripts}
        return {name: timed(script, case.request(), environment, folder) for name, (script, folder) in every.items()}

    all_in_turn()
    times = [all_in_turn() for _ in range(rounds)]

    def median(name: str) -> str:
        ratio = statistics.median(each["first answer"] / each[name] for each in times)
        return f"{name} {statistics.median(each[name] for each in times) * 1000:.0f} ms" + (
            "" if name == "first answer" else f" (ratio {ratio:.2f})"
        )

    return f"{case.function_id}: {', '.join(map(median, times[0]))}; medians of {rounds}\n"


def main() -> None:
    """Print a line for each function."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path, help="another checkout of this project, whose handlers run too")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    aws, stripe_server = make_aws_server(0), cold_portal.stripe_server()
    for server in (aws, stripe_server):
        threading.Thread(target=server.serve_forever, daemon=True).start()
    urls = (f"http://127.0.0.1:{server.server_port}" for server in (aws, stripe_server))
    environment = environments(*urls)
    for case in CASES:
        sys.stdout.write(measure(case, environment[case.function_id], options.against, options.rounds))


if __name__ == "__main__":
    main()
