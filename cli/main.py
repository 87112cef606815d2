"""The `portal` command, for the people who operate a deployment."""

import sys
from functools import cache
from typing import Annotated, NoReturn

import typer
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

from cli import access, acknowledge, audit, convert, explain, link, pause, pause_history, resume, show
from cli.configuration import commands as configuration_commands
from cli.deployment import Deployment
from cli.recover import commands as recover_commands
from cli.scan import commands as scan_commands
from cli.setup import connect, doctor, rotate
from cli.terminal import ExitCode, printable
from shared.errors import InvalidRequest, PortalError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
app.add_typer(link.app)
app.add_typer(audit.app)
app.add_typer(show.app)
app.add_typer(access.app)
app.add_typer(explain.app)
app.add_typer(resume.app)
app.add_typer(acknowledge.app)
app.add_typer(convert.app)
app.add_typer(pause.app)
app.add_typer(pause_history.app)
app.add_typer(connect.app)
app.add_typer(doctor.app)
app.add_typer(rotate.app)
app.add_typer(recover_commands.app)
app.add_typer(configuration_commands.app)
app.add_typer(scan_commands.app)

# The command line was right, and the answer is no.
_FOUND = frozenset({"apply_failed", "changed_meanwhile", "half_converted", "lint_errors", "not_mirrored"})
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
        _stop(error.message, _exit_code(error))
    except (NoRegionError, NoCredentialsError) as error:
        _stop(f"AWS: {str(error).rstrip('.')}. {_WHICH_AWS}", ExitCode.UNREACHABLE)
    except (BotoCoreError, ClientError) as error:
        _stop(f"AWS: {error}", ExitCode.UNREACHABLE)


def _exit_code(error: PortalError) -> ExitCode:
    if error.code in _FOUND:
        return ExitCode.FOUND
    is_usage = isinstance(error, InvalidRequest) and error.code != "no_stack"
    return ExitCode.USAGE if is_usage else ExitCode.UNREACHABLE


def _stop(message: str, code: ExitCode) -> NoReturn:
    lines = (printable(line) for line in f"portal: {message}".split("\n"))
    sys.stderr.write("\n".join(lines) + "\n")
    sys.exit(code)
