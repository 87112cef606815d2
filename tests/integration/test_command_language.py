"""Every command speaks the language that `--language` asks for: in a made-up one, no sentence stays English.

A new command has to be in the table, with runs that reach what it prints.
"""

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer

from cli.main import app, main
from cli.setup import check_operation
from tests.integration.conftest import Api, Aws
from tests.integration.setup_world import KEY, SetupWorld, forget_secrets, setup_world
from tests.integration.simulator_fixtures import RunningSimulator
from tests.pseudo_locale import OPENING, PSEUDO, third_language, untranslated

OLD_CODE = 'stripe.billing_portal.Configuration.create(features={"subscription_pause": {"enabled": True}})\n'
BAD_FILE = "configurations:\n  a:\n    features: {invoice_histroy: {enabled: true}}\n    groups: [x]\n    active: 1\n"
GOOD_FILE = "configurations:\n  a:\n    groups: [x]\n    features: {invoice_history: {enabled: true}}\n"
_PROBLEMS = r"configurations[\w.\[\]]+: |\[\w+\]$"
_FIELDS = rf"{_PROBLEMS}|^ {{4}}[\w.\[\]]+: .*?(?= -> |$)|true|false|\"[^\"]*\"|PortalConfigurations|  sam deploy .*"


# Names of files, and what the functions log to the same output here.
_EVERYWHERE = re.compile(r"\b\w+\.(?:yaml|csv|py)\b|^\{\".*$", re.MULTILINE)


@dataclass(frozen=True)
class Run:
    """Arguments, and a pattern of what no language changes in their output."""

    arguments: str = ""
    data: str = r"(?!)"


RUNS: dict[str, tuple[Run, ...]] = {
    "show": (Run("{customer}", "active"), Run("cus_nobody"), Run("banana")),
    "link": (
        Run("{customer} --email"),
        Run("cus_nobody"),
        Run("{customer} --expires soon"),
        Run("{customer} --flow subscription_cancel"),
        Run("{customer} --locale ??"),
    ),
    "audit": (Run("", r"\(\w+\)$"), Run("--as-of today"), Run("--timezone Mars/Olympus"), Run("--setting Nonsense=1")),
    "access": (
        Run("{customer}"),
        Run("cus_nobody"),
        Run(""),
        Run("{customer} --compare list.csv"),
        Run("--compare list.csv"),
        Run("--compare empty.csv"),
        Run("--compare missing.csv"),
        Run("{customer} --feature gold"),
    ),
    "explain": (
        Run("{subscription}", r"\b[a-z_]{3,}\b(?=\s{2})|^ +\w[\w ]* +(?=\S)"),
        Run(""),
        Run("cus_1"),
        Run("--country France"),
    ),
    "pause": (
        Run("{subscription} --until 2030-01-01"),
        Run("{subscription} --until soon"),
        Run("{subscription}"),
        Run("{subscription} --undo"),
        Run("sub_nobody --undo"),
    ),
    "resume": (
        Run("{subscription}"),
        Run("--stranded"),
        Run(""),
        Run("--stranded --apply"),
        Run("--stranded --cutoff-on 2020-01-01"),
    ),
    "pauses": (Run(""), Run("{subscription}"), Run("{subscription} --open")),
    "acknowledge": (
        Run("{subscription} --findings"),
        Run("{subscription}"),
        Run("cus_1"),
        Run("sub_1 --until 2020-01-01"),
    ),
    "convert": (Run("{subscription}"),),
    "backfill": (Run("--dry-run"), Run("--starting-after sub_nobody")),
    "reconcile": (
        Run("--repair"),
        Run("", r"status|quantity|price|incomplete|active|past_due|metadata"),
        Run("--entitlements"),
    ),
    "replay": (Run(""), Run("--since 90d")),
    "lint": (Run("bad.yaml", _PROBLEMS), Run("good.yaml", _PROBLEMS), Run("missing.yaml"), Run("list.csv", _PROBLEMS)),
    "plan": (Run("good.yaml", _FIELDS), Run("bad.yaml", _PROBLEMS), Run("missing.yaml")),
    "apply": (Run("good.yaml --yes", _FIELDS), Run("good.yaml --yes", _FIELDS), Run("good.yaml --format json")),
    "import": (Run("--output new.yaml", _PROBLEMS), Run("--output new.yaml")),
    "scan": (Run("code", r"stripe\.billing.*"), Run("nowhere")),
    "connect": (Run("--no-backfill"), Run("--yes --requests-per-second 100"), Run("--stripe-key-file nowhere")),
    "doctor": (Run(""),),
    "rotate": (
        Run("link"),
        Run("webhook"),
        Run("webhook --finish"),
        Run("key"),
        Run("key --finish"),
        Run("link --finish"),
    ),
}


def test_every_command_is_in_the_table_and_takes_the_option() -> None:
    group = typer.main.get_command(app)
    commands = group.commands  # type: ignore[attr-defined]
    assert set(commands) == set(RUNS)
    without = [name for name, each in commands.items() if not any("--language" in one.opts for one in each.params)]
    assert without == []


@pytest.fixture
def world(
    aws: Aws, api: Api, simulator: RunningSimulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[SetupWorld]:
    """A deployment that works, with a subscription in its mirror, and files to work on."""
    files = tmp_path / "files"
    (files / "code").mkdir(parents=True)
    for name, text in {
        "key": f"{KEY}\n",
        "code/a.py": OLD_CODE,
        "bad.yaml": BAD_FILE,
        "good.yaml": GOOD_FILE,
        "list.csv": "customer,active\ncus_1,yes\ncus_2,perhaps\n",
        "empty.csv": "",
    }.items():
        (files / name).write_text(text)
    monkeypatch.chdir(files)
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setattr(check_operation, "_ON_ITS_WAY_SECONDS", 0)
    aws.create_table("Pauses")
    with setup_world(aws, api, simulator, monkeypatch, str(files / "key")) as made:
        made.save_portal_settings()
        assert made.connect().exit_code == 0
        forget_secrets()
        assert set(made.deliver()) == {200}
        yield made


@pytest.mark.parametrize("command", RUNS)
def test_no_sentence_stays_english(
    command: str, world: SetupWorld, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    subscription = world.simulator.client().v1.subscriptions.list().data[0]
    names = {"customer": str(subscription.customer), "subscription": subscription.id}
    with third_language(tmp_path, monkeypatch):
        for run in RUNS[command]:
            arguments = shlex.split(run.arguments.format(**names))
            monkeypatch.setattr("sys.argv", ["portal", command, *arguments, "--language", PSEUDO])
            with pytest.raises(SystemExit):
                main()
            captured = capsys.readouterr()
            said = captured.out + captured.err.replace("portal: ", "")
            assert OPENING in said, (run, said)
            assert untranslated(re.sub(run.data, " ", _EVERYWHERE.sub(" ", said), flags=re.MULTILINE)) == [], (
                run,
                said,
            )


@pytest.mark.parametrize("command", RUNS)
def test_programs_get_one_json_object_with_a_version(
    command: str, world: SetupWorld, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    subscription = world.simulator.client().v1.subscriptions.list().data[0]
    names = {"customer": str(subscription.customer), "subscription": subscription.id}
    arguments = shlex.split(RUNS[command][0].arguments.format(**names))
    monkeypatch.setattr("sys.argv", ["portal", command, *arguments, "--format", "json"])
    with pytest.raises(SystemExit):
        main()
    # What the functions log to the same output here has a line of its own for each record.
    printed = "\n".join(line for line in capsys.readouterr().out.splitlines() if not line.startswith('{"'))
    found = json.loads(printed)
    assert found["version"] == 1
    assert len(found) > 1
