"""The items of a subscription: what is sold, how often, and its current period."""

from typing import Any

from local.stripe_simulator import catalog
from local.stripe_simulator.errors import ApiError, missing
from local.stripe_simulator.ids import new_id
from local.stripe_simulator.metadata import apply_fields
from local.stripe_simulator.periods import period_at
from local.stripe_simulator.simulator import Call
from local.stripe_simulator.store import StripeObject


def price_of(call: Call, given: dict[str, Any], param: str) -> StripeObject:
    """The recurring, active price that an item names or describes."""
    if "price_data" in given:
        return catalog.create_price(call.about("", **given["price_data"]))
    name = given.get("price") or given.get("plan")
    if not name:
        raise missing(f"{param}[price]")
    price = call.store.prices.get(name, f"{param}[price]")
    if price["type"] != "recurring":
        raise ApiError(
            "The price specified is set to `type=one_time` but this field only accepts prices with `type=recurring`.",
            param=f"{param}[price]",
        )
    if not price["active"]:
        raise ApiError(
            "The price specified is inactive. This field only accepts active prices.", param=f"{param}[price]"
        )
    return price


def plan_of(price: StripeObject) -> StripeObject:
    """The older view of a price, which items still carry."""
    recurring = price["recurring"]
    return {
        "id": price["id"],
        "object": "plan",
        "active": price["active"],
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "billing_scheme": price["billing_scheme"],
        "created": price["created"],
        "currency": price["currency"],
        "interval": recurring["interval"],
        "interval_count": recurring["interval_count"],
        "livemode": False,
        "metadata": price["metadata"],
        "meter": recurring["meter"],
        "nickname": price["nickname"],
        "product": price["product"],
        "tiers_mode": price["tiers_mode"],
        "transform_usage": None,
        "trial_period_days": None,
        "usage_type": recurring["usage_type"],
    }


def build(call: Call, given: dict[str, Any], subscription: StripeObject, param: str) -> StripeObject:
    """A new item, whose period is that of the subscription's anchor or trial."""
    item: StripeObject = {
        "id": new_id("si"),
        "object": "subscription_item",
        "billed_until": None,
        "billing_thresholds": None,
        "created": call.now,
        "current_period_end": 0,
        "current_period_start": 0,
        "current_trial": None,
        "discounts": [],
        "metadata": given.get("metadata") or {},
        "quantity": given.get("quantity", 1),
        "subscription": subscription["id"],
        "tax_rates": [],
    }
    set_price(item, price_of(call, given, param))
    set_period(item, subscription, call.now)
    return item


def set_price(item: StripeObject, price: StripeObject) -> None:
    """Sell something else; metered items have no quantity."""
    item["price"], item["plan"] = dict(price), plan_of(price)
    if price["recurring"]["usage_type"] == "metered":
        item["quantity"] = None


def set_period(item: StripeObject, subscription: StripeObject, now: int) -> None:
    """The current period: the trial while it lasts, else counted from the anchor."""
    if subscription["trial_end"] and now < subscription["trial_end"]:
        start, end = subscription["trial_start"], subscription["trial_end"]
    else:
        recurring = item["price"]["recurring"]
        anchor = subscription["billing_cycle_anchor"]
        start, end = period_at(anchor, recurring["interval"], recurring["interval_count"], now)
    item["current_period_start"], item["current_period_end"] = start, end


def change(call: Call, subscription: StripeObject, given: list[dict[str, Any]]) -> None:
    """Apply `items` of an update: by id change or delete, without id add."""
    items = subscription["items"]["data"]
    for position, entry in enumerate(given):
        param = f"items[{position}]"
        if "id" not in entry:
            items.append(build(call, entry, subscription, param))
            continue
        item = next((one for one in items if one["id"] == entry["id"]), None)
        if item is None:
            raise ApiError(f"No such subscription_item: '{entry['id']}'", code="resource_missing", param=f"{param}[id]")
        if entry.get("deleted"):
            items.remove(item)
            continue
        if {"price", "price_data", "plan"} & entry.keys():
            set_price(item, price_of(call, entry, param))
            set_period(item, subscription, call.now)
        apply_fields(item, entry, ("quantity",))
    if not items:
        raise ApiError("A subscription must have at least one active item.", param="items")
    subscription["items"]["total_count"] = len(items)
