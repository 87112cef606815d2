"""The `portal` command, for the people who operate a deployment."""

import sys
from functools import cache
from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

from cli import audit, explain, link, pauses, show
from cli.configuration import commands as configuration_commands
from cli.deployment import Deployment
from cli.recover import commands as recover_commands
from cli.scan import commands as scan_commands
from shared.errors import PortalError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
app.add_typer(link.app)
app.add_typer(audit.app)
app.add_typer(show.app)
app.add_typer(explain.app)
app.add_typer(pauses.app)
app.add_typer(recover_commands.app)
app.add_typer(configuration_commands.app)
app.add_typer(scan_commands.app)

_WHICH_AWS = (
    "Choose account and region with AWS_PROFILE and AWS_REGION, or use `portal --local` for the `make dev` stack"
)


@app.callback()
def choose(
    context: typer.Context,
    *,
    stack: Annotated[
        str, typer.Option(envvar="PORTAL_STACK", help="Name of the CloudFormation stack.")
    ] = "stripe-portal",
    local: Annotated[bool, typer.Option("--local", help="Use the stack that `make dev` runs instead.")] = False,
    local_url: Annotated[
        str, typer.Option(envvar="PORTAL_LOCAL_URL", help="Address of the `make dev` stack.")
    ] = "http://127.0.0.1:8787",
) -> None:
    """Choose the deployment that a command works on."""
    # Looked up only when a command needs it: `portal link --help` needs no deployment.
    context.obj = cache(lambda: Deployment.of_this_machine(local_url) if local else Deployment.of_stack(stack))


def main() -> None:
    """Run the command. An error that the user can fix is one line, without a stack trace."""
    try:
        app()
    except PortalError as error:
        sys.exit(f"portal: {error.message}")
    except (NoRegionError, NoCredentialsError) as error:
        sys.exit(f"portal: AWS: {str(error).rstrip('.')}. {_WHICH_AWS}")
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"portal: AWS: {error}")
