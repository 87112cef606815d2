"""`portal resume` and `portal convert`: what a team does about paused collection, after a dry run."""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from cli.rate import Rate
from cli.times import day, zone
from shared import treatment
from shared.errors import InvalidRequest
from shared.pause import PAUSE_BUTTON_REMOVED_ON, PAUSE_CUTOFF_ON, Phase, phase_on
from shared.rate_limit import RateLimit
from shared.stripe_gateway import read_from_stripe

if TYPE_CHECKING:
    from stripe import StripeClient

    from cli.deployment import Deployment
    from shared.subscription import Subscription

app = typer.Typer()

Apply = Annotated[bool, typer.Option("--apply", help="Do it; without this nothing is changed.")]
OneCustomer = Annotated[str | None, typer.Option("--customer", help="Only this customer's, cus_...")]
OneSubscription = Annotated[str | None, typer.Option("--subscription", help="Only this one, sub_...")]
_Planner = Callable[["Subscription", datetime], treatment.Plan | None]


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
    _treat(deployment.stripe, limit, treatment.resume_plan, now, (customer, subscription), apply=apply)


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
    _treat(deployment.stripe, limit, treatment.convert_plan, _now(deployment), (customer, subscription), apply=apply)


def _treat(  # noqa: PLR0913 - what both commands share
    client: "StripeClient",
    limit: RateLimit,
    planner: _Planner,
    now: datetime,
    only: tuple[str | None, str | None],
    *,
    apply: bool,
) -> None:
    counts: Counter[treatment.Outcome] = Counter()
    # All of them first: what is changed meanwhile must not change the list that is being read.
    planned = [(each, plan) for each in _wanted(client, limit, *only) if (plan := planner(each, now))]
    try:
        for each, plan in planned:
            treated = treatment.treat(client, limit, each, plan, apply=apply)
            counts[treated.outcome] += 1
            sys.stdout.write(f"{each.id} {each.customer_id} {treated.outcome.value}: {treated.what}\n")
            sys.stdout.flush()
    finally:
        summary = ", ".join(f"{counts[outcome]} {outcome.value}" for outcome in treatment.Outcome if counts[outcome])
        sys.stdout.write(f"{summary or 'Nobody to treat'}.\n")
    if not apply and counts[treatment.Outcome.WOULD]:
        sys.stdout.write("A dry run: nothing was changed. Add --apply to do it.\n")
    raise typer.Exit(int(counts[treatment.Outcome.FAILED] > 0))


def _wanted(
    client: "StripeClient", limit: RateLimit, customer: str | None, subscription: str | None
) -> "Iterator[Subscription]":
    if subscription is None:
        yield from treatment.subscriptions(client, limit, customer)
        return
    limit.wait()
    found = read_from_stripe(client, subscription).subscription
    if customer not in (None, found.customer_id):
        raise InvalidRequest("not_the_customers", f"{subscription} does not belong to {customer}")
    yield found


def _now(deployment: "Deployment") -> datetime:
    return datetime.fromtimestamp(deployment.clock or time.time(), UTC)
