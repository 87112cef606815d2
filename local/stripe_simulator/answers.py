"""Lists, in the form in which Stripe returns them."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from local.stripe_simulator.errors import ApiError, no_such
from local.stripe_simulator.store import Position, StoredObjects, StripeObject

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
    limit = limit_of(params)
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


def limit_of(params: dict[str, Any]) -> int:
    """Return how many objects a page has at most; raises Stripe's error for a strange number or two cursors."""
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


def in_range(moment: int | None, given: int | dict[str, int]) -> bool:
    """Whether a time fits a filter such as `canceled_at[gte]`; one that has not come fits none."""
    if moment is None:
        return False
    if isinstance(given, int):
        return moment == given
    tests = {"gt": moment.__gt__, "gte": moment.__ge__, "lt": moment.__lt__, "lte": moment.__le__}
    return all(tests[name](bound) for name, bound in given.items())


def embedded_page(objects: list[StripeObject], params: dict[str, Any], url: str, noun: str) -> StripeObject:
    """Return one page of objects that live inside another, in the order in which that has them."""
    limit, low, high = limit_of(params), 0, len(objects)
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
