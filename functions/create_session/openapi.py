"""The API's OpenAPI document: the handler's own routes, and all that each of them takes and answers.

`make openapi` writes it; nothing here is imported when the function runs.
"""

import json
import sys
from collections.abc import Iterable
from typing import Any

from functions.create_session.app import app
from functions.create_session.openapi_answers import MESSAGE, PROBLEM, refusals, response
from functions.create_session.session_request import SessionRequest

Schema = dict[str, Any]

_TITLE = "Portal link"
_VERSION = "1"
_ABOUT = (
    "Opens Stripe's customer portal for a proven customer. Answers are never to be cached: they hold a credential, or "
    "lead to one. Errors are problem+json with a stable `code`; a browser that follows a link gets a page instead."
)
_TOKEN = {
    "type": "string",
    "maxLength": 2048,
    "pattern": r"^[\w-]+\.[\w-]+\.[\w-]+$",
    "description": "A link token: whose portal it is",
}
_EMAIL = {"type": "string", "description": "Fills in the login page's address; nothing is looked up"}
_BEARER = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "A link token, or with `OidcIssuer` a signed-in user's token of that issuer instead",
}


def document() -> Schema:
    """Answer the document. Raises `KeyError` for a route of the handler that is not described here."""
    routes: dict[str, dict[str, Any]] = json.loads(app.get_openapi_json_schema(title=_TITLE, version=_VERSION))["paths"]
    described = {"GET /portal": _get_portal, "GET /portal/return": _get_portal_return, "HEAD /portal": _head_portal}
    described["POST /portal/sessions"] = _post_portal_sessions
    return {
        "openapi": "3.1.0",
        "info": {"title": _TITLE, "version": _VERSION, "description": _ABOUT},
        "servers": [{"url": "/", "description": "The deployment's `ApiUrl`"}],
        "paths": {
            path: {method: described[f"{method.upper()} {path}"]() for method in sorted(methods)}
            for path, methods in sorted(routes.items())
        },
        "components": {
            "schemas": {"Problem": PROBLEM, "Message": MESSAGE, "SessionRequest": _request_schema()},
            "securitySchemes": {"bearer": _BEARER},
        },
    }


def _get_portal() -> Schema:
    return {
        "operationId": "getPortal",
        "summary": "Follow a portal link",
        "description": "With `token` to the customer's portal, or to Checkout; without it to the login page.",
        "parameters": [_query("token", _TOKEN), _query("email", _EMAIL), *_request_parameters()],
        "responses": {
            "303": response("To a page of Stripe's", headers=("Location", "Set-Cookie")),
            **refusals(400, 401, 403, 500, 503, has_page=True),
        },
    }


def _get_portal_return() -> Schema:
    return {
        "operationId": "getPortalReturn",
        "summary": "Come back from Checkout",
        "description": "To the portal in the browser that was sent to Checkout, elsewhere to `return_url`.",
        "parameters": list(_request_parameters("return_url", "locale")),
        "responses": {
            "303": response("To the portal or back to the site", headers=("Location", "Set-Cookie")),
            **refusals(400, 500, 503, has_page=True),
        },
    }


def _head_portal() -> Schema:
    return {
        "operationId": "headPortal",
        "summary": "Whether the link is there; makes no session",
        "responses": {"200": response("It is"), **refusals(has_page=False)},
    }


def _post_portal_sessions() -> Schema:
    url = {"type": "string", "format": "uri", "description": "A credential: lead the browser there, and nowhere else"}
    made = {"type": "object", "required": ["url"], "properties": {"url": url}, "additionalProperties": False}
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/SessionRequest"}}}
    return {
        "operationId": "postPortalSessions",
        "summary": "Ask for a session",
        "description": "For a signed-in user's page, or for a server that has a link token.",
        "security": [{"bearer": []}],
        "requestBody": {"required": False, "content": content},
        "responses": {
            "201": response("The session's address", {"application/json": {"schema": made}}),
            **refusals(400, 401, 403, 500, 503, has_page=False),
        },
    }


def _request_schema() -> Schema:
    schema = SessionRequest.model_json_schema()
    schema["description"] = "What may be asked; none of it says who is asking"
    return schema


def _request_parameters(*names: str) -> Iterable[Schema]:
    """The request's fields as parameters of an address, which is never null."""
    for name, field in _request_schema()["properties"].items():
        if not names or name in names:
            (schema,) = (one for one in field["anyOf"] if one.get("type") != "null")
            yield _query(name, schema)


def _query(name: str, schema: Schema) -> Schema:
    return {"name": name, "in": "query", "required": False, "schema": schema}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(document(), indent=2, ensure_ascii=False) + "\n")
