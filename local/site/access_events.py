"""The demo's own subscriber of the access bus: a rule and a queue, as docs/how-to/access-events.md has them."""

import json
import threading
from collections import deque
from dataclasses import dataclass
from typing import Any

from local.aws.resources import AwsClients

_QUEUE = "DemoAccessSubscriber"
# As functions/access_changes publishes them.
_PATTERN = {"source": ["stripe-portal-bundle"], "detail-type": ["SubscriptionAccessChanged"]}
_KEPT = 2000
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class AccessEvent:
    """An event as it came; `time` is ISO 8601, UTC, as EventBridge dates it."""

    time: str
    version: int
    granted: bool
    reason: str
    until: int | None
    customer_id: str


class AccessEventFeed:
    """Receives the events of the bus from now on, and keeps the newest ones of everybody."""

    def __init__(self, aws: AwsClients, bus: str) -> None:
        self._sqs = aws.sqs
        self._url = aws.sqs.create_queue(QueueName=_QUEUE)["QueueUrl"]
        attributes = aws.sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])["Attributes"]
        aws.events.put_rule(Name="demo", EventBusName=bus, EventPattern=json.dumps(_PATTERN))
        aws.events.put_targets(Rule="demo", EventBusName=bus, Targets=[{"Id": "queue", "Arn": attributes["QueueArn"]}])
        self._lock = threading.Lock()
        self._events: deque[AccessEvent] = deque(maxlen=_KEPT)

    def of_customer(self, customer_id: str) -> list[AccessEvent]:
        """Take what has come, and return the customer's newest events, the newest first."""
        with self._lock:
            self._receive()
            own = {event.version: event for event in self._events if event.customer_id == customer_id}
        # At least once, in any order: the version says which is the newer one, and shows a repetition.
        return [own[version] for version in sorted(own, reverse=True)][:_SHOWN]

    def _receive(self) -> None:
        while messages := self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10).get("Messages", []):
            for message in messages:
                self._events.append(_event(json.loads(message["Body"])))
                self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])


def _event(body: dict[str, Any]) -> AccessEvent:
    detail = body["detail"]
    fields = {name: detail[name] for name in ("version", "granted", "reason", "until", "customer_id")}
    return AccessEvent(time=str(body["time"]), **fields)
