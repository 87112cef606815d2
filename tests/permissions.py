"""What functions and commands call: the least that a policy and the Stripe key have to permit, and the docs' tables.

`tests/integration/test_permissions.py` and `test_command_permissions.py` compare this with the calls that are made, and
`tests/unit/test_template.py` with the policies of template.yaml and with the docs.
"""

import re
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.client import BaseClient
from requests.adapters import HTTPAdapter

from shared.lean_client import LeanClient

if TYPE_CHECKING:
    from types import FrameType

DEPLOY = Path(__file__).parents[1] / "docs" / "how-to" / "deploy.md"
COMMANDS_PAGE = Path(__file__).parents[1] / "docs" / "reference" / "commands.md"
_TABLE = re.compile(r"(?<=<!-- permissions -->\n).*?(?=<!-- end of permissions -->)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Calls:
    """An AWS action and resource is `<action> <logical id>`, a route of Stripe's `<method> <path>`.

    An index of a table is a resource of its own, `<logical id>/index/<name>`, as in its ARN.

    `without_call` are actions that something else than the function's code needs, with what that is.
    """

    aws: frozenset[str]
    stripe: frozenset[str]
    without_call: Mapping[str, str] = field(default_factory=dict)


_CUSTOMERS_OF_USER = {
    "GET /v1/customers",
    "GET /v1/customers/search",
    "GET expanded subscriptions",
    "POST /v1/customers/{id}",
}
_SUBSCRIPTION = {"GET /v1/subscriptions/{id}", "GET /v1/subscription_items"}
_ENTITLEMENTS = {"GET /v1/entitlements/active_entitlements", "GET /v1/products/{id}/features"}
_FROM_THE_QUEUE = "Lambda reads the queue for the function"
_FROM_THE_STREAM = "Lambda reads the table's stream for the function"

CALLS: Mapping[str, Calls] = {
    "create_session": Calls(
        aws=frozenset({"secretsmanager:GetSecretValue LinkSecrets", "secretsmanager:GetSecretValue Secret"}),
        stripe=frozenset(
            {
                "GET /v1/billing_portal/configurations",
                "GET /v1/checkout/sessions",
                "GET /v1/customers/{id}",
                "GET /v1/subscriptions",
                "GET /v1/subscriptions/{id}",
                "POST /v1/billing_portal/sessions",
                "POST /v1/checkout/sessions",
                "POST /v1/checkout/sessions/{id}/expire",
                "POST /v1/customers",
                *_CUSTOMERS_OF_USER,
            }
        ),
    ),
    "access": Calls(
        aws=frozenset(
            {
                "dynamodb:Query Subscriptions",
                "dynamodb:UpdateItem AccessLookups",
                "dynamodb:UpdateItem Subscriptions",
                "secretsmanager:GetSecretValue LinkSecrets",
                "secretsmanager:GetSecretValue Secret",
            }
        ),
        stripe=frozenset({"GET /v1/subscriptions", *_SUBSCRIPTION, *_CUSTOMERS_OF_USER, *_ENTITLEMENTS}),
    ),
    "access_changes": Calls(
        aws=frozenset(
            {
                "dynamodb:GetItem Access",
                "dynamodb:Query Access/index/due",
                "dynamodb:Query Subscriptions",
                "dynamodb:Scan Access",
                "dynamodb:UpdateItem Access",
                "events:PutEvents AccessBus",
            }
        ),
        stripe=frozenset(),
        without_call={
            "dynamodb:DescribeStream Subscriptions": _FROM_THE_STREAM,
            "dynamodb:GetRecords Subscriptions": _FROM_THE_STREAM,
            "dynamodb:GetShardIterator Subscriptions": _FROM_THE_STREAM,
            "dynamodb:ListStreams Subscriptions": _FROM_THE_STREAM,
            "sqs:SendMessage AccessChangesDeadLetterQueue": "Lambda keeps the place of records that it gave up",
        },
    ),
    "pause": Calls(
        aws=frozenset(
            {
                "dynamodb:GetItem Pauses",
                "dynamodb:PutItem Pauses",
                "dynamodb:Query Pauses/index/by_customer",
                "dynamodb:Query Pauses/index/due",
                "secretsmanager:GetSecretValue LinkSecrets",
                "secretsmanager:GetSecretValue Secret",
                "ses:SendEmail",
                "ses:SendRawEmail",
            }
        ),
        stripe=frozenset(
            {
                "GET /v1/billing_portal/configurations",
                "GET /v1/billing_portal/configurations/{id}",
                "GET /v1/customers/{id}",
                "GET /v1/invoices",
                "GET /v1/invoices/{id}",
                "GET /v1/subscription_schedules/{id}",
                "GET /v1/subscriptions",
                "POST /v1/invoices/{id}/void",
                "POST /v1/subscription_schedules",
                "POST /v1/subscription_schedules/{id}",
                "POST /v1/subscription_schedules/{id}/release",
                "POST /v1/subscriptions/{id}",
                "POST /v1/subscriptions/{id}/resume",
                *_SUBSCRIPTION,
                *_CUSTOMERS_OF_USER,
            }
        ),
    ),
    "webhook": Calls(
        aws=frozenset(
            {
                "dynamodb:GetItem Subscriptions",
                "dynamodb:Query Subscriptions",
                "dynamodb:UpdateItem Subscriptions",
                "secretsmanager:GetSecretValue Secret",
                "secretsmanager:GetSecretValue SigningSecrets",
                "sqs:ChangeMessageVisibility SettleQueue",
                "sqs:SendMessage DeadLetterQueue",
                "sqs:SendMessage SettleQueue",
            }
        ),
        stripe=frozenset(_SUBSCRIPTION | _ENTITLEMENTS),
        without_call={
            "sqs:DeleteMessage SettleQueue": _FROM_THE_QUEUE,
            "sqs:GetQueueAttributes SettleQueue": _FROM_THE_QUEUE,
            "sqs:ReceiveMessage SettleQueue": _FROM_THE_QUEUE,
        },
    ),
    "nightly_audit": Calls(
        aws=frozenset(
            {
                "dynamodb:BatchGetItem Audits",
                "dynamodb:BatchGetItem Pauses",
                "dynamodb:BatchGetItem Subscriptions",
                "dynamodb:GetItem Subscriptions",
                "dynamodb:Query Pauses/index/by_customer",
                "dynamodb:Query Pauses/index/by_time",
                "dynamodb:Query Pauses/index/due",
                "dynamodb:Query Subscriptions",
                "dynamodb:Scan Subscriptions",
                "dynamodb:UpdateItem Audits",
                "dynamodb:UpdateItem Subscriptions",
                "s3:GetObject AuditReports",
                "s3:PutObject AuditReports",
                "secretsmanager:DescribeSecret LinkSecrets",
                "secretsmanager:DescribeSecret Secret",
                "secretsmanager:DescribeSecret SigningSecrets",
                "secretsmanager:GetSecretValue Secret",
                "ses:SendEmail",
                "ses:SendRawEmail",
                "sqs:GetQueueAttributes AuditDeadLetterQueue",
                "sqs:GetQueueAttributes DeadLetterQueue",
                "sqs:GetQueueAttributes SettleDeadLetterQueue",
                "sqs:ReceiveMessage AuditDeadLetterQueue",
                "sqs:ReceiveMessage DeadLetterQueue",
                "sqs:ReceiveMessage SettleDeadLetterQueue",
                "ssm:GetParameter AuditSettings",
            }
        ),
        stripe=frozenset(
            {
                "GET /v1/customers",
                "GET /v1/billing_portal/configurations",
                "GET /v1/customers/{id}",
                "GET /v1/events",
                "GET /v1/invoices",
                "GET /v1/payment_methods/{id}",
                "GET /v1/prices",
                "GET /v1/subscriptions",
                "GET /v1/webhook_endpoints",
                "GET /v2/core/event_destinations",
                "GET expanded coupon",
                "GET expanded customer",
                "GET expanded products",
                "GET expanded schedule",
                "GET expanded subscription",
                *_SUBSCRIPTION,
            }
        ),
        without_call={
            "s3:AbortMultipartUpload AuditReports": "an upload in parts that failed is aborted",
            "s3:ListBucket AuditReports": "without it, reading a missing object is refused",
        },
    ),
}

_STACK = {"cloudformation:DescribeStacks": "every command reads the stack"}
_KEY = "secretsmanager:GetSecretValue Secret"
_PAUSES_OF_CUSTOMER = "dynamodb:Query Pauses/index/by_customer"
_PAUSE_READS = {"dynamodb:GetItem Pauses", _PAUSES_OF_CUSTOMER, _KEY}
_PAUSE_WRITES = {"dynamodb:GetItem Pauses", "dynamodb:PutItem Pauses", "sts:GetCallerIdentity", _KEY}
_SCHEDULE = {"GET /v1/subscription_schedules/{id}"}

# By command, as it is typed; the pause function's own calls finish what a command has begun.
COMMANDS: Mapping[str, Calls] = {
    "pause": Calls(
        aws=frozenset(_PAUSE_READS),
        stripe=frozenset({"GET /v1/subscriptions/{id}"} | _SCHEDULE),
        without_call=_STACK,
    ),
    "pause --apply": Calls(
        aws=frozenset(_PAUSE_WRITES | {_PAUSES_OF_CUSTOMER}),
        stripe=frozenset(
            {
                "GET /v1/invoices",
                "GET /v1/subscriptions/{id}",
                "POST /v1/subscription_schedules",
                "POST /v1/subscription_schedules/{id}",
                "POST /v1/invoices/{id}/void",
                "POST /v1/subscription_schedules/{id}/release",
                "POST /v1/subscriptions/{id}",
            }
            | _SCHEDULE
        ),
        without_call=_STACK,
    ),
    "resume": Calls(
        aws=frozenset(_PAUSE_READS),
        stripe=frozenset({"GET /v1/subscriptions/{id}"} | _SCHEDULE),
        without_call=_STACK,
    ),
    "resume --apply": Calls(
        aws=frozenset(_PAUSE_WRITES),
        stripe=frozenset(
            {
                "GET /v1/invoices",
                "GET /v1/invoices/{id}",
                "GET /v1/subscriptions/{id}",
                "POST /v1/subscription_schedules/{id}",
                "POST /v1/subscription_schedules/{id}/release",
                "POST /v1/subscriptions/{id}",
                "POST /v1/subscriptions/{id}/resume",
            }
            | _SCHEDULE
        ),
        without_call=_STACK,
    ),
    "convert": Calls(
        aws=frozenset({"dynamodb:BatchGetItem Subscriptions", "dynamodb:GetItem Pauses", _KEY}),
        stripe=frozenset({"GET /v1/subscriptions", "GET /v1/subscriptions/{id}"}),
        without_call=_STACK,
    ),
    "convert --apply": Calls(
        aws=frozenset({"dynamodb:BatchGetItem Subscriptions", *_PAUSE_WRITES}),
        stripe=frozenset(
            {
                "GET /v1/subscriptions",
                "GET /v1/subscriptions/{id}",
                "POST /v1/subscription_schedules",
                "POST /v1/subscription_schedules/{id}/release",
                "POST /v1/subscriptions/{id}",
            }
            | _SCHEDULE
        ),
        without_call=_STACK,
    ),
    "pauses": Calls(aws=frozenset({"dynamodb:Scan Pauses"}), stripe=frozenset(), without_call=_STACK),
    "pauses SUBSCRIPTION": Calls(
        aws=frozenset({"dynamodb:GetItem Pauses", "dynamodb:Query Pauses"}), stripe=frozenset(), without_call=_STACK
    ),
}

# In the Dashboard's words, by the beginning of a path, or by the field that is expanded; reading is GET.
STRIPE_PERMISSIONS = {
    "coupon": "Coupons",
    "customer": "Customers",
    "products": "Customer portal",
    "product": "Products",
    "schedule": "Subscriptions",
    "subscription": "Subscriptions",
    "/v1/account": "Account",
    "/v1/billing_portal": "Customer portal",
    "/v1/checkout/sessions": "Checkout Sessions",
    "/v1/coupons": "Coupons",
    "/v1/customers": "Customers",
    "/v1/entitlements": "Entitlements",
    "/v1/events": "Events",
    "/v1/invoices": "Invoices",
    "/v1/payment_methods": "Payment Methods",
    "/v1/prices": "Prices",
    "/v1/products": "Products",
    "/v1/subscription_items": "Subscriptions",
    "/v1/subscription_schedules": "Subscriptions",
    "/v1/subscriptions": "Subscriptions",
    "/v1/webhook_endpoints": "Webhook Endpoints",
    "/v2/core/event_destinations": "Event Destinations",
}

# Where the action is not the operation's name.
_ACTIONS = {
    "s3:CompleteMultipartUpload": ("s3:PutObject",),
    "s3:CreateMultipartUpload": ("s3:PutObject",),
    "s3:HeadObject": ("s3:GetObject",),
    "s3:ListObjectsV2": ("s3:ListBucket",),
    "s3:UploadPart": ("s3:PutObject",),
    # Each write of a transaction needs its own permission.
    "dynamodb:TransactWriteItems": ("dynamodb:PutItem",),
    # A raw mail needs both.
    "ses:SendEmail": ("ses:SendEmail", "ses:SendRawEmail"),
}
_RESOURCE_PARAMETERS = ("TableName", "QueueUrl", "SecretId", "Bucket", "Name")
_ID = re.compile(r"[a-z]+(_[a-z]+)*_(?=[a-z]*[A-Z0-9])[A-Za-z0-9]{6,}")


class CallRecorder:
    """Records the calls of each function, whichever thread makes them."""

    def __init__(self) -> None:
        self.aws: defaultdict[str, set[str]] = defaultdict(set)
        self.stripe: defaultdict[str, set[str]] = defaultdict(set)
        self.logical_ids: dict[str, str] = {}
        # Threads that a function starts show nothing of it; a test that drives one function says which.
        self.driven: str | None = None

    def install(self, monkeypatch: pytest.MonkeyPatch, stripe_base: Callable[[], str]) -> None:
        """Record every request of boto3 and of Stripe's library until the test ends."""
        every_client: Any = BaseClient
        call, lean_call, send = every_client._make_api_call, LeanClient._call, HTTPAdapter.send

        def recorded_call(client: BaseClient, operation: str, parameters: dict[str, Any]) -> Any:
            if function := self._function():
                service = client.meta.service_model.signing_name
                self.aws[function] |= self._actions(f"{service}:{operation}", parameters)
            return call(client, operation, parameters)

        def recorded_lean_call(client: LeanClient, method: str, operation: str, **parameters: Any) -> Any:
            if function := self._function():
                self.aws[function] |= self._actions(f"{client.signer.service}:{operation}", parameters)
            return lean_call(client, method, operation, **parameters)

        def recorded_send(adapter: HTTPAdapter, request: Any, *args: Any, **options: Any) -> Any:
            function = self._function()
            if function and request.url.startswith((f"{stripe_base()}/v1/", f"{stripe_base()}/v2/")):
                query = parse_qs(urlsplit(request.url).query)
                expanded = {
                    one.split(".")[-1] for name, each in query.items() if name.startswith("expand") for one in each
                }
                self.stripe[function] |= {f"{request.method} expanded {name}" for name in expanded}
                path = "/".join(
                    "{id}" if _ID.fullmatch(part) else part for part in urlsplit(request.url).path.split("/")
                )
                self.stripe[function].add(f"{request.method} {path}")
            return send(adapter, request, *args, **options)

        monkeypatch.setattr(every_client, "_make_api_call", recorded_call)
        monkeypatch.setattr(LeanClient, "_call", recorded_lean_call)
        monkeypatch.setattr(HTTPAdapter, "send", recorded_send)

    def _function(self) -> str | None:
        """Return the function whose code is on the stack, or the one that is driven."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            name = frame.f_globals.get("__name__", "")
            if name.startswith("functions."):
                return str(name.split(".")[1])
            frame = frame.f_back
        is_pooled = threading.current_thread() is not threading.main_thread()
        return self.driven if is_pooled else None

    def _actions(self, action: str, parameters: Mapping[str, Any]) -> set[str]:
        resources = [str(parameters[name]) for name in _RESOURCE_PARAMETERS if name in parameters]
        resources = [self.logical_ids.get(resource, resource) for resource in resources]
        if index := parameters.get("IndexName"):
            resources = [f"{resource}/index/{index}" for resource in resources]
        resources += parameters.get("RequestItems", {})
        resources += [write["TableName"] for item in parameters.get("TransactItems", ()) for write in item.values()]
        resources += [entry["EventBusName"] for entry in parameters.get("Entries", ()) if "EventBusName" in entry]
        return {
            f"{each} {self.logical_ids.get(resource, resource)}".strip()
            for each in _ACTIONS.get(action, (action,))
            for resource in resources or [""]
        }


def permission(route: str) -> str:
    """Return the permission of Stripe's restricted keys that a route needs."""
    method, _, path = route.replace(" expanded ", " ").partition(" ")
    name = next(name for prefix, name in STRIPE_PERMISSIONS.items() if path.startswith(prefix))
    return f"*{name}*: {'read' if method == 'GET' else 'write'}"


def _listed(values: Iterable[str]) -> str:
    return "<br>".join(sorted(values))


def table() -> str:
    """The table of docs/how-to/deploy.md, a row for each function."""
    return _table_of("function", "AWS role", CALLS)


def command_table() -> str:
    """The table of docs/reference/commands.md, a row for each command."""
    return _table_of("command", "AWS credentials", COMMANDS)


def _table_of(kind: str, aws: str, all_calls: Mapping[str, Calls]) -> str:
    rows = [f"| {kind} | Stripe key | {aws} |", "|---|---|---|"]
    for name, calls in all_calls.items():
        stripe = {permission(route) for route in calls.stripe}
        # Stripe's write permissions include reading.
        stripe -= {each.replace("write", "read") for each in stripe if each.endswith("write")}
        rows.append(f"| `{name}` | {_listed(stripe)} | {_listed(_by_action(calls))} |")
    return "\n".join(rows) + "\n"


def _by_action(calls: Calls) -> list[str]:
    resources: defaultdict[str, set[str]] = defaultdict(set)
    for each in (*calls.aws, *calls.without_call):
        action, _, resource = each.partition(" ")
        resources[action].add(resource)
    return [f"`{action}` {', '.join(sorted(filter(None, names)))}".strip() for action, names in resources.items()]


def with_table(text: str) -> str:
    """docs/how-to/deploy.md with the table written anew."""
    return _TABLE.sub(lambda _: table(), text)


def with_command_table(text: str) -> str:
    """docs/reference/commands.md with the table written anew."""
    return _TABLE.sub(lambda _: command_table(), text)


class CommandRecorder(CallRecorder):
    """Records the calls of the command that runs, in whichever thread it makes them."""

    def _function(self) -> str | None:
        return self.driven


if __name__ == "__main__":
    DEPLOY.write_text(with_table(DEPLOY.read_text()))
    COMMANDS_PAGE.write_text(with_command_table(COMMANDS_PAGE.read_text()))
