"""Says what changed since an earlier night: how many customers, how much money, and which subscriptions."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from shared.audit.edition import Edition, since
from shared.audit.history import PastNight
from shared.audit.text import NOTHING, Text, count, joined, signed
from shared.money import format_amount

# More currencies than these are left to the sums.
MOST_CURRENCIES = 3


@dataclass(frozen=True, slots=True)
class Changed:
    """What the mail says of it. `customers`: how many more than then are served for free, `None` if that is unknown."""

    since: Text
    sums: Text
    customers: int | None
    new: tuple[str, ...]
    new_count: int
    gone: tuple[str, ...]
    gone_count: int


def what_changed(edition: Edition) -> Changed | None:
    """Compare with the night of `edition.change`; `None` if there is none, or if tonight's audit is incomplete."""
    change = edition.change
    if change is None or not edition.report.complete:
        return None
    then = next((past for past in edition.nights if past.night == change.since and past.complete), None)
    when = since(change.since, edition.night)
    return Changed(
        when,
        _sums(edition, then, when, same_list=not change.new_count and not change.gone_count),
        edition.report.customers_served_free - then.customers_served_free if then else None,
        change.new,
        change.new_count,
        change.gone,
        change.gone_count,
    )


def _sums(edition: Edition, then: PastNight | None, when: Text, *, same_list: bool) -> Text:
    differences = joined(_differences(edition, then), between=", ") if then else NOTHING
    if differences.en:
        return Text(f"Since {when.en}: {differences.en}.", f"Depuis {when.fr} : {differences.fr}.")
    if same_list:
        return Text(f"No change since {when.en}.", f"Aucun changement depuis {when.fr}.")
    if then:
        return Text(f"Since {when.en}: the same sums.", f"Depuis {when.fr} : mêmes totaux.")
    return NOTHING


def _differences(edition: Edition, then: PastNight) -> Iterator[Text]:
    report = edition.report
    more = report.customers_served_free - then.customers_served_free
    if more:
        yield Text(
            signed(more, count(abs(more), "customer")),
            signed(more, count(abs(more), "client", "fr")),
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
        signed(amount, format_amount(abs(amount), currency)), signed(amount, format_amount(abs(amount), currency, "fr"))
    )
