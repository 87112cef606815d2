"""Finds the route of a request as API Gateway does: the most specific path, then the method before ANY."""

import json
import re
import sys
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from local.aws.intrinsics import TemplateError
from local.aws.lambda_function import LambdaFunction
from local.aws.template import JwtAuthorizer, Route
from local.gateway.authorizer import JwtCheck, Unauthorized
from local.gateway.event import HttpRequest, HttpResponse, MalformedAnswer, event_of, response_of

_PARAMETER = re.compile(r"\{(\w+)(\+?)\}")


@dataclass(frozen=True, slots=True)
class _Entry:
    route: Route
    method: str
    path: re.Pattern[str]
    # Fewer greedy and fewer plain parameters first.
    rank: tuple[int, int, bool]


class RouteTable:
    """The routes of one HTTP API."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._entries = sorted(map(_entry, routes), key=lambda entry: entry.rank)

    def has_path(self, path: str) -> bool:
        """Whether the API owns a path, for whatever method."""
        return any(entry.path.fullmatch(path) for entry in self._entries)

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """Return the route and its path parameters; HEAD is a method like any other."""
        for entry in self._entries:
            if entry.method in {method, "ANY"} and (match := entry.path.fullmatch(path)):
                return entry.route, match.groupdict()
        return None


def _entry(route: Route) -> _Entry:
    if route.key == "$default":
        return _Entry(route, "ANY", re.compile(".*", re.DOTALL), (2, 0, True))
    method, _, path = route.key.partition(" ")
    if not path.startswith("/"):
        raise TemplateError(f"Not a route key: {route.key}")
    greedy = [match[2] == "+" for match in _PARAMETER.finditer(path)]
    pattern, end = "", 0
    for match in _PARAMETER.finditer(path):
        pattern += re.escape(path[end : match.start()])
        pattern += f"(?P<{match[1]}>{'.+' if match[2] else '[^/]+'})"
        end = match.end()
    rank = (sum(greedy), len(greedy), method == "ANY")
    return _Entry(route, method, re.compile(pattern + re.escape(path[end:])), rank)


class Gateway:
    """An ASGI application; paths that the API does not have go to `otherwise`, or get API Gateway's 404."""

    def __init__(
        self,
        routes: Iterable[Route],
        functions: Mapping[str, LambdaFunction],
        *,
        cors: Mapping[str, Any] | None = None,
        otherwise: ASGIApp | None = None,
    ) -> None:
        self._table = RouteTable(routes)
        self._functions = functions
        self._checks: dict[JwtAuthorizer, JwtCheck] = {}
        self._otherwise = otherwise
        self._api: ASGIApp = self._serve
        if cors:
            self._api = _with_cors(self._serve, cors)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection's request."""
        if scope["type"] == "http" and self._otherwise and not self._table.has_path(scope["path"]):
            await self._otherwise(scope, receive, send)
        elif scope["type"] == "http":
            await self._api(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        found = self._table.find(request.method, scope["path"])
        if found is None:
            response = _message(404, "Not Found")
        else:
            route, path_parameters = found
            event = event_of(await _http_request(request), route.key, path_parameters)
            response = await run_in_threadpool(self._answer, route, event)
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
        answer = Response(response.body, response.status)
        answer.raw_headers = [*headers, (b"content-length", str(len(response.body)).encode())]
        await answer(scope, receive, send)

    def _answer(self, route: Route, event: dict[str, Any]) -> HttpResponse:
        """Let the route's authorizer decide first; the function is not called for whom it refuses."""
        if route.authorizer:
            check = self._checks.setdefault(route.authorizer, JwtCheck(route.authorizer))
            try:
                claims = check.claims(event["headers"].get("authorization"))
            except Unauthorized:
                return _message(401, "Unauthorized", ("www-authenticate", "Bearer"))
            event["requestContext"]["authorizer"] = {"jwt": {"claims": claims, "scopes": None}}
        return self._invoke(route, event)

    def _invoke(self, route: Route, event: dict[str, Any]) -> HttpResponse:
        try:
            return response_of(self._functions[route.function_id].invoke(event))
        except MalformedAnswer as error:
            sys.stderr.write(f"{route.key}: {error}\n")
        except Exception:  # noqa: BLE001 - whatever a handler raises, Lambda reports and API Gateway answers 500
            traceback.print_exc()
        return _message(500, "Internal Server Error")


def _message(status: int, text: str, *headers: tuple[str, str]) -> HttpResponse:
    body = json.dumps({"message": text}).encode()
    return HttpResponse(status, (("content-type", "application/json"), *headers), body)


def _with_cors(application: ASGIApp, cors: Mapping[str, Any]) -> ASGIApp:
    return CORSMiddleware(
        application,
        allow_origins=cors.get("AllowOrigins", ()),
        allow_methods=cors.get("AllowMethods", ()),
        allow_headers=cors.get("AllowHeaders", ()),
        expose_headers=cors.get("ExposeHeaders", ()),
        allow_credentials=cors.get("AllowCredentials", False),
        max_age=int(cors.get("MaxAge", 0)),
    )


async def _http_request(request: Request) -> HttpRequest:
    return HttpRequest(
        request.method,
        request.scope["path"],
        request.scope["query_string"].decode("latin-1"),
        tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw),
        await request.body(),
        request.client.host if request.client else "127.0.0.1",
        f"HTTP/{request.scope['http_version']}",
    )
