"""What plans, problems and deployments look like in a terminal, and for programs."""

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
    Action.DEACTIVATE: "to be deactivated: it is no longer in the file",
    Action.NOTHING: "as it should be",
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
    """Write a plan, field by field, and what it comes to."""
    for step in steps:
        where = f" ({step.id})" if step.id else ""
        yield f"{_SIGNS[step.act]} {step.name}{where}: {step.note or _WORDS[step.act]}{_only_with(step)}"
        if step.act is not Action.DEACTIVATE:
            yield from (f"    {_change(change, step.act)}" for change in step.changes)
    yield ""
    yield f"{summary(steps)}."
    withheld = sorted({step.withheld for step in steps if step.withheld and step.act is not Action.NOTHING})
    if withheld:
        yield f"Left alone: what needs {' or '.join(withheld)}."
    if groups:
        yield f"PortalConfigurations: {json.dumps(dict(groups))}"


def summary(steps: Sequence[PlanStep]) -> str:
    """Count what would be done."""
    numbers = [(sum(step.acts and step.act is act for step in steps), words) for act, words in _COUNTED]
    return ", ".join(f"{number} {words}" for number, words in numbers if number) or "No difference"


def plan_json(steps: Sequence[PlanStep], groups: Mapping[str, str], *, livemode: bool) -> dict[str, Any]:
    """Return a plan for programs."""
    return {
        "livemode": livemode,
        "differences": sum(step.acts for step in steps),
        "steps": [
            {
                "name": step.name,
                "id": step.id,
                "act": step.act,
                "only_with": step.withheld,
                "changes": [asdict(change) for change in step.changes],
            }
            for step in steps
        ],
        "portal_configurations": dict(groups),
    }


def deployment_lines(groups: Mapping[str, str], deployed: Mapping[str, str] | None) -> Iterator[str]:
    """Write the parameter to deploy with, and whether it is already deployed, which `None` does not tell."""
    value = json.dumps(dict(groups), separators=(",", ":"), ensure_ascii=False)
    if groups == (deployed or {}):
        yield f"PortalConfigurations is already deployed so: {value}" if groups else "No group has a configuration."
        return
    yield "Deploy the stack with:"
    yield f"  sam deploy --parameter-overrides {shlex.quote(parameter_override(value))}"


def parameter_override(value: str) -> str:
    """Write the parameter as `sam deploy` reads it: unquoted, JSON would end at its first quotation mark."""
    escaped = value.replace('"', '\\"')
    return f'PortalConfigurations="{escaped}"'


def _only_with(step: PlanStep) -> str:
    return f" (only with {step.withheld})" if step.withheld and step.act is not Action.NOTHING else ""


def _change(change: FieldChange, act: Action) -> str:
    after = _value(change.after)
    if act is Action.CREATE:
        return f"{change.path}: {after}"
    note = "  (its address stops working)" if change.path == "login_page.enabled" and change.before else ""
    return f"{change.path}: {_value(change.before)} -> {after}{note}"


def _value(value: Any) -> str:
    return "(nothing)" if value in (None, []) else json.dumps(value, ensure_ascii=False)
