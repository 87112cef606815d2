"""Every command that a page shows exists, with the options that it is shown with, whether or not a test can run it.

What needs no account is run: `make` by the package tests and CI, `portal --local` by the end-to-end tests. What works
on an AWS account is compared here with botocore's models, SAM's own help and the command's own options.
"""

import json
import re
import shlex
import subprocess
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import pytest
import typer.main
from botocore import xform_name

from cli.main import app
from tests.package.test_changed_parameters import SAM_PYTHON
from tests.shown_commands import examples
from tests.unit.test_docs import PAGES, TARGETS, TEMPLATE

ROOT = Path(__file__).parents[2]
# Of the AWS CLI itself, not of an operation.
AWS_CLI_OPTIONS = {"cli-binary-format", "cli-read-timeout", "output", "profile", "query", "region"}
NOT_OF_THIS_PROJECT = {"git", "stripe"}


def shown(program: str) -> list[tuple[str, list[str]]]:
    """The page and the words of each command of a program."""
    found = []
    for page in PAGES:
        for example in examples(page.read_text()):
            for command in example.command.split(" && "):
                words = shlex.split(re.sub(r"<(\w+)>", r"\1", command))
                while re.fullmatch(r"[A-Z_]+=.*", words[0]):
                    del words[0]
                if Path(words[0]).name == program:
                    found.append((str(page.relative_to(ROOT)), words[1:]))
    return found


def options(words: list[str]) -> list[str]:
    return [word.removeprefix("--").partition("=")[0] for word in words if word.startswith("--")]


def test_every_program_is_known() -> None:
    commands = {each.command for page in PAGES for each in examples(page.read_text())}
    programs = {Path(re.sub(r"^([A-Z_]+=\S+ )+", "", command).split()[0]).name for command in commands}
    assert programs - NOT_OF_THIS_PROJECT == {"aws", "make", "portal", "sam"}


@pytest.mark.parametrize(("page", "words"), shown("aws"))
def test_an_aws_command_is_an_operation_with_these_options(page: str, words: list[str]) -> None:
    service, operation, *rest = words
    if (service, operation) == ("s3", "cp"):  # the CLI's own; it has no model
        return
    session = botocore.session.get_session()
    model = session.get_service_model({"s3api": "s3"}.get(service, service))
    if operation == "wait":
        waiters = session.get_waiter_model(service)
        named = {xform_name(name, "-"): name for name in waiters.waiter_names}
        operation = xform_name(waiters.get_waiter(named[rest.pop(0)]).operation, "-")
    shapes = {xform_name(name, "-"): name for name in model.operation_names}
    assert operation in shapes, page
    shape = model.operation_model(shapes[operation]).input_shape
    members = {xform_name(name, "-"): name for name in shape.members} if shape else {}
    assert {name.removeprefix("no-") for name in options(rest)} <= members.keys() | AWS_CLI_OPTIONS, page
    required = {xform_name(name, "-") for name in shape.required_members} if shape else set()
    assert required <= {name.removeprefix("no-") for name in options(rest)}, page


@cache
def sam_help(command: str) -> str:
    return subprocess.run(
        [SAM_PYTHON.parent / "sam", command, "--help"], check=True, capture_output=True, text=True
    ).stdout


@pytest.mark.skipif(not SAM_PYTHON.exists(), reason="`make validate` installs SAM")
@pytest.mark.parametrize(("page", "words"), shown("sam"))
def test_a_sam_command_has_these_options(page: str, words: list[str]) -> None:
    command, *rest = words
    assert [name for name in options(rest) if f"--{name}" not in sam_help(command)] == [], page
    if "--config-env" in rest:
        assert rest[rest.index("--config-env") + 1] in tomllib.loads((ROOT / "samconfig.toml").read_text())
    if "--parameter-overrides" in rest:
        assert rest[rest.index("--parameter-overrides") + 1].partition("=")[0] in TEMPLATE["Parameters"], page


@pytest.mark.parametrize(("page", "words"), shown("portal"))
def test_a_portal_command_has_these_options(page: str, words: list[str]) -> None:
    command: Any = typer.main.get_group(app)
    known = {"--help", *names(command)}
    for word in words:
        if inner := getattr(command, "commands", {}).get(word):
            command = inner
            known |= names(command)
    assert not getattr(command, "commands", {}), f"{page}: {words} names no command"
    assert {f"--{name}" for name in options(words)} <= known, page


def names(command: Any) -> set[str]:
    """The names of a command's options."""
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}


@pytest.mark.parametrize(("page", "words"), shown("make"))
def test_a_make_command_has_this_target(page: str, words: list[str]) -> None:
    targets = [word for word in words if "=" not in word and not word.startswith(".")]
    assert set(targets) <= set(TARGETS), page


READ_CONFIG = """
import json, sys
from samcli.cli.types import CfnParameterOverridesType, CfnTags
from samcli.lib.config.samconfig import SamConfig
found = SamConfig(sys.argv[1], "samconfig.toml").get_all(["deploy"], "parameters", sys.argv[2])
print(json.dumps({
    "overrides": CfnParameterOverridesType().convert(found["parameter_overrides"], None, None),
    "tags": CfnTags().convert(found["tags"], None, None),
    "name": found["stack_name"],
}))
"""


@pytest.mark.skipif(not SAM_PYTHON.exists(), reason="`make validate` installs SAM")
@pytest.mark.parametrize("environment", ["staging", "production"])
def test_sam_reads_each_environment_as_it_is_meant(environment: str) -> None:
    ran = subprocess.run([SAM_PYTHON, "-c", READ_CONFIG, ROOT, environment], check=True, capture_output=True, text=True)
    found = json.loads(ran.stdout)
    assert found["name"] == f"stripe-portal-{environment}"
    assert found["tags"] == {"environment": environment}
    assert found["overrides"]["ProtectTables"] == "false"
    assert found["overrides"].keys() <= TEMPLATE["Parameters"].keys()


def test_the_guide_says_which_of_its_commands_need_an_account() -> None:
    guide = (ROOT / "docs" / "how-to" / "deploy.md").read_text()
    assert "Every command on this page but `make build` works on your AWS account" in guide
    programs = {Path(each.command.split()[0]).name for each in examples(guide)}
    assert programs == {"aws", "make", "portal", "sam"}
    assert [each.command for each in examples(guide) if each.command.startswith("make")] == ["make build"]
    assert [each.command for each in examples(guide) if "--local" in each.command] == []
