"""`expand[]`: identifiers in an answer replaced by the objects that they name."""

import copy
from collections.abc import Collection
from typing import Any

from local.stripe_simulator.errors import ApiError
from local.stripe_simulator.store import Store, StripeObject

_DEEPEST = 4
# Portal configurations only carry it when it is asked for.
_PORTAL = frozenset(
    {"billing_portal.configuration", "billing_portal.session", "/v1/billing_portal/configurations"},
)
_PRODUCTS = ["features", "subscription_update", "products"]


def expanded(answer: StripeObject, paths: Collection[str], store: Store) -> StripeObject:
    """The answer with every path expanded, and without what is only shown when it is."""
    if not paths and not _PORTAL.intersection((answer.get("object"), answer.get("url"))):
        return answer
    result = copy.deepcopy(answer)
    for path in paths:
        parts = path.split(".")
        if len(parts) > _DEEPEST:
            raise ApiError(f"You cannot expand more than {_DEEPEST} levels of a property: {path}.", param="expand")
        _expand(result, parts, store)
    _leave_out(result, [path.split(".") for path in paths])
    return result


def _leave_out(node: Any, asked: list[list[str]]) -> None:
    """Take the products out of a configuration, in a list or a session too, unless they were asked for there."""
    if isinstance(node, list):
        for item in node:
            _leave_out(item, asked)
    if not isinstance(node, dict):
        return
    if node.get("object") == "billing_portal.configuration" and _PRODUCTS not in asked:
        node["features"]["subscription_update"].pop("products", None)
    for name in {"list": ["data"], "billing_portal.session": ["configuration"]}.get(str(node.get("object")), ()):
        _leave_out(node[name], [rest for first, *rest in asked if first == name])


def _expand(node: Any, parts: list[str], store: Store) -> None:
    if isinstance(node, list):
        for item in node:
            _expand(item, parts, store)
        return
    if not isinstance(node, dict) or not parts:
        return
    name, *rest = parts
    if name == "subscriptions" and node.get("object") == "customer":
        node[name] = _subscriptions(node["id"], store)
    elif name not in node and not node.get("deleted"):
        raise ApiError(
            f"This property cannot be expanded ({name}).", code="property_cannot_be_expanded", param="expand"
        )
    if isinstance(node.get(name), str):
        node[name] = _named(node[name], store)
    elif isinstance(node.get(name), list):
        node[name] = [_named(one, store) if isinstance(one, str) else one for one in node[name]]
    _expand(node.get(name), rest, store)


def _named(object_id: str, store: Store) -> Any:
    collection = store.by_prefix(object_id.split("_", 1)[0])
    found = collection.find(object_id) if collection else None
    return object_id if found is None else copy.deepcopy(found)


def _subscriptions(customer: str, store: Store) -> StripeObject:
    mine = [item for item in store.subscriptions.of_customer(customer) if item["status"] != "canceled"]
    return {
        "object": "list",
        "data": copy.deepcopy(mine[:10]),
        "has_more": len(mine) > 10,  # noqa: PLR2004 - Stripe embeds ten
        "url": f"/v1/customers/{customer}/subscriptions",
    }
