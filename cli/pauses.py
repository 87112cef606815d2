"""`portal resume` and `portal convert`: end paused collection, by resuming it or by pausing the subscription."""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated
from uuid import uuid4

import stripe
import typer
from stripe import StripeClient

from cli.terminal import Language, Rate, day, zone
from shared.errors import InvalidRequest, OperatorError, Unavailable, UnreadableEvent
from shared.i18n import ENGLISH, Message, _, _n, listed, verbatim
from shared.portal.pause import PAUSE_BUTTON_REMOVED_ON, PAUSE_CUTOFF_ON, Phase, pause_refusals, phase_on
from shared.stripe.gateway import read_from_stripe, stripe_errors
from shared.stripe.pacing import RateLimit
from shared.stripe.subscription import Subscription, is_paused, read_subscription

if TYPE_CHECKING:
    from stripe.params import SubscriptionListParams, SubscriptionPauseParams

    from cli.deployment import Deployment


app = typer.Typer()

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
class PausePlan:
    """What to do with a subscription; `refusal` is the reason why nothing can be done."""

    what: Message
    do: Callable[[StripeClient, str, str], None]
    refusal: Message | None = None


def subscriptions(client: StripeClient, limit: RateLimit, customer_id: str | None = None) -> Iterator[Subscription]:
    """Yield every readable subscription that is not canceled, or one customer's; 100 for each request."""
    params: SubscriptionListParams = {"limit": 100}
    if customer_id:
        params["customer"] = customer_id
    while True:
        limit.wait()
        with stripe_errors():
            page = client.v1.subscriptions.list(params)
        for each in page.data:
            try:
                yield read_subscription(each.to_dict(for_json=True))
            except UnreadableEvent:  # the audit reports these
                continue
        if not page.has_more:
            return
        params["starting_after"] = page.data[-1].id


def resume_plan(subscription: Subscription, now: datetime) -> PausePlan | None:
    """Return a plan for a subscription paused as the old portal's button did it, without a date that ends the pause."""
    pause = subscription.pause_collection
    stranded = pause is not None and pause.behavior == "void" and pause.resumes_at is None
    if not stranded or subscription.pause_kind != "collection" or not is_paused(subscription, now):
        return None
    return PausePlan(_("resume: unset pause_collection; the next invoice is collected"), _unset)


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
    pause = subscription.pause_collection
    reasons = [each.text for each in pause_refusals(subscription)]
    if pause and pause.resumes_at:
        reasons.append(_("Its collection resumes on a set date; a real pause would not."))
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
            "The API key may not change subscriptions: give the restricted key the permission Subscriptions: Write",
        ) from error


Apply = Annotated[bool, typer.Option("--apply", help="Make the changes. Without this it is a dry run.")]
OneCustomer = Annotated[str | None, typer.Option("--customer", help="Only the subscriptions of this customer, cus_...")]
OneSubscription = Annotated[str | None, typer.Option("--subscription", help="Only this subscription, sub_...")]
_Planner = Callable[[Subscription, datetime], PausePlan | None]


@dataclass(frozen=True, slots=True)
class Selection:
    """Which subscriptions a command works on; `None` does not narrow them down."""

    customer: str | None
    subscription: str | None


@app.command()
def resume(  # noqa: PLR0913 - each an option of the command
    context: typer.Context,
    *,
    stranded: Annotated[
        bool,
        typer.Option("--stranded", help="The customers who have been unable to resume since the cutoff (required)."),
    ] = False,
    customer: OneCustomer = None,
    subscription: OneSubscription = None,
    requests_per_second: Rate = 5,
    cutoff_on: Annotated[str, typer.Option(help="PAUSE_CUTOFF_ON.")] = str(PAUSE_CUTOFF_ON),
    timezone: Annotated[str, typer.Option(help="The team's time zone, such as Europe/Paris.")] = "UTC",
    apply: Apply = False,
    language: Language = ENGLISH,
) -> None:
    """Resume customers who can no longer do so themselves. A dry run unless --apply is given."""
    if not stranded:
        raise InvalidRequest("resume_whom", "Add --stranded to choose the customers to resume")
    deployment: Deployment = context.obj()
    now = _now(deployment)
    cutoff = day(cutoff_on)
    removed = min(PAUSE_BUTTON_REMOVED_ON, cutoff)
    if phase_on(now.astimezone(zone(timezone)).date(), button_removed_on=removed, cutoff_on=cutoff) != Phase.STRANDED:
        raise InvalidRequest(
            "not_stranded", f"Until {cutoff} customers can resume by themselves, so nobody is stranded"
        )
    limit = RateLimit(requests_per_second)
    selection = Selection(customer, subscription)
    _end_pauses(deployment.stripe, limit, resume_plan, now, selection, apply=apply, language=language)


@app.command()
def convert(  # noqa: PLR0913 - each an option of the command
    context: typer.Context,
    *,
    customer: OneCustomer = None,
    subscription: OneSubscription = None,
    requests_per_second: Rate = 5,
    apply: Apply = False,
    language: Language = ENGLISH,
) -> None:
    """Turn paused collection into a real pause, which stops the service too, where Stripe allows it.

    A dry run unless --apply is given.
    """
    deployment: Deployment = context.obj()
    limit = RateLimit(requests_per_second)
    selection = Selection(customer, subscription)
    _end_pauses(deployment.stripe, limit, convert_plan, _now(deployment), selection, apply=apply, language=language)


def _end_pauses(  # noqa: PLR0913 - what both commands share
    client: StripeClient,
    limit: RateLimit,
    planner: _Planner,
    now: datetime,
    selection: Selection,
    *,
    apply: bool,
    language: str,
) -> None:
    counts: Counter[PauseOutcome] = Counter()
    # Plan all of them first: a change must not affect the list while it is being read.
    planned = [(each, plan) for each in _selected(client, limit, selection) if (plan := planner(each, now))]
    try:
        for each, plan in planned:
            result = end_pause(client, limit, each, plan, apply=apply)
            counts[result.outcome] += 1
            line = _(
                "{subscription} {customer} {outcome}: {what}",
                subscription=each.id,
                customer=each.customer_id,
                outcome=result.outcome.label,
                what=result.what,
            )
            sys.stdout.write(f"{line.say(language)}\n")
            sys.stdout.flush()
    finally:
        every = listed(outcome.counted(counts[outcome]) for outcome in PauseOutcome if counts[outcome])
        summary = _("{counts}.", counts=every) if every else _("No paused subscription to change.")
        sys.stdout.write(f"{summary.say(language)}\n")
    if not apply and counts[PauseOutcome.WOULD]:
        dry = _("A dry run: nothing was changed. Add --apply to do it.")
        sys.stdout.write(f"{dry.say(language)}\n")
    raise typer.Exit(int(counts[PauseOutcome.FAILED] > 0))


def _selected(client: StripeClient, limit: RateLimit, selection: Selection) -> Iterator[Subscription]:
    customer, subscription = selection.customer, selection.subscription
    if subscription is None:
        yield from subscriptions(client, limit, customer)
        return
    limit.wait()
    found = read_from_stripe(client, subscription).subscription
    if customer not in (None, found.customer_id):
        raise InvalidRequest("not_the_customers", f"{subscription} does not belong to {customer}")
    yield found


def _now(deployment: "Deployment") -> datetime:
    return datetime.fromtimestamp(deployment.clock or time.time(), UTC)
