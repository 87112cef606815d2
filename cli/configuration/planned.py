"""One run of `portal plan` or `portal apply`: the file, the account, and the steps between them."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cli.configuration import view
from cli.configuration.account import Account
from cli.configuration.applying import Applied, apply
from cli.configuration.loading import Loaded, load
from cli.configuration.model import Portal
from cli.configuration.planning import Act, Asked, Raw, Step, groups, plan, still_deployed
from cli.configuration.problems import Problem, errors
from cli.configuration.rules import lint, placed
from cli.configuration.rules_updates import price_problems
from cli.configuration.source import Source
from cli.printable import printable
from shared.audit.text import count
from shared.errors import InvalidRequest

_UNKNOWN_YET = "(known after apply)"
# Nothing that Stripe could have taken: what the file means is not clear, or cannot be sent.
_OF_THE_FILE = frozenset(
    {
        *("group_twice", "configuration_twice", "two_defaults", "default_with_id"),
        *("login_page_unsaid", "pause_version", "not_in_this_version"),
    }
)


@dataclass(frozen=True, slots=True)
class Planned:
    """What was read, and what would be done; `seen` are the account's configurations by id."""

    file: Path
    source: Source
    account: Account
    portal: Portal
    problems: Sequence[Problem]
    steps: Sequence[Step]
    seen: Mapping[str, Raw]

    @classmethod
    def of(cls, source: Callable[[], Source], file: Path, asked: Asked) -> "Planned":
        """Read both sides. Raises `InvalidRequest` for a file that is no portal.yaml, after saying why."""
        loaded = load(file)
        if loaded.portal is None:
            say(loaded.problems, file)
            raise InvalidRequest("bad_portal_file", f"{file} cannot be used before its errors are mended")
        found = source()
        account = found.account(loaded.portal.api_version)
        configurations = account.configurations()
        steps = plan(loaded.portal, configurations, asked)
        problems = with_prices(loaded, lint(loaded, found.today), account)
        return cls(file, found, account, loaded.portal, problems, steps, {each["id"]: each for each in configurations})

    @property
    def acts(self) -> bool:
        """Whether anything would be changed."""
        return any(step.acts for step in self.steps)

    @property
    def ids(self) -> dict[str, str]:
        """The configurations of the entries that have one."""
        return {step.name: step.id for step in self.steps if step.id and step.name in self.portal.configurations}

    @property
    def groups(self) -> dict[str, str]:
        """The parameter `PortalConfigurations`, as far as the ids are known yet."""
        unknown = {step.name: _UNKNOWN_YET for step in self.steps if step.act is Act.CREATE}
        return groups(self.portal, unknown | self.ids)

    def show(self) -> None:
        """Write the problems and the plan."""
        say(self.problems, self.file)
        _write(
            f"Stripe, {self.source.mode}; API {self.portal.api_version}.", "", *view.plan_lines(self.steps, self.groups)
        )

    def check(self) -> None:
        """Raise `InvalidRequest` where the plan must not be carried out.

        An error in what stays as it is stops nothing: Stripe has taken that already.
        """
        changing = {step.name for step in self.steps if step.acts}
        wrong = [each for each in errors(self.problems) if each.entry in changing | {None} or each.code in _OF_THE_FILE]
        if wrong:
            raise InvalidRequest(
                "lint_errors",
                f"{self.file}: {count(len(wrong), 'error')} to mend before this can be applied, see above",
            )
        shut = still_deployed(self.steps, self.source.deployed or {})
        if shut:
            raise InvalidRequest("still_deployed", "; ".join(shut))

    def carry_out(self) -> dict[str, str]:
        """Do it, a line for each step, and answer the ids of what was made. Raises `InvalidRequest` halfway."""
        made: dict[str, str] = {}
        waiting = [step for step in self.steps if step.acts]
        for done in apply(self.account, self.steps, self.seen):
            waiting.remove(done.step)
            _write(_done_line(done))
            if done.failure:
                left = ", ".join(step.name for step in waiting)
                tail = f"Not begun: {left}. " if left else ""
                raise InvalidRequest("apply_failed", f"Stopped. {tail}Nothing is done twice: run it again")
            if done.step.act is Act.CREATE and done.id:
                made[done.step.name] = done.id
        return made


def with_prices(loaded: Loaded, problems: Sequence[Problem], account: Account) -> list[Problem]:
    """Add what the account says of the products and prices; what the file alone told is not said twice."""
    if loaded.portal is None:
        return list(problems)
    known = {(each.code, each.path) for each in problems}
    more = [each for each in price_problems(loaded.portal, account.price) if (each.code, each.path) not in known]
    return placed(loaded, [*problems, *more])


def say(problems: Sequence[Problem], file: Path) -> None:
    """Write problems to standard error."""
    sys.stderr.writelines(f"{printable(view.problem_line(str(file), each))}\n" for each in problems)


def _done_line(done: Applied) -> str:
    what = f"{done.step.act} {done.step.name}{f' ({done.id})' if done.id else ''}"
    page = f"; its login page: {done.login_page}" if done.login_page else ""
    return f"failed: {what}: {done.failure}" if done.failure else f"done: {what}{page}"


def _write(*lines: str) -> None:
    sys.stdout.writelines(f"{printable(line)}\n" for line in lines)
    sys.stdout.flush()


def lines_to_deploy(planned: Planned, made: dict[str, str]) -> Iterator[str]:
    """Write the parameter to deploy the stack with."""
    return view.deployment_lines(groups(planned.portal, planned.ids | made), planned.source.deployed)
