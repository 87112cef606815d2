"""The triggers of the official Stripe CLI, against a simulator.

`make contract` installs the CLI; where it is not installed, these tests are skipped. The documentation says what each
trigger does here, and this runs all of it.
"""

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from local.stripe_simulator.testing import RunningSimulator, Server

ROOT = Path(__file__).parents[2]
CLI = ROOT / "build/contract/node_modules/.bin/stripe"
PAGE = (ROOT / "docs/reference/simulator.md").read_text()

_NAME = re.compile(r"`([a-z_]+\.[a-z_.]+)`")
_CLEAR = (
    "does not implement|only knows|Unrecognized request URL|unknown parameter|Missing required param|"
    "no attached payment source"
)
# The CLI takes the refusal for the declined payment that it expects.
EXPECTS_AN_ERROR = {"checkout.session.async_payment_failed"}

pytestmark = pytest.mark.skipif(not CLI.exists(), reason="needs `make contract`, which needs Node")


@dataclass(frozen=True)
class Trigger:
    """A row of the table; without a version, the CLI names none, and the newest is meant."""

    name: str
    version: str | None
    event: str | None


def rows() -> list[Trigger]:
    """Read both tables of triggers: those that work, and those that are refused."""
    section = PAGE.partition("### Triggers of the Stripe CLI")[2].partition("\n## ")[0]
    works, _, refused = section.partition("| refused |")
    found = []
    for line in works.splitlines():
        names, _, note = line.removeprefix("| ").partition(" | ")
        for name in _NAME.findall(names) if line.startswith("| `") else ():
            version = re.search(r"`--api-version ([^`]+)`", note)
            other = re.search(r"sends `([a-z_.]+)`", note)
            found.append(Trigger(name, version and version[1], other[1] if other else name))
    for line in refused.splitlines():
        names = line.removeprefix("| ").partition(" | ")[0] if line.startswith("| `") else ""
        found += [Trigger(name, None, None) for name in _NAME.findall(names)]
    return found


@pytest.fixture(scope="module")
def simulator() -> Iterator[RunningSimulator]:
    server = Server()
    with server.simulator() as running:
        running.admin("POST", "default_configuration", {"features": {"payment_method_update": {"enabled": True}}})
        yield running
    server.close()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


def environment(home: Path) -> dict[str, str]:
    """The environment of the CLI: a home of its own, so that it reads nobody's settings and writes nowhere else."""
    return {"HOME": str(home), "PATH": os.environ["PATH"], "STRIPE_CLI_TELEMETRY_OPTOUT": "1"}


def run(simulator: RunningSimulator, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the CLI to its end."""
    command: list[str | Path] = [CLI, "--api-key", "sk_test_51anything", *arguments, "--api-base", simulator.url]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment(home))


def count(simulator: RunningSimulator, kind: str) -> int:
    events = simulator.client().v1.events.list({"type": kind, "limit": 100})
    return len(list(events.auto_paging_iter()))


@pytest.mark.parametrize("trigger", rows(), ids=lambda trigger: trigger.name)
def test_a_trigger_does_what_the_documentation_says(simulator: RunningSimulator, home: Path, trigger: Trigger) -> None:
    kind = trigger.event or trigger.name
    before = count(simulator, kind)
    result = run(
        simulator, home, "trigger", trigger.name, *(["--api-version", trigger.version] if trigger.version else [])
    )
    sent = count(simulator, kind) > before
    if trigger.event:
        assert (result.returncode, sent) == (0, True), result.stderr
    elif trigger.name not in EXPECTS_AN_ERROR:
        # With Stripe's error, or the simulator's own: never one that says nothing.
        assert result.returncode == 1
        assert re.search(_CLEAR, result.stderr)


def test_the_tables_name_every_trigger_of_what_the_simulator_has(simulator: RunningSimulator, home: Path) -> None:
    """A newer CLI may have triggers that the documentation does not name yet."""
    known = run(simulator, home, "trigger", "--help").stdout
    offered = set(re.findall(r"^  ([a-z_]+\.[a-z_.]+)$", known, re.MULTILINE))
    subjects = (
        *("billing_portal", "checkout", "coupon", "customer", "entitlements", "invoice", "payment_method", "plan"),
        *("price", "product", "promotion_code", "subscription", "test_helpers"),
    )
    ours = {name for name in offered if name.startswith(subjects)}
    assert len(ours) > 50
    assert ours - {trigger.name for trigger in rows()} == set()


def test_the_cli_reads_and_writes_with_its_own_commands(simulator: RunningSimulator, home: Path) -> None:
    created = run(simulator, home, "customers", "create", "--email", "ada@example.com")
    assert '"email": "ada@example.com"' in created.stdout, created.stderr
    listed = run(simulator, home, "get", "/v1/customers", "-d", "email=ada@example.com")
    assert listed.stdout.count('"object": "customer"') == 1
