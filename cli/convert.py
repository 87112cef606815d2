"""`portal convert`: a real pause takes the place of paused collection; what each customer will notice is shown first.

It goes through the operations of the pause function, so that what a crash interrupts is finished by its schedule.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from cli.pause import By, Operator
from cli.paused_collection import (
    Named,
    OneCustomer,
    PauseOutcome,
    Selection,
    acknowledged,
    confirmed_number,
    line_about,
    now_of,
    read_raw,
    selected,
    write,
    write_counts,
    writing,
)
from cli.terminal import ExitCode, Format, Language, Rate, day, literal, print_json
from shared.access import subscription_access
from shared.errors import Forbidden, InvalidRequest, Unavailable, sentence
from shared.i18n import ENGLISH, Message, _, _n, sentences, verbatim
from shared.mirror.items import MirroredSubscription
from shared.pausing.conversion import ConversionPlan, ConversionRequest
from shared.pausing.history import Actor, PauseRecord
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
    apply: Annotated[bool, typer.Option("--apply", help="Convert them. Without this it is a dry run.")] = False,
    form: Format = "text",
    language: Language = ENGLISH,
) -> None:
    """Turn paused collection into a real pause, which stops the service too, where Stripe allows it.

    A dry run unless --apply is given, with subscriptions or --all: it shows what each customer will notice. Then it
    asks once more.
    """
    if apply and every == bool(named):
        raise InvalidRequest(
            "apply_to_whom",
            sentence("With --apply, name the subscriptions of the list, or add --all for all that it would convert"),
        )
    if form == "json" and apply and confirm is None:
        raise InvalidRequest("bad_request", sentence("--format json asks nothing: give the number with --confirm"))
    returns = None if until is None else day(until)
    deployment: Deployment = context.obj()
    limit = RateLimit(requests_per_second)
    at = Operator(deployment.paced_pausing(limit), deployment, by, language)
    conversions = _plan_all(at, limit, Selection(customer, named or ()), _Wish(returns, at_once=now))
    to_do = [each for each in conversions if each.plan]
    if form == "text":
        for each in conversions:
            _show(each, at)
    if not apply:
        outcomes = [PauseOutcome.WOULD if each.plan else PauseOutcome.SKIPPED for each in conversions]
        if form == "json":
            _write_json(zip(conversions, outcomes, strict=True), at)
        else:
            write_counts(Counter(outcomes), language)
            if to_do:
                write(_("A dry run: nothing was changed. Add --apply to do it."), language)
        return
    _confirm(to_do, confirm, at, quiet=form == "json")
    raise typer.Exit(_Run(at, conversions, is_json=form == "json").carry_out())


def _plan_all(at: Operator, limit: RateLimit, selection: Selection, wish: "_Wish") -> list[Conversion]:
    """Plan all of them before anything is changed: a change must not affect a list that is being read."""
    client, now = at.deployment.operator_stripe, now_of(at.deployment)
    found = [each for each in selected(client, limit, selection) if each.pause_collection]
    known = _mirrored(at.deployment, Retries(limit), found, at.language)
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
    if why := acknowledged(raw, now_of(at.deployment).date()):
        yield PauseRefusal("acknowledged", why)


def _mirrored(
    deployment: "Deployment", retries: Retries, found: Iterable[Subscription], language: str
) -> Mapping[str, MirroredSubscription]:
    """Return what the mirror has of these pauses; nothing if it cannot be read."""
    keys = [(each.customer_id, each.id) for each in found]
    try:
        held = retries.of(lambda: deployment.mirror.get_many(keys))
    except Unavailable as error:
        said = _("The mirror could not be read, so nobody's paid time is known: {error}", error=error.message)
        typer.echo(said.say(language), err=True)
        return {}
    return {each.subscription.id: each for each in held.values() if each.subscription.pause_collection}


def _paid_through(item: MirroredSubscription | None) -> int | None:
    """Return until when the time before the pause was paid, at the latest; `None` if that is not known."""
    if item is None or item.beginnings.paused_since is None:
        return None
    times = item.beginnings
    since = times.paused_since or 0
    return period_paid_before(item.subscription, times.paid_through, since, exact=times.paused_since_exact).latest


# What is shown.


def _show(each: Conversion, at: Operator) -> None:
    """Write what the customer will notice, or why nothing can be done."""
    if each.plan is None:
        _line(each, PauseOutcome.SKIPPED, sentences(*(_words(one) for one in each.refusals)), at)
        return
    _line(each, PauseOutcome.WOULD, _what(each.plan), at)
    for fact in _facts(each, each.plan, at).values():
        write(verbatim(f"  {fact.say(at.language)}"), at.language)


def _words(refusal: PauseRefusal) -> Message:
    return sentences(refusal.why, refusal.lifted_by) if refusal.lifted_by else refusal.why


def _line(each: Conversion, outcome: PauseOutcome, what: Message, at: Operator) -> None:
    write(line_about(each.subscription, outcome, what), at.language)


def _what(plan: ConversionPlan) -> Message:
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


def _write_json(rows: Iterable[tuple[Conversion, PauseOutcome]], at: Operator) -> None:
    print_json(subscriptions=[_as_json(each, outcome, at) for each, outcome in rows])


def _as_json(each: Conversion, outcome: PauseOutcome, at: Operator) -> dict[str, Any]:
    plan, amount = each.plan, each.first_charge
    return {
        "subscription": each.subscription.id,
        "customer": each.subscription.customer_id,
        "outcome": outcome.value,
        "reasons": [{"code": one.code, "detail": _words(one).say(at.language)} for one in each.refusals],
        "begins": plan and plan.begins,
        "resumes": plan and plan.resumes,
        "first_charge": amount and {name: str(value) for name, value in amount.amounts.items()},
        "first_charge_complete": amount and not amount.unknown,
        "notices": {name: fact.say(at.language) for name, fact in _facts(each, plan, at).items()} if plan else {},
    }


# The second confirmation.


def question(to_do: Sequence[Conversion], at: Operator) -> Message:
    """Say how many subscriptions will be paused, and which of them will be charged when, and how much."""
    paused = _n(
        "{n} subscription will be paused, and its service ends as shown.",
        "{n} subscriptions will be paused, and their service ends as shown.",
        len(to_do),
    )
    timed = [each for each in to_do if each.plan and each.plan.resumes is not None]
    if not timed:
        return sentences(paused, _("None of them is charged before somebody resumes it."))
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
    return sentences(paused, charged)


def _confirm(to_do: Sequence[Conversion], confirm: int | None, at: Operator, *, quiet: bool) -> None:
    """Ask for the number of subscriptions that will be paused. Raises `InvalidRequest` unless it is given."""
    if not to_do:
        return
    if not quiet:
        write(question(to_do, at), at.language)
    confirmed = confirmed_number(confirm, _("Type the number of subscriptions to pause"), at.language)
    if confirmed != len(to_do):
        raise InvalidRequest(
            "not_confirmed",
            sentence(
                "Nothing was changed: {confirmed} was confirmed, and {number} would be paused",
                confirmed=confirmed,
                number=len(to_do),
            ),
        )


# Carrying it out.


class _Run:
    """Converts one after the other, and says what became of each."""

    def __init__(self, at: Operator, conversions: Sequence[Conversion], *, is_json: bool) -> None:
        self._at = at
        self._conversions = conversions
        self._is_json = is_json
        self._rows: list[tuple[Conversion, PauseOutcome]] = []

    def carry_out(self) -> int:
        """Return the exit code. What is interrupted, by Ctrl-C too, is finished by the pause function."""
        actor, policy, is_stopped = self._at.actor, _policy(self._at), False
        to_do = [each for each in self._conversions if each.plan]
        self._rows = [(each, PauseOutcome.SKIPPED) for each in self._conversions if each.plan is None]
        try:
            with Console(stderr=True).status("") as progress:
                for number, each in enumerate(to_do, 1):
                    so_far = _("{n} of {total}", n=number, total=len(to_do))
                    progress.update(literal(so_far.say(self._at.language)))
                    self._convert(each, actor, policy)
        except KeyboardInterrupt:
            is_stopped = True
        finally:
            self._conclude(len(to_do), is_stopped=is_stopped)
        failed = {PauseOutcome.FAILED, PauseOutcome.UNDERWAY}
        return int(is_stopped or any(outcome in failed for _each, outcome in self._rows)) * ExitCode.FOUND

    def _convert(self, each: Conversion, actor: Actor, policy: PausePolicy) -> None:
        try:
            with writing():
                result = self._at.pausing.convert(each.subscription.id, each.request, actor=actor, policy=policy)
        except Forbidden:
            self._say(each, PauseOutcome.FAILED, _("Stripe has no such subscription for this key any more"))
        except Unavailable as error:
            self._say(each, PauseOutcome.FAILED, verbatim(error.message))
        else:
            outcome, what = _result(result, each)
            self._say(each, outcome, what)

    def _say(self, each: Conversion, outcome: PauseOutcome, what: Message) -> None:
        self._rows.append((each, outcome))
        if not self._is_json:
            _line(each, outcome, what, self._at)

    def _conclude(self, asked: int, *, is_stopped: bool) -> None:
        if self._is_json:
            _write_json(self._rows, self._at)
            return
        write_counts(Counter(outcome for _each, outcome in self._rows), self._at.language)
        left = asked - sum(each.plan is not None for each, _outcome in self._rows)
        if is_stopped:
            write(
                _n(
                    "Stopped: {n} was not begun, or is finished by the pause function within minutes. Run it again.",
                    "Stopped: {n} were not begun, or are finished by the pause function within minutes. Run it again.",
                    left,
                ),
                self._at.language,
            )


def _result(result: PauseResult, each: Conversion) -> tuple[PauseOutcome, Message]:
    record = result.record
    match result.outcome:
        case Outcome.DONE:
            return PauseOutcome.DONE, _what(each.plan) if each.plan else verbatim("")
        case Outcome.REFUSED if record is None or not record.failure:
            return PauseOutcome.SKIPPED, sentences(*(_words(one) for one in result.refusals))
        case Outcome.REFUSED:
            return PauseOutcome.FAILED, _failure(result, record)
        case _ if record and record.failure_detail:
            return PauseOutcome.UNDERWAY, _(
                "Stripe refused ({message}), perhaps because its collection is paused; the pause function tries it "
                "without that after the renewal that is near",
                message=record.failure_detail,
            )
        case _:
            return PauseOutcome.UNDERWAY, _("the pause function finishes it within minutes; see `portal pauses`")


def _failure(result: PauseResult, record: PauseRecord | None) -> Message:
    if record and record.failure_detail:
        return _("Stripe refused: {message}", message=record.failure_detail)
    return sentences(*(_words(one) for one in result.refusals))
