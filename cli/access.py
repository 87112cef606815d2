"""`portal access`: whether a customer has service, why, which setting decides, and what time alone will change."""

import json
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from cli.terminal import ExitCode, Format, check_customer_id
from shared.access import AccessPolicy, CustomerAccess, Reason, customer_access
from shared.mirror.table import MirroredSubscription

if TYPE_CHECKING:
    from cli.deployment import Deployment

app = typer.Typer()
# Of changes by time alone a subscription has fewer: grace, the paid time's two bounds, a date of return, an end.
_MOST_CHANGES = 8

_COLLECTION_SETTINGS = {
    "void": "AccessCollectionVoid",
    "keep_as_draft": "AccessCollectionKeepAsDraft",
    "mark_uncollectible": "AccessCollectionMarkUncollectible",
}
# What each reason means, and the settings that decide about it.
_MEANINGS: dict[Reason, tuple[str, tuple[str, ...]]] = {
    Reason.ACTIVE: ("the subscription is active", ()),
    Reason.TRIALING: ("the subscription is in its trial", ("AccessTrialing",)),
    Reason.CANCELING: ("the subscription is set to be canceled", ()),
    Reason.PAST_DUE: ("a payment is overdue", ("AccessPastDueDays",)),
    Reason.COLLECTION_PAUSED: ("collection is paused", tuple(_COLLECTION_SETTINGS.values())),
    Reason.PAID_TIME_UNKNOWN: ("it is not known until when was paid", ("AccessIfUnknown",)),
    Reason.PAUSED: ("the subscription is paused", ("AccessPaused",)),
    Reason.UNPAID: ("Stripe has given up collecting a payment", ("AccessUnpaid", "AccessPastDueDays")),
    Reason.INCOMPLETE: ("the first payment has not succeeded", ("AccessIncomplete",)),
    Reason.UNKNOWN_STATUS: ("this version does not know the status", ("AccessIfUnknown",)),
    Reason.CANCELED: ("the subscription has ended", ("AccessCanceled",)),
    Reason.INCOMPLETE_EXPIRED: ("the first payment never succeeded", ()),
    Reason.PRODUCT_NOT_SUBSCRIBED: ("no subscription contains the product", ()),
    Reason.NO_SUBSCRIPTION: ("the mirror holds no subscription of this customer", ()),
}


def access_as_text(
    items: Sequence[MirroredSubscription], policy: AccessPolicy, answers: Sequence[CustomerAccess]
) -> Iterator[str]:
    """Yield the lines for people: the answer, what the mirror knows, and each later change; times are UTC.

    `answers` are the answer of now and those that time alone will make of it.
    """
    now = answers[0]
    yield f"[bold]{escape(now.customer_id)}[/bold]: {_words(now, policy, items)}"
    known = {item.subscription.id: item for item in items}
    for one in now.subscriptions:
        subscription = known[one.subscription_id].subscription
        products = ", ".join(
            product if quantity is None else f"{product} x {quantity}" for product, quantity in one.products.items()
        )
        yield f"  [bold]{escape(one.subscription_id)}[/bold] {escape(products)}"
        yield f"    {'gives service' if one.granted else 'gives no service'}: {_MEANINGS[one.reason][0]}"
        yield f"    {escape('; '.join(_facts(known[one.subscription_id])))}"
        if subscription.pause_collection:
            yield f"    collection is paused with behavior {escape(subscription.pause_collection.behavior)}"
    for before, after in pairwise(answers):
        yield f"from {_time(before.until)}: {_words(after, policy, items)}"
    if now.until is None:
        yield "Only an event of Stripe will change this."


def _words(access: CustomerAccess, policy: AccessPolicy, items: Sequence[MirroredSubscription]) -> str:
    meaning, names = _MEANINGS[access.reason]
    if access.reason is Reason.COLLECTION_PAUSED:
        pauses = {item.subscription.pause_collection for item in items} - {None}
        names = tuple(
            sorted({_COLLECTION_SETTINGS.get(each.behavior, "AccessCollectionVoid") for each in pauses if each})
        )
    fields = {name.title().replace("_", ""): value for name, value in policy.model_dump().items()}
    settings = ", ".join(f"{name}={fields[name]}" for name in names)
    granted = "[green]service[/green]" if access.granted else "[red]no service[/red]"
    return f"{granted}, because {meaning} ({access.reason}{f'; {settings}' if settings else ''})"


def _facts(item: MirroredSubscription) -> Iterator[str]:
    subscription, begun = item.subscription, item.beginnings
    yield f"status {subscription.status}"
    times = {
        "paused since": begun.paused_since,
        "overdue since": begun.past_due_since,
        "paid through": begun.paid_through,
        "period ends": subscription.current_period_end,
        "cancels": subscription.cancel_at,
        "ended": subscription.ended_at,
        "as of": item.as_of,
    }
    for name, seconds in times.items():
        if seconds is not None:
            yield f"{name} {_time(seconds)}"


def _time(seconds: int | None) -> str:
    return "" if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


@app.command()
def access(
    context: typer.Context,
    customer: Annotated[str, typer.Argument(help="The Stripe customer, cus_...")],
    *,
    product: Annotated[str | None, typer.Option("--product", help="Only subscriptions to this product count.")] = None,
    format: Format = "text",  # noqa: A002
) -> None:
    """Say whether a customer has service, why, and until when. Exits with 1 if there is none."""
    check_customer_id(customer)
    deployment: Deployment = context.obj()
    items, policy = list(deployment.mirror.of_customer(customer)), deployment.access_policy
    moment: float | None = deployment.ticking_clock()()
    answers: list[CustomerAccess] = []
    while moment is not None and len(answers) < _MOST_CHANGES:
        answers.append(
            customer_access(customer, items, now=moment, policy=policy, product=product, account=deployment.account)
        )
        moment = answers[-1].until
    if format == "json":
        sys.stdout.write(json.dumps(answers[0].as_json(), indent=2) + "\n")
    else:
        console = Console(highlight=False, soft_wrap=True)
        for line in access_as_text(items, policy, answers):
            console.print(line)
    if not answers[0].granted:
        raise typer.Exit(ExitCode.FOUND)
