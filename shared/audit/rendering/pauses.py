"""What is said of one paused subscription, and of all that ask for the same, in the mail, a page and the terminal."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from shared.audit.acknowledgement import Acknowledgement
from shared.audit.checks.paused import EARLIER_INVOICES
from shared.audit.findings import Finding, PausedSubscription, SetHere, Severity
from shared.audit.rendering.subjects import shown
from shared.audit.rendering.summary import FindingGroup, bounded, heading_of
from shared.audit.report import Report
from shared.i18n import NOTHING, Message, _, distinct_sentences, first_sentence, listed, sentences, verbatim
from shared.pausing.history import hand
from shared.portal.pause import PauseOrigin, Phase
from shared.stripe.money import MissedAmount, MonthlyAmount, written_amounts

_NO_END = _("no end: it lasts until you end it")


@dataclass(frozen=True, slots=True)
class PauseWords:
    """The facts of one pause, in the order of the table's columns."""

    monthly: Message
    missed: Message
    since: Message
    free_since: Message
    next: Message


def pause_words(paused: PausedSubscription, report: Report) -> PauseWords:
    """Say what a pause costs, since when it lasts, and what happens next."""
    return PauseWords(
        _monthly(paused.monthly),
        _missed(paused),
        _since(paused, report),
        _free_since(paused, report),
        _next(paused, report),
    )


def _monthly(monthly: MonthlyAmount) -> Message:
    reasons = listed((*monthly.unknown, *monthly.at_most))
    if not monthly.amounts:
        return _("amount unknown ({reasons})", reasons=reasons)
    amounts = bounded(written_amounts(monthly.amounts), low=bool(monthly.unknown), high=bool(monthly.at_most))
    if reasons:
        return _("{amounts} a month ({reasons})", amounts=amounts, reasons=reasons)
    return _("{amounts} a month", amounts=amounts)


def _missed(paused: PausedSubscription) -> Message:
    missed = paused.missed
    if missed is None or (paused.monthly.unknown and not missed.amounts):
        return _("amount so far unknown") if paused.is_uncollected else NOTHING
    if not any(missed.amounts.values()):
        return NOTHING
    return _not_collected(paused, missed)


def _not_collected(paused: PausedSubscription, missed: MissedAmount) -> Message:
    amounts = bounded(written_amounts(missed.amounts), low=missed.at_least, high=missed.at_most)
    match paused.behavior:
        case "void":
            return _("{amounts} voided so far", amounts=amounts)
        case "keep_as_draft":
            return _("{amounts} in drafts so far", amounts=amounts)
        case "mark_uncollectible":
            return _("{amounts} uncollectible so far", amounts=amounts)
        case _:
            return _("{amounts} not collected so far", amounts=amounts)


def _since(paused: PausedSubscription, report: Report) -> Message:
    if paused.paused_since is None:
        return _("paused since an unknown day")
    day = paused.paused_since.astimezone(report.timezone).date()
    if paused.paused_since_is_exact:
        return _("paused since {day}", day=day)
    return _("paused since {day} or earlier", day=day)


def _free_since(paused: PausedSubscription, report: Report) -> Message:
    if paused.free_since is None:
        return NOTHING
    day = paused.free_since.astimezone(report.timezone).date()
    return _("free since {day}", day=day) if paused.free_since_is_exact else _("free since {day} or earlier", day=day)


def _next(paused: PausedSubscription, report: Report) -> Message:
    return listed(_events(paused, report)) or _end(paused, report)


def _events(paused: PausedSubscription, report: Report) -> Iterator[Message]:
    """What happens by itself, and until when nothing has to."""
    zone = report.timezone
    if paused.acknowledged:
        yield from _acknowledged(paused.acknowledged)
    if paused.paid_until:
        yield _("paid until {moment}", moment=paused.paid_until.astimezone(zone))
    if paused.status == "trialing" and paused.trial_end:
        yield _("trial until {moment}", moment=paused.trial_end.astimezone(zone))
    if paused.resumes_at:
        yield _("collects again on {moment}", moment=paused.resumes_at.astimezone(zone))
    if paused.ends_at:
        yield _("ends on {moment}", moment=paused.ends_at.astimezone(zone))
    if paused.set_here:
        yield from _set_here(paused, paused.set_here, report)


def _set_here(paused: PausedSubscription, known: SetHere, report: Report) -> Iterator[Message]:
    if known.resumes is None:
        yield _NO_END
    elif known.resumes <= report.as_of:
        yield _("was to end on {moment}", moment=known.resumes.astimezone(report.timezone))
    elif paused.kind == "subscription":
        yield _("resumes on {moment}", moment=known.resumes.astimezone(report.timezone))
    yield hand(known.actor, known.actor_name and shown(known.actor_name))
    if known.reason:
        yield _("reason {reason}", reason=known.reason)
    if known.overridden:
        yield _("the rules were overridden")


def _acknowledged(acknowledged: Acknowledgement) -> Iterator[Message]:
    if acknowledged.until is None:
        yield _("acknowledged until further notice")
    else:
        yield _("acknowledged until {day}", day=acknowledged.until)
    if acknowledged.by:
        yield _("by {name}", name=shown(acknowledged.by))
    if acknowledged.note:
        yield verbatim(shown(acknowledged.note))


def _end(paused: PausedSubscription, report: Report) -> Message:
    """Say who can end a pause that does not end by itself."""
    may_be_the_button = paused.origin in (PauseOrigin.BUTTON, PauseOrigin.UNKNOWN)
    if may_be_the_button and paused.behavior == "void" and report.phase is not Phase.STRANDED:
        return _("no end; if the portal's button paused it, the customer can still resume there")
    return _NO_END


@dataclass(frozen=True, slots=True)
class PauseTask:
    """Pauses that ask for the same: `size` counts all, `findings` are the first of them, the worst first."""

    heading: Message
    severity: Severity
    findings: tuple[Finding, ...]
    size: int


def pause_tasks(
    groups: Iterable[FindingGroup], worst_first: Iterable[Finding], report: Report
) -> tuple[PauseTask, ...]:
    """Gather the groups about paused subscriptions by what there is to do; `groups` are the worst first, too."""
    tasks: dict[Message, PauseTask] = {}
    for group in groups:
        if group.example.paused:
            heading = heading_of(group.example, report)
            task = tasks.setdefault(heading, PauseTask(heading, group.example.severity, (), 0))
            tasks[heading] = replace(task, size=task.size + group.size)
    shown_of: dict[Message, list[Finding]] = {}
    for finding in worst_first:
        shown_of.setdefault(heading_of(finding, report), []).append(finding)
    return tuple(replace(task, findings=tuple(shown_of.get(task.heading, ()))) for task in tasks.values())


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is said of the pauses under one heading, or of all where there is none."""

    heading: Message
    words: Message


_A_DRAFT = _("Resuming is for new invoices only: a draft is collected once somebody finalizes it.")
_TO_RESUME = {
    "collection": _(
        "To resume, once the customer agrees: open the subscription in the Dashboard, choose Resume payment collection."
    ),
    "subscription": _(
        "To end a real pause, once the customer agrees: open the subscription in the Dashboard, choose Resume "
        "subscription."
    ),
}
_ASK_DEVELOPERS = _(
    "Ask your developers whether the service stops for these customers: their status alone does not say that they are "
    "paused."
)


def explanations(groups: Iterable[FindingGroup], report: Report) -> tuple[Explanation, ...]:
    """Say what the pauses mean under each heading, and how to end them: each sentence once, and none about the API."""
    findings = [group.example for group in groups if group.example.paused]
    meanings: dict[Message, list[Message]] = {}
    for finding in findings:
        meanings.setdefault(heading_of(finding, report), []).append(finding.meaning)
    said: set[Message] = set()
    explained = []
    for heading, messages in meanings.items():
        fresh = [each for each in distinct_sentences(messages) if each not in said]
        said.update(fresh)
        if fresh:
            explained.append(Explanation(heading, sentences(*fresh)))
    return (*explained, *(Explanation(NOTHING, words) for words in _how_to_end(findings, report)))


def _how_to_end(findings: Iterable[Finding], report: Report) -> Iterator[Message]:
    to_end = [each.paused for each in findings if each.paused and each.severity is not Severity.INFO]
    for kind, words in _TO_RESUME.items():
        if any(paused.kind == kind for paused in to_end):
            yield words
    for behavior, words in EARLIER_INVOICES.items():
        if any(paused.kind == "collection" and paused.behavior == behavior for paused in to_end):
            yield _A_DRAFT if behavior == "keep_as_draft" else words
    if to_end and not report.service_honors_pauses:
        yield _ASK_DEVELOPERS


def details(groups: Iterable[FindingGroup], report: Report) -> Iterator[Message]:
    """Return once each what the actions say of the Dashboard and the API, which `explanations` leaves out."""
    findings = [group.example for group in groups if group.example.paused]
    said = set(_how_to_end(findings, report))
    actions = distinct_sentences(finding.action for finding in findings)
    firsts = {first_sentence(finding.action) for finding in findings}
    yield from dict.fromkeys(value for each in actions for name, value in each.values if name == "how")  # type: ignore[misc]  # each is a message
    yield from (each for each in actions if each not in said and each not in firsts)
