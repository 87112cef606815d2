"""`portal access`: whether a customer has service, why, which setting decides, and what time alone will change."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from cli.access_compare import Comparing, compare_list
from cli.terminal import ExitCode, Language, Rate, RowsForm, check_customer_id, literal, print_json, utc_time
from shared.access import AccessPolicy, CustomerAccess, Reason, customer_access
from shared.access_comparison import REASONS
from shared.errors import InvalidRequest, sentence
from shared.i18n import ENGLISH, Message, _
from shared.mirror.entitlements import require_entitlements
from shared.mirror.items import MirroredSubscription
from shared.served_list import ColumnNames

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
# The settings that decide about a reason; about the others none does.
_SETTINGS: dict[Reason, tuple[str, ...]] = {
    Reason.TRIALING: ("AccessTrialing",),
    Reason.PAST_DUE: ("AccessPastDueDays",),
    Reason.COLLECTION_PAUSED: tuple(_COLLECTION_SETTINGS.values()),
    Reason.PAID_TIME_UNKNOWN: ("AccessIfUnknown",),
    Reason.PAUSED: ("AccessPaused",),
    Reason.UNPAID: ("AccessUnpaid", "AccessPastDueDays"),
    Reason.INCOMPLETE: ("AccessIncomplete",),
    Reason.UNKNOWN_STATUS: ("AccessIfUnknown",),
    Reason.CANCELED: ("AccessCanceled",),
    Reason.ENTITLEMENTS_UNKNOWN: ("AccessIfUnknown",),
}


def access_as_text(
    items: Sequence[MirroredSubscription],
    policy: AccessPolicy,
    answers: Sequence[CustomerAccess],
    language: str = ENGLISH,
) -> Iterator[str]:
    """Yield the lines for people: the answer, what the mirror knows, and each later change; times are UTC.

    `answers` are the answer of now and those that time alone will make of it.
    """

    def say(message: Message) -> str:
        return literal(message.say(language))

    now = answers[0]
    yield f"[bold]{literal(now.customer_id)}[/bold]: {_words(now, policy, items, language)}"
    known = {item.subscription.id: item for item in items}
    for one in now.subscriptions:
        subscription = known[one.subscription_id].subscription
        products = ", ".join(
            product if quantity is None else f"{product} x {quantity}" for product, quantity in one.products.items()
        )
        yield f"  [bold]{literal(one.subscription_id)}[/bold] {literal(products)}"
        why = REASONS[one.reason]
        gives = _("gives service: {why}", why=why) if one.granted else _("gives no service: {why}", why=why)
        yield f"    {say(gives)}"
        yield f"    {'; '.join(map(say, _facts(known[one.subscription_id])))}"
        if subscription.pause_collection:
            paused = _("collection is paused with behavior {behavior}", behavior=subscription.pause_collection.behavior)
            yield f"    {say(paused)}"
    if now.features is not None:
        yield f"  {say(_features(now))}"
    for before, after in pairwise(answers):
        from_then = _("from {time}:", time=_time(before.until))
        yield f"{say(from_then)} {_words(after, policy, items, language)}"
        if after.features is not None and after.features != before.features:
            yield f"  {say(_features(after))}"
    if now.until is None:
        yield say(_("Only an event of Stripe will change this."))


def _features(access: CustomerAccess) -> Message:
    if not access.features:
        return _("features: none")
    return _("features: {features}", features=", ".join(access.features))


def _words(access: CustomerAccess, policy: AccessPolicy, items: Sequence[MirroredSubscription], language: str) -> str:
    names = _SETTINGS.get(access.reason, ())
    if access.reason is Reason.COLLECTION_PAUSED:
        pauses = {item.subscription.pause_collection for item in items} - {None}
        names = tuple(
            sorted({_COLLECTION_SETTINGS.get(each.behavior, "AccessCollectionVoid") for each in pauses if each})
        )
    fields = {name.title().replace("_", ""): value for name, value in policy.model_dump().items()}
    settings = ", ".join(f"{name}={fields[name]}" for name in names)
    details = f"{access.reason}{f'; {settings}' if settings else ''}"
    granted = _("service") if access.granted else _("no service")
    colour = "green" if access.granted else "red"
    because = _("because {reason} ({details})", reason=REASONS[access.reason], details=details)
    return f"[{colour}]{literal(granted.say(language))}[/{colour}], {literal(because.say(language))}"


def _facts(item: MirroredSubscription) -> Iterator[Message]:
    subscription, begun = item.subscription, item.beginnings
    yield _("status {status}", status=subscription.status)
    times = (
        (begun.paused_since, _("paused since {time}", time=_time(begun.paused_since))),
        (begun.past_due_since, _("overdue since {time}", time=_time(begun.past_due_since))),
        (begun.paid_through, _("paid through {time}", time=_time(begun.paid_through))),
        (subscription.current_period_end, _("period ends {time}", time=_time(subscription.current_period_end))),
        (subscription.cancel_at, _("cancels {time}", time=_time(subscription.cancel_at))),
        (subscription.ended_at, _("ended {time}", time=_time(subscription.ended_at))),
        (item.as_of, _("as of {time}", time=_time(item.as_of))),
    )
    yield from (words for seconds, words in times if seconds is not None)


def _time(seconds: int | None) -> str:
    return "" if seconds is None else utc_time(seconds)


@app.command()
def access(  # noqa: PLR0913 - each an option of the command
    context: typer.Context,
    customer: Annotated[str | None, typer.Argument(help="The Stripe customer, cus_...")] = None,
    *,
    compare: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Compare your own list of who is served, a CSV file; `-`: standard input."),
    ] = None,
    customer_column: Annotated[
        str | None, typer.Option(help="The list's column of customers' ids or e-mail addresses.")
    ] = None,
    served_column: Annotated[str | None, typer.Option(help="The list's column that says who is served.")] = None,
    product_column: Annotated[str | None, typer.Option(help="The list's column of products, if it has one.")] = None,
    product: Annotated[str | None, typer.Option("--product", help="Only subscriptions to this product count.")] = None,
    feature: Annotated[str | None, typer.Option("--feature", help="Whether this feature may be used: its key.")] = None,
    format: Annotated[  # noqa: A002
        RowsForm, typer.Option("--format", help="Output format; csv only with --compare.")
    ] = "text",
    language: Language = ENGLISH,
    requests_per_second: Rate = 10,
) -> None:
    """Explain whether a customer has service, or compare a list.

    Says why, and until when; with --compare, what is wrong with your own list of who is served.
    Exits with 1 if the customer has no service, with 3 if the list differs.
    """
    columns = ColumnNames(customer_column, served_column, product_column)
    if compare is not None and feature is not None:
        raise InvalidRequest("bad_request", sentence("--compare compares products, and no features"))
    if (compare is None) == (customer is None):
        raise InvalidRequest(
            "bad_request", sentence("Name a customer, cus_..., or a list with --compare, and not both")
        )
    if compare is not None:
        wanted = Comparing(compare, columns, product, format, language, requests_per_second)
        raise typer.Exit(compare_list(context.obj(), wanted))
    if columns != ColumnNames() or format == "csv":
        raise InvalidRequest("bad_request", sentence("The options of the columns, and --format csv, need --compare"))
    _explain(context.obj(), customer or "", Narrowed(product, feature), format, language)


@dataclass(frozen=True, slots=True)
class Narrowed:
    """What the answer is about, if not all that the customer has."""

    product: str | None
    feature: str | None


def _explain(deployment: "Deployment", customer: str, about: Narrowed, form: RowsForm, language: str) -> None:
    check_customer_id(customer)
    if about.feature is not None:
        require_entitlements(on=deployment.entitlements)
    held, policy = deployment.mirror.customer(customer), deployment.access_policy
    items = held.subscriptions
    moment: float | None = deployment.ticking_clock()()
    answers: list[CustomerAccess] = []
    while moment is not None and len(answers) < _MOST_CHANGES:
        answers.append(
            customer_access(
                customer,
                items,
                now=moment,
                policy=policy,
                product=about.product,
                account=deployment.account,
                entitlements=held.entitlements if deployment.entitlements else None,
                feature=about.feature,
            )
        )
        moment = answers[-1].until
    if form == "json":
        print_json(**answers[0].as_json())
    else:
        console = Console(highlight=False, soft_wrap=True)
        for line in access_as_text(items, policy, answers, language):
            console.print(line)
    if not answers[0].granted:
        raise typer.Exit(ExitCode.FOUND)
