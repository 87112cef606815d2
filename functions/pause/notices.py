"""The mails about a pause: what was set or has failed, that it is about to end, and that a return was not paid.

A mail is recorded after it was sent: a crash between the two repeats it, and loses none. No charge comes unannounced.
"""

from dataclasses import dataclass, replace
from datetime import timedelta, tzinfo
from email.message import EmailMessage
from functools import partial
from typing import TYPE_CHECKING, Any

import stripe

from functions.pause.caller import Caller
from functions.pause.links import Links
from functions.pause.look import Brand, pages, shown
from functions.pause.notice_texts import NoticeKind, NoticeTexts
from shared.i18n import best_language
from shared.pausing.history import PauseRecord, PauseState, PauseTable
from shared.ses import MailText, send, write_mail
from shared.stripe.gateway import stripe_errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from stripe import StripeClient
    from types_boto3_sesv2 import SESV2Client

    from shared.pausing.policy import PausePolicy

_ATTEMPTS = 3
_DAY = timedelta(days=1)
# Close to the return they take the place of its notice.
_NAME_THE_DATE = frozenset({NoticeKind.SET, NoticeKind.CHANGE_FAILED})
_FIX = "Verify PAUSE_EMAIL_FROM in SES in this region, and ask AWS to take the account out of the SES sandbox."


@dataclass(frozen=True, slots=True)
class Recipient:
    """A customer who gets mails, and in which language."""

    address: str
    language: str


def due_notice(record: PauseRecord, *, now: float, notice_days: int) -> NoticeKind | None:
    """Return the mail that is due about a pause; 0 `notice_days`: none before its end.

    The notice of the return is due a day early, because a pause is looked at once a day.
    """
    if record.state is PauseState.RESUMING and record.waiting in {"payment", "payment_method"}:
        kind = NoticeKind.UNPAID if record.waiting == "payment" else NoticeKind.NO_PAYMENT_METHOD
        return kind if record.told != _mark(kind, record) else None
    if record.state is PauseState.FAILED:
        # It is looked at again for this mail alone.
        return NoticeKind.FAILED if record.retry_at is not None else None
    if record.state not in {PauseState.SCHEDULED, PauseState.PAUSED} or not record.has_return:
        return None
    if record.change_failed:
        return NoticeKind.CHANGE_FAILED
    # Of a date that is set the mail says so itself: another one on the same day would only repeat it.
    if record.told != _mark(NoticeKind.SET, record):
        return NoticeKind.SET
    is_due = notice_days and _is_near(record, now, notice_days) and record.notified_for != record.resumes
    return NoticeKind.RETURN if is_due else None


def _is_near(record: PauseRecord, now: float, notice_days: int) -> bool:
    days = timedelta(days=notice_days) + _DAY
    return now >= record.next_charge - days.total_seconds()


def _mark(kind: NoticeKind, record: PauseRecord) -> str:
    return f"{kind}:{record.resumes if kind is NoticeKind.SET else record.intent}"


class Notices:
    """Sends the mails.

    Without a sender none is sent. Raises `Unavailable` where a dependency does not answer, `OperatorError` where SES
    refuses: the pause stays due for its mail, and the next look at it tries again.
    """

    def __init__(  # noqa: PLR0913 - the dependencies
        self,
        ses: "Callable[[], SESV2Client]",
        client: "Callable[[], StripeClient]",
        table: PauseTable,
        *,
        sender: str | None,
        brand: Brand,
        timezone: tzinfo,
        policy_of: "Callable[[str | None], PausePolicy]",
        links: Links,
    ) -> None:
        self._ses = ses
        self._client = client
        self._table = table
        self._sender = sender
        self._brand = brand
        self._policy_of = policy_of
        self._texts = NoticeTexts(links, timezone)

    def send_due(self, record: PauseRecord, *, now: float) -> NoticeKind | None:
        """Send the mail that is due, and return which; a customer without an address gets none, and is recorded too."""
        notice_days = self._policy_of(record.group).pause_notice_days
        kind = due_notice(record, now=now, notice_days=notice_days)
        if kind is None or (self._sender is None and kind is not NoticeKind.FAILED):
            return None
        recipient = self._recipient(record.customer_id) if self._sender else None
        if self._sender and recipient:
            message = self.compose(kind, record, recipient)
            send(self._ses(), message, self._sender, [recipient.address], fix=_FIX)
        self._record(kind, record, is_near=_is_near(record, now, notice_days))
        return kind if recipient else None

    def compose(self, kind: NoticeKind, record: PauseRecord, recipient: Recipient) -> EmailMessage:
        """Write the mail, as text and as HTML."""
        language = recipient.language
        caller = Caller(record.customer_id, self._policy_of(record.group), group=record.group, locale=language)
        said = self._texts.of(kind, record, caller)
        lines = [line.say(language) for line in said.lines]
        links = [(link.words.say(language), link.url) for link in said.links]
        subject = said.subject.say(language)
        listed = [f"{words}\n{url}" for words, url in links]
        text = "\n\n".join([*lines, *listed, self._brand.name]).strip()
        html = (
            pages()
            .get_template("notice.html.j2")
            .render(
                brand=self._brand,
                language=language,
                subject=subject,
                lines=lines,
                links=links,
                say=partial(shown, language),
            )
        )
        mail = MailText(subject, text + "\n", html, language)
        return write_mail(mail, sender=self._sender or "", recipients=[recipient.address])

    def _recipient(self, customer_id: str) -> Recipient | None:
        with stripe_errors():
            try:
                customer = self._client().v1.customers.retrieve(customer_id)
            except stripe.InvalidRequestError:
                return None
        address = getattr(customer, "email", None)
        if not address or getattr(customer, "deleted", False):
            return None
        return Recipient(address, best_language(*(getattr(customer, "preferred_locales", None) or ())))

    def _record(self, kind: NoticeKind, record: PauseRecord, *, is_near: bool) -> None:
        """Record that it was sent; a pause that has changed meanwhile keeps what changed."""
        told = _mark(kind, record)
        for _attempt in range(_ATTEMPTS):
            changes: dict[str, Any] = {"told": told}
            match kind:
                case NoticeKind.RETURN:
                    changes = {}
                case NoticeKind.CHANGE_FAILED:
                    changes = {"change_failed": False}
                case NoticeKind.FAILED:
                    changes["retry_at"] = None
            if kind is NoticeKind.RETURN or (kind in _NAME_THE_DATE and is_near):
                changes["notified_for"] = record.resumes
            if self._table.write(replace(record, **changes), record):
                return
            found = self._table.get(record.subscription_id)
            if found is None or (found.operation_id, found.resumes) != (record.operation_id, record.resumes):
                return
            record = found
