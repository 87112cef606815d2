"""`portal convert`: turn paused collection into a real pause."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import stripe
import typer
from stripe import StripeClient

from cli.paused_collection import (
    Apply,
    Named,
    OneCustomer,
    PausePlan,
    Selection,
    end_pauses,
    now_of,
    plan_each,
    selected,
    unless_acknowledged,
    unset,
    writing,
)
from cli.terminal import Language, Rate
from shared.errors import Unavailable
from shared.i18n import ENGLISH, Message, _
from shared.portal.pause import pause_refusals
from shared.stripe.pacing import RateLimit
from shared.stripe.subscription import Subscription, is_paused

if TYPE_CHECKING:
    from stripe.params import SubscriptionPauseParams

    from cli.deployment import Deployment

app = typer.Typer()

# Unpaid time is neither billed nor credited. Stripe's default would credit it.
_BILLING_NOTHING: "SubscriptionPauseParams" = {
    "bill_for": {"outstanding_usage_through": {"type": "none"}, "unused_time_from": {"type": "none"}}
}


def convert_plan(subscription: Subscription, now: datetime) -> PausePlan | None:
    """Return a plan that turns paused collection into a real pause, or says why Stripe does not allow it."""
    if subscription.pause_collection is None:
        return None
    if subscription.status == "paused" and subscription.paused_reason == "pause_requested":
        return PausePlan(_("finish: already paused; unset pause_collection"), unset)
    if subscription.pause_kind != "collection" or not is_paused(subscription, now):
        return None
    what = _("convert: pause the subscription, then unset pause_collection")
    return PausePlan(what, _convert, _refusal(subscription))


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


def _convert(client: StripeClient, subscription_id: str, key: str) -> None:
    """Pause first: in this order nothing is collected even if the second call fails."""
    with writing():
        client.v1.subscriptions.pause(
            subscription_id,
            _BILLING_NOTHING,
            {"idempotency_key": f"{key}-pause"},
        )
    try:
        unset(client, subscription_id, f"{key}-unset")
    except (stripe.InvalidRequestError, Unavailable) as error:
        raise Unavailable("half_converted", str(error)) from error


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
    now = now_of(deployment)
    # Plan all of them first: a change must not affect the list while it is being read.
    client = deployment.operator_stripe
    planned = plan_each(selected(client, limit, Selection(customer, named or ())), lambda each: convert_plan(each, now))
    wanted = [unless_acknowledged(client, limit, each, now.date()) for each in planned]
    end_pauses(client, limit, wanted, apply=apply, language=language)
