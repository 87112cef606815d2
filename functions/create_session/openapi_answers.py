"""The answers of the OpenAPI document: every status with its codes."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from shared.problem import CONTENT_TYPE

# Each code is explained in docs/portal-link.md or docs/operations.md.
CODES: Mapping[int, tuple[str, ...]] = {
    400: (
        "bad_request",
        "bad_return_url",
        "change_refused",
        "change_required",
        "customer_required",
        "discount_refused",
        "flow_disabled",
        "flow_refused",
        "nothing_to_confirm",
        "several_items",
        "subscription_required",
        "unreadable_body",
    ),
    401: ("bad_token", "expired_token", "no_token"),
    403: (
        "no_customer",
        "not_your_customer",
        "not_your_item",
        "not_your_subscription",
        "other_after_completion",
        "other_flow",
        "other_item",
        "other_price",
        "other_quantity",
        "other_subscription",
    ),
    500: (
        "bad_checkout_price",
        "bad_retention_coupon",
        "bad_secret",
        "bad_settings",
        "billing_not_available",
        "checkout_refused",
        "configuration_inactive",
        "configuration_missing",
        "customer_missing",
        "internal_error",
        "login_page_off",
        "no_default_configuration",
        "stripe_key_invalid",
        "stripe_key_lacks_permission",
        "stripe_refused",
        "unknown_group",
        "wrong_mode",
    ),
    503: (
        "checkout_contended",
        "customer_not_found_yet",
        "customer_not_made",
        "secret_unreadable",
        "stripe_unavailable",
    ),
}

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
    "description": "API Gateway's own answer, without the function",
    "required": ["message"],
    "additionalProperties": False,
    "properties": {"message": {"type": ["string", "null"]}},
}
_GATEWAYS = {"application/json": {"schema": {"$ref": "#/components/schemas/Message"}}}
# Of all answers of the function.
_HEADERS = {
    "Cache-Control": {"required": True, "schema": {"const": "no-store"}},
    "Referrer-Policy": {"required": True, "schema": {"const": "no-referrer"}},
    "X-Content-Type-Options": {"required": True, "schema": {"const": "nosniff"}},
}


def response(
    description: str, content: Mapping[str, Any] | None = None, *, headers: Iterable[str] = ()
) -> dict[str, Any]:
    """An answer of the function's; further `headers` are not in every one of them but `Location`."""
    own = {name: {"required": name == "Location", "schema": {"type": "string"}} for name in headers}
    found: dict[str, Any] = {"description": description, "headers": {**_HEADERS, **own}}
    return found | ({"content": dict(content)} if content else {})


def refusals(*statuses: int, has_page: bool) -> dict[str, Any]:
    """The answers to what cannot be had; those of API Gateway itself have no headers of ours."""
    found = {str(status): _refusal(status, has_page=has_page) for status in statuses}
    return found | {"429": {"description": "Too many requests at once", "content": _GATEWAYS}}


def _refusal(status: int, *, has_page: bool) -> dict[str, Any]:
    codes = {"status": {"const": status}, "code": {"enum": list(CODES[status])}}
    schema = {"allOf": [{"$ref": "#/components/schemas/Problem"}, {"properties": codes}]}
    content: dict[str, Any] = {CONTENT_TYPE: {"schema": schema}}
    if has_page:
        content["text/html"] = {"schema": {"type": "string", "description": "For a browser, in its language"}}
    found = response(HTTPStatus(status).phrase, content)
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.SERVICE_UNAVAILABLE}:
        found["content"] |= _GATEWAYS
        found["headers"] = {name: header | {"required": False} for name, header in found["headers"].items()}
    return found
