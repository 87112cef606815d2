"""Says in one sentence what to do today: what the worst findings ask for, and how often."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shared.audit import paused_collection, paused_status
from shared.audit.finding import Finding, Severity
from shared.audit.groups import Group, urgent
from shared.audit.registry import title_of
from shared.audit.report import Report
from shared.audit.text import NOTHING, Text, count
from shared.pause import Phase

_Task = Callable[[Sequence[Group], Report], Text]
TO_DO = Text("To do today", "À faire aujourd'hui")
_NOTHING = Text("Nothing.", "Rien.")
_NO_METHOD = frozenset({"trial_end_without_payment_method", "first_payment_failure", "final_payment_failure"})


@dataclass(frozen=True, slots=True)
class ToDo:
    """The first task, and what waits behind it."""

    first: Text
    then: Text


def to_do(groups: Sequence[Group], report: Report) -> ToDo:
    """Answer the task of the worst finding, counted over all findings that ask for the same; `groups` worst first."""
    tasks: dict[_Task, list[Group]] = {}
    for group in groups:
        severity = group.example.severity
        if severity is not Severity.INFO and severity is groups[0].example.severity:
            tasks.setdefault(_task_of(group.example), []).append(group)
    if not tasks:
        return ToDo(_NOTHING, NOTHING)
    # A pause that ends by itself waits for the others of its severity.
    first = min(tasks, key=lambda task: task is _check_the_date)
    done = tasks[first] if first is not _as_it_says else tasks[first][:1]
    rest = urgent(group for group in groups if group not in done)
    return ToDo(first(done, report), Text(f"Then: {rest.en}.", f"Ensuite : {rest.fr}.") if rest.en else NOTHING)


def _task_of(finding: Finding) -> _Task:
    facts = finding.paused
    if facts is None or finding.check not in (paused_collection.NAME, paused_status.NAME):
        return _as_it_says
    if facts.kind == "subscription":
        return _ask_for_a_payment_method if facts.cause in _NO_METHOD else _find_out_why
    if facts.resumes_at is not None:
        return _check_the_date
    return _end_what_the_button_began if facts.behavior == "void" else _end_the_pause


def _end_what_the_button_began(groups: Sequence[Group], report: Report) -> Text:
    """The old button's pauses, and those of the Dashboard and the API that look the same."""
    number, these, ceux = _subscriptions(groups)
    one = number == 1
    ask = Text(
        f"Ask the {'customer' if one else 'customers'} of {these}", f"{'le client' if one else 'les clients'} de {ceux}"
    )
    match report.phase:
        case Phase.STRANDED:
            who = "its customer" if one else "their customers"
            qui = "son client ne peut pas" if one else "leurs clients ne peuvent pas"
            return Text(
                f"Resume or cancel {these}: {who} cannot resume without you.",
                f"Reprenez ou résiliez {ceux} : {qui} reprendre les paiements sans vous.",
            )
        case Phase.RESUME_ONLY:
            left, reste = count(report.days_left, "day"), count(report.days_left, "jour", "fr")
            return Text(
                f"{ask.en} to resume in the portal within {left}.",
                f"Invitez {ask.fr} à reprendre {'ses' if one else 'leurs'} paiements dans le portail d'ici {reste}.",
            )
        case Phase.BUTTON_AVAILABLE:
            return Text(
                f"{ask.en} whether to resume or cancel.",
                f"Interrogez {ask.fr} : reprendre ou résilier ?",
            )


def _end_the_pause(groups: Sequence[Group], _report: Report) -> Text:
    _, these, ceux = _subscriptions(groups)
    return Text(
        f"Resume or cancel {these}: without you the pause has no end.",
        f"Reprenez ou résiliez {ceux} : sans vous, la suspension n'a pas de fin.",
    )


def _check_the_date(groups: Sequence[Group], _report: Report) -> Text:
    _, these, ceux = _subscriptions(groups)
    return Text(
        f"Check the date on which collection starts again for {these}.",
        f"Vérifiez la date de reprise des paiements de {ceux}.",
    )


def _ask_for_a_payment_method(groups: Sequence[Group], _report: Report) -> Text:
    number, these, ceux = _subscriptions(groups)
    return Text(
        f"Ask for a payment method that works: {these} {'is' if number == 1 else 'are'} paused without one.",
        f"Demandez un moyen de paiement valable : {ceux} en pause faute de paiement.",
    )


def _find_out_why(groups: Sequence[Group], _report: Report) -> Text:
    number, these, ceux = _subscriptions(groups)
    return Text(
        f"Find out why {these} {'is' if number == 1 else 'are'} paused.",
        f"Cherchez pourquoi {ceux} {'est' if number == 1 else 'sont'} en pause.",
    )


def _as_it_says(groups: Sequence[Group], _report: Report) -> Text:
    """The first sentence of the finding's own action, under its title."""
    worst = groups[0].example
    title = title_of(worst.check)
    return Text(f"{title.en}: {_first_sentence(worst.action.en)}", f"{title.fr} : {_first_sentence(worst.action.fr)}")


def _first_sentence(words: str) -> str:
    first, dot, _ = words.partition(". ")
    return f"{first}." if dot else first


def _subscriptions(groups: Sequence[Group]) -> tuple[int, str, str]:
    number = sum(group.size for group in groups)
    return number, count(number, "subscription"), count(number, "abonnement", "fr")
