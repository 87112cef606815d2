"""The paused subscriptions as a spreadsheet, in columns that those of the Dashboard's export can be laid beside."""

import csv
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import TextIO

from shared.audit.findings import Finding, PausedSubscription
from shared.i18n import ENGLISH
from shared.stripe.money import MissedAmount, in_major_units, price_in_major_units
from shared.stripe.subscription import SubscriptionItem

_Cell = Callable[[PausedSubscription, Finding, str], str]

_COLUMNS: dict[str, _Cell] = {
    "id": lambda paused, *_: paused.subscription_id,
    "Customer ID": lambda paused, *_: paused.customer_id,
    "Plan": lambda paused, *_: _of_items(paused, lambda item: item.price_id or ""),
    "Product": lambda paused, *_: _of_items(paused, lambda item: item.product_id or ""),
    "Quantity": lambda paused, *_: _of_items(paused, lambda item: "" if item.quantity is None else str(item.quantity)),
    "Currency": lambda paused, *_: " + ".join(paused.monthly.amounts) or _currencies(paused),
    "Interval": lambda paused, *_: _of_items(paused, _interval),
    "Amount": lambda paused, *_: _of_items(paused, _price),
    "Status": lambda paused, *_: paused.status,
    "Created (UTC)": lambda paused, *_: _time(paused.created),
    "Current Period End (UTC)": lambda paused, *_: _time(paused.current_period_end),
    "Trial End (UTC)": lambda paused, *_: _time(paused.trial_end),
    "Canceled At (UTC)": lambda paused, *_: _time(paused.canceled_at),
    # From here on the columns are the audit's own.
    "Monthly Amount": lambda paused, *_: _sums(paused.monthly.amounts),
    "Amount Unknown Because": lambda paused, _, language: "; ".join(
        reason.say(language) for reason in paused.monthly.unknown
    ),
    "Amount At Most Because": lambda paused, _, language: "; ".join(
        reason.say(language) for reason in paused.monthly.at_most
    ),
    "Not Collected So Far": lambda paused, *_: _sums(paused.missed.amounts) if paused.missed else "",
    "Not Collected Is": lambda paused, *_: _bound(paused.missed) if paused.missed else "",
    "Served Free": lambda paused, *_: "true" if paused.served_free else "false",
    "Served Free Is Certain": lambda paused, *_: "true" if paused.free_is_certain else "false",
    "Served Free Since (UTC)": lambda paused, *_: _time(paused.free_since),
    "Paid Until (UTC)": lambda paused, *_: _time(paused.paid_until),
    "Ends At (UTC)": lambda paused, *_: _time(paused.ends_at),
    "Pause Kind": lambda paused, *_: paused.kind,
    "Collection Behavior": lambda paused, *_: paused.behavior or "",
    "Resumes At (UTC)": lambda paused, *_: _time(paused.resumes_at),
    "Paused Since (UTC)": lambda paused, *_: _time(paused.paused_since),
    "Paused Since Is Exact": lambda paused, *_: "true" if paused.paused_since_is_exact else "false",
    "Cause": lambda paused, *_: paused.cause or "",
    "Severity": lambda _, finding, __: finding.severity.value,
    "Meaning": lambda _, finding, language: finding.meaning.say(language),
    "Action": lambda _, finding, language: finding.action.say(language),
}

# What a spreadsheet takes for the beginning of a formula (OWASP, "CSV Injection").
# The last four are the full-width forms of the first four, which East Asian editions take for the same.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def write_csv(paused: Iterable[Finding], file: TextIO, language: str = ENGLISH) -> None:
    """Write one row per finding about a paused subscription; times are UTC, amounts in the currency's main unit.

    The columns' names are the same in every language, as programs read them. `file` must not translate line ends.
    """
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow(_COLUMNS)
    for finding in paused:
        if finding.paused:
            writer.writerow([_safe(cell(finding.paused, finding, language)) for cell in _COLUMNS.values()])


def _safe(cell: str) -> str:
    """An apostrophe in front makes a spreadsheet show the text and compute nothing."""
    return f"'{cell}" if cell.startswith(_FORMULA_STARTS) else cell


def _sums(amounts: Mapping[str, Decimal]) -> str:
    """The known part; usually one number, which a spreadsheet can add up."""
    return " + ".join(f"{in_major_units(amount, currency):f}" for currency, amount in amounts.items())


def _bound(missed: MissedAmount) -> str:
    words = {(True, True): "about", (True, False): "at least", (False, True): "at most"}
    return words.get((missed.at_least, missed.at_most), "exact")


def _of_items(paused: PausedSubscription, cell: Callable[[SubscriptionItem], str]) -> str:
    """One value for each item, in their order; most subscriptions have one."""
    cells = [cell(item) for item in paused.items]
    return " + ".join(cells) if any(cells) else ""


def _currencies(paused: PausedSubscription) -> str:
    return " + ".join(dict.fromkeys(item.currency for item in paused.items if item.currency))


def _interval(item: SubscriptionItem) -> str:
    return (item.interval or "") if item.interval_count == 1 else f"{item.interval_count} {item.interval}"


def _price(item: SubscriptionItem) -> str:
    price = price_in_major_units(item.unit_amount_decimal, item.currency)
    return "" if price is None else f"{price:f}"


def _time(time: datetime | None) -> str:
    """As the Dashboard's export writes it."""
    return "" if time is None else time.astimezone(UTC).strftime("%Y-%m-%d %H:%M")
