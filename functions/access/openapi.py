"""The OpenAPI document of the access function, derived from its routes, its request models and its answers."""

import json
import sys
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from functions.access.answers import AccessRequest, BatchRequest
from functions.access.app import app
from shared.access import Reason
from shared.http import CONTENT_TYPE

Schema = dict[str, Any]

_TITLE = "Access"
_VERSION = "1"
_ABOUT = (
    "Answers whether a customer has service now, why, and until when. Errors are problem+json with a stable `code`."
)
_BEARER = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "An access token; for GET /access with `OidcIssuer` a signed-in user's token of that issuer instead",
}
_UNTIL = {
    "type": ["integer", "null"],
    "description": "When time alone will next change `granted`, `reason` or `features`, in Unix seconds; null: only an "
    "event can",
}
_REASON = {"type": "string", "enum": [str(reason) for reason in Reason]}


def _object(description: str, *, optional: Mapping[str, Schema] | None = None, **properties: Schema) -> Schema:
    return {
        "type": "object",
        "description": description,
        "required": list(properties),
        "additionalProperties": False,
        "properties": {**properties, **(optional or {})},
    }


_SUBSCRIPTION = _object(
    "Whether one subscription gives service",
    subscription_id={"type": "string"},
    granted={"type": "boolean"},
    reason=_REASON,
    until=_UNTIL,
    products={
        "type": "object",
        "description": "The quantity of each product; null for metered ones",
        "additionalProperties": {"type": ["integer", "null"]},
    },
)
_CUSTOMER = _object(
    "Whether a customer has service",
    optional={
        "features": {
            "type": "array",
            "description": "The lookup keys of all features that may be used now; absent where they are not known",
            "items": {"type": "string"},
        }
    },
    customer_id={"type": "string"},
    granted={"type": "boolean"},
    reason=_REASON,
    until=_UNTIL,
    subscriptions={"type": "array", "items": {"$ref": "#/components/schemas/SubscriptionAccess"}},
)
_PROBLEM = _object(
    "What is wrong (RFC 9457)",
    type={"const": "about:blank"},
    title={"type": "string"},
    status={"type": "integer"},
    code={"type": "string"},
    detail={"type": "string", "description": "For people, in English"},
)


def document() -> Schema:
    """Return the document. Raises `KeyError` for a route of the handler that is not described here."""
    routes: dict[str, dict[str, Any]] = json.loads(app.get_openapi_json_schema(title=_TITLE, version=_VERSION))["paths"]
    described = {
        "GET /access": _get("getAccess", "Ask about the own customer"),
        "GET /access/{customer}": _get("getAccessOfCustomer", "Ask about the token's customer", in_path=True),
        "POST /access": _post(),
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": _TITLE, "version": _VERSION, "description": _ABOUT},
        "servers": [{"url": "/", "description": "The deployment's `ApiUrl`"}],
        "paths": {
            path: {method: described[f"{method.upper()} {path}"] for method in sorted(methods)}
            for path, methods in sorted(
                (path.replace("<", "{").replace(">", "}"), each) for path, each in routes.items()
            )
        },
        "components": {
            "schemas": {
                "CustomerAccess": _CUSTOMER,
                "SubscriptionAccess": _SUBSCRIPTION,
                "Problem": _PROBLEM,
                "BatchRequest": BatchRequest.model_json_schema(),
            },
            "securitySchemes": {"bearer": _BEARER},
        },
    }


def _get(operation: str, summary: str, *, in_path: bool = False) -> Schema:
    schemas = AccessRequest.model_json_schema()["properties"]
    query = [
        {"name": name, "in": "query", "required": False, "schema": _without_null(schema)}
        for name, schema in schemas.items()
    ]
    path = {"name": "customer", "in": "path", "required": True, "schema": _without_null(schemas["customer"])}
    kept = {name: {"required": True, "schema": {"type": "string"}} for name in ("Cache-Control", "ETag", "Vary")}
    return {
        "operationId": operation,
        "summary": summary,
        "security": [{"bearer": []}],
        "parameters": [path, *(each for each in query if each["name"] != "customer")] if in_path else query,
        "responses": {
            "200": {"description": "The answer", "headers": kept, "content": _content("CustomerAccess")},
            "304": {"description": "The answer is the one that `If-None-Match` names", "headers": kept},
            **_refusals(400, 401, 403, 500, 503),
        },
    }


def _post() -> Schema:
    answers = {"type": "array", "items": {"$ref": "#/components/schemas/CustomerAccess"}}
    content = {"application/json": {"schema": _object("The answers, in the order of the question", customers=answers)}}
    return {
        "operationId": "postAccess",
        "summary": "Ask about many customers, from a server",
        "security": [{"bearer": []}],
        "requestBody": {"required": True, "content": _content("BatchRequest")},
        "responses": {
            "200": {"description": "The answers", "content": content},
            **_refusals(400, 401, 500, 503),
        },
    }


def _without_null(schema: Schema) -> Schema:
    (one,) = (each for each in schema["anyOf"] if each.get("type") != "null")
    return dict(one)


def _content(name: str) -> Schema:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}


def _refusals(*statuses: int) -> dict[str, Schema]:
    problem = {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    found: dict[str, Schema] = {
        str(status): {"description": HTTPStatus(status).phrase, "content": problem} for status in statuses
    }
    return found | {"429": {"description": "Too many requests at once, from API Gateway itself"}}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(document(), indent=2, ensure_ascii=False) + "\n")
