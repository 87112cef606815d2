"""What the artifacts are made of: the packages that a function's code imports, licenses and known vulnerabilities.

`make vulnerabilities` runs this; the tests in `tests/package` look into each artifact.
"""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution
from importlib.util import resolve_name
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from email.message import Message

ROOT = Path(__file__).parents[1]
PIP_AUDIT = ROOT / ".venv-supply" / "bin" / "pip-audit"
# Each lets its package be passed on, unchanged, with a product under another license. MPL-2.0 asks for the source of
# changed files of the package only.
ALLOWED_LICENSES = frozenset(
    {"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "MPL-2.0", "PSF-2.0"}
)
# Of packages whose metadata is older than SPDX expressions.
ALLOWED_CLASSIFIERS = frozenset(
    f"License :: OSI Approved :: {name}"
    for name in (
        "Apache Software License",
        "BSD License",
        "MIT License",
        "MIT No Attribution License (MIT-0)",
        "Mozilla Public License 2.0 (MPL 2.0)",
    )
)


def refused_licenses(package: Distribution) -> list[str]:
    """What a package declares about its license that is not among those allowed; `none` if it declares nothing."""
    declared: Message = package.metadata  # type: ignore[assignment]  # its type says less than it is
    if expression := declared.get("License-Expression"):
        return sorted(set(re.findall(r"[\w.-]+", expression)) - {"AND", "OR"} - ALLOWED_LICENSES)
    classifiers = [each for each in declared.get_all("Classifier", []) if each.startswith("License :: ")]
    if classifiers:
        return sorted(set(classifiers) - ALLOWED_CLASSIFIERS)
    name = declared.get("License", "none")
    return [] if name in ALLOWED_LICENSES else [name]


def imported_modules(source: str | bytes, package: str = "") -> Iterator[str]:
    """The modules that a source imports anywhere, except those that only a type checker reads.

    `package` is where the source is, for its relative imports.
    """

    def visit(nodes: Iterable[ast.AST]) -> Iterator[str]:
        for node in nodes:
            if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
                yield from visit(node.orelse)
                continue
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                module = resolve_name("." * node.level + (node.module or ""), package)
                yield module
                yield from (f"{module}.{alias.name}" for alias in node.names)
            yield from visit(ast.iter_child_nodes(node))

    yield from visit([ast.parse(source)])


def packages_imported(function: str) -> set[str]:
    """The top-level packages outside this project that a function's code imports, directly or through `shared`."""
    waiting, seen, outside = list((ROOT / "functions" / function).rglob("*.py")), set[Path](), set[str]()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        for module in imported_modules(path.read_text()):
            top, *_ = parts = module.split(".")
            if top in {"functions", "shared"}:
                file = ROOT.joinpath(*parts)
                waiting += [each for each in (file.with_suffix(".py"), file / "__init__.py") if each.exists()]
            elif top not in sys.stdlib_module_names:
                outside.add(top)
    return outside


@dataclass(frozen=True, slots=True)
class Audited:
    """What pip-audit found out about the packages of one file: of how many, and which it could not look up."""

    checked: int
    skipped: tuple[str, ...]
    vulnerable: tuple[str, ...]

    @classmethod
    def read(cls, report: Mapping[str, Any]) -> "Audited":
        """Read pip-audit's JSON. It reports "no known vulnerabilities" of packages too that it could not look up."""
        packages: Sequence[Mapping[str, Any]] = report["dependencies"]
        return cls(
            sum("vulns" in each for each in packages),
            tuple(each["name"] for each in packages if "vulns" not in each),
            tuple(
                f"{each['name']} {each['version']}: {found['id']}, fixed in {', '.join(found['fix_versions']) or '?'}"
                for each in packages
                for found in each.get("vulns", ())
            ),
        )


def audit(requirements: Path, *, timeout_seconds: int = 15) -> Audited | None:
    """Ask pip-audit about each package of a requirements file. `None`: the database could not be reached."""
    command = [str(PIP_AUDIT), "--requirement", str(requirements), "--disable-pip", "--require-hashes"]
    command += ["--format", "json", "--progress-spinner", "off", "--timeout", str(timeout_seconds)]
    ran = subprocess.run(command, check=False, capture_output=True, text=True)
    try:
        return Audited.read(json.loads(ran.stdout))
    except json.JSONDecodeError:
        return None


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def main(files: Sequence[str]) -> int:
    """Print what is known about the packages of each file.

    Return 0 if none is vulnerable, 1 if some are, 2 if not all could be checked.
    """
    status = 0
    for file in files:
        found = audit(Path(file))
        if found is None:
            _say(f"{file}: NOT CHECKED: the database of vulnerabilities could not be reached")
            status = status or 2
            continue
        _say(f"{file}: {found.checked} packages checked, {len(found.vulnerable)} vulnerabilities")
        for each in found.vulnerable:
            _say(f"  {each}")
        if found.skipped:
            _say(f"  NOT CHECKED, because the database does not know or did not answer: {', '.join(found.skipped)}")
        status = 1 if found.vulnerable else status or (2 if found.skipped else 0)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
