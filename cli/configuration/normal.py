"""One form for both sides: what a file's entry asks for, and what Stripe says that a configuration is."""

from collections.abc import Iterable, Mapping
from typing import Any

from cli.configuration.features import Features, Part, Product
from cli.configuration.model import MARK, Portal

Fields = dict[str, Any]

# The version from which on Stripe knows a parameter; an older one is not sent what it does not know.
SINCE = {
    "features.subscription_pause": "2026-10-28.endive",
    "features.subscription_cancel.cancellation_reason.feedback_options": "2026-08-26.dahlia",
    "features.subscription_update.billing_cycle_anchor": "2025-12-15.clover",
    "features.subscription_update.trial_update_behavior": "2025-09-30.clover",
    "features.subscription_update.products[].adjustable_quantity": "2025-07-30.basil",
    "features.subscription_update.schedule_at_period_end": "2024-10-28.acacia",
}


def wanted(portal: Portal, name: str) -> dict[str, Any]:
    """Answer what an entry asks for, in the shape of Stripe's parameters.

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
    """Answer all of what is on, and what is said of what is off."""
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
    if isinstance(value, Product):
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


def actual(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Answer the same of a configuration as Stripe shows it, at any version: what is absent is off or empty."""
    found: dict[str, Any] = _without_nothing(dict(configuration))
    features = found.setdefault("features", {})
    for name in Features.model_fields:
        features.setdefault(name, {}).setdefault("enabled", False)
    for product in features["subscription_update"].get("products", ()):
        product.setdefault("adjustable_quantity", {"enabled": False})
    found.setdefault("login_page", {"enabled": False})
    return found


def _without_nothing(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nothing(item) for key, item in value.items() if item is not None and item != ""}
    return [_without_nothing(item) for item in value] if isinstance(value, list) else value


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
    """Answer a field; what is not there is what Stripe means by leaving it out."""
    found = spread.get(path)
    if found is None or found == []:
        return _SAME_AS_ABSENT.get(path.rpartition(".")[2])
    return found
