"""The audit's report for the terminal."""

from collections.abc import Iterator

from rich.console import Group
from rich.markup import escape
from rich.table import Table

from shared.audit.headline import headline
from shared.audit.report import Finding, Report
from shared.money import format_amounts

_COLOUR = {"critical": "red", "warning": "yellow", "info": "blue"}


def as_tables(report: Report) -> Group:
    """Lead with the sentence that matters, then a table per check."""
    day = report.as_of.astimezone(report.timezone).date()
    phase = f"phase {report.phase.value}, {report.days_left} days to the cutoff"
    when = f"As of {day} ({report.timezone.key}): {phase}; {report.subscriptions_read} subscriptions read."
    return Group(f"[bold]{escape(headline(report))}[/bold]", when, *_tables(report))


def _tables(report: Report) -> Iterator[Table]:
    for check in dict.fromkeys(finding.check for finding in report.findings):
        table = Table(title=check, title_justify="left", show_lines=True)
        for heading in ("severity", "what", "a month", "since", "meaning", "what to do"):
            table.add_column(heading, overflow="fold")
        for finding in report.findings:
            if finding.check == check:
                table.add_row(*_row(finding))
        yield table


def _row(finding: Finding) -> tuple[str, ...]:
    paused = finding.paused
    colour = _COLOUR[finding.severity]
    subjects = ", ".join(finding.subjects)
    return (
        f"[{colour}]{finding.severity.value}[/{colour}]",
        escape(f"{subjects} ({paused.customer_id})" if paused else subjects),
        (format_amounts(paused.monthly.amounts) or "unknown") if paused else "",
        f"{paused.paused_since:%Y-%m-%d}" if paused and paused.paused_since else "",
        escape(finding.meaning),
        escape(finding.action),
    )
