"""Stripe's bracket form, `items[0][price]=price_1`, read into a tree of dicts whose leaves are strings."""

import re
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

Tree = dict[str, Any]

_PART = re.compile(r"[^\[\]]+|\[\]")


def decode(pairs: Iterable[tuple[str, str]]) -> Tree:
    """Build the tree; list positions are keys too, and `[]` takes the next free one."""
    tree: Tree = {}
    for name, value in pairs:
        parts = _PART.findall(name)
        node = tree
        for part, following in pairwise(parts):
            key = _position(node, following) if part == "[]" else part
            child = node.setdefault(key, {})
            if not isinstance(child, dict):
                child = node[key] = {}
            node = child
        if parts:
            node[str(len(node)) if parts[-1] == "[]" else parts[-1]] = value
    return tree


def _position(node: Tree, following: str) -> str:
    """In `items[][price]` a repeated field begins the next element."""
    last = node.get(str(len(node) - 1))
    return str(len(node) if last is None or following in last else len(node) - 1)


def from_json(value: Any) -> Any:
    """The same tree from JSON, for the admin endpoints."""
    if isinstance(value, dict):
        return {str(key): from_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return {str(position): from_json(item) for position, item in enumerate(value)}
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
