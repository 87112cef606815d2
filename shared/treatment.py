"""Ends pauses of collection for the team: resumes those whom the cutoff stranded, or makes real pauses of them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING
from uuid import uuid4

import stripe
from stripe import StripeClient

from shared.errors import OperatorError, Unavailable, UnreadableEvent
from shared.pause import is_paused
from shared.portal_rules.pausable import pause_refusals
from shared.rate_limit import RateLimit
from shared.stripe_gateway import read_from_stripe, stripe_errors
from shared.stripe_shapes import read_subscription
from shared.subscription import Subscription

if TYPE_CHECKING:
    from stripe.params import SubscriptionListParams, SubscriptionPauseParams

# The time that was never paid for is neither billed nor credited: the default would credit it.
_BILLING_NOTHING: "SubscriptionPauseParams" = {
    "bill_for": {"outstanding_usage_through": {"type": "none"}, "unused_time_from": {"type": "none"}}
}


class Outcome(StrEnum):
    """What became of one subscription."""

    WOULD = "would"
    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Treated:
    """One subscription, what became of it, and why or how."""

    subscription: Subscription
    outcome: Outcome
    what: str


@dataclass(frozen=True, slots=True)
class Plan:
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


def resume_plan(subscription: Subscription, now: datetime) -> Plan | None:
    """Plan for who is stranded: paused as the old portal's button did it, with nothing that will end it."""
    pause = subscription.pause_collection
    stranded = pause is not None and pause.behavior == "void" and pause.resumes_at is None
    if not stranded or subscription.pause_kind != "collection" or not is_paused(subscription, now):
        return None
    return Plan("resume: unset pause_collection; the next invoice is collected", _unset)


def convert_plan(subscription: Subscription, now: datetime) -> Plan | None:
    """Plan for whose collection is paused: a real pause, or why Stripe does not allow it."""
    if subscription.pause_collection is None:
        return None
    if subscription.status == "paused" and subscription.paused_reason == "pause_requested":
        return Plan("finish: already paused; unset pause_collection", _unset)
    if subscription.pause_kind != "collection" or not is_paused(subscription, now):
        return None
    return Plan("convert: pause the subscription, then unset pause_collection", _convert, _refusal(subscription))


def treat(client: StripeClient, limit: RateLimit, subscription: Subscription, plan: Plan, *, apply: bool) -> Treated:
    """Carry out a plan, if it still holds: the subscription is read again right before.

    Raises `OperatorError` when the key may not write: no other subscription would fare better.
    """
    if plan.refusal:
        return Treated(subscription, Outcome.SKIPPED, plan.refusal)
    if not apply:
        return Treated(subscription, Outcome.WOULD, plan.what)
    try:
        limit.wait()
        now = read_from_stripe(client, subscription.id).subscription
        if (now.status, now.pause_collection) != (subscription.status, subscription.pause_collection):
            return Treated(subscription, Outcome.SKIPPED, "it is no longer paused as it was: nothing was done")
        limit.wait()
        plan.do(client, subscription.id, uuid4().hex)
    except stripe.InvalidRequestError as error:
        return Treated(subscription, Outcome.FAILED, f"Stripe refused: {error.user_message}")
    except (Unavailable, UnreadableEvent) as error:
        return Treated(subscription, Outcome.FAILED, error.message)
    return Treated(subscription, Outcome.DONE, plan.what)


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
