"""`portal doctor`: checks a deployment from end to end and says what to do, whatever hangs, fails or is missing."""

import queue
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from botocore.exceptions import BotoCoreError, ClientError
from requests import RequestException
from rich.console import Console
from rich.table import Table

from cli.setup.check import HealthCheck, Result, State
from cli.setup.check_connection import CONNECTION
from cli.setup.check_operation import OPERATION
from cli.terminal import ExitCode, Format, Language, literal, print_json
from shared.aws import is_refusal
from shared.errors import PortalError, Unavailable
from shared.i18n import ENGLISH, _, verbatim

if TYPE_CHECKING:
    from cli.deployment import Deployment

app = typer.Typer()

CHECKS = (*CONNECTION, *OPERATION)
Named = tuple[HealthCheck, Result]
_STATES = {
    State.FAILED: _("failed"),
    State.UNKNOWN: _("unknown"),
    State.WARNING: _("warning"),
    State.OK: _("ok"),
    State.SKIPPED: _("skipped"),
}
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
    late = [
        Result(
            State.UNKNOWN,
            _("no answer within {seconds} seconds", seconds=f"{seconds:g}"),
            _("look at what it depends on, and try again"),
        )
    ]
    return [(check, each) for check in checks for each in results.get(check.name, late)]


def _failure(check: HealthCheck, error: Exception) -> Result:
    """Return what a check could not do. Messages of the bundle's own errors quote no secret."""
    if isinstance(error, Unavailable):
        return Result(State.UNKNOWN, verbatim(error.message), _("try again"))
    if isinstance(error, PortalError):
        return Result(State.FAILED, verbatim(error.message), check.to_do)
    if isinstance(error, ClientError) and is_refusal(error):
        return Result(
            State.UNKNOWN, verbatim(f"AWS: {error}"), _("use AWS credentials that may read it; or it was deleted")
        )
    if isinstance(error, (ClientError, BotoCoreError)):
        return Result(State.UNKNOWN, verbatim(f"AWS: {error}"), _("try again"))
    if isinstance(error, RequestException):
        return Result(State.FAILED, _("no response ({error})", error=type(error).__name__), check.to_do)
    return Result(
        State.UNKNOWN, _("the check itself failed ({error})", error=type(error).__name__), _("report this as a bug")
    )


def as_table(results: Sequence[Named], language: str) -> Table:
    """Return the table for people: check, state, what was found, and below it what to do.

    Below, because ids and addresses would not fit into two columns of a usual terminal, and could not be copied.
    """
    table = Table(box=None, padding=(0, 1))
    table.add_column(_("check").say(language), no_wrap=True)
    table.add_column(_("state").say(language), no_wrap=True)
    table.add_column(_("found, and what to do").say(language), overflow="fold")
    before, to_do = None, _("To do:").say(language)
    for check, each in results:
        colour = _COLOURS[each.state]
        state = f"[{colour}]{_STATES[each.state].say(language)}[/{colour}]"
        found = literal(each.text.say(language))
        if each.to_do:
            found += f"\n[bold]{to_do}[/bold] {literal(each.to_do.say(language))}"
        table.add_row("" if check == before else check.label.say(language), state, found)
        before = check
    return table


def as_json(results: Sequence[Named], language: str) -> dict[str, Any]:
    """Return the results for programs."""
    rows = [
        {
            "check": check.name,
            "state": each.state.value,
            "text": each.text.say(language),
            "to_do": each.to_do.say(language),
        }
        for check, each in results
    ]
    healthy = all(each.state not in {State.FAILED, State.UNKNOWN} for _check, each in results)
    return {"healthy": healthy, "results": rows}


def exit_code_of(results: Sequence[Named]) -> int:
    """Return 1 if something does not work, 4 if only some of it could not be found out, else 0."""
    states = {each.state for _check, each in results}
    if State.FAILED in states:
        return ExitCode.FOUND
    return ExitCode.UNREACHABLE if State.UNKNOWN in states else 0


@app.command()
def doctor(
    context: typer.Context,
    *,
    timeout: Annotated[float, typer.Option(min=1, max=300, help="Seconds after which no check is waited for.")] = 30,
    format: Format = "text",  # noqa: A002
    language: Language = ENGLISH,
) -> None:
    """Check a deployment from end to end. Changes nothing. Exits with 1 if something does not work."""
    results = examine(context.obj(), CHECKS, timeout)
    if format == "json":
        print_json(**as_json(results, language))
    else:
        Console().print(as_table(results, language))
    raise typer.Exit(exit_code_of(results))
