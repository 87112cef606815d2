"""What the OpenAPI documents of the functions share: the frame, objects, and the responses to requests that fail."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from shared.http import CONTENT_TYPE

if TYPE_CHECKING:
    from aws_lambda_powertools.event_handler import APIGatewayHttpResolver

Schema = dict[str, Any]

PROBLEM_FIELDS: Mapping[str, Schema] = {
    "type": {"const": "about:blank"},
    "title": {"type": "string"},
    "status": {"type": "integer"},
    "code": {"type": "string"},
    "detail": {"type": "string", "description": "For people, in English"},
}


def object_schema(description: str, *, optional: Mapping[str, Schema] | None = None, **properties: Schema) -> Schema:
    """Describe an object with these properties and no others."""
    return {
        "type": "object",
        "description": description,
        "required": list(properties),
        "additionalProperties": False,
        "properties": {**properties, **(optional or {})},
    }


def problem_responses(*statuses: int) -> dict[str, Schema]:
    """Describe the responses to requests that fail with one of these, whose body is the schema `Problem`."""
    content = {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    found: dict[str, Schema] = {
        str(status): {"description": HTTPStatus(status).phrase, "content": content} for status in statuses
    }
    return found | {"429": {"description": "Too many requests at once, from API Gateway itself"}}


def document_of(  # noqa: PLR0913 - the parts of a document
    app: "APIGatewayHttpResolver",
    title: str,
    about: str,
    described: Mapping[str, Schema],
    *,
    schemas: Mapping[str, Schema],
    bearer: str,
) -> Schema:
    """Return the document of a function whose routes are described by `<METHOD> <path>`; `bearer` says which token.

    Raises `KeyError` for a route of the handler that is not described.
    """
    routes: dict[str, dict[str, Any]] = json.loads(app.get_openapi_json_schema(title=title, version="1"))["paths"]
    paths = {path.replace("<", "{").replace(">", "}"): methods for path, methods in routes.items()}
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": "1", "description": about},
        "servers": [{"url": "/", "description": "The deployment's `ApiUrl`"}],
        "paths": {
            path: {method: described[f"{method.upper()} {path}"] for method in sorted(methods)}
            for path, methods in sorted(paths.items())
        },
        "components": {
            "schemas": dict(schemas),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": bearer}
            },
        },
    }
