"""An HTTP API of API Gateway as an ASGI application: finds the route, checks the token, invokes the function."""

import json
import re
import sys
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from local.aws.intrinsics import TemplateError
from local.aws.lambda_function import LambdaFunction
from local.aws.template import JwtAuthorizer, Route
from local.gateway.authorizer import JwtCheck, Unauthorized
from local.gateway.event import HttpRequest, HttpResponse, MalformedResponse, event_of, response_of

_PARAMETER = re.compile(r"\{(\w+)(\+?)\}")


@dataclass(frozen=True, slots=True)
class RouteMatch:
    """The route of a request, with the values of its path parameters."""

    route: Route
    path_parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _RankedRoute:
    route: Route
    method: str
    path: re.Pattern[str]
    # Routes with fewer greedy and fewer plain parameters first; a method before ANY.
    rank: tuple[int, int, bool]


class RouteTable:
    """The routes of one HTTP API; the most specific path wins, as in API Gateway."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes = sorted(map(_ranked, routes), key=lambda ranked: ranked.rank)

    def has_path(self, path: str) -> bool:
        """Whether the API has a route for a path, whatever the method."""
        return any(ranked.path.fullmatch(path) for ranked in self._routes)

    def find(self, method: str, path: str) -> RouteMatch | None:
        """Return the matching route; HEAD is a method like any other."""
        for ranked in self._routes:
            if ranked.method in {method, "ANY"} and (match := ranked.path.fullmatch(path)):
                return RouteMatch(ranked.route, match.groupdict())
        return None


def _ranked(route: Route) -> _RankedRoute:
    if route.key == "$default":
        return _RankedRoute(route, "ANY", re.compile(".*", re.DOTALL), (2, 0, True))
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
    return _RankedRoute(route, method, re.compile(pattern + re.escape(path[end:])), rank)


class Gateway:
    """The ASGI application. Paths without a route go to `otherwise`, or get API Gateway's 404."""

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
            try:
                received = await _http_request(request)
            except ClientDisconnect:
                return
            event = event_of(received, found.route.key, found.path_parameters)
            response = await run_in_threadpool(self._authorize_and_invoke, found.route, event)
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
        sent = Response(response.body, response.status)
        sent.raw_headers = [*headers, (b"content-length", str(len(response.body)).encode())]
        await sent(scope, receive, send)

    def _authorize_and_invoke(self, route: Route, event: dict[str, Any]) -> HttpResponse:
        """Check the route's authorizer first; the function is invoked only for requests that pass."""
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
        except MalformedResponse as error:
            sys.stderr.write(f"{route.key}: {error}\n")
        except Exception:  # noqa: BLE001 - API Gateway returns 500 for any failed invocation
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
