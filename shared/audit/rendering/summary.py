"""The report in one sentence: who is served for free, and what that costs a month."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from shared.audit.checks import paused as paused_checks
from shared.audit.checks.registry import title_of
from shared.audit.findings import Finding, FindingKind, Severity
from shared.audit.report import Report
from shared.i18n import NO_TEXT, Language, Text, count, joined
from shared.portal.pause import Phase
from shared.stripe.money import format_amounts

_NOBODY = Text("No customer is served for free.", "Aucun client ne bénéficie du service sans payer.")
INCOMPLETE = Text(
    "The audit is incomplete: see its critical findings.", "L'audit est incomplet : voir ses constats critiques."
)


def is_all_clear(report: Report) -> bool:
    """Whether nobody has to look: all was read, nobody is served for free, and no finding is worse than information."""
    return report.complete and not report.served_free_count and report.severities() <= {Severity.INFO}


def headline(report: Report, language: Language = "en") -> str:
    """Say how many customers are served for free and the sum a month; never more certain than the report is."""
    sentence = (_served_free(report) if report.served_free_count else _NOBODY).say(language)
    return sentence if report.complete else f"{sentence} {INCOMPLETE.say(language)}"


def _served_free(report: Report) -> Text:
    who = _who(report.customers_served_free)
    if not report.totals:
        return Text(
            f"{who.en}; how much a month is not collected cannot be known.",
            f"{who.fr} ; le montant mensuel non encaissé est inconnu.",
        )
    amounts = Text(format_amounts(report.totals), format_amounts(report.totals, "fr"))
    if not report.unknown_amounts:
        return Text(
            f"{who.en}: {amounts.en} a month not collected.", f"{who.fr} : {amounts.fr} par mois non encaissés."
        )
    unknown = count(report.unknown_amounts, "subscription")
    inconnus = count(report.unknown_amounts, "abonnement", "fr")
    return Text(
        f"{who.en}: at least {amounts.en} a month not collected (the amount of {unknown} cannot be known).",
        f"{who.fr} : au moins {amounts.fr} par mois non encaissés (montant inconnu pour {inconnus}).",
    )


def _who(customers: int) -> Text:
    what = served_free_words(customers)
    return Text(f"{count(customers, 'customer')} {what.en}", f"{count(customers, 'client', 'fr')} {what.fr}")


def served_free_words(customers: int) -> Text:
    """What is said of so many customers."""
    one = customers == 1
    return Text(
        f"{'is' if one else 'are'} served for free", f"{'bénéficie' if one else 'bénéficient'} du service sans payer"
    )


_MILDEST_FIRST = tuple(Severity)


@dataclass(frozen=True, slots=True)
class FindingGroup:
    """Findings of one kind: the first few of them, and how many subjects they and the others have."""

    findings: tuple[Finding, ...]
    example: Finding
    size: int


def urgent(groups: Iterable[FindingGroup]) -> Text:
    """Count the critical findings and the warnings, such as `1 critical finding and 2 warnings`; empty without any."""
    sizes: Counter[Severity] = Counter()
    for group in groups:
        # One that names nothing is about the account.
        sizes[group.example.severity] += max(group.size, 1)
    critical, warning = sizes[Severity.CRITICAL], sizes[Severity.WARNING]
    critiques = count(critical, "constat critique", "fr", plural="constats critiques")
    return joined(
        (
            Text(count(critical, "critical finding"), critiques) if critical else NO_TEXT,
            Text("and", "et") if critical and warning else NO_TEXT,
            Text(count(warning, "warning"), count(warning, "avertissement", "fr")) if warning else NO_TEXT,
        )
    )


def groups_of(report: Report, most_paused: int) -> list[FindingGroup]:
    """Group the findings: the worst severity first, of these what costs money, then other pauses, then the rest.

    At most `most_paused` findings about paused subscriptions are in the groups, the worst; all are in their sizes.
    """
    shown: dict[FindingKind, list[Finding]] = {}
    for finding in (*islice(report.paused, most_paused), *report.findings):
        shown.setdefault(finding.kind, []).append(finding)
    groups = [FindingGroup(tuple(shown.get(each.kind, ())), each, size) for each, size in report.paused.kinds()]
    known = {group.example.kind for group in groups}
    for kind, findings in shown.items():
        if kind not in known:
            groups.append(FindingGroup(tuple(findings), findings[0], sum(finding.size for finding in findings)))
    return sorted(groups, key=_rank)


def _rank(group: FindingGroup) -> tuple[int, bool, bool, int]:
    finding = group.example
    free = finding.paused is not None and finding.paused.served_free
    return (
        -_MILDEST_FIRST.index(finding.severity),
        not free,
        finding.paused is None,
        -group.size if finding.paused else 0,
    )


_Task = Callable[[Sequence[FindingGroup], Report], Text]
TO_DO = Text("To do today", "À faire aujourd'hui")
_NOTHING = Text("Nothing.", "Rien.")
_NO_METHOD = frozenset({"trial_end_without_payment_method", "first_payment_failure", "final_payment_failure"})


@dataclass(frozen=True, slots=True)
class ToDo:
    """The first task, and what waits behind it."""

    first: Text
    then: Text


def to_do(groups: Sequence[FindingGroup], report: Report) -> ToDo:
    """Return the task of the worst finding, counted over all findings that ask for the same; `groups` worst first."""
    tasks: dict[_Task, list[FindingGroup]] = {}
    for group in groups:
        severity = group.example.severity
        if severity is not Severity.INFO and severity is groups[0].example.severity:
            tasks.setdefault(_task_of(group.example), []).append(group)
    if not tasks:
        return ToDo(_NOTHING, NO_TEXT)
    # A pause that ends by itself waits for the others of its severity.
    first = min(tasks, key=lambda task: task is _check_the_date)
    done = tasks[first] if first is not _as_it_says else tasks[first][:1]
    rest = urgent(group for group in groups if group not in done)
    return ToDo(first(done, report), Text(f"Then: {rest.en}.", f"Ensuite : {rest.fr}.") if rest.en else NO_TEXT)


def _task_of(finding: Finding) -> _Task:
    facts = finding.paused
    if facts is None or finding.check not in (paused_checks.PAUSED_COLLECTION_NAME, paused_checks.PAUSED_STATUS_NAME):
        return _as_it_says
    if facts.kind == "subscription":
        return _ask_for_a_payment_method if facts.cause in _NO_METHOD else _find_out_why
    if facts.resumes_at is not None:
        return _check_the_date
    return _end_what_the_button_began if facts.behavior == "void" else _end_the_pause


def _end_what_the_button_began(groups: Sequence[FindingGroup], report: Report) -> Text:
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


def _end_the_pause(groups: Sequence[FindingGroup], _report: Report) -> Text:
    _, these, ceux = _subscriptions(groups)
    return Text(
        f"Resume or cancel {these}: without you the pause has no end.",
        f"Reprenez ou résiliez {ceux} : sans vous, la suspension n'a pas de fin.",
    )


def _check_the_date(groups: Sequence[FindingGroup], _report: Report) -> Text:
    _, these, ceux = _subscriptions(groups)
    return Text(
        f"Check the date on which collection starts again for {these}.",
        f"Vérifiez la date de reprise des paiements de {ceux}.",
    )


def _ask_for_a_payment_method(groups: Sequence[FindingGroup], _report: Report) -> Text:
    number, these, ceux = _subscriptions(groups)
    return Text(
        f"Ask for a payment method that works: {these} {'is' if number == 1 else 'are'} paused without one.",
        f"Demandez un moyen de paiement valable : {ceux} en pause faute de paiement.",
    )


def _find_out_why(groups: Sequence[FindingGroup], _report: Report) -> Text:
    number, these, ceux = _subscriptions(groups)
    return Text(
        f"Find out why {these} {'is' if number == 1 else 'are'} paused.",
        f"Cherchez pourquoi {ceux} {'est' if number == 1 else 'sont'} en pause.",
    )


def _as_it_says(groups: Sequence[FindingGroup], _report: Report) -> Text:
    """The first sentence of the finding's own action, under its title."""
    worst = groups[0].example
    title = title_of(worst.check)
    return Text(f"{title.en}: {_first_sentence(worst.action.en)}", f"{title.fr} : {_first_sentence(worst.action.fr)}")


def _first_sentence(words: str) -> str:
    first, dot, _ = words.partition(". ")
    return f"{first}." if dot else first


def _subscriptions(groups: Sequence[FindingGroup]) -> tuple[int, str, str]:
    number = sum(group.size for group in groups)
    return number, count(number, "subscription"), count(number, "abonnement", "fr")
