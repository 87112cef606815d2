"""The portal link's side of the cold start: its handler, the floors that it is held to, a request, and a Stripe.

The way measured is the one that a customer takes: `GET /portal?token=`, two secrets read, one portal session made.
"""

import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt

from local.gateway.event import HttpRequest, event_of

LINK_SECRET = "l" * 43

# The artifact has no `cryptography`, which PyJWT imports where it finds it.
_AS_IN_THE_ARTIFACT = """
import sys
sys.modules["cryptography"] = None
"""

HANDLER = f"""{_AS_IN_THE_ARTIFACT}
import json
from functions.create_session.app import handler
class Context:
    function_name = memory_limit_in_mb = invoked_function_arn = aws_request_id = "x"
answer = handler(json.loads(sys.argv[1]), Context())
assert answer["statusCode"] == 303, answer
"""

FLOOR = f"""{_AS_IN_THE_ARTIFACT}
import json, os
import boto3, jwt, stripe
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.parameters import SecretsProvider
from botocore.config import Config
from pydantic import BaseModel
class Claims(BaseModel):
    sub: str
logger, metrics, app = Logger(service="floor"), Metrics(service="floor"), APIGatewayHttpResolver()
@app.get("/portal")
def portal():
    config = Config(connect_timeout=2, read_timeout=4, retries={{"mode": "standard", "total_max_attempts": 3}})
    provider = SecretsProvider(boto3_client=boto3.client("secretsmanager", config=config))
    secret = json.loads(provider.get(os.environ["SECRET_ID"]))
    token = app.current_event.query_string_parameters["token"]
    links = json.loads(provider.get(os.environ["LINK_SECRETS_ID"]))
    claims = Claims.model_validate(jwt.decode(token, links["1"], algorithms=["HS256"], audience="portal"))
    client = stripe.StripeClient(
        secret["stripe_api_key"],
        base_addresses={{"api": os.environ["STRIPE_API_BASE"]}},
        http_client=stripe.RequestsClient(timeout=4),
    )
    made = client.v1.billing_portal.sessions.create(
        {{"customer": claims.sub, "return_url": os.environ["DEFAULT_RETURN_URL"]}}
    )
    metrics.add_metric("Floor", MetricUnit.Count, 1)
    metrics.flush_metrics()
    return Response(303, headers={{"Location": made.url}}, body="")
class Context:
    function_name = memory_limit_in_mb = invoked_function_arn = aws_request_id = "x"
answer = app.resolve(json.loads(sys.argv[1]), Context())
assert answer["statusCode"] == 303, answer
"""

LEAN_FLOOR = """
import base64, hmac, json, os, sys, time
import botocore.session, urllib3
from botocore.config import Config
from urllib.parse import urlencode
config = Config(connect_timeout=2, read_timeout=4, retries={"mode": "standard", "total_max_attempts": 3})
secrets = botocore.session.get_session().create_client("secretsmanager", config=config)
def read(name):
    return json.loads(secrets.get_secret_value(SecretId=os.environ[name])["SecretString"])
key, links = read("SECRET_ID")["stripe_api_key"], read("LINK_SECRETS_ID")
header, claims, signature = json.loads(sys.argv[1])["queryStringParameters"]["token"].split(".")
expected = base64.urlsafe_b64encode(hmac.digest(links["1"].encode(), f"{header}.{claims}".encode(), "sha256"))
assert hmac.compare_digest(expected.rstrip(b"=").decode(), signature)
claims = json.loads(base64.urlsafe_b64decode(claims + "=="))
assert claims["aud"] == "portal" and claims["exp"] > time.time()
made = urllib3.PoolManager().request(
    "POST",
    f"{os.environ['STRIPE_API_BASE']}/v1/billing_portal/sessions",
    headers={"Authorization": f"Bearer {key}", "Content-Type": "application/x-www-form-urlencoded"},
    body=urlencode({"customer": claims["sub"], "return_url": os.environ["DEFAULT_RETURN_URL"]}),
    timeout=4,
)
print(json.dumps({"message": made.json()["url"]}))
"""


def request() -> str:
    """A customer follows a link."""
    claims = {"aud": "portal", "sub": "cus_1", "exp": int(time.time()) + 600}
    query = f"token={jwt.encode(claims, LINK_SECRET, 'HS256')}"
    headers = (("accept", "text/html"), ("accept-language", "fr-FR,fr;q=0.9"))
    return json.dumps(event_of(HttpRequest("GET", "/portal", query, headers, b"", "192.0.2.1", "HTTP/1.1"), "x", {}))


class _Stripe(BaseHTTPRequestHandler):
    # One write for each answer: with two, each waits 40 ms for the client's acknowledgement.
    wbufsize = -1

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps({"object": "billing_portal.session", "url": "https://billing.stripe.com/p/session/1"})
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's own name
        """Say nothing."""


def stripe_server() -> ThreadingHTTPServer:
    """A Stripe that makes any session at once."""
    return ThreadingHTTPServer(("127.0.0.1", 0), _Stripe)
