"""Paused collection, for the commands that end it: which subscriptions, what is done to each, and a line about it."""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import stripe
import typer
from stripe import StripeClient

from cli.deployment import KEY_VARIABLE
from cli.terminal import printable
from shared.audit.acknowledgement import acknowledgement_of
from shared.errors import InvalidRequest, OperatorError, UnreadableEvent, sentence
from shared.i18n import Message, _, _n, listed
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
class Selection:
    """Which subscriptions a command works on; none named, or no customer, does not narrow them down."""

    customer: str | None
    named: Sequence[str]


class PauseOutcome(StrEnum):
    """What happened to one subscription; `WOULD` is a dry run's."""

    WOULD = "would"
    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"
    UNDERWAY = "underway"  # its end is not known yet: the pause function finishes it

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
            case PauseOutcome.UNDERWAY:
                return _n("{n} under way", "{n} under way", number)


_LABELS = {
    PauseOutcome.WOULD: _("would"),
    PauseOutcome.DONE: _("done"),
    PauseOutcome.SKIPPED: _("skipped"),
    PauseOutcome.FAILED: _("failed"),
    PauseOutcome.UNDERWAY: _("under way"),
}


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
            raise InvalidRequest(
                "not_the_customers",
                sentence("{subscription} does not belong to {customer}", subscription=each, customer=customer),
            )
        yield found


def acknowledged(raw: StripeJson, today: date) -> Message | None:
    """Say that the team has acknowledged a pause, and until when; `None` if it has not."""
    found = acknowledgement_of(raw, today)
    if found is None:
        return None
    until = _("until {day}", day=found.until) if found.until else _("until further notice")
    return _("the team has acknowledged this pause {until}", until=until)


def read_raw(client: StripeClient, limit: RateLimit, subscription_id: str) -> StripeJson:
    """Read a subscription as Stripe sends it."""
    return Retries(limit).of_stripe(lambda: client.raw_request("get", f"/v1/subscriptions/{subscription_id}").data)


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
            sentence(
                "The API key may not change subscriptions: set {variable} to a restricted key with the permission "
                "`Subscriptions: Write`",
                variable=KEY_VARIABLE,
            ),
        ) from error


def confirmed_number(given: int | None, question: Message, language: str) -> int:
    """Return the number that was `given`, or ask for it. Raises `InvalidRequest` when nobody answers."""
    if given is not None:
        return given
    try:
        return int(typer.prompt(question.say(language), type=int))
    except typer.Abort:
        raise InvalidRequest(
            "not_confirmed", sentence("Nothing was changed: nobody confirmed (see --confirm)")
        ) from None


def line_about(subscription: Subscription, outcome: PauseOutcome, what: Message) -> Message:
    """Say what happened to a subscription."""
    return _(
        "{subscription} {customer} {outcome}: {what}",
        subscription=subscription.id,
        customer=subscription.customer_id,
        outcome=outcome.label,
        what=what,
    )


def write_counts(counts: Mapping[PauseOutcome, int], language: str) -> None:
    """Write how many subscriptions ended how."""
    every = listed(outcome.counted(counts[outcome]) for outcome in PauseOutcome if counts.get(outcome))
    write(_("{counts}.", counts=every) if every else _("No paused subscription to change."), language)


def write(message: Message, language: str) -> None:
    """Write a line to the terminal at once."""
    sys.stdout.write(f"{printable(message.say(language))}\n")
    sys.stdout.flush()


def now_of(deployment: "Deployment") -> datetime:
    """Return the deployment's time, which `make dev --as-of` may have moved."""
    return datetime.fromtimestamp(deployment.clock or time.time(), UTC)
