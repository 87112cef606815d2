"""Stripe's list answers: newest first, cursors, `created` ranges, `has_more`."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from local.stripe_simulator.errors import ApiError
from local.stripe_simulator.store import Collection, Position, StripeObject

_MOST = 100


def _everything(_: StripeObject) -> bool:
    return True


def page(
    collection: Collection,
    params: dict[str, Any],
    url: str,
    keep: Callable[[StripeObject], bool] = _everything,
    customer: str | None = None,
) -> StripeObject:
    """One page of a collection, of those objects that `keep` accepts."""
    limit = _limit(params)
    order = collection.positions(customer)
    low, high = created_bounds(order, params.get("created"))
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
    collection: Collection, order: list[Position], wanted: range, keep: Callable[[StripeObject], bool]
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


def created_bounds(order: list[Position], created: int | dict[str, int] | None) -> tuple[int, int]:
    """The half-open slice of `order` that a `created` filter leaves."""
    if created is None:
        return 0, len(order)
    if isinstance(created, int):
        created = {"gte": created, "lte": created}
    first = max(created.get("gte", 0), created.get("gt", -1) + 1)
    bounds = [created["lt"]] if "lt" in created else []
    bounds += [created["lte"] + 1] if "lte" in created else []
    low = bisect_left(order, (first,))
    return low, bisect_left(order, (min(bounds),)) if bounds else len(order)
