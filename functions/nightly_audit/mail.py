"""The mail of a night: its subject, with what matters first, its two bodies, and the list of paused subscriptions."""

from collections.abc import Sequence
from email.message import EmailMessage
from io import StringIO
from typing import TYPE_CHECKING

from shared.audit.rendering.as_csv import write_csv
from shared.audit.rendering.as_html import mail_bodies
from shared.audit.rendering.page import Medium
from shared.audit.rendering.summary import bounded, groups_of, is_all_clear, urgent
from shared.audit.rendering.trend import what_changed
from shared.audit.report import Report, ReportView
from shared.i18n import Message, _, _n, signed
from shared.ses import SEVEN_BITS, send
from shared.stripe.money import written_amounts

if TYPE_CHECKING:
    from types_boto3_sesv2 import SESV2Client


# About what a phone shows of a subject on two lines.
LONGEST = 62
MOST_AMOUNTS = 2
# SES takes 40 MB, but readers' servers take less: many 10 MB, counted after base64, which makes 4 bytes (and line ends)
# of 3.
LARGEST_CSV = 5_000_000

_FIX = "Verify AUDIT_EMAIL_FROM in SES in this region, and AUDIT_EMAIL_TO too while the account is in the SES sandbox."


def subject(edition: ReportView) -> str:
    """Return the subject; it never sounds surer than the report is."""
    words = _subject(edition)
    if edition.report.livemode is False:
        words = _("[test] {subject}", subject=words)
    return words.say(edition.language)


def _subject(edition: ReportView) -> Message:
    report = edition.report
    if not report.complete:
        return _incomplete(report)
    if report.served_free_count:
        return _served_free(edition)
    if is_all_clear(report):
        if report.paused:
            return _("Stripe audit: all clear, {number} paused", number=len(report.paused))
        return _("Stripe audit: all clear")
    # Nobody is served for free, and still somebody has to look.
    return _("Stripe audit: {findings}, nobody served for free", findings=urgent(groups_of(report, 0)))


def _incomplete(report: Report) -> Message:
    if not report.served_free_count:
        return _("Stripe audit incomplete, please check")
    if not report.free_is_certain:
        return _("Stripe audit incomplete, please check")
    return _n(
        "Stripe audit incomplete: at least {n} customer served for free",
        "Stripe audit incomplete: at least {n} customers served for free",
        report.customers_served_free,
    )


def _served_free(edition: ReportView) -> Message:
    report = edition.report
    number = report.customers_served_free
    customers = bounded(
        _n("{n} customer served for free", "{n} customers served for free", number),
        low=False,
        high=not report.free_is_certain,
    )
    changed = what_changed(edition)
    if changed is None or not changed.customers:
        return _with_money(customers, report)
    change = signed(changed.customers, abs(changed.customers))
    whole = _(
        "{subject} ({change} since {when})", subject=_with_money(customers, report), change=change, when=changed.since
    )
    if len(whole.say(edition.language)) <= LONGEST:
        return whole
    short = _n(
        "{n} customer ({change}) served for free", "{n} customers ({change}) served for free", number, change=change
    )
    return _with_money(bounded(short, low=False, high=not report.free_is_certain), report)


def _with_money(customers: Message, report: Report) -> Message:
    totals = report.totals
    if not totals:
        return customers
    amounts = written_amounts(totals)
    if len(totals) > MOST_AMOUNTS:
        first = written_amounts(dict(list(totals.items())[:1]))
        amounts = _n(
            "{amount} and {n} other currency", "{amount} and {n} other currencies", len(totals) - 1, amount=first
        )
    amounts = bounded(amounts, low=bool(report.unknown_amounts), high=report.totals_are_highest)
    return _("{customers}, {amounts} a month", customers=customers, amounts=amounts)


class Mailer:
    """Sends reports from one address to a few; names no address in an error, because errors are logged."""

    def __init__(self, ses: "SESV2Client", sender: str, recipients: Sequence[str]) -> None:
        self._ses = ses
        self._sender = sender
        self._recipients = recipients

    def send(self, edition: ReportView) -> None:
        """Send the mail. Raises `OperatorError` when SES will never take it, `Unavailable` when it may later."""
        message = compose(edition, self._sender, self._recipients)
        send(self._ses, message, self._sender, self._recipients, fix=_FIX)


def compose(
    edition: ReportView,
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


def _csv(edition: ReportView, largest: int) -> bytes | None:
    file = _Bounded(largest)
    try:
        write_csv(edition.report.paused, file, edition.language)
    except _TooLargeError:
        return None
    return file.getvalue().encode()
