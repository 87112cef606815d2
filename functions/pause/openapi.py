"""The OpenAPI document of the pause function, derived from its routes, its request model and its answers."""

import json
import sys
from http import HTTPStatus

from functions.pause.answers import PauseBody
from functions.pause.app import app
from shared.http import CONTENT_TYPE
from shared.openapi import PROBLEM_FIELDS, Schema, document_of, object_schema, problem_responses
from shared.pausing.history import PauseState
from shared.pausing.operations import Outcome

_TITLE = "Pauses"
_ABOUT = (
    "Customers see, pause and resume their subscriptions. Times are Unix seconds; days are calendar days in the "
    "stack's time zone. Errors are problem+json with a stable `code`."
)
_BEARER = "A pause token (`aud` `pause`); with `OidcIssuer` a signed-in user's token of that issuer instead"
_STATUSES = (400, 401, 403, 500, 503)
_TEXT: Schema = {"type": "string"}
_TIME: Schema = {"type": "integer"}
_TEXTS: Schema = {"type": "array", "items": _TEXT}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


_PAUSE = object_schema(
    "A pause. `kind` `subscription` is Stripe's real pause; `collection` only pauses payments, and `why_not_real` says "
    "why. `resumes`: when Stripe resumes; `next_charge`: when it charges again; null "
    "for a pause that lasts until somebody resumes it",
    kind={"enum": ["collection", "subscription"]},
    why_not_real=_TEXTS,
    state={"enum": [str(state) for state in PauseState]},
    outcome=_or_null(_TEXT),
    begin={"enum": ["now", "period_end"]},
    begins=_TIME,
    resumes=_or_null(_TIME),
    next_charge=_or_null(_TIME),
    asked_resume=_or_null({"type": "string", "format": "date"}),
    unused_time={"enum": ["credit", "credit_period", "forfeit", "none"]},
    reason=_or_null(_TEXT),
    waiting=_or_null({"enum": ["payment", "payment_method", "stripe"]}),
    failure=_or_null(_TEXT),
)
_REFUSAL = object_schema(
    "One reason why it is not possible, in the caller's language; `allowed_from`: when it will be",
    code=_TEXT,
    detail=_TEXT,
    lifted_by=_or_null(_TEXT),
    allowed_from=_or_null(_TIME),
)
_REFUSALS = {"type": "array", "items": {"$ref": "#/components/schemas/Refusal"}}
_PAUSE_OR_NULL = _or_null({"$ref": "#/components/schemas/Pause"})
_DAY = _or_null({"type": "string", "format": "date"})
_RESULT: Schema = {
    "outcome": {"enum": [str(outcome) for outcome in Outcome]},
    "pause": _PAUSE_OR_NULL,
    "reasons": _REFUSALS,
    "payment_page": _or_null(_TEXT),
}
_OFFER = object_schema(
    "A pause as it would be; `first_day` and `last_day` are the earliest and the latest day of return",
    kind={"enum": ["collection", "subscription"]},
    why_not_real=_TEXTS,
    begins=_TIME,
    first_day=_DAY,
    last_day=_DAY,
    now={"enum": ["never", "credit", "forfeit"]},
    reasons=_TEXTS,
)
_LENGTH = object_schema("A length of time", interval=_TEXT, interval_count={"type": "integer"})
_PORTAL_PAUSE = object_schema(
    "The pause that the customer portal offers in place of ours: `url`, a credential that expires after an hour, opens "
    "it. Without `lengths` to choose from it lasts until the customer resumes",
    url={"type": "string", "format": "uri"},
    lengths={"type": "array", "items": _LENGTH},
)
_SUBSCRIPTION = object_schema(
    "A subscription that has not ended, its present or last pause, and what a pause would be, here or in the portal",
    id=_TEXT,
    status=_TEXT,
    current_period_end=_or_null(_TIME),
    pause=_PAUSE_OR_NULL,
    offer=_or_null({"$ref": "#/components/schemas/Offer"}),
    refusals=_REFUSALS,
    portal_pause=_or_null({"$ref": "#/components/schemas/PortalPause"}),
)
_CUSTOMER: Schema = {
    "name": "customer",
    "in": "query",
    "required": False,
    "schema": _TEXT,
    "description": "One of the caller's customers, where a signed-in user has several",
}
_ID: Schema = {"name": "subscription", "in": "path", "required": True, "schema": _TEXT}


def document() -> Schema:
    """Return the document. Raises `KeyError` for a route of the handler that is not described here."""
    path = "/subscriptions/{subscription}"
    described = {
        "GET /subscriptions": _list(),
        f"POST {path}/pause": _post("pause", "Pause, or change the date of return", has_body=True),
        f"POST {path}/resume": _post("resume", "Resume"),
        f"POST {path}/undo": _post("undo", "Undo a pause that has not begun; it never charges"),
        f"POST {path}/release": _post("release", "Give up the date of return, so that the portal can cancel"),
    }
    schemas = {
        "Offer": _OFFER,
        "Pause": _PAUSE,
        "PauseRequest": PauseBody.model_json_schema(),
        "PortalPause": _PORTAL_PAUSE,
        "Problem": object_schema("What is wrong (RFC 9457)", **PROBLEM_FIELDS),
        "Refused": object_schema("Not possible now: `reasons` has each reason", **PROBLEM_FIELDS, **_RESULT),
        "Refusal": _REFUSAL,
        "Result": object_schema("What became of the request", **_RESULT),
        "Subscription": _SUBSCRIPTION,
    }
    return document_of(app, _TITLE, _ABOUT, described, schemas=schemas, bearer=_BEARER)


def _list() -> Schema:
    items = {"type": "array", "items": {"$ref": "#/components/schemas/Subscription"}}
    listed = object_schema(
        "The caller's subscriptions, the newest first. With `has_more` there are others, not read in time: "
        "ask with a token for the one that is meant",
        subscriptions=items,
        has_more={"type": "boolean"},
    )
    content = {"application/json": {"schema": listed}}
    return {
        "operationId": "getSubscriptions",
        "summary": "See the own subscriptions, their pauses, and what a pause would be",
        "security": [{"bearer": []}],
        "parameters": [_CUSTOMER],
        "responses": {"200": {"description": "The subscriptions", "content": content}, **problem_responses(*_STATUSES)},
    }


def _post(operation: str, summary: str, *, has_body: bool = False) -> Schema:
    result = {"application/json": {"schema": {"$ref": "#/components/schemas/Result"}}}
    refused = {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Refused"}}}
    body = {"application/json": {"schema": {"$ref": "#/components/schemas/PauseRequest"}}}
    request = {"requestBody": {"required": True, "content": body}} if has_body else {}
    return {
        "operationId": operation,
        "summary": summary,
        "security": [{"bearer": []}],
        "parameters": [_ID, _CUSTOMER],
        **request,
        "responses": {
            "200": {"description": "Done", "content": result},
            "202": {"description": "Under way, or waiting for a payment", "content": result},
            "409": {"description": HTTPStatus.CONFLICT.phrase, "content": refused},
            **problem_responses(*_STATUSES),
        },
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(document(), indent=2, ensure_ascii=False) + "\n")
