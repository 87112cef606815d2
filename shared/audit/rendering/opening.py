"""What a report says first: the colour, the large numbers, what makes them uncertain, and what was read."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from shared.audit.findings import Severity
from shared.audit.rendering.summary import INCOMPLETE, bounded, is_all_clear, missed_so_far
from shared.audit.report import Report, ReportView
from shared.i18n import NOTHING, Message, _, _n, duration, listed, verbatim
from shared.portal.pause import Phase
from shared.stripe.events import REPEATED_FOR
from shared.stripe.money import written_amount, written_amounts

# The first screen of a phone has room for these; the facts have all.
BIG_AMOUNTS = 3

_NOBODY = _("Nobody is served for free")
_NOBODY_KNOWN = _("No customer served for free was found")
_ALL_COLLECTED = _("No payment is kept back by a pause")


def band(report: Report) -> str:
    """Name the colour of the first lines: green only when nobody has to look."""
    if is_all_clear(report):
        return "good"
    lost = report.served_free_count or not report.complete or Severity.CRITICAL in report.severities()
    return "alarm" if lost else "attention"


def kicker(edition: ReportView) -> Message:
    """What this is, of which account mode, and of when."""
    time = edition.report.as_of.astimezone(edition.report.timezone).time()
    if edition.report.livemode is False:
        return _("Stripe audit, test mode \u00b7 {day}, {time}", day=edition.night, time=time)
    return _("Stripe audit \u00b7 {day}, {time}", day=edition.night, time=time)


@dataclass(frozen=True, slots=True)
class Figure:
    """Numbers that are read first, and what they count."""

    numbers: tuple[str, ...]
    words: str


def figures(report: Report, language: str) -> Iterator[Figure]:
    """Return the numbers that are read first."""

    def figure(numbers: Iterable[Message], words: Message = NOTHING) -> Figure:
        return Figure(tuple(number.say(language) for number in numbers), words.say(language))

    if report.service_honors_pauses:
        number, words = report.paused.customers_uncollected, _("paused")
    else:
        number = report.customers_served_free
        words = _n("is served for free", "are served for free", number)
    if not number:
        none = _ALL_COLLECTED if report.service_honors_pauses else _NOBODY
        yield figure([none if report.complete else _NOBODY_KNOWN])
        return
    customers = _n("{n} customer", "{n} customers", number)
    yield figure([bounded(customers, low=not report.complete, high=not report.free_is_certain)], words)
    if not report.totals:
        yield figure([_("Unknown amount")], _("a month not collected"))
        return
    amounts = [written_amount(amount, currency) for currency, amount in report.totals.items()]
    low = bool(report.unknown_amounts) or not report.complete
    amounts[0] = bounded(amounts[0], low=low, high=report.totals_are_highest)
    more = len(amounts) - BIG_AMOUNTS
    not_collected = _("a month not collected")
    if more > 0:
        not_collected = _n(
            "a month not collected, and {n} other currency", "a month not collected, and {n} other currencies", more
        )
    yield figure(amounts[:BIG_AMOUNTS], not_collected)


def notes(report: Report) -> Iterator[Message]:
    """Return what makes the numbers less certain than they look."""
    if not report.complete:
        yield INCOMPLETE
    if report.unknown_amounts and report.totals:
        yield _n(
            "The amount of {n} subscription is unknown.",
            "The amounts of {n} subscriptions are unknown.",
            report.unknown_amounts,
        )
    yield from after_headline(report)


def after_headline(report: Report) -> Iterator[Message]:
    """Return what the headline does not say: what is uncertain, what was lost so far, and what nobody looked at."""
    if not report.free_is_certain:
        yield _n(
            "Of {n} subscription it is not known whether the period that was paid has ended.",
            "Of {n} subscriptions it is not known whether the period that was paid has ended.",
            report.paused.uncertain,
        )
    missed = missed_so_far(report)
    if missed:
        yield missed
    if report.skips:
        yield _("Not looked at: {names}.", names=listed(map(verbatim, report.skips)))


def facts(report: Report) -> Iterator[Message]:
    """Return what was read, and what the reader of the page has to know."""
    yield subscriptions_read(report)
    if len(report.totals) > BIG_AMOUNTS:
        yield _("Not collected a month: {amounts}.", amounts=written_amounts(report.totals))
    yield calendar(report)
    yield _("Times are in {timezone}.", timezone=report.timezone.key)
    yield _("Amounts are after the subscriptions' discounts and before taxes.")
    yield from event_lags(report)


def event_lags(report: Report) -> Iterator[Message]:
    """Say how late events came and were dated, beside the window of the mirror's rule, where the mirror has seen it."""
    delivery, stamp = report.lags.delivery, report.lags.stamp
    if delivery.number:
        yield _(
            "Events reached the mirror up to {largest} after Stripe dated them ({most} for 99 %).",
            largest=duration(delivery.largest),
            most=duration(delivery.percentile(99)),
        )
    if report.lags.resent:
        yield _n(
            "Not counted: the last event of {n} subscription, which came when Stripe no longer repeats a delivery "
            "({time}): it was sent again by hand.",
            "Not counted: the last events of {n} subscriptions, which came when Stripe no longer repeats a delivery "
            "({time}): they were sent again by hand.",
            report.lags.resent,
            time=duration(int(REPEATED_FOR.total_seconds())),
        )
    if stamp.number:
        yield _(
            "Stripe dated events up to {largest} after the change ({most} for 99 %); times closer than {window} s "
            "count as unordered.",
            largest=duration(stamp.largest),
            most=duration(stamp.percentile(99)),
            window=int(report.uncertainty.total_seconds()),
        )


def subscriptions_read(report: Report) -> Message:
    """Count what was read and found."""
    return _n(
        "{n} subscription read, {paused} paused; {findings}.",
        "{n} subscriptions read, {paused} paused; {findings}.",
        report.subscriptions_read,
        paused=len(report.paused),
        findings=_n("{n} finding", "{n} findings", report.findings_count),
    )


def calendar(report: Report) -> Message:
    """Say what the old portal's pause button allows on the day of the report."""
    match report.phase:
        case Phase.BUTTON_AVAILABLE:
            removed_on = report.button_removed_on
            if report.as_of.astimezone(report.timezone).date() == removed_on - timedelta(days=1):
                return _(
                    "Today is the last day on which customers can pause with the old portal's button: it is gone "
                    "tomorrow ({day}).",
                    day=removed_on,
                )
            return _(
                "Customers can still pause and resume with the old portal's button, until it is removed on {day}.",
                day=removed_on,
            )
        case Phase.RESUME_ONLY:
            return _n(
                "The old portal's pause button is gone; customers can resume there for {n} more day.",
                "The old portal's pause button is gone; customers can resume there for {n} more days.",
                report.days_left,
            )
        case Phase.STRANDED:
            return _("Customers paused by the old portal's button can no longer resume by themselves.")
