"""The `portal` command: what the person who runs the bundle does from a terminal."""

import sys
import time
from functools import cache
from typing import Annotated
from urllib.parse import urlencode

import typer
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import ValidationError
from rich.console import Console

from cli import audit, configure, mirror_view, recover, scan, treat
from cli.deployment import Deployment
from cli.durations import duration
from shared.errors import InvalidRequest, PortalError
from shared.link_token import Flow, LinkClaims

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
app.add_typer(audit.app)
app.add_typer(treat.app)
app.add_typer(recover.app)
app.add_typer(configure.app)
app.add_typer(scan.app)

Customer = Annotated[str, typer.Argument(help="The Stripe customer, cus_...")]


@app.callback()
def choose(
    context: typer.Context,
    *,
    stack: Annotated[str, typer.Option(envvar="PORTAL_STACK", help="The CloudFormation stack.")] = "stripe-portal",
    local: Annotated[bool, typer.Option("--local", help="The stack that `make dev` runs, instead.")] = False,
    local_url: Annotated[
        str, typer.Option(envvar="PORTAL_LOCAL_URL", help="Where `make dev` serves.")
    ] = "http://127.0.0.1:8787",
) -> None:
    """Choose the deployment that the command is about."""
    # Not found before a command asks: `portal link --help` needs no deployment.
    context.obj = cache(lambda: Deployment.of_this_machine(local_url) if local else Deployment.of_stack(stack))


@app.command()
def link(  # noqa: PLR0913 - each an option of the command
    context: typer.Context,
    customer: Customer,
    *,
    expires: Annotated[str, typer.Option(help="How long the link opens anything: 15m, 2h, at most 7d.")] = "15m",
    flow: Annotated[Flow | None, typer.Option(help="Open this page of the portal only.")] = None,
    subscription: Annotated[str | None, typer.Option(help="The subscription that the flow is about, sub_...")] = None,
    group: Annotated[str | None, typer.Option(help="The group of PORTAL_CONFIGURATIONS.")] = None,
    locale: Annotated[str | None, typer.Option(help="The portal's language, such as fr or fr-CA.")] = None,
    return_url: Annotated[str | None, typer.Option(help="Where the portal leads back to.")] = None,
) -> None:
    """Mint a link that opens one customer's portal. Whoever has it opens it: send it to that customer only."""
    try:
        claims = LinkClaims(sub=customer, flow=flow, subscription=subscription, group=group, locale=locale)
    except ValidationError as error:
        names = {"sub": "customer"}
        wrong = ", ".join(sorted({names.get(str(each["loc"][0]), str(each["loc"][0])) for each in error.errors()}))
        raise InvalidRequest("bad_link", f"These are not as Stripe writes them: {wrong}") from None
    if flow and flow.startswith("subscription_") and not subscription:
        raise InvalidRequest("subscription_required", f"The flow {flow} needs --subscription sub_...")
    deployment: Deployment = context.obj()
    token = deployment.link_tokens.mint(claims, expires_in=duration(expires), now=deployment.clock or time.time())
    query = {"token": token} | ({"return_url": return_url} if return_url else {})
    sys.stdout.write(f"{deployment.api_url}/portal?{urlencode(query)}\n")


@app.command()
def show(
    context: typer.Context,
    customer: Customer,
    *,
    json: Annotated[bool, typer.Option("--json", help="Every field, for programs.")] = False,
) -> None:
    """Show what the mirror holds of a customer's subscriptions."""
    deployment: Deployment = context.obj()
    items = list(deployment.mirror.of_customer(customer))
    if json:
        sys.stdout.write(mirror_view.as_json(items) + "\n")
    elif items:
        Console().print(mirror_view.as_text(items))
    if not items:
        raise InvalidRequest("not_mirrored", f"The mirror holds no subscription of {customer}")


def main() -> None:
    """Run the command; what the person can mend is one line without a stack trace."""
    try:
        app()
    except PortalError as error:
        sys.exit(f"portal: {error.message}")
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"portal: AWS: {error}")
