"""Keeps web pages of other origins away from the simulator.

A browser on this machine sends the requests of any web page to 127.0.0.1, and the owner of a domain can point its name
there (DNS rebinding). Stripe's API needs a key, but the hosted pages and `/_simulator` do not. Stripe's CLI and
libraries send no `Origin`. Browsers also send `Sec-Fetch-*`, which says where a request without `Origin` comes from.
"""

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_HOSTS = frozenset({"127.0.0.1", "localhost"})


class Guard:
    """ASGI middleware: 403 for other hosts and for other origins; links to hosted pages may be followed."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request or a web socket, or pass it on."""
        if scope["type"] not in {"http", "websocket"} or _is_allowed(scope.get("method", "GET"), Headers(scope=scope)):
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            text = "The simulator answers only at 127.0.0.1 and localhost, and no web pages of another origin.\n"
            await PlainTextResponse(text, 403)(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})


def _is_allowed(method: str, headers: Headers) -> bool:
    host = headers.get("host", "")
    if _hostname(host) not in _HOSTS:
        return False
    if "origin" in headers:
        return headers["origin"] == f"http://{host}"
    if headers.get("sec-fetch-site", "none") in {"none", "same-origin"}:
        return True
    return method in {"GET", "HEAD"} and headers.get("sec-fetch-dest") == "document"


def _hostname(host: str) -> str | None:
    try:
        return None if "@" in host else urlsplit(f"//{host}").hostname
    except ValueError:
        return None
