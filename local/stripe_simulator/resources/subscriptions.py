"""Subscriptions: created, listed and canceled, with their items and billing periods."""

import copy
from collections import Counter
from typing import Any

from local.stripe_simulator.answers import list_page
from local.stripe_simulator.errors import ApiError, exclusive, in_the_past, missing, one_time
from local.stripe_simulator.limits import MOST_AT_TEST_CLOCK
from local.stripe_simulator.parameters import apply_fields
from local.stripe_simulator.plans import plan_of
from local.stripe_simulator.resources import billing, catalog, payment_methods, proration
from local.stripe_simulator.resources.events import emit
from local.stripe_simulator.resources.periods import period_end, set_period
from local.stripe_simulator.resources.status import ENDED, end
from local.stripe_simulator.search import search
from local.stripe_simulator.simulator import Call
from local.stripe_simulator.store import StripeObject, new_id

_DAY = 86_400
_YEAR = 366 * _DAY
_MOST_ITEMS = 20
_MOST_SUBSCRIPTIONS = 500


def create(call: Call) -> StripeObject:
    """`POST /v1/subscriptions`."""
    params = call.params
    for name in ("customer", "items"):
        if name not in params:
            raise missing(name)
    customer = call.store.customers.get(params["customer"], "customer")
    _check_count(call, customer)
    subscription = blank_subscription(call)
    subscription["test_clock"] = customer["test_clock"]
    _apply_billing(call, subscription)
    _apply_trial(call, subscription)
    entries = enumerate(params["items"])
    items = [build_item(call, one, subscription, f"items[{place}]") for place, one in entries]
    _check_items(items)
    subscription["items"] |= {"data": items, "total_count": len(items)}
    _apply_cancellation(call, subscription)
    currency = items[0]["price"]["currency"]
    if params.get("currency", currency).lower() != currency:
        message = f"The price specified only supports `{currency}`. This doesn't match the expected currency: "
        raise ApiError(f"{message}`{params['currency']}`.", param="items[0][price]")
    subscription["currency"] = currency
    subscription["discounts"] = catalog.discounts_of(call, subscription, params.get("discounts", []))
    try:
        invoice = billing.first_invoice(call, subscription)
    except ApiError:
        catalog.give_back(call, subscription["discounts"])
        raise
    customer["currency"] = currency
    call.store.subscriptions.add(subscription)
    emit(call, "customer.subscription.created", subscription)
    billing.collect_first(call, subscription, invoice)
    return subscription


def _check_count(call: Call, customer: StripeObject) -> None:
    """Raise Stripe's error for more subscriptions than a customer may have; the words about test clocks are our own."""
    living = sum(one["status"] not in ENDED for one in call.store.subscriptions.of_customer(customer["id"]))
    if living >= _MOST_SUBSCRIPTIONS:
        raise ApiError(
            f"Customer {customer['id']} already has the maximum {_MOST_SUBSCRIPTIONS} current subscriptions",
            code="customer_max_subscriptions",
            param="customer",
        )
    if customer["test_clock"] and living >= MOST_AT_TEST_CLOCK:
        raise ApiError(
            f"A customer of a test clock can have at most {MOST_AT_TEST_CLOCK} subscriptions.", param="customer"
        )


def _check_items(items: list[StripeObject]) -> None:
    if not items:
        raise ApiError("A subscription must have at least one active item.", param="items")
    if len(items) > _MOST_ITEMS:
        raise ApiError(f"A subscription can have at most {_MOST_ITEMS} items.", param="items")
    if len({item["price"]["currency"] for item in items}) > 1:
        raise ApiError("All prices on a subscription must use the same currency.", param="items")
    (price, count), *_ = Counter(item["price"]["id"] for item in items).most_common(1)
    if count > 1:
        raise ApiError(f"Cannot add multiple subscription items with the same plan: {price}", param="items")


def _apply_billing(call: Call, subscription: StripeObject) -> None:
    params = call.params
    apply_collection(subscription, params)
    if "default_payment_method" in params:
        method = params["default_payment_method"]
        payment_methods.require_attached(call, method, subscription["customer"], "default_payment_method")
        subscription["default_payment_method"] = method
    if params.get("payment_behavior") == "pending_if_incomplete":
        raise ApiError(
            "`pending_if_incomplete` is only used with updates and cannot be passed when creating a Subscription.",
            param="payment_behavior",
        )


def apply_collection(subscription: StripeObject, params: dict[str, Any]) -> None:
    """Set `collection_method` and `days_until_due`, which depend on each other."""
    method = params.get("collection_method", subscription["collection_method"])
    days = params.get("days_until_due", subscription["days_until_due"])
    if method == "send_invoice" and days is None:
        raise ApiError(
            "If `collection_method` is `send_invoice`, `days_until_due` must be given.",
            code="parameter_missing",
            param="days_until_due",
        )
    subscription["collection_method"] = method
    subscription["days_until_due"] = days if method == "send_invoice" else None


def _apply_trial(call: Call, subscription: StripeObject) -> None:
    end = call.params.get("trial_end")
    if "trial_period_days" in call.params:
        end = call.now + call.params["trial_period_days"] * _DAY
    if end in {None, "now"}:
        return
    check_trial_end(call, end)
    subscription |= {"status": "trialing", "trial_start": call.now, "trial_end": end, "billing_cycle_anchor": end}


def check_trial_end(call: Call, moment: int) -> None:
    """Raise Stripe's error unless a trial ends in the next five years."""
    if moment <= call.now:
        raise in_the_past("trial_end")
    if moment > call.now + 5 * _YEAR:
        raise ApiError("Invalid timestamp: can be no more than five years in the future.", param="trial_end")


def _apply_cancellation(call: Call, subscription: StripeObject) -> None:
    check_cancellation(call)
    if call.params.get("cancel_at_period_end"):
        plan_cancellation(call, subscription, period_end(subscription), at_period_end=True)
    elif isinstance(call.params.get("cancel_at"), int):
        plan_cancellation(call, subscription, call.params["cancel_at"])


def check_cancellation(call: Call) -> None:
    """Raise Stripe's error for two ends at once, or for an end in the past."""
    cancel_at = call.params.get("cancel_at")
    if cancel_at and call.params.get("cancel_at_period_end"):
        raise exclusive("cancel_at", "cancel_at_period_end")
    if isinstance(cancel_at, int) and cancel_at <= call.now:
        raise in_the_past("cancel_at")


def plan_cancellation(
    call: Call, subscription: StripeObject, cancel_at: int | None, *, at_period_end: bool = False
) -> None:
    """Set the time at which the subscription ends, or clear it (null)."""
    subscription["cancel_at"] = cancel_at
    subscription["cancel_at_period_end"] = at_period_end
    subscription["canceled_at"] = call.now if cancel_at else None
    subscription["cancellation_details"]["reason"] = "cancellation_requested" if cancel_at else None


def retrieve(call: Call) -> StripeObject:
    """`GET /v1/subscriptions/{id}`."""
    return call.store.subscriptions.get(call.ids["id"])


def list_subscriptions(call: Call) -> StripeObject:
    """`GET /v1/subscriptions`; without `status` everything that is not canceled.

    Those of a test clock are listed only when it or their customer is named.
    """
    params = call.params
    customer = params.get("customer")
    if customer and customer not in call.simulator.deleted_customers:
        call.store.customers.get(customer, "customer")

    def keep(one: StripeObject) -> bool:
        prices = {item["price"]["id"] for item in one["items"]["data"]}
        return (
            _status_matches(one["status"], params.get("status"))
            and params.get("collection_method") in {None, one["collection_method"]}
            and ("price" not in params or params["price"] in prices)
            and (one["test_clock"] == params.get("test_clock") or (bool(customer) and "test_clock" not in params))
        )

    return list_page(call.store.subscriptions, params, "/v1/subscriptions", keep, customer)


def search_subscriptions(call: Call) -> StripeObject:
    """`GET /v1/subscriptions/search`."""
    return search(call, call.store.subscriptions, "subscriptions")


def _status_matches(status: str, wanted: str | None) -> bool:
    if wanted is None:
        return status != "canceled"
    if wanted == "ended":
        return status in ENDED
    return wanted in {"all", status}


def cancel(call: Call, reason: str = "cancellation_requested") -> StripeObject:
    """`DELETE /v1/subscriptions/{id}`: canceled at once."""
    subscription = call.store.subscriptions.get(call.ids["id"])
    if subscription["status"] in ENDED:
        raise ApiError(f"No such subscription: '{subscription['id']}'", status=404, code="resource_missing", param="id")
    if call.params.get("prorate"):
        billing.add_pending(call, subscription, proration.credits_for(call, subscription, call.now))
    if call.params.get("invoice_now") and call.simulator.pending_lines.get(subscription["id"]):
        billing.bill_now(call, subscription, [])
    billing.stop_collecting(call, subscription)
    return end(call, subscription, reason, call.params.get("cancellation_details", {}))


# The object and its items.

_NULLS = (
    *("application", "application_fee_percent", "billing_cycle_anchor_config", "billing_thresholds", "cancel_at"),
    *("canceled_at", "customer_account", "days_until_due", "default_payment_method", "default_source", "description"),
    *("ended_at", "latest_invoice", "next_pending_invoice_item_invoice", "on_behalf_of", "pause_collection"),
    *("pending_invoice_item_interval", "pending_setup_intent", "pending_update", "schedule"),
    *("test_clock", "transfer_data", "trial_end", "trial_start"),
)

_DEFAULTS: StripeObject = dict.fromkeys(_NULLS) | {
    "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
    "billing_schedules": [],
    "cancel_at_period_end": False,
    "cancellation_details": {"comment": None, "feedback": None, "feedback_option": None, "reason": None},
    "collection_method": "charge_automatically",
    "default_tax_rates": [],
    "discounts": [],
    "invoice_settings": {
        "account_tax_ids": None,
        "custom_fields": None,
        "description": None,
        "footer": None,
        "issuer": {"type": "self"},
    },
    "livemode": False,
    "managed_payments": {"enabled": False},
    "metadata": {},
    "payment_settings": {
        "payment_method_options": None,
        "payment_method_types": None,
        "save_default_payment_method": "off",
    },
    "status": "active",
    "trial_settings": {"end_behavior": {"billing_cycle_anchor": None, "missing_payment_method": "create_invoice"}},
}


def blank_subscription(call: Call) -> StripeObject:
    """Return a new active subscription without items."""
    subscription_id, params, started = new_id("sub"), call.params, call.params.get("backdate_start_date", call.now)
    items_url = f"/v1/subscription_items?subscription={subscription_id}"
    subscription: StripeObject = (
        {"id": subscription_id, "object": "subscription"}
        | copy.deepcopy(_DEFAULTS)
        | {
            "billing_cycle_anchor": started,
            "billing_mode": billing_mode_of(call),
            "created": call.now,
            "customer": params["customer"],
            "items": {"object": "list", "data": [], "has_more": False, "total_count": 0, "url": items_url},
            "start_date": started,
        }
    )
    for name in ("description", "metadata"):
        subscription[name] = params.get(name) or subscription[name]
    subscription["trial_settings"]["end_behavior"] |= params.get("trial_settings", {}).get("end_behavior", {})
    subscription["payment_settings"] |= params.get("payment_settings", {})
    return subscription


def billing_mode_of(call: Call) -> StripeObject:
    """Return the billing mode of what a request creates; flexible unless it says otherwise."""
    mode = call.params.get("billing_mode", {"type": "flexible"})
    if mode["type"] != "flexible":
        return {"flexible": None, "type": mode["type"]}
    flexible = {"proration_discounts": "included", **mode.get("flexible", {})}
    return {"flexible": flexible, "type": "flexible", "updated_at": call.now}


def build_item(call: Call, given: dict[str, Any], subscription: StripeObject, param: str) -> StripeObject:
    """Return a new item in its current period."""
    item: StripeObject = {
        "id": new_id("si"),
        "object": "subscription_item",
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


def change_items(call: Call, subscription: StripeObject, given: list[dict[str, Any]]) -> None:
    """Apply `items` of an update: by id change or delete, without id add."""
    items = subscription["items"]["data"]
    for position, entry in enumerate(given):
        param = f"items[{position}]"
        if "id" not in entry:
            items.append(build_item(call, entry, subscription, param))
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
        if item["price"]["recurring"]["usage_type"] != "metered":
            apply_fields(item, entry, ("quantity",))
    _check_items(items)
    subscription["items"]["total_count"] = len(items)


def price_of(call: Call, given: dict[str, Any], param: str) -> StripeObject:
    """Return the recurring, active price that an item names or describes."""
    if "price_data" in given:
        return catalog.create_price(call.about("", **given["price_data"]))
    name = given.get("price") or given.get("plan")
    if not name:
        raise missing(f"{param}[price]")
    price = call.store.prices.get(name, f"{param}[price]")
    if price["type"] != "recurring":
        raise one_time(f"{param}[price]")
    if not price["active"]:
        raise ApiError(
            "The price specified is inactive. This field only accepts active prices.", param=f"{param}[price]"
        )
    return price


def set_price(item: StripeObject, price: StripeObject) -> None:
    """Set the price of an item; metered items have no quantity."""
    item["price"], item["plan"] = dict(price), plan_of(price)
    if price["recurring"]["usage_type"] == "metered":
        item.pop("quantity", None)
    else:
        item.setdefault("quantity", 1)
