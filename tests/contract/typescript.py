"""Checks objects against the types of Stripe's own Node library, with the TypeScript compiler."""

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "build/contract"
COMPILER = FOLDER / "node_modules/.bin/tsc"

_HEAD = """\
import Stripe from 'stripe';
const decimal = (text: string): Stripe.Decimal => Stripe.Decimal.from(text);
const changed = (value: unknown): any => value;
"""
_OPTIONS = ("--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--moduleResolution", "nodenext")
_ERROR = re.compile(r"[^(]+\((\d+),\d+\): error (TS\d+): (.*)")

_WITHOUT_A_NAME = {"event", "list", "search_result"}


@dataclass(frozen=True)
class Difference:
    """One thing in which an object is not what Stripe's types say; `path` is `subscription.items.data.plan`."""

    path: str
    message: str


def differences(objects: list[dict[str, Any]]) -> list[Difference]:
    """Compile all objects as constants of their types, and return what the compiler does not accept."""
    lines, paths = _HEAD.splitlines(), dict[int, str]()
    for number, body in enumerate(objects):
        first = f"export const o{number}: {type_name(body)} = "
        label = str(body["type"] if body["object"] == "event" else body["object"])
        for path, line in _literal(body, label, ()):
            lines.append(first + line)
            paths[len(lines)] = path
            first = ""
        lines[-1] += ";"
    source = FOLDER / "objects.ts"
    source.write_text("\n".join(lines) + "\n")
    result = subprocess.run([COMPILER, *_OPTIONS, source], cwd=FOLDER, capture_output=True, text=True, check=False)
    return list(dict.fromkeys(_read(result.stdout, paths)))


def type_name(body: dict[str, Any]) -> str:
    """Return the type of an object, such as `Stripe.BillingPortal.Configuration`."""
    name = str(body["object"])
    if name in {"list", "search_result"}:
        kind = "ApiList" if name == "list" else "ApiSearchResult"
        inner = sorted({type_name(item) for item in body["data"] if item["object"] != "event"}) or ["unknown"]
        return f"Stripe.{kind}<{' | '.join(inner)}>"
    if name == "event":
        return f"Stripe.{_pascal(body['type'])}Event"
    if name in {"item", "line_item"}:
        return "Stripe.LineItem" if name == "item" else "Stripe.InvoiceLineItem"
    if name == "v2.core.event":
        # What is sent has no methods.
        return f"Omit<Extract<Stripe.V2.Core.Event, {{ type: '{body['type']}' }}>, 'fetchRelatedObject'>"
    if name.startswith("v2.") and body.keys() == {"id", "object"}:
        return "Stripe.V2.DeletedObject"
    *spaces, last = name.split(".")
    deleted = "Deleted" if body.get("deleted") else ""
    return ".".join(["Stripe", *map(_pascal, spaces), deleted + _pascal(last)])


def _pascal(name: str) -> str:
    return "".join(word.capitalize() for word in re.split("[._]", name))


def _literal(value: Any, path: str, inside: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield the lines of a literal, each with the path of what it holds from the innermost object on."""
    name = inside[-1] if inside else ""
    if inside[-2:-1] == ("previous_attributes",) and (isinstance(value, dict) or value is None):
        # A change names the changed fields of a hash alone, and null for a field that was absent; no type says so.
        yield path, f"changed({json.dumps(value)})"
    elif isinstance(value, dict):
        kind = value.get("object")
        path = kind if isinstance(kind, str) and kind not in _WITHOUT_A_NAME else path
        yield path, "{"
        for key, inner in value.items():
            yield from _comma(_literal(inner, f"{path}.{key}", (*inside, key)), f"{json.dumps(key)}: ")
        yield path, "}"
    elif isinstance(value, list):
        yield path, "["
        for inner in value:
            yield from _comma(_literal(inner, path, (*inside, "")))
        yield path, "]"
    elif isinstance(value, str) and name.endswith("_decimal"):
        # The library turns these strings into its own class.
        yield path, f"decimal({json.dumps(value)})"
    else:
        yield path, json.dumps(value)


def _comma(lines: Iterator[tuple[str, str]], before: str = "") -> list[tuple[str, str]]:
    first, *rest = lines
    all_lines = [(first[0], before + first[1]), *rest]
    return [*all_lines[:-1], (all_lines[-1][0], f"{all_lines[-1][1]},")]


def _read(output: str, paths: dict[int, str]) -> Iterator[Difference]:
    line, message = 0, ""
    for text in [*output.splitlines(), "end(0,0): error TS0: end"]:
        found = _ERROR.fullmatch(text)
        if not found:
            # The last line of an error is its most precise one.
            message = text.strip()
            continue
        if line:
            yield Difference(paths.get(line, f"line {line}"), message)
        line, message = int(found[1]), found[3]
