"""Finds the route of a request as API Gateway does: the most specific path, then the method before ANY."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from local.intrinsics import TemplateError
from local.template import Route

_PARAMETER = re.compile(r"\{(\w+)(\+?)\}")


@dataclass(frozen=True, slots=True)
class _Entry:
    route: Route
    method: str
    path: re.Pattern[str]
    # Fewer greedy and fewer plain parameters first.
    rank: tuple[int, int, bool]


class RouteTable:
    """The routes of one HTTP API."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._entries = sorted(map(_entry, routes), key=lambda entry: entry.rank)

    def has_path(self, path: str) -> bool:
        """Whether the API owns a path, for whatever method."""
        return any(entry.path.fullmatch(path) for entry in self._entries)

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """Answer the route and its path parameters; HEAD is a method like any other."""
        for entry in self._entries:
            if entry.method in {method, "ANY"} and (match := entry.path.fullmatch(path)):
                return entry.route, match.groupdict()
        return None


def _entry(route: Route) -> _Entry:
    if route.key == "$default":
        return _Entry(route, "ANY", re.compile(".*", re.DOTALL), (2, 0, True))
    method, _, path = route.key.partition(" ")
    if not path.startswith("/"):
        raise TemplateError(f"Not a route key: {route.key}")
    greedy = [match[2] == "+" for match in _PARAMETER.finditer(path)]
    pattern, end = "", 0
    for match in _PARAMETER.finditer(path):
        pattern += re.escape(path[end : match.start()])
        pattern += f"(?P<{match[1]}>{'.+' if match[2] else '[^/]+'})"
        end = match.end()
    rank = (sum(greedy), len(greedy), method == "ANY")
    return _Entry(route, method, re.compile(pattern + re.escape(path[end:])), rank)
