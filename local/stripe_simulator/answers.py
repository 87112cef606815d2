"""Lists, search results and expanded objects, in the form in which Stripe returns them."""

import base64
import copy
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterator
from itertools import islice
from typing import Any

from local.stripe_simulator.errors import ApiError, no_such
from local.stripe_simulator.simulator import Call
from local.stripe_simulator.store import Position, Store, StoredObjects, StripeObject

_MOST = 100


def _everything(_: StripeObject) -> bool:
    return True


def list_page(
    collection: StoredObjects,
    params: dict[str, Any],
    url: str,
    keep: Callable[[StripeObject], bool] = _everything,
    customer: str | None = None,
) -> StripeObject:
    """Return one page of the objects that `keep` accepts, newest first."""
    limit = _limit(params)
    order = collection.positions(customer)
    created = created_range(order, params.get("created"))
    low, high = created.start, created.stop
    backwards = "ending_before" in params
    if backwards:
        cursor = collection.position(params["ending_before"], "ending_before")
        low = max(low, bisect_right(order, cursor))
    if "starting_after" in params:
        high = min(high, bisect_left(order, collection.position(params["starting_after"], "starting_after")))
    wanted = range(low, high) if backwards else range(high - 1, low - 1, -1)
    found = list(islice(_kept(collection, order, wanted, keep), limit + 1))
    data = found[:limit][::-1] if backwards else found[:limit]
    return {"object": "list", "data": data, "has_more": len(found) > limit, "url": url}


def _kept(
    collection: StoredObjects, order: list[Position], wanted: range, keep: Callable[[StripeObject], bool]
) -> Iterator[StripeObject]:
    for index in wanted:
        candidate = collection.get(order[index][2])
        if keep(candidate):
            yield candidate


def _limit(params: dict[str, Any]) -> int:
    limit = int(params.get("limit", 10))
    if not 1 <= limit <= _MOST:
        bound = "greater than or equal to 1" if limit < 1 else f"less than or equal to {_MOST}"
        raise ApiError(f"This value must be {bound}.", code="parameter_invalid_integer", param="limit")
    if "ending_before" in params and "starting_after" in params:
        raise ApiError("You cannot parameterize by both starting_after and ending_before.", param="starting_after")
    return limit


def created_range(order: list[Position], created: int | dict[str, int] | None) -> range:
    """Return the indexes of `order` that a `created` filter leaves."""
    if created is None:
        return range(len(order))
    if isinstance(created, int):
        created = {"gte": created, "lte": created}
    first = max(created.get("gte", 0), created.get("gt", -1) + 1)
    bounds = [created["lt"]] if "lt" in created else []
    bounds += [created["lte"] + 1] if "lte" in created else []
    low = bisect_left(order, (first,))
    return range(low, bisect_left(order, (min(bounds),)) if bounds else len(order))


# Search.

INDEXED_AFTER_SECONDS = 60

_CLAUSE = r"metadata\['((?:[^'\\]|\\.)+)'\]:'((?:[^'\\]|\\.)*)'"

_QUERY = re.compile(rf"{_CLAUSE}(?:\s+AND\s+{_CLAUSE})*")


def search(call: Call, collection: StoredObjects, url: str) -> StripeObject:
    """Return a page of the objects that fit all clauses `metadata['key']:'value'`, joined by AND; newest first."""
    query, limit = call.params["query"], _limit(call.params)
    if not _QUERY.fullmatch(query):
        raise ApiError("We were unable to parse your search query. The simulator knows metadata['key']:'value' only.")
    wanted = [(_plain(key), _plain(value).lower()) for key, value in re.findall(_CLAUSE, query)]
    newest = [collection.get(one) for _, _, one in reversed(collection.positions())]
    found = [
        one
        for one in newest
        if one["created"] <= call.now - INDEXED_AFTER_SECONDS
        and all(one["metadata"].get(key, "").lower() == value for key, value in wanted)
    ]
    first = _first_of_page(call.params.get("page"), found)
    rest = found[first + limit :]
    page = {"object": "search_result", "data": found[first : first + limit], "has_more": bool(rest), "url": url}
    page["next_page"] = _page_token(rest[0]["id"]) if rest else None
    return page | ({"total_count": len(found)} if "total_count" in call.params.get("expand", ()) else {})


def _page_token(object_id: str) -> str:
    return base64.urlsafe_b64encode(object_id.encode()).decode()


def _first_of_page(page: str | None, found: list[StripeObject]) -> int:
    if page is None:
        return 0
    for place, one in enumerate(found):
        if _page_token(one["id"]) == page:
            return place
    raise ApiError("Invalid page token. Pass the `next_page` of a previous response to the same search.", param="page")


def _plain(quoted: str) -> str:
    return re.sub(r"\\(.)", r"\1", quoted)


# Expansion.

_DEEPEST = 4

# Portal configurations only carry it when it is asked for.
_PORTAL = frozenset(
    {"billing_portal.configuration", "billing_portal.session", "/v1/billing_portal/configurations"},
)

_PRODUCTS = ["features", "subscription_update", "products"]


def expand(answer: StripeObject, paths: Collection[str], store: Store) -> StripeObject:
    """Return a response with every path expanded, and without the fields that are only shown when expanded."""
    if not paths and not _PORTAL.intersection((answer.get("object"), answer.get("url"))):
        return with_first_items(answer)
    result = copy.deepcopy(answer)
    for path in paths:
        parts = path.split(".")
        if len(parts) > _DEEPEST:
            raise ApiError(f"You cannot expand more than {_DEEPEST} levels of a property: {path}.", param="expand")
        _expand(result, parts, store)
    _leave_out(result, [path.split(".") for path in paths])
    return with_first_items(result)


MOST_EMBEDDED = 10


def with_first_items(answer: StripeObject) -> StripeObject:
    """Return an object in which every subscription embeds ten items only; `/v1/subscription_items` has all."""
    result: StripeObject = _with_first_items(answer)
    return result


def _with_first_items(node: Any) -> Any:
    if isinstance(node, list):
        return [_with_first_items(one) for one in node]
    if not isinstance(node, dict) or "object" not in node:
        return node
    if node["object"] != "subscription":
        return {name: _with_first_items(value) for name, value in node.items()}
    items = node["items"]
    if len(items["data"]) <= MOST_EMBEDDED:
        return node
    return {**node, "items": {**items, "data": items["data"][:MOST_EMBEDDED], "has_more": True}}


def embedded_page(objects: list[StripeObject], params: dict[str, Any], url: str, noun: str) -> StripeObject:
    """Return one page of objects that live inside another, in the order in which that has them."""
    limit, low, high = _limit(params), 0, len(objects)
    places = {one["id"]: place for place, one in enumerate(objects)}
    for name in ("starting_after", "ending_before"):
        if name in params and params[name] not in places:
            raise no_such(noun, params[name], name)
    if "starting_after" in params:
        low = places[params["starting_after"]] + 1
    if "ending_before" in params:
        high = places[params["ending_before"]]
        low = max(low, high - limit)
        return {"object": "list", "data": objects[low:high], "has_more": low > 0, "url": url}
    data = objects[low : low + limit]
    return {"object": "list", "data": data, "has_more": low + limit < high, "url": url}


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


def _expand(node: Any, parts: list[str], store: Store) -> None:
    if isinstance(node, list):
        for item in node:
            _expand(item, parts, store)
        return
    if not isinstance(node, dict) or not parts:
        return
    name, *rest = parts
    if name in _ON_DEMAND.get(str(node.get("object")), ()):
        node |= _on_demand(node, name, store)
    elif name not in node and not node.get("deleted"):
        raise ApiError(
            f"This property cannot be expanded ({name}).", code="property_cannot_be_expanded", param="expand"
        )
    if isinstance(node.get(name), str):
        node[name] = _named(node[name], store, name)
    elif isinstance(node.get(name), list):
        node[name] = [_named(one, store, name) if isinstance(one, str) else one for one in node[name]]
    _expand(node.get(name), rest, store)


# The fields that an object only has when they are expanded, if at all.
_ON_DEMAND = {
    "checkout.session": {"line_items"},
    "coupon": {"applies_to", "currency_options"},
    "customer": {"cash_balance", "invoice_credit_balance", "sources", "subscriptions", "tax", "tax_ids"},
    "plan": {"tiers"},
    "price": {"currency_options", "tiers"},
    "search_result": {"total_count"},
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


def _named(object_id: str, store: Store, field: str) -> Any:
    # The id of a coupon has no prefix, and may be any word.
    collection = store.coupons if field == "coupon" else store.collection_of(object_id)
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
