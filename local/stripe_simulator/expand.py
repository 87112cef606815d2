"""`expand[]`: identifiers in an answer replaced by the objects that they name."""

import copy
from collections.abc import Iterable
from typing import Any

from local.stripe_simulator.errors import ApiError
from local.stripe_simulator.store import Store, StripeObject

_DEEPEST = 4


def expanded(answer: StripeObject, paths: Iterable[str], store: Store) -> StripeObject:
    """A copy of the answer with every path expanded."""
    result = copy.deepcopy(answer)
    for path in paths:
        parts = path.split(".")
        if len(parts) > _DEEPEST:
            raise ApiError(f"You cannot expand more than {_DEEPEST} levels of a property: {path}.", param="expand")
        _expand(result, parts, store)
    return result


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
