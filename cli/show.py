"""`portal show`: a customer's subscriptions as the mirror holds them."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console, Group
from rich.table import Table

from cli.terminal import Format, check_customer_id, literal
from shared.errors import InvalidRequest
from shared.mirror.items import MirroredSubscription

if TYPE_CHECKING:
    from cli.deployment import Deployment

app = typer.Typer()
Customer = Annotated[str, typer.Argument(help="The Stripe customer, cus_...")]


def mirror_as_json(items: Sequence[MirroredSubscription]) -> str:
    """Return every field; times are Unix seconds, as in Stripe's API."""
    return json.dumps([_flat(item) for item in items], indent=2)


def mirror_as_text(items: Sequence[MirroredSubscription]) -> Group:
    """Return the fields that matter to people; times are UTC."""
    return Group(*(_table(item) for item in items))


def _table(item: MirroredSubscription) -> Table:
    table = Table(
        title=f"[bold]{literal(item.subscription.id)}[/bold]", title_justify="left", box=None, show_header=False
    )
    for name, value in _rows(item):
        if value:
            table.add_row(f"  {name}", literal(value))
    return table


def _rows(item: MirroredSubscription) -> Iterator[tuple[str, str]]:
    subscription = item.subscription
    yield "status", subscription.status
    if subscription.pause_collection:
        yield "collection", f"paused: {subscription.pause_collection.behavior}"
        yield "resumes", _time(subscription.pause_collection.resumes_at) or "no date"
    yield "paused because", subscription.paused_reason or ""
    begun = item.beginnings
    yield "paused since", _since(begun.paused_since, exact=begun.paused_since_exact)
    yield "past due since", _since(begun.past_due_since, exact=begun.past_due_since_exact)
    yield "paid through", _time(begun.paid_through)
    yield "period ends", _time(subscription.current_period_end)
    yield (
        "cancels",
        _time(subscription.cancel_at) or ("at the end of the period" if subscription.cancel_at_period_end else ""),
    )
    yield "ended", _time(subscription.ended_at)
    settling = ", not certain yet" if item.settling is not None else ""
    yield "as of", f"{_time(item.as_of)} (revision {item.revision}{settling})"


def _flat(item: MirroredSubscription) -> dict[str, Any]:
    mirrored = asdict(item)
    subscription, beginnings = mirrored.pop("subscription"), mirrored.pop("beginnings")
    return {
        "subscription_id": subscription.pop("id"),
        **subscription,
        "pause_kind": item.subscription.pause_kind,
        **mirrored,
        **beginnings,
    }


def _since(seconds: int | None, *, exact: bool) -> str:
    return _time(seconds) + ("" if exact or seconds is None else " or earlier")


def _time(seconds: int | None) -> str:
    return "" if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


@app.command()
def show(
    context: typer.Context,
    customer: Customer,
    *,
    format: Format = "text",  # noqa: A002
) -> None:
    """Show a customer's subscriptions as the mirror holds them."""
    check_customer_id(customer)
    deployment: Deployment = context.obj()
    items = list(deployment.mirror.of_customer(customer))
    if format == "json":
        sys.stdout.write(mirror_as_json(items) + "\n")
    elif items:
        Console().print(mirror_as_text(items))
    if not items:
        raise InvalidRequest("not_mirrored", f"The mirror holds no subscription of {customer}")
