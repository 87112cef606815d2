"""The paused subscriptions as a spreadsheet, in columns that those of the Dashboard's export can be laid beside."""

import csv
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TextIO

from shared.audit.finding import Finding, PausedSubscription
from shared.audit.text import Language
from shared.money import in_major_units

_Cell = Callable[[PausedSubscription, Finding, Language], str]

_COLUMNS: dict[str, _Cell] = {
    "id": lambda paused, *_: paused.subscription_id,
    "Customer ID": lambda paused, *_: paused.customer_id,
    "Status": lambda paused, *_: paused.status,
    "Currency": lambda paused, *_: " + ".join(paused.monthly.amounts),
    "Monthly Amount": lambda paused, *_: _amounts(paused),
    "Amount Unknown Because": lambda paused, _, language: "; ".join(
        reason.say(language) for reason in paused.monthly.unknown
    ),
    "Served Free": lambda paused, *_: "true" if paused.served_free else "false",
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
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def write_csv(paused: Iterable[Finding], file: TextIO, language: Language = "en") -> None:
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


def _amounts(paused: PausedSubscription) -> str:
    """The known part; usually one number, which a spreadsheet can add up."""
    return " + ".join(f"{in_major_units(amount, currency):f}" for currency, amount in paused.monthly.amounts.items())


def _time(time: datetime | None) -> str:
    """As the Dashboard's export writes it."""
    return "" if time is None else time.astimezone(UTC).strftime("%Y-%m-%d %H:%M")
