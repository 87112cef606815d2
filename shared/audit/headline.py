"""The report in one sentence: who is served for free, and what that costs a month."""

from shared.audit.report import Report
from shared.money import format_amounts


def headline(report: Report) -> str:
    """Say how many customers are served for free and the sum a month; never more certain than the report is."""
    sentence = _served_free(report) if report.served_free else "No customer is served for free."
    return sentence if report.complete else f"{sentence} The audit is incomplete: see its critical findings."


def count(number: int, noun: str) -> str:
    """Write a number with its noun, such as `1 customer` or `2,000 customers`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _served_free(report: Report) -> str:
    who = f"{count(report.customers_served_free, 'customer')} {'is' if report.customers_served_free == 1 else 'are'}"
    amounts = format_amounts(report.totals)
    if not amounts:
        return f"{who} served for free; how much a month is not collected cannot be known."
    if not report.unknown_amounts:
        return f"{who} served for free: {amounts} a month not collected."
    unknown = count(report.unknown_amounts, "subscription")
    return f"{who} served for free: at least {amounts} a month not collected (the amount of {unknown} cannot be known)."
