"""Messages of the settle queue: when one that cannot be settled yet comes again."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from functions.webhook.settle import Settler
from shared.errors import Unavailable
from shared.mirror.intake import Intake
from shared.mirror.rule import Outcome
from shared.mirror.settle_queue import QueuedEvent, SettleQueue
from tests.history_events import NoDeadLetters

BODY = (
    '{"id": "evt_1", "object": "event", "type": "customer.subscription.updated", "created": 1900000000, '
    '"livemode": false, "data": {"object": {"id": "sub_1", "customer": "cus_1", "status": "active"}}}'
)


@dataclass
class Sqs:
    """Remembers for how long messages are hidden."""

    hidden: list[int] = field(default_factory=list)

    def change_message_visibility(self, **request: Any) -> None:
        self.hidden.append(request["VisibilityTimeout"])


class LimitedMirror:
    """Stripe says when it may be asked again."""

    def __init__(self, retry_after: float) -> None:
        self.retry_after = retry_after

    def apply(self, *_: object, **__: object) -> Outcome:
        raise Unavailable("stripe_rate_limited", "429", retry_after=self.retry_after)

    apply_notification = apply


def record(attempt: int) -> dict[str, Any]:
    attributes = {"SentTimestamp": "1900000001000", "ApproximateReceiveCount": str(attempt)}
    return {"body": BODY, "receiptHandle": "r", "attributes": attributes}


@pytest.mark.parametrize(
    ("attempt", "retry_after", "seconds"),
    [(1, 0, 15), (2, 0, 30), (4, 0, 120), (50, 0, 900), (1, 120, 120), (3, 20, 60), (1, 5000, 900)],
)
def test_a_message_comes_again_later_each_time_and_not_before_stripe_allows_it(
    attempt: int, retry_after: float, seconds: int
) -> None:
    sqs = Sqs()
    queue = SettleQueue(lambda: sqs, "https://sqs.example/settle")  # type: ignore[arg-type, return-value]
    settler = Settler(
        Intake(LimitedMirror(retry_after), lambda: False), queue, NoDeadLetters(), lambda: 1_900_000_010.0
    )
    with pytest.raises(Unavailable):
        settler.settle(record(attempt))
    assert sqs.hidden == [seconds]


def test_a_message_is_dated_by_when_it_was_first_sent() -> None:
    assert QueuedEvent.of(record(3)) == QueuedEvent(BODY.encode(), 1_900_000_001.0, 3, "r")
