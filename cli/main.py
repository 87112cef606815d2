"""The `portal` command, for the people who operate a deployment."""

import os
import sys
from functools import cache
from typing import Annotated, Any, NoReturn

import stripe
import typer
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ProfileNotFound,
)

from cli import access, acknowledge, audit, convert, explain, link, pause, pause_history, resume, show
from cli.configuration import commands as configuration_commands
from cli.deployment import WHICH_AWS, Deployment
from cli.recover import commands as recover_commands
from cli.scan import commands as scan_commands
from cli.setup import connect, doctor, rotate
from cli.terminal import LANGUAGE, ExitCode, printable
from shared.errors import InvalidRequest, PortalError, without_addresses
from shared.i18n import Message, _, say, verbatim

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None, help=__doc__
)
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
_FOUND = frozenset({"apply_failed", "changed_meanwhile", "lint_errors", "not_confirmed", "not_mirrored"})
# Typer does not export the class of all errors in a command line.
_UsageError: Any = typer.BadParameter.__base__


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
    """Run the command. What goes wrong is one line on standard error, without a stack trace.

    `portal help show` is `portal show --help`.
    """
    _open_closed_streams()
    arguments = sys.argv[1:]
    if arguments[:1] == ["help"]:
        arguments = [*arguments[1:], "--help"]
    try:
        code = app(arguments, prog_name="portal", standalone_mode=False)
        sys.stdout.flush()
    except (BrokenPipeError, SystemExit) as end:
        # Typer ends with 1 for a closed pipe.
        if isinstance(end, SystemExit) and not isinstance(end.__context__, BrokenPipeError):
            raise
        # Whoever read the output has enough.
        _drop_output()
        sys.exit(ExitCode.PIPE_CLOSED)
    except _UsageError as error:
        _refuse(error)
    except typer.Abort:
        _stop(_("Not confirmed: nothing was changed."), ExitCode.FOUND)
    except PortalError as error:
        _stop(_unknown_id(error) or error.message, _exit_code(error))
    except (BotoCoreError, ClientError, stripe.StripeError) as error:
        _stop(_words(error), ExitCode.UNREACHABLE)
    except OSError as error:  # such as a full disk
        _drop_output()
        _stop(_("The system refused: {error}", error=str(error)), ExitCode.UNREACHABLE)
    if code == ExitCode.INTERRUPTED:
        _stop(_("Interrupted."), ExitCode.INTERRUPTED)
    sys.exit(code or 0)


def _open_closed_streams() -> None:
    """Have Python read and write nothing where the shell has closed a stream (`>&-`); it would have `None` there."""
    sys.stdin = sys.stdin or open(os.devnull, encoding="utf-8")  # noqa: PTH123, SIM115 - open until the process ends
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115


def _drop_output() -> None:
    """Keep Python from complaining when it flushes what it could not write."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _words(error: BotoCoreError | ClientError | stripe.StripeError) -> Message:
    words = str(error).rstrip(".")
    match error:
        case NoRegionError() | NoCredentialsError() | ProfileNotFound():
            return _("AWS: {error}. {which}", error=words, which=WHICH_AWS)
        case EndpointConnectionError():
            return _("AWS: {error}. Check the network, and the region in AWS_REGION", error=words)
        case stripe.StripeError():
            return _("Stripe refused: {message}", message=without_addresses(error.user_message or words))
        case _:
            return verbatim(f"AWS: {words}")


def _unknown_id(error: PortalError) -> Message | None:
    """Say which id it is that Stripe does not know, where that is what is wrong."""
    cause = error.__cause__
    if not isinstance(cause, stripe.InvalidRequestError) or cause.code != "resource_missing":
        return None
    return _(
        "Stripe says: {message}. Check the id, and that the key is of its account and mode",
        message=without_addresses(str(cause.user_message)).rstrip("."),
    )


def _exit_code(error: PortalError) -> ExitCode:
    if error.code in _FOUND:
        return ExitCode.FOUND
    is_usage = (isinstance(error, InvalidRequest) and error.code != "no_stack") or _unknown_id(error) is not None
    return ExitCode.USAGE if is_usage else ExitCode.UNREACHABLE


def _refuse(error: Any) -> NoReturn:
    """Say what is wrong with the command line, in English as its parser does, and where to look."""
    if type(error).__name__ == "NoArgsIsHelpError":  # `portal` alone
        sys.stdout.write(f"{error.ctx.get_help()}\n")
        sys.exit(ExitCode.USAGE)
    message = error.format_message().replace("Value error, ", "").replace("Input should be", "it has to be").rstrip(".")
    end = "" if message.endswith("?") else "."
    where = error.ctx.command_path if error.ctx else "portal"
    _stop(f"{message}{end} See `{where} --help`", ExitCode.USAGE)


def _stop(message: str | Message, code: ExitCode) -> NoReturn:
    text = say(message, LANGUAGE.get())
    lines = (printable(line) for line in f"portal: {text}".split("\n"))
    sys.stderr.write("\n".join(lines) + "\n")
    sys.exit(code)
