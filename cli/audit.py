"""`portal audit`: the nightly audit's checks, on demand."""

import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from cli import audit_view
from cli.rate import Rate
from cli.times import day, noon, zone
from shared.audit.as_csv import write_csv
from shared.audit.as_html import to_html
from shared.audit.as_json import to_json
from shared.audit.day import AuditDay
from shared.audit.finding import Severity
from shared.audit.report import Report
from shared.audit.run import run_audit
from shared.audit.sources import Sources
from shared.audit.text import Language, count
from shared.pause import PAUSE_BUTTON_REMOVED_ON, PAUSE_CUTOFF_ON
from shared.rate_limit import RateLimit

if TYPE_CHECKING:
    from cli.deployment import Deployment

app = typer.Typer()

_MILDEST_FIRST = (Severity.INFO, Severity.WARNING, Severity.CRITICAL)


@app.command()
def audit(  # noqa: PLR0913 - each an option of the command
    context: typer.Context,
    *,
    as_of: Annotated[
        str | None, typer.Option(help="The day that the audit speaks of, YYYY-MM-DD (default: today).")
    ] = None,
    timezone: Annotated[str, typer.Option(help="The team's time zone, such as Europe/Paris.")] = "UTC",
    format: Annotated[Literal["table", "json", "csv", "html"], typer.Option(help="How to write it.")] = "table",  # noqa: A002
    language: Annotated[Language, typer.Option(help="In which language.")] = "en",
    fail_on: Annotated[
        Literal["info", "warning", "critical"] | None,
        typer.Option(help="End with 1 when there is a finding of this severity or a worse one."),
    ] = None,
    webhook_url: Annotated[str | None, typer.Option(help="The deployment's own webhook endpoint.")] = None,
    requests_per_second: Rate = 10,
    button_removed_on: Annotated[str, typer.Option(help="PAUSE_BUTTON_REMOVED_ON.")] = str(PAUSE_BUTTON_REMOVED_ON),
    cutoff_on: Annotated[str, typer.Option(help="PAUSE_CUTOFF_ON.")] = str(PAUSE_CUTOFF_ON),
) -> None:
    """Find every paused subscription and what else is wrong, and say what it means and what to do."""
    deployment: Deployment = context.obj()
    team = zone(timezone)
    now = noon(as_of, team) if as_of else datetime.fromtimestamp(deployment.clock or time.time(), UTC)
    with Console(stderr=True).status("Reading Stripe") as status:
        report = run_audit(
            Sources(
                deployment.stripe,
                deployment.mirror,
                RateLimit(requests_per_second),
                deployment.uncertainty,
                deployment.retention,
                repair=False,
            ),
            AuditDay.at(now, team, button_removed_on=day(button_removed_on), cutoff_on=day(cutoff_on)),
            webhook_url=webhook_url,
            progress=lambda read: status.update(f"Reading Stripe: {count(read, 'subscription')}"),
        )
    _write(report, format, language)
    if fail_on and fails(report, Severity(fail_on)):
        raise typer.Exit(1)


def fails(report: Report, mildest: Severity) -> bool:
    """Whether a finding is of this severity or a worse one."""
    enough = _MILDEST_FIRST[_MILDEST_FIRST.index(mildest) :]
    return not report.severities().isdisjoint(enough)


def _write(report: Report, form: str, language: Language) -> None:
    match form:
        case "json":
            sys.stdout.write(to_json(report, language) + "\n")
        case "csv":
            write_csv(report.paused, sys.stdout, language)
        case "html":
            sys.stdout.write(to_html(report, language))
        case _:
            Console().print(audit_view.as_text(report, language))
