"""The subject line of the mail: what matters first, so that a phone's list shows it."""

from collections.abc import Sequence
from email.message import EmailMessage
from io import StringIO
from typing import TYPE_CHECKING

from shared.audit.rendering.as_csv import write_csv
from shared.audit.rendering.as_html import mail_bodies
from shared.audit.rendering.page import Medium
from shared.audit.rendering.summary import groups_of, is_all_clear, urgent
from shared.audit.rendering.trend import what_changed
from shared.audit.report import ListLink, Report, ReportView
from shared.i18n import NO_TEXT, Text, count, format_number, signed_text
from shared.ses import SEVEN_BITS, send
from shared.stripe.money import format_amounts

if TYPE_CHECKING:
    from types_boto3_sesv2 import SESV2Client


# About what a phone shows of a subject on two lines.
LONGEST = 62
MOST_AMOUNTS = 2


def subject(edition: ReportView) -> str:
    """Return the subject; it never sounds surer than the report is."""
    report = edition.report
    words = _subject(edition)
    if report.livemode is False:
        words = Text(f"[test] {words.en}", f"[test] {words.fr}")
    return words.say(edition.language)


def _subject(edition: ReportView) -> Text:
    report = edition.report
    if not report.complete:
        return _incomplete(report)
    if report.served_free_count:
        return _served_free(edition)
    if is_all_clear(report):
        paused = len(report.paused)
        return Text(
            "Stripe audit: all clear" + (f", {format_number(paused)} paused" if paused else ""),
            "Audit Stripe : rien à signaler" + (f", {format_number(paused, 'fr')} en pause" if paused else ""),
        )
    return _findings(report)


def _incomplete(report: Report) -> Text:
    if not report.served_free_count:
        return Text("Stripe audit incomplete, please look", "Audit Stripe incomplet, à vérifier")
    customers = report.customers_served_free
    return Text(
        f"Stripe audit incomplete: at least {count(customers, 'customer')} served for free",
        f"Audit Stripe incomplet : au moins {count(customers, 'client', 'fr')} {_servis(customers)} sans payer",
    )


def _served_free(edition: ReportView) -> Text:
    report = edition.report
    customers = report.customers_served_free
    who = Text(count(customers, "customer"), count(customers, "client", "fr"))
    money = _money(report)
    what = Text(f"served for free{money.en}", f"{_servis(customers)} sans payer{money.fr}")
    changed = what_changed(edition)
    if changed is None or not changed.customers:
        return Text(f"{who.en} {what.en}", f"{who.fr} {what.fr}")
    more = Text(
        signed_text(changed.customers, format_number(abs(changed.customers))),
        signed_text(changed.customers, format_number(abs(changed.customers), "fr")),
    )
    whole = Text(
        f"{who.en} {what.en} ({more.en} since {changed.since.en})",
        f"{who.fr} {what.fr} ({more.fr} depuis {changed.since.fr})",
    )
    if len(whole.say(edition.language)) <= LONGEST:
        return whole
    return Text(f"{who.en} ({more.en}) {what.en}", f"{who.fr} ({more.fr}) {what.fr}")


def _money(report: Report) -> Text:
    if not report.totals:
        return NO_TEXT
    least, moins = ("at least ", "au moins ") if report.unknown_amounts else ("", "")
    shown, others = report.totals, NO_TEXT
    if len(report.totals) > MOST_AMOUNTS:
        shown = dict(list(report.totals.items())[:1])
        number = len(report.totals) - 1
        others = Text(f" and {number} other currencies", f" et {number} autres devises")
    return Text(
        f", {least}{format_amounts(shown)}{others.en} a month",
        f", {moins}{format_amounts(shown, 'fr')}{others.fr} par mois",
    )


def _findings(report: Report) -> Text:
    """Nobody is served for free, and still somebody has to look."""
    what = urgent(groups_of(report, 0))
    return Text(
        f"Stripe audit: {what.en}, nobody served for free",
        f"Audit Stripe : {what.fr}, personne n'est servi sans payer",
    )


def _servis(customers: int) -> str:
    return "servi" if customers in (0, 1) else "servis"


__all__ = ["ListLink", "Mailer", "ReportView", "compose", "subject"]

# SES takes 40 MB, but readers' servers take less: many 10 MB, counted after base64, which makes 4 bytes (and line ends)
# of 3.
LARGEST_CSV = 5_000_000

_FIX = "Verify AUDIT_EMAIL_FROM in SES in this region, and AUDIT_EMAIL_TO too while the account is in the SES sandbox."


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
