"""Hands a mail to SES, and tells apart what a later try may mend from what only the team can."""

from collections.abc import Sequence
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formataddr, parseaddr
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from shared.aws import code_of
from shared.errors import OperatorError, Unavailable

if TYPE_CHECKING:
    from types_boto3_sesv2 import SESV2Client


# What to compose with. SES wants 7 bits (developer guide, "Sending raw email"); Python's default for French is 8.
SEVEN_BITS = SMTP.clone(cte_type="7bit")
# Python folds a header of 70 to 78 characters right after its name, which some readers show as a leading space.
_UNFOLDED = SEVEN_BITS.clone(max_line_length=998)

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


def send(ses: "SESV2Client", message: EmailMessage, sender: str, recipients: Sequence[str], *, mend: str) -> None:
    """Send a mail; `sender` may be `Name <address>`, and `mend` says what to look at when SES refuses.

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
        raise _refused(error, mend) from None


def on_the_wire(message: EmailMessage) -> bytes:
    """A subject in ASCII stays on one line; one with other letters is folded, for an encoded word has 75 characters."""
    return message.as_bytes(policy=_UNFOLDED if str(message["Subject"]).isascii() else SEVEN_BITS)


def _refused(error: ClientError | BotoCoreError, mend: str) -> OperatorError | Unavailable:
    code = code_of(error)
    if code in _OPERATORS_FAULTS:
        return OperatorError("mail_refused", f"SES refused the mail ({code}). {mend}")
    return Unavailable("mail_unavailable", f"SES did not take the mail ({code})")
