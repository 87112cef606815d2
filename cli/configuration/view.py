"""Plans, problems and deployments as text for a terminal, and as JSON."""

import json
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from cli.configuration.file import FileProblem, dotted
from cli.configuration.plan import Action, FieldChange, PlanStep
from shared.i18n import Message, _, _n, listed, say

_SIGNS = {Action.CREATE: "+", Action.UPDATE: "~", Action.DEACTIVATE: "-", Action.NOTHING: "="}
_WORDS = {
    Action.CREATE: _("to be created"),
    Action.UPDATE: _("to be changed"),
    Action.DEACTIVATE: _("to be deactivated: no longer in the file"),
    Action.NOTHING: _("no difference"),
}
# Stands for an id that Stripe has yet to assign, for programs and people alike.
UNKNOWN_YET = "(known after apply)"


def problem_line(file: str, problem: FileProblem, language: str) -> str:
    """Write a problem as compilers do: `portal.yaml:12: error: where: what. What to do. [code]`."""
    where = f"{dotted(problem.path)}: " if problem.path else ""
    severity, message, fix = (say(each, language) for each in (problem.severity.label, problem.message, problem.fix))
    return f"{file}:{problem.line}: {severity}: {where}{message} {fix} [{problem.code}]"


def problem_json(problem: FileProblem, language: str) -> dict[str, Any]:
    """Return a problem for programs."""
    words = {"message": say(problem.message, language), "fix": say(problem.fix, language)}
    return asdict(problem) | words | {"path": dotted(problem.path)}


def plan_lines(steps: Sequence[PlanStep], groups: Mapping[str, str], language: str) -> Iterator[str]:
    """Write a plan, field by field, and its summary."""
    for step in steps:
        where = f" ({step.id})" if step.id else ""
        what = (step.note or _WORDS[step.action]).say(language)
        yield f"{_SIGNS[step.action]} {step.name}{where}: {what}{_only_with(step, language)}"
        if step.action is not Action.DEACTIVATE:
            yield from (f"    {_change(change, step.action, language)}" for change in step.changes)
    yield ""
    yield _summary(steps).say(language)
    needed = sorted({step.needed_option for step in steps if step.needed_option and step.action is not Action.NOTHING})
    if needed:
        yield _("Left alone: steps that need {options}.", options=", ".join(needed)).say(language)
    if groups:
        unknown = _("(known after apply)").say(language)
        shown = {group: unknown if each == UNKNOWN_YET else each for group, each in groups.items()}
        yield f"PortalConfigurations: {json.dumps(shown, ensure_ascii=False)}"


def _summary(steps: Sequence[PlanStep]) -> Message:
    """Count the steps that change the account."""
    numbers = Counter(step.action for step in steps if step.changes_account)
    counts = (
        _n("{n} to create", "{n} to create", numbers[Action.CREATE]),
        _n("{n} to change", "{n} to change", numbers[Action.UPDATE]),
        _n("{n} to deactivate", "{n} to deactivate", numbers[Action.DEACTIVATE]),
    )
    found = [each for each in counts if each.n]
    return _("{counts}.", counts=listed(found)) if found else _("No difference.")


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


def deployment_lines(groups: Mapping[str, str], deployed: Mapping[str, str] | None, language: str) -> Iterator[str]:
    """Write the parameter to deploy with, or that it is deployed already; `deployed` is `None` if unknown."""
    value = json.dumps(dict(groups), separators=(",", ":"), ensure_ascii=False)
    if groups != (deployed or {}):
        yield _("Deploy the stack with:").say(language)
        yield f"  sam deploy --parameter-overrides {shlex.quote(parameter_override(value))}"
    elif groups:
        yield _("PortalConfigurations is already deployed with this value: {value}", value=value).say(language)
    else:
        yield _("No group has a configuration.").say(language)


def parameter_override(value: str) -> str:
    """Quote the parameter for `sam deploy`, which would cut JSON at its first quotation mark."""
    escaped = value.replace('"', '\\"')
    return f'PortalConfigurations="{escaped}"'


def _only_with(step: PlanStep, language: str) -> str:
    if not step.needed_option or step.action is Action.NOTHING:
        return ""
    only = _("(only with {option})", option=step.needed_option)
    return f" {only.say(language)}"


def _change(change: FieldChange, action: Action, language: str) -> str:
    after = _value(change.after, language)
    if action is Action.CREATE:
        return f"{change.path}: {after}"
    ends = change.path == "login_page.enabled" and change.before
    note = _("(its address stops working)").say(language)
    return f"{change.path}: {_value(change.before, language)} -> {after}{f'  {note}' if ends else ''}"


def _value(value: Any, language: str) -> str:
    return _("(nothing)").say(language) if value in (None, []) else json.dumps(value, ensure_ascii=False)
