"""Renders the demo site's pages, with filters for times, prices and the states of a subscription."""

import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.filters import do_mark_safe
from starlette.responses import HTMLResponse

from shared.i18n import ENGLISH
from shared.stripe.money import written_amount
from shared.stripe.subscription import Subscription, SubscriptionItem

TEMPLATES = Path(__file__).parent / "templates"

_BEHAVIORS = {
    "void": "invoices voided",
    "keep_as_draft": "invoices kept as drafts",
    "mark_uncollectible": "invoices uncollectible",
}
_REASONS = {
    "pause_requested": "on request",
    "trial_end_without_payment_method": "the trial ended without a card",
}


def describe_site(*, account: str) -> None:
    """Say which Stripe account the pages are about; an empty name means the simulator."""
    _environment.globals.update(account=account, is_simulated=not account)


def page(name: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Render `site_<name>.html`."""
    text = _environment.get_template(f"site_{name}.html").render(now=time.time(), **values)
    return HTMLResponse(text, status)


def rendered(name: str, **values: Any) -> str:
    """Return the HTML of `site_<name>.html`, which is a part of a page."""
    return do_mark_safe(_environment.get_template(f"site_{name}.html").render(now=time.time(), **values).strip())


def moment(seconds: float | None) -> str:
    """Return a time in UTC, or a dash."""
    return "-" if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}"


def day(seconds: float | None) -> str:
    """Return a date in UTC, or a dash."""
    return "-" if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"


def price(item: SubscriptionItem) -> str:
    """Return a price such as `29.00 EUR a month`, or `3 x 29.00 EUR a month` for a quantity."""
    if item.unit_amount_decimal is None or item.currency is None:
        return "price not known"
    amount = written_amount(Decimal(item.unit_amount_decimal), item.currency).say(ENGLISH)
    every = f"every {item.interval_count} {item.interval}s" if item.interval_count > 1 else f"a {item.interval}"
    quantity = f"{item.quantity:,} x " if item.quantity not in (None, 1) else ""
    return f"{quantity}{amount} {every}{', metered' if item.usage_type == 'metered' else ''}"


def state(subscription: Subscription) -> str:
    """Return the status, and whether collection is paused."""
    if subscription.pause_kind == "collection":
        return f"{subscription.status}, collection paused"
    return subscription.status.replace("_", " ")


def detail(subscription: Subscription) -> str:
    """Return what else matters about the state: why, how and until when, and whether the subscription ends."""
    if subscription.ended:
        return ""
    pause, ends = _pause_detail(subscription), f"ends {day(subscription.cancel_at)}" if subscription.cancel_at else ""
    return f"{pause}; the subscription {ends}" if pause and ends else pause or ends


def _pause_detail(subscription: Subscription) -> str:
    pause = subscription.pause_collection
    if subscription.status == "paused":
        return _REASONS.get(subscription.paused_reason or "", subscription.paused_reason or "no reason given")
    if pause:
        until = f"until {day(pause.resumes_at)}" if pause.resumes_at else "without an end"
        return f"{_BEHAVIORS.get(pause.behavior, pause.behavior)}, {until}"
    return ""


def tone(subscription: Subscription) -> str:
    """Return the colour of a state: good, wait, bad or over."""
    if subscription.ended:
        return "over"
    if subscription.pause_kind:
        return "wait"
    return "good" if subscription.status in {"active", "trialing"} and not subscription.cancel_at else "bad"


def _make_environment() -> Environment:
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)
    environment.filters.update(moment=moment, day=day, price=price, state=state, detail=detail, tone=tone)
    return environment


_environment = _make_environment()
describe_site(account="")
