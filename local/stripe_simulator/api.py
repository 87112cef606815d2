"""The API's front door: key, version, limits, parameters, idempotency, and Stripe's answers."""

import asyncio
import base64
import binascii
import json
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from local.stripe_simulator import portal_pause, routes, schema, versions
from local.stripe_simulator.errors import ApiError, unrecognized
from local.stripe_simulator.expand import expanded
from local.stripe_simulator.idempotency import Stored
from local.stripe_simulator.params import Tree, decode
from local.stripe_simulator.passing_time import advance
from local.stripe_simulator.simulator import Call, Simulator

_KEYS = ("sk_test_", "rk_test_")
_ANCHORED = {"POST /v1/subscriptions/{id}", "POST /v1/subscriptions/{id}/resume"}
_NO_KEY = (
    "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer auth "
    "(e.g. 'Authorization: Bearer YOUR_SECRET_KEY'). See https://stripe.com/docs/api#authentication for details, "
    "or we can help at https://support.stripe.com/."
)


async def endpoint(request: Request) -> Response:
    """Answer one API request."""
    simulator: Simulator = request.app.state.simulator
    body = await request.body()
    try:
        response = _answer(request, body, simulator)
    except ApiError as error:
        response = _json(error.body(request.state.request_id), error.status, error.headers)
    if simulator.faults.latency_seconds:
        await asyncio.sleep(simulator.faults.latency_seconds)
    return response


def _json(body: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(json.dumps(body), status, headers, media_type="application/json")


def _answer(request: Request, body: bytes, simulator: Simulator) -> Response:
    method, path = request.method, request.url.path
    _check_key(request.headers.get("authorization"))
    simulator.faults.check_failure(method, path)
    found = routes.find(method, path)
    if found is None:
        raise unrecognized(method, path)
    route, ids = found
    simulator.request_counts[route.name] += 1
    simulator.rate_limit.check(route.name, simulator.faults.requests_per_second)
    version = versions.requested(request.headers.get("stripe-version"))
    advance(simulator)
    tree = decode(parse_qsl(request.url.query, keep_blank_values=True) + _form(body))
    if method != "POST":
        return _json(
            _result(Call(simulator, ids=ids, version=version, request_id=request.state.request_id), route, tree)
        )
    key = request.headers.get("idempotency-key")
    return _once(Call(simulator, {}, ids, version, request.state.request_id, key), route, tree, body)


def _form(body: bytes) -> list[tuple[str, str]]:
    return parse_qsl(body.decode(errors="replace"), keep_blank_values=True)


def _once(call: Call, route: routes.ApiRoute, tree: Tree, body: bytes) -> Response:
    """Carry out a POST, or give the stored answer of its idempotency key again; refusals are not stored."""
    keys, what = call.simulator.idempotency_keys, f"{route.name} {call.ids.get('id', '')}"
    headers = {"Idempotency-Key": call.idempotency_key} if call.idempotency_key else {}
    stored = keys.find(call.idempotency_key, what, body)
    if stored:
        headers |= {"Idempotent-Replayed": "true", "Original-Request": stored.request_id}
        return Response(stored.answer, stored.status, headers, media_type="application/json")
    answer = json.dumps(_result(call, route, tree)).encode()
    keys.keep(call.idempotency_key, Stored(what, body, 200, answer, call.request_id or ""))
    return Response(answer, 200, headers, media_type="application/json")


def _result(call: Call, route: routes.ApiRoute, tree: Tree) -> dict[str, Any]:
    portal_pause.check_version(tree, call.version, call.now)
    if route.name in _ANCHORED and versions.before(call.version, versions.ANCHOR_IS_OBJECT):
        _wrap_anchor(tree)
    params = schema.check(tree, route.shape)
    call = Call(call.simulator, params, call.ids, call.version, call.request_id, call.idempotency_key)
    answer = route.handler(call)
    return expanded(answer, params.get("expand", ()), call.store)


def _wrap_anchor(tree: Tree) -> None:
    """`billing_cycle_anchor=now` of older versions, in today's form."""
    anchor = tree.get("billing_cycle_anchor")
    if isinstance(anchor, str):
        tree["billing_cycle_anchor"] = {"type": anchor}


def _check_key(authorization: str | None) -> None:
    scheme, _, credentials = (authorization or "").partition(" ")
    key = credentials.strip()
    if scheme.lower() == "basic":
        try:
            key = base64.b64decode(key).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            key = ""
    if not key:
        raise ApiError(_NO_KEY, status=401, headers={"WWW-Authenticate": 'Basic realm="Stripe"'})
    if not key.startswith(_KEYS):
        shown = f"{key[:7]}{'*' * max(len(key) - 11, 4)}{key[-4:]}"
        raise ApiError(f"Invalid API Key provided: {shown}", status=401)
