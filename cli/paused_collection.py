"""Paused collection, for the commands that end it: which subscriptions, what is done to each, and a line about it."""

import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import stripe
import typer
from stripe import StripeClient

from cli.deployment import KEY_VARIABLE
from cli.pause import DRY_RUN
from cli.terminal import (
    LANGUAGE,
    RowsForm,
    ask,
    check_customer_id,
    check_subscription_id,
    print_csv,
    print_json,
    printable,
)
from shared.audit.acknowledgement import acknowledgement_of
from shared.errors import InvalidRequest, OperatorError, Unavailable, UnreadableEvent, sentence
from shared.i18n import Message, _, _n, listed, sentences
from shared.mirror.items import MirroredSubscription
from shared.pausing.policy import PauseRefusal
from shared.stripe.gateway import StripeJson, read_from_stripe, stripe_errors
from shared.stripe.lists import pages, with_whole_subscriptions
from shared.stripe.money import in_major_units
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


@dataclass(frozen=True, slots=True)
class Handled:
    """What happened to a subscription, or would; `reasons` say why it was skipped or failed."""

    outcome: PauseOutcome
    reasons: tuple[PauseRefusal, ...] = ()


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
    if customer is not None:
        check_customer_id(customer)
    for each in selection.named:
        check_subscription_id(each)
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


def acknowledged(raw: StripeJson, today: date) -> PauseRefusal | None:
    """Return why a pause is left alone that the team has acknowledged; `None` if it has not."""
    found = acknowledgement_of(raw, today)
    if found is None:
        return None
    until = _("until {day}", day=found.until) if found.until else _("until further notice")
    return PauseRefusal("acknowledged", _("the team has acknowledged this pause {until}", until=until))


def mirrored(
    deployment: "Deployment", retries: Retries, found: Iterable[Subscription]
) -> dict[str, MirroredSubscription]:
    """Return what the mirror has of these subscriptions, by their ids; nothing if it cannot be read, and says so."""
    keys = [(each.customer_id, each.id) for each in found]
    try:
        held = retries.of(lambda: deployment.mirror.get_many(keys))
    except Unavailable as error:
        why = _(
            "The mirror could not be read, so it is not known when these pauses began or what time was paid for: {why}",
            why=error.message,
        )
        typer.echo(why.say(LANGUAGE.get()), err=True)
        return {}
    return {each.subscription.id: each for each in held.values()}


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


class PauseReport:
    """What a command says of each subscription: lines for people, or rows for programs.

    With JSON and CSV, standard output has nothing but the rows; what is for people goes to standard error. `columns`
    are those of the CSV.
    """

    def __init__(self, columns: Sequence[str], form: RowsForm, language: str) -> None:
        self._columns = ("subscription", "customer", "outcome", "reasons", "detail", *columns)
        self._form = form
        self._language = language
        self._rows: list[dict[str, Any]] = []
        self.counts: Counter[PauseOutcome] = Counter()

    @property
    def is_for_people(self) -> bool:
        """Whether standard output is text."""
        return self._form == "text"

    def tell(self, message: Message) -> None:
        """Write a line for people at once."""
        write(message, self._language, sys.stdout if self.is_for_people else sys.stderr)

    def preview(self, subscription: Subscription, result: Handled, what: Message) -> None:
        """Write a line for people: the reasons, or else `what` is done."""
        line = _(
            "{subscription} {customer} {outcome}: {what}",
            subscription=subscription.id,
            customer=subscription.customer_id,
            outcome=result.outcome.label,
            what=sentences(*(one.words for one in result.reasons)) if result.reasons else what,
        )
        self.tell(line)

    def add(self, subscription: Subscription, result: Handled, what: Message, **row: Any) -> None:
        """Say what happened to a subscription, or would: as a line, or as a row with these fields too."""
        self.counts[result.outcome] += 1
        if self.is_for_people:
            self.preview(subscription, result, what)
        self._rows.append(
            {
                "subscription": subscription.id,
                "customer": subscription.customer_id,
                "outcome": result.outcome.value,
                "reasons": [{"code": one.code, "detail": one.words.say(self._language)} for one in result.reasons],
                **row,
            }
        )

    def close(self, *, apply: bool) -> None:
        """Write the counts for people, or the rows for programs."""
        if self._form == "json":
            print_json(apply=apply, subscriptions=self._rows)
        elif self._form == "csv":
            print_csv(self._columns, map(_flat, self._rows), times=_TIMES)
        else:
            every = listed(outcome.counted(self.counts[outcome]) for outcome in PauseOutcome if self.counts[outcome])
            self.tell(_("{counts}.", counts=every) if every else _("No paused subscription to change."))
            if not apply and self.counts[PauseOutcome.WOULD]:
                self.tell(DRY_RUN)

    def confirm(self, question: Message, prompt: Message, number: int, given: int | None) -> None:
        """Ask for a number, unless it is given. Raises `InvalidRequest` for any other number, and for no answer."""
        if given is None or self.is_for_people:
            write(question, self._language, sys.stderr)
        try:
            said = str(given or ask(prompt, self._language))
        except typer.Abort:
            raise InvalidRequest(
                "not_confirmed", sentence("Nothing was changed: nobody confirmed (see --confirm)")
            ) from None
        if said != str(number):
            raise InvalidRequest(
                "not_confirmed",
                sentence("Nothing was changed: the number is {number}, not {said}", number=number, said=repr(said)),
            )


_TIMES = ("paused_since", "next_charge", "begins", "resumes")
_AMOUNTS = ("monthly", "first_charge")


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row for CSV: amounts in the main unit of their currency, and reasons as their codes and sentences."""
    flat = dict(row)
    for name in (each for each in _AMOUNTS if row.get(each) is not None):
        amounts = ((in_major_units(Decimal(amount), code), code.upper()) for code, amount in row[name].items())
        flat[name] = "; ".join(f"{amount} {code}" for amount, code in amounts)
    return flat | {
        "reasons": " ".join(each["code"] for each in row["reasons"]),
        "detail": " ".join(each["detail"] for each in row["reasons"]),
    }


def check_whom(named: Sequence[str] | None, *, every: bool, apply: bool) -> None:
    """Raise `InvalidRequest` where --apply does not say whom it is about."""
    if apply and every == bool(named):
        raise InvalidRequest(
            "apply_to_whom",
            sentence("With --apply, name the subscriptions of the list, or add --all for all of them"),
        )


def write(message: Message, language: str, stream: TextIO | None = None) -> None:
    """Write a line at once, to standard output unless told otherwise."""
    stream = stream or sys.stdout
    stream.write(f"{printable(message.say(language))}\n")
    stream.flush()


def now_of(deployment: "Deployment") -> datetime:
    """Return the deployment's time, which `make dev --as-of` may have moved."""
    return datetime.fromtimestamp(deployment.clock or time.time(), UTC)
