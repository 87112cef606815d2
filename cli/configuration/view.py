"""Plans, problems and deployments as text for a terminal, and as JSON."""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from cli.configuration.file import FileProblem, dotted
from cli.configuration.plan import Action, FieldChange, PlanStep

_SIGNS = {Action.CREATE: "+", Action.UPDATE: "~", Action.DEACTIVATE: "-", Action.NOTHING: "="}
_WORDS = {
    Action.CREATE: "to be created",
    Action.UPDATE: "to be changed",
    Action.DEACTIVATE: "to be deactivated: no longer in the file",
    Action.NOTHING: "no difference",
}
_COUNTED = ((Action.CREATE, "to create"), (Action.UPDATE, "to change"), (Action.DEACTIVATE, "to deactivate"))


def problem_line(file: str, problem: FileProblem) -> str:
    """Write a problem as compilers do: `portal.yaml:12: error: where: what. What to do. [code]`."""
    where = f"{dotted(problem.path)}: " if problem.path else ""
    return f"{file}:{problem.line}: {problem.severity}: {where}{problem.message} {problem.fix} [{problem.code}]"


def problem_json(problem: FileProblem) -> dict[str, Any]:
    """Return a problem for programs."""
    return asdict(problem) | {"path": dotted(problem.path)}


def plan_lines(steps: Sequence[PlanStep], groups: Mapping[str, str]) -> Iterator[str]:
    """Write a plan, field by field, and its summary."""
    for step in steps:
        where = f" ({step.id})" if step.id else ""
        yield f"{_SIGNS[step.action]} {step.name}{where}: {step.note or _WORDS[step.action]}{_only_with(step)}"
        if step.action is not Action.DEACTIVATE:
            yield from (f"    {_change(change, step.action)}" for change in step.changes)
    yield ""
    yield f"{summary(steps)}."
    needed = sorted({step.needed_option for step in steps if step.needed_option and step.action is not Action.NOTHING})
    if needed:
        yield f"Left alone: steps that need {' or '.join(needed)}."
    if groups:
        yield f"PortalConfigurations: {json.dumps(dict(groups))}"


def summary(steps: Sequence[PlanStep]) -> str:
    """Count the steps that change the account."""
    numbers = [
        (sum(step.changes_account and step.action is action for step in steps), words) for action, words in _COUNTED
    ]
    return ", ".join(f"{number} {words}" for number, words in numbers if number) or "No difference"


def plan_json(steps: Sequence[PlanStep], groups: Mapping[str, str], *, livemode: bool) -> dict[str, Any]:
    """Return a plan for programs."""
    return {
        "livemode": livemode,
        "differences": sum(step.changes_account for step in steps),
        "steps": [
            {
                "name": step.name,
                "id": step.id,
                "action": step.action,
                "only_with": step.needed_option,
                "changes": [asdict(change) for change in step.changes],
            }
            for step in steps
        ],
        "portal_configurations": dict(groups),
    }


def deployment_lines(groups: Mapping[str, str], deployed: Mapping[str, str] | None) -> Iterator[str]:
    """Write the parameter to deploy with, or that it is deployed already; `deployed` is `None` if unknown."""
    value = json.dumps(dict(groups), separators=(",", ":"), ensure_ascii=False)
    if groups == (deployed or {}):
        yield (
            f"PortalConfigurations is already deployed with this value: {value}"
            if groups
            else "No group has a configuration."
        )
        return
    yield "Deploy the stack with:"
    yield f"  sam deploy --parameter-overrides {shlex.quote(parameter_override(value))}"


def parameter_override(value: str) -> str:
    """Quote the parameter for `sam deploy`, which would cut JSON at its first quotation mark."""
    escaped = value.replace('"', '\\"')
    return f'PortalConfigurations="{escaped}"'


def _only_with(step: PlanStep) -> str:
    return f" (only with {step.needed_option})" if step.needed_option and step.action is not Action.NOTHING else ""


def _change(change: FieldChange, action: Action) -> str:
    after = _value(change.after)
    if action is Action.CREATE:
        return f"{change.path}: {after}"
    note = "  (its address stops working)" if change.path == "login_page.enabled" and change.before else ""
    return f"{change.path}: {_value(change.before)} -> {after}{note}"


def _value(value: Any) -> str:
    return "(nothing)" if value in (None, []) else json.dumps(value, ensure_ascii=False)
