"""`portal lint`, `plan`, `apply` and `import`: portal configurations as code.

They work on the deployment's Stripe account, or on that of a key in the environment.
"""

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
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
from cli.terminal import ExitCode, Format, count, day, printable
from shared.errors import InvalidRequest, OperatorError
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
            sys.stderr.write(f"portal: No stack is read, so its settings are not checked: {printable(str(error))}\n")
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
    def mode(self) -> str:
        """The mode, for people."""
        return "live mode" if self.livemode else "test mode"


_UNKNOWN_YET = "(known after apply)"
# Errors that stop `apply` even in an entry that does not change: its meaning is unclear, or it cannot be sent.
_OF_THE_FILE = frozenset(
    {
        *("group_twice", "configuration_twice", "two_defaults", "default_with_id"),
        *("login_page_unsaid", "pause_version", "not_in_this_version"),
    }
)


@dataclass(frozen=True, slots=True)
class PlanRun:
    """A file, the account it is compared with, and the plan. `seen` are the account's configurations by id."""

    file: Path
    source: Source
    account: PortalAccount
    portal: Portal
    problems: Sequence[FileProblem]
    steps: Sequence[PlanStep]
    seen: Mapping[str, StripeJson]

    @classmethod
    def read(cls, source: Callable[[], Source], file: Path, options: PlanOptions) -> "PlanRun":
        """Read the file and the account, and plan. Raises `InvalidRequest` for a file that cannot be used."""
        loaded = load(file)
        if loaded.portal is None:
            print_problems(loaded.problems, file)
            raise InvalidRequest("bad_portal_file", f"{file} cannot be used before its errors are fixed")
        found = source()
        account = found.account(loaded.portal.api_version)
        configurations = account.configurations()
        steps = make_plan(loaded.portal, configurations, options)
        problems = lint_portal(loaded, found.today, account.price, allow_verified_email=found.allow_verified_email)
        return cls(file, found, account, loaded.portal, problems, steps, {each["id"]: each for each in configurations})

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
        unknown = {step.name: _UNKNOWN_YET for step in self.steps if step.action is Action.CREATE}
        return groups(self.portal, unknown | self.ids)

    def show(self) -> None:
        """Write the problems and the plan."""
        print_problems(self.problems, self.file)
        _write(
            f"Stripe, {self.source.mode}; API {self.portal.api_version}.", "", *view.plan_lines(self.steps, self.groups)
        )

    def check(self) -> None:
        """Raise `InvalidRequest` if the plan must not be applied.

        An error in an entry that does not change stops nothing: Stripe has accepted that configuration before.
        """
        changing = {step.name for step in self.steps if step.changes_account}
        wrong = [each for each in errors(self.problems) if each.entry in changing | {None} or each.code in _OF_THE_FILE]
        if wrong:
            raise InvalidRequest(
                "lint_errors",
                f"{self.file}: {count(len(wrong), 'error')} to fix before this can be applied, see above",
            )
        shut = still_deployed(self.steps, self.source.deployed or {})
        if shut:
            raise InvalidRequest("still_deployed", "; ".join(shut))

    def apply(self) -> dict[str, str]:
        """Apply the plan, print a line for each step, and return the ids of new configurations by name.

        Raises `InvalidRequest` at the first step that fails.
        """
        made: dict[str, str] = {}
        waiting = [step for step in self.steps if step.changes_account]
        for done in apply_plan(self.account, self.steps, self.seen):
            waiting.remove(done.step)
            _write(_done_line(done))
            if done.failure:
                left = ", ".join(step.name for step in waiting)
                tail = f"Not started: {left}. " if left else ""
                raise InvalidRequest("apply_failed", f"Stopped. {tail}Run the command again: no step is applied twice")
            if done.step.action is Action.CREATE and done.id:
                made[done.step.name] = done.id
        return made


def print_problems(problems: Sequence[FileProblem], file: Path) -> None:
    """Print problems to standard error."""
    sys.stderr.writelines(f"{printable(view.problem_line(str(file), each))}\n" for each in problems)


def _done_line(done: StepResult) -> str:
    what = f"{done.step.action} {done.step.name}{f' ({done.id})' if done.id else ''}"
    page = f"; its login page: {done.login_page}" if done.login_page else ""
    return f"failed: {what}: {done.failure}" if done.failure else f"done: {what}{page}"


def _write(*lines: str) -> None:
    sys.stdout.writelines(f"{printable(line)}\n" for line in lines)
    sys.stdout.flush()


def lines_to_deploy(planned: PlanRun, made: dict[str, str]) -> Iterator[str]:
    """Return the lines that show the parameter to deploy the stack with."""
    return view.deployment_lines(groups(planned.portal, planned.ids | made), planned.source.deployed)


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
) -> None:
    """Check a portal.yaml, without an account."""
    loaded = load(file)
    source = Source.from_context(context) if account and loaded.portal else None
    price_of = source.account(loaded.portal.api_version).price if source and loaded.portal else None
    verified_email = allow_verified_email or (source is not None and source.allow_verified_email)
    problems = lint_portal(loaded, _today(as_of), price_of, allow_verified_email=verified_email)
    if form == "json":
        sys.stdout.write(json.dumps([view.problem_json(each) for each in problems], indent=2) + "\n")
    else:
        sys.stdout.writelines(f"{printable(view.problem_line(str(file), each))}\n" for each in problems)
        sys.stdout.write(f"{file}: {_counted(problems)}.\n")
    failing = [each for each in problems if each.severity is not Severity.INFO] if strict else errors(problems)
    raise typer.Exit(int(bool(failing)))


@app.command("plan")
def plan_command(
    context: typer.Context,
    file: File = FILE,
    *,
    default: Default = False,
    deactivate: Deactivate = False,
    form: Format = "text",
) -> None:
    """Show how the account differs from a portal.yaml; exits with 3 if it does."""
    planned = PlanRun.read(lambda: Source.from_context(context), file, PlanOptions(default, deactivate))
    if form == "json":
        found = view.plan_json(planned.steps, planned.groups, livemode=planned.source.livemode)
        found |= {"problems": [view.problem_json(each) for each in planned.problems]}
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    else:
        planned.show()
    planned.check()
    raise typer.Exit(ExitCode.DIFFERENCE if planned.changes_account else 0)


@app.command("apply")
def apply_command(
    context: typer.Context,
    file: File = FILE,
    *,
    default: Default = False,
    deactivate: Deactivate = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Change the account's portal configurations to match a portal.yaml; shows the plan and asks first."""
    planned = PlanRun.read(lambda: Source.from_context(context), file, PlanOptions(default, deactivate))
    planned.show()
    planned.check()
    if planned.changes_account and not yes:
        typer.confirm(f"Apply this to the account ({planned.source.mode})?", abort=True)
    made = planned.apply()
    sys.stdout.writelines(f"{line}\n" for line in lines_to_deploy(planned, made))


@app.command("import")
def import_(
    context: typer.Context,
    *,
    output: Annotated[Path, typer.Option(help="The file to write; - for the terminal.")] = FILE,
    project: Annotated[
        str | None, typer.Option(help="The project of the file; its own configurations need no id.")
    ] = None,
    inactive: Annotated[bool, typer.Option("--inactive", help="Import inactive configurations too.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Write a portal.yaml from the account."""
    if str(output) != "-" and output.exists() and not force:
        raise InvalidRequest("file_exists", f"{output} exists: name another file with --output, or add --force")
    source = Source.from_context(context)
    account = source.account(PINNED_VERSION)
    every = account.configurations()
    kept = [each for each in every if inactive or each.get("active") or each.get("is_default")]
    if not kept:
        raise InvalidRequest("nothing_to_import", "The account has no portal configuration")
    text = as_yaml(kept, source.deployed or {}, _prices(account), project=project, version=PINNED_VERSION)
    if len(text.encode()) > LARGEST_BYTES:
        raise InvalidRequest("too_many_configurations", f"{len(kept)} configurations do not fit into one file")
    if str(output) == "-":
        sys.stdout.write(text)
        return
    output.write_text(text, "utf-8")
    sys.stdout.write(f"{output}: {len(kept)} written, {len(every) - len(kept)} inactive left out.\n")
    problems = lint_portal(load(output), source.today, allow_verified_email=source.allow_verified_email)
    print_problems(problems, output)


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


def _counted(problems: "Sequence[FileProblem]") -> str:
    numbers = Counter(each.severity for each in problems)
    found = (
        count(numbers[severity], severity, plural=severity if severity is Severity.INFO else None)
        for severity in Severity
        if numbers[severity]
    )
    return ", ".join(found) or "nothing to fix"


def _today(as_of: str | None) -> date:
    return day(as_of) if as_of else datetime.fromtimestamp(time.time(), UTC).date()
