"""Reads a portal.yaml: plain YAML with the line of every value, then the model, with the problems of both."""

import difflib
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from yaml.constructor import SafeConstructor

from cli.configuration.model import MARK, MOST_METADATA, Portal
from shared.errors import InvalidRequest, Sentence, sentence
from shared.portal.rules import Path, Severity

LARGEST_BYTES = 512 * 1024
# A few anchors that refer to each other can expand to billions of values.
MOST_VALUES = 50_000

_TAG = "tag:yaml.org,2002:"
_COLLECTIONS = frozenset({f"{_TAG}map", f"{_TAG}seq"})
_SCALARS = SafeConstructor()


@dataclass(frozen=True, slots=True)
class FileProblem:
    """One thing that is wrong with a file, and the line where it is; `code` is stable for programs."""

    code: str
    severity: Severity
    path: Path
    message: Sentence
    fix: Sentence
    line: int

    @property
    def entry(self) -> str | None:
        """The name of the configuration that it is about, if it is about one."""
        return str(self.path[1]) if len(self.path) > 1 and self.path[0] == "configurations" else None


def dotted(path: Path) -> str:
    """Write a path as people read it: `configurations.team.groups[0]`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.lstrip(".")


@dataclass(frozen=True, slots=True)
class Document:
    """The contents of a file, the line of each path, and what is wrong with it as YAML."""

    data: Any
    lines: Mapping[Path, int] = field(default_factory=dict)
    problems: tuple[FileProblem, ...] = ()

    def line(self, path: Path) -> int:
        """Return the line of a path, or of the nearest thing around it that the file has."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read_document(path: FilePath) -> Document:
    """Read a file. Raises `InvalidRequest` only if it cannot be read; errors in its contents become `problems`."""
    try:
        text = _text(path)
    except OSError as error:
        named = {"path": path, "why": error.strerror}
        message = (
            sentence("Cannot read {path}: {why}. `portal import` writes one", **named)
            if isinstance(error, FileNotFoundError)
            else sentence("Cannot read {path}: {why}", **named)
        )
        raise InvalidRequest("unreadable_file", message) from error
    reading = _Reading()
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        data = None if node is None else reading.value(node, (), ())
    except yaml.YAMLError as error:
        return Document(None, problems=(_not_yaml(error),))
    except (RecursionError, _TooMuchError):
        return Document(None, problems=(_problem("too_much", 1, *_TOO_MUCH),))
    return Document(data, reading.lines, tuple(reading.problems))


_TOO_MUCH = (
    sentence("This is nested too deeply, or expands to more than {most} values.", most=f"{MOST_VALUES:,}"),
    sentence("Use fewer anchors, or less nesting."),
)


def _text(path: FilePath) -> str:
    with path.open("rb") as file:
        raw = file.read(LARGEST_BYTES + 1)
    if len(raw) > LARGEST_BYTES:
        raise InvalidRequest(
            "file_too_large",
            sentence(
                "{path} is larger than {most} KB: is it the right file?",
                path=path,
                most=LARGEST_BYTES // 1024,
            ),
        )
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRequest(
            "unreadable_file",
            sentence("{path} is not UTF-8 text (byte {start}): save it as UTF-8", path=path, start=error.start),
        ) from error


def _problem(code: str, line: int, message: Sentence, fix: Sentence, path: Path = ()) -> FileProblem:
    return FileProblem(code, Severity.ERROR, path, message, fix, line)


def _not_yaml(error: yaml.YAMLError) -> FileProblem:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    what = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    tabs = sentence("Indent with spaces, never with tabs.")
    fix = tabs if "'\\t'" in what else sentence("Check this line and the one before it.")
    return _problem("not_yaml", mark.line + 1 if mark else 1, sentence("This is not YAML: {what}.", what=what), fix)


class _TooMuchError(Exception):
    """Raised when a document has too many values, or contains itself."""


class _Reading:
    """Turns YAML's nodes into plain values, keeping lines and problems."""

    def __init__(self) -> None:
        self.lines: dict[Path, int] = {}
        self.problems: list[FileProblem] = []
        self._values = 0

    def value(self, node: yaml.Node, path: Path, above: tuple[int, ...]) -> Any:
        """Return a node's value; `above` are the nodes around it."""
        self._values += 1
        if self._values > MOST_VALUES or id(node) in above:
            raise _TooMuchError
        self.lines.setdefault(path, node.start_mark.line + 1)
        around = (*above, id(node))
        if isinstance(node, yaml.CollectionNode) and node.tag not in _COLLECTIONS:
            self._refuse(node, path)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, around)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, position), around) for position, item in enumerate(node.value)]
        return self._scalar(node, path) if isinstance(node, yaml.ScalarNode) else None

    def _mapping(self, node: yaml.MappingNode, path: Path, around: tuple[int, ...]) -> dict[str, Any]:
        own: dict[str, int] = {}
        result: dict[str, Any] = {}
        for key, item in node.value:
            if key.tag == f"{_TAG}merge":
                continue
            name, line = self._key(key), key.start_mark.line + 1
            if name in own:
                message = sentence(
                    "The key {name} is here twice, first in line {line}.", name=repr(name), line=own[name]
                )
                fix = sentence("Keep one of them.")
                self.problems.append(_problem("key_twice", line, message, fix, (*path, name)))
                continue
            own[name] = line
            self.lines[*path, name] = line
            result[name] = self.value(item, (*path, name), around)
        for merged in self._merged(node, path, around):
            result = {**merged, **result}
        return result

    def _merged(self, node: yaml.MappingNode, path: Path, around: tuple[int, ...]) -> Iterator[dict[str, Any]]:
        """Return the mappings that `<<` merges in; the mapping's own keys override them."""
        for key, item in node.value:
            if key.tag != f"{_TAG}merge":
                continue
            for each in item.value if isinstance(item, yaml.SequenceNode) else [item]:
                if isinstance(each, yaml.MappingNode):
                    yield self.value(each, path, around)
                else:
                    message = sentence("Only mappings can be merged with <<.")
                    fix = sentence("Name an anchor of a mapping: `<<: *name`")
                    self.problems.append(_problem("bad_merge", key.start_mark.line + 1, message, fix, path))

    def _key(self, node: yaml.Node) -> str:
        if isinstance(node, yaml.ScalarNode):
            return str(node.value)
        message = sentence("This key is a list or a mapping.")
        self.problems.append(_problem("bad_key", node.start_mark.line + 1, message, sentence("Write a word.")))
        return ""

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        kind = node.tag.removeprefix(_TAG)
        try:
            match kind:
                case "null":
                    return None
                case "bool":
                    return _SCALARS.construct_yaml_bool(node)
                case "int":
                    return _SCALARS.construct_yaml_int(node)
                case "float":
                    return _SCALARS.construct_yaml_float(node)
                case "str" | "timestamp" | "value":  # a day, such as that of an API version, is text here
                    return str(node.value)
        except ValueError:
            pass
        self._refuse(node, path)
        return None

    def _refuse(self, node: yaml.Node, path: Path) -> None:
        kind = node.tag.removeprefix(_TAG)
        plain = isinstance(node, yaml.ScalarNode) and kind in {"int", "float"}
        message = (
            sentence("This cannot be read as {kind}.", kind=kind)
            if plain
            else sentence("{tag} is not plain YAML.", tag=node.tag)
        )
        fix = sentence("Write text, a number, true or false, a list or a mapping.")
        self.problems.append(_problem("bad_value", node.start_mark.line + 1, message, fix, path))


_BEGIN = sentence("Begin with `configurations:` and a name under it; docs/reference/portal.example.yaml shows one.")
_MAPPING = (
    sentence("This has to be a mapping."),
    sentence("Write `key: value` lines under it, or take the line out."),
)
_TYPES = {
    "bool_type": (sentence("This has to be true or false."), sentence("Write true or false, without quotes.")),
    "string_type": (sentence("This has to be text."), sentence("Put it in quotes.")),
    "int_type": (sentence("This has to be a whole number."), sentence("Write a whole number, without quotes.")),
    "tuple_type": (sentence("This has to be a list."), sentence("Write one item a line, each after a dash.")),
    "dict_type": _MAPPING,
    "model_type": _MAPPING,
}


# The length of the path of an entry's own name.
_AN_ENTRY = 2


@dataclass(frozen=True, slots=True)
class Loaded:
    """A file: its model, `None` if it is not valid, and the problems of reading it."""

    document: Document
    portal: Portal | None
    problems: tuple[FileProblem, ...]


def load(path: FilePath) -> Loaded:
    """Read and validate a file. Raises `InvalidRequest` only if it cannot be read."""
    document = read_document(path)
    if document.problems:
        return Loaded(document, None, document.problems)
    if not isinstance(document.data, dict):
        what = sentence("The file is empty.") if document.data is None else sentence("The file is not a mapping.")
        return Loaded(document, None, (_problem("no_configurations", 1, what, _BEGIN),))
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
                    (_model_problem(document, each) for each in error.errors(include_url=False)),
                    key=lambda each: each.line,
                )
            ),
        )


def _model_problem(document: Document, error: ErrorDetails) -> FileProblem:
    path = _written(error["loc"], document.data)
    code, message, fix = _words(error, path)
    return _problem(code, document.line(path), message, fix, path)


def _written(loc: Path, data: Any) -> Path:
    """Cut a path of pydantic's to what the file has, with the missing key at its end if there is one."""
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


def _words(error: ErrorDetails, path: Path) -> tuple[str, Sentence, Sentence]:
    """Return the code, the message and the fix."""
    kind, given, last = error["type"], error["input"], str(path[-1]) if path else ""
    if kind == "string_pattern_mismatch":
        last = last if last in _FIXES else "word" if len(path) == _AN_ENTRY else "group" if "groups" in path else "key"
    found: dict[str, tuple[Sentence, Sentence]] = {
        "extra_forbidden": (
            sentence("There is no {name} here.", name=repr(last)),
            _suggestion(last, _keys_at(path[:-1])),
        ),
        "missing": (
            sentence("{name} is missing.", name=repr(last)),
            sentence("Write `{name}:` here.", name=last),
        ),
        "literal_error": (
            sentence("{value} is not one of the allowed values.", value=repr(given)),
            _suggestion(str(given), _expected(error)),
        ),
        "too_short": (_EMPTY, _FIXES.get(last, sentence("List at least one, or take the line out."))),
        "string_pattern_mismatch": (
            sentence("{value} is not of the right form.", value=repr(given)),
            _FIXES.get(last, _SEE),
        ),
        "bad_url": (
            sentence("This is not the address of a page."),
            sentence("Write the whole address: https://www.example.com/terms"),
        ),
        "reserved_key": (
            sentence("metadata.{mark} is the mark of `portal apply` itself.", mark=MARK),
            sentence("Take it out."),
        ),
        "too_much_metadata": (
            sentence("metadata has at most {most} keys, beside the mark of `portal apply`.", most=MOST_METADATA),
            sentence("Take some of them out."),
        ),
    }
    code = _CODES.get(kind, kind)
    if kind in _TYPES:
        what, fix = _TYPES[kind]
        return "wrong_type", _EMPTY if given is None else what, fix
    return (code, *found[kind]) if kind in found else ("bad_value", sentence("{what}.", what=error["msg"]), _SEE)


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


_EMPTY = sentence("This is empty.")
_SEE = sentence("See docs/how-to/configuration.md.")
_FIXES = {
    "id": sentence("An id of a portal configuration looks like bpc_123."),
    "prices": sentence("List the prices that customers can change to, or take the product out."),
    "configurations": _BEGIN,
    "group": sentence("Groups have at most 100 characters, no quotation marks and no backslashes."),
    "word": sentence("Names are letters, digits, - and _, at most 40 of them."),
    "key": sentence("Keys of metadata have at most 40 characters and no square brackets; ids have no spaces."),
    "currency": sentence("Write three small letters, such as eur."),
    "api_version": sentence(
        "Write a version with its name, such as 2026-10-28.endive; only those before 2024-09-30 have none."
    ),
}


def _suggestion(word: str, known: list[str]) -> Sentence:
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.55)
    if near:
        return sentence("Did you mean {name}?", name=repr(near[0]))
    return sentence("Known: {names}.", names=", ".join(known))


def _keys_at(path: Path) -> list[str]:
    """Return the keys that are allowed at a path."""
    shape: Any = Portal
    for part in path:
        shape = _inner(shape, part)
    return list(shape.model_fields) if isinstance(shape, type) and issubclass(shape, BaseModel) else []


def _inner(shape: Any, part: str | int) -> Any:
    """Return the type of a key or an item, without its annotations."""
    if isinstance(shape, type) and issubclass(shape, BaseModel):
        return _bare(shape.model_fields[str(part)].annotation)
    return _bare(typing.get_args(shape)[0 if isinstance(part, int) else -1])


def _bare(shape: Any) -> Any:
    while typing.get_origin(shape) in {typing.Annotated, typing.Union, types.UnionType}:
        shape = typing.get_args(shape)[0]
    return shape
