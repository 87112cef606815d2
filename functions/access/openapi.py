"""The OpenAPI document of the access function, derived from its routes, its request models and its answers."""

import json
import sys

from functions.access.answers import AccessRequest, BatchRequest
from functions.access.app import app
from shared.access import Reason
from shared.openapi import PROBLEM_FIELDS, Schema, document_of, object_schema, problem_responses

_TITLE = "Access"
_ABOUT = (
    "Answers whether a customer has service now, why, and until when. Errors are problem+json with a stable `code`."
)
_BEARER = "An access token; for GET /access with `OidcIssuer` a signed-in user's token of that issuer instead"
_UNTIL = {
    "type": ["integer", "null"],
    "description": "When time alone will next change `granted`, `reason` or `features`, in Unix seconds; null: only an "
    "event can",
}
_REASON = {"type": "string", "enum": [str(reason) for reason in Reason]}


_SUBSCRIPTION = object_schema(
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
_CUSTOMER = object_schema(
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


def document() -> Schema:
    """Return the document. Raises `KeyError` for a route of the handler that is not described here."""
    described = {
        "GET /access": _get("getAccess", "Ask about the own customer"),
        "GET /access/{customer}": _get("getAccessOfCustomer", "Ask about the token's customer", in_path=True),
        "POST /access": _post(),
    }
    schemas = {
        "CustomerAccess": _CUSTOMER,
        "SubscriptionAccess": _SUBSCRIPTION,
        "Problem": object_schema("What is wrong (RFC 9457)", **PROBLEM_FIELDS),
        "BatchRequest": BatchRequest.model_json_schema(),
    }
    return document_of(app, _TITLE, _ABOUT, described, schemas=schemas, bearer=_BEARER)


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
            **problem_responses(400, 401, 403, 500, 503),
        },
    }


def _post() -> Schema:
    answers = {"type": "array", "items": {"$ref": "#/components/schemas/CustomerAccess"}}
    content = {
        "application/json": {"schema": object_schema("The answers, in the order of the question", customers=answers)}
    }
    return {
        "operationId": "postAccess",
        "summary": "Ask about many customers, from a server",
        "security": [{"bearer": []}],
        "requestBody": {"required": True, "content": _content("BatchRequest")},
        "responses": {
            "200": {"description": "The answers", "content": content},
            **problem_responses(400, 401, 500, 503),
        },
    }


def _without_null(schema: Schema) -> Schema:
    (one,) = (each for each in schema["anyOf"] if each.get("type") != "null")
    return dict(one)


def _content(name: str) -> Schema:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(document(), indent=2, ensure_ascii=False) + "\n")
