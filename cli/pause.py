"""`portal pause`, and `portal resume` of one subscription: the team pauses and resumes as a customer would.

Both go through the operations of the pause function, so the function's schedule follows these pauses to their end too.
"""

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.deployment import aws_client
from cli.terminal import ExitCode, Form, Format, Language, check_subscription_id, day, print_json, printable
from shared.errors import Forbidden, InvalidRequest, sentence
from shared.i18n import ENGLISH, Message, _, sentences, verbatim
from shared.pausing.history import KINDS, Actor, PauseAction, PauseRecord, PauseState
from shared.pausing.operations import Outcome, PauseResult, Pausing
from shared.pausing.plan import Begin, PausePlan, PauseRequest
from shared.pausing.policy import PauseRefusal

if TYPE_CHECKING:
    from cli.deployment import Deployment

app = typer.Typer()

# The mails, the table and the history carry it.
_LONGEST_NAME = 500

DRY_RUN = _("A dry run: nothing was changed. Add --apply to do it.")

By = Annotated[str | None, typer.Option("--by", help="Who does it (default: the caller of AWS).")]
Apply = Annotated[bool, typer.Option("--apply", help="Make the change. Without this it is a dry run.")]


@dataclass(frozen=True, slots=True)
class Operator:
    """The operations of a deployment, who carries them out, and how to write about them.

    `answer` is what programs get, if `form` is `json`.
    """

    pausing: Pausing
    deployment: "Deployment"
    by: str | None
    language: str
    form: Form = "text"
    answer: dict[str, Any] = field(default_factory=lambda: {"outcome": "nothing_to_do", "messages": []})

    @property
    def actor(self) -> Actor:
        """The team, with the name of whoever runs the command."""
        name = (self.by or "").strip() or _caller(self.deployment)
        if len(name) > _LONGEST_NAME:
            raise InvalidRequest("too_long", sentence("--by may have {most} characters", most=_LONGEST_NAME))
        return Actor("team", name)

    @property
    def timezone(self) -> tzinfo:
        """The time zone of every date."""
        return self.pausing.timezone

    def write(self, message: Message) -> None:
        """Write a line, or keep it for programs."""
        text = message.say(self.language)
        if self.form == "json":
            self.answer["messages"].append(text.strip())
        else:
            sys.stdout.write(f"{printable(text)}\n")

    def time(self, seconds: int) -> datetime:
        """Return a time as people read it."""
        return datetime.fromtimestamp(seconds, self.timezone)


def _caller(deployment: "Deployment") -> str:
    """Return who calls AWS, such as `assumed-role/Support/ada`; on the local stack, which has no STS, the user."""
    if deployment.is_local:
        return os.environ.get("USER") or "local"
    return str(aws_client("sts").get_caller_identity()["Arn"]).split(":", 5)[-1]


def _plan_lines(plan: PausePlan, at: Operator) -> Iterator[Message]:
    yield _("service until {time}", time=at.time(plan.begins))
    yield _("returns {time}", time=at.time(plan.resumes))
    yield _("next charge {time}", time=at.time(plan.next_charge))
    yield _("kind: {kind}", kind=KINDS[plan.kind])
    if plan.why_not_real:
        yield _("why not the subscription itself: {why}", why=sentences(*(each.text for each in plan.why_not_real)))
    if plan.is_moved:
        yield _("collection can only start again at a renewal, so it does not return on {day}", day=plan.asked_resume)
    if plan.unused_time == "credit":
        yield _("the unused time is credited on the next invoice")
    if plan.unused_time == "forfeit":
        yield _("the unused time is not credited")


def _record_lines(record: PauseRecord, at: Operator) -> Iterator[Message]:
    yield _("kind: {kind}", kind=KINDS[record.kind])
    yield _("service until {time}", time=at.time(record.begins))
    yield _("returns {time}", time=at.time(record.resumes))
    yield _("next charge {time}", time=at.time(record.next_charge))


def _write_lines(lines: Iterator[Message], at: Operator) -> None:
    for line in lines:
        at.write(verbatim(f"  {line.say(at.language)}"))


def _refuse(refusals: Sequence[PauseRefusal], record: PauseRecord | None, at: Operator) -> int:
    """Write why it was refused; Stripe's own words too, which are for the team."""
    at.answer.update({"outcome": Outcome.REFUSED.value, "refusals": [each.code for each in refusals]})
    for each in refusals:
        at.write(_("refused ({code}): {why}", code=each.code, why=each.words))
        if each.allowed_from is not None:
            at.write(_("possible from {time}", time=at.time(each.allowed_from)))
    if record and record.failure_detail:
        at.write(_("Stripe refused: {message}", message=record.failure_detail))
    return ExitCode.FOUND


def _conclude(result: PauseResult, done: Message, at: Operator, *, before: PauseRecord | None) -> int:
    """Write what became of a request, and return the exit code; `before` is the record that it found."""
    at.answer.update({"outcome": result.outcome.value, "pause": result.record and _facts(result.record)})
    match result.outcome:
        case Outcome.DONE:
            at.write(done)
            if result.record and result.record.state.is_open:
                _write_lines(_record_lines(result.record, at), at)
            return 0
        case Outcome.REFUSED:
            # A record that has not changed may have the failure of an earlier pause.
            return _refuse(result.refusals, None if result.record == before else result.record, at)
        case Outcome.BUSY:
            at.write(_("another change of this pause is under way: try again in a minute"))
        case Outcome.UNDERWAY if result.record and result.record.waiting:
            at.write(_("waits for {what}", what=result.record.waiting))
            if result.payment_page:
                at.write(verbatim(f"  {result.payment_page}"))
        case Outcome.UNDERWAY:
            at.write(_("under way: the pause function finishes it within minutes; see `portal pauses`"))
    return ExitCode.FOUND


def _facts(pause: PausePlan | PauseRecord) -> dict[str, Any]:
    """Return a pause for programs; times are Unix seconds."""
    times = {name: getattr(pause, name) or None for name in ("begins", "resumes", "next_charge")}
    return {"kind": pause.kind, **times}


def _dry(at: Operator, pause: PausePlan | PauseRecord) -> int:
    at.answer.update({"outcome": "dry_run", "pause": _facts(pause)})
    at.write(DRY_RUN)
    return 0


def _set(subscription: str, request: PauseRequest, at: Operator, *, apply: bool) -> int:
    # `PauseAllowed` is about customers; the other rules are the company's, and hold for the team as well.
    policy = at.deployment.pause_policy.model_copy(update={"pause_allowed": "everybody"})
    if apply:
        before = at.pausing.table.get(subscription)
        result = at.pausing.pause(subscription, request, customer=None, actor=at.actor, policy=policy)
        return _conclude(result, _("{subscription}: the pause is set", subscription=subscription), at, before=before)
    preview = at.pausing.preview(subscription, request, customer=None, policy=policy)
    if preview.planned.plan is None:
        return _refuse(preview.planned.refusals, None, at)
    record = preview.view.record
    if record and record.state.is_open:
        at.write(_("{subscription} has a pause: its date of return would be changed", subscription=subscription))
    else:
        at.write(_("{subscription} would be paused", subscription=subscription))
    _write_lines(_plan_lines(preview.planned.plan, at), at)
    return _dry(at, preview.planned.plan)


def _end(subscription: str, end: "_End", at: Operator, *, apply: bool) -> int:
    if apply and end is not _RELEASE:
        before = at.pausing.table.get(subscription)
        result = end.operation(at.pausing, subscription, customer=None, actor=at.actor)
        return _conclude(result, end.done, at, before=before)
    record = at.pausing.view(subscription, customer=None, policy=at.deployment.pause_policy).record
    can_resume = end is _RESUME and record is not None and record.outcome == PauseAction.RELEASED
    if record is None or not (record.state.is_open or can_resume):
        at.write(_("{subscription} has no pause of this deployment", subscription=subscription))
        return ExitCode.FOUND
    if end is _UNDO and at.pausing.clock() >= record.begins:
        at.write(_("the pause of {subscription} has begun: resume it instead", subscription=subscription))
        return ExitCode.FOUND
    if end is _RELEASE and record.kind == "collection":
        at.write(_("nothing to do: paused collection keeps nobody from canceling"))
        return 0
    if apply:
        result = end.operation(at.pausing, subscription, customer=None, actor=at.actor)
        is_undone = result.record is not None and result.record.outcome == PauseAction.UNDONE
        return _conclude(result, _UNDO.done if is_undone else end.done, at, before=record)
    at.write(end.would(record))
    _write_lines(_record_lines(record, at), at)
    return _dry(at, record)


def _would_resume(record: PauseRecord) -> Message:
    if not record.has_begun and record.state.is_open and record.state is not PauseState.PAUSED:
        return _("would be undone, because it has not begun; nothing is charged for that")
    if record.kind == "collection":
        return _("would return at the next renewal, which is charged: the period that runs is void")
    return _("would be resumed, and charged, at once")


def _would_release(record: PauseRecord) -> Message:
    if record.has_begun or record.state is PauseState.PAUSED:
        return _("its date of return would be given up, so that the portal can cancel it")
    return _("would be undone, because it has not begun; nothing is charged for that")


@dataclass(frozen=True, slots=True)
class _End:
    """One way to end a pause, what it would do to it, and what it says when that is done."""

    operation: Callable[..., PauseResult]
    would: Callable[[PauseRecord], Message]
    done: Message


_RESUME = _End(Pausing.resume, _would_resume, _("done"))
_UNDO = _End(Pausing.undo, lambda _record: _("would be undone; nothing is charged for that"), _("the pause is undone"))
_RELEASE = _End(
    Pausing.release,
    _would_release,
    _("the date of return is given up"),
)


@contextmanager
def _one(subscription: str, at: Operator, *, apply: bool) -> Iterator[None]:
    """Say which subscription it is that Stripe does not know, and print at last what programs get."""
    try:
        yield
    except Forbidden as error:
        raise InvalidRequest(
            "no_subscription",
            sentence("Stripe has no subscription {subscription} for this key", subscription=subscription),
        ) from error
    if at.form == "json":
        print_json(subscription=subscription, apply=apply, **at.answer)


def resume_one(subscription: str, at: Operator, *, apply: bool) -> int:
    """Resume a pause of this deployment, or say what that would do; return the exit code."""
    with _one(subscription, at, apply=apply):
        return _end(subscription, _RESUME, at, apply=apply)


@app.command()
def pause(  # noqa: PLR0913 - each an option of the command
    context: typer.Context,
    subscription: Annotated[str, typer.Argument(help="The subscription, sub_...")],
    *,
    until: Annotated[str | None, typer.Option("--until", help="The day on which it returns, YYYY-MM-DD.")] = None,
    now: Annotated[bool, typer.Option("--now", help="Begin at once, not when the paid time ends.")] = False,
    reason: Annotated[str | None, typer.Option("--reason", help="Why: a code of PauseReasons.")] = None,
    override: Annotated[
        bool, typer.Option("--override", help="Break the company's rules; the history says so.")
    ] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Undo a pause that has not begun.")] = False,
    release: Annotated[
        bool, typer.Option("--release", help="Give up the date of return, so that the portal can cancel.")
    ] = False,
    by: By = None,
    apply: Apply = False,
    form: Format = "text",
    language: Language = ENGLISH,
) -> None:
    """Pause a subscription until a day, or change its pause.

    A dry run unless --apply is given: it prints what would be.
    """
    if [until is not None, undo, release].count(True) != 1:
        raise InvalidRequest("bad_request", sentence("Add one of --until YYYY-MM-DD, --undo and --release"))
    if until is None and (now or override or reason is not None):
        raise InvalidRequest("bad_request", sentence("--now, --reason and --override need --until"))
    if reason is not None and not re.fullmatch(r"[a-z0-9_]{1,40}", reason):
        raise InvalidRequest("bad_request", sentence("--reason is a code of PauseReasons, such as too_expensive"))
    returns = None if until is None else day(until)
    check_subscription_id(subscription)
    deployment: Deployment = context.obj()
    at = Operator(deployment.pausing, deployment, by, language, form)
    with _one(subscription, at, apply=apply):
        if returns is None:
            code = _end(subscription, _UNDO if undo else _RELEASE, at, apply=apply)
        else:
            request = PauseRequest(returns, Begin.NOW if now else Begin.PERIOD_END, reason, override)
            code = _set(subscription, request, at, apply=apply)
    raise typer.Exit(code)
