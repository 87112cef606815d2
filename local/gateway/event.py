"""API Gateway's payload format 2.0: an HTTP request as an event, and a function's result as an HTTP response.

Sources: docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html; which content
types count as text is not documented there; it was measured on AWS by ministackorg/ministack (pull request 766).
"""

import json
import re
import time
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl
from uuid import uuid4

from local.aws.intrinsics import ACCOUNT_ID

API_ID = "local"
# Everything else is sent in base64, forms and bodies without a content type included.
_TEXT = re.compile(r"text/[\w.+-]+|application/(json|xml|javascript)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request as it arrived: `path` is decoded, `query` is not, header names are lower case and may repeat."""

    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    source_ip: str
    protocol: str


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """The response; `set-cookie` may repeat among the headers."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class MalformedResponse(Exception):
    """Raised when API Gateway would not accept a function's result."""


def event_of(request: HttpRequest, route_key: str, path_parameters: Mapping[str, str]) -> dict[str, Any]:
    """Return the event. As in API Gateway, fields that a request does not have are left out."""
    headers = _joined(request.headers)
    cookies = headers.pop("cookie", "")
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": route_key,
        "rawPath": request.path,
        "rawQueryString": request.query,
        "headers": headers | {"x-forwarded-for": request.source_ip, "x-forwarded-proto": "http"},
        "requestContext": _context(request, route_key, headers),
        "isBase64Encoded": False,
    }
    if cookies:
        event["cookies"] = [cookie.strip() for cookie in re.split("[;,]", cookies)]
    if request.query:
        event["queryStringParameters"] = _joined(parse_qsl(request.query, keep_blank_values=True))
    if path_parameters:
        event["pathParameters"] = dict(path_parameters)
    if request.body:
        is_text = _TEXT.fullmatch(headers.get("content-type", "").partition(";")[0].strip())
        event["isBase64Encoded"] = not is_text
        event["body"] = request.body.decode(errors="replace") if is_text else b64encode(request.body).decode()
    return event


def response_of(result: Any) -> HttpResponse:
    """Return the response for a function's result; a result without `statusCode` is the body of a 200.

    Raises `MalformedResponse` where API Gateway would return 500.
    """
    if not isinstance(result, dict) or "statusCode" not in result:
        body = result if isinstance(result, str) else json.dumps(result)
        return HttpResponse(200, (("content-type", "application/json"),), body.encode())
    body = result.get("body") or ""
    if not isinstance(body, str):
        raise MalformedResponse(f"The body is not a string but a {type(body).__name__}")
    try:
        status = int(result["statusCode"])
        content = b64decode(body, validate=True) if result.get("isBase64Encoded") else body.encode()
        headers = {str(name).lower(): _text(value) for name, value in (result.get("headers") or {}).items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise MalformedResponse(f"Not a response that API Gateway accepts: {error}") from error
    headers.setdefault("content-type", "text/plain;charset=utf-8")
    cookies = [("set-cookie", str(cookie)) for cookie in result.get("cookies") or []]
    return HttpResponse(status, (*headers.items(), *cookies), content)


def _context(request: HttpRequest, route_key: str, headers: Mapping[str, str]) -> dict[str, Any]:
    now = time.time()
    domain = headers.get("host", "")
    return {
        "accountId": ACCOUNT_ID,
        "apiId": API_ID,
        "domainName": domain,
        "domainPrefix": domain.partition(".")[0],
        "http": {
            "method": request.method,
            "path": request.path,
            "protocol": request.protocol,
            "sourceIp": request.source_ip,
            "userAgent": headers.get("user-agent", ""),
        },
        "requestId": str(uuid4()),
        "routeKey": route_key,
        "stage": "$default",
        "time": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
        "timeEpoch": int(now * 1000),
    }


def _joined(pairs: tuple[tuple[str, str], ...] | list[tuple[str, str]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in pairs:
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
