"""Which operations Stripe has, so that the simulator can say of one that it does not have it.

`operations.txt` has the operations of Stripe's OpenAPI document, a path and its methods a line, and newer ones.
"""

import re
from functools import cache
from pathlib import Path

_FILE = Path(__file__).with_name("operations.txt")


@cache
def operations() -> frozenset[str]:
    """Return all operations, such as `GET /v1/charges/{id}`."""
    lines = [line.split() for line in _FILE.read_text().splitlines()]
    return frozenset(f"{method} {path}" for path, *methods in lines for method in methods)


@cache
def _patterns() -> list[re.Pattern[str]]:
    return [re.compile(re.escape(one).replace(r"\{id\}", "[^/]+")) for one in sorted(operations())]


def exists(method: str, path: str) -> bool:
    """Whether Stripe has the operation of a request."""
    return any(pattern.fullmatch(f"{method} {path}") for pattern in _patterns())
