"""Writes a portal.yaml from an account: `portal plan` then finds no difference."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml

from cli.configuration.lint import PriceOf
from cli.configuration.model import MARK, Portal
from cli.configuration.plan import actual_fields
from shared.portal.configuration import Features
from shared.stripe.gateway import StripeJson

_HEAD = """\
# The portal configurations of this account, as `portal import` found them. See docs/how-to/configuration.md.
# `portal lint` checks this file, `portal plan` compares it with the account, `portal apply` changes the account.
"""
# Defaults, which a file can leave out.
_DEFAULTS = {
    "billing_cycle_anchor": "unchanged",
    "trial_update_behavior": "end_trial",
    "proration_behavior": "none",
    "mode": "at_period_end",
    "schedule_at_period_end": {},
    "cancellation_reason": {"enabled": False},
}


class _Dumper(yaml.SafeDumper):
    """Writes short lists and mappings on one line, and `enabled` first."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002
        super().increase_indent(flow, indentless=False)


def _mapping(dumper: yaml.SafeDumper, data: dict[str, Any]) -> yaml.Node:
    ordered = dict(sorted(data.items(), key=lambda item: _FIRST.get(item[0], len(_FIRST))))
    return dumper.represent_mapping("tag:yaml.org,2002:map", ordered, flow_style=_is_short(data))


def _sequence(dumper: yaml.SafeDumper, data: list[Any]) -> yaml.Node:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=_is_short(data))


def _is_short(data: dict[str, Any] | list[Any]) -> bool:
    values = list(data.values()) if isinstance(data, dict) else data
    return not any(isinstance(value, dict | list) for value in values) and len(str(data)) <= _ONE_LINE


_ONE_LINE = 90
_FIRST = {name: place for place, name in enumerate(("enabled", "type", "product", "price", "interval"))}
_Dumper.add_representer(dict, _mapping)
_Dumper.add_representer(list, _sequence)


def as_yaml(
    configurations: Sequence[StripeJson],
    groups: Mapping[str, str],
    price_of: PriceOf,
    *,
    project: str | None,
    version: str,
) -> str:
    """Write a file of configurations; `groups` are the deployed ones, `price_of` reads a price for its interval."""
    top: dict[str, Any] = {"api_version": version} | ({"project": project} if project else {})
    entries: dict[str, Any] = {}
    marks = Portal.model_construct(project=project, configurations={})
    for each in sorted(configurations, key=lambda one: (not one.get("is_default"), one.get("created", 0), one["id"])):
        own = marks.name_of(each)
        name = _free(own or _name(each), entries)
        using = sorted(group for group, used in groups.items() if used == each["id"])
        entries[name] = _entry(actual_fields(each), name, using, price_of, by_mark=name == own)
    top["configurations"] = entries
    return _HEAD + yaml.dump(top, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


def _name(configuration: StripeJson) -> str:
    if configuration.get("is_default"):
        return "default"
    word = re.sub(r"[^a-z0-9]+", "-", str(configuration.get("name") or "").lower()).strip("-")[:30]
    return word or str(configuration["id"])[:40]


def _free(name: str, taken: Iterable[str]) -> str:
    number = 1
    free = name
    while free in taken:
        number += 1
        free = f"{name[:36]}-{number}"
    return free


def _entry(found: dict[str, Any], name: str, groups: list[str], price_of: PriceOf, *, by_mark: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {}
    if found.get("is_default"):
        entry["default"] = True
    elif not by_mark:
        entry["id"] = found["id"]
    if not found.get("active", True):
        entry["active"] = False
    if found.get("name") and not (by_mark and found["name"] == name):
        entry["name"] = found["name"]
    if groups:
        entry["groups"] = groups
    for key in ("business_profile", "default_return_url"):
        if found.get(key):
            entry[key] = found[key]
    if found["login_page"]["enabled"] or found.get("is_default"):
        entry["login_page"] = {"enabled": found["login_page"]["enabled"]}
    entry["features"] = _features(found["features"], price_of)
    metadata = {key: value for key, value in found.get("metadata", {}).items() if key != MARK}
    return entry | ({"metadata": metadata} if metadata else {})


def _features(found: Mapping[str, Any], price_of: PriceOf) -> dict[str, Any]:
    """Return the features that are on."""
    features = {}
    for name in Features.model_fields:
        if found[name]["enabled"]:
            kept = {key: _compact(value) for key, value in found[name].items()}
            features[name] = {key: value for key, value in kept.items() if value not in ([], _DEFAULTS.get(key))}
    update = features.get("subscription_update", {})
    if "products" in update:
        update["products"] = [_product(each, price_of) for each in update["products"]]
    return features


def _compact(value: Any) -> Any:
    """Return a value without empty lists, and without the details of what is off."""
    if not isinstance(value, Mapping):
        return value
    if value.get("enabled") is False:
        return {"enabled": False}
    return {key: _compact(item) for key, item in value.items() if item != []}


def _product(product: Mapping[str, Any], price_of: PriceOf) -> dict[str, Any]:
    result = {"product": product["product"], "prices": [_price(each, price_of) for each in product["prices"]]}
    quantity = product["adjustable_quantity"]
    return result | ({"adjustable_quantity": quantity} if quantity["enabled"] else {})


def _price(price_id: str, price_of: PriceOf) -> Any:
    """Return a price with its interval and currency, so that `portal lint` can compare without the account."""
    raw = price_of(price_id) or {}
    recurring = raw.get("recurring")
    if not recurring:
        return price_id
    count = {"interval_count": recurring["interval_count"]} if recurring.get("interval_count", 1) != 1 else {}
    return {"price": price_id, "interval": recurring["interval"], **count, "currency": raw["currency"]}
