"""Many processes and threads at once, over HTTP: first that the database can be trusted, then that the mirror can."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
import stripe
from moto.dynamodb.parsing.executors import UpdateExpressionExecutor
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

from functions.webhook.receive import Receiver
from local.aws.server import HOST, make_aws_server
from shared.errors import Unavailable
from shared.mirror.intake import Intake
from shared.mirror.rule import Mirror
from shared.mirror.settle_queue import SettleQueue
from shared.stripe.gateway import read_from_stripe, stripe_client
from shared.stripe.subscription import read_subscription
from tests.history_events import SIGNING, KnownSecrets, NoDeadLetters
from tests.history_world import RETENTION, UNCERTAINTY
from tests.integration.dynamodb_fixtures import DynamoDb, Subscriptions
from tests.integration.simulator_fixtures import RunningSimulator

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


KEY = {"customer_id": {"S": "cus_1"}, "subscription_id": {"S": "sub_1"}}
PROCESSES, THREADS = 5, 4
PAUSE_SECONDS = 0.005


@pytest.fixture(scope="module")
def processes() -> Iterator[ProcessPoolExecutor]:
    """Started once for all tests, because each imports all that it needs anew."""
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        yield pool


# ------------------------------------------------------------------ the database
def increment(client: "DynamoDBClient", table: str) -> None:
    """Read, add one, write on condition that nobody wrote; again until it is written."""
    for _ in range(500):
        item = client.get_item(TableName=table, Key=KEY, ConsistentRead=True).get("Item", {})
        revision = int(item.get("revision", {"N": "0"})["N"])
        try:
            client.update_item(
                TableName=table,
                Key=KEY,
                UpdateExpression="SET revision = :next",
                ConditionExpression="attribute_not_exists(revision) OR revision = :revision",
                ExpressionAttributeValues={":next": {"N": str(revision + 1)}, ":revision": {"N": str(revision)}},
            )
        except client.exceptions.ConditionalCheckFailedException:
            continue
        return
    raise AssertionError("The increment was never written")


def increments(dynamodb: DynamoDb, table: str, count: int) -> None:
    """What one process does."""
    client = dynamodb.client()
    for _ in range(count):
        increment(client, table)


def increments_at_once(processes: ProcessPoolExecutor, dynamodb: DynamoDb, table: str, count: int) -> int:
    """Increment so often in each process, and return what the item then says."""
    for done in [processes.submit(increments, dynamodb, table, count) for _ in range(PROCESSES)]:
        done.result()
    return counted(dynamodb, table)


def counted(dynamodb: DynamoDb, table: str) -> int:
    return int(dynamodb.client().get_item(TableName=table, Key=KEY)["Item"]["revision"]["N"])


@contextmanager
def serving(made: BaseWSGIServer) -> Iterator[DynamoDb]:
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    try:
        yield DynamoDb(f"http://{HOST}:{made.server_port}", "eu-west-1", "test", "test")
    finally:
        made.shutdown()
        thread.join()
        made.server_close()


def unlocked_moto(port: int) -> BaseWSGIServer:
    application = DomainDispatcherApplication(create_backend_app)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    return make_server(HOST, port, application, threaded=True, request_handler=MotoRequestHandler)


@pytest.mark.parametrize(("make", "loses"), [(unlocked_moto, True), (make_aws_server, False)])
def test_moto_loses_updates_unless_its_requests_come_one_at_a_time(
    make: Callable[[int], BaseWSGIServer],
    loses: bool,  # noqa: FBT001
    processes: ProcessPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A pause between moto's check of the condition and its write makes the race certain, for both alike.

    Without the pause it depends on the machine: both servers may end at 200, and nothing is proven.
    """
    execute = UpdateExpressionExecutor.execute

    def slowly(self: UpdateExpressionExecutor, *node: Any) -> Any:
        time.sleep(PAUSE_SECONDS)
        return execute(self, *node)

    monkeypatch.setattr(UpdateExpressionExecutor, "execute", slowly)
    table = f"race-{make.__name__}"
    with serving(make(0)) as dynamodb:
        dynamodb.client().create_table(
            TableName=table,
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in KEY],
            KeySchema=[
                {"AttributeName": "customer_id", "KeyType": "HASH"},
                {"AttributeName": "subscription_id", "KeyType": "RANGE"},
            ],
            BillingMode="PAY_PER_REQUEST",
        )
        count = increments_at_once(processes, dynamodb, table, 40)
        dynamodb.client().delete_table(TableName=table)
    assert (count < 200) is loses


def test_the_database_under_test_loses_no_update_of_many_processes(
    processes: ProcessPoolExecutor, subscriptions: Subscriptions
) -> None:
    assert increments_at_once(processes, subscriptions.dynamodb, subscriptions.name, 10) == PROCESSES * 10


# ------------------------------------------------------------------ the mirror
@dataclass(frozen=True, slots=True)
class Deployment:
    """One execution environment, in a form that can be given to another process."""

    subscriptions: Subscriptions
    stripe_url: str

    def receiver(self) -> Receiver:
        read = partial(read_from_stripe, stripe_client("sk_test_1", self.stripe_url))
        mirror = Mirror(self.subscriptions.table(), read, uncertainty=UNCERTAINTY, retention=RETENTION)
        return Receiver(KnownSecrets(), Intake(mirror, lambda: False), Queue(), NoDeadLetters(), time.time)


class Queue(SettleQueue):
    """A settle queue in this thread: the events that it keeps, and when they came."""

    def __init__(self) -> None:
        self.kept: list[tuple[bytes, float]] = []

    def keep(self, body: bytes, delay_seconds: int) -> None:
        assert 0 <= delay_seconds <= 8
        self.kept.append((body, time.time()))


def deliver(deployment: Deployment, bodies: list[bytes]) -> int:
    """What one process does: each event until it is taken; answers how often it was not."""
    receivers = [deployment.receiver() for _ in range(THREADS)]
    with ThreadPoolExecutor(THREADS) as pool:
        return sum(pool.map(until_taken, [receivers[n % THREADS] for n in range(len(bodies))], bodies))


def until_taken(receiver: Receiver, body: bytes) -> int:
    for failures in range(50):
        header = stripe.WebhookSignature.generate_signature_header(body.decode(), SIGNING, int(time.time()))
        try:
            receiver.receive(body, {"stripe-signature": header})
        except Unavailable:
            time.sleep(0.1)
        else:
            until_settled(receiver)
            return failures
    raise AssertionError("The event was never taken")


def until_settled(receiver: Receiver) -> None:
    """What the queue's consumer does with the events that the receiver put there."""
    assert isinstance(receiver.settle_queue, Queue)
    while receiver.settle_queue.kept:
        try:
            body, received = receiver.settle_queue.kept.pop()
        except IndexError:
            return  # another thread has it
        for _ in range(100):
            try:
                receiver.intake.apply_event(body, now=time.time(), received=received)
            except Unavailable:
                time.sleep(0.2)
            else:
                break
        else:
            raise AssertionError("The event was never settled")


def changes(client: stripe.StripeClient, ids: list[str], random: Random) -> None:
    """Eight changes, none of them void: each sends an event."""
    pauses: list[Any] = ["", {"behavior": "void"}, {"behavior": "keep_as_draft"}]
    for _ in range(8):
        params: Any = {"pause_collection": random.choice(pauses), "metadata": {"change": random.random()}}
        client.v1.subscriptions.update(random.choice(ids), params)


def test_events_delivered_by_many_processes_at_once_leave_the_mirror_as_stripe_is(
    processes: ProcessPoolExecutor,
    subscriptions: Subscriptions,
    simulator: RunningSimulator,
    subscribe: Callable[..., stripe.Subscription],
) -> None:
    random, client, known = Random(1), simulator.client(), set[str]()
    ids = [subscribe().id for _ in range(3)]
    deployment, under_way = Deployment(subscriptions, simulator.url), []
    for live in (ids, ids, ids[1:], ids[1:]):
        changes(client, live, random)
        if live is ids and known:
            client.v1.subscriptions.cancel(ids[0])
        events = client.v1.events.list({"limit": 100, "type": "customer.subscription.*"}).data
        bodies = [str(event).encode() for event in events if event.id not in known]
        known |= {event.id for event in events}
        for _ in range(PROCESSES):
            random.shuffle(bodies)
            under_way.append(processes.submit(deliver, deployment, list(bodies)))
    for done in under_way:
        done.result()
    assert len(known) == 3 + 4 * 8 + 1
    table = subscriptions.table()
    for subscription_id in ids:
        truth = client.v1.subscriptions.retrieve(subscription_id)
        found = table.get(str(truth.customer), subscription_id)
        assert found
        assert found.subscription == read_subscription(truth.to_dict(for_json=True))
