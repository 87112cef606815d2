"""The project is an application that runs from its checkout: no wheel can be built, because none would work."""

import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("target", ["wheel", "sdist"])
def test_a_distribution_is_refused_with_what_to_run_instead(target: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(tmp_path)]
    build = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert build.returncode == 1
    assert "make dev" in build.stderr
    assert "make .venv/bin/portal" in build.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_editable_install_provides_the_portal_command() -> None:
    (portal,) = distribution("stripe-portal-bundle").entry_points.select(group="console_scripts")
    assert portal.name == "portal"
    assert callable(portal.load())
