"""`portal show`: a customer's subscriptions as the mirror holds them."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console, Group
from rich.table import Table

from cli.terminal import Language, RowsFormat, check_customer_id, literal, print_csv, print_json
from shared.errors import InvalidRequest, sentence
from shared.i18n import ENGLISH, Message, _, say
from shared.mirror.items import MirroredSubscription

if TYPE_CHECKING:
    from cli.deployment import Deployment

app = typer.Typer()
Customer = Annotated[str, typer.Argument(help="The Stripe customer, cus_...")]


def mirror_as_text(items: Sequence[MirroredSubscription], language: str = ENGLISH) -> Group:
    """Return the fields that matter to people; times are UTC."""
    return Group(*(_table(item, language) for item in items))


def _table(item: MirroredSubscription, language: str) -> Table:
    table = Table(
        title=f"[bold]{literal(item.subscription.id)}[/bold]", title_justify="left", box=None, show_header=False
    )
    for name, value in _rows(item):
        if value:
            table.add_row(f"  {literal(name.say(language))}", literal(say(value, language)))
    return table


def _rows(item: MirroredSubscription) -> Iterator[tuple[Message, Message | str]]:
    subscription = item.subscription
    yield _("status"), subscription.status
    if subscription.pause_collection:
        yield _("collection"), _("paused: {behavior}", behavior=subscription.pause_collection.behavior)
        yield _("resumes"), _time(subscription.pause_collection.resumes_at) or _("no date")
    yield _("paused because"), subscription.paused_reason or ""
    begun = item.beginnings
    yield _("paused since"), _since(begun.paused_since, exact=begun.paused_since_exact)
    yield _("past due since"), _since(begun.past_due_since, exact=begun.past_due_since_exact)
    yield _("paid through"), _time(begun.paid_through)
    yield _("period ends"), _time(subscription.current_period_end)
    at_end = _("at the end of the period") if subscription.cancel_at_period_end else ""
    yield _("cancels"), _time(subscription.cancel_at) or at_end
    yield _("ended"), _time(subscription.ended_at)
    as_of = {"time": _time(item.as_of), "revision": str(item.revision)}
    if item.settling is None:
        yield _("as of"), _("{time} (revision {revision})", **as_of)
    else:
        yield _("as of"), _("{time} (revision {revision}, not certain yet)", **as_of)


def mirrored_fields(item: MirroredSubscription) -> dict[str, Any]:
    """Return every field for programs; times are Unix seconds, as in Stripe's API."""
    mirrored = asdict(item)
    subscription, beginnings = mirrored.pop("subscription"), mirrored.pop("beginnings")
    return {
        "subscription_id": subscription.pop("id"),
        **subscription,
        "pause_kind": item.subscription.pause_kind,
        **mirrored,
        **beginnings,
    }


_TIMES = (
    *("current_period_end", "cancel_at", "ended_at", "resumes_at", "paused_since", "past_due_since", "paid_through"),
    "as_of",
)
_COLUMNS = (
    *("subscription", "customer", "status", "cancel_at_period_end", "pause_kind", "pause_behavior", "revision"),
    *_TIMES,
)


def _csv_row(item: MirroredSubscription) -> dict[str, Any]:
    """Return the fields that a list has room for."""
    pause = item.subscription.pause_collection
    return mirrored_fields(item) | {
        "subscription": item.subscription.id,
        "customer": item.subscription.customer_id,
        "pause_behavior": pause and pause.behavior,
        "resumes_at": pause and pause.resumes_at,
    }


def _since(seconds: int | None, *, exact: bool) -> Message | str:
    if exact or seconds is None:
        return _time(seconds)
    return _("{time} or earlier", time=_time(seconds))


def _time(seconds: int | None) -> str:
    return "" if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


@app.command()
def show(
    context: typer.Context,
    customer: Customer,
    *,
    format: RowsFormat = "text",  # noqa: A002
    language: Language = ENGLISH,
) -> None:
    """Show a customer's subscriptions as the mirror holds them. Exits with 1 if it holds none."""
    check_customer_id(customer)
    deployment: Deployment = context.obj()
    items = list(deployment.mirror.of_customer(customer))
    if format == "json":
        print_json(customer=customer, subscriptions=list(map(mirrored_fields, items)))
    elif format == "csv":
        print_csv(_COLUMNS, map(_csv_row, items), times=_TIMES)
    elif items:
        Console().print(mirror_as_text(items, language))
    if not items:
        raise InvalidRequest(
            "not_mirrored", sentence("The mirror holds no subscription of {customer}", customer=customer)
        )
