"""Ends pauses of collection for the team: resumes those whom the cutoff stranded, or makes real pauses of them."""

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

from cli.terminal import Rate, day, zone
from shared.errors import InvalidRequest, OperatorError, Unavailable, UnreadableEvent
from shared.portal.pause import PAUSE_BUTTON_REMOVED_ON, PAUSE_CUTOFF_ON, Phase, pause_refusals, phase_on
from shared.stripe.gateway import read_from_stripe, stripe_errors
from shared.stripe.pacing import RateLimit
from shared.stripe.subscription import Subscription, is_paused, read_subscription

if TYPE_CHECKING:
    from stripe.params import SubscriptionListParams, SubscriptionPauseParams

    from cli.deployment import Deployment


# The time that was never paid for is neither billed nor credited: the default would credit it.
_BILLING_NOTHING: "SubscriptionPauseParams" = {
    "bill_for": {"outstanding_usage_through": {"type": "none"}, "unused_time_from": {"type": "none"}}
}


class PauseOutcome(StrEnum):
    """What became of one subscription."""

    WOULD = "would"
    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class PauseResult:
    """One subscription, what became of it, and why or how."""

    subscription: Subscription
    outcome: PauseOutcome
    what: str


@dataclass(frozen=True, slots=True)
class PausePlan:
    """What is to be done with a subscription; `refusal` says why nothing can be."""

    what: str
    do: Callable[[StripeClient, str, str], None]
    refusal: str | None = None


def subscriptions(client: StripeClient, limit: RateLimit, customer_id: str | None = None) -> Iterator[Subscription]:
    """Every readable subscription that is not canceled, or those of one customer; a request is a page of 100."""
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
    """Plan for who is stranded: paused as the old portal's button did it, with nothing that will end it."""
    pause = subscription.pause_collection
    stranded = pause is not None and pause.behavior == "void" and pause.resumes_at is None
    if not stranded or subscription.pause_kind != "collection" or not is_paused(subscription, now):
        return None
    return PausePlan("resume: unset pause_collection; the next invoice is collected", _unset)


def convert_plan(subscription: Subscription, now: datetime) -> PausePlan | None:
    """Plan for whose collection is paused: a real pause, or why Stripe does not allow it."""
    if subscription.pause_collection is None:
        return None
    if subscription.status == "paused" and subscription.paused_reason == "pause_requested":
        return PausePlan("finish: already paused; unset pause_collection", _unset)
    if subscription.pause_kind != "collection" or not is_paused(subscription, now):
        return None
    return PausePlan("convert: pause the subscription, then unset pause_collection", _convert, _refusal(subscription))


def end_pauses(
    client: StripeClient, limit: RateLimit, subscription: Subscription, plan: PausePlan, *, apply: bool
) -> PauseResult:
    """Carry out a plan, if it still holds: the subscription is read again right before.

    Raises `OperatorError` when the key may not write: no other subscription would fare better.
    """
    if plan.refusal:
        return PauseResult(subscription, PauseOutcome.SKIPPED, plan.refusal)
    if not apply:
        return PauseResult(subscription, PauseOutcome.WOULD, plan.what)
    try:
        limit.wait()
        now = read_from_stripe(client, subscription.id).subscription
        if (now.status, now.pause_collection) != (subscription.status, subscription.pause_collection):
            return PauseResult(subscription, PauseOutcome.SKIPPED, "it is no longer paused as it was: nothing was done")
        limit.wait()
        plan.do(client, subscription.id, uuid4().hex)
    except stripe.InvalidRequestError as error:
        return PauseResult(subscription, PauseOutcome.FAILED, f"Stripe refused: {error.user_message}")
    except (Unavailable, UnreadableEvent) as error:
        return PauseResult(subscription, PauseOutcome.FAILED, error.message)
    return PauseResult(subscription, PauseOutcome.DONE, plan.what)


def _refusal(subscription: Subscription) -> str | None:
    pause = subscription.pause_collection
    reasons = [each.said.en for each in pause_refusals(subscription)]
    if pause and pause.resumes_at:
        reasons.append("Its collection resumes by itself, and a real pause would not.")
    return next(iter(reasons), None)


def _unset(client: StripeClient, subscription_id: str, key: str) -> None:
    with _writing():
        client.v1.subscriptions.update(subscription_id, {"pause_collection": ""}, {"idempotency_key": key})


def _convert(client: StripeClient, subscription_id: str, key: str) -> None:
    """In this order nothing is collected at any moment, whichever of the two calls is the last to succeed."""
    with _writing():
        client.v1.subscriptions.pause(
            subscription_id,
            _BILLING_NOTHING,
            {"idempotency_key": f"{key}-pause"},
        )
    try:
        _unset(client, subscription_id, f"{key}-unset")
    except (stripe.InvalidRequestError, Unavailable) as error:
        raise Unavailable(
            "half_converted",
            f"paused, but pause_collection is still set ({error}): nothing is collected; run this again to finish",
        ) from error


@contextmanager
def _writing() -> Iterator[None]:
    """Name the permission that is missing when Stripe refuses a write."""
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


app = typer.Typer()

Apply = Annotated[bool, typer.Option("--apply", help="Do it; without this nothing is changed.")]
OneCustomer = Annotated[str | None, typer.Option("--customer", help="Only this customer's, cus_...")]
OneSubscription = Annotated[str | None, typer.Option("--subscription", help="Only this one, sub_...")]
_Planner = Callable[["Subscription", datetime], PausePlan | None]


@app.command()
def resume(  # noqa: PLR0913 - each an option of the command
    context: typer.Context,
    *,
    stranded: Annotated[bool, typer.Option("--stranded", help="Whom the cutoff left unable to resume.")] = False,
    customer: OneCustomer = None,
    subscription: OneSubscription = None,
    requests_per_second: Rate = 5,
    cutoff_on: Annotated[str, typer.Option(help="PAUSE_CUTOFF_ON.")] = str(PAUSE_CUTOFF_ON),
    timezone: Annotated[str, typer.Option(help="The team's time zone, such as Europe/Paris.")] = "UTC",
    apply: Apply = False,
) -> None:
    """Resume the customers who can no longer do so themselves; shows what it would do, until told to do it."""
    if not stranded:
        raise InvalidRequest("resume_whom", "Say whom to resume: --stranded")
    deployment: Deployment = context.obj()
    now = _now(deployment)
    cutoff = day(cutoff_on)
    removed = min(PAUSE_BUTTON_REMOVED_ON, cutoff)
    if phase_on(now.astimezone(zone(timezone)).date(), button_removed_on=removed, cutoff_on=cutoff) != Phase.STRANDED:
        raise InvalidRequest("not_stranded", f"Until {cutoff} customers can resume by themselves: nobody is stranded")
    limit = RateLimit(requests_per_second)
    _treat(deployment.stripe, limit, resume_plan, now, (customer, subscription), apply=apply)


@app.command()
def convert(
    context: typer.Context,
    *,
    customer: OneCustomer = None,
    subscription: OneSubscription = None,
    requests_per_second: Rate = 5,
    apply: Apply = False,
) -> None:
    """Turn paused collection into a real pause, which stops the service too, where Stripe allows it."""
    deployment: Deployment = context.obj()
    limit = RateLimit(requests_per_second)
    _treat(deployment.stripe, limit, convert_plan, _now(deployment), (customer, subscription), apply=apply)


def _treat(  # noqa: PLR0913 - what both commands share
    client: "StripeClient",
    limit: RateLimit,
    planner: _Planner,
    now: datetime,
    only: tuple[str | None, str | None],
    *,
    apply: bool,
) -> None:
    counts: Counter[PauseOutcome] = Counter()
    # All of them first: what is changed meanwhile must not change the list that is being read.
    planned = [(each, plan) for each in _wanted(client, limit, *only) if (plan := planner(each, now))]
    try:
        for each, plan in planned:
            treated = end_pauses(client, limit, each, plan, apply=apply)
            counts[treated.outcome] += 1
            sys.stdout.write(f"{each.id} {each.customer_id} {treated.outcome.value}: {treated.what}\n")
            sys.stdout.flush()
    finally:
        summary = ", ".join(f"{counts[outcome]} {outcome.value}" for outcome in PauseOutcome if counts[outcome])
        sys.stdout.write(f"{summary or 'Nobody to treat'}.\n")
    if not apply and counts[PauseOutcome.WOULD]:
        sys.stdout.write("A dry run: nothing was changed. Add --apply to do it.\n")
    raise typer.Exit(int(counts[PauseOutcome.FAILED] > 0))


def _wanted(
    client: "StripeClient", limit: RateLimit, customer: str | None, subscription: str | None
) -> "Iterator[Subscription]":
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
