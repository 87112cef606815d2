"""`portal scan`: reports uses of the old form as text, as JSON, or as SARIF 2.1.0 for code scanning services."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from cli.scan.code import Files, Language, SkipReason
from cli.scan.uses import FAULTS, Kind, Use, uses
from cli.terminal import Language as OutputLanguage
from cli.terminal import day, print_json, printable
from shared.i18n import ENGLISH, Message, _, _n, listed, sentences, verbatim
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
    def advice(self) -> Message:
        """What to write instead."""
        match self.use.kind:
            case Kind.SWITCHES_OFF:
                return _("Remove it: a feature that is not sent is off.")
            case Kind.UNCLEAR:
                return _("Check whether the value has a duration; without one it is the old form.")
            case Kind.READS:
                return _(
                    "Since API {version} this means today's pause, which has a duration and stops the service.",
                    version=_RETURNED_IN,
                )
            case Kind.OLD_FORM:
                return _(
                    "Remove it; or, with API {version} or newer, write: {code}",
                    version=_RETURNED_IN,
                    code=sentences(verbatim(self.language.today), self.language.where),
                )


_KINDS = {
    Kind.OLD_FORM: _("old form"),
    Kind.SWITCHES_OFF: _("old form, switched off"),
    Kind.UNCLEAR: _("unclear"),
    Kind.READS: _("reads it"),
}
_SKIPPED = {
    SkipReason.BINARY: _("binary"),
    SkipReason.TOO_LARGE: _("larger than 1 MB"),
    SkipReason.UNREADABLE: _("unreadable"),
}


def text_lines(found: Sequence[Found], files: Files, today: date, language: str) -> Iterator[str]:
    """Yield each use with its advice, then the totals."""
    for each in found:
        yield printable(f"{each.path}:{each.use.line}: {_KINDS[each.use.kind].say(language)}: {each.use.text}")
        yield f"    {each.advice.say(language)}"
    faults = [each for each in found if each.is_fault]
    if found:
        yield ""
    yield sentences(*_totals(found, faults, files)).say(language)
    if faults:
        yield old_pause_meaning(pause_day(today)).say(language)


def _totals(found: Sequence[Found], faults: Sequence[Found], files: Files) -> Iterator[Message]:
    yield _n(
        "{n} use of the old features.subscription_pause.",
        "{n} uses of the old features.subscription_pause.",
        len(faults),
    )
    if faults:
        files_with = len({each.path for each in faults})
        yield _n("In {n} file.", "In {n} files.", files_with)
    if to_check := len(found) - len(faults):
        yield _n("{n} use to check.", "{n} uses to check.", to_check)
    skipped = (
        _n("{n} skipped ({why})", "{n} skipped ({why})", number, why=_SKIPPED[why])
        for why, number in sorted(files.skipped.items())
    )
    read = _n("{n} file read", "{n} files read", files.read)
    yield _("{counts}.", counts=listed([read, *skipped]))


def uses_as_json(found: Sequence[Found], files: Files, language: str) -> dict[str, Any]:
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
                "advice": each.advice.say(language),
            }
            for each in found
        ],
    }


def uses_as_sarif(found: Sequence[Found], today: date, language: str) -> dict[str, Any]:
    """Return the uses as SARIF, which code scanning services show beside the line."""
    rule = {
        "id": _RULE,
        "shortDescription": {
            "text": sentences(
                _("features.subscription_pause in its old form."), old_pause_meaning(pause_day(today))
            ).say(language)
        },
    }
    results = [
        {
            "ruleId": _RULE,
            "level": "error" if each.is_fault else "note",
            "message": {"text": f"{_KINDS[each.use.kind].say(language)}: {each.advice.say(language)}"},
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
    language: OutputLanguage = ENGLISH,
) -> None:
    """Find code that sends the old subscription_pause.

    Exits with 1 if there is some.
    """
    today = day(as_of) if as_of else datetime.now(UTC).date()
    files = Files(folder)
    found = [Found(file.path, file.language, use) for file in files.texts() for use in uses(file.text, file.language)]
    match form:
        case "json":
            print_json(**uses_as_json(found, files, language))
        case "sarif":
            sys.stdout.write(json.dumps(uses_as_sarif(found, today, language), indent=2) + "\n")
        case _:
            sys.stdout.writelines(f"{line}\n" for line in text_lines(found, files, today, language))
    raise typer.Exit(int(any(each.is_fault for each in found)))
