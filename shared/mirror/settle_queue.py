"""The queue of events whose order is not certain yet: each waits until one read of Stripe can settle it."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from shared.errors import Unavailable
from shared.mirror.dead_letters import packed, unpacked

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient

# A read that failed is tried again after 15 s, then after twice as long each time.
FIRST_RETRY_SECONDS = 15
LONGEST_RETRY_SECONDS = 900


@dataclass(frozen=True, slots=True)
class QueuedEvent:
    """A message as SQS hands it to the function; `received` is when the event first arrived, in Unix seconds."""

    body: bytes
    received: float
    attempt: int
    receipt_handle: str

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "QueuedEvent":
        """Read a record of Lambda's event. Raises `UnreadableEvent` for a packed event that cannot be unpacked."""
        encoding = record.get("messageAttributes", {}).get("encoding", {}).get("stringValue", "")
        attributes = record["attributes"]
        return cls(
            unpacked(record["body"], encoding).encode(),
            int(attributes["SentTimestamp"]) / 1000,
            int(attributes["ApproximateReceiveCount"]),
            record["receiptHandle"],
        )


class SettleQueue:
    """Keeps events for later; each message is the raw event."""

    def __init__(self, client: Callable[[], "SQSClient"], queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    def keep(self, body: bytes, delay_seconds: int) -> None:
        """Keep the event for at least so long. Raises `Unavailable` when it was not kept, so that it comes again."""
        message = packed(body)
        try:
            self._client().send_message(
                QueueUrl=self._queue_url,
                MessageBody=message.text,
                DelaySeconds=delay_seconds,
                MessageAttributes={"encoding": {"DataType": "String", "StringValue": message.encoding}},
            )
        except (ClientError, BotoCoreError) as error:
            raise Unavailable("settle_queue_unavailable", "The settle queue did not take an event") from error

    def retry_later(self, event: QueuedEvent, *, at_least: float = 0) -> None:
        """Have the message come again later, the later the oftener it came; at least after so many seconds.

        If SQS does not take that, the message comes again after the queue's own time.
        """
        seconds = min(max(FIRST_RETRY_SECONDS * 2 ** (event.attempt - 1), at_least), LONGEST_RETRY_SECONDS)
        with suppress(ClientError, BotoCoreError):
            self._client().change_message_visibility(
                QueueUrl=self._queue_url, ReceiptHandle=event.receipt_handle, VisibilityTimeout=int(seconds)
            )
