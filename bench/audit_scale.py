"""Runs whole nights against simulated accounts: how near to its rate the audit reads, and what memory it takes.

`python -m bench.audit_scale` is the throughput of 100,000 subscriptions at 20 requests a second with 150 ms of latency;
`--memory 10000 100000 1000000` is the peak memory for each size, as fast as it goes.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import get_context
from socket import socket
from typing import Any, TypeVar

import requests

from bench.large_account import PAUSED_EVERY, created_of, is_paused
from functions.nightly_audit.night import NightlyAudit, run_steps
from functions.nightly_audit.wiring import clients, wire
from local.aws.intrinsics import REGION, PhysicalNames
from local.aws.resources import AwsClients, create_resources
from local.aws.template import Template
from local.processes import responds
from shared.mirror.items import MirroredSubscription, Write, item_key, read_item
from shared.mirror.table import MirrorTable, TablePage
from shared.stripe.gateway import StripeJson
from shared.stripe.subscription import read_subscription

SENDER = "audit@shop.example"
# Of one list (docs.stripe.com/rate-limits): what is asked beyond it is refused, and has to be asked again.
STRIPES_LIMIT = 25
_Answer = TypeVar("_Answer")


class TrueMirror:
    """A table that has every subscription as Stripe has it: DynamoDB's own answer, with other ids in it."""

    def __init__(self, table: MirrorTable, raw: Callable[[], Mapping[str, Any]], count: int, first: StripeJson) -> None:
        """`raw` returns the item that `table` was given last; `first` is the account's newest subscription."""
        self._count, self._newest = count, int(first["created"]) - 1
        self._items, now = [], int(time.time())
        for pause in (None, {"behavior": "void", "resumes_at": None}):
            written = read_subscription({**first, "pause_collection": pause})
            table.put_if_older(Write(written, now - 3600, "evt_1"), than=now)
            self._items.append({**raw()})

    def get_many(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], MirroredSubscription]:
        """Return a page of them."""
        return {key: read_item(self._item(*key)) for key in keys}

    def page(self, _start: Mapping[str, Any] | None) -> TablePage:
        """Return nothing besides."""
        return TablePage((), None)

    def _item(self, customer_id: str, subscription_id: str) -> dict[str, Any]:
        if not subscription_id.removeprefix("sub_").isdigit():
            return self._items[0]
        number = int(subscription_id.removeprefix("sub_"))
        created = {"N": str(created_of(number, self._count, self._newest))}
        return {**self._items[is_paused(number)], **item_key(customer_id, subscription_id), "created": created}


class PlainSteps:
    """Runs steps one after the other, and measures the whole."""

    failures: tuple[type[Exception], ...] = ()

    def step(self, _name: str, act: Callable[[], _Answer]) -> _Answer:
        """Act, and hand on what JSON would carry."""
        answer: _Answer = json.loads(json.dumps(act()))
        return answer

    def rest(self, name: str) -> None:
        """Go on at once."""


@contextmanager
def running(module: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a module in a process of its own."""
    with subprocess.Popen([sys.executable, "-m", module, *arguments], stdout=subprocess.PIPE) as process:  # noqa: S603
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def account_of(count: int, latency: float, limit: int) -> Iterator[str]:
    """Run a simulator with so many subscriptions; yields its address."""
    with running("bench.large_account", str(count), str(latency), str(limit)) as process:
        assert process.stdout  # noqa: S101 - it was asked for
        yield process.stdout.readline().decode().strip()


@contextmanager
def amazon() -> Iterator[str]:
    """Run what stands for AWS; yields its address."""
    with socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with running("local.aws.server", "--port", str(port)):
        url = f"http://127.0.0.1:{port}"
        while not responds(f"{url}/moto-api/"):
            time.sleep(0.1)
        yield url


def prepare(stripe: str, aws: str) -> dict[str, str]:
    """Create what the template declares; return the environment of the audit's function."""
    template = Template.load(
        parameters={
            "AllowedReturnOrigins": "https://shop.example",
            "DefaultReturnUrl": "https://shop.example",
            "AuditEmailFrom": SENDER,
            "AuditEmailTo": SENDER,
        },
        names=PhysicalNames(aws_url=aws),
    )
    create_resources(
        template,
        AwsClients.at(aws),
        sender=SENDER,
        secrets={"Secret": {"stripe_api_key": "sk_test_bench"}, "SigningSecrets": {}, "LinkSecrets": {}},
    )
    return template.environment("NightlyAuditFunction", {"STRIPE_API_BASE": stripe})


def night(stripe: str, aws: str, count: int, rate: float) -> NightlyAudit:
    """Wire a night as Lambda would, but for its mirror."""
    # In a process of its own, so that its clients of AWS are not in the night's memory.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
        os.environ |= alone.submit(prepare, stripe, aws).result()
    made = wire()
    # Beyond what the template allows: only memory is looked at then.
    settings = made.settings.model_copy(update={"audit_requests_per_second": rate})
    (first,) = requests.get(f"{stripe}/v1/subscriptions?limit=1", auth=("sk_test_bench", ""), timeout=60).json()["data"]

    def last_written() -> Mapping[str, Any]:
        return clients().dynamodb.get_item(
            TableName=settings.table_name, Key=item_key(first["customer"], first["id"]), ConsistentRead=True
        )["Item"]

    mirror: Any = TrueMirror(made.table, last_written, count, first)
    return replace(made, settings=settings, table=mirror)


def one_night(count: int, latency: float, limit: int, rate: float) -> dict[str, float]:
    """Run a night and return what it took: seconds, requests of the list, CPU and the peak of memory in MB."""
    with account_of(count, latency, limit) as stripe, amazon() as aws:
        os.environ |= {"AWS_ENDPOINT_URL": aws, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        os.environ["AWS_DEFAULT_REGION"] = REGION
        made = night(stripe, aws, count, rate)
        began, cpu = time.monotonic(), time.process_time()
        answer = run_steps(lambda: made, PlainSteps(), lambda _: None, again=False)
        took, cpu = time.monotonic() - began, time.process_time() - cpu
        asked = requests.get(f"{stripe}/_simulator/requests", timeout=60).json()
    if answer["subscriptions_read"] != count or answer["subscriptions_paused"] != (count - 1) // PAUSED_EVERY:
        raise SystemExit(f"Not the whole account: {answer}")
    pages = asked["GET /v1/subscriptions"] - 1
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": took, "pages": pages, "cpu": cpu, "peak": peak}


def one_process(*arguments: float) -> dict[str, float]:
    """Run `one_night` in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
        return alone.submit(one_night, *arguments).result()


def main() -> None:
    """Print one line for each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subscriptions", type=int, default=100_000)
    parser.add_argument("--rate", type=float, default=20)
    parser.add_argument("--latency", type=float, default=0.15)
    parser.add_argument("--memory", type=int, nargs="+", default=[])
    options = parser.parse_args()
    # As the template has it; a process reads it when it starts.
    os.environ["MALLOC_ARENA_MAX"] = "1"
    if options.memory:
        for count in options.memory:
            found = one_process(count, 0, 0, 100)
            _print(f"{count:,} subscriptions: peak {found['peak']:.0f} MB, {found['seconds']:.0f} s")
        return
    found = one_process(options.subscriptions, options.latency, STRIPES_LIMIT, options.rate)
    pages, seconds = found["pages"], found["seconds"]
    _print(
        f"{options.subscriptions:,} subscriptions, {options.latency * 1000:.0f} ms of latency: {pages:.0f} requests in "
        f"{seconds:.1f} s, {pages / seconds / options.rate:.1%} of {options.rate:g} a second"
    )
    _print(f"{found['cpu'] / pages * 1000:.1f} ms of CPU a page; peak {found['peak']:.0f} MB")


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
