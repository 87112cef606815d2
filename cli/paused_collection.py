"""Paused collection, for the commands that end it: which subscriptions, what is done to each, and a line about it."""

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
from cli.terminal import printable
from shared.audit.acknowledgement import acknowledgement_of
from shared.errors import InvalidRequest, OperatorError, Unavailable, UnreadableEvent
from shared.i18n import Message, _, _n, listed, verbatim
from shared.stripe.gateway import StripeJson, read_from_stripe, stripe_errors
from shared.stripe.lists import pages, with_whole_subscriptions
from shared.stripe.pacing import RateLimit, Retries
from shared.stripe.subscription import Subscription, read_subscription

if TYPE_CHECKING:
    from cli.deployment import Deployment


Apply = Annotated[bool, typer.Option("--apply", help="Make the changes. Without this it is a dry run.")]
OneCustomer = Annotated[str | None, typer.Option("--customer", help="Only the subscriptions of this customer, cus_...")]
Named = Annotated[list[str] | None, typer.Argument(help="Only these subscriptions, sub_...")]


@dataclass(frozen=True, slots=True)
class PausePlan:
    """What to do with a subscription; `refusal` is the reason why nothing can be done."""

    what: Message
    do: Callable[[StripeClient, str, str], None]
    refusal: Message | None = None


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


def subscriptions(client: StripeClient, limit: RateLimit, customer_id: str | None = None) -> Iterator[Subscription]:
    """Yield every readable subscription that is not canceled, or one customer's, with all its items."""
    retries = Retries(limit)
    for page in pages(client, retries, "/v1/subscriptions", {"customer": customer_id} if customer_id else None):
        for raw in with_whole_subscriptions(client, retries, page).data:
            try:
                yield read_subscription(raw)
            except UnreadableEvent:  # the audit reports these
                continue


def selected(client: StripeClient, limit: RateLimit, selection: Selection) -> Iterator[Subscription]:
    """Yield the subscriptions of a selection. Raises `InvalidRequest` for one that is named and another customer's."""
    customer = selection.customer
    if not selection.named:
        yield from subscriptions(client, limit, customer)
    for each in dict.fromkeys(selection.named):
        limit.wait()
        found = read_from_stripe(client, each).subscription
        if customer not in (None, found.customer_id):
            raise InvalidRequest("not_the_customers", f"{each} does not belong to {customer}")
        yield found


def plan_each(
    subscriptions: Iterable[Subscription], planner: Callable[[Subscription], PausePlan | None]
) -> list[Planned]:
    """Plan all of them before anything is changed: a change must not affect a list that is being read."""
    return [Planned(each, plan) for each in subscriptions if (plan := planner(each))]


def unless_acknowledged(client: StripeClient, limit: RateLimit, planned: Planned, today: date) -> Planned:
    """Refuse a plan for a pause that the team has acknowledged, even where it named the subscription."""
    if planned.plan.refusal:
        return planned
    acknowledged = acknowledgement_of(read_raw(client, limit, planned.subscription.id), today)
    if acknowledged is None:
        return planned
    until = _("until {day}", day=acknowledged.until) if acknowledged.until else _("until further notice")
    refusal = _("the team has acknowledged this pause {until}", until=until)
    return replace(planned, plan=replace(planned.plan, refusal=refusal))


def read_raw(client: StripeClient, limit: RateLimit, subscription_id: str) -> StripeJson:
    """Read a subscription as Stripe sends it."""
    return Retries(limit).of_stripe(lambda: client.raw_request("get", f"/v1/subscriptions/{subscription_id}").data)


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


def unset(client: StripeClient, subscription_id: str, key: str) -> None:
    """End a pause of collection."""
    with writing():
        client.v1.subscriptions.update(subscription_id, {"pause_collection": ""}, {"idempotency_key": key})


@contextmanager
def writing() -> Iterator[None]:
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


def _line(subscription: Subscription, outcome: PauseOutcome, what: Message) -> Message:
    return _(
        "{subscription} {customer} {outcome}: {what}",
        subscription=subscription.id,
        customer=subscription.customer_id,
        outcome=outcome.label,
        what=what,
    )


def show(planned: Iterable[Planned], language: str) -> None:
    """Write what would be done, before the question."""
    for each in planned:
        outcome = PauseOutcome.SKIPPED if each.plan.refusal else PauseOutcome.WOULD
        write(_line(each.subscription, outcome, each.plan.refusal or each.plan.what), language)


def end_pauses(
    client: StripeClient, limit: RateLimit, planned: Sequence[Planned], *, apply: bool, language: str
) -> None:
    """Carry out the plans, with a line about each and the counts; exits with 1 if one failed."""
    counts: Counter[PauseOutcome] = Counter()
    try:
        for each in planned:
            result = end_pause(client, limit, each.subscription, each.plan, apply=apply)
            counts[result.outcome] += 1
            write(_line(each.subscription, result.outcome, result.what), language)
    finally:
        every = listed(outcome.counted(counts[outcome]) for outcome in PauseOutcome if counts[outcome])
        write(_("{counts}.", counts=every) if every else _("No paused subscription to change."), language)
    if not apply and counts[PauseOutcome.WOULD]:
        write(_("A dry run: nothing was changed. Add --apply to do it."), language)
    raise typer.Exit(int(counts[PauseOutcome.FAILED] > 0))


def write(message: Message, language: str) -> None:
    """Write a line to the terminal at once."""
    sys.stdout.write(f"{printable(message.say(language))}\n")
    sys.stdout.flush()


def now_of(deployment: "Deployment") -> datetime:
    """Return the deployment's time, which `make dev --as-of` may have moved."""
    return datetime.fromtimestamp(deployment.clock or time.time(), UTC)
