"""Expanded objects, and what an object shows only when it is expanded.

Which fields can be expanded is read off the official library's types: fields that hold an object, or the id of one.
"""

import copy
import importlib
import typing
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from stripe import ListObject
from stripe import StripeObject as LibraryObject
from stripe._object_classes import OBJECT_CLASSES
from stripe._stripe_object import UntypedStripeObject

from local.stripe_simulator.errors import ApiError
from local.stripe_simulator.simulator import Simulator
from local.stripe_simulator.store import Store, StripeObject
from local.stripe_simulator.versions import CURRENT, Shape, held_before, shape_of

_DEEPEST = 4

# Portal configurations only carry it when it is asked for.
_PORTAL = frozenset(
    {"billing_portal.configuration", "billing_portal.session", "/v1/billing_portal/configurations"},
)

_PRODUCTS = ["features", "subscription_update", "products"]


def expand(answer: StripeObject, paths: Collection[str], simulator: Simulator, version: str = CURRENT) -> StripeObject:
    """Return a response as a version has it, with every path expanded, and without what is only shown when expanded."""
    shape = shape_of(version, simulator.store, newer_fields=simulator.faults.newer_fields)
    answer = shape(answer)
    if not paths and not _PORTAL.intersection((answer.get("object"), answer.get("url"))):
        return with_first_items(answer)
    result = copy.deepcopy(answer)
    for path in paths:
        parts = path.split(".")
        _check_path(answer, path, version)
        _expand(result, parts, simulator, shape)
    _leave_out(result, [path.split(".") for path in paths])
    return with_first_items(result)


def _expand(node: Any, parts: list[str], simulator: Simulator, shape: Shape) -> None:
    if isinstance(node, list):
        for item in node:
            _expand(item, parts, simulator, shape)
        return
    if not isinstance(node, dict) or not parts:
        return
    name, *rest = parts
    if name in _ON_DEMAND.get(str(node.get("object")), ()):
        node |= shape(_on_demand(node, name, simulator.store))
    if isinstance(node.get(name), str):
        node[name] = shape(_named(node[name], simulator, name))
    elif isinstance(node.get(name), list):
        node[name] = [shape(_named(one, simulator, name)) if isinstance(one, str) else one for one in node[name]]
    _expand(node.get(name), rest, simulator, shape)


# The fields that an object only has when they are expanded, if at all.
_ON_DEMAND = {
    "checkout.session": {"line_items"},
    "coupon": {"applies_to", "currency_options"},
    "customer": {"cash_balance", "invoice_credit_balance", "sources", "subscriptions", "tax", "tax_ids"},
    "invoice": {"confirmation_secret", "payments"},
    "plan": {"tiers"},
    "price": {"currency_options", "tiers"},
    "subscription": {"presentment_details"},
    "subscription_item": {"billed_until"},
}


def _on_demand(node: StripeObject, name: str, store: Store) -> StripeObject:
    """Return the field, where the object has something to show."""
    if name == "subscriptions":
        return {name: _subscriptions(node["id"], store)}
    if name in {"sources", "tax_ids"}:
        return {name: {"object": "list", "data": [], "has_more": False, "url": f"/v1/customers/{node['id']}/{name}"}}
    stored = store.on_demand.find(node.get("id", "")) or {}
    return {name: copy.deepcopy(stored[name])} if name in stored else {}


def _named(object_id: str, simulator: Simulator, field: str) -> Any:
    store = simulator.store
    # The id of a coupon has no prefix, and may be any word.
    collection = store.coupons if field == "coupon" else store.collection_of(object_id)
    found = collection.find(object_id) if collection else None
    found = found or simulator.deleted_customers.get(object_id)
    return object_id if found is None else copy.deepcopy(found)


def _subscriptions(customer: str, store: Store) -> StripeObject:
    mine = [item for item in store.subscriptions.of_customer(customer) if item["status"] != "canceled"]
    return {
        "object": "list",
        "data": copy.deepcopy(mine[:10]),
        "has_more": len(mine) > 10,  # noqa: PLR2004 - Stripe embeds ten
        "url": f"/v1/customers/{customer}/subscriptions",
    }


# What is left out of a response.

MOST_EMBEDDED = 10


def with_first_items(answer: StripeObject) -> StripeObject:
    """Return an object in which every subscription embeds ten items only, and every invoice ten lines."""
    result: StripeObject = _with_first_items(answer)
    return result


def _with_first_items(node: Any) -> Any:
    if isinstance(node, list):
        return [_with_first_items(one) for one in node]
    if not isinstance(node, dict) or "object" not in node:
        return node
    inner = {"subscription": "items", "invoice": "lines"}.get(str(node["object"]))
    if inner is None or inner not in node:
        return {name: _with_first_items(value) for name, value in node.items()}
    items = node[inner]
    if len(items["data"]) <= MOST_EMBEDDED:
        return node
    return {**node, inner: {**items, "data": items["data"][:MOST_EMBEDDED], "has_more": True}}


def _leave_out(node: Any, asked: list[list[str]]) -> None:
    """Remove the products of configurations, in a list or a session too, unless they were expanded there."""
    if isinstance(node, list):
        for item in node:
            _leave_out(item, asked)
    if not isinstance(node, dict):
        return
    if node.get("object") == "billing_portal.configuration" and _PRODUCTS not in asked:
        node["features"]["subscription_update"].pop("products", None)
    for name in {"list": ["data"], "billing_portal.session": ["configuration"]}.get(str(node.get("object")), ()):
        _leave_out(node[name], [rest for first, *rest in asked if first == name])


# Which paths there are.


def check_paths(paths: Collection[str], name: str, version: str) -> None:
    """Raise Stripe's error for a path that an object such as `billing_portal.session` does not have."""
    for path in paths:
        _check_path({"object": name}, path, version)


def _check_path(answer: StripeObject, path: str, version: str) -> None:
    """Raise Stripe's error for a path that is too deep, or leads to something that cannot be expanded."""
    parts = path.split(".")
    if len(parts) > _DEEPEST:
        raise ApiError(
            f"You cannot expand more than {_DEEPEST} levels of a property. Property: {path}",
            code="property_expansion_max_depth",
            param="expand",
        )
    held = _held_by_response(answer)
    if answer["object"] in {"list", "search_result"}:
        if parts == ["total_count"] and answer["object"] == "search_result":
            return
        if parts[0] != "data" or len(parts) == 1:
            is_inside = expandable(held, parts[0], version)
            hint = f" You may want to try expanding 'data.{path}' instead." if is_inside else ""
            raise _not_expandable(path, hint)
        parts = parts[1:]
    for name in parts:
        held = expandable(held, name, version)
        if not held and not answer.get("deleted"):
            raise _not_expandable(path)


def _not_expandable(path: str, hint: str = "") -> ApiError:
    message = f"This property cannot be expanded ({path}).{hint}"
    return ApiError(message, code="property_cannot_be_expanded", param="expand")


@dataclass(frozen=True)
class Held:
    """The class of an object that a field holds, or of those in the list that it holds."""

    kind: type
    in_list: bool = False


def expandable(held: Collection[Held], name: str, version: str = CURRENT) -> frozenset[Held]:
    """Return what a field holds when it is expanded; nothing if the objects of a version have no such field."""
    found: set[Held] = set()
    for one in held:
        if not one.in_list:
            older = held_before(version, getattr(one.kind, "OBJECT_NAME", ""), name)
            found |= _fields_of(one.kind).get(name) or held_of(older or "")
        elif name == "data":
            found.add(Held(one.kind))
    return frozenset(found)


def held_of(name: str) -> frozenset[Held]:
    """Return the class of an object such as `billing_portal.session`; nothing for one that Stripe does not have."""
    return frozenset({Held(_class_at(*OBJECT_CLASSES[name]))}) if name in OBJECT_CLASSES else frozenset()


def _held_by_response(answer: StripeObject) -> frozenset[Held]:
    """Return the class of a response; of a list, that of the objects in it, which its address names."""
    name = str(answer["object"])
    if name in {"list", "search_result"}:
        whole = answer["url"].removeprefix("/v1/").removesuffix("/search").removesuffix("s").replace("/", ".")
        name = whole if whole in OBJECT_CLASSES else whole.rpartition(".")[2]
    return held_of(name)


def _class_at(module: str, name: str) -> type:
    found: type = getattr(importlib.import_module(module), name)
    return found


@cache
def _fields_of(kind: type) -> dict[str, frozenset[Held]]:
    """Return the fields of a class that hold objects, hashes or lists of them."""
    hints = {name: hint for base in kind.__mro__ for name, hint in vars(base).get("__annotations__", {}).items()}
    found = {name: frozenset(_held_in(hint, kind.__module__)) for name, hint in hints.items() if name[0] != "_"}
    return {name: held for name, held in found.items() if held}


def _held_in(hint: Any, module: str) -> Iterator[Held]:
    if isinstance(hint, str):
        yield from _classes_called(hint, module)
    elif isinstance(hint, typing.ForwardRef):
        yield from _classes_called(hint.__forward_arg__, module)
    elif isinstance(hint, type) and issubclass(hint, LibraryObject):
        if hint is not UntypedStripeObject:
            yield Held(hint)
    elif typing.get_origin(hint) is ListObject:
        yield from (Held(one.kind, in_list=True) for one in _held_in(typing.get_args(hint)[0], module))
    else:
        for argument in typing.get_args(hint):
            yield from _held_in(argument, module)


def _classes_called(name: str, module: str) -> Iterator[Held]:
    """Yield the classes of that name; the one of the same package, if there are several."""
    package = module.rpartition(".")[0]
    found = [entry for entry in OBJECT_CLASSES.values() if entry[1] == name]
    near = [entry for entry in found if entry[0].rpartition(".")[0] == package]
    yield from (Held(_class_at(*entry)) for entry in near or found)
