"""Sends a mail by SES, and tells errors that may pass from those that only the operator can fix."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formataddr, parseaddr
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from shared.aws import code_of
from shared.errors import OperatorError, Unavailable, sentence

if TYPE_CHECKING:
    from types_boto3_sesv2 import SESV2Client


# The policy for composing. SES requires 7 bits (developer guide, "Sending raw email"); Python uses 8 for French.
SEVEN_BITS = SMTP.clone(cte_type="7bit")
# Python folds a header of 70 to 78 characters right after its name, which some readers show as a leading space.
_UNFOLDED = SEVEN_BITS.clone(max_line_length=998)

# Errors that trying again does not fix (SES API v2, SendEmail, "Errors").
_REFUSALS = frozenset(
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


@dataclass(frozen=True, slots=True)
class MailText:
    """A mail in one language, as text and as HTML."""

    subject: str
    text: str
    html: str
    language: str


def write_mail(
    mail: MailText, *, sender: str, recipients: Sequence[str], csv: Mapping[str, bytes] | None = None
) -> EmailMessage:
    """Write a mail; `sender` may be `Name <address>`, `csv` has attachments by their names."""
    message = EmailMessage(policy=SEVEN_BITS)
    message["Subject"] = mail.subject
    message["From"] = formataddr(parseaddr(sender))
    message["To"] = ", ".join(recipients)
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.text)
    message.add_alternative(mail.html, subtype="html")
    for name, content in (csv or {}).items():
        message.add_attachment(content, "text", "csv", filename=name, params={"charset": "utf-8"})
    # Last: what begins with Content- moves into the first part when a second one is added.
    message["Content-Language"] = mail.language
    return message


def send(ses: "SESV2Client", message: EmailMessage, sender: str, recipients: Sequence[str], *, fix: str) -> None:
    """Send a mail; `sender` may be `Name <address>`. If SES refuses, the message ends with `fix`: what to do then.

    Raises `OperatorError` when SES will never take it, `Unavailable` when it may later. Neither names an address,
    because errors are logged.
    """
    try:
        ses.send_email(
            FromEmailAddress=formataddr(parseaddr(sender)),
            Destination={"ToAddresses": list(recipients)},
            Content={"Raw": {"Data": on_the_wire(message)}},
        )
    except (ClientError, BotoCoreError) as error:
        # `from None`: SES names the addresses that it refuses, and the cause would carry them into the log.
        raise _refused(error, fix) from None


def on_the_wire(message: EmailMessage) -> bytes:
    """A subject in ASCII stays on one line; one with other letters is folded, for an encoded word has 75 characters."""
    return message.as_bytes(policy=_UNFOLDED if str(message["Subject"]).isascii() else SEVEN_BITS)


def _refused(error: ClientError | BotoCoreError, fix: str) -> OperatorError | Unavailable:
    code = code_of(error)
    if code in _REFUSALS:
        return OperatorError("mail_refused", sentence("SES refused the mail ({code}). {fix}", code=code, fix=fix))
    return Unavailable("mail_unavailable", sentence("SES did not take the mail ({code})", code=code))
