"""Search: Stripe's query language, over the fields that Stripe documents for each kind of object.

Source: docs.stripe.com/search. The message for an operator that a field does not have is the simulator's own.
"""

import base64
import binascii
import re
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any

from local.stripe_simulator.answers import limit_of
from local.stripe_simulator.errors import ApiError
from local.stripe_simulator.simulator import Call
from local.stripe_simulator.store import Position, StoredObjects, StripeObject

INDEXED_AFTER_SECONDS = 60
_MOST_CLAUSES = 10
_LEAST_SUBSTRING = 3

# What a query can ask of a field: a token is compared as a whole, a string by its words or (`~`) by a part of it.
_OPERATORS = {"token": {":"}, "string": {":", "~"}, "numeric": {":", "<", ">", "<=", ">="}}
_METADATA = {"metadata": "token"}
FIELDS = {
    "customers": _METADATA | {"created": "numeric", "email": "string", "name": "string", "phone": "string"},
    "prices": _METADATA
    | {"active": "token", "currency": "token", "lookup_key": "string", "product": "string", "type": "token"},
    "products": _METADATA
    | {"active": "token", "description": "string", "name": "string", "shippable": "token", "url": "string"},
    "subscriptions": _METADATA | {"canceled_at": "numeric", "created": "numeric", "status": "token"},
}

_QUOTED = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_CLAUSE = re.compile(
    rf"""(?P<negated>-?)(?P<field>[a-z_.]+)(?:\[(?P<key>{_QUOTED})\])?(?P<operator><=|>=|[:~<>])"""
    rf"""(?P<value>{_QUOTED}|[^\s'"]+)(?=\s|$)"""
)
_JOINT = re.compile(r"\s+(?:(and|or)\s+)?", re.IGNORECASE)


@dataclass(frozen=True)
class Clause:
    """One condition, such as `-status:"active"`; the value null asks for an absent field."""

    field: str
    key: str | None
    operator: str
    value: str | None
    is_negated: bool

    def matches(self, candidate: StripeObject, kind: str) -> bool:
        """Whether an object fits, by a field of that kind."""
        actual = candidate.get(self.field)
        if self.key is not None:
            actual = (actual or {}).get(self.key)
        return self._fits(actual, kind) != self.is_negated

    def _fits(self, actual: Any, kind: str) -> bool:
        if actual is None or self.value is None:
            return actual is None and self.value is None
        if kind == "numeric":
            return _COMPARE[self.operator](int(actual), int(self.value))
        text, wanted = str(actual).lower(), self.value.lower()
        if self.operator == "~":
            return wanted in text
        return text == wanted or (kind == "string" and f" {' '.join(wanted.split())} " in f" {' '.join(text.split())} ")


_COMPARE: dict[str, Callable[[int, int], bool]] = {
    ":": lambda actual, wanted: actual == wanted,
    "<": lambda actual, wanted: actual < wanted,
    ">": lambda actual, wanted: actual > wanted,
    "<=": lambda actual, wanted: actual <= wanted,
    ">=": lambda actual, wanted: actual >= wanted,
}


@dataclass(frozen=True)
class Query:
    """Clauses that an object has to match, all of them or any."""

    clauses: list[Clause]
    any_of: bool
    kinds: dict[str, str]

    def matches(self, candidate: StripeObject) -> bool:
        """Whether an object is found."""
        results = (clause.matches(candidate, self.kinds[clause.field]) for clause in self.clauses)
        return any(results) if self.any_of else all(results)


def parse(text: str, resource: str) -> Query:
    """Read a query over the fields of `resource`, such as `customers`; raises Stripe's errors."""
    clauses: list[Clause] = []
    joints: set[str] = set()
    text, place = text.strip(), 0
    while clause := _CLAUSE.match(text, place):
        clauses.append(_checked(clause, resource))
        place = clause.end()
        joint = _JOINT.match(text, place)
        if joint is None:
            break
        joints.add((joint[1] or "and").lower())
        place = joint.end()
    if place < len(text) or not clauses or len(joints) > 1:
        raise _unreadable()
    if len(clauses) > _MOST_CLAUSES:
        raise ApiError(f"A search query can have up to {_MOST_CLAUSES} clauses.")
    return Query(clauses, joints == {"or"}, FIELDS[resource])


def _unreadable() -> ApiError:
    return ApiError(
        'We were unable to parse your search query. Try using the format `metadata["key"]:"value"` to query for '
        'metadata or key:"value" to query for other fields.'
    )


def _checked(found: re.Match[str], resource: str) -> Clause:
    name, value, operator = found["field"], found["value"], found["operator"]
    kind = FIELDS[resource].get(name)
    if kind is None:
        raise ApiError(
            f"Field `{name}` is an unsupported search field for resource `{resource}`. "
            f"See http://stripe.com/docs/search#query-fields-for-{resource} for a list of supported fields."
        )
    is_quoted = value[0] in "'\""
    is_null = not is_quoted and value.lower() == "null"
    plain = _plain(value) if is_quoted else value
    is_number = re.fullmatch(r"-?[0-9]{1,19}", plain) is not None
    if (found["key"] is None) == (name == "metadata") or not (is_quoted or is_null or is_number):
        raise _unreadable()
    if operator not in _OPERATORS[kind] or (is_null and operator != ":"):
        raise ApiError(f"The operator `{operator}` is not supported for the search field `{name}`.")
    if kind == "numeric" and not (is_number or is_null):
        raise ApiError(f"The search field `{name}` needs a number, not `{plain}`.")
    if operator == "~" and len(plain) < _LEAST_SUBSTRING:
        raise ApiError(f"A substring to search for has at least {_LEAST_SUBSTRING} characters, not `{plain}`.")
    key = None if found["key"] is None else _plain(found["key"])
    return Clause(name, key, operator, None if is_null else plain, found["negated"] == "-")


def _plain(quoted: str) -> str:
    return re.sub(r"\\(.)", r"\1", quoted[1:-1])


def search(call: Call, collection: StoredObjects, resource: str) -> StripeObject:
    """Return a page of what a query finds, newest first; nothing newer than a minute, nothing of a test clock."""
    query, limit = parse(call.params["query"], resource), limit_of(call.params)
    order = collection.positions()
    order = order[: bisect_right(order, (call.simulator.clock.now() - INDEXED_AFTER_SECONDS + 1,))]

    def found(position: Position) -> bool:
        candidate = collection.get(position[2])
        return not candidate.get("test_clock") and query.matches(candidate)

    first = len(order)
    if "page" in call.params:
        first = bisect_right(order, _position(call.params["page"]))
    page = list(islice((one for one in reversed(order[:first]) if found(one)), limit + 1))
    rest = page[limit:]
    total = {"total_count": sum(map(found, order))} if "total_count" in call.params.get("expand", ()) else {}
    return {
        "object": "search_result",
        "data": [collection.get(name) for _, _, name in page[:limit]],
        "has_more": bool(rest),
        "next_page": _page_token(rest[0]) if rest else None,
        "url": f"/v1/{resource}/search",
        **total,
    }


def _page_token(position: Position) -> str:
    """Return the token of the page that begins at a position, whether or not its object is still found then."""
    created, arrival, name = position
    return base64.urlsafe_b64encode(f"{created} {arrival} {name}".encode()).decode()


def _position(page: str) -> Position:
    try:
        created, arrival, name = base64.urlsafe_b64decode(page).decode().split(" ")
        return int(created), int(arrival), name
    except (binascii.Error, ValueError) as error:
        message = "Invalid page token. Pass the `next_page` of a previous response to the same search."
        raise ApiError(message, param="page") from error
