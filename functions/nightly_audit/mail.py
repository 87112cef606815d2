"""Writes the report as a mail that every reader can open, and hands it to SES."""

from collections.abc import Sequence
from email.message import EmailMessage
from io import StringIO
from typing import TYPE_CHECKING

from shared.audit.as_csv import write_csv
from shared.audit.as_html import mail_bodies
from shared.audit.edition import Edition, ListLink
from shared.audit.page import Medium
from shared.audit.subject import subject
from shared.ses import SEVEN_BITS, send

if TYPE_CHECKING:
    from types_boto3_sesv2 import SESV2Client

__all__ = ["Edition", "ListLink", "Mailer", "compose", "subject"]

# SES takes 40 MB, but readers' servers take less: many 10 MB, counted after base64, which makes 4 bytes (and line ends)
# of 3.
LARGEST_CSV = 5_000_000

_MEND = "Verify AUDIT_EMAIL_FROM in SES in this region, and AUDIT_EMAIL_TO too while the account is in the SES sandbox."


class Mailer:
    """Sends reports from one address to a few; names no address in an error, because errors are logged."""

    def __init__(self, ses: "SESV2Client", sender: str, recipients: Sequence[str]) -> None:
        self._ses = ses
        self._sender = sender
        self._recipients = recipients

    def send(self, edition: Edition) -> None:
        """Send the mail. Raises `OperatorError` when SES will never take it, `Unavailable` when it may later."""
        message = compose(edition, self._sender, self._recipients)
        send(self._ses, message, self._sender, self._recipients, mend=_MEND)


def compose(
    edition: Edition,
    sender: str,
    recipients: Sequence[str],
    *,
    largest_csv: int = LARGEST_CSV,
) -> EmailMessage:
    """Write the mail: text, HTML, and the CSV of all paused subscriptions.

    The CSV is left out when `edition` has a link to it, and when it has more than `largest_csv` bytes.
    """
    report = edition.report
    csv = _csv(edition, largest_csv) if report.paused and not edition.list_link else None
    text, html = mail_bodies(edition, Medium.MAIL_WITH_LIST if csv else Medium.MAIL)
    message = EmailMessage(policy=SEVEN_BITS)
    message["Subject"] = subject(edition)
    message["From"] = sender
    message["To"] = ", ".join(recipients)
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    message.add_alternative(html, subtype="html")
    if csv:
        name = f"paused-subscriptions-{edition.night:%Y-%m-%d}.csv"
        message.add_attachment(csv, "text", "csv", filename=name, params={"charset": "utf-8"})
    # Last: what begins with Content- moves into the first part when a second one is added.
    message["Content-Language"] = edition.language
    return message


class _TooLargeError(Exception):
    """Raised to stop writing what will not be sent."""


class _Bounded(StringIO):
    """Keeps at most so many bytes, however long the list is."""

    def __init__(self, most: int) -> None:
        super().__init__(newline="")
        self._left = most

    def write(self, text: str, /) -> int:
        self._left -= len(text.encode())
        if self._left < 0:
            raise _TooLargeError
        return super().write(text)


def _csv(edition: Edition, largest: int) -> bytes | None:
    file = _Bounded(largest)
    try:
        write_csv(edition.report.paused, file, edition.language)
    except _TooLargeError:
        return None
    return file.getvalue().encode()
