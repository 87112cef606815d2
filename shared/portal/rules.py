"""What can be wrong with a portal.yaml: where, what, and what to write instead."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

Path = tuple[str | int, ...]


class Severity(StrEnum):
    """An error keeps `portal apply` from touching what it is about; a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """`code` is stable for programs; `line` is where the path stands in the file, 0 when it stands nowhere."""

    code: str
    path: Path
    message: str
    mend: str
    severity: Severity = Severity.ERROR
    line: int = 0

    @property
    def entry(self) -> str | None:
        """The configuration that it is about, if it is about one."""
        return str(self.path[1]) if len(self.path) > 1 and self.path[0] == "configurations" else None


def dotted(path: Path) -> str:
    """Write a path as people read it: `configurations.team.groups[0]`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.lstrip(".")


def errors(problems: Iterable[Problem]) -> list[Problem]:
    """Return those that have to be mended."""
    return [each for each in problems if each.severity is Severity.ERROR]
