"""Keeps web pages of other origins away from the local servers.

A browser on this machine sends the requests of any web page to 127.0.0.1, and the owner of a domain can point its name
there (DNS rebinding). The stack holds secrets, so every one of its servers checks `Host` and `Origin`. Programs such as
Stripe's CLI and libraries send no `Origin`. Browsers also send `Sec-Fetch-*` with every request to this machine, which
says where a request without `Origin` comes from.
"""

from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_HOSTS = frozenset({"127.0.0.1", "localhost"})


def refusal_reason(
    method: str,
    headers: Mapping[str, str],
    *,
    allowed_origins: Collection[str] = (),
    links: bool = True,
) -> str | None:
    """Return why a request is refused with 403, or `None`. Names of headers are lower case.

    `links` allows to follow a link or a redirect from another site, which lets no page read the response.
    """
    host = headers.get("host", "")
    if _hostname(host) not in _HOSTS:
        return "This server answers only at 127.0.0.1 and localhost.\n"
    origin = headers.get("origin")
    if origin is not None:
        is_ours = origin == f"http://{host}" or origin in allowed_origins
        return None if is_ours else "This server does not answer web pages of another origin.\n"
    if headers.get("sec-fetch-site", "none") in {"none", "same-origin"}:
        return None
    is_link = method in {"GET", "HEAD"} and headers.get("sec-fetch-dest") == "document"
    return None if links and is_link else "This server does not answer web pages of another origin.\n"


def _hostname(host: str) -> str | None:
    try:
        return None if "@" in host else urlsplit(f"//{host}").hostname
    except ValueError:
        return None


class LocalGuard:
    """ASGI middleware that refuses requests from web pages of other origins, except `allowed_origins`."""

    def __init__(self, app: ASGIApp, allowed_origins: Collection[str] = ()) -> None:
        self._app = app
        self._allowed_origins = frozenset(allowed_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request or a web socket, or pass it on."""
        reason = None
        if scope["type"] in {"http", "websocket"}:
            reason = refusal_reason(
                scope.get("method", "GET"), Headers(scope=scope), allowed_origins=self._allowed_origins
            )
        if reason is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await PlainTextResponse(reason, 403)(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008, "reason": reason.strip()})
