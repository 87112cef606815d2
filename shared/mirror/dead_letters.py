"""How an event is written into SQS, which takes neither large messages nor every character, and read again."""

import binascii
import gzip
import re
import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Self

from botocore.exceptions import BotoCoreError, ClientError

from shared.aws import code_of
from shared.errors import Unavailable, UnreadableEvent

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient
    from types_boto3_sqs.type_defs import MessageTypeDef


# SQS takes a megabyte, and a queue may be set to less; an event of this size is still easy to read in the console.
MOST_BYTES = 200_000
PACKED = "gzip+base64"

# What XML 1.0 does not allow, SQS refuses (AWS's reference of SendMessage).
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def packed(body: bytes) -> tuple[str, str]:
    """Return the message and its `encoding`: `plain` where that is possible, else `gzip+base64`."""
    text = body.decode()
    if len(body) <= MOST_BYTES and text and not _FORBIDDEN.search(text):
        return text, "plain"
    return b64encode(gzip.compress(body, mtime=0)).decode(), PACKED


def unpacked(text: str, encoding: str) -> str:
    """Return the event as it came. Raises `UnreadableEvent` for what is said to be packed, and is not."""
    if encoding != PACKED:
        return text
    try:
        return gzip.decompress(b64decode(text, validate=True)).decode()
    except (binascii.Error, OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise UnreadableEvent("unreadable_event", "Not an event that can be read: it cannot be unpacked") from error


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


# Long enough for a page of ten with patience; after a crash the messages come back by themselves.
HELD_FOR = timedelta(minutes=5)
# A short poll asks some of SQS's servers only, and may find nothing where there is something.
WAIT_SECONDS = 1
# SQS's limits of one request.
_BATCH = 10


@dataclass(frozen=True, slots=True)
class Letter:
    """One message; `reason` is what was said when it was put there, `sent_at` is in Unix seconds."""

    id: str
    body: str
    encoding: str
    reason: str
    sent_at: int
    receipt_handle: str


class DeadLetterQueue:
    """A context: at its end every message that was read and not deleted is visible again at once."""

    def __init__(self, client: "SQSClient", queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url
        self._held: dict[str, str] = {}
        self._seen: set[str] = set()

    def __enter__(self) -> Self:
        """Begin to hold messages."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Let go of the messages. One that cannot be let go of comes back by itself after five minutes."""
        handles = list(self._held.items())
        for first in range(0, len(handles), _BATCH):
            entries = [
                {"Id": str(number), "ReceiptHandle": handle, "VisibilityTimeout": 0}
                for number, (_, handle) in enumerate(handles[first : first + _BATCH])
            ]
            try:
                self._client.change_message_visibility_batch(QueueUrl=self._queue_url, Entries=entries)  # type: ignore[arg-type]  # a list of plain dicts
            except (ClientError, BotoCoreError):
                return

    def letters(self) -> Iterator[Letter]:
        """Read every message once, until the queue has no other. Raises `Unavailable`."""
        while messages := self._receive():
            new = [message for message in messages if message["MessageId"] not in self._seen]
            for message in messages:
                self._held[message["MessageId"]] = message["ReceiptHandle"]
                self._seen.add(message["MessageId"])
            if not new:
                return
            yield from map(_letter, new)

    def delete(self, letter: Letter) -> None:
        """Delete a message whose event is dealt with. Raises `Unavailable`; it comes again then, as a duplicate."""
        try:
            self._client.delete_message(QueueUrl=self._queue_url, ReceiptHandle=self._held[letter.id])
        except (ClientError, BotoCoreError) as error:
            raise _unavailable(error) from error
        del self._held[letter.id]

    def _receive(self) -> "list[MessageTypeDef]":
        try:
            return self._client.receive_message(
                QueueUrl=self._queue_url,
                MaxNumberOfMessages=_BATCH,
                VisibilityTimeout=int(HELD_FOR.total_seconds()),
                WaitTimeSeconds=WAIT_SECONDS,
                MessageAttributeNames=["All"],
                MessageSystemAttributeNames=["SentTimestamp"],
            ).get("Messages", [])
        except (ClientError, BotoCoreError) as error:
            raise _unavailable(error) from error


def _letter(message: "MessageTypeDef") -> Letter:
    said = message.get("MessageAttributes", {})
    # The bundle's own attribute, EventBridge's, or Lambda's.
    names = [name for name in ("reason", "ERROR_MESSAGE", "ErrorMessage") if name in said]
    return Letter(
        message["MessageId"],
        message["Body"],
        said["encoding"].get("StringValue", "") if "encoding" in said else "",
        said[names[0]].get("StringValue", "") if names else "",
        int(message["Attributes"]["SentTimestamp"]) // 1000,
        message["ReceiptHandle"],
    )


def _unavailable(error: ClientError | BotoCoreError) -> Unavailable:
    code = code_of(error)
    return Unavailable("dead_letters_unavailable", f"The dead-letter queue did not answer ({code})")
