"""Stripe's search, as far as metadata goes: case does not count, and what is new is not found for a minute.

Source: docs.stripe.com/search.
"""

import re

from local.stripe_simulator.errors import ApiError
from local.stripe_simulator.simulator import Call
from local.stripe_simulator.store import Collection, StripeObject

INDEXED_AFTER_SECONDS = 60

_CLAUSE = r"metadata\['((?:[^'\\]|\\.)+)'\]:'((?:[^'\\]|\\.)*)'"
_QUERY = re.compile(rf"{_CLAUSE}(?:\s+AND\s+{_CLAUSE})*")


def search(call: Call, collection: Collection, url: str) -> StripeObject:
    """Every object that all clauses `metadata['key']:'value'`, joined by AND, fit; newest first, on one page."""
    query = call.params["query"]
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
    limit = int(call.params.get("limit", 10))
    return {"object": "search_result", "data": found[:limit], "has_more": len(found) > limit, "url": url}


def _plain(quoted: str) -> str:
    return re.sub(r"\\(.)", r"\1", quoted)
