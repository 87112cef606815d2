import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext
from moto import mock_aws
from moto.backends import get_backend

from functions.nightly_audit import app
from shared.errors import OperatorError, Unavailable
from shared.mirror_item import Write
from shared.mirror_table import MirrorTable
from shared.stripe_gateway import stripe_client
from shared.stripe_shapes import read_subscription

REGION = "eu-west-1"
ADDRESSES = ("audit@example.com", "team@example.com", "boss@example.com")
SECRET_KEY = "sk_test_neverlogged"
PAUSED_SINCE = 1_709_300_000


@dataclass
class Account:
    """What Stripe's two lists hold; `status` other than 200 makes every request fail."""

    subscriptions: list[dict[str, Any]] = field(default_factory=list)
    configurations: list[dict[str, Any]] = field(default_factory=list)
    status: int = 200
    keys: set[str] = field(default_factory=set)

    def answer(self, url: str) -> tuple[int, dict[str, Any]]:
        if self.status != 200:
            return self.status, {"error": {"type": "api_error", "message": "no"}}
        parts = urlsplit(url)
        query = parse_qs(parts.query)
        lists = {"/v1/subscriptions": self.subscriptions, "/v1/billing_portal/configurations": self.configurations}
        everything = lists.get(parts.path, [])
        after = query.get("starting_after", [""])[0]
        start = [each["id"] for each in everything].index(after) + 1 if after else 0
        end = start + int(query["limit"][0])
        page = {"object": "list", "url": parts.path, "data": everything[start:end]}
        return 200, {**page, "has_more": end < len(everything)}


@pytest.fixture
def account() -> Account:
    return Account()


@pytest.fixture
def stripe_base(account: Account) -> Iterator[str]:
    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            account.keys.add(self.headers["Authorization"].removeprefix("Bearer "))
            status, body = account.answer(self.path)
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            """Tests are quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    stripe_client.cache_clear()


@pytest.fixture(autouse=True)
def table(stripe_base: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[MirrorTable]:
    """All of AWS that the function needs, and its environment."""
    for name, value in {
        "AWS_DEFAULT_REGION": REGION,
        "SECRET_ID": "stripe",
        "STRIPE_API_BASE": stripe_base,
        "TABLE_NAME": "Subscriptions",
        "AUDIT_EMAIL_FROM": ADDRESSES[0],
        "AUDIT_EMAIL_TO": ",".join(ADDRESSES[1:]),
        "AUDIT_TIMEZONE": "Europe/Paris",
        "PAUSE_BUTTON_REMOVED_ON": "2024-03-29",
        "PAUSE_CUTOFF_ON": "2024-08-01",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(app.metrics.provider, "namespace", "StripePortal")
    with mock_aws():
        ses = boto3.client("sesv2")
        for address in ADDRESSES:
            ses.create_email_identity(EmailIdentity=address)
        secret = {"stripe_api_key": SECRET_KEY, "link_secret": "x" * 32}
        boto3.client("secretsmanager").create_secret(Name="stripe", SecretString=json.dumps(secret))
        dynamodb = boto3.client("dynamodb")
        dynamodb.create_table(
            TableName="Subscriptions",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[
                {"AttributeName": "customer_id", "AttributeType": "S"},
                {"AttributeName": "subscription_id", "AttributeType": "S"},
                {"AttributeName": "pause_kind", "AttributeType": "S"},
                {"AttributeName": "paused_since", "AttributeType": "N"},
            ],
            KeySchema=[
                {"AttributeName": "customer_id", "KeyType": "HASH"},
                {"AttributeName": "subscription_id", "KeyType": "RANGE"},
            ],
            GlobalSecondaryIndexes=[
                {
                    "IndexName": "by_pause",
                    "KeySchema": [
                        {"AttributeName": "pause_kind", "KeyType": "HASH"},
                        {"AttributeName": "paused_since", "KeyType": "RANGE"},
                    ],
                    "Projection": {"ProjectionType": "ALL"},
                }
            ],
        )
        app._wire.cache_clear()
        yield MirrorTable(dynamodb, "Subscriptions")
        app._wire.cache_clear()


def subscription(number: int, **changes: Any) -> dict[str, Any]:
    price = {
        "id": "price_1",
        "object": "price",
        "currency": "eur",
        "unit_amount_decimal": "1250",
        "billing_scheme": "per_unit",
        "recurring": {"interval": "month", "interval_count": 1, "usage_type": "licensed"},
    }
    item = {"id": f"si_{number}", "object": "subscription_item", "quantity": 1, "price": price}
    return {
        "id": f"sub_{number}",
        "object": "subscription",
        "customer": f"cus_{number}",
        "status": "active",
        "livemode": False,
        "currency": "eur",
        "pause_collection": {"behavior": "void", "resumes_at": None},
        "items": {"object": "list", "data": [item]},
        **changes,
    }


def run() -> dict[str, int]:
    context = LambdaContext()
    context._function_name = "nightly_audit"
    context._memory_limit_in_mb = 1024
    context._invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:nightly_audit"
    context._aws_request_id = "request"
    answer: dict[str, int] = app.handler({}, context)
    return answer


def sent() -> list[EmailMessage]:
    messages = get_backend("sesv2")["123456789012"][REGION].core_backend.sent_messages
    return [message_from_bytes(each.raw_data.encode(), policy=SMTP) for each in messages]


def only_mail() -> EmailMessage:
    (mail,) = sent()
    return mail


def body(mail: EmailMessage, kind: str) -> str:
    part = mail.get_body((kind,))
    assert part
    return str(part.get_content())


def test_a_quiet_account_gets_an_all_clear() -> None:
    assert run() == {"subscriptions_read": 0, "subscriptions_paused": 0, "customers_served_free": 0, "findings": 0}
    mail = only_mail()
    assert mail["Subject"] == "Stripe audit: all clear"
    assert (mail["From"], mail["To"]) == (ADDRESSES[0], ", ".join(ADDRESSES[1:]))


def test_every_pause_reaches_the_team_as_text_html_and_csv(account: Account, table: MirrorTable) -> None:
    account.subscriptions = [
        *(subscription(number) for number in range(130)),
        subscription(200, pause_collection=None),
        subscription(201, pause_collection={"behavior": "void", "resumes_at": 1}),
        subscription(202, pause_collection=None, status="paused"),
    ]
    account.configurations = [{"id": "bpc_1", "active": True, "features": {"subscription_pause": {"enabled": True}}}]
    mirrored = read_subscription(account.subscriptions[0])
    table.put_if_older(Write(mirrored, PAUSED_SINCE, "evt_1", PAUSED_SINCE), than=PAUSED_SINCE)

    counts = run()

    assert counts == {
        "subscriptions_read": 133,
        "subscriptions_paused": 131,
        "customers_served_free": 130,
        "findings": 134,
    }
    mail = only_mail()
    assert mail["Subject"] == "[test] 130 customers served for free, 1,625.00 EUR a month"
    for kind in ("plain", "html"):
        assert "1,625.00 EUR" in body(mail, kind)
        assert "https://dashboard.stripe.com/test/subscriptions/sub_0" in body(mail, kind)
        assert "paused since 1 March 2024 or earlier" in body(mail, kind)
        assert "bpc_1" in body(mail, kind)
        assert "Old pause button in a portal configuration (1)" in body(mail, kind)
    (attachment,) = mail.iter_attachments()
    rows = list(csv.DictReader(StringIO(attachment.get_content())))
    assert {row["id"] for row in rows} == {f"sub_{number}" for number in (*range(130), 202)}
    assert sum(float(row["Monthly Amount"]) for row in rows if row["Served Free"] == "true") == 1625
    assert account.keys == {SECRET_KEY}


def test_the_log_and_the_metrics_hold_counts_and_no_address_key_or_customer(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    account.subscriptions = [subscription(1)]
    run()
    output = capsys.readouterr().out
    for private in (*ADDRESSES, SECRET_KEY, "cus_1"):
        assert private not in output
    (metrics,) = [line for line in map(json.loads, output.splitlines()) if "_aws" in line]
    assert metrics["AuditRuns"] == metrics["AuditMails"] == [1.0]
    assert metrics["PausedSubscriptions"] == [1.0]
    assert metrics["CustomersServedFree"] == [1.0]
    assert {each["Unit"] for each in metrics["_aws"]["CloudWatchMetrics"][0]["Metrics"]} == {"Count"}


@pytest.mark.parametrize(("status", "error"), [(401, OperatorError), (500, Unavailable)])
def test_no_mail_at_all_goes_out_when_stripe_cannot_be_read(
    account: Account, status: int, error: type[Exception], capsys: pytest.CaptureFixture[str]
) -> None:
    account.status = status
    with pytest.raises(error):
        run()
    assert sent() == []
    output = capsys.readouterr().out
    assert '"AuditRuns"' in output
    assert '"AuditMails"' not in output


def test_an_unverified_sender_is_the_operators_to_mend_and_is_not_named_in_the_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AUDIT_EMAIL_FROM", "nobody@elsewhere.example")
    with pytest.raises(OperatorError, match="Verify AUDIT_EMAIL_FROM"):
        run()
    assert "nobody@elsewhere" not in capsys.readouterr().out


def test_a_later_run_does_not_reuse_yesterdays_clock(account: Account) -> None:
    soon = datetime.now().astimezone() + timedelta(hours=1)
    account.subscriptions = [
        subscription(1, pause_collection={"behavior": "void", "resumes_at": int(soon.timestamp())})
    ]
    assert run()["subscriptions_paused"] == 1
    account.subscriptions[0]["pause_collection"]["resumes_at"] -= 7200
    assert run()["subscriptions_paused"] == 0
    assert len(sent()) == 2
