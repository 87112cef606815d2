"""How an event is written into SQS, which takes neither large messages nor every character, and read again."""

import binascii
import gzip
import re
import zlib
from base64 import b64decode, b64encode

from shared.errors import UnreadableEvent

# SQS takes a megabyte, and a queue may be set to less; an event of this size is still easy to read in the console.
MOST_BYTES = 200_000
PACKED = "gzip+base64"

# What XML 1.0 does not allow, SQS refuses (AWS's reference of SendMessage).
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def packed(body: bytes) -> tuple[str, str]:
    """Answer the message and its `encoding`: `plain` where that is possible, else `gzip+base64`."""
    text = body.decode()
    if len(body) <= MOST_BYTES and text and not _FORBIDDEN.search(text):
        return text, "plain"
    return b64encode(gzip.compress(body, mtime=0)).decode(), PACKED


def unpacked(text: str, encoding: str) -> str:
    """Answer the event as it came. Raises `UnreadableEvent` for what is said to be packed, and is not."""
    if encoding != PACKED:
        return text
    try:
        return gzip.decompress(b64decode(text, validate=True)).decode()
    except (binascii.Error, OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise UnreadableEvent("unreadable_event", "Not an event that can be read: it cannot be unpacked") from error
