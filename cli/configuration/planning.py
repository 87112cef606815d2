"""The difference between a portal.yaml and an account, and what would remove it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from cli.configuration.model import MARK, Entry, Portal
from cli.configuration.normal import actual, fields, value_at, wanted
from shared.errors import InvalidRequest

Raw = Mapping[str, Any]


class Act(StrEnum):
    """What a step does to the account."""

    CREATE = "create"
    UPDATE = "update"
    DEACTIVATE = "deactivate"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Change:
    """One field, before and after."""

    path: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Step:
    """What happens to one configuration; `withheld` says which option has to ask for it first."""

    name: str
    act: Act
    id: str | None = None
    changes: tuple[Change, ...] = ()
    asked: Mapping[str, Any] = field(default_factory=dict)
    withheld: str | None = None
    note: str | None = None

    @property
    def acts(self) -> bool:
        """Whether it changes the account."""
        return self.act is not Act.NOTHING and self.withheld is None


@dataclass(frozen=True, slots=True)
class Asked:
    """What the person asked for beside the file: only then the default is touched, and what is gone deactivated."""

    default: bool = False
    deactivate: bool = False


def plan(portal: Portal, configurations: Sequence[Raw], asked: Asked) -> list[Step]:
    """Answer a step for each entry and for each configuration whose entry is gone, deactivations last.

    Raises `InvalidRequest` where the file and the account do not fit together.
    """
    own = _own(portal, configurations)
    steps = [_step(portal, name, _found(portal, name, configurations, own), asked) for name in portal.configurations]
    return [*steps, *_gone(portal, own, asked)]


def changes(asked: Mapping[str, Any], configuration: Raw) -> tuple[Change, ...]:
    """Answer the fields in which a configuration is not what is asked for."""
    want, have = fields(asked), fields(actual(configuration))
    if "metadata" in asked:
        # A mark is another file's, or an entry's of old: never ours to take away.
        gone = {key for key in have if key.startswith("metadata.") and key != f"metadata.{MARK}"} - want.keys()
        want |= dict.fromkeys(gone)
    every = ((path, value_at(have, path), value_at(want, path)) for path in want)
    return tuple(Change(path, before, after) for path, before, after in every if before != after)


def _own(portal: Portal, configurations: Sequence[Raw]) -> dict[str, list[Raw]]:
    """Answer the configurations that carry this file's mark, by the name in it."""
    own: dict[str, list[Raw]] = {}
    for each in configurations:
        name = portal.name_of(each)
        if name is not None:
            own.setdefault(name, []).append(each)
    return own


def _found(portal: Portal, name: str, configurations: Sequence[Raw], own: Mapping[str, list[Raw]]) -> Raw | None:
    entry = portal.configurations[name]
    if entry.default:
        return _the_default(name, configurations)
    if entry.id:
        return _by_id(name, entry.id, configurations)
    carrying = own.get(name, [])
    active = [each for each in carrying if each.get("active")]
    if len(active) > 1:
        ids = ", ".join(str(each["id"]) for each in active)
        raise InvalidRequest(
            "ambiguous_configuration",
            f"Several active configurations carry the mark of {name!r}: {ids}. Deactivate all but one, or take "
            f"{MARK} out of their metadata",
        )
    return active[0] if active else max(carrying, key=lambda each: int(each.get("created", 0)), default=None)


def _the_default(name: str, configurations: Sequence[Raw]) -> Raw:
    for each in configurations:
        if each.get("is_default"):
            return each
    raise InvalidRequest(
        "no_default_configuration",
        f"{name!r} is to be the account's default configuration, and the account has none. Stripe's API cannot make "
        "one: save the customer portal's settings once in the Dashboard, in the mode of the key",
    )


def _by_id(name: str, wanted_id: str, configurations: Sequence[Raw]) -> Raw:
    for each in configurations:
        if each["id"] == wanted_id and each.get("is_default"):
            raise InvalidRequest(
                "id_of_the_default",
                f"{wanted_id} is the account's default: {name!r} has to say `default: true` instead",
            )
        if each["id"] == wanted_id:
            return each
    raise InvalidRequest(
        "no_such_configuration",
        f"The account has no configuration {wanted_id} ({name!r}): is it of the other mode, or another account's?",
    )


def _step(portal: Portal, name: str, found: Raw | None, asked: Asked) -> Step:
    entry, want = portal.configurations[name], wanted(portal, name)
    if found is None:
        return _creation(name, entry, want)
    differing = changes(want, found)
    withheld = "--default" if entry.default and not asked.default else None
    return Step(name, Act.UPDATE if differing else Act.NOTHING, str(found["id"]), differing, want, withheld)


def _creation(name: str, entry: Entry, want: Mapping[str, Any]) -> Step:
    if not entry.active:
        return Step(name, Act.NOTHING, note="it is not made while the file says active: false")
    every = fields(want)
    news = (Change(path, None, value) for path in every if (value := value_at(every, path)) not in (None, [], False))
    return Step(name, Act.CREATE, None, tuple(news), want)


def _gone(portal: Portal, own: Mapping[str, list[Raw]], asked: Asked) -> Iterator[Step]:
    named = {entry.id for entry in portal.configurations.values()}
    marked = {name for name, entry in portal.configurations.items() if entry.marked}
    for name in sorted(own.keys() - marked):
        for each in own[name]:
            if each.get("active") and each["id"] not in named:
                withheld = None if asked.deactivate else "--deactivate"
                off = (Change("active", True, False),)
                yield Step(name, Act.DEACTIVATE, str(each["id"]), off, {"active": False}, withheld)


def groups(portal: Portal, ids: Mapping[str, str]) -> dict[str, str]:
    """Answer the parameter `PortalConfigurations`: group to configuration, of the entries whose id is known."""
    return {
        group: ids[name]
        for name, entry in portal.configurations.items()
        if entry.active and name in ids
        for group in entry.groups
    }


def still_deployed(steps: Sequence[Step], deployed: Mapping[str, str]) -> list[str]:
    """Answer what would shut the portal for groups of the running deployment: steps that switch off what it uses."""
    return [
        f"{step.id} ({step.name}) is deployed for the group {group!r}: deploy without it first, then deactivate it"
        for step in steps
        if step.acts and any(change.path == "active" and change.after is False for change in step.changes)
        for group, used in deployed.items()
        if used == step.id
    ]
