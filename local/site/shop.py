"""The demo site's page for customers, with the snippets of docs/how-to/embeds pasted as a shop would."""

import hashlib
import re
from base64 import b64encode
from collections.abc import Callable
from html import escape
from pathlib import Path
from urllib.parse import quote

import stripe
from jinja2.filters import do_mark_safe
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from local.site.access_events import AccessEventFeed
from local.site.backend import Backend, Customer
from local.site.pages import page, rendered

EMBEDS = Path(__file__).parents[2] / "docs" / "how-to" / "embeds"
_API, _TOKEN, _EMAIL = "https://api.example.com", '"/portal-token"', "jane%2Bshop%40example.com"
_SIGN_IN = '"/sign-in"'
# Makes the access token of the user with an address.
UserToken = Callable[[str], str]
_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
# Keeps the locked content and the events up to date; without it the page shows one moment.
_LIVE = """
const live = document.getElementById("live");
setInterval(async () => {
  const answer = await fetch(`${location.pathname}/live`).catch(() => null);
  const html = answer?.ok ? await answer.text() : live.innerHTML;
  if (html !== live.dataset.last) live.innerHTML = live.dataset.last = html;
}, 1000);
"""


class SiteShop:
    """The account page of a signed-in customer. It is a demo: the URL says who is signed in."""

    def __init__(self, backend: Backend, user_token: UserToken | None) -> None:
        self._backend, self._user_token = backend, user_token
        self._bus = backend.template.outputs()["AccessBusName"]
        self._events = AccessEventFeed(backend.aws, self._bus)

    def shop(self, request: Request) -> Response:
        """The links and the button, pasted unchanged except for the addresses."""
        customer = self._customer(request)
        api = self._backend.template.outputs()["ApiUrl"]
        snippets = {path.stem: self._pasted(path, api, customer) for path in EMBEDS.glob("*.html")}
        response = page(
            "shop",
            customer=customer,
            live=self._live(customer),
            script=do_mark_safe(_LIVE),
            portal=self._backend.portal_link(customer),
            pause=self._backend.portal_link(customer, flow="pause"),
            snippets={name: do_mark_safe(html) for name, html in snippets.items()},
            api=api,
        )
        scripts = (*_SCRIPT.findall(snippets["button"]), _LIVE)
        hashes = " ".join(f"'sha256-{_hash(script)}'" for script in scripts)
        response.headers["Content-Security-Policy"] = (
            f"default-src 'none'; style-src 'self'; img-src data:; script-src {hashes}; "
            f"connect-src 'self' {api}; form-action 'self' {api} {self._backend.addresses.stripe_pages}; "
            "frame-ancestors 'none'; base-uri 'none'"
        )
        return response

    def live(self, request: Request) -> Response:
        """What changes by itself: whether the content is locked, and the events that have come."""
        return HTMLResponse(self._live(self._customer(request)))

    def _live(self, customer: Customer) -> str:
        return rendered(
            "shop_live",
            customer=customer,
            access=self._backend.access(customer),
            events=self._events.of_customer(customer.id),
            api=self._backend.template.outputs()["ApiUrl"],
            bus=self._bus,
        )

    def token(self, request: Request) -> Response:
        """The shop's own endpoint behind the button: what `POST /portal/sessions` takes for the signed-in customer.

        That is a link token; where users sign in, it is the token of the customer's user.
        """
        customer = self._customer(request)
        if self._user_token:
            return JSONResponse({"token": self._user_token(customer.email)})
        return JSONResponse({"token": self._backend.portal_link(customer).partition("token=")[2]})

    def _customer(self, request: Request) -> Customer:
        try:
            return self._backend.customer(request.path_params["id"])
        except stripe.InvalidRequestError as error:
            raise HTTPException(404, str(error.user_message)) from error

    def _pasted(self, path: Path, api: str, customer: Customer) -> str:
        pasted = {
            _API: api,
            _TOKEN: f'"/customers/{escape(customer.id)}/portal-token"',
            # Without users, customers are chosen on the home page.
            _SIGN_IN: _SIGN_IN if self._user_token else '"/"',
            _EMAIL: quote(customer.email, safe=""),
        }
        text = path.read_text()
        for old, new in pasted.items():
            text = text.replace(old, new)
        return text


def _hash(script: str) -> str:
    return b64encode(hashlib.sha256(script.encode()).digest()).decode()
