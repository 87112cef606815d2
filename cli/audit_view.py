"""The audit's report for the terminal."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from shared.audit.finding import Finding, FindingKind, PausedSubscription
from shared.audit.headline import headline
from shared.audit.registry import title_of
from shared.audit.report import Report
from shared.audit.text import Language, Text, count, format_date, format_number
from shared.money import format_amounts

# The worst first.
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
    groups: dict[FindingKind, list[Finding]] = {}
    for finding in report.every_finding():
        groups.setdefault(finding.kind, []).append(finding)
    worst_first = sorted(groups.items(), key=lambda group: list(_COLOUR).index(group[0][1]))
    for (check, severity, meaning, action), findings in worst_first:
        colour = _COLOUR[severity]
        title = escape(title_of(check).say(language))
        yield f"\n[{colour}]{severity.label.say(language)}[/{colour}] [bold]{title}[/bold] ({escape(check)})"
        yield escape(meaning.say(language))
        yield f"[bold]{_TO_DO.say(language)}[/bold] {escape(action.say(language))}"
        yield _subjects(findings, language)


def _subjects(findings: list[Finding], language: Language) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2))
    for finding in findings:
        if finding.paused:
            table.add_row(*_paused(finding.paused, language))
        elif finding.subjects:
            table.add_row(escape(", ".join(finding.subjects)) + _more(finding).say(language))
    return table


def _more(finding: Finding) -> Text:
    if not finding.more:
        return Text("", "")
    return Text(f" and {format_number(finding.more)} more", f" et {format_number(finding.more, 'fr')} de plus")


def _paused(paused: PausedSubscription, language: Language) -> tuple[str, str, str]:
    since = Text("", "")
    if paused.paused_since:
        day = paused.paused_since.date()
        since = Text(f"since {format_date(day)}", f"depuis le {format_date(day, 'fr')}")
    amount = format_amounts(paused.monthly.amounts, language) or _UNKNOWN_AMOUNT.say(language)
    return f"{escape(paused.subscription_id)}\n{escape(paused.customer_id)}", amount, since.say(language)
