"""What `portal scan` finds in code bases of several languages, and what it leaves alone."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from cli.scan.code import language_of
from cli.scan.uses import FAULTS, Kind, uses

FIXTURES = Path(__file__).parents[1] / "fixtures" / "scan"


def scan(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["scan", *map(str, words)])


def kinds(text: str, name: str) -> list[Kind]:
    language = language_of(Path(name), text)
    assert language
    return [use.kind for use in uses(text, language)]


def marked(path: Path, mark: str) -> list[int]:
    """The lines of a fixture that say so."""
    return [number for number, line in enumerate(path.read_text().splitlines(), 1) if mark in line and number > 1]


@pytest.mark.parametrize("path", sorted((FIXTURES / "old").iterdir()), ids=lambda path: path.name)
def test_the_old_form_is_found_in_each_language_and_each_spelling(path: Path) -> None:
    language = language_of(path, "")
    assert language
    found = list(uses(path.read_text(), language))
    assert [use.line for use in found if use.kind in FAULTS] == marked(path, "OLD")
    assert [use.line for use in found if use.kind is Kind.SWITCHES_OFF] == marked(path, "OLD, off")
    assert [use.line for use in found if use.kind not in FAULTS] == marked(path, "LOOK")


@pytest.mark.parametrize("path", sorted((FIXTURES / "old").iterdir()), ids=lambda path: path.name)
def test_what_is_told_to_write_is_no_find_itself(path: Path) -> None:
    language = language_of(path, "")
    assert language
    assert "duration" in language.today.lower()
    # The same advice in every language: a pause without an end, as the old form was.
    assert "indefinite" in language.today.lower()
    assert "interval_options" not in language.today
    assert list(uses(f"billing_portal {language.today}", language)) == []


@pytest.mark.parametrize("path", sorted((FIXTURES / "today").iterdir()), ids=lambda path: path.name)
def test_todays_form_and_the_flow_are_no_faults(path: Path) -> None:
    assert kinds(path.read_text(), path.name) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.py", "x = {'subscription_pause'"),
        ("a.py", "subscription_pause"),
        ("a.json", '{"subscription_pause":'),
        ("a.yaml", "subscription_pause:\n"),
        ("a.js", "`never closed subscription_pause: {"),
        ("a.java", "SubscriptionPause.builder()"),
        ("a.php", "subscription_pause =>"),
        ("a.py", "setSubscriptionPaused(enabled=True)"),
        ("a.sh", "features[subscription_pause]["),
    ],
)
def test_what_ends_in_the_middle_is_no_find_and_no_crash(name: str, text: str) -> None:
    assert kinds(text, name) == []


def test_a_use_knows_its_line_and_column_and_brackets_in_the_next_feature_do_not_count() -> None:
    text = 'a = 1\nb = {"subscription_pause": {"enabled": True}, "x": {"duration": 1}}\n'
    language = language_of(Path("a.py"), "")
    assert language
    (use,) = uses(text, language)
    assert (use.line, use.column, use.kind) == (2, 7, Kind.OLD_FORM)
    assert use.text == text.splitlines()[1]


def test_a_whole_code_base_is_reported_with_what_to_write(tmp_path: Path) -> None:
    shutil.copytree(FIXTURES / "old", tmp_path / "src")
    for folder in ("node_modules", ".git", "vendor"):
        shutil.copytree(FIXTURES / "old", tmp_path / folder)
    (tmp_path / "logo.py").write_bytes(b"\0" + b'{"subscription_pause": {"enabled": true}}')
    (tmp_path / "huge.json").write_text('{"subscription_pause": {"enabled": true}}' + " " * 1024 * 1024)
    (tmp_path / "README.md").write_text("features[subscription_pause][enabled]=true")
    (tmp_path / "run").write_text('#!/usr/bin/env python3\nx = {"subscription_pause": {"enabled": True}}\n')
    (tmp_path / "utf16.json").write_bytes('{"subscription_pause": {"enabled": true}}'.encode("utf-16"))
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "link.py").symlink_to("/etc/passwd")
    answer = scan(tmp_path, "--as-of", "2024-07-15")
    assert answer.exit_code == 1
    assert "run:2: old form: x = " in answer.stdout
    assert "src/Portal.java:9: old form: .setSubscriptionPause( // OLD" in answer.stdout
    assert ".setDuration(SubscriptionPause.Duration.builder()" in answer.stdout
    assert "utf16.json:1: old form" in answer.stdout
    for silent in ("node_modules", ".git/", "vendor", "logo.py", "README", "link.py"):
        assert silent not in answer.stdout
    assert "1 skipped (binary), 1 skipped (larger than 1 MB)" in answer.stdout
    assert "until 1 August 2024 (17 days left)" in answer.stdout


def test_an_advice_names_a_version_as_stripe_does() -> None:
    versions = set(re.findall(r"API ([\w.-]+)", scan(FIXTURES / "old").stdout))
    assert versions == {"2026-10-28.endive"}


def test_a_clean_code_base_ends_well() -> None:
    answer = scan(FIXTURES / "today")
    assert answer.exit_code == 0
    assert answer.stdout.startswith("0 uses of the old features.subscription_pause.")
    assert "August" not in answer.stdout


def test_what_is_only_to_look_at_fails_no_build(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("billing_portal\nif c.features.subscription_pause.enabled: pass\n")
    answer = scan(tmp_path)
    assert answer.exit_code == 0
    assert "a.py:2: reads it" in answer.stdout


def test_programs_get_json_and_sarif() -> None:
    found = json.loads(scan(FIXTURES / "old", "--format", "json").stdout)
    assert found["files_read"] == 11
    assert {use["language"] for use in found["uses"]} == {
        *("C#", "Go", "JSON", "Java", "JavaScript", "PHP", "Python", "Ruby", "Terraform", "YAML", "shell")
    }
    (run,) = json.loads(scan(FIXTURES / "old", "--format", "sarif", "--as-of", "2026-11-24").stdout)["runs"]
    assert len(run["results"]) == len(found["uses"])
    assert "Since 1 August 2024" in run["tool"]["driver"]["rules"][0]["shortDescription"]["text"]
    assert {result["level"] for result in run["results"]} == {"error", "note"}
    place = run["results"][0]["locations"][0]["physicalLocation"]
    assert place == {"artifactLocation": {"uri": "Portal.cs"}, "region": {"startLine": 5, "startColumn": 9}}


def test_one_file_can_be_scanned_and_a_missing_one_is_told() -> None:
    assert "portal.sh:5: old form" in scan(FIXTURES / "old" / "portal.sh").stdout
    assert "There is no" in str(scan(FIXTURES / "missing").exception)


def test_what_may_not_be_read_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> bytes:
        raise PermissionError

    (tmp_path / "a.py").write_text("x")
    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert "1 skipped (unreadable)" in scan(tmp_path).stdout


def test_names_and_lines_of_others_cannot_steer_the_terminal(tmp_path: Path) -> None:
    nasty = tmp_path / "a\n\x1b[2J.py"
    nasty.write_text('x = {"subscription_pause": {"enabled": True}}  # \x1b]0;owned\x07\n')
    (tmp_path / os.fsdecode(b"\xff.py")).write_text('x = {"subscription_pause": {"enabled": True}}')
    answer = scan(tmp_path)
    assert answer.exit_code == 1
    assert "\x1b" not in answer.stdout
    assert r"a\n\x1b[2J.py:1: old form" in answer.stdout
    assert r"\udcff.py:1: old form" in answer.stdout
    assert json.loads(scan(tmp_path, "--format", "json").stdout)["files_read"] == 2


def test_a_long_file_takes_no_time_that_grows_with_its_square() -> None:
    """Two thousand and twenty thousand uses: ten times the work, not a hundred times."""
    for text in ("features[subscription_pause][enabled]=true\n", "subscription_pause: {enabled: true}\n"):
        assert len(kinds(text * 20_000, "a.sh")) == 20_000
