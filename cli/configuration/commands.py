"""`portal lint`, `plan`, `apply` and `import`: portal configurations as code.

They work on the deployment's Stripe account, or on that of a key in the environment.
"""

import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from botocore.exceptions import BotoCoreError, ClientError
from stripe import StripeClient

from cli.configuration import view
from cli.configuration.apply import PortalAccount, StepResult, apply_plan
from cli.configuration.file import LARGEST_BYTES, FileProblem, load
from cli.configuration.lint import errors, lint_portal
from cli.configuration.model import PINNED_VERSION, Portal
from cli.configuration.plan import Action, PlanOptions, PlanStep, groups, make_plan, still_deployed
from cli.configuration.writing import as_yaml
from cli.deployment import STRIPE_API_BASE, Deployment, is_live, operator_key
from cli.terminal import LANGUAGE, ExitCode, Format, Language, confirmed, day, print_json, printable
from shared.errors import InvalidRequest, OperatorError, sentence
from shared.i18n import ENGLISH, Message, _, _n, listed, say
from shared.portal.rules import Severity
from shared.stripe.gateway import StripeJson, stripe_client
from shared.stripe.pacing import RateLimit, Retries

_PER_SECOND = 10


@dataclass(frozen=True, slots=True)
class Source:
    """An account, and the groups of the running deployment (`None` if unknown); `clock` is a local stack's time.

    `allow_verified_email` is the deployment's setting; `False` if there is no deployment yet.
    """

    client: StripeClient
    livemode: bool
    deployed: Mapping[str, str] | None
    clock: float | None = None
    allow_verified_email: bool = False

    @classmethod
    def from_context(cls, context: typer.Context) -> "Source":
        """Use the operator's key if there is one and `--local` is not given, else the deployment's.

        With the operator's key no stack is needed: the first deployment is made with the ids of the configurations.
        """
        key = None if context.find_root().params.get("local") else operator_key()
        try:
            deployment: Deployment = context.obj()
        except (InvalidRequest, BotoCoreError, ClientError) as error:
            if key is None:
                raise
            why = error.message if isinstance(error, InvalidRequest) else str(error)
            note = _("No stack is read, so its settings are not checked: {why}", why=why)
            sys.stderr.write(f"portal: {printable(note.say(LANGUAGE.get()))}\n")
            return cls(stripe_client(key, STRIPE_API_BASE), is_live(key), None)
        return cls(
            deployment.operator_stripe,
            deployment.livemode if key is None else is_live(key),
            deployment.portal_configurations,
            deployment.clock,
            deployment.allow_verified_email,
        )

    def account(self, version: str) -> PortalAccount:
        """Return the account at an API version."""
        return PortalAccount(self.client, version, Retries(RateLimit(_PER_SECOND)))

    @property
    def today(self) -> date:
        """Today, by the clock of a local stack if there is one."""
        return datetime.fromtimestamp(self.clock or time.time(), UTC).date()

    @property
    def mode(self) -> Message:
        """The mode, for people."""
        return _("live mode") if self.livemode else _("test mode")


# Errors that stop `apply` even in an entry that does not change: its meaning is unclear, or it cannot be sent.
_OF_THE_FILE = frozenset(
    {
        *("group_twice", "configuration_twice", "two_defaults", "default_with_id"),
        *("login_page_unsaid", "pause_version", "not_in_this_version"),
    }
)


@dataclass(frozen=True, slots=True)
class PlanRun:
    """A file, the account it is compared with, and the plan. `seen` are the account's configurations by id.

    `language` is the one of what is printed.
    """

    file: Path
    source: Source
    account: PortalAccount
    portal: Portal
    problems: Sequence[FileProblem]
    steps: Sequence[PlanStep]
    seen: Mapping[str, StripeJson]
    language: str

    @classmethod
    def read(cls, source: Callable[[], Source], file: Path, options: PlanOptions, language: str) -> "PlanRun":
        """Read the file and the account, and plan. Raises `InvalidRequest` for a file that cannot be used."""
        loaded = load(file)
        if loaded.portal is None:
            print_problems(loaded.problems, file, language)
            raise InvalidRequest(
                "bad_portal_file", sentence("{file} cannot be used before its errors are fixed", file=file)
            )
        found = source()
        account = found.account(loaded.portal.api_version)
        configurations = account.configurations()
        steps = make_plan(loaded.portal, configurations, options)
        problems = lint_portal(loaded, found.today, account.price, allow_verified_email=found.allow_verified_email)
        seen = {each["id"]: each for each in configurations}
        return cls(file, found, account, loaded.portal, problems, steps, seen, language)

    @property
    def changes_account(self) -> bool:
        """Whether any step changes the account."""
        return any(step.changes_account for step in self.steps)

    @property
    def ids(self) -> dict[str, str]:
        """The configurations of the entries that have one."""
        return {step.name: step.id for step in self.steps if step.id and step.name in self.portal.configurations}

    @property
    def groups(self) -> dict[str, str]:
        """The parameter `PortalConfigurations`, with a placeholder for ids that Stripe has yet to assign."""
        unknown = {step.name: view.UNKNOWN_YET for step in self.steps if step.action is Action.CREATE}
        return groups(self.portal, unknown | self.ids)

    def show(self) -> None:
        """Write the problems and the plan."""
        print_problems(self.problems, self.file, self.language)
        where = _("Stripe, {mode}; API {version}.", mode=self.source.mode, version=self.portal.api_version)
        _write(where.say(self.language), "", *view.plan_lines(self.steps, self.groups, self.language))

    def check(self) -> None:
        """Raise `InvalidRequest` if the plan must not be applied.

        An error in an entry that does not change stops nothing: Stripe has accepted that configuration before.
        """
        changing = {step.name for step in self.steps if step.changes_account}
        wrong = [each for each in errors(self.problems) if each.entry in changing | {None} or each.code in _OF_THE_FILE]
        if wrong:
            raise InvalidRequest(
                "lint_errors",
                sentence(
                    "{file}: {errors} to fix before this can be applied, see above",
                    file=self.file,
                    errors=_n("{n} error", "{n} errors", len(wrong)),
                ),
            )
        shut = still_deployed(self.steps, self.source.deployed or {})
        if shut:
            raise InvalidRequest(
                "still_deployed",
                sentence(
                    "The deployment uses what would be deactivated: {configurations}. Deploy without them first",
                    configurations=", ".join(shut),
                ),
            )

    def as_json(self) -> dict[str, Any]:
        """Return the plan and the problems for programs."""
        problems = [view.problem_json(each, self.language) for each in self.problems]
        return view.plan_json(self.steps, self.groups, livemode=self.source.livemode) | {"problems": problems}

    def apply(self, report: Callable[[StepResult], None]) -> dict[str, str]:
        """Apply the plan, report each step, and return the ids of new configurations by name.

        Raises `InvalidRequest` at the first step that fails.
        """
        made: dict[str, str] = {}
        waiting = [step for step in self.steps if step.changes_account]
        for done in apply_plan(self.account, self.steps, self.seen):
            waiting.remove(done.step)
            report(done)
            if done.failure:
                left = ", ".join(step.name for step in waiting)
                raise InvalidRequest(
                    "apply_failed",
                    sentence(
                        "Stopped. Not started: {steps}. Run the command again: no step is applied twice", steps=left
                    )
                    if left
                    else sentence("Stopped. Run the command again: no step is applied twice"),
                )
            if done.step.action is Action.CREATE and done.id:
                made[done.step.name] = done.id
        return made


def print_problems(problems: Sequence[FileProblem], file: Path, language: str) -> None:
    """Print problems to standard error."""
    sys.stderr.writelines(f"{printable(view.problem_line(str(file), each, language))}\n" for each in problems)


_DONE = {
    Action.CREATE: _("created {configuration}"),
    Action.UPDATE: _("changed {configuration}"),
    Action.DEACTIVATE: _("deactivated {configuration}"),
}


def _done_line(done: StepResult, language: str) -> str:
    configuration = f"{done.step.name} ({done.id})" if done.id else done.step.name
    if done.failure:
        failed = _("failed: {configuration}: {why}", configuration=configuration, why=done.failure)
        return failed.say(language)
    what = replace(_DONE[done.step.action], values=(("configuration", configuration),))
    if done.login_page:
        return _("{what}; its login page: {page}", what=what, page=done.login_page).say(language)
    return what.say(language)


def _write(*lines: str) -> None:
    sys.stdout.writelines(f"{printable(line)}\n" for line in lines)
    sys.stdout.flush()


app = typer.Typer()

File = Annotated[Path, typer.Argument(help="The file.")]
Default = Annotated[bool, typer.Option("--default", help="Change the account's default configuration too.")]
Deactivate = Annotated[
    bool, typer.Option("--deactivate", help="Deactivate configurations that were removed from the file.")
]
FILE = Path("portal.yaml")


@app.command("lint")
def lint_command(  # noqa: PLR0913 - each an option of the command
    context: typer.Context,
    file: File = FILE,
    *,
    account: Annotated[
        bool,
        typer.Option(
            "--account",
            help="Look up the products and prices in the account too, and AllowVerifiedEmail in the deployment.",
        ),
    ] = False,
    allow_verified_email: Annotated[
        bool,
        typer.Option("--allow-verified-email", help="Check for a deployment with AllowVerifiedEmail."),
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 for warnings too.")] = False,
    form: Format = "text",
    as_of: Annotated[str | None, typer.Option(help="Check as of this day, YYYY-MM-DD (default: today).")] = None,
    language: Language = ENGLISH,
) -> None:
    """Check a portal.yaml, without an account. Exits with 1 if it has an error."""
    loaded = load(file)
    source = Source.from_context(context) if account and loaded.portal else None
    price_of = source.account(loaded.portal.api_version).price if source and loaded.portal else None
    verified_email = allow_verified_email or (source is not None and source.allow_verified_email)
    problems = lint_portal(loaded, _today(as_of), price_of, allow_verified_email=verified_email)
    if form == "json":
        print_json(problems=[view.problem_json(each, language) for each in problems])
    else:
        _write(*(view.problem_line(str(file), each, language) for each in problems))
        _write(_("{file}: {counts}.", file=str(file), counts=_counted(problems)).say(language))
    failing = [each for each in problems if each.severity is not Severity.INFO] if strict else errors(problems)
    raise typer.Exit(int(bool(failing)))


@app.command("plan")
def plan_command(  # noqa: PLR0913 - each an option of the command
    context: typer.Context,
    file: File = FILE,
    *,
    default: Default = False,
    deactivate: Deactivate = False,
    form: Format = "text",
    language: Language = ENGLISH,
) -> None:
    """Show how the account differs from a portal.yaml.

    Exits with 3 if it does.
    """
    planned = PlanRun.read(lambda: Source.from_context(context), file, PlanOptions(default, deactivate), language)
    if form == "json":
        print_json(**planned.as_json())
    else:
        planned.show()
    planned.check()
    raise typer.Exit(ExitCode.DIFFERENCE if planned.changes_account else 0)


@app.command("apply")
def apply_command(  # noqa: PLR0913 - each an option of the command
    context: typer.Context,
    file: File = FILE,
    *,
    default: Default = False,
    deactivate: Deactivate = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask. Needed for --format json.")] = False,
    form: Format = "text",
    language: Language = ENGLISH,
) -> None:
    """Change the account to match a portal.yaml.

    Shows the plan, and asks first.
    """
    if form == "json" and not yes:
        raise InvalidRequest("bad_request", sentence("--format json cannot ask first: add --yes"))
    planned = PlanRun.read(lambda: Source.from_context(context), file, PlanOptions(default, deactivate), language)
    if form == "json":
        _apply_as_json(planned)
        return
    planned.show()
    planned.check()
    question = _("Apply this to the account ({mode})?", mode=planned.source.mode)
    if planned.changes_account and not yes and not confirmed(question, language):
        raise typer.Abort
    made = planned.apply(lambda done: _write(_done_line(done, language)))
    deployed = groups(planned.portal, planned.ids | made)
    sys.stdout.writelines(f"{line}\n" for line in view.deployment_lines(deployed, planned.source.deployed, language))


def _apply_as_json(planned: PlanRun) -> None:
    results: list[StepResult] = []
    made: dict[str, str] = {}
    try:
        planned.check()
        made = planned.apply(results.append)
    finally:
        applied = [
            {
                "name": each.step.name,
                "id": each.id,
                "action": each.step.action,
                "failure": each.failure and say(each.failure, planned.language),
                "login_page": each.login_page,
            }
            for each in results
        ]
        deployed = {"portal_configurations": groups(planned.portal, planned.ids | made)}
        print_json(**planned.as_json() | deployed, applied=applied)


@app.command("import")
def import_(  # noqa: PLR0913 - each an option of the command
    context: typer.Context,
    *,
    output: Annotated[Path, typer.Option(help="The file to write; - for the terminal.")] = FILE,
    project: Annotated[
        str | None, typer.Option(help="The project of the file; its own configurations need no id.")
    ] = None,
    inactive: Annotated[bool, typer.Option("--inactive", help="Import inactive configurations too.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
    form: Format = "text",
    language: Language = ENGLISH,
) -> None:
    """Write a portal.yaml from the account."""
    if str(output) == "-" and form == "json":
        raise InvalidRequest(
            "bad_request", sentence("With --output - the file itself is printed: leave --format json out")
        )
    if str(output) != "-" and output.exists() and not force:
        raise InvalidRequest(
            "file_exists", sentence("{file} exists: name another file with --output, or add --force", file=output)
        )
    source = Source.from_context(context)
    account = source.account(PINNED_VERSION)
    every = account.configurations()
    kept = [each for each in every if inactive or each.get("active") or each.get("is_default")]
    if not kept:
        raise InvalidRequest("nothing_to_import", sentence("The account has no portal configuration"))
    text = as_yaml(kept, source.deployed or {}, _prices(account), project=project, version=PINNED_VERSION)
    if len(text.encode()) > LARGEST_BYTES:
        raise InvalidRequest(
            "too_many_configurations", sentence("{number} configurations do not fit into one file", number=len(kept))
        )
    if str(output) == "-":
        sys.stdout.write(text)
        return
    try:
        output.write_text(text, "utf-8")
    except OSError as error:
        raise InvalidRequest(
            "unwritable_file",
            sentence("Cannot write {file}: {why}. Name another one with --output", file=output, why=error.strerror),
        ) from error
    problems = lint_portal(load(output), source.today, allow_verified_email=source.allow_verified_email)
    left_out = len(every) - len(kept)
    if form == "json":
        rows = [view.problem_json(each, language) for each in problems]
        print_json(file=str(output), written=len(kept), left_out=left_out, problems=rows)
        return
    written = _n("{n} configuration written", "{n} configurations written", len(kept))
    left = _n("{n} inactive one left out", "{n} inactive ones left out", left_out)
    counts = listed([written, left] if left.n else [written])
    _write(_("{file}: {counts}.", file=str(output), counts=counts).say(language))
    print_problems(problems, output, language)


def _prices(account: "PortalAccount") -> "Any":
    """Return a function that reads a price, and returns `None` if the key lacks the permission."""

    def price(price_id: str) -> "Mapping[str, Any] | None":
        try:
            return account.price(price_id)
        except OperatorError as error:
            if error.code != "no_portal_permission":
                raise
            return None

    return price


def _counted(problems: "Sequence[FileProblem]") -> Message:
    numbers = Counter(each.severity for each in problems)
    counts = (
        _n("{n} error", "{n} errors", numbers[Severity.ERROR]),
        _n("{n} warning", "{n} warnings", numbers[Severity.WARNING]),
        _n("{n} info", "{n} info", numbers[Severity.INFO]),
    )
    found = [each for each in counts if each.n]
    return listed(found) if found else _("nothing to fix")


def _today(as_of: str | None) -> date:
    return day(as_of) if as_of else datetime.fromtimestamp(time.time(), UTC).date()
