"""What changed since an earlier night, and the trend of the last thirty: customers, money, and subscriptions."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from shared.audit.report import PastNight, ReportView, since
from shared.i18n import NOTHING, Message, _, _n, listed, sentences, signed
from shared.stripe.money import written_amount

# More currencies than these are left to the sums.
MOST_CURRENCIES = 3
NIGHTS = 30


@dataclass(frozen=True, slots=True)
class ChangeSummary:
    """What the mail says of it. `customers`: how many more than then are served for free, `None` if that is unknown."""

    since: Message
    sums: Message
    customers: int | None
    new: tuple[str, ...]
    new_count: int
    gone: tuple[str, ...]
    gone_count: int


def what_changed(edition: ReportView) -> ChangeSummary | None:
    """Compare with the night of `edition.change`; `None` if there is none, or if tonight's audit is incomplete."""
    change = edition.change
    if change is None or not edition.report.complete:
        return None
    then = next((past for past in edition.nights if past.night == change.since and past.complete), None)
    when = since(change.since, edition.night)
    return ChangeSummary(
        when,
        _sums(edition, then, when, same_list=not change.new_count and not change.gone_count),
        edition.report.customers_served_free - then.customers_served_free if then else None,
        change.new,
        change.new_count,
        change.gone,
        change.gone_count,
    )


def _sums(edition: ReportView, then: PastNight | None, when: Message, *, same_list: bool) -> Message:
    differences = listed(_differences(edition, then)) if then else NOTHING
    if differences:
        return _("Since {when}: {differences}.", when=when, differences=differences)
    if same_list:
        return _("No change since {when}.", when=when)
    return _("Since {when}: the same sums.", when=when) if then else NOTHING


def _differences(edition: ReportView, then: PastNight) -> Iterator[Message]:
    report = edition.report
    more = report.customers_served_free - then.customers_served_free
    if more:
        yield _n("{change} customer", "{change} customers", abs(more), change=signed(more, abs(more)))
    money = {
        currency: report.totals.get(currency, Decimal(0)) - then.totals.get(currency, Decimal(0))
        for currency in sorted({*report.totals, *then.totals})
    }
    changed = [(currency, amount) for currency, amount in money.items() if amount]
    shown = changed[:MOST_CURRENCIES]
    amounts = listed(signed(amount, written_amount(abs(amount), currency)) for currency, amount in shown)
    if amounts:
        yield _("{amounts} a month", amounts=amounts)


@dataclass(frozen=True, slots=True)
class Bar:
    """One night: `eighths` of the highest, from 0; `None` for a night without an audit."""

    eighths: int | None
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Trend:
    """The nights from the first known one to this one: how many customers were served for free.

    One number, so that one row says it all; there are no bars when it was zero every night.
    """

    bars: tuple[Bar, ...]
    since: Message
    summary: Message
    money: tuple[Message, ...]


def trend_of(edition: ReportView) -> Trend | None:
    """Lay out tonight and the nights before it, the oldest first; `None` when there was none before."""
    oldest = edition.night - timedelta(days=NIGHTS - 1)
    nights = {past.night: past for past in edition.nights if oldest <= past.night < edition.night}
    if not nights:
        return None
    first = nights[min(nights)]
    days = (edition.night - first.night).days
    report = edition.report
    row = [nights.get(first.night + timedelta(days=day)) for day in range(days)]
    tonight = report.customers_served_free
    most = max(tonight, *(past.customers_served_free for past in nights.values()))
    bars = [Bar(_eighths(past.customers_served_free, most), past.complete) if past else Bar(None) for past in row]
    bars.append(Bar(_eighths(tonight, most), report.complete))
    return Trend(
        tuple(bars) if most else (),
        _("Since {night}:", night=first.night),
        sentences(_range(row, tonight), *_holes(row)),
        tuple(_money(edition, first)),
    )


def _eighths(number: int, most: int) -> int:
    """Round up, so that one customer among thousands is still seen."""
    return -(-number * 8 // most) if most else 0


def _range(row: list[PastNight | None], tonight: int) -> Message:
    numbers = [past.customers_served_free for past in row if past] + [tonight]
    least, most = min(numbers), max(numbers)
    if not most:
        return _("nobody, every night.")
    if least == most:
        return _n("{n} customer every night.", "{n} customers every night.", tonight)
    return _n(
        "{n} customer tonight; fewest {least}, most {most}.",
        "{n} customers tonight; fewest {least}, most {most}.",
        tonight,
        least=least,
        most=most,
    )


def _holes(row: list[PastNight | None]) -> Iterator[Message]:
    missing = sum(past is None for past in row)
    incomplete = sum(past is not None and not past.complete for past in row)
    if missing:
        yield _n("No audit: {n} night.", "No audit: {n} nights.", missing)
    if incomplete:
        yield _n("Incomplete: {n} night.", "Incomplete: {n} nights.", incomplete)


def _money(edition: ReportView, first: PastNight) -> Iterator[Message]:
    """Then and now, by currency; of many currencies nothing, for that is no trend that anybody sees."""
    now = edition.report.totals
    currencies = sorted({*now, *first.totals})
    if len(currencies) > MOST_CURRENCIES:
        return
    for currency in currencies:
        before, after = first.totals.get(currency, Decimal(0)), now.get(currency, Decimal(0))
        yield _(
            "{before} a month on {night}, {after} tonight.",
            before=written_amount(before, currency),
            night=first.night,
            after=written_amount(after, currency),
        )
