"""`portal convert`: a real pause takes the place of paused collection; what each customer will notice is shown first.

It goes through the operations of the pause function, so that what a crash interrupts is finished by its schedule.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from cli.pause import By, Operator
from cli.paused_collection import (
    Apply,
    Handled,
    Named,
    OneCustomer,
    PauseOutcome,
    PauseReport,
    Selection,
    acknowledged,
    check_whom,
    mirrored,
    now_of,
    read_raw,
    selected,
    writing,
)
from cli.terminal import ExitCode, Language, Rate, RowsFormat, day, literal
from shared.access import subscription_access
from shared.errors import Forbidden, Unavailable
from shared.i18n import ENGLISH, NOTHING, Message, _, _n, sentences, verbatim
from shared.mirror.items import MirroredSubscription
from shared.pausing.conversion import SAFE_GAP, ConversionPlan, ConversionRequest
from shared.pausing.history import Actor
from shared.pausing.operations import Outcome, PauseResult
from shared.pausing.plan import Begin
from shared.pausing.policy import PausePolicy, PauseRefusal
from shared.stripe.money import PeriodAmount, add_amounts, period_amount, written_amounts
from shared.stripe.pacing import RateLimit, Retries
from shared.stripe.periods import period_paid_before
from shared.stripe.subscription import Subscription, is_paused

if TYPE_CHECKING:
    from cli.deployment import Deployment

app = typer.Typer()

Until = Annotated[
    str | None,
    typer.Option("--until", help="The day on which they return and are charged (default: that of the collection)."),
]


@dataclass(frozen=True, slots=True)
class _Wish:
    """What is asked for all of them: a day of return, and whether paid time is given up."""

    until: date | None
    at_once: bool


@dataclass(frozen=True, slots=True)
class Conversion:
    """A subscription whose collection is paused, and what a real pause in its place would be.

    `refusals` are the reasons why there is no `plan`. `served`: whether the customer has service now, by the access
    rule; `None` if the mirror does not know the subscription.
    """

    subscription: Subscription
    request: ConversionRequest
    plan: ConversionPlan | None
    refusals: tuple[PauseRefusal, ...]
    served: bool | None

    @property
    def would(self) -> Handled:
        """What a dry run says of it."""
        return Handled(PauseOutcome.WOULD) if self.plan else Handled(PauseOutcome.SKIPPED, self.refusals)

    @property
    def first_charge(self) -> PeriodAmount | None:
        """What is charged on the day of return; `None` without one."""
        return None if self.plan is None or self.plan.resumes is None else period_amount(self.subscription)


@app.command()
def convert(  # noqa: PLR0913 - each an option of the command
    context: typer.Context,
    named: Named = None,
    *,
    until: Until = None,
    now: Annotated[
        bool, typer.Option("--now", help="Begin at once, even where the time that runs was paid; it is not credited.")
    ] = False,
    every: Annotated[bool, typer.Option("--all", help="With --apply: all that the list would convert.")] = False,
    confirm: Annotated[
        int | None, typer.Option("--confirm", min=1, help="How many will be converted, instead of being asked.")
    ] = None,
    customer: OneCustomer = None,
    requests_per_second: Rate = 5,
    by: By = None,
    apply: Apply = False,
    form: RowsFormat = "text",
    language: Language = ENGLISH,
) -> None:
    """Turn paused collection into a real pause, which stops the service too, where Stripe allows it.

    A dry run unless --apply is given, with subscriptions or --all: it shows what each customer will notice. Then it
    asks once more.
    """
    check_whom(named, every=every, apply=apply)
    returns = None if until is None else day(until)
    deployment: Deployment = context.obj()
    limit = RateLimit(requests_per_second)
    at = Operator(deployment.paced_pausing(limit), deployment, by, language)
    conversions = _plan_all(at, limit, Selection(customer, named or ()), _Wish(returns, at_once=now))
    report = PauseReport(_COLUMNS, form, language)
    if apply:
        _confirm(conversions, confirm, report, at)
        raise typer.Exit(_carry_out(conversions, report, at))
    for each in conversions:
        _add(report, each, each.would, at)
        if report.is_for_people:
            _tell_facts(each, report, at)
    report.close(apply=False)


def _plan_all(at: Operator, limit: RateLimit, selection: Selection, wish: "_Wish") -> list[Conversion]:
    """Plan all of them before anything is changed: a change must not affect a list that is being read."""
    client, now = at.deployment.operator_stripe, now_of(at.deployment)
    found = [each for each in selected(client, limit, selection) if each.pause_collection]
    known = mirrored(at.deployment, Retries(limit), found)
    return [
        _plan(subscription, known.get(subscription.id), wish, at, limit)
        for subscription in found
        if subscription.status == "paused" or is_paused(subscription, now)
    ]


def _plan(
    subscription: Subscription, item: MirroredSubscription | None, wish: "_Wish", at: Operator, limit: RateLimit
) -> Conversion:
    if subscription.pause_collection is None:
        raise AssertionError("only paused collection is converted")
    if item is not None and not item.subscription.pause_collection:
        item = None  # It says nothing of this pause.
    now = at.pausing.clock()
    request = ConversionRequest(subscription.pause_collection, wish.until, _paid_through(item), at_once=wish.at_once)
    served = None
    if item is not None:
        served = subscription_access(item, now=now, policy=at.deployment.access_policy).granted
    planned = at.pausing.plan_conversion(subscription, request, _policy(at))
    refusals = planned.refusals or tuple(_not_by_us(subscription, at, limit))
    return Conversion(subscription, request, None if refusals else planned.plan, refusals, served)


def _policy(at: Operator) -> PausePolicy:
    # `PauseAllowed` is about customers.
    return at.deployment.pause_policy.model_copy(update={"pause_allowed": "everybody"})


def _not_by_us(subscription: Subscription, at: Operator, limit: RateLimit) -> Iterator[PauseRefusal]:
    """Return what only shows where somebody looks it up: a pause of this deployment, and an acknowledged one."""
    record = at.pausing.table.get(subscription.id)
    if record and record.state.is_open and not record.is_conversion:
        yield PauseRefusal("paused_by_deployment", _("It is a pause of this deployment, and ends on its day."))
        return
    raw = read_raw(at.deployment.operator_stripe, limit, subscription.id)
    if refusal := acknowledged(raw, now_of(at.deployment).date()):
        yield refusal


def _paid_through(item: MirroredSubscription | None) -> int | None:
    """Return until when the time before the pause was paid, at the latest; `None` if that is not known."""
    if item is None or item.beginnings.paused_since is None:
        return None
    times = item.beginnings
    since = times.paused_since or 0
    return period_paid_before(item.subscription, times.paid_through, since, exact=times.paused_since_exact).latest


# What is shown.


def _tell_facts(each: Conversion, report: PauseReport, at: Operator) -> None:
    """Write what the customer will notice."""
    if each.plan is not None:
        for fact in _facts(each, each.plan, at).values():
            report.tell(verbatim(f"  {fact.say(at.language)}"))


def _what(plan: ConversionPlan | None) -> Message:
    if plan is None:
        return NOTHING
    if plan.is_paused_already:
        return _("finish: the subscription is paused already; unset pause_collection")
    return _("convert: pause the subscription, and unset pause_collection")


def _facts(each: Conversion, plan: ConversionPlan, at: Operator) -> dict[str, Message]:
    """Return what the customer will notice, by its name in JSON."""
    begins = at.time(plan.begins)
    status = (
        _("status: stays paused")
        if plan.is_paused_already
        else _("status: paused at once instead of {status}", status=each.subscription.status)
        if plan.begin is Begin.NOW
        else _("status: paused from {time} instead of {status}", time=begins, status=each.subscription.status)
    )
    return {
        "status": status,
        "service": _service(each, plan, at),
        "invoices": _INVOICES.get(each.request.seen.behavior, _OTHER_INVOICES),
        "return": _return(each, plan, at),
        "portal": _portal(plan),
        "mail": _mail(plan, at),
    }


def _service(each: Conversion, plan: ConversionPlan, at: Operator) -> Message:
    if at.deployment.access_policy.access_paused == "keep":
        return _("service: stays as it is, because AccessPaused is keep")
    if each.served is False:
        return _("service: has none, as before")
    if plan.begin is Begin.PERIOD_END:
        return _("service: ends {time}, with the time that was paid", time=at.time(plan.begins))
    paid = each.request.paid_through
    if paid is not None and paid > plan.begins:
        return _("service: ends at once, and the time that was paid until {time} is lost", time=at.time(paid))
    if each.served is None:
        return _("service: ends at once, if there is any: the mirror does not know")
    return _("service: ends at once")


_INVOICES = {
    "void": _("invoices so far: void, and stay so"),
    "keep_as_draft": _("invoices so far: stay drafts, which nothing collects; finalize or delete them yourself"),
    "mark_uncollectible": _("invoices so far: stay uncollectible, and can still be paid"),
}
_OTHER_INVOICES = _("invoices so far: stay as they are")


def _return(each: Conversion, plan: ConversionPlan, at: Operator) -> Message:
    amount = each.first_charge
    if plan.resumes is None or amount is None:
        return _("return: none; nothing is charged before somebody resumes it")
    return _(
        "return: {time}; then a new period begins, and is charged at once: {amount}",
        time=at.time(plan.resumes),
        amount=_amount(amount),
    )


def _amount(amount: PeriodAmount) -> Message:
    known = written_amounts(amount.amounts)
    if not amount.amounts:
        return _("amount unknown")
    return _("at least {amounts}", amounts=known) if amount.unknown else known


def _portal(plan: ConversionPlan) -> Message:
    if plan.resumes is None:
        return _("portal: shows the subscription as paused")
    return _(
        "portal: may offer no change of plan and no cancellation until then, because a schedule is attached; `portal "
        "pause --release` ends that, and the date of return with it"
    )


def _mail(plan: ConversionPlan, at: Operator) -> Message:
    if plan.resumes is None:
        return _("mail: none; tell the customer yourself")
    if not at.deployment.parameters.get("PauseEmailFrom"):
        return _("mail: none, because PauseEmailFrom is empty; tell the customer yourself")
    days = at.deployment.pause_policy.pause_notice_days
    if not days:
        return _("mail: one within a day, none before the return, because PauseNoticeDays is 0")
    return _n(
        "mail: one within a day, and another {n} day before the return",
        "mail: one within a day, and another {n} days before the return",
        days,
    )


# What programs get of each subscription besides; `notices` is in the JSON only.
_COLUMNS = ("begins", "resumes", "first_charge", "first_charge_complete")


def _add(report: PauseReport, each: Conversion, result: Handled, at: Operator) -> None:
    plan, amount = each.plan, each.first_charge
    report.add(
        each.subscription,
        result,
        _what(plan),
        begins=plan and plan.begins,
        resumes=plan and plan.resumes,
        first_charge=amount and {name: str(value) for name, value in amount.amounts.items()},
        first_charge_complete=amount and not amount.unknown,
        notices={name: fact.say(at.language) for name, fact in _facts(each, plan, at).items()} if plan else {},
    )


# The second confirmation.


def question(to_do: Sequence[Conversion], at: Operator) -> Message:
    """Say how many subscriptions will be paused, which are charged when and how much, and what can go wrong."""
    paused = _n(
        "{n} subscription will be paused, and its service ends as shown.",
        "{n} subscriptions will be paused, and their service ends as shown.",
        len(to_do),
    )
    timed = [each for each in to_do if each.plan and each.plan.resumes is not None]
    if not timed:
        return sentences(paused, _("None of them is charged before somebody resumes it."), _RISK)
    days = sorted(at.time(each.plan.resumes).date() for each in timed if each.plan and each.plan.resumes is not None)
    amounts = [each.first_charge for each in timed if each.first_charge]
    total = PeriodAmount(
        add_amounts(one.amounts for one in amounts), tuple(reason for one in amounts for reason in one.unknown)
    )
    when = _("on {day}", day=days[0])
    if days[0] != days[-1]:
        when = _("from {first} to {last}", first=days[0], last=days[-1])
    charged = _n(
        "{n} of them returns by itself, and is charged then: {amount}, for the first time {when}.",
        "{n} of them return by themselves, and are charged then: {amount}, for the first time {when}.",
        len(timed),
        amount=_amount(total),
        when=when,
    )
    return sentences(paused, charged, _RISK)


_RISK = _(
    "If Stripe does not pause a subscription whose collection is paused, pause_collection is unset first, at least "
    "{hours} hours before a renewal. Only if that is interrupted, and the pause function does not run before the "
    "renewal, is the subscription charged; the charge is then credited to the next invoice.",
    hours=int(SAFE_GAP.total_seconds()) // 3600,
)


def _confirm(conversions: Sequence[Conversion], given: int | None, report: PauseReport, at: Operator) -> None:
    """Ask for the number of subscriptions that will be paused. Raises `InvalidRequest` unless it is given."""
    if given is None or report.is_for_people:
        for each in conversions:
            report.preview(each.subscription, each.would, _what(each.plan))
            _tell_facts(each, report, at)
    if to_do := [each for each in conversions if each.plan]:
        report.confirm(question(to_do, at), _("Type the number of subscriptions to pause:"), len(to_do), given)


# Carrying it out.


def _carry_out(conversions: Sequence[Conversion], report: PauseReport, at: Operator) -> int:
    """Convert one after the other, and return the exit code.

    What is interrupted, by Ctrl-C too, is finished by the pause function.
    """
    actor, policy, is_stopped = at.actor, _policy(at), False
    to_do = [each for each in conversions if each.plan]
    for each in (each for each in conversions if each.plan is None):
        _add(report, each, each.would, at)
    try:
        with Console(stderr=True).status("") as progress:
            for number, each in enumerate(to_do, 1):
                so_far = _("{n} of {total}", n=number, total=len(to_do))
                progress.update(literal(so_far.say(at.language)))
                _add(report, each, _convert(each, at, actor, policy), at)
    except KeyboardInterrupt:
        is_stopped = True
    finally:
        report.close(apply=True)
    if is_stopped:
        stopped = _n(
            "Stopped: {n} was not begun, or is finished by the pause function within minutes. Run it again.",
            "Stopped: {n} were not begun, or are finished by the pause function within minutes. Run it again.",
            len(conversions) - report.counts.total(),
        )
        report.tell(stopped)
    failed = report.counts[PauseOutcome.FAILED] + report.counts[PauseOutcome.UNDERWAY]
    return ExitCode.FOUND if is_stopped or failed else 0


def _convert(each: Conversion, at: Operator, actor: Actor, policy: PausePolicy) -> Handled:
    try:
        with writing():
            result = at.pausing.convert(each.subscription.id, each.request, actor=actor, policy=policy)
    except Forbidden:
        gone = _("Stripe has no such subscription for this key any more")
        return Handled(PauseOutcome.FAILED, (PauseRefusal("no_subscription", gone),))
    except Unavailable as error:
        return Handled(PauseOutcome.FAILED, (PauseRefusal(error.code, verbatim(error.message)),))
    return _handled(result)


def _handled(result: PauseResult) -> Handled:
    record = result.record
    detail = record.failure_detail if record else None
    match result.outcome:
        case Outcome.DONE:
            return Handled(PauseOutcome.DONE)
        case Outcome.REFUSED if record is None or not record.failure:
            return Handled(PauseOutcome.SKIPPED, result.refusals)
        case Outcome.REFUSED if detail:
            refused = PauseRefusal("stripe_refused", _("Stripe refused: {message}", message=detail))
            return Handled(PauseOutcome.FAILED, (refused,))
        case Outcome.REFUSED:
            return Handled(PauseOutcome.FAILED, result.refusals)
        case _ if detail:
            later = _(
                "Stripe refused ({message}), perhaps because its collection is paused; the pause function tries it "
                "without that after the renewal that is near",
                message=detail,
            )
        case _:
            later = _("the pause function finishes it within minutes; see `portal pauses`")
    return Handled(PauseOutcome.UNDERWAY, (PauseRefusal("underway", later),))
