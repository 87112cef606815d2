"""What the hosted pages share: templates, and amounts and dates as people read them."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from local.stripe_simulator.resources.account import BUSINESS_NAME
from local.stripe_simulator.resources.passing_time import advance
from local.stripe_simulator.simulator import Call, Simulator
from local.stripe_simulator.store import StripeObject

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=StrictUndefined
)
# `same-origin` and not `no-referrer`: with the latter browsers send `Origin: null` with the pages' own forms.
_HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "same-origin", "X-Frame-Options": "DENY"}
_WITHOUT_CENTS = {"jpy", "krw", "vnd", "clp"}


def visitor(request: Request) -> Call:
    """Return the call of a click on a hosted page, which is no API request, so that its events name none."""
    simulator: Simulator = request.app.state.simulator
    advance(simulator)
    return Call(simulator)


def render(template: str, status: int = 200, **context: Any) -> Response:
    """Return an HTML page that may be neither cached nor framed."""
    html = _TEMPLATES.get_template(template).render(business=BUSINESS_NAME, **context)
    return HTMLResponse(html, status, _HEADERS)


@dataclass(frozen=True)
class Link:
    """A link on a page."""

    url: str
    text: str


def message(title: str, text: str, status: int = 200, link: Link | None = None) -> Response:
    """Return a page with a message and nothing else but a link."""
    return render("stripe_message.html", status, title=title, text=text, link=link)


def fields(form: FormData) -> dict[str, str]:
    """Return the text fields of a form."""
    return {name: value for name, value in form.items() if isinstance(value, str)}


def price_text(price: StripeObject, quantity: int | None) -> str:
    """Return a price as `12.00 EUR / month x 3`."""
    recurring = price["recurring"]
    count, interval = recurring["interval_count"], recurring["interval"]
    every = interval if count == 1 else f"{count} {interval}s"
    if price["unit_amount_decimal"] is None:
        amount = "Tiered"
    else:
        minor = Decimal(price["unit_amount_decimal"])
        cents = price["currency"] not in _WITHOUT_CENTS
        # At least two places where there are cents, and more for fractions of a cent.
        amount = f"{minor.scaleb(-2) if cents else minor} {price['currency'].upper()}"
    times = f" x {quantity}" if quantity and quantity > 1 else ""
    return f"{amount} / {every}{times}"


def amount_text(amount: int, currency: str) -> str:
    """Return an amount as `12.00 EUR`."""
    minor = Decimal(amount)
    return f"{minor if currency in _WITHOUT_CENTS else minor.scaleb(-2)} {currency.upper()}"


def date_text(moment: int) -> str:
    """Return a day as `1 August 2024`."""
    day = datetime.fromtimestamp(moment, UTC)
    return f"{day.day} {day:%B %Y}"
