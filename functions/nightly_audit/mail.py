"""Writes the report as a mail that every reader can open, and hands it to SES."""

from collections.abc import Sequence
from email.message import EmailMessage
from email.policy import SMTP
from io import StringIO
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from shared.audit.as_csv import write_csv
from shared.audit.as_html import mail_bodies
from shared.audit.edition import Edition, ListLink
from shared.audit.page import Medium
from shared.audit.subject import subject
from shared.errors import OperatorError, Unavailable

if TYPE_CHECKING:
    from types_boto3_sesv2 import SESV2Client

__all__ = ["Edition", "ListLink", "Mailer", "compose", "subject"]

# SES takes 40 MB, but readers' servers take less: many 10 MB, counted after base64, which makes 4 bytes (and line ends)
# of 3.
LARGEST_CSV = 5_000_000

# SES wants 7 bits (developer guide, "Sending raw email"). Python's default for French is 8.
_SEVEN_BITS = SMTP.clone(cte_type="7bit")
# Python folds a header of 70 to 78 characters right after its name, which some readers show as a leading space.
_UNFOLDED = _SEVEN_BITS.clone(max_line_length=998)

# What a later try cannot mend (SES API v2, SendEmail, "Errors").
_OPERATORS_FAULTS = frozenset(
    {
        "AccessDeniedException",
        "AccountSuspendedException",
        "BadRequestException",
        "MailFromDomainNotVerifiedException",
        "MessageRejected",
        "NotFoundException",
        "SendingPausedException",
    }
)


class Mailer:
    """Sends reports from one address to a few; names no address in an error, because errors are logged."""

    def __init__(self, ses: "SESV2Client", sender: str, recipients: Sequence[str]) -> None:
        self._ses = ses
        self._sender = sender
        self._recipients = recipients

    def send(self, edition: Edition) -> None:
        """Send the mail. Raises `OperatorError` when SES will never take it, `Unavailable` when it may later."""
        message = compose(edition, self._sender, self._recipients)
        try:
            self._ses.send_email(
                FromEmailAddress=self._sender,
                Destination={"ToAddresses": list(self._recipients)},
                Content={"Raw": {"Data": _on_the_wire(message)}},
            )
        except (ClientError, BotoCoreError) as error:
            # `from None`: SES names the addresses that it refuses, and the cause would carry them into the log.
            raise _refused(error) from None


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
    message = EmailMessage(policy=_SEVEN_BITS)
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


def _on_the_wire(message: EmailMessage) -> bytes:
    """A subject in ASCII stays on one line; one with other letters is folded, for an encoded word has 75 characters."""
    return message.as_bytes(policy=_UNFOLDED if str(message["Subject"]).isascii() else _SEVEN_BITS)


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


def _refused(error: ClientError | BotoCoreError) -> OperatorError | Unavailable:
    code = error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
    if code in _OPERATORS_FAULTS:
        return OperatorError(
            "mail_refused",
            f"SES refused the audit's mail ({code}). Verify AUDIT_EMAIL_FROM in SES in this region, and AUDIT_EMAIL_TO "
            "too while the account is in the SES sandbox.",
        )
    return Unavailable("mail_unavailable", f"SES did not take the audit's mail ({code})")
