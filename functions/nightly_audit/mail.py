"""The mail of a night: its subject, with what matters first, its two bodies, and the list of paused subscriptions."""

from collections.abc import Iterator, Sequence
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
from shared.ses import MailText, send, write_mail
from shared.stripe.money import written_amounts

if TYPE_CHECKING:
    from types_boto3_sesv2 import SESV2Client


# About what a phone shows of a subject on two lines, the mark of test mode included.
LONGEST = 62
# SES takes 40 MB, but readers' servers take less: many 10 MB, counted after base64, which makes 4 bytes (and line ends)
# of 3.
LARGEST_CSV = 5_000_000

_FIX = "Verify AUDIT_EMAIL_FROM in SES in this region, and AUDIT_EMAIL_TO too while the account is in the SES sandbox."


def subject(edition: ReportView) -> str:
    """Return the subject, of at most `LONGEST` characters; it never sounds surer than the report is."""
    for words in _subjects(edition):
        marked = _("[test] {subject}", subject=words) if edition.report.livemode is False else words
        said = marked.say(edition.language)
        if len(said) <= LONGEST:
            break
    return said


def _subjects(edition: ReportView) -> Iterator[Message]:
    """Return what a subject can say, the longest first."""
    report = edition.report
    if not report.complete:
        yield from _incomplete(report)
    elif report.served_free_count:
        yield from _served_free(edition)
    elif is_all_clear(report):
        if report.paused:
            yield _("Stripe audit: all clear, {number} paused", number=len(report.paused))
        yield _("Stripe audit: all clear")
    else:
        # Nobody is served for free, and still somebody has to look.
        findings = urgent(groups_of(report, 0))
        yield _("Stripe audit: {findings}, nobody served for free", findings=findings)
        yield _("Stripe audit: {findings}", findings=findings)
        number = report.findings_count
        yield _("Stripe audit: {findings}", findings=_n("{n} finding", "{n} findings", number))


def _incomplete(report: Report) -> Iterator[Message]:
    if report.served_free_count and report.free_is_certain:
        number = report.customers_served_free
        yield _n(
            "Stripe audit incomplete: at least {n} customer served for free",
            "Stripe audit incomplete: at least {n} customers served for free",
            number,
        )
        yield _n(
            "Stripe audit incomplete: at least {n} customer",
            "Stripe audit incomplete: at least {n} customers",
            number,
        )
    yield _("Stripe audit incomplete, please check")


def _served_free(edition: ReportView) -> Iterator[Message]:
    """Return the money, in every currency, then the customers and the change since then; without room, no money."""
    report, changed = edition.report, what_changed(edition)
    number, high = report.customers_served_free, not report.free_is_certain
    customers = bounded(_n("{n} customer", "{n} customers", number), low=False, high=high)
    served = bounded(_n("{n} customer served for free", "{n} customers served for free", number), low=False, high=high)
    whole, short = [served], [customers]
    if changed is not None and changed.customers:
        change = signed(changed.customers, abs(changed.customers))
        since = _("{subject} ({change} since {when})", subject=served, change=change, when=changed.since)
        whole = [since, _("{subject} ({change})", subject=served, change=change), served]
        short = [_("{subject} ({change})", subject=customers, change=change), customers]
    amounts = bounded(written_amounts(report.totals), low=bool(report.unknown_amounts), high=report.totals_are_highest)
    if report.totals:
        yield from (_("{amounts} a month, {customers}", amounts=amounts, customers=who) for who in (*whole, *short))
        yield _("{amounts} a month", amounts=amounts)
    if len(report.totals) > 1:
        # All or none: without exchange rates nobody can say which of the sums is the largest.
        yield from (
            _("{customers}, in {number} currencies", customers=who, number=len(report.totals))
            for who in (*whole, *short)
        )
    yield from (*whole, *short)


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
    attached = {f"paused-subscriptions-{edition.night:%Y-%m-%d}.csv": csv} if csv else {}
    mail = MailText(subject(edition), text, html, edition.language)
    return write_mail(mail, sender=sender, recipients=recipients, csv=attached)


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
