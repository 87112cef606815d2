"""Whether the locked requirements are what pyproject.toml asks for: `make lock-check`."""

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCKS = {
    "dev": "requirements-dev.txt",
    "sam": "requirements-sam.txt",
    "uv": "requirements-uv.txt",
    "checkov": "requirements-checkov.txt",
    "supply": "requirements-supply.txt",
    "mutants": "requirements-mutants.txt",
    "access": "functions/access/requirements.txt",
    "access_changes": "functions/access_changes/requirements.txt",
    "create_session": "functions/create_session/requirements.txt",
    "nightly_audit": "functions/nightly_audit/requirements.txt",
    "pause": "functions/pause/requirements.txt",
    "webhook": "functions/webhook/requirements.txt",
}


def locked(path: Path) -> dict[str, str]:
    """Name to version of each requirement of a lock."""
    pins = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", path.read_text(), re.MULTILINE)
    return {canonicalize_name(name): version for name, version in pins}


def asked(groups: dict[str, Any], name: str) -> list[Requirement]:
    """All requirements of a dependency group, those of included groups among them."""
    found: list[Requirement] = []
    for entry in groups[name]:
        found += asked(groups, entry["include-group"]) if isinstance(entry, dict) else [Requirement(entry)]
    return found


def complaints() -> list[str]:
    """What is wrong with the locks, in words."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    dev = locked(ROOT / LOCKS["dev"])
    wrong = []
    for group, file in LOCKS.items():
        text = (ROOT / file).read_text()
        pins = locked(ROOT / file)
        for requirement in asked(groups, group):
            version = pins.get(canonicalize_name(requirement.name))
            if version is None or not requirement.specifier.contains(version, prereleases=True):
                wrong.append(f"{file} has no {requirement}: run `make lock`")
        if text.count("--hash=sha256:") < len(pins):
            wrong.append(f"{file} has requirements without hashes")
        if "://" in text:
            wrong.append(f"{file} names a host")
        if group not in {"dev", "checkov", "sam"}:
            differ = sorted(name for name, version in pins.items() if dev.get(name, version) != version)
            wrong += [f"{file} and {LOCKS['dev']} differ in {name}: run `make lock`" for name in differ]
    return wrong


if __name__ == "__main__":
    sys.exit("\n".join(complaints()) or None)
