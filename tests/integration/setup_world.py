"""A deployment as `sam deploy` leaves it, its API served over HTTP, and the real `portal` command pointed at it."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.client import BaseClient
from requests.adapters import HTTPAdapter
from typer.testing import CliRunner, Result

from cli.deployment import Deployment
from cli.main import app
from functions.create_session import app as create_session_app
from functions.webhook import app as webhook_app
from shared.stripe.gateway import StripeJson
from tests.integration.conftest import Api, Aws
from tests.integration.simulator_fixtures import RunningSimulator

KEY = "rk_test_0123456789abcdef"
# The five that the mirror cannot do without, as of the audit's check, and three that are sent besides.
EVENT_TYPES = {
    f"customer.subscription.{each}"
    for each in (
        *("created", "updated", "deleted", "paused", "resumed"),
        *("pending_update_applied", "pending_update_expired", "trial_will_end"),
    )
}
GENERATED: dict[str, dict[str, Any]] = {
    "Secret": {"stripe_api_key": "", "unused": "x" * 32},
    "SigningSecrets": {"webhook_signing_secrets": [], "unused": "x" * 32},
    "LinkSecrets": {"1": "g" * 43},
}


class Killed(BaseException):
    """The command's process is killed: nothing that it calls from now on happens."""


@dataclass
class SetupWorld:
    """The deployment, its Stripe, and the files of whoever sets it up."""

    aws: Aws
    simulator: RunningSimulator
    deployment: Deployment
    key_file: str

    @property
    def url(self) -> str:
        return self.deployment.outputs["WebhookUrl"]

    def portal(self, *arguments: str, text: str = "") -> Result:
        """Run the command; what it raises is raised here, but for its exit."""
        forget_secrets()
        result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"}, input=text)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def connect(self, *arguments: str) -> Result:
        return self.portal("connect", "--yes", "--no-backfill", "--stripe-key-file", self.key_file, *arguments)

    def secret(self, logical_id: str) -> dict[str, Any]:
        text = self.aws.clients.secretsmanager.get_secret_value(SecretId=self.aws.template.ref(logical_id))
        content: dict[str, Any] = json.loads(text["SecretString"])
        return content

    def put_secret(self, logical_id: str, content: Any) -> None:
        text = content if isinstance(content, str) else json.dumps(content)
        self.aws.clients.secretsmanager.put_secret_value(SecretId=self.aws.template.ref(logical_id), SecretString=text)

    def endpoints(self) -> list[StripeJson]:
        """Those at the deployment's address, the newest first."""
        found = self.simulator.client().v1.webhook_endpoints.list({"limit": 100}).data
        return [each.to_dict(for_json=True) for each in found if each.url == self.url]

    def by_hand(self, **fields: Any) -> Any:
        """An endpoint that somebody made in the Dashboard."""
        params: Any = {"url": self.url, "enabled_events": sorted(EVENT_TYPES), **fields}
        return self.simulator.client().v1.webhook_endpoints.create(params)

    def save_portal_settings(self, *, login: bool = True) -> None:
        """As the Dashboard does."""
        body = {"features": {}, "login_page": {"enabled": login}, "business_profile": {}}
        self.simulator.admin("POST", "default_configuration", body)

    def forbid(self, method: str, path: str, permission: str, times: int = 100) -> None:
        """Have Stripe refuse a restricted key's requests."""
        message = (
            f"The provided key 'rk_test_***' does not have the required permissions for this endpoint on account "
            f"'acct_1'. Having the '{permission}' permission would allow this request to continue."
        )
        failing = self.simulator.admin("GET", "faults")["fail"]
        failure = {"status": 403, "times": times, "method": method, "path": path, "message": message}
        self.simulator.admin("POST", "faults", {"fail": [*failing, failure]})

    def deliver(self) -> list[int]:
        """Have a subscription change at Stripe, and return the statuses of its events' deliveries to this address."""
        client = self.simulator.client()
        before = len(self.simulator.settle())
        customer = client.v1.customers.create({"email": "ada@example.com", "payment_method": "pm_card_visa"})
        product = client.v1.products.create({"name": "Gold"})
        price = client.v1.prices.create(
            {"product": product.id, "currency": "eur", "unit_amount": 1200, "recurring": {"interval": "month"}}
        )
        client.v1.subscriptions.create({"customer": customer.id, "items": [{"price": price.id}]})
        return [each["status_code"] for each in self.simulator.settle()[before:]]


def forget_secrets() -> None:
    """As if the functions' environments were new."""
    webhook_app._wire.cache_clear()
    create_session_app._wire.cache_clear()


@contextmanager
def served(api: Api) -> Iterator[str]:
    """The API over HTTP; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def _respond(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            response = api.send(f"{self.command} {parts.path}", query=parts.query, headers=headers, body=body)
            self.send_response(response.status)
            for name, value in response.headers:
                if name.lower() != "content-length":
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(response.body)))
            self.end_headers()
            self.wfile.write(response.body)

        def do_GET(self) -> None:
            self._respond()

        def do_POST(self) -> None:
            self._respond()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's own name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@contextmanager
def setup_world(
    aws: Aws, api: Api, simulator: RunningSimulator, monkeypatch: pytest.MonkeyPatch, key_file: str
) -> Iterator[SetupWorld]:
    """A deployment whose secrets are as the template generates them, and an account without portal settings."""
    with served(api) as url:
        outputs = aws.template.outputs() | {"ApiUrl": url, "WebhookUrl": f"{url}/webhooks/stripe"}
        deployment = Deployment(outputs, simulator.url, time.time(), aws.template.parameters())
        world = SetupWorld(aws, simulator, deployment, key_file)
        monkeypatch.setattr(Deployment, "of_stack", lambda _name: world.deployment)
        for logical_id, content in GENERATED.items():
            world.put_secret(logical_id, content)
        forget_secrets()
        yield world


def with_parameters(world: SetupWorld, **parameters: str) -> None:
    """Deploy with other parameters."""
    world.deployment = replace(world.deployment, parameters={**world.deployment.parameters, **parameters})


@contextmanager
def _counted_calls(
    monkeypatch: pytest.MonkeyPatch, *, before: Callable[[], None], after: Callable[[], None]
) -> Iterator[None]:
    """Call these around every call of AWS and Stripe that this thread makes."""
    main = threading.current_thread()
    every_client: Any = BaseClient

    def counted(do: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*args: Any, **options: Any) -> Any:
            if threading.current_thread() is not main:
                return do(*args, **options)
            before()
            result = do(*args, **options)
            after()
            return result

        return counting

    with monkeypatch.context() as patch:
        patch.setattr(every_client, "_make_api_call", counted(every_client._make_api_call))
        patch.setattr(HTTPAdapter, "send", counted(HTTPAdapter.send))
        yield


@contextmanager
def killed_after(calls: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], bool]]:
    """Kill whatever runs in this thread right after it has made so many calls of AWS and Stripe; yields whether it was.

    A killed process cleans nothing up: every later call of it fails too.
    """
    made = 0

    def check() -> None:
        if made >= calls:
            raise Killed

    def count() -> None:
        nonlocal made
        made += 1
        check()

    with _counted_calls(monkeypatch, before=check, after=count):
        yield lambda: made >= calls


@contextmanager
def interleaved_after(
    calls: int, another: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], bool]]:
    """Run `another` command right after so many calls of the one that runs in this thread; yields whether it ran."""
    made, runs = 0, False

    def count() -> None:
        nonlocal made, runs
        if runs:
            return
        made += 1
        if made == calls:
            runs = True
            another()
            runs = False

    with _counted_calls(monkeypatch, before=lambda: None, after=count):
        yield lambda: made >= calls
