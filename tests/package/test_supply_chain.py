"""A function depends on what its code imports, and nothing that was not looked up counts as harmless."""

import tomllib
from importlib.metadata import Distribution, packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests import supply_chain
from tests.lock_check import locked
from tests.package.test_artifacts import FUNCTIONS
from tests.supply_chain import Audited, packages_imported, refused_licenses

ROOT = Path(__file__).parents[2]
GROUPS: dict[str, list[Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
# Imported by name nowhere: `zoneinfo` reads it.
WITHOUT_IMPORT = {"tzdata"}


@pytest.mark.parametrize("function", FUNCTIONS.values())
def test_a_function_has_the_dependencies_that_its_code_imports(function: str) -> None:
    """Both ways: one that no code imports is dead weight, one that comes with another may leave with it."""
    providers = packages_distributions()
    imported = {canonicalize_name(name) for top in packages_imported(function) for name in providers[top]}
    declared = {canonicalize_name(name) for name in GROUPS[function]}
    assert declared - imported <= WITHOUT_IMPORT
    locks = locked(ROOT / "functions" / function / "requirements.txt")
    assert imported <= locks.keys()


def test_no_package_of_development_is_locked_for_a_function() -> None:
    development = {canonicalize_name(Requirement(name).name) for name in GROUPS["dev"] if isinstance(name, str)}
    shipped = {
        name for function in FUNCTIONS.values() for name in locked(ROOT / "functions" / function / "requirements.txt")
    }
    assert shipped & (development | {"moto", "starlette", "typer", "uvicorn"}) == set()


class Package(Distribution):
    """A package with nothing but metadata."""

    def __init__(self, metadata: str) -> None:
        self._text = metadata

    def read_text(self, filename: str) -> str | None:
        return self._text if filename == "METADATA" else None

    def locate_file(self, path: object) -> Path:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("metadata", "refused"),
    [
        ("License-Expression: MIT", []),
        ("License-Expression: MIT OR (Apache-2.0 AND BSD-3-Clause)", []),
        ("License-Expression: GPL-3.0-or-later", ["GPL-3.0-or-later"]),
        ("License-Expression: MIT AND AGPL-3.0-only", ["AGPL-3.0-only"]),
        ("Classifier: License :: OSI Approved :: BSD License\nLicense: anything", []),
        (
            "Classifier: License :: OSI Approved :: GNU General Public License v3 (GPLv3)",
            ["License :: OSI Approved :: GNU General Public License v3 (GPLv3)"],
        ),
        ("License: Apache-2.0", []),
        ("License: all rights reserved", ["all rights reserved"]),
        ("Summary: says nothing", ["none"]),
    ],
)
def test_a_license_that_is_not_known_to_be_fine_is_refused(metadata: str, refused: list[str]) -> None:
    assert refused_licenses(Package(f"Metadata-Version: 2.4\nName: x\n{metadata}\n")) == refused


VULNERABLE = {"name": "jinja2", "version": "2.10", "vulns": [{"id": "PYSEC-2019-217", "fix_versions": ["2.10.1"]}]}
FINE = {"name": "six", "version": "1.17.0", "vulns": []}
UNKNOWN = {"name": "boto3", "skip_reason": "Dependency not found on PyPI and could not be audited: boto3 (1.44.5)"}


@pytest.mark.parametrize(
    ("packages", "status", "said"),
    [
        ([FINE], 0, "1 packages checked, 0 vulnerabilities"),
        ([FINE, VULNERABLE], 1, "jinja2 2.10: PYSEC-2019-217, fixed in 2.10.1"),
        ([FINE, UNKNOWN], 2, "NOT CHECKED, because the database does not know or did not answer: boto3"),
        ([VULNERABLE, UNKNOWN], 1, "NOT CHECKED, because the database does not know or did not answer: boto3"),
        (None, 2, "NOT CHECKED: the database of vulnerabilities could not be reached"),
    ],
)
def test_nothing_that_was_not_looked_up_counts_as_free_of_vulnerabilities(
    packages: list[dict[str, object]] | None,
    status: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """pip-audit itself says "No known vulnerabilities found", and exits with 0, where an index answers 404 to all."""
    found = None if packages is None else Audited.read({"dependencies": packages})
    monkeypatch.setattr(supply_chain, "audit", lambda _file: found)
    assert supply_chain.main(["requirements.txt"]) == status
    assert said in capsys.readouterr().out
