"""Keeps web pages of other origins away from the simulator.

A browser on this machine sends the requests of any web page to 127.0.0.1, and the owner of a domain can point its name
there (DNS rebinding). Stripe's API needs a key, but the hosted pages and `/_simulator` do not. Stripe's CLI and
libraries send no `Origin`. Browsers also send `Sec-Fetch-*`, which says where a request without `Origin` comes from.
"""

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class Guard:
    """ASGI middleware: 403 for other hosts and for other origins; links to hosted pages may be followed.

    `hosts` are the names beside those of this machine at which the simulator may be reached.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] = ()) -> None:
        self._app = app
        self._hosts = _LOOPBACK | set(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request or a web socket, or pass it on."""
        if scope["type"] not in {"http", "websocket"} or self._is_allowed(scope):
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            text = (
                f"The simulator serves only requests to {', '.join(sorted(self._hosts))}, and no web pages of another "
                "origin. --host and --public-url add to these names.\n"
            )
            await PlainTextResponse(text, 403)(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    def _is_allowed(self, scope: Scope) -> bool:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if _hostname(host) not in self._hosts:
            return False
        if "origin" in headers:
            return headers["origin"] == f"http://{host}"
        if headers.get("sec-fetch-site", "none") in {"none", "same-origin"}:
            return True
        return scope.get("method", "GET") in {"GET", "HEAD"} and headers.get("sec-fetch-dest") == "document"


def _hostname(host: str) -> str | None:
    try:
        return None if "@" in host else urlsplit(f"//{host}").hostname
    except ValueError:
        return None
