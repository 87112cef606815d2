"""`portal replay` brings in what did not arrive, and lets go of nothing before that."""

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from cli.recover.replay import Replay
from shared.errors import Unavailable
from shared.mirror.dead_letters import packed
from shared.mirror.intake import Intake
from tests.integration.conftest import Aws
from tests.integration.recovery_world import FAST, World, make_world
from tests.integration.simulator_fixtures import RunningSimulator

if TYPE_CHECKING:
    from types_boto3_sqs.type_defs import MessageAttributeValueTypeDef


@pytest.fixture
def world(aws: Aws, simulator: RunningSimulator, monkeypatch: pytest.MonkeyPatch) -> World:
    return make_world(aws, simulator, monkeypatch)


def keep(world: World, body: str) -> None:
    """Put a message where the webhook puts what it cannot understand."""
    reason: MessageAttributeValueTypeDef = {"DataType": "String", "StringValue": "It was not understood then"}
    world.aws.clients.sqs.send_message(
        QueueUrl=world.aws.template.ref("DeadLetterQueue"), MessageBody=body, MessageAttributes={"reason": reason}
    )


def kept(world: World) -> list[str]:
    url = world.aws.template.ref("DeadLetterQueue")
    found = world.aws.clients.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
    return [message["Body"] for message in found.get("Messages", [])]


def event_of(world: World, subscription_id: str) -> dict[str, Any]:
    """The event of the subscription's creation, as Stripe keeps it."""
    events = world.simulator.client().v1.events.list({"type": "customer.subscription.created", "limit": 100}).data
    (found,) = (each.to_dict(for_json=True) for each in events if each.data.object["id"] == subscription_id)
    return found


def test_what_can_be_understood_now_is_brought_in_and_leaves_the_queue(world: World) -> None:
    plain, wrapped = world.subscribe(2)
    keep(world, json.dumps(event_of(world, plain)))
    keep(world, json.dumps({"source": "aws.partner/stripe.com/ed_1", "detail": event_of(world, wrapped)}))
    keep(world, '{"odd": true}')
    result = world.portal("replay", "--only", "dead-letters", "--apply", *FAST)
    assert result.exit_code == 1
    assert "3 read" in result.stdout
    assert world.statuses() == {plain: "active", wrapped: "active"}
    assert kept(world) == ['{"odd": true}']


def test_a_packed_message_is_unpacked(world: World) -> None:
    (known,) = world.subscribe()
    large = event_of(world, known) | {"padding": "x" * 1_000_000}
    message = packed(json.dumps(large).encode())
    world.aws.clients.sqs.send_message(
        QueueUrl=world.aws.template.ref("DeadLetterQueue"),
        MessageBody=message.text,
        MessageAttributes={"encoding": {"DataType": "String", "StringValue": message.encoding}},
    )
    assert world.portal("replay", "--only", "dead-letters", "--apply", *FAST).exit_code == 0
    assert world.statuses() == {known: "active"}


def test_what_is_said_to_be_packed_and_is_not_stays(world: World) -> None:
    world.aws.clients.sqs.send_message(
        QueueUrl=world.aws.template.ref("DeadLetterQueue"),
        MessageBody="not packed",
        MessageAttributes={"encoding": {"DataType": "String", "StringValue": "gzip+base64"}},
    )
    result = world.portal("replay", "--only", "dead-letters", "--apply", *FAST)
    assert result.exit_code == 1
    assert "cannot be unpacked" in result.stdout
    assert kept(world) == ["not packed"]


def test_a_dry_run_writes_nothing_and_takes_nothing(world: World) -> None:
    (known,) = world.subscribe()
    keep(world, json.dumps(event_of(world, known)))
    for _ in range(2):
        result = world.portal("replay", "--only", "dead-letters", *FAST)
        assert result.exit_code == 0
        assert "1 read" in result.stdout
    assert world.held() == {}
    assert len(kept(world)) == 1


def test_a_message_stays_while_the_mirror_cannot_be_written(world: World) -> None:
    (known,) = world.subscribe()
    keep(world, json.dumps(event_of(world, known)))
    world.aws.clients.dynamodb.delete_table(TableName=world.aws.template.ref("Subscriptions"))
    limit = world.limit()
    replay = Replay(Intake(world.rule(limit), lambda: False), limit, time.time, apply=True)
    with pytest.raises(Unavailable):
        list(replay.dead_letters(world.deployment.dead_letter_queue))
    world.aws.template.create_table(world.aws.clients.dynamodb, "Subscriptions")
    assert world.portal("replay", "--only", "dead-letters", "--apply", *FAST).exit_code == 0
    assert world.statuses() == {known: "active"}
    assert kept(world) == []


def test_events_that_stripe_could_not_deliver_are_brought_in_once(world: World) -> None:
    world.simulator.client().v1.webhook_endpoints.create({"url": "http://127.0.0.1:1/", "enabled_events": ["*"]})
    (missed,) = world.subscribe()
    world.later(60)
    world.change(missed, status="past_due")
    world.simulator.settle()
    dry = world.portal("replay", "--only", "undelivered", *FAST)
    assert dry.exit_code == 0
    assert world.held() == {}
    result = world.portal("replay", "--only", "undelivered", "--apply", *FAST)
    assert result.exit_code == 0
    assert world.statuses() == {missed: "past_due"}
    revision = world.held()[missed].revision
    world.portal("replay", "--only", "undelivered", "--apply", *FAST)
    assert world.statuses() == {missed: "past_due"}
    assert world.held()[missed].revision == revision


def test_old_events_do_not_undo_what_came_since(world: World) -> None:
    (known,) = world.subscribe()
    keep(world, json.dumps(event_of(world, known)))
    world.later()
    world.change(known, status="unpaid")
    world.portal("backfill", *FAST)
    result = world.portal("replay", "--only", "dead-letters", "--apply", *FAST)
    assert (result.exit_code, world.statuses()) == (0, {known: "unpaid"})
    assert "stale" in result.stdout
    assert kept(world) == []
