"""The queue of genuine events that could not be read: how one is kept, and how it is read again.

SQS takes neither large messages nor every character, so an event may be packed. One that is too large even then is kept
as a thin event: its subscription is read from Stripe when it is applied.
"""

import binascii
import gzip
import json
import re
import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Self

from botocore.exceptions import BotoCoreError, ClientError

from shared.aws import code_of
from shared.errors import Unavailable, UnreadableEvent, sentence

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient
    from types_boto3_sqs.type_defs import MessageTypeDef


# SQS takes a megabyte, and a queue may be set to less; an event of this size is still easy to read in the console.
MOST_BYTES = 200_000
# Of the megabyte (2**20 bytes), the attributes take a part.
MOST_PACKED_BYTES = 1_000_000
PACKED = "gzip+base64"
CUT = "cut"
# Of an event of which nothing else can be kept; a character takes up to four bytes.
BEGINNING = 50_000

# Long enough for a page of ten with patience; after a crash the messages come back by themselves.
HELD_FOR = timedelta(minutes=5)
# A short poll asks some of SQS's servers only, and may find nothing where there is something.
WAIT_SECONDS = 1
# SQS's limits of one request.
_BATCH = 10

# What XML 1.0 does not allow, SQS refuses (AWS's reference of SendMessage).
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class PackedEvent:
    """An event as the text of a message; `encoding` is `plain` where that is possible, else `gzip+base64` or `cut`."""

    text: str
    encoding: str


def packed(body: bytes) -> PackedEvent:
    """Return the event in a form that SQS takes.

    One that is too large for any becomes a thin event; if it names no subscription, its beginning is kept.
    """
    text = body.decode()
    if len(body) <= MOST_BYTES and text and not _FORBIDDEN.search(text):
        return PackedEvent(text, "plain")
    zipped = b64encode(gzip.compress(body, mtime=0)).decode()
    if len(zipped) <= MOST_PACKED_BYTES:
        return PackedEvent(zipped, PACKED)
    if thin := _thin(body):
        return PackedEvent(thin, "plain")
    return PackedEvent(_FORBIDDEN.sub("?", text[:BEGINNING]), CUT)


def _thin(body: bytes) -> str | None:
    """Return a snapshot event as a thin one, or `None` if its body does not say enough."""
    try:
        event = json.loads(body)
        return json.dumps(
            {
                "id": event["id"],
                "object": "v2.core.event",
                "type": f"v1.{event['type']}",
                "created": datetime.fromtimestamp(event["created"], UTC).isoformat(),
                "livemode": event["livemode"],
                "context": event.get("context") or event.get("account"),
                "related_object": {"id": event["data"]["object"]["id"], "type": "subscription"},
            }
        )
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError):
        return None


def unpacked(text: str, encoding: str) -> str:
    """Return the event as it came. Raises `UnreadableEvent` if it was cut, or is said to be packed and is not."""
    if encoding == CUT:
        raise UnreadableEvent(
            "unreadable_event", sentence("The event was too large for a message: only its beginning was kept")
        )
    if encoding != PACKED:
        return text
    try:
        return gzip.decompress(b64decode(text, validate=True)).decode()
    except (binascii.Error, OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise UnreadableEvent(
            "unreadable_event", sentence("Not an event that can be read: it cannot be unpacked")
        ) from error


class DeadLetterQueue:
    """Keeps events: each message is the raw event, with the reason as message attributes."""

    def __init__(self, client: Callable[[], "SQSClient"], queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    def keep(self, body: bytes, reason: UnreadableEvent) -> None:
        """Keep the event. Raises `Unavailable` when it was not kept, so that Stripe sends it again."""
        message = packed(body)
        try:
            self._client().send_message(
                QueueUrl=self._queue_url,
                MessageBody=message.text,
                MessageAttributes={
                    "code": {"DataType": "String", "StringValue": reason.code},
                    "reason": {"DataType": "String", "StringValue": reason.message},
                    "encoding": {"DataType": "String", "StringValue": message.encoding},
                },
            )
        except (ClientError, BotoCoreError) as error:
            raise Unavailable(
                "dead_letters_unavailable", sentence("The dead-letter queue did not take an event")
            ) from error


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One message; `reason` is why it was kept, `sent_at` is in Unix seconds."""

    id: str
    body: str
    encoding: str
    reason: str
    sent_at: int
    receipt_handle: str


class DeadLetterReader:
    """Reads the queue within a `with` block; at its end every message not deleted is visible again at once."""

    def __init__(self, client: "SQSClient", queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url
        self._held: dict[str, str] = {}
        self._seen: set[str] = set()

    def __enter__(self) -> Self:
        """Start holding messages."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Release the messages. One that cannot be released comes back by itself after five minutes."""
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

    @property
    def left(self) -> int:
        """How many of the messages read so far stay in the queue."""
        return len(self._held)

    def letters(self) -> Iterator[DeadLetter]:
        """Read every message once, until the queue has no other. Raises `Unavailable`.

        In a long run messages that are left come again. Each is then held for longer, so those behind it come too.
        """
        again = 0
        while messages := self._receive():
            new = [message for message in messages if message["MessageId"] not in self._seen]
            for message in messages:
                self._held[message["MessageId"]] = message["ReceiptHandle"]
                self._seen.add(message["MessageId"])
            again = 0 if new else again + len(messages)
            if again > len(self._held):
                return
            yield from map(_letter, new)

    def delete(self, letter: DeadLetter) -> None:
        """Delete a message whose event was applied. On `Unavailable` it comes again, as a duplicate."""
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


@dataclass(frozen=True, slots=True)
class QueueState:
    """How many messages a queue holds, and when the oldest of a few was sent (Unix seconds); `None` for no message."""

    number: int
    oldest_sent_at: int | None


def queue_state(client: "SQSClient", queue_url: str) -> QueueState:
    """Look at a queue without taking anything from it.

    SQS counts approximately, and shows no more than ten messages: about the oldest, in a standard queue. Raises
    `Unavailable`.
    """
    try:
        counts = client.get_queue_attributes(
            QueueUrl=queue_url,
            AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
        )["Attributes"]
        messages = client.receive_message(
            QueueUrl=queue_url,
            MaxNumberOfMessages=_BATCH,
            VisibilityTimeout=0,
            MessageSystemAttributeNames=["SentTimestamp"],
        ).get("Messages", [])
    except (ClientError, BotoCoreError) as error:
        raise _unavailable(error) from error
    sent = [int(message["Attributes"]["SentTimestamp"]) // 1000 for message in messages]
    return QueueState(sum(map(int, counts.values())), min(sent, default=None))


def _letter(message: "MessageTypeDef") -> DeadLetter:
    attributes = message.get("MessageAttributes", {})
    # The bundle's own attribute, EventBridge's, or Lambda's.
    names = [name for name in ("reason", "ERROR_MESSAGE", "ErrorMessage") if name in attributes]
    return DeadLetter(
        message["MessageId"],
        message["Body"],
        attributes["encoding"].get("StringValue", "") if "encoding" in attributes else "",
        attributes[names[0]].get("StringValue", "") if names else "",
        int(message["Attributes"]["SentTimestamp"]) // 1000,
        message["ReceiptHandle"],
    )


def _unavailable(error: ClientError | BotoCoreError) -> Unavailable:
    code = code_of(error)
    return Unavailable("dead_letters_unavailable", sentence("The dead-letter queue did not answer ({code})", code=code))
