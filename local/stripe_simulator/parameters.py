"""Request parameters: decoded, checked against the official library's types and taken over into objects."""

import re
import types
import typing
from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import cache
from itertools import pairwise
from typing import Any, NotRequired

from stripe._request_options import RequestOptions
from typing_extensions import is_typeddict

from local.stripe_simulator.errors import ApiError, missing, unknown
from local.stripe_simulator.limits import check_metadata
from local.stripe_simulator.store import StripeObject

Tree = dict[str, Any]

_PART = re.compile(r"[^\[\]]+|\[\]")


def decode(pairs: Iterable[tuple[str, str]]) -> Tree:
    """Build a tree of form fields such as `items[0][price]`; list positions are keys, `[]` takes the next free one."""
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
    """Return the position that `[]` means: in `items[][price]` a repeated field begins the next element."""
    last = node.get(str(len(node) - 1))
    return str(len(node) if last is None or following in last else len(node) - 1)


def from_json(value: Any) -> Any:
    """Build the same tree from JSON, for the admin endpoints."""
    if isinstance(value, dict):
        return {str(key): from_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return {str(position): from_json(item) for position, item in enumerate(value)}
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


# Types: the library's `...Params` classes say which parameters there are, and of what type.

_TRUTH = {"true": True, "false": False}
_SCALARS = {bool: "boolean", int: "integer", float: "decimal", Decimal: "decimal"}
# Longer ones are no integer of Stripe's, and Python refuses to read the longest.
_INTEGER = re.compile(r"-?[0-9]{1,400}")
_NUMBER = re.compile(r"-?[0-9]{1,400}(\.[0-9]{1,400})?")


def check(tree: Tree, shape: type, path: str = "") -> dict[str, Any]:
    """Return typed parameters; raises Stripe's error for unknown, missing and unreadable ones."""
    fields = _fields(shape)
    for name in tree:
        if name not in fields:
            raise unknown(_inner(path, name))
    for name, hint in fields.items():
        if name not in tree and typing.get_origin(hint) is not NotRequired:
            raise missing(_inner(path, name))
    return {name: _convert(value, fields[name], _inner(path, name)) for name, value in tree.items()}


@cache
def _fields(shape: type) -> dict[str, Any]:
    """Return names and types of the fields of a `...Params` class, without the library's request options."""
    names = {"StripeContext": str, "Mapping": Mapping}
    hints = typing.get_type_hints(shape, localns=names, include_extras=True)
    return {name: hint for name, hint in hints.items() if name not in RequestOptions.__annotations__}


def _inner(path: str, name: str) -> str:
    return f"{path}[{name}]" if path else name


def _convert(value: Any, hint: Any, path: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is NotRequired:
        return _convert(value, arguments[0], path)
    if origin in {typing.Union, types.UnionType}:
        return _choose(value, arguments, path)
    if origin is typing.Literal:
        return _one_of(value, arguments, path)
    if isinstance(value, dict):
        return _convert_hash(value, hint, path)
    if value == "" and (origin in {list, dict} or is_typeddict(hint)):
        raise ApiError(f"Invalid {'array' if origin is list else 'object'}", param=path)
    return _scalar(value, hint, path)


def _convert_hash(value: Tree, hint: Any, path: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if is_typeddict(hint):
        return check(value, hint, path)
    if origin is list:
        ordered = sorted(value.items(), key=lambda pair: int(pair[0]) if pair[0].isdigit() else 0)
        return [_convert(item, arguments[0], _inner(path, position)) for position, item in ordered]
    if origin is dict:
        return {key: _convert(item, arguments[1], _inner(path, key)) for key, item in value.items()}
    raise ApiError(f"Invalid string: {value}", param=path)


def _choose(value: Any, members: tuple[Any, ...], path: str) -> Any:
    """Convert to the member of a union that fits; literals beside `str` are the only values that Stripe accepts."""
    literals = [word for member in members if _is_literal(member) for word in typing.get_args(member)]
    others = [member for member in members if not _is_literal(member)]
    if isinstance(value, dict):
        nested = [member for member in others if typing.get_origin(member) in {list, dict} or is_typeddict(member)]
        return _convert(value, (nested or others)[0], path)
    words = [word for word in literals if word]
    if value in literals:
        return value
    if int in others and _INTEGER.fullmatch(value):
        return int(value)
    if words and (str in others or not others):
        return _one_of(value, tuple(words), path)
    return _convert(value, others[0] if len(others) == 1 else _plain(others), path)


def literals_of(shape: type, name: str) -> list[Any]:
    """Return the values that a field of a `...Params` class may have."""
    return _literals(_fields(shape)[name])


def _literals(hint: Any) -> list[Any]:
    """Return the literals of a type, or of the members of its union."""
    arguments = typing.get_args(hint)
    return list(arguments) if _is_literal(hint) else [word for member in arguments for word in _literals(member)]


def _is_literal(member: Any) -> bool:
    return typing.get_origin(member) is typing.Literal


def _plain(members: list[Any]) -> Any:
    """Return the scalar of a union such as `int | Range`."""
    return next((member for member in members if member in {int, bool, float, str, Decimal}), members[0])


def _one_of(value: Any, words: tuple[Any, ...], path: str) -> Any:
    if value in words:
        return value
    *head, last = [str(word) for word in words]
    choices = f"{', '.join(head)}{',' if len(head) > 1 else ''} or {last}" if head else last
    raise ApiError(f"Invalid {path}: must be one of {choices}", param=path)


def _scalar(value: str, hint: Any, path: str) -> Any:
    if hint is bool and value in _TRUTH:
        return _TRUTH[value]
    if hint is int and _INTEGER.fullmatch(value):
        return int(value)
    if hint is float and _NUMBER.fullmatch(value):
        return float(value)
    if hint is Decimal and _NUMBER.fullmatch(value):
        return value
    if hint in _SCALARS:
        code = "parameter_invalid_integer" if hint is int else None
        raise ApiError(f"Invalid {_SCALARS[hint]}: {value}", code=code, param=path)
    if hint is not str and (typing.get_origin(hint) in {list, dict} or is_typeddict(hint)):
        raise ApiError(f"Invalid {'array' if typing.get_origin(hint) is list else 'object'}", param=path)
    return value


# Objects.


def merged(old: dict[str, str], given: dict[str, str] | str | None) -> dict[str, str]:
    """Return metadata after a request: an empty value removes its key, an empty string in place of all removes all."""
    if given == "":
        return {}
    if not isinstance(given, dict):
        return old
    result = {key: value for key, value in {**old, **given}.items() if value != ""}
    check_metadata(result)
    return result


_ADDRESS = ("city", "country", "line1", "line2", "postal_code", "state")


def full_address(given: dict[str, Any] | str | None) -> StripeObject | None:
    """Return an address with all of its fields, null where they were not given."""
    return {**dict.fromkeys(_ADDRESS), **given} if isinstance(given, dict) and given else None


def apply_fields(target: StripeObject, params: dict[str, Any], names: tuple[str, ...]) -> None:
    """Set the named fields to their parameters; the empty string becomes null."""
    # Metadata first, because they may be refused, and a refused request changes nothing.
    if "metadata" in params:
        target["metadata"] = merged(target["metadata"], params["metadata"])
    for name in names:
        if name in params:
            target[name] = None if params[name] == "" else params[name]
