"""Writes the report as a mail that every reader can open, and hands it to SES."""

from collections.abc import Sequence
from email.message import EmailMessage
from email.policy import SMTP
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from functions.nightly_audit.page import page_of
from shared.audit.as_csv import to_csv
from shared.audit.headline import count
from shared.audit.report import Report
from shared.money import format_amounts
from shared.ses import send

if TYPE_CHECKING:
    from types_boto3_sesv2 import SESV2Client

# SES takes 40 MB, counted after base64, which makes 4 bytes (and line ends) of 3. The rest of a mail is far below 1 MB.
LARGEST_CSV = 28_000_000

_MEND = "Verify AUDIT_EMAIL_FROM in SES in this region, and AUDIT_EMAIL_TO too while the account is in the SES sandbox."


class Mailer:
    """Sends reports from one address to a few; names no address in an error, because errors are logged."""

    def __init__(self, ses: "SESV2Client", sender: str, recipients: Sequence[str]) -> None:
        self._ses = ses
        self._sender = sender
        self._recipients = recipients

    def send(self, report: Report) -> None:
        """Send the report. Raises `OperatorError` when SES will never take it, `Unavailable` when it may later."""
        message = compose(report, self._sender, self._recipients)
        send(self._ses, message, self._sender, self._recipients, mend=_MEND)


def compose(
    report: Report,
    sender: str,
    recipients: Sequence[str],
    *,
    largest_csv: int = LARGEST_CSV,
) -> EmailMessage:
    """Write the mail: text, HTML, and the CSV of all paused subscriptions if it has at most `largest_csv` bytes."""
    csv = to_csv(report).encode() if report.paused else b""
    attached = 0 < len(csv) <= largest_csv
    page = page_of(report, _about_the_attachment(report, attached=attached))
    message = EmailMessage(policy=SMTP)
    message["Subject"] = subject(report)
    message["From"] = sender
    message["To"] = ", ".join(recipients)
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(_templates().get_template("report.txt.j2").render(page=page))
    message.add_alternative(_templates().get_template("report.html.j2").render(page=page), subtype="html")
    if attached:
        name = f"paused-subscriptions-{report.as_of.astimezone(report.timezone):%Y-%m-%d}.csv"
        message.add_attachment(csv, "text", "csv", filename=name, params={"charset": "utf-8"})
    return message


def subject(report: Report) -> str:
    """The subject line: what matters first, so that a phone's list shows it."""
    name = "Stripe audit (test mode)" if report.livemode is False else "Stripe audit"
    if not report.complete:
        return f"{name}: incomplete, please look"
    if not report.served_free:
        paused = f", {len(report.paused):,} paused" if report.paused else ""
        return f"{name}: nobody is served for free{paused}"
    least = "at least " if report.unknown_amounts else ""
    amounts = format_amounts(report.totals)
    money = f", {least}{amounts} a month" if amounts else ""
    return f"{name}: {count(report.customers_served_free, 'customer')} served for free{money}"


def _about_the_attachment(report: Report, *, attached: bool) -> str:
    if not report.paused:
        return ""
    if attached:
        return "The attached CSV file has every paused subscription."
    return "The list is too long for a mail: `portal audit` writes all of it as CSV."


@cache
def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(enabled_extensions=("html.j2",), default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
