"""`portal lint`, `plan`, `apply` and `import`: portal configurations as code."""

import json
import sys
import time
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cli.configuration import view
from cli.configuration.document import LARGEST_BYTES
from cli.configuration.loading import load
from cli.configuration.model import PINNED_VERSION
from cli.configuration.planned import Planned, lines_to_deploy, say, with_prices
from cli.configuration.planning import Asked
from cli.configuration.problems import Problem, Severity, errors
from cli.configuration.rules import lint as lint_file
from cli.configuration.source import Source
from cli.configuration.writing import as_yaml
from cli.printable import printable
from cli.times import day
from shared.errors import InvalidRequest, OperatorError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cli.configuration.account import Account

app = typer.Typer()

# 2 is what a wrong command line ends with.
DIFFERENT = 3

File = Annotated[Path, typer.Argument(help="The file.")]
Form = Annotated[Literal["text", "json"], typer.Option("--format", help="How to write it.")]
Default = Annotated[bool, typer.Option("--default", help="The account's default configuration too.")]
Deactivate = Annotated[
    bool, typer.Option("--deactivate", help="Configurations whose entry is gone from the file are switched off.")
]
FILE = Path("portal.yaml")


@app.command()
def lint(  # noqa: PLR0913 - each an option of the command
    context: typer.Context,
    file: File = FILE,
    *,
    account: Annotated[bool, typer.Option("--account", help="Look up the products and prices too.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings end with 1 as well.")] = False,
    form: Form = "text",
    as_of: Annotated[str | None, typer.Option(help="The day that it speaks of, YYYY-MM-DD (default: today).")] = None,
) -> None:
    """Check a portal.yaml, without an account."""
    loaded = load(file)
    problems = lint_file(loaded, _today(as_of))
    if account and loaded.portal:
        problems = with_prices(loaded, problems, Source.of(context).account(loaded.portal.api_version))
    if form == "json":
        sys.stdout.write(json.dumps([view.problem_json(each) for each in problems], indent=2) + "\n")
    else:
        sys.stdout.writelines(f"{printable(view.problem_line(str(file), each))}\n" for each in problems)
        sys.stdout.write(f"{file}: {_counted(problems)}.\n")
    raise typer.Exit(int(bool(problems if strict else errors(problems))))


@app.command()
def plan(
    context: typer.Context,
    file: File = FILE,
    *,
    default: Default = False,
    deactivate: Deactivate = False,
    form: Form = "text",
) -> None:
    """Show the difference between a portal.yaml and the account; ends with 3 when there is one."""
    planned = Planned.of(lambda: Source.of(context), file, Asked(default, deactivate))
    if form == "json":
        found = view.plan_json(planned.steps, planned.groups, livemode=planned.source.livemode)
        found |= {"problems": [view.problem_json(each) for each in planned.problems]}
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    else:
        planned.show()
    planned.check()
    raise typer.Exit(DIFFERENT if planned.acts else 0)


@app.command()
def apply(
    context: typer.Context,
    file: File = FILE,
    *,
    default: Default = False,
    deactivate: Deactivate = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Make the account's portal configurations as a portal.yaml says; shows the plan and asks first."""
    planned = Planned.of(lambda: Source.of(context), file, Asked(default, deactivate))
    planned.show()
    planned.check()
    if planned.acts and not yes:
        typer.confirm(f"Do this to the account ({planned.source.mode})?", abort=True)
    made = planned.carry_out()
    sys.stdout.writelines(f"{line}\n" for line in lines_to_deploy(planned, made))


@app.command("import")
def import_(
    context: typer.Context,
    *,
    output: Annotated[Path, typer.Option(help="The file to write; - for the terminal.")] = FILE,
    project: Annotated[str | None, typer.Option(help="The file's project: its own configurations need no id.")] = None,
    inactive: Annotated[bool, typer.Option("--inactive", help="Inactive configurations too.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that exists.")] = False,
) -> None:
    """Write a portal.yaml from the account."""
    if str(output) != "-" and output.exists() and not force:
        raise InvalidRequest("file_exists", f"{output} exists: name another file with --output, or add --force")
    source = Source.of(context)
    account = source.account(PINNED_VERSION)
    every = account.configurations()
    kept = [each for each in every if inactive or each.get("active") or each.get("is_default")]
    if not kept:
        raise InvalidRequest("nothing_to_import", "The account has no portal configuration")
    text = as_yaml(kept, source.deployed or {}, _prices(account), project=project, version=PINNED_VERSION)
    if len(text.encode()) > LARGEST_BYTES:
        raise InvalidRequest("too_many_configurations", f"{len(kept)} configurations do not fit into one file")
    if str(output) == "-":
        sys.stdout.write(text)
        return
    output.write_text(text, "utf-8")
    sys.stdout.write(f"{output}: {len(kept)} written, {len(every) - len(kept)} inactive left out.\n")
    say(lint_file(load(output), source.today), output)


def _prices(account: "Account") -> "Any":
    """Answer how to read a price; a key that may not leaves intervals and currencies out of the file."""

    def price(price_id: str) -> "Mapping[str, Any] | None":
        try:
            return account.price(price_id)
        except OperatorError as error:
            if error.code != "no_portal_permission":
                raise
            return None

    return price


def _counted(problems: "Sequence[Problem]") -> str:
    numbers = [(sum(each.severity is severity for each in problems), severity) for severity in Severity]
    found = [f"{number} {severity}{'' if number == 1 else 's'}" for number, severity in numbers if number]
    return ", ".join(found) or "nothing to mend"


def _today(as_of: str | None) -> date:
    return day(as_of) if as_of else datetime.fromtimestamp(time.time(), UTC).date()
