"""`portal audit`: runs the audit now and writes its report to the terminal, or as JSON, CSV or HTML."""

import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table

from cli.terminal import ExitCode, Language, Rate, day, noon, zone
from shared.audit.check import AuditDay
from shared.audit.checks.registry import title_of
from shared.audit.findings import PausedSubscription, Severity
from shared.audit.options import options_of, parse_setting
from shared.audit.rendering.as_csv import write_csv
from shared.audit.rendering.as_html import to_html
from shared.audit.rendering.as_json import to_json
from shared.audit.rendering.page import and_more, calendar, event_lags, left_out, subscriptions_read
from shared.audit.rendering.summary import FindingGroup, bounded, groups_of, headline
from shared.audit.report import Report, ReportView
from shared.audit.scan import Sources, run_audit
from shared.i18n import ENGLISH, NOTHING, Message, _, _n, sentences
from shared.portal.pause import PAUSE_BUTTON_REMOVED_ON, PAUSE_CUTOFF_ON
from shared.stripe.money import written_amounts
from shared.stripe.pacing import RateLimit

if TYPE_CHECKING:
    from cli.deployment import Deployment


app = typer.Typer()

_MILDEST_FIRST = (Severity.INFO, Severity.WARNING, Severity.CRITICAL)
# Enough for a terminal; `--format csv` writes all of them.
ROWS = 1000
_ID_WIDTH = 32
_COLOUR = {"critical": "red", "warning": "yellow", "info": "blue"}
_TO_DO = _("To do:")
_UNKNOWN_AMOUNT = _("amount unknown")


def report_as_text(report: Report, language: str = ENGLISH) -> Group:
    """Return the headline, then each kind of finding with its subjects, most severe first."""
    opening = f"[bold]{escape(headline(report).say(language))}[/bold]"
    return Group(opening, _when(report).say(language), *_groups(report, language))


def _when(report: Report) -> Message:
    day = _(
        "As of {day} ({timezone}).",
        day=report.as_of.astimezone(report.timezone).date(),
        timezone=report.timezone.key,
    )
    return sentences(day, subscriptions_read(report), calendar(report), *event_lags(report))


def _groups(report: Report, language: str) -> Iterator[RenderableType]:
    for group in groups_of(report, ROWS):
        finding = group.example
        colour = _COLOUR[finding.severity]
        title = escape(title_of(finding.check).say(language))
        label = finding.severity.label.say(language)
        yield f"\n[{colour}]{label}[/{colour}] [bold]{title}[/bold] ({escape(finding.check)})"
        yield escape(finding.meaning.say(language))
        yield f"[bold]{_TO_DO.say(language)}[/bold] {escape(finding.action.say(language))}"
        yield _subjects(group, report, language)


def _subjects(group: FindingGroup, report: Report, language: str) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2))
    # Wide enough for an id, which people copy.
    table.add_column(min_width=_ID_WIDTH)
    for finding in group.findings:
        if finding.paused:
            table.add_row(*_paused(finding.paused, report, language))
        elif finding.subjects:
            more = and_more(finding.more, any_named=True).say(language)
            table.add_row(escape(" ".join((", ".join(finding.subjects), more)).rstrip()))
    if group.example.paused and group.size > len(group.findings):
        table.add_row(left_out(group.size - len(group.findings), shown=len(group.findings)).say(language))
    return table


def _paused(paused: PausedSubscription, report: Report, language: str) -> tuple[str, str, str]:
    since = NOTHING
    if paused.paused_since:
        day = paused.paused_since.astimezone(report.timezone).date()
        exact = paused.paused_since_is_exact
        since = _("since {day}", day=day) if exact else _("since {day} or earlier", day=day)
    monthly = paused.monthly
    amount = (
        bounded(written_amounts(monthly.amounts), low=bool(monthly.unknown), high=bool(monthly.at_most))
        if monthly.amounts
        else _UNKNOWN_AMOUNT
    )
    ids = f"{escape(paused.subscription_id)}\n{escape(paused.customer_id)}"
    return ids, amount.say(language), since.say(language)


@app.command()
def audit(  # noqa: PLR0913 - each an option of the command
    context: typer.Context,
    *,
    as_of: Annotated[str | None, typer.Option(help="The date of the audit, YYYY-MM-DD (default: today).")] = None,
    timezone: Annotated[str, typer.Option(help="The team's time zone, such as Europe/Paris.")] = "UTC",
    format: Annotated[Literal["text", "json", "csv", "html"], typer.Option(help="Output format.")] = "text",  # noqa: A002
    language: Language = ENGLISH,
    fail_on: Annotated[
        Literal["info", "warning", "critical"] | None,
        typer.Option(help="Exit with 1 if there is a finding of this severity or a more severe one."),
    ] = None,
    webhook_url: Annotated[str | None, typer.Option(help="URL of the deployment's webhook endpoint.")] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option(help="A setting of the audit other than the deployment's: MaxPauseDays=90; may be repeated."),
    ] = None,
    requests_per_second: Rate = 10,
    button_removed_on: Annotated[str, typer.Option(help="PAUSE_BUTTON_REMOVED_ON.")] = str(PAUSE_BUTTON_REMOVED_ON),
    cutoff_on: Annotated[str, typer.Option(help="PAUSE_CUTOFF_ON.")] = str(PAUSE_CUTOFF_ON),
) -> None:
    """Find paused subscriptions and other problems, with what they mean and what to do."""
    deployment: Deployment = context.obj()
    team = zone(timezone)
    options = options_of({**deployment.parameters, **dict(map(parse_setting, setting or ()))})
    now = noon(as_of, team) if as_of else datetime.fromtimestamp(deployment.clock or time.time(), UTC)
    with Console(stderr=True).status(_reading(0).say(language)) as status:
        report = run_audit(
            Sources(
                deployment.stripe,
                deployment.mirror,
                RateLimit(requests_per_second),
                deployment.uncertainty,
                deployment.retention,
                repair=False,
                allow_verified_email=deployment.allow_verified_email,
                options=options,
            ),
            AuditDay.at(now, team, button_removed_on=day(button_removed_on), cutoff_on=day(cutoff_on)),
            webhook_url=webhook_url,
            progress=lambda read: status.update(_reading(read).say(language)),
        )
    _write(ReportView(report, language, account=deployment.account, help_url=options.audit_help_url), format)
    if fail_on and fails(report, Severity(fail_on)):
        raise typer.Exit(ExitCode.FOUND)


def _reading(subscriptions: int) -> Message:
    return _n("Reading Stripe: {n} subscription", "Reading Stripe: {n} subscriptions", subscriptions)


def fails(report: Report, mildest: Severity) -> bool:
    """Whether a finding has this severity or a more severe one."""
    failing = _MILDEST_FIRST[_MILDEST_FIRST.index(mildest) :]
    return not report.severities().isdisjoint(failing)


def _write(edition: ReportView, form: str) -> None:
    report, language = edition.report, edition.language
    match form:
        case "json":
            sys.stdout.write(to_json(report, language) + "\n")
        case "csv":
            write_csv(report.paused, sys.stdout, language)
        case "html":
            sys.stdout.write(to_html(edition))
        case _:
            Console().print(report_as_text(report, language))
