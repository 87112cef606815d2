"""How every command fails: one line that says what to do, no stack trace, and the documented exit code."""

import ast
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
import stripe
import typer
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ProfileNotFound,
)

from cli.deployment import Deployment
from cli.main import app, main
from shared import i18n
from shared.errors import CATALOGUE, OperatorError, Unavailable, UnreadableEvent, sentence
from shared.link_token import LinkTokens

ROOT = Path(__file__).parents[2]
# The fewest arguments with which each command asks for the deployment.
ARGUMENTS: dict[str, tuple[str, ...]] = {
    "access": ("cus_1",),
    "acknowledge": ("sub_1",),
    "apply": ("portal.yaml",),
    "audit": (),
    "backfill": (),
    "connect": (),
    "convert": (),
    "doctor": (),
    "explain": ("sub_1",),
    "import": ("--output", "new.yaml"),
    "link": ("cus_1",),
    "lint": ("portal.yaml", "--account"),
    "pause": ("sub_1", "--undo"),
    "pauses": (),
    "plan": ("portal.yaml",),
    "reconcile": (),
    "replay": (),
    "resume": ("sub_1",),
    "rotate": ("link",),
    "scan": ("code",),
    "show": ("cus_1",),
}
NEED_NO_DEPLOYMENT = {"scan"}
COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
every_command = pytest.mark.parametrize("command", sorted(COMMANDS))
every_deployed_command = pytest.mark.parametrize("command", sorted(set(COMMANDS) - NEED_NO_DEPLOYMENT))

# After the cutoff of the old button.
STRANDED_AT = 1_795_000_000

Portal = Callable[..., tuple[int, str, str]]


@pytest.fixture
def portal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Portal:
    """The command as the shell runs it: its exit code, and what it prints on both streams."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    Path("portal.yaml").write_text("configurations:\n  a: {}\n")

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["portal", *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
        captured = capsys.readouterr()
        return int(caught.value.code or 0), captured.out, captured.err

    return run


def failing(error: BaseException) -> Callable[[str], Deployment]:
    def of_stack(_name: str) -> Deployment:
        raise error

    return of_stack


def one_line(text: str) -> str:
    """The one line that begins with the command's name."""
    assert "Traceback" not in text
    assert re.fullmatch(r"portal: [^\n]+\n", text), text
    return text


def test_every_command_has_arguments_here() -> None:
    assert set(COMMANDS) == set(ARGUMENTS)


@every_command
def test_a_wrong_option_is_named_with_where_to_look(portal: Portal, command: str) -> None:
    code, out, err = portal(command, *ARGUMENTS[command], "--nonsense")
    assert (code, out) == (2, "")
    assert one_line(err).startswith("portal: No such option: --nonsense")
    assert err.endswith(f"See `portal {command} --help`\n")


@every_command
def test_the_language_and_the_format_have_the_same_names_and_values(portal: Portal, command: str) -> None:
    code, out, err = portal(command, *ARGUMENTS[command], "--language", "banana")
    assert (code, out) == (2, "")
    assert "'banana' is not one of en, fr" in one_line(err)
    code, out, err = portal(command, *ARGUMENTS[command], "--format", "banana")
    assert (code, out) == (2, "")
    assert "'banana' is not one of 'text', 'json'" in one_line(err)


LISTS_CUSTOMERS = {"access", "audit", "convert", "pauses", "resume", "show"}


@every_command
def test_what_lists_customers_or_subscriptions_has_csv_too(portal: Portal, command: str) -> None:
    out = portal(command, "--help")[1]
    assert ("csv" in " ".join(out.split()).partition("--format")[2].split("]")[0]) == (command in LISTS_CUSTOMERS)


@every_command
def test_the_help_fits_a_terminal_and_names_every_option(portal: Portal, command: str) -> None:
    code, out, err = portal("help", command)
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    for each in COMMANDS[command].params:
        assert all(name in out for name in each.opts if name.startswith("--"))


@pytest.mark.parametrize(
    ("command", "option", "value", "words"),
    [
        ("audit", "--requests-per-second", "101", "less than or equal to 100"),
        ("audit", "--requests-per-second", "0", "greater than or equal to 0.1"),
        ("doctor", "--timeout", "0", "greater than or equal to 1"),
        ("doctor", "--timeout", "301", "less than or equal to 300"),
        ("link", "--quantity", "many", "valid integer"),
        ("replay", "--only", "everything", "is not one of 'dead-letters', 'undelivered'"),
        ("audit", "--fail-on", "red", "is not one of 'info', 'warning', 'critical'"),
    ],
)
def test_the_limits_in_the_help_are_enforced(portal: Portal, command: str, option: str, value: str, words: str) -> None:
    code, _out, err = portal(command, *ARGUMENTS[command], option, value)
    assert code == 2
    assert f"'{option}'" in one_line(err)
    assert words in err


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            OperatorError("stripe_refused", "no"),
            "Stripe says: No such customer: 'cus_nope'. Check the id",
        ),
        (UnreadableEvent("subscription_missing", "no"), "Stripe says: No such customer: 'cus_nope'"),
    ],
)
def test_an_id_that_stripe_does_not_know_is_a_slip_of_whoever_typed_it(
    portal: Portal, monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    unknown = stripe.InvalidRequestError(  # type: ignore[no-untyped-call]
        "No such customer: 'cus_nope'", "customer", code="resource_missing"
    )
    error.__cause__ = unknown
    monkeypatch.setattr(Deployment, "of_stack", failing(error))
    code, out, err = portal("convert", "--customer", "cus_nope")
    assert (code, out) == (2, "")
    assert words in one_line(err)


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("convert", "--customer", "banana"), "'banana'"),
        (("resume", "--stranded", "--customer", "banana"), "'banana'"),
        (("resume", "--stranded", "cus_1"), "'cus_1'"),
        (("resume", "cus_1"), "'cus_1'"),
        (("backfill", "--starting-after", "cus_1"), "'cus_1'"),
        (("rotate", "key", "--stripe-key-file", "nowhere"), "nowhere"),
        (("rotate", "link", "--overlap", "999999d"), "90"),
        (("link", "cus_1", "--expires", "9d"), "7"),
        (("import", "--output", "-", "--format", "json"), "--format json"),
    ],
    ids=str,
)
def test_bad_input_is_one_line_that_names_it(
    portal: Portal, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], words: str, language: str
) -> None:
    outputs = {"AuditSettingsName": "settings", "ApiUrl": "https://api.example"}
    deployment = MagicMock(outputs=outputs, clock=STRANDED_AT, link_tokens=LinkTokens({"1": "l" * 40}))
    deployment.stored_key.parsed.return_value.api_key = "rk_test_0123456789abcdef"
    deployment.stripe.v1.customers.retrieve.return_value.deleted = False
    deployment.allowed_return_origins = ()
    deployment.portal_configurations = {}
    monkeypatch.setattr(Deployment, "of_stack", lambda _name: deployment)
    code, out, err = portal(*arguments, "--language", language)
    assert (code, out) == (2, "")
    assert words in one_line(err)


def test_a_folder_that_cannot_be_written_is_named(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    account = MagicMock()
    account.configurations.return_value = [{"id": "bpc_1", "active": True, "is_default": True, "features": {}}]
    monkeypatch.setattr(
        "cli.configuration.commands.Source.from_context",
        lambda _context: MagicMock(account=lambda _: account, deployed={}),
    )
    monkeypatch.setattr("cli.configuration.commands.as_yaml", lambda *_, **__: "configurations: {}\n")
    code, out, err = portal("import", "--output", "nowhere/new.yaml")
    assert (code, out) == (2, "")
    assert "Cannot write nowhere/new.yaml: No such file or directory" in one_line(err)


@pytest.mark.parametrize(
    ("shell", "code", "words"),
    [
        ("help >&-", 0, ""),
        ("explain --country fr --format json >&-", 0, ""),
        ("explain banana! <&-", 2, "'banana!'"),
        ("explain banana! 2>&-", 2, ""),
        ("explain --country fr --format json >/dev/full", 4, "No space left on device"),
    ],
)
def test_a_stream_that_is_closed_or_full_is_no_stack_trace(shell: str, code: int, words: str) -> None:
    command = f"{Path(sys.executable).parent / 'portal'} {shell}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (code, "")
    assert words in (one_line(done.stderr) if words else "")


def test_alone_the_command_prints_its_help(portal: Portal) -> None:
    code, out, err = portal()
    assert (code, err) == (2, "")
    assert all(f" {command} " in out for command in COMMANDS)
    assert portal("help")[:2] == (0, portal("--help")[1])


def test_a_slip_in_the_name_of_a_command_is_suggested(portal: Portal) -> None:
    assert portal("shwo") == (2, "", "portal: No such command 'shwo'. Did you mean 'show'? See `portal --help`\n")


NO_NETWORK = EndpointConnectionError(endpoint_url="https://cloudformation.eu-west-9.amazonaws.com/")
REFUSED: Exception = stripe.InvalidRequestError("No such thing: ada@example.com", None)  # type: ignore[no-untyped-call]
NO_ANSWER = sentence("The dead-letter queue did not answer ({code})", code="Throttled")
DENIED = ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetItem")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (NoRegionError(), ("AWS_REGION", "la région")),
        (NoCredentialsError(), ("AWS_PROFILE", "Choisissez le compte")),
        (ProfileNotFound(profile="nobody"), ("AWS_PROFILE", "Choisissez le compte")),
        (NO_NETWORK, ("Check the network", "Vérifiez le réseau")),
        (DENIED, ("AWS: An error occurred (AccessDenied)", "AccessDenied")),
        (Unavailable("mirror_unavailable", NO_ANSWER), ("did not answer", "n\u2019a pas répondu")),
        (OperatorError("stripe_key_invalid", sentence("revoked or mistyped")), ("revoked", "révoquée")),
        (REFUSED, ("Stripe refused: No such", "efus de Stripe")),
    ],
    ids=lambda each: type(each).__name__ if isinstance(each, Exception) else "",
)
def test_one_line_says_what_is_wrong_with_aws_or_stripe_in_the_readers_language(
    portal: Portal, error: Exception, words: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Deployment, "of_stack", failing(error))
    for language, expected in zip(("en", "fr"), words, strict=True):
        code, out, err = portal("show", "cus_1", "--language", language)
        assert (code, out) == (4, "")
        assert expected in one_line(err)
        assert "ada@example.com" not in err


@every_deployed_command
def test_no_command_shows_a_stack_trace_without_aws(
    portal: Portal, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr(Deployment, "of_stack", failing(NoRegionError()))
    code, out, err = portal(command, *ARGUMENTS[command], "--language", "fr")
    assert (code, out) == (4, "")
    assert "Choisissez le compte et la région" in one_line(err)


@every_deployed_command
def test_ctrl_c_ends_every_command_with_130(portal: Portal, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.setattr(Deployment, "of_stack", failing(KeyboardInterrupt()))
    assert portal(command, *ARGUMENTS[command], "--language", "fr") == (130, "", "portal: Interrompu.\n")


def test_a_closed_pipe_ends_the_command_in_silence() -> None:
    """`portal ... | head -1` with more than a pipe holds."""
    code = (
        "import sys, cli.main\n"
        "cli.main.app.registered_commands.clear()\n"
        "write = lambda: [sys.stdout.write('x' * 99 + chr(10)) for _ in range(50_000)] and None\n"
        "cli.main.app.command('flood')(write)\n"
        "sys.argv = ['portal', 'flood']\n"
        "cli.main.main()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline()
        process.stdout.close()
        assert (process.wait(30), process.stderr.read()) == (141, b"")


def test_an_old_catalogue_is_named_before_anything_is_done(
    portal: Portal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "fr.po").write_text("")
    monkeypatch.setattr(i18n, "LOCALE", tmp_path)
    i18n._catalogue.cache_clear()
    code, out, err = portal("show", "cus_1", "--language", "fr")
    i18n._catalogue.cache_clear()
    assert (code, out) == (2, "")
    assert "fr.mo is missing: run `make catalogues`" in one_line(err)


def test_every_error_of_a_command_can_be_translated() -> None:
    """What a command raises has a `sentence`, or words that were made one before."""
    errors = {entry.error.__name__ for entry in CATALOGUE.values()}
    plain = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sorted((ROOT / "cli").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in errors
        if len(node.args) > 1 and isinstance(node.args[1], ast.Constant | ast.JoinedStr)
    ]
    assert plain == []
