"""`portal replay` brings in what did not arrive, and lets go of nothing before that."""

import json
import time
from base64 import b64encode
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from cli.recover.replay import Replay
from shared.errors import InvalidRequest, Unavailable, UnreadableEvent
from shared.mirror.dead_letters import DeadLetterQueue, packed
from shared.mirror.intake import Intake
from shared.mirror.rule import Mirror, Outcome
from shared.stripe.events import SubscriptionEvent
from shared.stripe.subscription_read import SubscriptionRead
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


def thin_event(subscription_id: str) -> dict[str, Any]:
    return {
        "id": f"evt_thin{subscription_id.removeprefix('sub_')}",
        "object": "v2.core.event",
        "type": "v1.customer.subscription.updated",
        "created": "2026-11-01T12:00:00.000Z",
        "livemode": False,
        "related_object": {"id": subscription_id, "type": "subscription"},
    }


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


def test_events_that_could_not_be_settled_are_brought_in_and_leave_their_queue(world: World) -> None:
    whole, thin = world.subscribe(2)
    url = world.aws.template.ref("SettleDeadLetterQueue")
    for event in (event_of(world, whole), thin_event(thin), {"odd": True}):
        world.aws.clients.sqs.send_message(QueueUrl=url, MessageBody=json.dumps(event))
    assert "3 left in the queue" in world.portal("replay", "--only", "dead-letters", *FAST).stdout
    assert world.held() == {}
    result = world.portal("replay", "--only", "dead-letters", "--apply", *FAST)
    assert result.exit_code == 1
    assert "Unsettled events: 3 read, 2 applied, 1 failed, 1 left in the queue" in result.stdout
    assert world.statuses() == {whole: "active", thin: "active"}
    found = world.aws.clients.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
    assert [message["Body"] for message in found["Messages"]] == ['{"odd": true}']


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
    world.aws.create_table("Subscriptions")
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
    assert "older than the mirror" in result.stdout
    assert kept(world) == []


def test_letters_that_come_again_do_not_hide_those_behind_them(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow run holds a message for less time than it takes: SQS then delivers it again, before others."""
    monkeypatch.setattr("shared.mirror.dead_letters.HELD_FOR", timedelta(seconds=1))
    for number in range(12):
        keep(world, json.dumps({"odd": number}))
    bodies = []
    with world.deployment.dead_letter_queue as queue:
        for letter in queue.letters():
            bodies.append(letter.body)
            if len(bodies) == 10:
                time.sleep(1.1)
    assert sorted(bodies) == sorted(json.dumps({"odd": number}) for number in range(12))


def test_a_letter_that_crashes_the_code_is_passed_and_stays(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lambda keeps the EventBridge events that its function crashed on, and they may crash it still."""
    crashing, known = world.subscribe(2)
    keep(world, json.dumps(event_of(world, crashing)))
    keep(world, json.dumps(event_of(world, known)))
    apply = Mirror.apply

    def crash(self: Mirror, event: SubscriptionEvent, **how: Any) -> Outcome:
        if event.subscription.id == crashing:
            raise KeyError("secret of the customer")
        return apply(self, event, **how)

    monkeypatch.setattr(Mirror, "apply", crash)
    result = world.portal("replay", "--only", "dead-letters", "--apply", *FAST)
    assert result.exit_code == 1
    assert world.statuses() == {known: "active"}
    assert "2 read, 1 applied, 1 failed, 1 left in the queue" in result.stdout
    assert "internal_error" in result.stdout
    assert "KeyError" in result.stdout
    assert "secret of the customer" not in result.stdout
    assert len(kept(world)) == 1


def test_a_letter_about_a_subscription_that_stripe_fails_to_read_is_passed(world: World) -> None:
    failing, known = world.subscribe(2)
    keep(world, json.dumps(thin_event(failing)))
    keep(world, json.dumps(event_of(world, known)))
    limit = world.limit()

    def read(subscription_id: str) -> SubscriptionRead:
        raise Unavailable("stripe_unavailable", f"Stripe did not answer about {subscription_id}")

    replay = Replay(Intake(world.deployment.mirror_rule(read), lambda: False), limit, time.time, apply=True)
    *_, done = replay.dead_letters(world.deployment.dead_letter_queue)
    assert (done.failed, done.left, world.statuses()) == (1, 1, {known: "active"})


def test_three_letters_in_a_row_that_stripe_does_not_answer_end_the_run(world: World) -> None:
    for subscription_id in world.subscribe(4):
        keep(world, json.dumps(thin_event(subscription_id)))
    asked = []

    def read(subscription_id: str) -> SubscriptionRead:
        asked.append(subscription_id)
        raise Unavailable("stripe_unavailable", f"Stripe did not answer about {subscription_id}")

    replay = Replay(Intake(world.deployment.mirror_rule(read), lambda: False), world.limit(), time.time, apply=True)
    with pytest.raises(Unavailable):
        list(replay.dead_letters(world.deployment.dead_letter_queue))
    assert len(set(asked)) == 3
    assert len(kept(world)) == 4


def test_a_dry_run_says_that_everything_is_left(world: World) -> None:
    (known,) = world.subscribe()
    keep(world, json.dumps(event_of(world, known)))
    keep(world, '{"odd": true}')
    assert "2 left in the queue" in world.portal("replay", "--only", "dead-letters", *FAST).stdout


def test_an_event_larger_than_a_message_is_kept_by_its_subscription(world: World) -> None:
    (known,) = world.subscribe()
    noise = b64encode(Random(1).randbytes(1_500_000)).decode()
    body = json.dumps(event_of(world, known) | {"padding": noise}).encode()
    queue = DeadLetterQueue(lambda: world.aws.clients.sqs, world.aws.template.ref("DeadLetterQueue"))
    queue.keep(body, UnreadableEvent("unreadable_event", "It was not understood then"))
    assert world.portal("replay", "--only", "dead-letters", "--apply", *FAST).exit_code == 0
    assert world.statuses() == {known: "active"}
    assert kept(world) == []


def test_a_large_body_that_names_no_subscription_is_kept_by_its_beginning(world: World) -> None:
    body = b'{"odd": "' + b64encode(Random(1).randbytes(1_500_000)) + b'"}'
    queue = DeadLetterQueue(lambda: world.aws.clients.sqs, world.aws.template.ref("DeadLetterQueue"))
    queue.keep(body, UnreadableEvent("unreadable_event", "It was not understood then"))
    result = world.portal("replay", "--only", "dead-letters", "--apply", *FAST)
    assert result.exit_code == 1
    assert "only its beginning was kept" in result.stdout
    assert kept(world)[0].startswith('{"odd": "')


def test_a_period_longer_than_stripe_keeps_events_is_refused(world: World) -> None:
    with pytest.raises(InvalidRequest, match="keeps events for 30 days"):
        world.portal("replay", "--since", "31d", *FAST)
