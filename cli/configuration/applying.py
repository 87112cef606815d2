"""Carries out a plan, one configuration after the other, and stops at the first that Stripe does not take."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cli.configuration.account import Account
from cli.configuration.normal import actual, fields
from cli.configuration.parameters import of_creation, of_update
from cli.configuration.planning import Act, Raw, Step, changes
from shared.errors import InvalidRequest, PortalError


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of a step: `id` is its configuration's; `failure` says why it was not done, or not wholly.

    `login_page` is the address that a step switched on.
    """

    step: Step
    id: str | None
    failure: str | None = None
    login_page: str | None = None


def apply(account: Account, steps: Sequence[Step], seen: Mapping[str, Raw]) -> Iterator[Applied]:
    """Do one step after the other; the first failure is the last that is answered.

    `seen` are the configurations that the plan was made from: one that somebody changed since is not touched.
    """
    for step in steps:
        if not step.acts:
            continue
        try:
            done = _do(account, step, seen)
        except PortalError as error:
            yield Applied(step, step.id, error.message)
            return
        yield done
        if done.failure:
            return


def _do(account: Account, step: Step, seen: Mapping[str, Raw]) -> Applied:
    if step.act is Act.CREATE:
        answer = account.create(of_creation(step.asked))
    else:
        _check_unchanged(account, step, seen)
        answer = account.update(str(step.id), of_update(step.asked, step.changes))
    left = changes(step.asked, answer)
    failure = None
    if left:
        names = ", ".join(change.path for change in left)
        failure = f"Stripe took the request, and still shows something else for: {names}"
    on = any(change.path == "login_page.enabled" and change.after for change in step.changes)
    return Applied(step, str(answer["id"]), failure, (answer.get("login_page") or {}).get("url") if on else None)


def _check_unchanged(account: Account, step: Step, seen: Mapping[str, Raw]) -> None:
    now, before = account.configuration(str(step.id)), seen[str(step.id)]
    if fields(actual(now)) != fields(actual(before)):
        raise InvalidRequest("changed_meanwhile", f"{step.id} was changed since it was read: run the command again")
