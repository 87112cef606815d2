"""What a scan found, for people, for programs and for code scanning services (SARIF 2.1.0)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from cli.configuration.rules_pause import RETURNED_IN, what_it_means
from cli.printable import printable
from cli.scanning.files import Files
from cli.scanning.languages import Language
from cli.scanning.uses import FAULTS, Kind, Use
from shared.audit.text import count

_RULE = "old-subscription-pause"


@dataclass(frozen=True, slots=True)
class Found:
    """A use and where it is."""

    path: Path
    language: Language
    use: Use

    @property
    def is_fault(self) -> bool:
        """Whether it has to be mended."""
        return self.use.kind in FAULTS

    @property
    def advice(self) -> str:
        """What to write instead."""
        match self.use.kind:
            case Kind.SWITCHES_OFF:
                return "Take it out: what is not sent is off."
            case Kind.UNCLEAR:
                return "Look whether the value has a duration; without one it is the old form."
            case Kind.READS:
                return f"Since API {RETURNED_IN} this means today's pause, which has a duration and stops the service."
            case Kind.OLD_FORM:
                return f"Take it out; or, with API {RETURNED_IN} or newer, write: {self.language.today}"


def text_lines(found: Sequence[Found], files: Files, today: date) -> Iterator[str]:
    """Write each use with what to do, and what it comes to."""
    for each in found:
        yield printable(f"{each.path}:{each.use.line}: {each.use.kind}: {each.use.text}")
        yield f"    {each.advice}"
    faults = [each for each in found if each.is_fault]
    if found:
        yield ""
    skipped = "".join(f", {number} skipped ({why})" for why, number in sorted(files.skipped.items()))
    looked = f"; {len(found) - len(faults)} to look at" if len(found) > len(faults) else ""
    where = f" in {count(len({each.path for each in faults}), 'file')}" if faults else ""
    yield f"{count(len(faults), 'use')} of the old features.subscription_pause{where}{looked}. {_read(files)}{skipped}."
    if faults:
        yield what_it_means(today)


def _read(files: Files) -> str:
    return f"{count(files.read, 'file')} read"


def as_json(found: Sequence[Found], files: Files) -> dict[str, Any]:
    """Answer all of it for programs."""
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


def as_sarif(found: Sequence[Found], today: date) -> dict[str, Any]:
    """Answer it as SARIF, which code scanning services show beside the line."""
    rule = {
        "id": _RULE,
        "shortDescription": {"text": f"features.subscription_pause in its old form. {what_it_means(today)}"},
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
