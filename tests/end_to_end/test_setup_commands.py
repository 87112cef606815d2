"""`portal connect`, `portal doctor` and `portal rotate` against the stack that `make dev` runs."""

import json
import os
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from tests.end_to_end.stack_fixture import SETTLES_SOON, RunningStack, get, links_of, row_of


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    running = RunningStack.start(*SETTLES_SOON).wait_until_ready()
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo what `--local` does to the environment."""
    monkeypatch.setattr(os, "environ", os.environ.copy())


def portal(stack: RunningStack, *words: str, text: str = "") -> Result:
    arguments = ["--local", "--local-url", stack.url, *words]
    return CliRunner().invoke(app, arguments, input=text, env={"COLUMNS": "160"})


def findings(stack: RunningStack) -> list[dict[str, str]]:
    """What the doctor's checks find: `check`, `state`, and the text about it."""
    result = portal(stack, "doctor", "--format", "json", "--timeout", "120")
    assert result.exit_code in {0, 1, 4}, result.output
    found: list[dict[str, str]] = json.loads(result.stdout)["results"]
    return found


def test_the_stack_is_healthy_after_connections_and_rotations(stack: RunningStack) -> None:
    # The doctor comes last: after its event with a wrong signature, the webhook reads no new secret for a minute.
    for arguments, text in (
        (("connect", "--yes"), ""),
        (("rotate", "webhook"), ""),
        (("rotate", "link"), ""),
        (("rotate", "key", "--stripe-key-file", "-"), "rk_test_another_key_1234\n"),
        (("connect", "--yes"), ""),
        (("rotate", "webhook", "--finish"), ""),
    ):
        result = portal(stack, *arguments, text=text)
        assert result.exit_code == 0, f"{arguments}: {result.exception} {result.output}"
    after = findings(stack)
    # No audit has run here yet.
    assert [each for each in after if each["state"] not in {"ok", "skipped"} and each["check"] != "last night"] == []
    assert [each["state"] for each in after if each["check"] == "last night"] == ["warning"]
    # The demo's own links are signed with the old secret, which still counts.
    assert get(f"{stack.url}{links_of(row_of(stack, 'Jonas Weber'))[0]}").status_code == 303


def test_the_stack_has_the_parameter_that_was_asked_for(stack: RunningStack) -> None:
    assert get(f"{stack.url}/local.json").json()["parameters"]["EventClockUncertaintySeconds"] == "2"


def test_a_live_key_is_refused_here_too(stack: RunningStack) -> None:
    found = portal(stack, "connect", "--stripe-key-file", "-", text="rk_live_a_live_key_1234\n")
    assert found.exit_code == 1
    assert "Deploy another stack for live mode" in str(found.exception)
