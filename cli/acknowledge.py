"""`portal acknowledge`: say that a pause, or what else the audit finds of a subscription, is right."""

from typing import TYPE_CHECKING, Annotated

import typer

from cli.paused_collection import now_of, read_raw, write, writing
from cli.terminal import Format, Language, check_subscription_id, day, print_json
from shared.audit.acknowledgement import AUDIT_OK, PAUSE_OK, metadata_of
from shared.errors import InvalidRequest, sentence
from shared.i18n import ENGLISH, _
from shared.stripe.pacing import RateLimit, refusals
from shared.stripe.subscription import is_paused, read_subscription

if TYPE_CHECKING:
    from cli.deployment import Deployment

app = typer.Typer()

# docs.stripe.com/api/metadata
LONGEST_METADATA = 500


@app.command()
def acknowledge(  # noqa: PLR0913 - each an option of the command
    context: typer.Context,
    subscription: Annotated[str, typer.Argument(help="The subscription, sub_...")],
    *,
    until: Annotated[str | None, typer.Option(help="The last day, YYYY-MM-DD (default: until further notice).")] = None,
    note: Annotated[str, typer.Option(help="Why the pause is right; up to 500 characters.")] = "",
    by: Annotated[str, typer.Option(envvar="USER", help="Who acknowledges it.")] = "",
    findings: Annotated[
        bool, typer.Option("--findings", help="Acknowledge what the audit finds of it besides a pause.")
    ] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Take the acknowledgement back.")] = False,
    form: Format = "text",
    language: Language = ENGLISH,
) -> None:
    """Keep what the team wants out of the audit's warnings.

    A pause, or with --findings all else that the audit finds of a subscription, until a day or until further notice.
    It is written to the subscription's metadata; nobody's pause or charge is changed.
    """
    check_subscription_id(subscription)
    deployment: Deployment = context.obj()
    limit = RateLimit(5)
    if len(note) > LONGEST_METADATA or len(by) > LONGEST_METADATA:
        raise InvalidRequest(
            "too_long",
            sentence("Stripe keeps {most} characters of metadata: shorten --note or --by", most=LONGEST_METADATA),
        )
    last = None if until is None else day(until)
    if last is not None and last < now_of(deployment).date():
        raise InvalidRequest(
            "bad_date", sentence("{day} is over: --until is the last day of the acknowledgement", day=last)
        )
    value = "yes" if last is None else last.isoformat()
    metadata = metadata_of(AUDIT_OK if findings else PAUSE_OK, value, by, note)
    if remove:
        metadata = dict.fromkeys(metadata, "")
    elif not findings:
        _check_paused(deployment, limit, subscription)
    limit.wait()
    with refusals(), writing():
        deployment.operator_stripe.v1.subscriptions.update(subscription, {"metadata": metadata})
    if form == "json":
        print_json(subscription=subscription, acknowledged=not remove, until=last and last.isoformat())
    elif remove:
        write(_("{subscription}: no longer acknowledged", subscription=subscription), language)
    elif last is None:
        write(_("{subscription}: acknowledged until further notice", subscription=subscription), language)
    else:
        write(_("{subscription}: acknowledged until {day}", subscription=subscription, day=last), language)


def _check_paused(deployment: "Deployment", limit: RateLimit, subscription_id: str) -> None:
    found = read_subscription(read_raw(deployment.operator_stripe, limit, subscription_id))
    if not is_paused(found, now_of(deployment)):
        raise InvalidRequest(
            "not_paused",
            sentence(
                "{subscription} is not paused: an acknowledgement would hide its next pause. Add --findings for what "
                "else the audit finds of it",
                subscription=subscription_id,
            ),
        )
