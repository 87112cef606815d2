"""`portal resume` and `portal convert`: end paused collection, by resuming it or by pausing the subscription."""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated
from uuid import uuid4

import stripe
import typer
from stripe import StripeClient

from cli.deployment import KEY_VARIABLE
from cli.pause import By, resume_one
from cli.terminal import Language, Rate, day, is_subscription_id, printable, zone
from shared.audit.acknowledgement import AUDIT_OK, PAUSE_OK, acknowledgement_of, metadata_of
from shared.errors import InvalidRequest, OperatorError, Unavailable, UnreadableEvent
from shared.i18n import ENGLISH, Message, _, _n, listed, sentences, verbatim
from shared.mirror.table import SubscriptionTable
from shared.portal.pause import (
    PAUSE_BUTTON_REMOVED_ON,
    PAUSE_CUTOFF_ON,
    PauseOrigin,
    Phase,
    midnight_of,
    pause_origin,
    pause_refusals,
    phase_on,
)
from shared.stripe.gateway import StripeJson, read_from_stripe, stripe_errors
from shared.stripe.lists import pages, with_whole_subscriptions
from shared.stripe.money import MonthlyAmount, add_amounts, monthly_amount, written_amounts
from shared.stripe.pacing import RateLimit, Retries, refusals
from shared.stripe.periods import next_invoice_at
from shared.stripe.subscription import Subscription, is_paused, read_subscription

if TYPE_CHECKING:
    from stripe.params import SubscriptionPauseParams

    from cli.deployment import Deployment


app = typer.Typer()

# docs.stripe.com/api/metadata
LONGEST_METADATA = 500

# Unpaid time is neither billed nor credited. Stripe's default would credit it.
_BILLING_NOTHING: "SubscriptionPauseParams" = {
    "bill_for": {"outstanding_usage_through": {"type": "none"}, "unused_time_from": {"type": "none"}}
}


class PauseOutcome(StrEnum):
    """What happened to one subscription; `WOULD` is a dry run's."""

    WOULD = "would"
    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"

    @property
    def label(self) -> Message:
        """The word before what happened."""
        return _LABELS[self]

    def counted(self, number: int) -> Message:
        """Say how many subscriptions ended so."""
        match self:
            case PauseOutcome.WOULD:
                return _n("{n} would be changed", "{n} would be changed", number)
            case PauseOutcome.DONE:
                return _n("{n} done", "{n} done", number)
            case PauseOutcome.SKIPPED:
                return _n("{n} skipped", "{n} skipped", number)
            case PauseOutcome.FAILED:
                return _n("{n} failed", "{n} failed", number)


_LABELS = {
    PauseOutcome.WOULD: _("would"),
    PauseOutcome.DONE: _("done"),
    PauseOutcome.SKIPPED: _("skipped"),
    PauseOutcome.FAILED: _("failed"),
}


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


@dataclass(frozen=True, slots=True)
class PausePlan:
    """What to do with a subscription; `refusal` is the reason why nothing can be done."""

    what: Message
    do: Callable[[StripeClient, str, str], None]
    refusal: Message | None = None


def subscriptions(client: StripeClient, limit: RateLimit, customer_id: str | None = None) -> Iterator[Subscription]:
    """Yield every readable subscription that is not canceled, or one customer's, with all its items."""
    retries = Retries(limit)
    for page in pages(client, retries, "/v1/subscriptions", {"customer": customer_id} if customer_id else None):
        for raw in with_whole_subscriptions(client, retries, page).data:
            try:
                yield read_subscription(raw)
            except UnreadableEvent:  # the audit reports these
                continue


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
            return PausePlan(what, _unset)
        case PauseOrigin.NOT_BUTTON:
            later = _(
                "paused on {day} or later, not by the portal's button: the team paused it, and the team resumes it, in "
                "the Dashboard",
                day=calendar.removed_on,
            )
            return PausePlan(what, _unset, later)
        case PauseOrigin.UNKNOWN:
            return PausePlan(what, _unset, None if named else _NOT_KNOWN)


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


def convert_plan(subscription: Subscription, now: datetime) -> PausePlan | None:
    """Return a plan that turns paused collection into a real pause, or says why Stripe does not allow it."""
    if subscription.pause_collection is None:
        return None
    if subscription.status == "paused" and subscription.paused_reason == "pause_requested":
        return PausePlan(_("finish: already paused; unset pause_collection"), _unset)
    if subscription.pause_kind != "collection" or not is_paused(subscription, now):
        return None
    what = _("convert: pause the subscription, then unset pause_collection")
    return PausePlan(what, _convert, _refusal(subscription))


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
    if error.code == "half_converted":
        return _(
            "paused, but pause_collection is still set ({error}): nothing is collected; run this again to finish",
            error=error.message,
        )
    return verbatim(error.message)


def _refusal(subscription: Subscription) -> Message | None:
    """A schedule could end a real pause at a date; whether Stripe keeps it beyond its last phase is not documented."""
    pause = subscription.pause_collection
    reasons = [each.text for each in pause_refusals(subscription)]
    if pause and pause.resumes_at:
        reasons.append(
            _(
                "Its collection starts again by itself on {day}, and this command makes pauses without an end: to "
                "pause the subscription until that day, attach a subscription schedule with pause_schedules.",
                day=datetime.fromtimestamp(pause.resumes_at, UTC).date(),
            )
        )
    return next(iter(reasons), None)


def _unset(client: StripeClient, subscription_id: str, key: str) -> None:
    with _writing():
        client.v1.subscriptions.update(subscription_id, {"pause_collection": ""}, {"idempotency_key": key})


def _convert(client: StripeClient, subscription_id: str, key: str) -> None:
    """Pause first: in this order nothing is collected even if the second call fails."""
    with _writing():
        client.v1.subscriptions.pause(
            subscription_id,
            _BILLING_NOTHING,
            {"idempotency_key": f"{key}-pause"},
        )
    try:
        _unset(client, subscription_id, f"{key}-unset")
    except (stripe.InvalidRequestError, Unavailable) as error:
        raise Unavailable("half_converted", str(error)) from error


@contextmanager
def _writing() -> Iterator[None]:
    """Name the missing permission when Stripe refuses a write."""
    try:
        with stripe_errors():
            yield
    except OperatorError as error:
        if not isinstance(error.__cause__, stripe.PermissionError):
            raise
        raise OperatorError(
            "no_write_permission",
            f"The API key may not change subscriptions: set {KEY_VARIABLE} to a restricted key with the permission "
            "Subscriptions: Write",
        ) from error


Apply = Annotated[bool, typer.Option("--apply", help="Make the changes. Without this it is a dry run.")]
OneCustomer = Annotated[str | None, typer.Option("--customer", help="Only the subscriptions of this customer, cus_...")]
Named = Annotated[list[str] | None, typer.Argument(help="Only these subscriptions, sub_...")]
_Planner = Callable[[Subscription], PausePlan | None]


@dataclass(frozen=True, slots=True)
class Selection:
    """Which subscriptions a command works on; none named, or no customer, does not narrow them down."""

    customer: str | None
    named: Sequence[str]


@dataclass(frozen=True, slots=True)
class Planned:
    """A subscription and what to do with it."""

    subscription: Subscription
    plan: PausePlan


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
                "resume_whom", "Name one subscription whose pause is the deployment's, or add --stranded for the others"
            )
        raise typer.Exit(resume_one(named[0], context.obj(), by=by, apply=apply, language=language))
    if apply and every == bool(named):
        raise InvalidRequest(
            "apply_to_whom",
            "With --apply, name the subscriptions of the list, or add --all for all that it would resume",
        )
    deployment: Deployment = context.obj()
    now, team = _now(deployment), zone(timezone)
    cutoff, removed = day(cutoff_on), day(button_removed_on)
    if removed > cutoff:
        raise InvalidRequest("bad_calendar", "--button-removed-on must not be later than --cutoff-on")
    if phase_on(now.astimezone(team).date(), button_removed_on=removed, cutoff_on=cutoff) != Phase.STRANDED:
        raise InvalidRequest(
            "not_stranded", f"Until {cutoff} customers can resume by themselves, so nobody is stranded"
        )
    limit = RateLimit(requests_per_second)
    every_one = _selected(deployment.operator_stripe, limit, Selection(customer, named or ()))
    selected = [each for each in every_one if each.pause_collection]
    calendar = Calendar(now, midnight_of(removed, team), removed)
    beginnings = _beginnings(deployment.mirror, Retries(limit), selected)

    def plan(subscription: Subscription) -> PausePlan | None:
        return resume_plan(subscription, calendar, beginnings.get(subscription.id, Beginning()), named=bool(named))

    today = now.astimezone(team).date()
    planned = [_unless_acknowledged(deployment.operator_stripe, limit, each, today) for each in _plan(selected, plan)]
    if apply:
        _show(planned, language)
        charged = [
            each.subscription for each in planned if not each.plan.refusal and will_be_charged(each.subscription)
        ]
        _confirm(charged, now, confirm, language)
    _end_pauses(deployment.operator_stripe, limit, planned, apply=apply, language=language)


def _unless_acknowledged(client: StripeClient, limit: RateLimit, planned: Planned, today: date) -> Planned:
    """Refuse a plan for a pause that the team has acknowledged, even where it named the subscription."""
    if planned.plan.refusal:
        return planned
    acknowledged = acknowledgement_of(_raw(client, limit, planned.subscription.id), today)
    if acknowledged is None:
        return planned
    until = _("until {day}", day=acknowledged.until) if acknowledged.until else _("until further notice")
    refusal = _("the team has acknowledged this pause {until}", until=until)
    return replace(planned, plan=replace(planned.plan, refusal=refusal))


def _raw(client: StripeClient, limit: RateLimit, subscription_id: str) -> StripeJson:
    return Retries(limit).of_stripe(lambda: client.raw_request("get", f"/v1/subscriptions/{subscription_id}").data)


@app.command()
def acknowledge(  # noqa: PLR0913 - each an option of the command
    context: typer.Context,
    subscription: Annotated[str, typer.Argument(help="The subscription, sub_...")],
    *,
    until: Annotated[str | None, typer.Option(help="The last day, YYYY-MM-DD (default: until further notice).")] = None,
    note: Annotated[str, typer.Option(help="Why the pause is right; up to 500 characters.")] = "",
    by: Annotated[str, typer.Option(envvar="USER", help="Who acknowledges it.")] = "",
    findings: Annotated[
        bool, typer.Option("--findings", help="Acknowledge what the audit finds of it besides a pause.")
    ] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Take the acknowledgement back.")] = False,
    language: Language = ENGLISH,
) -> None:
    """Keep a pause that the team wants out of the audit's headline, or all else that it finds, until a day.

    It is written to the subscription's metadata; nobody's pause or charge is changed.
    """
    if not is_subscription_id(subscription):
        raise InvalidRequest(
            "no_subscription", f"{subscription!r} is not a subscription: write its id, such as sub_123"
        )
    deployment: Deployment = context.obj()
    limit = RateLimit(5)
    if len(note) > LONGEST_METADATA or len(by) > LONGEST_METADATA:
        raise InvalidRequest(
            "too_long", f"Stripe keeps {LONGEST_METADATA} characters of metadata: shorten --note or --by"
        )
    last = None if until is None else day(until)
    if last is not None and last < _now(deployment).date():
        raise InvalidRequest("bad_date", f"{last} is over: --until is the last day of the acknowledgement")
    value = "yes" if last is None else last.isoformat()
    metadata = metadata_of(AUDIT_OK if findings else PAUSE_OK, value, by, note)
    if remove:
        metadata = dict.fromkeys(metadata, "")
    elif not findings:
        _check_paused(deployment, limit, subscription)
    limit.wait()
    with refusals(), _writing():
        deployment.operator_stripe.v1.subscriptions.update(subscription, {"metadata": metadata})
    if remove:
        _write(_("{subscription}: no longer acknowledged", subscription=subscription), language)
    elif last is None:
        _write(_("{subscription}: acknowledged until further notice", subscription=subscription), language)
    else:
        _write(_("{subscription}: acknowledged until {day}", subscription=subscription, day=last), language)


def _check_paused(deployment: "Deployment", limit: RateLimit, subscription_id: str) -> None:
    found = read_subscription(_raw(deployment.operator_stripe, limit, subscription_id))
    if not is_paused(found, _now(deployment)):
        raise InvalidRequest(
            "not_paused",
            f"{subscription_id} is not paused: an acknowledgement would hide its next pause. Add --findings for what "
            "else the audit finds of it",
        )


@app.command()
def convert(  # noqa: PLR0913 - each an option of the command
    context: typer.Context,
    named: Named = None,
    *,
    customer: OneCustomer = None,
    requests_per_second: Rate = 5,
    apply: Apply = False,
    language: Language = ENGLISH,
) -> None:
    """Turn paused collection into a real pause, which stops the service too, where Stripe allows it.

    A dry run unless --apply is given.
    """
    deployment: Deployment = context.obj()
    limit = RateLimit(requests_per_second)
    now = _now(deployment)
    # Plan all of them first: a change must not affect the list while it is being read.
    client = deployment.operator_stripe
    planned = _plan(_selected(client, limit, Selection(customer, named or ())), lambda each: convert_plan(each, now))
    wanted = [_unless_acknowledged(client, limit, each, now.date()) for each in planned]
    _end_pauses(client, limit, wanted, apply=apply, language=language)


def _plan(subscriptions: Iterable[Subscription], planner: _Planner) -> list[Planned]:
    return [Planned(each, plan) for each in subscriptions if (plan := planner(each))]


def _beginnings(
    mirror: SubscriptionTable, retries: Retries, subscriptions: Iterable[Subscription]
) -> dict[str, Beginning]:
    """Return what the mirror knows of these pauses; nothing if it cannot be read."""
    keys = [(each.customer_id, each.id) for each in subscriptions]
    try:
        held = retries.of(lambda: mirror.get_many(keys))
    except Unavailable as error:
        typer.echo(f"The mirror could not be read, so no pause has a known beginning: {error.message}", err=True)
        return {}
    # An item of another state says nothing of the present pause.
    return {
        each.subscription.id: Beginning(each.beginnings.paused_since, each.beginnings.paused_since_exact)
        for each in held.values()
        if each.subscription.pause_kind == "collection"
    }


def _line(subscription: Subscription, outcome: PauseOutcome, what: Message) -> Message:
    return _(
        "{subscription} {customer} {outcome}: {what}",
        subscription=subscription.id,
        customer=subscription.customer_id,
        outcome=outcome.label,
        what=what,
    )


def _show(planned: Iterable[Planned], language: str) -> None:
    """Write what would be done, before the question."""
    for each in planned:
        outcome = PauseOutcome.SKIPPED if each.plan.refusal else PauseOutcome.WOULD
        _write(_line(each.subscription, outcome, each.plan.refusal or each.plan.what), language)


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
    _write(charge_question(subscriptions, now), language)
    if confirm is None:
        question = _("Type the number of customers to charge").say(language)
        try:
            confirm = typer.prompt(question, type=int)
        except typer.Abort:
            raise InvalidRequest("not_confirmed", "Nothing was changed: nobody confirmed (see --confirm)") from None
    if confirm != customers:
        raise InvalidRequest(
            "not_confirmed", f"Nothing was changed: {confirm} was confirmed, and {customers} would be charged"
        )


def _end_pauses(
    client: StripeClient, limit: RateLimit, planned: Sequence[Planned], *, apply: bool, language: str
) -> None:
    counts: Counter[PauseOutcome] = Counter()
    try:
        for each in planned:
            result = end_pause(client, limit, each.subscription, each.plan, apply=apply)
            counts[result.outcome] += 1
            _write(_line(each.subscription, result.outcome, result.what), language)
    finally:
        every = listed(outcome.counted(counts[outcome]) for outcome in PauseOutcome if counts[outcome])
        _write(_("{counts}.", counts=every) if every else _("No paused subscription to change."), language)
    if not apply and counts[PauseOutcome.WOULD]:
        _write(_("A dry run: nothing was changed. Add --apply to do it."), language)
    raise typer.Exit(int(counts[PauseOutcome.FAILED] > 0))


def _write(message: Message, language: str) -> None:
    sys.stdout.write(f"{printable(message.say(language))}\n")
    sys.stdout.flush()


def _selected(client: StripeClient, limit: RateLimit, selection: Selection) -> Iterator[Subscription]:
    customer = selection.customer
    if not selection.named:
        yield from subscriptions(client, limit, customer)
    for each in dict.fromkeys(selection.named):
        limit.wait()
        found = read_from_stripe(client, each).subscription
        if customer not in (None, found.customer_id):
            raise InvalidRequest("not_the_customers", f"{each} does not belong to {customer}")
        yield found


def _now(deployment: "Deployment") -> datetime:
    return datetime.fromtimestamp(deployment.clock or time.time(), UTC)
