"""Hands a mail to SES, and tells apart what a later try may mend from what only the team can."""

from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formataddr, parseaddr
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from shared.errors import OperatorError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from types_boto3_sesv2 import SESV2Client

# Python folds a header of 70 to 78 characters right after its name, which some readers show as a leading space.
_ON_THE_WIRE = SMTP.clone(max_line_length=998)

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


def send(ses: "SESV2Client", message: EmailMessage, sender: str, recipients: "Sequence[str]", *, mend: str) -> None:
    """Send a mail; `mend` says what to look at when SES refuses it.

    Raises `OperatorError` when SES will never take it, `Unavailable` when it may later. Neither names an address,
    because errors are logged.
    """
    try:
        ses.send_email(
            FromEmailAddress=formataddr(parseaddr(sender)),
            Destination={"ToAddresses": list(recipients)},
            Content={"Raw": {"Data": message.as_bytes(policy=_ON_THE_WIRE)}},
        )
    except (ClientError, BotoCoreError) as error:
        # `from None`: SES names the addresses that it refuses, and the cause would carry them into the log.
        raise _refused(error, mend) from None


def _refused(error: ClientError | BotoCoreError, mend: str) -> OperatorError | Unavailable:
    code = error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
    if code in _OPERATORS_FAULTS:
        return OperatorError("mail_refused", f"SES refused the mail ({code}). {mend}")
    return Unavailable("mail_unavailable", f"SES did not take the mail ({code})")
