"""The OpenAPI document of the portal link, derived from its routes, its request model and the catalogue of errors."""

import json
import sys
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from functions.create_session.app import app
from functions.create_session.portal_session import SessionRequest
from shared.errors import CATALOGUE
from shared.http import CONTENT_TYPE, status_of
from shared.openapi import Schema, document_of


def _codes_by_status() -> dict[int, list[str]]:
    """Return the codes of each status that the portal link can respond with."""
    found: dict[int, list[str]] = {}
    for entry in CATALOGUE.values():
        if entry.portal_link:
            found.setdefault(status_of(entry.error).value, []).append(entry.code)
    return {status: sorted(codes) for status, codes in sorted(found.items())}


CODES: Mapping[int, list[str]] = _codes_by_status()

PROBLEM = {
    "type": "object",
    "description": "What is wrong (RFC 9457)",
    "required": ["type", "title", "status", "code", "detail"],
    "additionalProperties": False,
    "properties": {
        "type": {"const": "about:blank"},
        "title": {"type": "string"},
        "status": {"type": "integer", "enum": sorted(CODES)},
        "code": {"type": "string", "enum": sorted(code for codes in CODES.values() for code in codes)},
        "detail": {"type": "string", "description": "For people, in English"},
    },
}
MESSAGE = {
    "type": "object",
    "description": "API Gateway's own response, without the function",
    "required": ["message"],
    "additionalProperties": False,
    "properties": {"message": {"type": ["string", "null"]}},
}
_GATEWAYS = {"application/json": {"schema": {"$ref": "#/components/schemas/Message"}}}
# Of every response of the function.
_HEADERS = {
    "Cache-Control": {"required": True, "schema": {"const": "no-store"}},
    "Referrer-Policy": {"required": True, "schema": {"const": "no-referrer"}},
    "X-Content-Type-Options": {"required": True, "schema": {"const": "nosniff"}},
}


def response(
    description: str, content: Mapping[str, Any] | None = None, *, headers: Iterable[str] = ()
) -> dict[str, Any]:
    """Describe a response of the function. Of the further `headers` only `Location` is always there."""
    own = {name: {"required": name == "Location", "schema": {"type": "string"}} for name in headers}
    found: dict[str, Any] = {"description": description, "headers": {**_HEADERS, **own}}
    return found | ({"content": dict(content)} if content else {})


def refusals(*statuses: int, has_page: bool) -> dict[str, Any]:
    """Describe the responses to requests that fail; API Gateway's own have none of our headers."""
    found = {str(status): _refusal(status, has_page=has_page) for status in statuses}
    return found | {"429": {"description": "Too many requests at once", "content": _GATEWAYS}}


def _refusal(status: int, *, has_page: bool) -> dict[str, Any]:
    codes = {"status": {"const": status}, "code": {"enum": CODES[status]}}
    schema = {"allOf": [{"$ref": "#/components/schemas/Problem"}, {"properties": codes}]}
    content: dict[str, Any] = {CONTENT_TYPE: {"schema": schema}}
    if has_page:
        content["text/html"] = {"schema": {"type": "string", "description": "For a browser, in its language"}}
    found = response(HTTPStatus(status).phrase, content)
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.SERVICE_UNAVAILABLE}:
        found["content"] |= _GATEWAYS
        found["headers"] = {name: header | {"required": False} for name, header in found["headers"].items()}
    return found


_TITLE = "Portal link"
_ABOUT = (
    "Opens Stripe's customer portal for a proven customer. Responses must not be cached: they hold a credential, or "
    "lead to one. Errors are problem+json with a stable `code`; a browser that follows a link gets a page instead."
)
_TOKEN = {
    "type": "string",
    "maxLength": 2048,
    "pattern": r"^[\w-]+\.[\w-]+\.[\w-]+$",
    "description": "A link token: whose portal it is",
}
_EMAIL = {"type": "string", "description": "Prefills the login page; no customer is looked up"}
_BEARER = "A link token, or with `OidcIssuer` a signed-in user's token of that issuer instead"


def document() -> Schema:
    """Return the document. Raises `KeyError` for a route of the handler that is not described here."""
    described = {
        "GET /portal": _get_portal(),
        "GET /portal/return": _get_portal_return(),
        "HEAD /portal": _head_portal(),
        "POST /portal/sessions": _post_portal_sessions(),
    }
    schemas = {"Problem": PROBLEM, "Message": MESSAGE, "SessionRequest": _request_schema()}
    return document_of(app, _TITLE, _ABOUT, described, schemas=schemas, bearer=_BEARER)


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
        "summary": "Return from Checkout",
        "description": "To the portal in the browser that was sent to Checkout, in any other to `return_url`.",
        "parameters": list(_request_parameters("return_url", "locale")),
        "responses": {
            "303": response("To the portal or back to the site", headers=("Location", "Set-Cookie")),
            **refusals(400, 500, 503, has_page=True),
        },
    }


def _head_portal() -> Schema:
    return {
        "operationId": "headPortal",
        "summary": "Check that the link exists, without creating a session",
        "responses": {"200": response("It exists"), **refusals(has_page=False)},
    }


def _post_portal_sessions() -> Schema:
    url = {
        "type": "string",
        "format": "uri",
        "description": "A credential: redirect the browser there, and nothing else",
    }
    made = {"type": "object", "required": ["url"], "properties": {"url": url}, "additionalProperties": False}
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/SessionRequest"}}}
    return {
        "operationId": "postPortalSessions",
        "summary": "Create a session",
        "description": "For a signed-in user's page, or for a server that has a link token.",
        "security": [{"bearer": []}],
        "requestBody": {"required": False, "content": content},
        "responses": {
            "201": response("The session's address", {"application/json": {"schema": made}}),
            **refusals(400, 401, 403, 500, 503, has_page=True),
        },
    }


def _request_schema() -> Schema:
    schema = SessionRequest.model_json_schema()
    schema["description"] = "What a caller may ask for; no field says who the caller is"
    return schema


def _request_parameters(*names: str) -> Iterable[Schema]:
    """Describe the request's fields as query parameters, which are never null."""
    for name, field in _request_schema()["properties"].items():
        if not names or name in names:
            (schema,) = (one for one in field["anyOf"] if one.get("type") != "null")
            yield _query(name, schema)


def _query(name: str, schema: Schema) -> Schema:
    return {"name": name, "in": "query", "required": False, "schema": schema}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(document(), indent=2, ensure_ascii=False) + "\n")
