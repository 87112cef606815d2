"""One form for both sides: what a file's entry asks for, and what Stripe says that a configuration is."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from cli.configuration.model import MARK, Entry, Portal
from shared.errors import InvalidRequest, OperatorError
from shared.portal.configuration import SINCE, Features, OfferedProduct, Part, without_empty
from shared.stripe.gateway import StripeJson

Fields = dict[str, Any]


def desired_fields(portal: Portal, name: str) -> dict[str, Any]:
    """Return what an entry asks for, in the shape of Stripe's parameters.

    What the file does not say is off or empty; of a feature that is off, only what the file says is asked for. The
    default configuration and one named by `id` keep their metadata and their name unless the file says them.
    """
    entry = portal.configurations[name]
    said = entry.model_fields_set
    asked: dict[str, Any] = {
        "active": entry.active,
        "business_profile": entry.business_profile.model_dump(),
        "default_return_url": entry.default_return_url,
        "login_page": entry.login_page.model_dump(),
        "features": _features(entry.features),
    }
    if entry.marked:
        asked |= {"name": entry.name or name, "metadata": entry.metadata | {MARK: portal.mark(name)}}
    else:
        asked |= {key: getattr(entry, key) for key in ("name", "metadata") if key in said}
    for path, since in SINCE.items():
        if portal.api_version < since:
            _take_out(asked, path.split("."))
    return asked


def _features(features: Features) -> dict[str, Any]:
    return {name: _asked(getattr(features, name)) for name in Features.model_fields}


def _asked(part: Part) -> dict[str, Any]:
    """Return all of what is on, and what is said of what is off."""
    everything = getattr(part, "enabled", True)
    names = type(part).model_fields if everything else ["enabled", *sorted(part.model_fields_set - {"enabled"})]
    return {
        name: _plain(getattr(part, name))
        for name in names
        if name in part.model_fields_set or getattr(part, name) is not None or name in _CLEARED
    }


# What is cleared when the file leaves it out; the other empty ones are Stripe's to choose.
_CLEARED = {"payment_method_configuration"}


def _plain(value: Any) -> Any:
    if isinstance(value, OfferedProduct):
        prices = [each.price for each in value.prices]
        return {"product": value.product, "prices": prices, "adjustable_quantity": _asked(value.adjustable_quantity)}
    if isinstance(value, Part):
        return _asked(value)
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _take_out(asked: Any, path: list[str]) -> None:
    name, *rest = path
    if name.endswith("[]"):
        for item in asked.get(name[:-2], ()):
            _take_out(item, rest)
    elif not rest:
        asked.pop(name, None)
    elif name in asked:
        _take_out(asked[name], rest)


def actual_fields(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same of a configuration as Stripe shows it, at any version: what is absent is off or empty."""
    found: dict[str, Any] = without_empty(configuration)
    features = found.setdefault("features", {})
    for name in Features.model_fields:
        features.setdefault(name, {}).setdefault("enabled", False)
    for product in features["subscription_update"].get("products", ()):
        product.setdefault("adjustable_quantity", {"enabled": False})
    found.setdefault("login_page", {"enabled": False})
    return found


# How Stripe says what a file says by leaving it out.
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
    """Sort; `[{type: x}]`, which Stripe has for conditions, as plainly as `[x]`."""
    return sorted((_word(item) for item in items), key=str)


def _word(item: Any) -> Any:
    if not isinstance(item, Mapping):
        return item
    if "interval" in item:
        return f"{item.get('interval_count') or 1} {item['interval']}"
    return item.get("id") or item.get("type") or dict(item)


def value_at(spread: Fields, path: str) -> Any:
    """Return a field; what is not there is what Stripe means by leaving it out."""
    found = spread.get(path)
    if found is None or found == []:
        return _SAME_AS_ABSENT.get(path.rpartition(".")[2])
    return found


class Action(StrEnum):
    """What a step does to the account."""

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
    """What happens to one configuration; `withheld` says which option has to ask for it first."""

    name: str
    act: Action
    id: str | None = None
    changes: tuple[FieldChange, ...] = ()
    asked: Mapping[str, Any] = field(default_factory=dict)
    withheld: str | None = None
    note: str | None = None

    @property
    def acts(self) -> bool:
        """Whether it changes the account."""
        return self.act is not Action.NOTHING and self.withheld is None


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """What the person asked for beside the file: only then the default is touched, and what is gone deactivated."""

    default: bool = False
    deactivate: bool = False


def make_plan(portal: Portal, configurations: Sequence[StripeJson], asked: PlanOptions) -> list[PlanStep]:
    """Return a step for each entry and for each configuration whose entry is gone, deactivations last.

    Raises `InvalidRequest` where the file and the account do not fit together.
    """
    own = _own(portal, configurations)
    steps = [_step(portal, name, _found(portal, name, configurations, own), asked) for name in portal.configurations]
    return [*steps, *_gone(portal, own, asked)]


def field_changes(asked: Mapping[str, Any], configuration: StripeJson) -> tuple[FieldChange, ...]:
    """Return the fields in which a configuration is not what is asked for."""
    want, have = fields(asked), fields(actual_fields(configuration))
    if "metadata" in asked:
        # A mark is another file's, or an entry's of old: never ours to take away.
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
            f"Several active configurations carry the mark of {name!r}: {ids}. Deactivate all but one, or take "
            f"{MARK} out of their metadata",
        )
    return active[0] if active else max(carrying, key=lambda each: int(each.get("created", 0)), default=None)


def _the_default(name: str, configurations: Sequence[StripeJson]) -> StripeJson:
    for each in configurations:
        if each.get("is_default"):
            return each
    raise OperatorError(
        "no_default_configuration",
        f"{name!r} is to be the account's default configuration, and the account has none. Stripe's API cannot make "
        "one: save the customer portal's settings once in the Dashboard, in the mode of the key",
    )


def _by_id(name: str, wanted_id: str, configurations: Sequence[StripeJson]) -> StripeJson:
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


def _step(portal: Portal, name: str, found: StripeJson | None, asked: PlanOptions) -> PlanStep:
    entry, want = portal.configurations[name], desired_fields(portal, name)
    if found is None:
        return _creation(name, entry, want)
    differing = field_changes(want, found)
    withheld = "--default" if entry.default and not asked.default else None
    return PlanStep(name, Action.UPDATE if differing else Action.NOTHING, str(found["id"]), differing, want, withheld)


def _creation(name: str, entry: Entry, want: Mapping[str, Any]) -> PlanStep:
    if not entry.active:
        return PlanStep(name, Action.NOTHING, note="it is not made while the file says active: false")
    every = fields(want)
    news = (
        FieldChange(path, None, value) for path in every if (value := value_at(every, path)) not in (None, [], False)
    )
    return PlanStep(name, Action.CREATE, None, tuple(news), want)


def _gone(portal: Portal, own: Mapping[str, list[StripeJson]], asked: PlanOptions) -> Iterator[PlanStep]:
    named = {entry.id for entry in portal.configurations.values()}
    marked = {name for name, entry in portal.configurations.items() if entry.marked}
    for name in sorted(own.keys() - marked):
        for each in own[name]:
            if each.get("active") and each["id"] not in named:
                withheld = None if asked.deactivate else "--deactivate"
                off = (FieldChange("active", True, False),)
                yield PlanStep(name, Action.DEACTIVATE, str(each["id"]), off, {"active": False}, withheld)


def groups(portal: Portal, ids: Mapping[str, str]) -> dict[str, str]:
    """Return the parameter `PortalConfigurations`: group to configuration, of the entries whose id is known."""
    return {
        group: ids[name]
        for name, entry in portal.configurations.items()
        if entry.active and name in ids
        for group in entry.groups
    }


def still_deployed(steps: Sequence[PlanStep], deployed: Mapping[str, str]) -> list[str]:
    """Return what would shut the portal for groups of the running deployment: steps that switch off what it uses."""
    return [
        f"{step.id} ({step.name}) is deployed for the group {group!r}: deploy without it first, then deactivate it"
        for step in steps
        if step.acts and any(change.path == "active" and change.after is False for change in step.changes)
        for group, used in deployed.items()
        if used == step.id
    ]
