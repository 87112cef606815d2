"""The audit's report for the terminal."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from shared.audit.finding import PausedSubscription
from shared.audit.groups import Group as FindingGroup
from shared.audit.groups import groups_of
from shared.audit.headline import headline
from shared.audit.page_text import and_more, left_out
from shared.audit.registry import title_of
from shared.audit.report import Report
from shared.audit.text import NOTHING, Language, Text, count, format_date, format_number
from shared.money import format_amounts

# More than anybody reads; `--format csv` writes all.
ROWS = 1000
_COLOUR = {"critical": "red", "warning": "yellow", "info": "blue"}
_TO_DO = Text("To do:", "À faire :")
_UNKNOWN_AMOUNT = Text("amount unknown", "montant inconnu")


def as_text(report: Report, language: Language = "en") -> Group:
    """Lead with the sentence that matters; then each kind of finding, the worst first, and whom it is about."""
    opening = f"[bold]{escape(headline(report, language))}[/bold]"
    return Group(opening, _when(report).say(language), *_groups(report, language))


def _when(report: Report) -> Text:
    day, phase, zone = report.as_of.astimezone(report.timezone).date(), report.phase.value, report.timezone.key
    return Text(
        f"As of {format_date(day)} ({zone}): phase {phase}, {count(report.days_left, 'day')} to the cutoff; "
        f"{count(report.subscriptions_read, 'subscription')} read.",
        f"Au {format_date(day, 'fr')} ({zone}) : phase {phase}, {count(report.days_left, 'jour', 'fr')} avant "
        f"l'échéance ; abonnements lus : {format_number(report.subscriptions_read, 'fr')}.",
    )


def _groups(report: Report, language: Language) -> Iterator[RenderableType]:
    for group in groups_of(report, ROWS):
        finding = group.example
        colour = _COLOUR[finding.severity]
        title = escape(title_of(finding.check).say(language))
        label = finding.severity.label.say(language)
        yield f"\n[{colour}]{label}[/{colour}] [bold]{title}[/bold] ({escape(finding.check)})"
        yield escape(finding.meaning.say(language))
        yield f"[bold]{_TO_DO.say(language)}[/bold] {escape(finding.action.say(language))}"
        yield _subjects(group, report, language)


def _subjects(group: FindingGroup, report: Report, language: Language) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2))
    for finding in group.findings:
        if finding.paused:
            table.add_row(*_paused(finding.paused, report, language))
        elif finding.subjects:
            more = and_more(finding.more, any_named=True).say(language)
            table.add_row(escape(" ".join((", ".join(finding.subjects), more)).rstrip()))
    if group.example.paused and group.size > len(group.findings):
        table.add_row(left_out(group.size - len(group.findings), shown=len(group.findings)).say(language))
    return table


def _paused(paused: PausedSubscription, report: Report, language: Language) -> tuple[str, str, str]:
    since = NOTHING
    if paused.paused_since:
        day = paused.paused_since.astimezone(report.timezone).date()
        since = Text(f"since {format_date(day)}", f"depuis le {format_date(day, 'fr')}")
    amount = format_amounts(paused.monthly.amounts, language) or _UNKNOWN_AMOUNT.say(language)
    return f"{escape(paused.subscription_id)}\n{escape(paused.customer_id)}", amount, since.say(language)
