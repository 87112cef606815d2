"""Keeps other web sites out of the demo: it has a browser's trust, because it is on this machine."""

from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp

from local.places import Places

_HOSTS = frozenset({"127.0.0.1", "localhost"})
_HEADERS = {
    # `same-origin` and not `no-referrer`: with the latter browsers send `Origin: null` with our own forms.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
_POLICY = (
    "default-src 'none'; style-src 'self'; img-src data:; frame-src 'self'; form-action 'self' {}; "
    "frame-ancestors 'none'; base-uri 'none'"
)
# Where a form of ours may end up: some browsers hold a form's redirects to `form-action` too.
_STRIPES_PAGES = "https://billing.stripe.com https://checkout.stripe.com"


class SiteGuard(BaseHTTPMiddleware):
    """Refuses other host names (DNS rebinding) and writes that another site's page sends (CSRF)."""

    def __init__(self, app: ASGIApp, places: Places) -> None:
        super().__init__(app)
        self._policy = _POLICY.format(places.stripe_url if places.stripe_port else _STRIPES_PAGES)

    async def dispatch(self, request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        """Answer 400 to a foreign host, 403 to a foreign write, else pass on with safe headers."""
        host = request.headers.get("host", "")
        if urlsplit(f"//{host}").hostname not in _HOSTS:
            return PlainTextResponse("This demo only answers at 127.0.0.1 and localhost.\n", 400)
        if request.method not in {"GET", "HEAD"} and _is_foreign(request, host):
            return PlainTextResponse("This write comes from another web site.\n", 403)
        response = await call_next(request)
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers.setdefault("Content-Security-Policy", self._policy)
        return response


def _is_foreign(request: Request, host: str) -> bool:
    """Browsers send `Origin` with every POST, and say `Sec-Fetch-Site`; programs send neither."""
    origin = request.headers.get("origin")
    if origin is not None and origin != f"http://{host}":
        return True
    return request.headers.get("sec-fetch-site", "none") not in {"same-origin", "none"}
