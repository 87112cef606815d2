"""Compares the entries of a portal.yaml with the account's configurations, and plans the steps that make them equal."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from cli.configuration.model import MARK, Entry, Portal
from shared.errors import InvalidRequest, OperatorError, sentence
from shared.i18n import Message, _
from shared.portal.configuration import SINCE, Features, OfferedProduct, Part, without_empty
from shared.stripe.gateway import StripeJson

Fields = dict[str, Any]


def desired_fields(portal: Portal, name: str) -> dict[str, Any]:
    """Return what an entry asks for, in the shape of Stripe's parameters.

    What the file leaves out is off or empty; of a feature that is off, only what the file contains is asked for. The
    default configuration and one named by `id` keep their metadata and their name unless the file contains them.
    """
    entry = portal.configurations[name]
    written = entry.model_fields_set
    desired: dict[str, Any] = {
        "active": entry.active,
        "business_profile": entry.business_profile.model_dump(),
        "default_return_url": entry.default_return_url,
        "login_page": entry.login_page.model_dump(),
        "features": _features(entry.features),
    }
    if entry.marked:
        desired |= {"name": entry.name or name, "metadata": entry.metadata | {MARK: portal.mark(name)}}
    else:
        desired |= {key: getattr(entry, key) for key in ("name", "metadata") if key in written}
    for path, since in SINCE.items():
        if portal.api_version < since:
            _remove(desired, path.split("."))
    return desired


def _features(features: Features) -> dict[str, Any]:
    return {name: _part(getattr(features, name)) for name in Features.model_fields}


def _part(part: Part) -> dict[str, Any]:
    """Return everything of a part that is on, and what the file contains of one that is off."""
    everything = getattr(part, "enabled", True)
    names = type(part).model_fields if everything else ["enabled", *sorted(part.model_fields_set - {"enabled"})]
    return {
        name: _plain(getattr(part, name))
        for name in names
        if name in part.model_fields_set or getattr(part, name) is not None or name in _CLEARED
    }


# Cleared when the file leaves it out. Stripe chooses the other empty ones.
_CLEARED = {"payment_method_configuration"}


def _plain(value: Any) -> Any:
    if isinstance(value, OfferedProduct):
        prices = [each.price for each in value.prices]
        return {"product": value.product, "prices": prices, "adjustable_quantity": _part(value.adjustable_quantity)}
    if isinstance(value, Part):
        return _part(value)
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _remove(desired: Any, path: list[str]) -> None:
    name, *rest = path
    if name.endswith("[]"):
        for item in desired.get(name[:-2], ()):
            _remove(item, rest)
    elif not rest:
        desired.pop(name, None)
    elif name in desired:
        _remove(desired[name], rest)


def actual_fields(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same fields of a configuration as Stripe shows it, at any version. What is absent is off or empty."""
    found: dict[str, Any] = without_empty(configuration)
    features = found.setdefault("features", {})
    for name in Features.model_fields:
        features.setdefault(name, {}).setdefault("enabled", False)
    for product in features["subscription_update"].get("products", ()):
        product.setdefault("adjustable_quantity", {"enabled": False})
    found.setdefault("login_page", {"enabled": False})
    return found


# What Stripe shows for a field that a file leaves out.
_SAME_AS_ABSENT = {
    "billing_cycle_anchor": "unchanged",
    "trial_update_behavior": "end_trial",
    "proration_behavior": "none",
    "mode": "at_period_end",
    "interval_count": 1,
    "enabled": False,
}


def fields(tree: Any, path: str = "") -> Fields:
    """Spread a tree over dotted paths: products by their id, other lists without an order."""
    if isinstance(tree, Mapping):
        spread: Fields = {}
        for key, item in tree.items():
            spread |= fields(item, f"{path}.{key}" if path else str(key))
        return spread
    if isinstance(tree, list) and path.endswith(".products"):
        spread = {path: sorted(item["product"] for item in tree)}
        for item in tree:
            rest = {key: value for key, value in item.items() if key != "product"}
            spread |= fields(rest, f"{path}[{item['product']}]")
        return spread
    if isinstance(tree, list):
        return {path: _in_any_order(tree)}
    return {path: tree}


def _in_any_order(items: Iterable[Any]) -> list[Any]:
    """Sort. Stripe's form of conditions, `[{type: x}]`, becomes `[x]`."""
    return sorted((_word(item) for item in items), key=str)


def _word(item: Any) -> Any:
    if not isinstance(item, Mapping):
        return item
    if "interval" in item:
        return f"{item.get('interval_count') or 1} {item['interval']}"
    return item.get("id") or item.get("type") or dict(item)


def value_at(spread: Fields, path: str) -> Any:
    """Return a field. For one that is absent, return what its absence means to Stripe."""
    found = spread.get(path)
    if found is None or found == []:
        return _SAME_AS_ABSENT.get(path.rpartition(".")[2])
    return found


class Action(StrEnum):
    """What a step does to a configuration of the account."""

    CREATE = "create"
    UPDATE = "update"
    DEACTIVATE = "deactivate"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field, before and after."""

    path: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class PlanStep:
    """What happens to one configuration. With a `needed_option`, it happens only if that option is given."""

    name: str
    action: Action
    id: str | None = None
    changes: tuple[FieldChange, ...] = ()
    desired: Mapping[str, Any] = field(default_factory=dict)
    needed_option: str | None = None
    note: Message | None = None

    @property
    def changes_account(self) -> bool:
        """Whether it changes the account."""
        return self.action is not Action.NOTHING and self.needed_option is None


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """Options of the command: change the default configuration too, deactivate what is gone from the file."""

    default: bool = False
    deactivate: bool = False


def make_plan(portal: Portal, configurations: Sequence[StripeJson], options: PlanOptions) -> list[PlanStep]:
    """Return a step for each entry and for each configuration whose entry is gone, deactivations last.

    Raises `InvalidRequest` or `OperatorError` where the file and the account do not fit together.
    """
    own = _own(portal, configurations)
    steps = [_step(portal, name, _found(portal, name, configurations, own), options) for name in portal.configurations]
    return [*steps, *_gone(portal, own, options)]


def field_changes(desired: Mapping[str, Any], configuration: StripeJson) -> tuple[FieldChange, ...]:
    """Return the fields in which a configuration differs from what is desired."""
    want, have = fields(desired), fields(actual_fields(configuration))
    if "metadata" in desired:
        # A mark belongs to another file, or to an earlier entry: it is not ours to remove.
        gone = {key for key in have if key.startswith("metadata.") and key != f"metadata.{MARK}"} - want.keys()
        want |= dict.fromkeys(gone)
    every = ((path, value_at(have, path), value_at(want, path)) for path in want)
    return tuple(FieldChange(path, before, after) for path, before, after in every if before != after)


def _own(portal: Portal, configurations: Sequence[StripeJson]) -> dict[str, list[StripeJson]]:
    """Return the configurations that carry this file's mark, by the name in it."""
    own: dict[str, list[StripeJson]] = {}
    for each in configurations:
        name = portal.name_of(each)
        if name is not None:
            own.setdefault(name, []).append(each)
    return own


def _found(
    portal: Portal, name: str, configurations: Sequence[StripeJson], own: Mapping[str, list[StripeJson]]
) -> StripeJson | None:
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
            sentence(
                "Several active configurations carry the mark of {name}: {ids}. Deactivate all but one, or take "
                "{mark} out of their metadata",
                name=repr(name),
                ids=ids,
                mark=MARK,
            ),
        )
    return active[0] if active else max(carrying, key=lambda each: int(each.get("created", 0)), default=None)


def _the_default(name: str, configurations: Sequence[StripeJson]) -> StripeJson:
    for each in configurations:
        if each.get("is_default"):
            return each
    raise OperatorError(
        "no_default_configuration",
        sentence(
            "{name} is to be the account's default configuration, and the account has none. Stripe's API cannot make "
            "one: save the customer portal's settings once in the Dashboard, in the mode of the key",
            name=repr(name),
        ),
    )


def _by_id(name: str, wanted_id: str, configurations: Sequence[StripeJson]) -> StripeJson:
    for each in configurations:
        if each["id"] == wanted_id and each.get("is_default"):
            raise InvalidRequest(
                "id_of_the_default",
                sentence(
                    "{id} is the account's default: {name} has to say `default: true` instead",
                    id=wanted_id,
                    name=repr(name),
                ),
            )
        if each["id"] == wanted_id:
            return each
    raise InvalidRequest(
        "no_such_configuration",
        sentence(
            "The account has no configuration {id} ({name}): is it of the other mode, or another account's?",
            id=wanted_id,
            name=repr(name),
        ),
    )


def _step(portal: Portal, name: str, found: StripeJson | None, options: PlanOptions) -> PlanStep:
    entry, want = portal.configurations[name], desired_fields(portal, name)
    if found is None:
        return _creation(name, entry, want)
    differing = field_changes(want, found)
    needed = "--default" if entry.default and not options.default else None
    return PlanStep(name, Action.UPDATE if differing else Action.NOTHING, str(found["id"]), differing, want, needed)


def _creation(name: str, entry: Entry, want: Mapping[str, Any]) -> PlanStep:
    if not entry.active:
        return PlanStep(name, Action.NOTHING, note=_("not created while the file has `active: false`"))
    every = fields(want)
    set_fields = (
        FieldChange(path, None, value) for path in every if (value := value_at(every, path)) not in (None, [], False)
    )
    return PlanStep(name, Action.CREATE, None, tuple(set_fields), want)


def _gone(portal: Portal, own: Mapping[str, list[StripeJson]], options: PlanOptions) -> Iterator[PlanStep]:
    named = {entry.id for entry in portal.configurations.values()}
    marked = {name for name, entry in portal.configurations.items() if entry.marked}
    for name in sorted(own.keys() - marked):
        for each in own[name]:
            if each.get("active") and each["id"] not in named:
                needed = None if options.deactivate else "--deactivate"
                off = (FieldChange("active", True, False),)
                yield PlanStep(name, Action.DEACTIVATE, str(each["id"]), off, {"active": False}, needed)


def groups(portal: Portal, ids: Mapping[str, str]) -> dict[str, str]:
    """Return the parameter `PortalConfigurations`: group to configuration, of the entries whose id is known."""
    return {
        group: ids[name]
        for name, entry in portal.configurations.items()
        if entry.active and name in ids
        for group in entry.groups
    }


def still_deployed(steps: Sequence[PlanStep], deployed: Mapping[str, str]) -> list[str]:
    """Return the configurations that would be deactivated though a group of the running deployment uses them."""
    return [
        f"{step.id} ({step.name}: group {group!r})"
        for step in steps
        if step.changes_account and any(change.path == "active" and change.after is False for change in step.changes)
        for group, used in deployed.items()
        if used == step.id
    ]
