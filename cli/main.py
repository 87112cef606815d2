"""The `portal` command: what the person who runs the bundle does from a terminal."""

import sys
from functools import cache
from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError
from rich.console import Console

from cli import audit, configure, explain, link, mirror_view, recover, scan, treat
from cli.deployment import Deployment
from shared.errors import InvalidRequest, PortalError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
app.add_typer(link.app)
app.add_typer(audit.app)
app.add_typer(explain.app)
app.add_typer(treat.app)
app.add_typer(recover.app)
app.add_typer(configure.app)
app.add_typer(scan.app)

_WHICH_AWS = "Say which account and region by AWS_PROFILE and AWS_REGION; `portal --local` asks the stack of `make dev`"
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
    except (NoRegionError, NoCredentialsError) as error:
        sys.exit(f"portal: AWS: {str(error).rstrip('.')}. {_WHICH_AWS}")
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"portal: AWS: {error}")
