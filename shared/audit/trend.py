"""The last thirty nights as bars, which a reader sees at once and a screen reader hears as one sentence."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from shared.audit.changed import MOST_CURRENCIES
from shared.audit.edition import Edition
from shared.audit.history import PastNight
from shared.audit.text import NOTHING, Text, count, format_date, format_number, joined
from shared.money import format_amount

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


def trend_of(edition: Edition) -> Trend | None:
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
            else NOTHING,
            Text(f"Incomplete: {count(half, 'night')}.", f"Audit incomplet : {count(half, 'nuit', 'fr')}.")
            if half
            else NOTHING,
        )
    )


def _money(edition: Edition, first: PastNight) -> Iterator[Text]:
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
