"""The simulator without the rest of the project: its command, its files, and its pytest plugin."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import stripe

from local.stripe_simulator.seed import Seed, SeedError
from tests.contract import typescript
from tests.integration.simulator_fixtures import Receiver, RunningSimulator, Server

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "simulator.md").read_text()


def blocks(language: str) -> list[str]:
    """The code blocks of the how-to guide in one language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def seed_file(tmp_path: Path) -> Path:
    """The seed file that the guide shows."""
    file = tmp_path / "shop.json"
    file.write_text(blocks("json")[0])
    return file


@contextmanager
def command(*options: str) -> Iterator[str]:
    """Run the command on a free port; yields its address, and ends it as Ctrl-C does."""
    arguments = [sys.executable, "-m", "local.stripe_simulator", "--port", "0", *options]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().rpartition(" ")[2].strip()
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


def client_of(url: str) -> stripe.StripeClient:
    return stripe.StripeClient("sk_test_1", base_addresses={"api": url}, max_network_retries=0)


def test_it_starts_from_a_seed_file_and_goes_on_from_its_state_file(seed_file: Path, tmp_path: Path) -> None:
    state = tmp_path / "shop.state"
    options = ("--seed", str(seed_file), "--state", str(state))
    with command(*options) as url:
        client = client_of(url)
        (subscription,) = client.v1.subscriptions.list().data
        client.v1.subscriptions.update(subscription.id, {"metadata": {"seen": "1"}})
        requests.post(f"{url}/_simulator/clock", json={"now": 2_000_000_000}, timeout=60)
    assert state.stat().st_mode & 0o077 == 0
    with command(*options) as url:
        client = client_of(url)
        (restored,) = client.v1.subscriptions.list().data
        assert restored.id == subscription.id
        assert restored.to_dict()["metadata"] == {"seen": "1"}
        assert requests.get(f"{url}/_simulator/clock", timeout=60).json()["now"] >= 2_000_000_000
        # Time goes on as well: the next renewal was queued again.
        end = int(restored.to_dict()["items"]["data"][0]["current_period_end"])
        requests.post(f"{url}/_simulator/clock", json={"now": end + 1}, timeout=60)
        renewed: Any = client.v1.subscriptions.retrieve(restored.id).to_dict()
        assert renewed["items"]["data"][0]["current_period_start"] == end


@pytest.mark.parametrize(
    ("option", "content", "words"),
    [
        ("--seed", "{}", "`fixtures` must be a list"),
        ("--seed", '{"fixtures": [{"name": "a"}]}', "fixtures[0] has no method, path."),
        ("--seed", '{"fixtures": [{"name": "a", "path": "/v1/nothing", "method": "get"}]}', "Unrecognized request URL"),
        ("--state", "{}", "not a state file"),
        ("--state", '{"format": 0}', "another version"),
    ],
)
def test_a_file_that_it_cannot_use_is_named_with_the_reason(
    option: str, content: str, words: str, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_text(content)
    arguments = [sys.executable, "-m", "local.stripe_simulator", "--port", "0", option, str(file)]
    ended = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_reference_to_nothing_is_refused(server: Server) -> None:
    fixture = {"name": "a", "path": "/v1/customers", "method": "post", "params": {"email": "${nobody:email}"}}
    with pytest.raises(SeedError, match="nobody:email"), server.simulator(seed=Seed([fixture])):
        pass


def test_reset_forgets_everything_but_the_seed(server: Server, seed_file: Path, receiver: Receiver) -> None:
    with server.simulator(seed=Seed.read(seed_file), now=1_721_001_600, retry_seconds=60) as simulator:
        client = simulator.client()
        (seeded,) = client.v1.customers.list().data
        client.v1.webhook_endpoints.create({"url": receiver.url, "enabled_events": ["customer.created"]})
        receiver.statuses[:] = [500]
        client.v1.customers.create({})
        simulator.settle()
        simulator.admin("POST", "faults", {"lag": 3})
        simulator.admin("POST", "clock", {"now": 1_900_000_000})
        assert simulator.admin("POST", "reset")["now"] - 1_721_001_600 < 60
        (again,) = client.v1.customers.list().data
        assert (again.id == seeded.id, again.email) == (False, seeded.email)
        assert simulator.admin("GET", "faults")["lag"] == 0
        assert simulator.admin("POST", "deliveries/retry") == {"retried": 0}
        (hook,) = simulator.admin("GET", "webhook_endpoints")["data"]
        assert hook["secret"].startswith("whsec_")
        assert hook["url"] == "http://127.0.0.1:4242/webhook"
    assert len(receiver.received) == 1


def test_other_names_are_served_only_when_an_option_gives_them(server: Server) -> None:
    for options, host, status in (
        ({}, "stripe:12111", 403),
        ({"host": "stripe"}, "stripe:12111", 200),
        ({"host": "0.0.0.0"}, "rebound.example", 403),
    ):
        with server.simulator(**options) as simulator:
            answer = simulator.session.get(f"{simulator.url}/_simulator/clock", headers={"Host": host}, timeout=60)
        assert answer.status_code == status, (options, host)


def many_customers(simulator: RunningSimulator) -> set[str]:
    """More customers than two pages of ten hold, and two failures ahead for which the libraries retry."""
    client = simulator.client()
    made = {client.v1.customers.create({"email": f"{number}@example.com"}).id for number in range(23)}
    simulator.admin("POST", "faults", {"fail": [{"status": 500}, {"status": 503}]})
    return made


def test_the_guides_python_pages_retries_and_repeats_nothing(
    simulator: RunningSimulator, capsys: pytest.CaptureFixture[str]
) -> None:
    simulator.admin("POST", "default_configuration", {"features": {"payment_method_update": {"enabled": True}}})
    made = many_customers(simulator)
    for _ in range(2):
        names: dict[str, Any] = {}
        exec(blocks("python")[0].replace("http://127.0.0.1:12111", simulator.url), names)
        *listed, session = capsys.readouterr().out.splitlines()
        assert "/p/session/" in session
        assert (len(listed), {line.split()[0] for line in listed} >= made) == (24, True)
    exec(blocks("python")[1].replace("http://127.0.0.1:12111", simulator.url), names)


@pytest.mark.skipif(not typescript.COMPILER.exists(), reason="needs `make contract`, which needs Node")
def test_the_guides_node_pages_retries_and_repeats_nothing(simulator: RunningSimulator) -> None:
    made = many_customers(simulator)
    # Where `stripe` of npm is installed.
    script = typescript.FOLDER / "guide.mjs"
    script.write_text(blocks("js")[0].replace("12111", simulator.url.rpartition(":")[2]))
    for _ in range(2):
        ended = subprocess.run(["node", script], capture_output=True, text=True, timeout=60, check=False)
        listed = ended.stdout.splitlines()
        assert (len(listed), {line.split()[0] for line in listed} >= made) == (24, True), ended.stderr


# On the path, or where `make contract` puts what npm installs.
CLI = shutil.which("stripe") or shutil.which("stripe", path=typescript.COMPILER.parent)


@pytest.mark.skipif(not CLI, reason="needs the Stripe CLI")
def test_the_guides_cli_commands_work(simulator: RunningSimulator, seed_file: Path, tmp_path: Path) -> None:
    # `listen` goes on until it is ended.
    commands = [line for line in re.findall("^stripe .*$", PAGE, re.MULTILINE) if " listen " not in line]
    assert len(commands) == 3
    for line in commands:
        arguments = [str(CLI), *shlex.split(line.replace("http://127.0.0.1:12111", simulator.url))[1:]]
        environment = {**os.environ, "HOME": str(tmp_path), "STRIPE_CLI_TELEMETRY_OPTOUT": "1"}
        subprocess.run(arguments, cwd=seed_file.parent, env=environment, timeout=60, check=True)
    assert {one.email for one in simulator.client().v1.customers.list().data} >= {"ada@example.com"}
    assert simulator.event_types().count("customer.created") == 2


def test_the_guides_pytest_example_passes_in_a_project_of_its_own(tmp_path: Path) -> None:
    conftest, module = blocks("python")[2:]
    (tmp_path / "conftest.py").write_text(conftest)
    (tmp_path / "test_it.py").write_text(module)
    arguments = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(tmp_path),
        str(tmp_path),
    ]
    ended = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert "1 passed" in ended.stdout, ended.stdout + ended.stderr


def test_the_seed_file_of_the_guide_is_json_that_the_cli_reads_too() -> None:
    content = json.loads(blocks("json")[0])
    assert content["_meta"] == {"template_version": 0}
    assert {fixture["method"] for fixture in content["fixtures"]} == {"post"}
