"""`portal audit`: runs the audit now and writes its report to the terminal, or as JSON, CSV or HTML."""

import sys
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import zip_longest
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console, Group, RenderableType
from rich.table import Table

from cli.terminal import ExitCode, Language, Rate, day, literal, noon, zone
from shared.audit.check import AuditDay
from shared.audit.checks.registry import title_of
from shared.audit.findings import CustomerName, Finding, PausedSubscription, Severity
from shared.audit.options import options_of, parse_setting
from shared.audit.rendering.as_csv import write_csv
from shared.audit.rendering.as_html import to_html
from shared.audit.rendering.as_json import to_json
from shared.audit.rendering.opening import after_headline, calendar, event_lags, subscriptions_read
from shared.audit.rendering.pauses import pause_words
from shared.audit.rendering.subjects import and_more, left_out
from shared.audit.rendering.summary import FindingGroup, groups_of, headline
from shared.audit.report import Report, ReportView
from shared.audit.scan import Sources, run_audit
from shared.i18n import ENGLISH, Message, _, _n, sentences
from shared.portal.pause import PAUSE_BUTTON_REMOVED_ON, PAUSE_CUTOFF_ON
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


def report_as_text(edition: ReportView) -> Group:
    """Return the headline, then each kind of finding with its subjects, most severe first."""
    report, language = edition.report, edition.language
    opening = f"[bold]{literal(headline(report).say(language))}[/bold]"
    notes = (literal(note.say(language)) for note in after_headline(report))
    return Group(opening, *notes, literal(_when(report).say(language)), *_groups(edition))


def _when(report: Report) -> Message:
    day = _(
        "As of {day} ({timezone}).",
        day=report.as_of.astimezone(report.timezone).date(),
        timezone=report.timezone.key,
    )
    return sentences(day, subscriptions_read(report), calendar(report), *event_lags(report))


def _groups(edition: ReportView) -> Iterator[RenderableType]:
    language = edition.language
    for group in groups_of(edition.report, ROWS):
        finding = group.example
        colour = _COLOUR[finding.severity]
        title = literal(title_of(finding.check).say(language))
        label = literal(finding.severity.label.say(language))
        yield f"\n[{colour}]{label}[/{colour}] [bold]{title}[/bold] ({literal(finding.check)})"
        yield literal(finding.meaning.say(language))
        yield f"[bold]{_TO_DO.say(language)}[/bold] {literal(finding.action.say(language))}"
        yield _pauses(group, edition) if finding.paused else _subjects(group, edition)


def _pauses(group: FindingGroup, edition: ReportView) -> Table:
    """Whom and which, what it costs, and since when and until when, as the mail says it."""
    table = Table(box=None, show_header=False, padding=(0, 1), expand=True)
    # An id is copied, so it stays whole; the other columns share the rest of the line.
    table.add_column(width=_ID_WIDTH, overflow="fold")
    table.add_column(ratio=2, overflow="fold")
    table.add_column(ratio=3, overflow="fold")
    for finding in group.findings:
        if finding.paused:
            table.add_row(*_pause(finding, finding.paused, edition))
    if group.size > len(group.findings):
        left = left_out(group.size - len(group.findings), shown=len(group.findings))
        table.add_row(literal(left.say(edition.language)))
    return table


def _pause(finding: Finding, paused: PausedSubscription, edition: ReportView) -> tuple[str, str, str]:
    words = pause_words(paused, edition.report)
    who = [f"[bold]{literal(each)}[/bold]" for each in _person(finding.customers[0])] if finding.customers else []
    return (
        "\n".join([*who, literal(paused.subscription_id), literal(paused.customer_id)]),
        _lines((words.monthly, words.missed), edition),
        _lines((words.since, words.free_since, words.next), edition),
    )


def _person(customer: CustomerName) -> tuple[str, ...]:
    return tuple(filter(None, (customer.name, customer.email)))


def _lines(messages: Iterable[Message], edition: ReportView) -> str:
    return "\n".join(literal(each.say(edition.language)) for each in messages if each)


def _subjects(group: FindingGroup, edition: ReportView) -> Table:
    """One line for each subject, with its customer and what is said of it."""
    table = Table(box=None, show_header=False, padding=(0, 1))
    table.add_column(min_width=_ID_WIDTH, overflow="fold")
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    for finding in group.findings:
        for subject, customer, note in zip_longest(finding.subjects, finding.customers, finding.notes):
            said = _lines((note,), edition) if note else ""
            table.add_row(literal(subject), literal(", ".join(_person(customer))) if customer else "", said)
        if finding.subjects and finding.more:
            table.add_row(literal(and_more(finding.more, any_named=True).say(edition.language)))
    return table


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
    """Run the audit's checks now and print the report.

    It finds paused subscriptions and other problems, and says what they mean and what to do.
    """
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
                pauses=deployment.pauses if deployment.has_pauses else None,
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
            Console().print(report_as_text(edition))
