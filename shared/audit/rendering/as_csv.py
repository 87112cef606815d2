"""The paused subscriptions as a spreadsheet, in columns that those of the Dashboard's export can be laid beside.

Stripe documents no columns of that export. The first block of columns has the names that public programs read from such
files; those that none of them reads are not claimed.
"""

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TextIO

from shared.audit.findings import CustomerName, Finding, ListedPause, PausedSubscription
from shared.i18n import ENGLISH, Message, _, decimal_point
from shared.stripe.money import MissedAmount, in_major_units, price_in_major_units
from shared.stripe.subscription import SubscriptionItem


@dataclass(frozen=True, slots=True)
class _Form:
    """How a language's spreadsheets write numbers and times, and what stands between their columns."""

    language: str
    point: str
    time_form: str

    @classmethod
    def of(cls, language: str) -> "_Form":
        # Translators: a time as your language's spreadsheets take it for one.
        form = _("{year}-{month}-{day} {hour}:{minute}", year="%Y", month="%m", day="%d", hour="%H", minute="%M")
        return cls(language, decimal_point(language), form.say(language))

    @property
    def delimiter(self) -> str:
        """Spreadsheets take a semicolon where the comma is the decimal point."""
        return ";" if self.point == "," else ","

    @property
    def begins_with(self) -> str:
        """A byte order mark, by which such a spreadsheet knows UTF-8; programs expect none in English."""
        return "" if self.language == ENGLISH else "\ufeff"

    def number(self, number: Decimal) -> str:
        return f"{number:f}".replace(".", self.point)

    def time(self, time: datetime | None) -> str:
        """UTC; in English as the Dashboard's export writes it."""
        return "" if time is None else time.astimezone(UTC).strftime(self.time_form)

    def say(self, messages: Iterable[Message]) -> str:
        return "; ".join(message.say(self.language) for message in messages)


_Cell = Callable[[PausedSubscription, Finding, _Form], str]

_COLUMNS: dict[str, _Cell] = {
    "id": lambda paused, *_: paused.subscription_id,
    "Customer ID": lambda paused, *_: paused.customer_id,
    "Customer Email": lambda _, finding, __: _customer(finding).email,
    "Customer Name": lambda _, finding, __: _customer(finding).name,
    "Plan": lambda paused, *_: _of_items(paused, lambda item: item.price_id or ""),
    "Product": lambda paused, *_: _of_items(paused, lambda item: item.product_id or ""),
    "Quantity": lambda paused, *_: _of_items(paused, lambda item: "" if item.quantity is None else str(item.quantity)),
    "Currency": lambda paused, *_: " + ".join(paused.monthly.amounts) or _currencies(paused),
    "Interval": lambda paused, *_: _of_items(paused, _interval),
    "Amount": lambda paused, _, form: _of_items(paused, lambda item: _price(item, form)),
    "Status": lambda paused, *_: paused.status,
    "Created (UTC)": lambda paused, _, form: form.time(paused.created),
    "Start Date (UTC)": lambda paused, _, form: form.time(paused.started),
    "Current Period Start (UTC)": lambda paused, _, form: form.time(paused.current_period_start),
    "Current Period End (UTC)": lambda paused, _, form: form.time(paused.current_period_end),
    "Trial Start (UTC)": lambda paused, _, form: form.time(paused.trial_start),
    "Trial End (UTC)": lambda paused, _, form: form.time(paused.trial_end),
    "Coupon": lambda paused, *_: " + ".join(paused.coupons),
    "Canceled At (UTC)": lambda paused, _, form: form.time(paused.canceled_at),
    "Ended At (UTC)": lambda paused, _, form: form.time(paused.ended_at),
    "Cancellation Reason": lambda paused, *_: paused.cancellation_reason,
    # From here on the columns are the audit's own.
    "Monthly Amount": lambda paused, _, form: _sums(paused.monthly.amounts, form),
    "Amount Unknown Because": lambda paused, _, form: form.say(paused.monthly.unknown),
    "Amount At Most Because": lambda paused, _, form: form.say(paused.monthly.at_most),
    "Not Collected So Far": lambda paused, _, form: _sums(paused.missed.amounts, form) if paused.missed else "",
    "Not Collected Is": lambda paused, *_: _bound(paused.missed) if paused.missed else "",
    "Served Free": lambda paused, *_: "true" if paused.served_free else "false",
    "Served Free Is Certain": lambda paused, *_: "true" if paused.free_is_certain else "false",
    "Served Free Since (UTC)": lambda paused, _, form: form.time(paused.free_since),
    "Paid Until (UTC)": lambda paused, _, form: form.time(paused.paid_until),
    "Ends At (UTC)": lambda paused, _, form: form.time(paused.ends_at),
    "Pause Kind": lambda paused, *_: paused.kind,
    "Collection Behavior": lambda paused, *_: paused.behavior or "",
    "Resumes At (UTC)": lambda paused, _, form: form.time(_resumes(paused)),
    "Paused Since (UTC)": lambda paused, _, form: form.time(paused.paused_since),
    "Paused Since Is Exact": lambda paused, *_: "true" if paused.paused_since_is_exact else "false",
    "Cause": lambda paused, *_: paused.cause or "",
    "Paused By": lambda paused, *_: _paused_by(paused),
    "Pause Reason": lambda paused, *_: (paused.set_here and paused.set_here.reason) or "",
    "Severity": lambda _, finding, __: finding.severity.value,
    "Meaning": lambda _, finding, form: form.say((finding.meaning,)),
    "Action": lambda _, finding, form: form.say((finding.action,)),
}

# What a spreadsheet takes for the beginning of a formula (OWASP, "CSV Injection"), at the beginning of a cell or after
# what a spreadsheet of another language takes for the end of one.
# The last four are the full-width forms of the first four, which East Asian editions take for the same.
_STARTS, _FORMULA = r"(^|[,;\t\r\n]\"*)", r"(?=[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20])"
_TO_MASK, _MASKED = re.compile(_STARTS + _FORMULA), re.compile(f"{_STARTS}'{_FORMULA}")


def write_csv(paused: Iterable[Finding], file: TextIO, language: str = ENGLISH) -> None:
    """Write one row per finding about a paused subscription; times are UTC, amounts in the currency's main unit.

    Numbers, times and delimiters are those of the language's spreadsheets. The columns' names are the same in every
    language, as programs read them. `file` must not translate line ends.
    """
    form = _Form.of(language)
    file.write(form.begins_with)
    writer = csv.writer(file, lineterminator="\r\n", delimiter=form.delimiter)
    writer.writerow(_COLUMNS)
    for finding in paused:
        if finding.paused:
            writer.writerow([safe_cell(cell(finding.paused, finding, form)) for cell in _COLUMNS.values()])


def read_csv(file: TextIO) -> Iterator[ListedPause]:
    """Return whom a list that `write_csv` wrote, in whatever language, is about. Raises `ValueError`, `csv.Error`."""
    header = file.readline().removeprefix("\ufeff").rstrip("\r\n")
    columns = re.split("[,;]", header)
    if "id" not in columns:
        raise ValueError("not a list of paused subscriptions: it has no column of ids")
    for row in csv.DictReader(file, columns, delimiter=";" if ";" in header else ",", restval=""):
        names = (_unsafe(row.get(name, "")) for name in ("Customer ID", "Customer Name", "Customer Email"))
        yield ListedPause(row["id"], CustomerName(*names))


def safe_cell(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula: behind an apostrophe it is shown as text."""
    return _TO_MASK.sub(r"\1'", cell)


def _unsafe(cell: str) -> str:
    return _MASKED.sub(r"\1", cell)


def _resumes(paused: PausedSubscription) -> datetime | None:
    if paused.resumes_at is None and paused.set_here:
        return paused.set_here.resumes
    return paused.resumes_at


def _paused_by(paused: PausedSubscription) -> str:
    """By whose hand, as the history has it; empty for a pause that was not set by this product."""
    known = paused.set_here
    if known is None:
        return ""
    return f"{known.actor} ({known.actor_name})" if known.actor_name else known.actor


def _customer(finding: Finding) -> CustomerName:
    return finding.customers[0] if finding.customers else CustomerName("")


def _sums(amounts: Mapping[str, Decimal], form: _Form) -> str:
    """The known part; usually one number, which a spreadsheet can add up."""
    return " + ".join(form.number(in_major_units(amount, currency)) for currency, amount in amounts.items())


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


def _price(item: SubscriptionItem, form: _Form) -> str:
    price = price_in_major_units(item.unit_amount_decimal, item.currency)
    return "" if price is None else form.number(price)
