"""`portal scan`: where a code base still sends the portal's withdrawn pause parameter."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from cli.scanning import view
from cli.scanning.files import Files
from cli.scanning.uses import uses
from cli.times import day

app = typer.Typer()


@app.command()
def scan(
    folder: Annotated[Path, typer.Argument(help="The code base: a folder, or one file.")],
    *,
    form: Annotated[Literal["text", "json", "sarif"], typer.Option("--format", help="How to write it.")] = "text",
    as_of: Annotated[str | None, typer.Option(help="The day that it speaks of, YYYY-MM-DD (default: today).")] = None,
) -> None:
    """Find the old features.subscription_pause in a code base; ends with 1 when it is still sent."""
    today = day(as_of) if as_of else datetime.now(UTC).date()
    files = Files(folder)
    found = [view.Found(path, language, use) for path, language, text in files.texts() for use in uses(text, language)]
    match form:
        case "json":
            sys.stdout.write(json.dumps(view.as_json(found, files), indent=2) + "\n")
        case "sarif":
            sys.stdout.write(json.dumps(view.as_sarif(found, today), indent=2) + "\n")
        case _:
            sys.stdout.writelines(f"{line}\n" for line in view.text_lines(found, files, today))
    raise typer.Exit(int(any(each.is_fault for each in found)))
