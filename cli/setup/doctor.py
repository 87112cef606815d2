"""`portal doctor`: checks a deployment from end to end and says what to do, whatever hangs, fails or is missing."""

import queue
import sys
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError
from requests import RequestException
from rich.console import Console
from rich.table import Table

from cli.setup.health import CHECKS, HealthCheck, Result, State, as_json
from cli.terminal import ExitCode, Format, literal
from shared.aws import is_refusal
from shared.errors import PortalError, Unavailable

if TYPE_CHECKING:
    from cli.deployment import Deployment

app = typer.Typer()

Named = tuple[str, Result]
_COLOURS = {
    State.FAILED: "red",
    State.UNKNOWN: "magenta",
    State.WARNING: "yellow",
    State.OK: "green",
    State.SKIPPED: "dim",
}


def examine(deployment: "Deployment", checks: Sequence[HealthCheck], seconds: float) -> list[Named]:
    """Run the checks side by side, and return what each has found, in their order, after `seconds` at the latest.

    A check that fails or hangs costs no other one its result. Its thread ends with the process.
    """
    deadline = time.monotonic() + seconds
    found: queue.Queue[tuple[str, list[Result]]] = queue.Queue()

    def run(check: HealthCheck) -> None:
        results: list[Result] = []
        try:
            # As far as it comes: what a check has found counts, even if it then fails.
            results.extend(check.run(deployment))
        except Exception as error:  # noqa: BLE001 - a fault of a check must not hide the others' results
            results.append(_failure(check, error))
        found.put((check.name, results))

    for check in checks:
        threading.Thread(target=run, args=(check,), name=check.name, daemon=True).start()
    results: dict[str, list[Result]] = {}
    while len(results) < len(checks):
        try:
            name, several = found.get(timeout=max(deadline - time.monotonic(), 0.001))
        except queue.Empty:
            break
        results[name] = several
    late = [Result(State.UNKNOWN, f"no answer within {seconds:g} seconds", "look at what it depends on, and try again")]
    return [(check.name, each) for check in checks for each in results.get(check.name, late)]


def _failure(check: HealthCheck, error: Exception) -> Result:
    """Return what a check could not do. Messages of the bundle's own errors quote no secret."""
    if isinstance(error, Unavailable):
        return Result(State.UNKNOWN, error.message, "try again")
    if isinstance(error, PortalError):
        return Result(State.FAILED, error.message, check.to_do)
    if isinstance(error, ClientError) and is_refusal(error):
        return Result(State.UNKNOWN, f"AWS: {error}", "use AWS credentials that may read it; or it was deleted")
    if isinstance(error, (ClientError, BotoCoreError)):
        return Result(State.UNKNOWN, f"AWS: {error}", "try again")
    if isinstance(error, RequestException):
        return Result(State.FAILED, f"no response ({type(error).__name__})", check.to_do)
    return Result(State.UNKNOWN, f"the check itself failed ({type(error).__name__})", "report this as a bug")


def as_table(results: Sequence[Named]) -> Table:
    """Return the table for people: check, state, what was found, and below it what to do.

    Below, because ids and addresses would not fit into two columns of a usual terminal, and could not be copied.
    """
    table = Table(box=None, padding=(0, 1))
    table.add_column("check", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("found, and what to do", overflow="fold")
    before = None
    for name, each in results:
        colour = _COLOURS[each.state]
        state = f"[{colour}]{each.state.value}[/{colour}]"
        to_do = f"\n[bold]To do:[/bold] {literal(each.to_do)}" if each.to_do else ""
        table.add_row("" if name == before else name, state, literal(each.text) + to_do)
        before = name
    return table


def exit_code_of(results: Sequence[Named]) -> int:
    """Return 1 if something does not work, 4 if only some of it could not be found out, else 0."""
    states = {each.state for _, each in results}
    if State.FAILED in states:
        return ExitCode.FOUND
    return ExitCode.UNREACHABLE if State.UNKNOWN in states else 0


@app.command()
def doctor(
    context: typer.Context,
    *,
    timeout: Annotated[float, typer.Option(min=1, max=300, help="Seconds after which no check is waited for.")] = 30,
    format: Format = "text",  # noqa: A002
) -> None:
    """Check a deployment from end to end. Changes nothing. Exits with 1 if something does not work."""
    results = examine(context.obj(), CHECKS, timeout)
    if format == "json":
        sys.stdout.write(as_json(results) + "\n")
    else:
        Console().print(as_table(results))
    raise typer.Exit(exit_code_of(results))
