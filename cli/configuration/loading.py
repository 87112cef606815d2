"""Turns a portal.yaml into its model, or into problems that say what to write instead."""

import difflib
import types
import typing
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from cli.configuration.document import Document, read_document
from cli.configuration.model import Portal
from cli.configuration.problems import Path, Problem

_BEGIN = "Begin with `configurations:` and a name under it; docs/portal.example.yaml shows one."
_TYPES = {
    "bool_type": ("has to be true or false", "Write true or false, without quotes."),
    "string_type": ("has to be text", "Put it in quotes."),
    "int_type": ("has to be a whole number", "Write a whole number, without quotes."),
    "tuple_type": ("has to be a list", "Write one item a line, each after a dash."),
    "dict_type": ("has to be a mapping", "Write `key: value` lines under it, or take the line out."),
    "model_type": ("has to be a mapping", "Write `key: value` lines under it, or take the line out."),
}


# The length of the path of an entry's own name.
_AN_ENTRY = 2


@dataclass(frozen=True, slots=True)
class Loaded:
    """A file: its model unless it has none, and the problems of reading it."""

    document: Document
    portal: Portal | None
    problems: tuple[Problem, ...]


def load(path: FilePath) -> Loaded:
    """Read a file. Raises `InvalidRequest` only when it cannot be read at all."""
    document = read_document(path)
    if document.problems:
        return Loaded(document, None, document.problems)
    if not isinstance(document.data, dict):
        what = "The file is empty." if document.data is None else "The file is not a mapping."
        return Loaded(document, None, (Problem("no_configurations", (), what, _BEGIN, line=1),))
    # `x-...` is where anchors can live.
    data = {name: value for name, value in document.data.items() if not name.startswith("x-")}
    try:
        return Loaded(document, Portal.model_validate(data), ())
    except ValidationError as error:
        return Loaded(
            document,
            None,
            tuple(
                sorted(
                    (_problem(document, each) for each in error.errors(include_url=False)), key=lambda each: each.line
                )
            ),
        )


def _problem(document: Document, error: ErrorDetails) -> Problem:
    path = _written(error["loc"], document.data)
    code, message, mend = _words(error, path)
    return Problem(code, path, message, mend, line=document.line(path))


def _written(loc: Path, data: Any) -> Path:
    """Answer as much of pydantic's path as the file has, and the missing key after it; the rest is pydantic's own."""
    path: Path = ()
    for part in loc:
        if part == "[key]":
            break
        path = (*path, part)
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            break
    return path


def _words(error: ErrorDetails, path: Path) -> tuple[str, str, str]:
    """Answer the code, the message and the mend."""
    kind, given, last = error["type"], error["input"], str(path[-1]) if path else ""
    if kind == "string_pattern_mismatch":
        last = last if last in _MENDS else "word" if len(path) == _AN_ENTRY else "group" if "groups" in path else "key"
    found: dict[str, tuple[str, str]] = {
        "extra_forbidden": (f"There is no {last!r} here.", _suggestion(last, _keys_at(path[:-1]))),
        "missing": (f"{last!r} is missing.", f"Write `{last}:` here."),
        "literal_error": (f"{given!r} is not one of its words.", _suggestion(str(given), _expected(error))),
        "too_short": ("This is empty.", _MENDS.get(last, "List at least one, or take the line out.")),
        "string_pattern_mismatch": (f"{given!r} is not of the right form.", _MENDS.get(last, "")),
        "bad_url": ("This is not the address of a page.", "Write the whole address: https://www.example.com/terms"),
        "reserved_key": (f"{error['msg']}.", "Take it out."),
    }
    code = _CODES.get(kind, kind)
    if kind in _TYPES:
        what, mend = _TYPES[kind]
        return "wrong_type", f"This {'is empty' if given is None else what}.", mend
    return (code, *found[kind]) if kind in found else ("bad_value", f"{error['msg']}.", "See docs/configuration.md.")


_CODES = {
    "extra_forbidden": "unknown_key",
    "missing": "missing_key",
    "literal_error": "unknown_word",
    "too_short": "empty_list",
    "string_pattern_mismatch": "bad_form",
}


def _expected(error: ErrorDetails) -> list[str]:
    words: str = error.get("ctx", {}).get("expected", "")
    return words.replace("'", "").replace(" or ", ", ").split(", ")


_MENDS = {
    "id": "An id of a portal configuration looks like bpc_123.",
    "prices": "List the prices that customers can change to, or take the product out.",
    "configurations": _BEGIN,
    "group": "Groups have at most 100 characters, no quotation marks and no backslashes.",
    "word": "Names are letters, digits, - and _, at most 40 of them.",
    "key": "Keys of metadata have at most 40 characters and no square brackets; ids have no spaces.",
    "currency": "Write three small letters, such as eur.",
    "api_version": "Write a version with its name, such as 2026-10-28.endive; only those before 2024-09-30 have none.",
}


def _suggestion(word: str, known: list[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.55)
    return f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(known)}."


def _keys_at(path: Path) -> list[str]:
    """Answer the keys that the file may have at a path."""
    shape: Any = Portal
    for part in path:
        shape = _inner(shape, part)
    return list(shape.model_fields) if isinstance(shape, type) and issubclass(shape, BaseModel) else []


def _inner(shape: Any, part: str | int) -> Any:
    """Answer the type of a key or an item, without what annotations wrap around it."""
    if isinstance(shape, type) and issubclass(shape, BaseModel):
        return _bare(shape.model_fields[str(part)].annotation)
    return _bare(typing.get_args(shape)[0 if isinstance(part, int) else -1])


def _bare(shape: Any) -> Any:
    while typing.get_origin(shape) in {typing.Annotated, typing.Union, types.UnionType}:
        shape = typing.get_args(shape)[0]
    return shape
