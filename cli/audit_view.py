"""The audit's report for the terminal."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from shared.audit.headline import count, headline
from shared.audit.report import Finding, Report
from shared.money import format_amounts

_COLOUR = {"critical": "red", "warning": "yellow", "info": "blue"}


def as_text(report: Report) -> Group:
    """Lead with the sentence that matters; then what each kind of finding means, what to do, and whom it is about."""
    day = report.as_of.astimezone(report.timezone).date()
    phase = f"phase {report.phase.value}, {count(report.days_left, 'day')} to the cutoff"
    when = f"As of {day} ({report.timezone.key}): {phase}; {count(report.subscriptions_read, 'subscription')} read."
    return Group(f"[bold]{escape(headline(report))}[/bold]", when, *_groups(report))


def _groups(report: Report) -> Iterator[RenderableType]:
    groups: dict[tuple[str, ...], list[Finding]] = {}
    for finding in report.findings:
        groups.setdefault((finding.check, finding.severity.value, finding.meaning, finding.action), []).append(finding)
    for (check, severity, meaning, action), findings in groups.items():
        colour = _COLOUR[severity]
        yield f"\n[{colour}]{severity}[/{colour}] [bold]{escape(check)}[/bold]"
        yield escape(meaning)
        yield f"[bold]To do:[/bold] {escape(action)}"
        yield _subjects(findings)


def _subjects(findings: list[Finding]) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2))
    for finding in findings:
        paused = finding.paused
        if paused is None:
            table.add_row(escape(", ".join(finding.subjects)))
        else:
            since = f"since {paused.paused_since:%Y-%m-%d}" if paused.paused_since else ""
            amount = format_amounts(paused.monthly.amounts) or "amount unknown"
            table.add_row(f"{escape(paused.subscription_id)}\n{escape(paused.customer_id)}", amount, since)
    return table
