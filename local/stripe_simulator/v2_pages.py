"""Pages of lists in API v2, which name the addresses of their neighbors (docs.stripe.com/api-v2-overview)."""

import base64
from typing import Any
from urllib.parse import urlencode

from local.stripe_simulator.errors import ApiError
from local.stripe_simulator.store import StripeObject

_DEFAULT, _MOST = 20, 100


def page_of(found: list[StripeObject], params: dict[str, Any], path: str) -> StripeObject:
    """Return one page of objects that have an `id`; how long a page is by default is not documented: here 20."""
    limit = params.get("limit", _DEFAULT)
    if not 1 <= limit <= _MOST:
        raise ApiError(f"The limit must be between 1 and {_MOST}.", code="invalid_limit", param="limit")
    first = _first(found, params.get("page"))
    data = found[first : first + limit]
    return {
        "data": data,
        "next_page_url": _address(found, first + limit, params, path) if found[first + limit :] else None,
        "previous_page_url": _address(found, max(first - limit, 0), params, path) if first else None,
    }


def _first(found: list[StripeObject], page: str | None) -> int:
    if page is None:
        return 0
    for place, one in enumerate(found):
        if _token(one) == page:
            return place
    raise ApiError("Invalid page token.", code="invalid_page_token", param="page")


def _token(one: StripeObject) -> str:
    return base64.urlsafe_b64encode(one["id"].encode()).decode()


def _address(found: list[StripeObject], place: int, params: dict[str, Any], path: str) -> str:
    pairs = [*_pairs({name: value for name, value in params.items() if name != "page"}), ("page", _token(found[place]))]
    return f"{path}?{urlencode(pairs)}"


def _pairs(params: dict[str, Any]) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for name, value in params.items():
        if isinstance(value, list):
            pairs += [(f"{name}[{place}]", str(one)) for place, one in enumerate(value)]
        elif isinstance(value, dict):
            pairs += [(f"{name}[{inner}]", str(one)) for inner, one in value.items()]
        else:
            pairs.append((name, str(value)))
    return pairs
