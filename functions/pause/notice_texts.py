"""What each mail about a pause says, and where its links lead."""

from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from enum import StrEnum

from functions.pause.caller import Caller
from functions.pause.links import Links
from shared.i18n import NOTHING, Message, _, sentences
from shared.pausing.history import PauseRecord, PauseState
from shared.pausing.plan import longer_return
from shared.pausing.refusals import NOT_BEGUN, why_it_failed


class NoticeKind(StrEnum):
    """What a mail is about."""

    SET = "set"
    FAILED = "failed"
    CHANGE_FAILED = "change_failed"
    RETURN = "return"
    UNPAID = "unpaid"
    NO_PAYMENT_METHOD = "no_payment_method"


@dataclass(frozen=True, slots=True)
class NoticeLink:
    """The words of a link, and where it leads."""

    words: Message
    url: str


@dataclass(frozen=True, slots=True)
class NoticeText:
    """A mail in words; the first link is its button."""

    subject: Message
    lines: tuple[Message, ...]
    links: tuple[NoticeLink, ...]


CHANGE_NOT_SET = _("The new date of return that you asked for could not be set.")
_UNWANTED = _("If you did not want this, you can undo it on the page below.")


@dataclass(frozen=True, slots=True)
class NoticeTexts:
    """Writes the mails; a day begins in `timezone`."""

    links: Links
    timezone: tzinfo

    def of(  # noqa: PLR0911 - one for each mail
        self, kind: NoticeKind, record: PauseRecord, caller: Caller
    ) -> NoticeText:
        """Return the words of a mail to the customer."""
        begins, returns = self._day(record.begins), self._day(record.next_charge)
        page = self.links.pause_page(caller)
        match kind:
            case NoticeKind.SET if record.state is PauseState.PAUSED:
                return _running(returns, page)
            case NoticeKind.SET:
                return _set(begins, returns, page)
            case NoticeKind.FAILED if record.failure in NOT_BEGUN:
                return _not_begun(record, begins, page)
            case NoticeKind.FAILED:
                return _not_set(record, page)
            case NoticeKind.CHANGE_FAILED:
                return _not_changed(record, returns, page)
            case NoticeKind.RETURN:
                return self._about_to_return(record, caller, returns, page)
            case NoticeKind.UNPAID:
                return _unpaid(page)
            case NoticeKind.NO_PAYMENT_METHOD:
                return _without_payment_method(page)

    def _about_to_return(self, record: PauseRecord, caller: Caller, returns: date, page: str) -> NoticeText:
        can_stay = longer_return(record.begins, record.next_charge, caller.policy, self.timezone) is not None
        extend = NoticeLink(_("Stay paused longer"), f"{page}&extend={record.subscription_id}")
        return NoticeText(
            _("Your subscription returns on {day}", day=returns),
            (
                _("Your pause is about to end. On {day} your subscription returns, and is charged.", day=returns),
                _("You can choose a later date, or cancel, before that day.")
                if can_stay
                else _("You can cancel before that day."),
                _("The links below change nothing until you confirm."),
            ),
            (
                extend if can_stay else _manage(page),
                NoticeLink(_("Cancel the subscription"), f"{page}&cancel={record.subscription_id}"),
                NoticeLink(_("Open the customer portal"), self.links.portal(caller)),
            ),
        )

    def _day(self, moment: int) -> date:
        return datetime.fromtimestamp(moment, self.timezone).date()


def _running(returns: date, page: str) -> NoticeText:
    return NoticeText(
        _("Your subscription is paused until {day}", day=returns),
        (
            _("Your subscription is paused: nothing is charged, and there is no service."),
            _("It returns on {day}, and is charged again then.", day=returns),
            _UNWANTED,
        ),
        (_manage(page),),
    )


def _set(begins: date, returns: date, page: str) -> NoticeText:
    return NoticeText(
        _("Your pause begins on {day}", day=begins),
        (
            _("You keep your service until {day}. From then on nothing is charged.", day=begins),
            _("Your subscription returns on {day}, and is charged again then.", day=returns),
            _UNWANTED,
        ),
        (_manage(page),),
    )


def _not_begun(record: PauseRecord, begins: date, page: str) -> NoticeText:
    missed = _("Your pause of {day} did not begin, and your subscription went on.", day=begins)
    return _as_before(_("Your pause did not begin"), missed, record, page)


def _not_set(record: PauseRecord, page: str) -> NoticeText:
    missed = _("The pause that you asked for could not be set.")
    return _as_before(_("Your pause could not be set"), missed, record, page)


def _as_before(subject: Message, missed: Message, record: PauseRecord, page: str) -> NoticeText:
    charged = _("Your subscription is charged as if you had not asked for a pause.")
    return NoticeText(subject, (missed, _why(record), charged), (NoticeLink(_("Look at your subscriptions"), page),))


def _not_changed(record: PauseRecord, returns: date, page: str) -> NoticeText:
    return NoticeText(
        _("The date of return was not changed"),
        (
            CHANGE_NOT_SET,
            _why(record),
            _("Your date of return stays {day}: your subscription returns then, and is charged.", day=returns),
        ),
        (_manage(page),),
    )


def _unpaid(page: str) -> NoticeText:
    return NoticeText(
        _("Your subscription could not be charged"),
        (
            _("Your pause is over, but your subscription could not be charged."),
            _("There is no service until it is paid. You can pay, or change the payment method."),
        ),
        (NoticeLink(_("Pay, or change the payment method"), page),),
    )


def _without_payment_method(page: str) -> NoticeText:
    return NoticeText(
        _("Your subscription has no payment method"),
        (
            _("Your pause is over, but your subscription has no payment method that can be charged."),
            _("There is no service until you add one."),
        ),
        (NoticeLink(_("Add a payment method"), page),),
    )


def _manage(page: str) -> NoticeLink:
    return NoticeLink(_("Look at your pause, change it, or cancel"), page)


def _why(record: PauseRecord) -> Message:
    refusal = why_it_failed(record)
    return sentences(refusal.why, refusal.lifted_by or NOTHING)
