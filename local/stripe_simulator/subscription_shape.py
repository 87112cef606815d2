"""The fields of a subscription that nobody has changed yet."""

import copy

from local.stripe_simulator.ids import new_id
from local.stripe_simulator.simulator import Call
from local.stripe_simulator.store import StripeObject

_NULLS = (
    *("application", "application_fee_percent", "billing_cycle_anchor_config", "billing_thresholds", "cancel_at"),
    *("canceled_at", "customer_account", "days_until_due", "default_payment_method", "default_source", "description"),
    *("ended_at", "latest_invoice", "next_pending_invoice_item_invoice", "on_behalf_of", "pause_collection"),
    *("pending_invoice_item_interval", "pending_setup_intent", "pending_update", "presentment_details", "schedule"),
    *("status_details", "test_clock", "transfer_data", "trial_end", "trial_start"),
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
    "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}},
}


def blank(call: Call) -> StripeObject:
    """A subscription of today's shape, active, with no item yet."""
    subscription_id, params, started = new_id("sub"), call.params, call.params.get("backdate_start_date", call.now)
    items_url = f"/v1/subscription_items?subscription={subscription_id}"
    subscription = (
        {"id": subscription_id, "object": "subscription"}
        | copy.deepcopy(_DEFAULTS)
        | {
            "billing_cycle_anchor": started,
            "billing_mode": _billing_mode(call),
            "created": call.now,
            "customer": params["customer"],
            "items": {"object": "list", "data": [], "has_more": False, "total_count": 0, "url": items_url},
            "start_date": started,
        }
    )
    for name in ("description", "metadata", "trial_settings"):
        subscription[name] = params.get(name) or subscription[name]
    subscription["payment_settings"] |= params.get("payment_settings", {})
    return subscription


def _billing_mode(call: Call) -> StripeObject:
    mode = call.params.get("billing_mode", {"type": "flexible"})
    if mode["type"] != "flexible":
        return {"flexible": None, "type": mode["type"], "updated_at": None}
    flexible = {"proration_discounts": "included", **mode.get("flexible", {})}
    return {"flexible": flexible, "type": "flexible", "updated_at": call.now}
