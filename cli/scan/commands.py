"""`portal scan`: reports uses of the old form as text, as JSON, or as SARIF 2.1.0 for code scanning services."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from cli.scan.code import Files, Language
from cli.scan.uses import FAULTS, Kind, Use, uses
from cli.terminal import count, day, printable
from shared.i18n import ENGLISH
from shared.portal.configuration import SINCE
from shared.portal.pause import pause_day
from shared.portal.rules import old_pause_meaning

app = typer.Typer()

_RULE = "old-subscription-pause"
_RETURNED_IN = SINCE["features.subscription_pause"]


@dataclass(frozen=True, slots=True)
class Found:
    """A use, the file it is in, and the file's language."""

    path: Path
    language: Language
    use: Use

    @property
    def is_fault(self) -> bool:
        """Whether it has to be fixed."""
        return self.use.kind in FAULTS

    @property
    def advice(self) -> str:
        """What to write instead."""
        match self.use.kind:
            case Kind.SWITCHES_OFF:
                return "Remove it: a feature that is not sent is off."
            case Kind.UNCLEAR:
                return "Check whether the value has a duration; without one it is the old form."
            case Kind.READS:
                return f"Since API {_RETURNED_IN} this means today's pause, which has a duration and stops the service."
            case Kind.OLD_FORM:
                return f"Remove it; or, with API {_RETURNED_IN} or newer, write: {self.language.today}"


def text_lines(found: Sequence[Found], files: Files, today: date) -> Iterator[str]:
    """Yield each use with its advice, then the totals."""
    for each in found:
        yield printable(f"{each.path}:{each.use.line}: {each.use.kind}: {each.use.text}")
        yield f"    {each.advice}"
    faults = [each for each in found if each.is_fault]
    if found:
        yield ""
    skipped = "".join(f", {number} skipped ({why})" for why, number in sorted(files.skipped.items()))
    to_check = f"; {len(found) - len(faults)} to check" if len(found) > len(faults) else ""
    where = f" in {count(len({each.path for each in faults}), 'file')}" if faults else ""
    yield (
        f"{count(len(faults), 'use')} of the old features.subscription_pause{where}{to_check}. "
        f"{count(files.read, 'file')} read{skipped}."
    )
    if faults:
        yield old_pause_meaning(pause_day(today)).say(ENGLISH)


def uses_as_json(found: Sequence[Found], files: Files) -> dict[str, Any]:
    """Return every use as JSON-compatible data."""
    return {
        "files_read": files.read,
        "files_skipped": dict(files.skipped),
        "uses": [
            {
                "path": each.path.as_posix(),
                "line": each.use.line,
                "column": each.use.column,
                "kind": each.use.kind,
                "fault": each.is_fault,
                "language": each.language.name,
                "text": each.use.text,
                "advice": each.advice,
            }
            for each in found
        ],
    }


def uses_as_sarif(found: Sequence[Found], today: date) -> dict[str, Any]:
    """Return the uses as SARIF, which code scanning services show beside the line."""
    rule = {
        "id": _RULE,
        "shortDescription": {
            "text": f"features.subscription_pause in its old form. {old_pause_meaning(pause_day(today)).say(ENGLISH)}"
        },
    }
    results = [
        {
            "ruleId": _RULE,
            "level": "error" if each.is_fault else "note",
            "message": {"text": f"{each.use.kind}: {each.advice}"},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": each.path.as_posix()},
                        "region": {"startLine": each.use.line, "startColumn": each.use.column},
                    }
                }
            ],
        }
        for each in found
    ]
    driver = {"name": "portal scan", "rules": [rule]}
    schema = "https://json.schemastore.org/sarif-2.1.0.json"
    return {"$schema": schema, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]}


@app.command()
def scan(
    folder: Annotated[Path, typer.Argument(help="The code base: a folder or one file.")],
    *,
    form: Annotated[Literal["text", "json", "sarif"], typer.Option("--format", help="Output format.")] = "text",
    as_of: Annotated[str | None, typer.Option(help="The date of the report, YYYY-MM-DD (default: today).")] = None,
) -> None:
    """Find the old form of features.subscription_pause in a code base. Exits with 1 if it is still sent."""
    today = day(as_of) if as_of else datetime.now(UTC).date()
    files = Files(folder)
    found = [Found(file.path, file.language, use) for file in files.texts() for use in uses(file.text, file.language)]
    match form:
        case "json":
            sys.stdout.write(json.dumps(uses_as_json(found, files), indent=2) + "\n")
        case "sarif":
            sys.stdout.write(json.dumps(uses_as_sarif(found, today), indent=2) + "\n")
        case _:
            sys.stdout.writelines(f"{line}\n" for line in text_lines(found, files, today))
    raise typer.Exit(int(any(each.is_fault for each in found)))
