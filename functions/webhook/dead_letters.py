"""Keeps genuine events that could not be understood, so that nothing is lost while Stripe is told 200."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from shared.dead_letter_body import packed
from shared.errors import Unavailable, UnreadableEvent

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient


class DeadLetters:
    """The queue: each message is the raw event, with the reason as attributes."""

    def __init__(self, client: Callable[[], "SQSClient"], queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    def keep(self, body: bytes, reason: UnreadableEvent) -> None:
        """Keep the event. Raises `Unavailable` when it was not kept, so that Stripe sends it again."""
        message, encoding = packed(body)
        try:
            self._client().send_message(
                QueueUrl=self._queue_url,
                MessageBody=message,
                MessageAttributes={
                    "code": {"DataType": "String", "StringValue": reason.code},
                    "reason": {"DataType": "String", "StringValue": reason.message},
                    "encoding": {"DataType": "String", "StringValue": encoding},
                },
            )
        except (ClientError, BotoCoreError) as error:
            raise Unavailable("dead_letters_unavailable", "The dead-letter queue did not take an event") from error
