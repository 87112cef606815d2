"""`portal explain`: what the customer portal does with one subscription, and why not more."""

import re
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from cli import explain_view
from cli.times import noon, zone
from shared.audit.text import Language
from shared.errors import InvalidRequest
from shared.portal_rules.reading import explain as explained
from shared.portal_rules.which_configuration import Through

if TYPE_CHECKING:
    from cli.deployment import Deployment

app = typer.Typer()


@app.command()
def explain(  # noqa: PLR0913 - each an option of the command
    context: typer.Context,
    subscription: Annotated[str, typer.Argument(help="The Stripe subscription, sub_...")],
    *,
    as_of: Annotated[str | None, typer.Option(help="The day to look at, YYYY-MM-DD (default: now).")] = None,
    group: Annotated[str | None, typer.Option(help="The group of PORTAL_CONFIGURATIONS.")] = None,
    configuration: Annotated[str | None, typer.Option(help="This portal configuration, bpc_..., instead.")] = None,
    country: Annotated[
        str | None, typer.Option(help="The country of the Stripe account, two letters (default: asked of Stripe).")
    ] = None,
    format: Annotated[Literal["table", "json"], typer.Option(help="How to write it.")] = "table",  # noqa: A002
    language: Annotated[Language, typer.Option(help="In which language.")] = "en",
) -> None:
    """Say what the portal lets the customer do with a subscription, why not more, and what would lift it."""
    if country and not re.fullmatch("[A-Za-z]{2}", country):
        raise InvalidRequest("bad_country", f"{country!r} is no country: write two letters, such as FR")
    if not subscription.startswith("sub_"):
        raise InvalidRequest(
            "no_subscription",
            f"{subscription!r} is no subscription: an id such as sub_123 is wanted. `portal show cus_...` lists a "
            "customer's",
        )
    deployment: Deployment = context.obj()
    moment = noon(as_of, zone("UTC")) if as_of else datetime.fromtimestamp(deployment.clock or time.time(), UTC)
    through = Through(deployment.portal_configurations, group, configuration, country)
    found = explained(deployment.stripe, subscription, moment, through)
    if format == "json":
        sys.stdout.write(explain_view.as_json(found, language) + "\n")
    else:
        Console().print(explain_view.as_text(found, language))
