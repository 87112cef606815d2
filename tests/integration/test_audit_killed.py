"""A night whose process is killed outright, again and again, wherever it is: one mail, and nothing missing."""

import csv
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import quote

import pytest
import requests

from shared.pausing.history import PauseTable
from tests.integration.audit_account import Account, serve, subscription
from tests.integration.conftest import Aws
from tests.pause_records import DAY, pause_entry, pause_record

PATIENCE_SECONDS = 240
# AWS's own local runner; it would wait five seconds after an invocation that died.
RUNNER = """
from aws_durable_execution_sdk_python_testing.cli import main
from aws_durable_execution_sdk_python_testing.executor import Executor
Executor.RETRY_BACKOFF_SECONDS = 0
raise SystemExit(main())
"""


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextmanager
def running(environment: Mapping[str, str], *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, *arguments], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@dataclass
class Sandbox:
    """Lambda's Invoke API: each invocation is a process of its own."""

    environment: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None
    killed: int = 0

    def invoke(self, event: bytes) -> bytes | None:
        """Return what the function answers; `None` when its process died."""
        with subprocess.Popen(
            [sys.executable, "-m", "tests.lambda_invocation"],
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as self.process:
            answer, _ = self.process.communicate(event)
        return None if self.process.returncode else answer

    def kill(self) -> None:
        """End the invocation that runs, without a word."""
        if self.process:
            self.process.send_signal(signal.SIGKILL)
            self.killed += 1


@contextmanager
def lambda_service(sandbox: Sandbox) -> Iterator[str]:
    class Invoke(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            answer = sandbox.invoke(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(500 if answer is None else 200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(answer or b"{}")

        def log_message(self, *_: Any) -> None:
            """Tests are quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Invoke)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@dataclass
class Deadly(Account):
    """An account at whose `deadly` requests the process that asks is killed."""

    deadly: frozenset[int] = frozenset()
    sandbox: Sandbox | None = None

    def answer(self, url: str) -> tuple[int, dict[str, Any]]:
        if len(self.requests) + 1 in self.deadly and self.sandbox:
            self.sandbox.kill()
        return super().answer(url)


def durable_run(runner: str, event: str) -> dict[str, Any]:
    """Start an execution, and wait for its end."""
    begun: dict[str, Any] = {
        "AccountId": "123456789012",
        "FunctionName": "NightlyAuditFunction",
        "FunctionQualifier": "live",
        "ExecutionName": "night",
        "ExecutionTimeoutSeconds": 3600,
        "ExecutionRetentionPeriodDays": 1,
        "Input": event,
    }
    answer = requests.post(f"{runner}/start-durable-execution", json=begun, timeout=60)
    answer.raise_for_status()
    arn = quote(answer.json()["ExecutionArn"], safe="")
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        found: dict[str, Any] = requests.get(f"{runner}/2025-12-01/durable-executions/{arn}", timeout=60).json()
        if found["Status"] != "RUNNING":
            return found
        time.sleep(0.1)
    pytest.fail("The execution did not end")


def test_a_night_that_is_killed_again_and_again_sends_one_mail_with_everything_in_it(aws: Aws, tmp_path: Path) -> None:
    port = free_port()
    runner = f"http://127.0.0.1:{port}"
    account = Deadly(aws.template.outputs()["WebhookUrl"], deadly=frozenset({2, 5, 9, 13}))
    account.subscriptions = [subscription(number) for number in range(250)]
    set_pauses(aws, number=5)
    with serve(account) as stripe_base:
        overrides = {"STRIPE_API_BASE": stripe_base}
        died = tmp_path / "died"
        environment = {
            **os.environ,
            **aws.template.environment("NightlyAuditFunction", overrides),
            "DIES_ONCE_BEFORE_THE_MAIL": str(died),
        }
        account.sandbox = Sandbox({**environment, "AWS_ENDPOINT_URL_LAMBDA": runner})
        with lambda_service(account.sandbox) as service:
            where = ("--host", "127.0.0.1", "--port", str(port), "--lambda-endpoint", service)
            with running(os.environ, "-c", RUNNER, "start-server", "--skip-time", *where):
                wait_for(f"{runner}/health")
                result = durable_run(runner, "{}")
    assert result["Status"] == "SUCCEEDED", result
    assert account.sandbox.killed == 4
    assert died.exists()
    data = requests.get(f"{aws.url}/moto-api/data.json", timeout=60).json()
    (mail,) = data["ses"]["RawMessage"]
    message = message_from_bytes(mail["raw_data"].encode(), EmailMessage, policy=SMTP)
    (attachment,) = message.iter_attachments()
    rows = list(csv.DictReader(StringIO(attachment.get_content())))
    assert sorted(row["id"] for row in rows) == sorted(each["id"] for each in account.subscriptions)
    text = message.get_body(("plain",))
    assert text
    assert sorted(re.findall(r"\bsub_new\d\b", str(text.get_content()))) == [f"sub_new{each}" for each in range(5)]


def set_pauses(aws: Aws, *, number: int) -> None:
    """So many customers have each set a pause an hour ago."""
    pauses, at = PauseTable(aws.clients.dynamodb, aws.template.ref("Pauses")), int(time.time()) - 3600
    for each in range(number):
        record = pause_record(f"sub_new{each}", f"cus_new{each}", begins=at, resumes=at + DAY)
        assert pauses.write(record, None, pause_entry(f"sub_new{each}", f"cus_new{each}", at=at))


def wait_for(url: str) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        try:
            if requests.get(url, timeout=2).ok:
                return
        except requests.RequestException:
            time.sleep(0.1)
    pytest.fail(f"Nothing answers at {url}")
