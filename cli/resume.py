"""`portal resume`: resume a pause of this deployment, or the customers whom the old portal's button left stranded."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated
from uuid import uuid4

import stripe
import typer
from stripe import StripeClient

from cli.pause import By, Operator, resume_one
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
from cli.terminal import ExitCode, Language, Rate, RowsForm, check_subscription_id, day, zone
from shared.errors import InvalidRequest, Unavailable, UnreadableEvent, sentence
from shared.i18n import ENGLISH, Message, _, _n, sentences, verbatim
from shared.mirror.items import MirroredSubscription
from shared.pausing.policy import PauseRefusal
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
    refusal: PauseRefusal | None = None

    @property
    def would(self) -> Handled:
        """What a dry run says of it."""
        return Handled(PauseOutcome.SKIPPED, (self.refusal,)) if self.refusal else Handled(PauseOutcome.WOULD)


@dataclass(frozen=True, slots=True)
class Planned:
    """A subscription, since when it is paused, and what to do with it."""

    subscription: Subscription
    beginning: "Beginning"
    plan: PausePlan

    @property
    def leads_to_charge(self) -> bool:
        """Whether somebody is charged if this is carried out."""
        return self.plan.refusal is None and will_be_charged(self.subscription)


@dataclass(frozen=True, slots=True)
class Beginning:
    """When a pause began (Unix seconds), as the mirror knows it; then or earlier unless `exact`."""

    since: int | None = None
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Calendar:
    """The moment in the team's time zone, the second from which on the old pause button was gone, and that day."""

    now: datetime
    removed_at: int
    removed_on: date


_NOT_KNOWN = PauseRefusal(
    "beginning_unknown",
    _(
        "it is not known when the pause began, and so not whether the portal's button started it: find out, then name "
        "this subscription"
    ),
)
# What programs get of each subscription besides.
_COLUMNS = ("paused_since", "paused_since_exact", "charged", "monthly", "monthly_complete", "next_charge")


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
            return PausePlan(what, unset, PauseRefusal("not_by_button", later))
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
    form: Annotated[RowsForm, typer.Option("--format", help="Output format; csv only with --stranded.")] = "text",
    language: Language = ENGLISH,
) -> None:
    """Resume a pause of this deployment; or customers whom the old portal's button paused and left stranded.

    A dry run unless --apply is given. --stranded takes subscriptions or --all with it, and asks before it
    charges anybody.
    """
    if not stranded:
        one = _the_one(named, others_given=every or customer is not None or confirm is not None or form == "csv")
        deployment: Deployment = context.obj()
        at = Operator(deployment.pausing, deployment, by, language, "json" if form == "json" else "text")
        raise typer.Exit(resume_one(one, at, apply=apply))
    check_whom(named, every=every, apply=apply)
    deployment = context.obj()
    calendar = _calendar(
        now_of(deployment).astimezone(zone(timezone)), removed=day(button_removed_on), cutoff=day(cutoff_on)
    )
    limit = RateLimit(requests_per_second)
    planned = _plan_all(deployment, limit, Selection(customer, named or ()), calendar)
    report = PauseReport(_COLUMNS, form, language)
    if apply:
        _confirm(planned, calendar.now, confirm, report)
    _end_pauses(deployment.operator_stripe, limit, planned, report, apply=apply, now=calendar.now)
    raise typer.Exit(ExitCode.FOUND if report.counts[PauseOutcome.FAILED] else 0)


def _the_one(named: Sequence[str] | None, *, others_given: bool) -> str:
    """Return the one subscription whose pause is this deployment's. Raises `InvalidRequest` for anything else."""
    if not named or len(named) != 1 or others_given:
        raise InvalidRequest(
            "resume_whom",
            sentence("Name one subscription whose pause is the deployment's, or add --stranded for the others"),
        )
    check_subscription_id(named[0])
    return named[0]


def _calendar(now: datetime, *, removed: date, cutoff: date) -> Calendar:
    """Return the calendar of the old button. Raises `InvalidRequest` while nobody can be stranded."""
    if removed > cutoff:
        raise InvalidRequest("bad_calendar", sentence("--button-removed-on must not be later than --cutoff-on"))
    if phase_on(now.date(), button_removed_on=removed, cutoff_on=cutoff) != Phase.STRANDED:
        raise InvalidRequest(
            "not_stranded",
            sentence("Until {day} customers can resume by themselves, so nobody is stranded", day=cutoff),
        )
    return Calendar(now, midnight_of(removed, now.tzinfo or UTC), removed)


def _plan_all(deployment: "Deployment", limit: RateLimit, selection: Selection, calendar: Calendar) -> list[Planned]:
    """Plan all of them before anything is changed: a change must not affect a list that is being read."""
    client = deployment.operator_stripe
    paused = [each for each in selected(client, limit, selection) if each.pause_collection]
    held = mirrored(deployment, Retries(limit), paused)
    planned = []
    for each in paused:
        beginning = _beginning(held.get(each.id))
        plan = resume_plan(each, calendar, beginning, named=bool(selection.named))
        if plan is not None:
            planned.append(Planned(each, beginning, _unless_acknowledged(plan, each, client, limit, calendar)))
    return planned


def _beginning(item: MirroredSubscription | None) -> Beginning:
    """Return what the mirror knows of a pause; an item of another state says nothing of it."""
    if item is None or item.subscription.pause_kind != "collection":
        return Beginning()
    return Beginning(item.beginnings.paused_since, item.beginnings.paused_since_exact)


def _unless_acknowledged(
    plan: PausePlan, subscription: Subscription, client: StripeClient, limit: RateLimit, calendar: Calendar
) -> PausePlan:
    """Refuse a plan for a pause that the team has acknowledged, even where it named the subscription."""
    if plan.refusal:
        return plan
    return replace(plan, refusal=acknowledged(read_raw(client, limit, subscription.id), calendar.now.date()))


def end_pause(
    client: StripeClient, limit: RateLimit, subscription: Subscription, plan: PausePlan, *, apply: bool
) -> Handled:
    """Carry out a plan, unless the subscription has changed since: it is read again first.

    Raises `OperatorError` when the key has no write permission, because every other subscription would fail too.
    """
    if plan.refusal or not apply:
        return plan.would
    try:
        limit.wait()
        now = read_from_stripe(client, subscription.id).subscription
        if (now.status, now.pause_collection) != (subscription.status, subscription.pause_collection):
            changed = _("its pause has changed meanwhile: nothing was done")
            return Handled(PauseOutcome.SKIPPED, (PauseRefusal("changed_meanwhile", changed),))
        limit.wait()
        plan.do(client, subscription.id, uuid4().hex)
    except stripe.InvalidRequestError as error:
        refused = _("Stripe refused: {message}", message=str(error.user_message))
        return Handled(PauseOutcome.FAILED, (PauseRefusal("stripe_refused", refused),))
    except (Unavailable, UnreadableEvent) as error:
        return Handled(PauseOutcome.FAILED, (PauseRefusal(error.code, verbatim(error.message)),))
    return Handled(PauseOutcome.DONE)


def unset(client: StripeClient, subscription_id: str, key: str) -> None:
    """End a pause of collection."""
    with writing():
        client.v1.subscriptions.update(subscription_id, {"pause_collection": ""}, {"idempotency_key": key})


def _end_pauses(  # noqa: PLR0913 - keywords
    client: StripeClient,
    limit: RateLimit,
    planned: Iterable[Planned],
    report: PauseReport,
    *,
    apply: bool,
    now: datetime,
) -> None:
    """Carry out the plans one after the other, and report each; what was done is reported whatever stops it."""
    try:
        for each in planned:
            result = end_pause(client, limit, each.subscription, each.plan, apply=apply)
            _add(report, each, result, now)
    finally:
        report.close(apply=apply)


def _add(report: PauseReport, planned: Planned, result: Handled, now: datetime) -> None:
    subscription, monthly = planned.subscription, monthly_amount(planned.subscription)
    invoice = next_invoice_at(subscription)
    report.add(
        subscription,
        result,
        planned.plan.what,
        paused_since=planned.beginning.since,
        paused_since_exact=planned.beginning.exact,
        charged=planned.leads_to_charge,
        monthly={code: str(amount) for code, amount in monthly.amounts.items()},
        monthly_complete=not monthly.unknown,
        next_charge=invoice if planned.leads_to_charge and invoice and invoice > now.timestamp() else None,
    )


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


def _confirm(planned: Sequence[Planned], now: datetime, given: int | None, report: PauseReport) -> None:
    """Ask for the number of customers who will be charged. Raises `InvalidRequest` unless it is given."""
    if given is None or report.is_for_people:
        for each in planned:
            report.preview(each.subscription, each.plan.would, each.plan.what)
    charged = [each.subscription for each in planned if each.leads_to_charge]
    if charged:
        customers = len({each.customer_id for each in charged})
        report.confirm(charge_question(charged, now), _("Type the number of customers to charge:"), customers, given)
