"""Phases of a subscription schedule: read from a request, and turned into parameters of their subscription."""

from typing import Any

from local.stripe_simulator.errors import ApiError, exclusive, missing
from local.stripe_simulator.resources import catalog, payment_methods, subscriptions
from local.stripe_simulator.resources.periods import add_interval, period_end
from local.stripe_simulator.simulator import Call
from local.stripe_simulator.store import StripeObject

_NULLS = (
    *("application_fee_percent", "billing_cycle_anchor", "billing_thresholds", "collection_method"),
    *("default_payment_method", "description", "invoice_settings", "on_behalf_of", "transfer_data", "trial_end"),
)
# What a phase takes over as it is given.
_GIVEN = ("billing_cycle_anchor", "collection_method", "default_payment_method", "description", "proration_behavior")
_INVOICE_SETTINGS = ("account_tax_ids", "custom_fields", "days_until_due", "description", "footer", "issuer")


def current_of(subscription: StripeObject) -> StripeObject:
    """Return the phase that a subscription without a schedule is in."""
    items = [
        _item(
            one["price"], {"metadata": one["metadata"], **({"quantity": one["quantity"]} if "quantity" in one else {})}
        )
        for one in subscription["items"]["data"]
    ]
    return _phase(subscription["currency"], items, subscription["start_date"], period_end(subscription))


def read(call: Call, customer: str, given: list[dict[str, Any]], start: int) -> list[StripeObject]:
    """Return the phases that a request describes, the first of which begins at `start` unless it says otherwise."""
    if not given:
        raise missing("phases")
    phases: list[StripeObject] = []
    for place, one in enumerate(given):
        phases.append(_read(call, customer, one, start, f"phases[{place}]"))
        start = phases[-1]["end_date"]
    return phases


def _read(call: Call, customer: str, given: dict[str, Any], start: int, param: str) -> StripeObject:
    start = _moment(call, given.get("start_date", start))
    prices = [
        subscriptions.price_of(call, item, f"{param}[items][{place}]") for place, item in enumerate(given["items"])
    ]
    if not prices:
        raise missing(f"{param}[items]")
    currency = prices[0]["currency"]
    if any(price["currency"] != currency for price in prices):
        raise ApiError("All prices on a subscription must use the same currency.", param=f"{param}[items]")
    if (given.get("currency") or currency).lower() != currency:
        message = f"The price specified only supports `{currency}`. This doesn't match the expected currency: "
        raise ApiError(f"{message}`{given['currency']}`.", param=f"{param}[currency]")
    items = [_item(price, item) for price, item in zip(prices, given["items"], strict=True)]
    phase = _phase(currency, items, start, _end(call, given, start, param))
    phase |= {name: given[name] for name in _GIVEN if given.get(name)}
    phase["metadata"] = given.get("metadata") or {}
    if phase["default_payment_method"]:
        payment_methods.require_attached(
            call, phase["default_payment_method"], customer, f"{param}[default_payment_method]"
        )
    if given.get("invoice_settings"):
        phase["invoice_settings"] = dict.fromkeys(_INVOICE_SETTINGS) | given["invoice_settings"]
    phase["trial_end"] = _trial_end(given, phase, param)
    phase["discounts"] = _discounts(call, customer, given.get("discounts"), f"{param}[discounts]")
    return phase


def _end(call: Call, given: dict[str, Any], start: int, param: str) -> int:
    if "duration" in given and "end_date" in given:
        raise exclusive(f"{param}[duration]", f"{param}[end_date]")
    if "duration" in given:
        duration = given["duration"]
        return add_interval(start, duration["interval"], duration.get("interval_count", 1))
    if "end_date" not in given:
        raise missing(f"{param}[end_date]")
    end = _moment(call, given["end_date"])
    if end <= start:
        raise ApiError("The end date of a phase must be after its start date.", param=f"{param}[end_date]")
    return end


def _moment(call: Call, given: int | str) -> int:
    return call.now if given == "now" else int(given)


def _trial_end(given: dict[str, Any], phase: StripeObject, param: str) -> int | None:
    if given.get("trial") and given.get("trial_end"):
        raise exclusive(f"{param}[trial]", f"{param}[trial_end]")
    end = phase["end_date"] if given.get("trial") else given.get("trial_end")
    if end and not phase["start_date"] < end <= phase["end_date"]:
        raise ApiError("The trial of a phase must end within the phase.", param=f"{param}[trial_end]")
    return end


def _discounts(call: Call, customer: str, given: list[dict[str, Any]] | str | None, param: str) -> list[StripeObject]:
    for place, one in enumerate(given or []):
        if isinstance(one, dict):
            catalog.coupon_of(call, one, f"{param}[{place}]", customer)
    empty = dict.fromkeys(("coupon", "discount", "promotion_code"))
    return [empty | one for one in given or [] if isinstance(one, dict)]


def _phase(currency: str, items: list[StripeObject], start: int, end: int) -> StripeObject:
    return dict.fromkeys(_NULLS) | {
        "add_invoice_items": [],
        "currency": currency,
        "default_tax_rates": [],
        "discounts": [],
        "end_date": end,
        "items": items,
        "metadata": {},
        "proration_behavior": "create_prorations",
        "start_date": start,
    }


def _item(price: StripeObject, given: dict[str, Any]) -> StripeObject:
    item: StripeObject = {
        "billing_thresholds": None,
        "discounts": [],
        "metadata": given.get("metadata") or {},
        "tax_rates": [],
    }
    is_metered = price["recurring"]["usage_type"] == "metered"
    quantity = {} if is_metered else {"quantity": given.get("quantity", 1)}
    return item | {"plan": price["id"], "price": price["id"]} | quantity


# What a phase means for its subscription.


def creation_of(schedule: StripeObject, phase: StripeObject, now: int) -> dict[str, Any]:
    """Return the parameters that create the subscription of a schedule whose first phase begins."""
    backdated = {"backdate_start_date": phase["start_date"]} if phase["start_date"] < now else {}
    items = [_given_item(one) for one in phase["items"]]
    billing_mode = {"type": schedule["billing_mode"]["type"]}
    if schedule["billing_mode"].get("flexible"):
        billing_mode["flexible"] = schedule["billing_mode"]["flexible"]
    return (
        {"customer": schedule["customer"], "billing_mode": billing_mode, "items": items}
        | backdated
        | _settings(schedule, phase)
    )


def changes_of(schedule: StripeObject, phase: StripeObject, subscription: StripeObject) -> dict[str, Any]:
    """Return the parameters that bring a subscription into a phase; its items are replaced one by one."""
    own = [item["id"] for item in subscription["items"]["data"]]
    items = [
        _given_item(one) | ({"id": own[place]} if place < len(own) else {}) for place, one in enumerate(phase["items"])
    ]
    gone = [{"id": one, "deleted": True} for one in own[len(items) :]]
    anchor = phase["billing_cycle_anchor"] or schedule["default_settings"]["billing_cycle_anchor"]
    restart = {"billing_cycle_anchor": {"type": "now"}} if anchor == "phase_start" else {}
    return {"items": [*items, *gone]} | restart | _settings(schedule, phase)


def _given_item(item: StripeObject) -> dict[str, Any]:
    return {name: item[name] for name in ("metadata", "price", "quantity") if item.get(name)}


def _settings(schedule: StripeObject, phase: StripeObject) -> dict[str, Any]:
    """Return what a phase sets beside the items, or else the schedule's default settings."""
    defaults = schedule["default_settings"]
    days = (phase["invoice_settings"] or {}).get("days_until_due") or defaults["invoice_settings"]["days_until_due"]
    method = phase["collection_method"] or defaults["collection_method"]
    settings = {
        "collection_method": method,
        "days_until_due": days if method == "send_invoice" else None,
        "default_payment_method": phase["default_payment_method"] or defaults["default_payment_method"],
        "description": phase["description"] or defaults["description"],
        "discounts": [{name: value for name, value in one.items() if value} for one in phase["discounts"]],
        "metadata": phase["metadata"],
        "trial_end": phase["trial_end"],
    }
    return {name: value for name, value in settings.items() if value}
