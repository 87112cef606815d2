"""The commands of the tutorial and of the questions and answers work as printed, and print what the page shows."""

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from typer.testing import CliRunner, Result

from cli.main import app
from tests.end_to_end.stack_fixture import RunningStack, customer_page, eventually, get, in_sync, wait_for_counter
from tests.permissions import CommandRecorder, permission
from tests.shown_commands import Example, examples

DOCS = Path(__file__).parents[2] / "docs"
# Not run here: they start the stack, or fetch the code.
NOT_RUN = {"make", "git"}
PEOPLE = {"JONAS": "Jonas Weber", "AMÉLIE": "Amélie Laurent", "TOMÁS": "Tomás Silva", "123": "Jonas Weber"}


def run_here(markdown: str) -> list[Example]:
    """The commands of a page that these tests run."""
    return [each for each in examples(markdown) if each.command.split()[0] not in NOT_RUN]


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    running = RunningStack.start().wait_until_ready()
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Run in an empty folder, and undo what `--local` does to the environment."""
    monkeypatch.setattr(os, "environ", os.environ.copy())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "src").mkdir()


def with_ids(text: str, stack: RunningStack) -> str:
    """Replace `cus_NAME` and `sub_NAME` by that customer's ids."""

    def id_of(found: re.Match[str]) -> str:
        page = customer_page(stack, PEOPLE[found[2]])
        if found[1] == "cus":
            return page.rpartition("/")[2]
        subscription = re.search(r"sub_\w+", get(page).text)
        assert subscription
        return subscription[0]

    return re.sub(rf"\b(cus|sub)_({'|'.join(PEOPLE)})\b", id_of, text)


def run(example: Example, stack: RunningStack) -> Result:
    program, *words = shlex.split(with_ids(example.command, stack))
    assert Path(program).name == "portal"
    words = [word for word in words if word != "--local"]
    return CliRunner().invoke(app, ["--local", "--local-url", stack.url, *words], input="y\n", env={"COLUMNS": "200"})


def squeezed(text: str) -> str:
    return " ".join(text.split())


def test_every_command_of_the_questions_and_answers_works(stack: RunningStack) -> None:
    failed = []
    text = (DOCS / "faq.en.md").read_text() + (DOCS / "faq.fr.md").read_text()
    for example in {each.command: each for each in run_here(text)}.values():
        result = run(example, stack)
        # The demo's old configuration has errors, and `portal lint` says so by exiting with 1.
        accepted = {0, 1} if " lint" in example.command else {0}
        if result.exit_code not in accepted or not result.stdout.strip():
            failed.append(f"{example.command}: {result.exit_code} {result.exception} {result.output}")
    assert failed == []


def test_the_tutorial_works_step_by_step(stack: RunningStack) -> None:
    seen = 0
    for step in re.split(r"^## ", (DOCS / "tutorial.md").read_text(), flags=re.MULTILINE):
        if "Pause collection" in step:
            assert "All are in sync" in step
            wait_for_counter(stack, in_sync(stack))
            pause_collection(stack, "Amélie Laurent")
        if "Let two more months pass" in step:
            let_a_month_pass(stack, "Tomás Silva")
            let_a_month_pass(stack, "Tomás Silva")
        for example in run_here(step):
            if "access cus_TOMÁS" in example.command and "**Let a month pass**" in step:
                let_a_month_pass(stack, "Tomás Silva")
            result = run(example, stack)
            # `portal access` says by exiting with 1 that there is no service.
            accepted = {0, 1} if " access" in example.command else {0}
            assert result.exit_code in accepted, f"{example.command}: {result.exception} {result.output}"
            for line in example.output:
                expected = with_ids(line, stack).replace("http://127.0.0.1:8787", stack.url)
                assert squeezed(expected) in squeezed(result.stdout), example.command
            eventually(stack, "Jonas Weber", "active")
            seen += 1
    assert seen > 10
    outbox = get(f"{stack.url}/outbox").text
    assert re.search(r"Your subscription returns on [^<]+</a>\s*<span class=\"small\">to tomas\.silva", outbox)


def let_a_month_pass(stack: RunningStack, name: str) -> None:
    url = f"{customer_page(stack, name)}/clock"
    requests.post(url, headers={"Origin": stack.url}, timeout=120).raise_for_status()


def pause_collection(stack: RunningStack, name: str) -> None:
    """Press the button on the customer's page."""
    page = customer_page(stack, name)
    form = re.search(r'<form method="post" action="(/customers/[^"]+/subscriptions/[^"]+)"', get(page).text)
    assert form
    values = {"action": "pause_collection", "behavior": "void"}
    requests.post(f"{stack.url}{form[1]}", values, headers={"Origin": stack.url}, timeout=60).raise_for_status()
    eventually(stack, name, "collection paused")


def documented_permissions(command: str) -> set[str]:
    """The permissions of a Stripe key that docs/reference/commands.md gives a command."""
    text = (DOCS / "reference" / "commands.md").read_text()
    rows = re.findall(r"^\| (`.*?`) \| (?:none|your own|the deployment's) \|(.*)\|$", text, re.MULTILINE)
    (cell,) = (permissions for names, permissions in rows if f"`{command}`" in names)
    return set(re.findall(r"\*([A-Z][\w ]+)\*", cell))


@pytest.mark.parametrize(
    ("documented", "command"),
    [
        ("link", "link cus_JONAS"),
        ("show", "show cus_JONAS"),
        ("access", "access cus_JONAS"),
        ("audit", "audit"),
        ("explain", "explain sub_JONAS"),
        ("backfill", "backfill"),
        ("reconcile", "reconcile --repair"),
        ("replay", "replay --apply"),
        ("import", "import"),
    ],
)
def test_a_command_calls_nothing_that_its_documented_permissions_do_not_allow(
    documented: str, command: str, stack: RunningStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = requests.get(f"{stack.url}/local.json", timeout=60).json()
    recorder = CommandRecorder()
    recorder.install(monkeypatch, lambda: str(local["stripe_api_base"]))
    recorder.driven = documented
    run(Example(f"portal {command}", ()), stack)
    calls = recorder.stripe[documented]
    assert calls or not documented_permissions(documented)
    # The row of `explain` names the account in words.
    called = {permission(route).split("*")[1] for route in calls} - {"Account"}
    assert called <= documented_permissions(documented)
    if documented in {"backfill", "reconcile", "replay"}:
        allowed = (DOCS / "how-to" / "recovery.md").read_text().split("## Permissions")[1]
        actions = {each.split()[0].partition(":")[2] for each in recorder.aws[documented]}
        assert [action for action in actions if not re.search(rf"\b{action}`", allowed)] == []
        assert actions
