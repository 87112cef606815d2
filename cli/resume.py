"""`portal resume`: resume a pause of this deployment, or the customers whom the old portal's button left stranded."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated
from uuid import uuid4

import stripe
import typer
from stripe import StripeClient

from cli.pause import By, resume_one
from cli.paused_collection import (
    Apply,
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
from cli.terminal import LANGUAGE, Language, Rate, day, zone
from shared.errors import InvalidRequest, Unavailable, UnreadableEvent, sentence
from shared.i18n import ENGLISH, Message, _, _n, sentences, verbatim
from shared.mirror.table import SubscriptionTable
from shared.portal.pause import (
    PAUSE_BUTTON_REMOVED_ON,
    PAUSE_CUTOFF_ON,
    PauseOrigin,
    Phase,
    midnight_of,
    pause_origin,
    phase_on,
)
from shared.stripe.gateway import read_from_stripe
from shared.stripe.money import MonthlyAmount, add_amounts, monthly_amount, written_amounts
from shared.stripe.pacing import RateLimit, Retries
from shared.stripe.periods import next_invoice_at
from shared.stripe.subscription import Subscription, is_paused

if TYPE_CHECKING:
    from cli.deployment import Deployment

app = typer.Typer()


@dataclass(frozen=True, slots=True)
class PausePlan:
    """What to do with a subscription; `refusal` is the reason why nothing can be done."""

    what: Message
    do: Callable[[StripeClient, str, str], None]
    refusal: Message | None = None


@dataclass(frozen=True, slots=True)
class Planned:
    """A subscription and what to do with it."""

    subscription: Subscription
    plan: PausePlan


@dataclass(frozen=True, slots=True)
class PauseResult:
    """A subscription, what happened to it, and why or how."""

    subscription: Subscription
    outcome: PauseOutcome
    what: Message


@dataclass(frozen=True, slots=True)
class Beginning:
    """When a pause began (Unix seconds), as the mirror knows it; then or earlier unless `exact`."""

    since: int | None = None
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Calendar:
    """The moment (aware), the second from which on the old pause button was gone, and that day."""

    now: datetime
    removed_at: int
    removed_on: date


_NOT_KNOWN = _(
    "it is not known when the pause began, and so not whether the portal's button started it: find out, then name "
    "this subscription"
)


def resume_plan(
    subscription: Subscription, calendar: Calendar, beginning: Beginning, *, named: bool = False
) -> PausePlan | None:
    """Return a plan for a pause of the form that the old portal's button gave it: `void`, without an end.

    It is refused unless the dates say that the button can have started it; where they say nothing, whoever `named` the
    subscription decides.
    """
    pause = subscription.pause_collection
    of_that_form = pause is not None and pause.behavior == "void" and pause.resumes_at is None
    if not of_that_form or subscription.pause_kind != "collection" or not is_paused(subscription, calendar.now):
        return None
    origin = pause_origin(subscription, beginning.since, exact=beginning.exact, removed_at=calendar.removed_at)
    what = _("resume: unset pause_collection; {charge}", charge=_next_charge(subscription, calendar.now))
    match origin:
        case PauseOrigin.BUTTON:
            return PausePlan(what, unset)
        case PauseOrigin.NOT_BUTTON:
            later = _(
                "paused on {day} or later, not by the portal's button: the team paused it, and the team resumes it, in "
                "the Dashboard",
                day=calendar.removed_on,
            )
            return PausePlan(what, unset, later)
        case PauseOrigin.UNKNOWN:
            return PausePlan(what, unset, None if named else _NOT_KNOWN)


def will_be_charged(subscription: Subscription) -> bool:
    """Whether a resume leads to a charge: not if it ends before its next invoice, nor if there is nothing to pay."""
    invoice = next_invoice_at(subscription)
    ends_at = subscription.cancel_at
    ends_first = ends_at is not None and invoice is not None and ends_at <= invoice
    return not (subscription.cancel_at_period_end or ends_first or monthly_amount(subscription).is_zero)


def next_charge_on(subscription: Subscription, now: datetime) -> date | None:
    """Return the day (UTC) of the first invoice that is collected after a resume; `None` if that is not known."""
    invoice = next_invoice_at(subscription)
    return None if invoice is None or invoice <= now.timestamp() else datetime.fromtimestamp(invoice, UTC).date()


def _next_charge(subscription: Subscription, now: datetime) -> Message:
    if not will_be_charged(subscription):
        return _("nothing will be charged: it ends first, or its price is zero")
    amount = _monthly(monthly_amount(subscription))
    first = next_charge_on(subscription, now)
    if first is None:
        return _("the next invoice is collected, on a day that is not known; {amount}", amount=amount)
    return _("the invoice of {day} is collected; {amount}", day=first, amount=amount)


def _monthly(monthly: MonthlyAmount) -> Message:
    known = written_amounts(monthly.amounts)
    if not known:
        return _("amount unknown")
    if monthly.unknown:
        return _("at least {amounts} a month", amounts=known)
    return _("{amounts} a month", amounts=known)


@app.command()
def resume(  # noqa: PLR0913 - each an option of the command
    context: typer.Context,
    named: Named = None,
    *,
    stranded: Annotated[
        bool,
        typer.Option("--stranded", help="The customers who have been unable to resume since the cutoff."),
    ] = False,
    every: Annotated[
        bool, typer.Option("--all", help="With --apply: all whose pause began in the button's time.")
    ] = False,
    confirm: Annotated[
        int | None, typer.Option("--confirm", min=1, help="How many customers will be charged, instead of being asked.")
    ] = None,
    customer: OneCustomer = None,
    requests_per_second: Rate = 5,
    button_removed_on: Annotated[str, typer.Option(help="PAUSE_BUTTON_REMOVED_ON.")] = str(PAUSE_BUTTON_REMOVED_ON),
    cutoff_on: Annotated[str, typer.Option(help="PAUSE_CUTOFF_ON.")] = str(PAUSE_CUTOFF_ON),
    timezone: Annotated[str, typer.Option(help="The team's time zone, such as Europe/Paris.")] = "UTC",
    by: By = None,
    apply: Apply = False,
    language: Language = ENGLISH,
) -> None:
    """Resume a pause of this deployment; or customers whom the old portal's button paused and left stranded.

    A dry run unless --apply is given. --stranded takes subscriptions or --all with it, and asks before it
    charges anybody.
    """
    if not stranded:
        if not named or len(named) != 1 or every or customer is not None or confirm is not None:
            raise InvalidRequest(
                "resume_whom",
                sentence("Name one subscription whose pause is the deployment's, or add --stranded for the others"),
            )
        raise typer.Exit(resume_one(named[0], context.obj(), by=by, apply=apply, language=language))
    if apply and every == bool(named):
        raise InvalidRequest(
            "apply_to_whom",
            sentence("With --apply, name the subscriptions of the list, or add --all for all that it would resume"),
        )
    deployment: Deployment = context.obj()
    now, team = now_of(deployment), zone(timezone)
    cutoff, removed = day(cutoff_on), day(button_removed_on)
    if removed > cutoff:
        raise InvalidRequest("bad_calendar", sentence("--button-removed-on must not be later than --cutoff-on"))
    if phase_on(now.astimezone(team).date(), button_removed_on=removed, cutoff_on=cutoff) != Phase.STRANDED:
        raise InvalidRequest(
            "not_stranded",
            sentence("Until {day} customers can resume by themselves, so nobody is stranded", day=cutoff),
        )
    limit = RateLimit(requests_per_second)
    every_one = selected(deployment.operator_stripe, limit, Selection(customer, named or ()))
    paused = [each for each in every_one if each.pause_collection]
    calendar = Calendar(now, midnight_of(removed, team), removed)
    beginnings = _beginnings(deployment.mirror, Retries(limit), paused)

    def plan(subscription: Subscription) -> PausePlan | None:
        return resume_plan(subscription, calendar, beginnings.get(subscription.id, Beginning()), named=bool(named))

    today = now.astimezone(team).date()
    planned = [
        _unless_acknowledged(deployment.operator_stripe, limit, each, today) for each in _plan_each(paused, plan)
    ]
    if apply:
        _show(planned, language)
        charged = [
            each.subscription for each in planned if not each.plan.refusal and will_be_charged(each.subscription)
        ]
        _confirm(charged, now, confirm, language)
    _end_pauses(deployment.operator_stripe, limit, planned, apply=apply, language=language)


def _plan_each(
    subscriptions: Iterable[Subscription], planner: Callable[[Subscription], PausePlan | None]
) -> list[Planned]:
    """Plan all of them before anything is changed: a change must not affect a list that is being read."""
    return [Planned(each, plan) for each in subscriptions if (plan := planner(each))]


def _unless_acknowledged(client: StripeClient, limit: RateLimit, planned: Planned, today: date) -> Planned:
    """Refuse a plan for a pause that the team has acknowledged, even where it named the subscription."""
    if planned.plan.refusal:
        return planned
    refusal = acknowledged(read_raw(client, limit, planned.subscription.id), today)
    return replace(planned, plan=replace(planned.plan, refusal=refusal)) if refusal else planned


def end_pause(
    client: StripeClient, limit: RateLimit, subscription: Subscription, plan: PausePlan, *, apply: bool
) -> PauseResult:
    """Carry out a plan, unless the subscription has changed since: it is read again first.

    Raises `OperatorError` when the key has no write permission, because every other subscription would fail too.
    """
    if plan.refusal:
        return PauseResult(subscription, PauseOutcome.SKIPPED, plan.refusal)
    if not apply:
        return PauseResult(subscription, PauseOutcome.WOULD, plan.what)
    try:
        limit.wait()
        now = read_from_stripe(client, subscription.id).subscription
        if (now.status, now.pause_collection) != (subscription.status, subscription.pause_collection):
            changed = _("its pause has changed meanwhile: nothing was done")
            return PauseResult(subscription, PauseOutcome.SKIPPED, changed)
        limit.wait()
        plan.do(client, subscription.id, uuid4().hex)
    except (stripe.InvalidRequestError, Unavailable, UnreadableEvent) as error:
        return PauseResult(subscription, PauseOutcome.FAILED, _failure(error))
    return PauseResult(subscription, PauseOutcome.DONE, plan.what)


def _failure(error: stripe.InvalidRequestError | Unavailable | UnreadableEvent) -> Message:
    if isinstance(error, stripe.InvalidRequestError):
        return _("Stripe refused: {message}", message=str(error.user_message))
    return verbatim(error.message)


def unset(client: StripeClient, subscription_id: str, key: str) -> None:
    """End a pause of collection."""
    with writing():
        client.v1.subscriptions.update(subscription_id, {"pause_collection": ""}, {"idempotency_key": key})


def _show(planned: Iterable[Planned], language: str) -> None:
    """Write what would be done, before the question."""
    for each in planned:
        outcome = PauseOutcome.SKIPPED if each.plan.refusal else PauseOutcome.WOULD
        write(line_about(each.subscription, outcome, each.plan.refusal or each.plan.what), language)


def _end_pauses(
    client: StripeClient, limit: RateLimit, planned: Sequence[Planned], *, apply: bool, language: str
) -> None:
    """Carry out the plans, with a line about each and the counts; exits with 1 if one failed."""
    counts: Counter[PauseOutcome] = Counter()
    try:
        for each in planned:
            result = end_pause(client, limit, each.subscription, each.plan, apply=apply)
            counts[result.outcome] += 1
            write(line_about(each.subscription, result.outcome, result.what), language)
    finally:
        write_counts(counts, language)
    if not apply and counts[PauseOutcome.WOULD]:
        write(_("A dry run: nothing was changed. Add --apply to do it."), language)
    raise typer.Exit(int(counts[PauseOutcome.FAILED] > 0))


def _beginnings(
    mirror: SubscriptionTable, retries: Retries, subscriptions: Iterable[Subscription]
) -> dict[str, Beginning]:
    """Return what the mirror knows of these pauses; nothing if it cannot be read."""
    keys = [(each.customer_id, each.id) for each in subscriptions]
    try:
        held = retries.of(lambda: mirror.get_many(keys))
    except Unavailable as error:
        note = _("The mirror could not be read, so no pause has a known beginning: {why}", why=error.message)
        typer.echo(note.say(LANGUAGE.get()), err=True)
        return {}
    # An item of another state says nothing of the present pause.
    return {
        each.subscription.id: Beginning(each.beginnings.paused_since, each.beginnings.paused_since_exact)
        for each in held.values()
        if each.subscription.pause_kind == "collection"
    }


def charge_question(subscriptions: Sequence[Subscription], now: datetime) -> Message:
    """Say how many customers will be charged, how much, and when; all of the subscriptions lead to a charge."""
    days = sorted(filter(None, (next_charge_on(each, now) for each in subscriptions)))
    if not days:
        when = _("on days that are not known")
    elif days[0] == days[-1]:
        when = _("on {day}", day=days[0])
    else:
        when = _("from {first} to {last}", first=days[0], last=days[-1])
    monthly = [monthly_amount(each) for each in subscriptions]
    total = MonthlyAmount(
        add_amounts(each.amounts for each in monthly), tuple(reason for each in monthly for reason in each.unknown)
    )
    return sentences(
        _n(
            "{n} customer will be charged: {amount}, for the first time {when}.",
            "{n} customers will be charged: {amount}, for the first time {when}.",
            len({each.customer_id for each in subscriptions}),
            amount=_monthly(total),
            when=when,
        ),
        _("Ask your customers first: a charge that nobody expects is disputed."),
    )


def _confirm(subscriptions: Sequence[Subscription], now: datetime, confirm: int | None, language: str) -> None:
    """Ask for the number of customers who will be charged. Raises `InvalidRequest` unless it is given."""
    if not subscriptions:
        return
    customers = len({each.customer_id for each in subscriptions})
    write(charge_question(subscriptions, now), language)
    confirmed = confirmed_number(confirm, _("Type the number of customers to charge"), language)
    if confirmed != customers:
        raise InvalidRequest(
            "not_confirmed",
            sentence(
                "Nothing was changed: {confirmed} was confirmed, and {customers} would be charged",
                confirmed=confirmed,
                customers=customers,
            ),
        )
