"""Says what changed since an earlier night: how many customers, how much money, and which subscriptions."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from shared.audit.report import PastNight, ReportView, since
from shared.i18n import NO_TEXT, Text, count, format_date, format_number, joined, signed_text
from shared.stripe.money import format_amount

# More currencies than these are left to the sums.
MOST_CURRENCIES = 3


@dataclass(frozen=True, slots=True)
class ChangeSummary:
    """What the mail says of it. `customers`: how many more than then are served for free, `None` if that is unknown."""

    since: Text
    sums: Text
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


def _sums(edition: ReportView, then: PastNight | None, when: Text, *, same_list: bool) -> Text:
    differences = joined(_differences(edition, then), between=", ") if then else NO_TEXT
    if differences.en:
        return Text(f"Since {when.en}: {differences.en}.", f"Depuis {when.fr} : {differences.fr}.")
    if same_list:
        return Text(f"No change since {when.en}.", f"Aucun changement depuis {when.fr}.")
    if then:
        return Text(f"Since {when.en}: the same sums.", f"Depuis {when.fr} : mêmes totaux.")
    return NO_TEXT


def _differences(edition: ReportView, then: PastNight) -> Iterator[Text]:
    report = edition.report
    more = report.customers_served_free - then.customers_served_free
    if more:
        yield Text(
            signed_text(more, count(abs(more), "customer")),
            signed_text(more, count(abs(more), "client", "fr")),
        )
    money = {
        currency: report.totals.get(currency, Decimal(0)) - then.totals.get(currency, Decimal(0))
        for currency in sorted({*report.totals, *then.totals})
    }
    changed = [(currency, amount) for currency, amount in money.items() if amount]
    amounts = joined((_signed(amount, currency) for currency, amount in changed[:MOST_CURRENCIES]), between=", ")
    if amounts.en:
        yield Text(f"{amounts.en} a month", f"{amounts.fr} par mois")


def _signed(amount: Decimal, currency: str) -> Text:
    return Text(
        signed_text(amount, format_amount(abs(amount), currency)),
        signed_text(amount, format_amount(abs(amount), currency, "fr")),
    )


NIGHTS = 30


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
    since: Text
    summary: Text
    money: tuple[Text, ...]


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
        Text(f"Since {format_date(first.night)}:", f"Depuis le {format_date(first.night, 'fr')} :"),
        joined((_range(row, tonight), _holes(row))),
        tuple(_money(edition, first)),
    )


def _eighths(number: int, most: int) -> int:
    """Round up, so that one customer among thousands is still seen."""
    return -(-number * 8 // most) if most else 0


def _range(row: list[PastNight | None], tonight: int) -> Text:
    numbers = [past.customers_served_free for past in row if past] + [tonight]
    least, most = min(numbers), max(numbers)
    if not most:
        return Text("nobody, every night.", "personne, chaque nuit.")
    if least == most:
        return Text(
            f"{count(tonight, 'customer')} every night.",
            f"{count(tonight, 'client', 'fr')} chaque nuit.",
        )
    return Text(
        f"{count(tonight, 'customer')} tonight; fewest {format_number(least)}, most {format_number(most)}.",
        f"{count(tonight, 'client', 'fr')} cette nuit ; minimum {format_number(least, 'fr')}, "
        f"maximum {format_number(most, 'fr')}.",
    )


def _holes(row: list[PastNight | None]) -> Text:
    missing = sum(past is None for past in row)
    half = sum(past is not None and not past.complete for past in row)
    return joined(
        (
            Text(f"No audit: {count(missing, 'night')}.", f"Sans audit : {count(missing, 'nuit', 'fr')}.")
            if missing
            else NO_TEXT,
            Text(f"Incomplete: {count(half, 'night')}.", f"Audit incomplet : {count(half, 'nuit', 'fr')}.")
            if half
            else NO_TEXT,
        )
    )


def _money(edition: ReportView, first: PastNight) -> Iterator[Text]:
    """Then and now, by currency; of many currencies nothing, for that is no trend that anybody sees."""
    now = edition.report.totals
    currencies = sorted({*now, *first.totals})
    if len(currencies) > MOST_CURRENCIES:
        return
    for currency in currencies:
        before, after = first.totals.get(currency, Decimal(0)), now.get(currency, Decimal(0))
        yield Text(
            f"{format_amount(before, currency)} a month on {format_date(first.night)}, "
            f"{format_amount(after, currency)} tonight.",
            f"{format_amount(before, currency, 'fr')} par mois le {format_date(first.night, 'fr')}, "
            f"{format_amount(after, currency, 'fr')} cette nuit.",
        )
