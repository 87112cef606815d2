"""Which of Stripe's parameters the simulator implements, so that it ignores none silently.

The official library's types say which parameters Stripe has. One that is not in these tables gets a 400 of the
simulator's own, with the code `not_implemented_by_simulator`. Implementing a parameter means: do it, and name it here.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any

from local.stripe_simulator.errors import not_implemented

_PAGE = "limit starting_after ending_before"
_PRORATION = "proration_behavior proration_date"
_SEARCH = "limit page query"
_ITEM = "metadata payment_behavior plan price price_data quantity"
_CUSTOMER = """
    address balance business_name description email individual_name invoice_prefix
    invoice_settings.custom_fields invoice_settings.default_payment_method invoice_settings.footer
    metadata name next_invoice_sequence phone preferred_locales shipping tax_exempt
"""
_PRODUCT = """
    active description images marketing_features metadata name package_dimensions shippable statement_descriptor
    tax_code unit_label url
"""
_SUBSCRIPTION = """
    cancel_at cancel_at_period_end collection_method days_until_due default_payment_method description discounts
    items.metadata items.plan items.price items.price_data items.quantity
    metadata payment_behavior payment_settings trial_end trial_settings
"""
_SCHEDULE = """
    default_settings.billing_cycle_anchor default_settings.collection_method default_settings.default_payment_method
    default_settings.description default_settings.invoice_settings.days_until_due end_behavior metadata pause_schedules
    phases.billing_cycle_anchor phases.collection_method phases.currency phases.default_payment_method
    phases.description phases.discounts.coupon phases.discounts.promotion_code phases.duration phases.end_date
    phases.invoice_settings.days_until_due phases.items.metadata phases.items.plan phases.items.price
    phases.items.price_data phases.items.quantity phases.metadata phases.proration_behavior phases.trial
    phases.trial_end
"""
_CONFIGURATION = "business_profile default_return_url features login_page metadata name"

# By operation, separated by blanks; `a.b` is field b of a, in lists too, and `a` alone is a with all of its fields.
PARAMETERS = {
    "POST /v1/customers": f"{_CUSTOMER} payment_method source test_clock",
    "GET /v1/customers": f"{_PAGE} created email test_clock",
    "GET /v1/customers/search": _SEARCH,
    "POST /v1/customers/{id}": _CUSTOMER,
    "GET /v1/customers/{id}/payment_methods": f"{_PAGE} type",
    "POST /v1/payment_methods": """
        billing_details card.cvc card.exp_month card.exp_year card.number card.token metadata type
    """,
    "GET /v1/payment_methods": f"{_PAGE} customer type",
    "POST /v1/payment_methods/{id}/attach": "customer",
    "POST /v1/products": f"""
        {_PRODUCT} id default_price_data.currency default_price_data.metadata default_price_data.recurring
        default_price_data.tax_behavior default_price_data.unit_amount default_price_data.unit_amount_decimal
    """,
    "GET /v1/products": f"{_PAGE} active created ids",
    "GET /v1/products/search": _SEARCH,
    "POST /v1/products/{id}": f"{_PRODUCT} default_price",
    "POST /v1/products/{id}/features": "entitlement_feature",
    "GET /v1/products/{id}/features": _PAGE,
    "POST /v1/entitlements/features": "lookup_key metadata name",
    "GET /v1/entitlements/features": f"{_PAGE} archived lookup_key",
    "POST /v1/entitlements/features/{id}": "active metadata name",
    "GET /v1/entitlements/active_entitlements": f"{_PAGE} customer",
    "POST /v1/prices": """
        active billing_scheme currency custom_unit_amount lookup_key metadata nickname product product_data recurring
        tax_behavior tiers tiers_mode transform_quantity unit_amount unit_amount_decimal
    """,
    "GET /v1/prices": f"{_PAGE} active created currency lookup_keys product recurring type",
    "GET /v1/prices/search": _SEARCH,
    "POST /v1/prices/{id}": "active lookup_key metadata nickname tax_behavior",
    "POST /v1/coupons": """
        amount_off currency duration duration_in_months id max_redemptions metadata name percent_off redeem_by
    """,
    "GET /v1/coupons": f"{_PAGE} created",
    "POST /v1/coupons/{id}": "metadata name",
    "POST /v1/promotion_codes": """
        active code customer expires_at max_redemptions metadata promotion restrictions.first_time_transaction
    """,
    "GET /v1/promotion_codes": f"{_PAGE} active code coupon created customer",
    "POST /v1/promotion_codes/{id}": "active metadata",
    "POST /v1/subscriptions": f"{_SUBSCRIPTION} backdate_start_date billing_mode currency customer trial_period_days",
    "GET /v1/subscriptions": f"{_PAGE} collection_method created customer price status test_clock",
    "GET /v1/subscriptions/search": _SEARCH,
    "POST /v1/subscriptions/{id}": f"""
        {_SUBSCRIPTION} {_PRORATION} billing_cycle_anchor cancellation_details items.deleted items.id pause_collection
    """,
    "GET /v1/subscription_items": f"{_PAGE} subscription",
    "POST /v1/subscription_items": f"{_ITEM} {_PRORATION} subscription",
    "POST /v1/subscription_items/{id}": f"{_ITEM} {_PRORATION}",
    "DELETE /v1/subscription_items/{id}": f"{_PRORATION} payment_behavior",
    "DELETE /v1/subscriptions/{id}": "cancellation_details invoice_now prorate",
    "POST /v1/subscriptions/{id}/pause": "bill_for.unused_time_from invoicing_behavior type",
    "POST /v1/subscriptions/{id}/resume": f"{_PRORATION} billing_cycle_anchor payment_behavior",
    "POST /v1/subscriptions/{id}/migrate": "billing_mode",
    "GET /v1/invoices": f"{_PAGE} collection_method created customer due_date status subscription",
    "POST /v1/invoices/{id}": """
        auto_advance automatically_finalizes_at collection_method custom_fields days_until_due default_payment_method
        description due_date footer metadata statement_descriptor
    """,
    "GET /v1/invoices/{id}/lines": _PAGE,
    "POST /v1/invoices/{id}/finalize": "auto_advance",
    "POST /v1/invoices/{id}/pay": "paid_out_of_band payment_method",
    "POST /v1/subscription_schedules": f"{_SCHEDULE} billing_mode customer from_subscription start_date",
    "GET /v1/subscription_schedules": f"{_PAGE} canceled_at completed_at created customer released_at scheduled",
    "POST /v1/subscription_schedules/{id}": f"{_SCHEDULE} phases.start_date proration_behavior",
    "POST /v1/subscription_schedules/{id}/cancel": "invoice_now prorate",
    "POST /v1/billing_portal/configurations": _CONFIGURATION,
    "GET /v1/billing_portal/configurations": f"{_PAGE} active is_default",
    "POST /v1/billing_portal/configurations/{id}": f"{_CONFIGURATION} active",
    "POST /v1/billing_portal/sessions": """
        after_expiration configuration customer flow_data locale on_behalf_of return_url
    """,
    "POST /v1/checkout/sessions": """
        cancel_url client_reference_id customer customer_email expires_at line_items.price line_items.price_data
        line_items.quantity locale metadata mode subscription_data.billing_mode subscription_data.description
        subscription_data.metadata subscription_data.trial_end subscription_data.trial_period_days
        subscription_data.trial_settings success_url
    """,
    "GET /v1/checkout/sessions": f"{_PAGE} created customer status subscription",
    "POST /v1/test_helpers/test_clocks": "customer frozen_time name",
    "GET /v1/test_helpers/test_clocks": _PAGE,
    "POST /v1/test_helpers/test_clocks/{id}/advance": "frozen_time",
    "GET /v1/events": f"{_PAGE} created delivery_success type types",
    "POST /v1/webhook_endpoints": "api_version description enabled_events metadata url",
    "GET /v1/webhook_endpoints": _PAGE,
    "POST /v1/webhook_endpoints/{id}": "description disabled enabled_events metadata url",
    "GET /v2/core/events": "created limit object_id page types",
    "POST /v2/core/event_destinations": """
        amazon_eventbridge azure_event_grid description enabled_events event_payload events_from include metadata name
        snapshot_api_version type webhook_endpoint
    """,
    "GET /v2/core/event_destinations": "include limit page",
    "GET /v2/core/event_destinations/{id}": "include",
    "POST /v2/core/event_destinations/{id}": "description enabled_events include metadata name webhook_endpoint",
}

# What is accepted without an effect, because it decides about something that the simulator does not have: usage,
# periods before a subscription began, and customers who are there when they are charged.
WITHOUT_EFFECT = {
    "POST /v1/subscriptions": "off_session proration_behavior",
    "POST /v1/subscriptions/{id}": "off_session",
    "POST /v1/subscription_items/{id}": "off_session",
    "POST /v1/subscriptions/{id}/pause": "bill_for.outstanding_usage_through",
    "POST /v1/invoices/{id}/pay": "off_session",
    "POST /v1/checkout/sessions": "subscription_data.proration_behavior",
}


@cache
def accepted(operation: str) -> frozenset[str]:
    """Return the parameters that an operation accepts, such as `items.price`; those of all operations included."""
    return frozenset(f"expand {PARAMETERS.get(operation, '')} {WITHOUT_EFFECT.get(operation, '')}".split())


def check_implemented(params: dict[str, Any], operation: str) -> None:
    """Raise the simulator's own error for the first parameter that it does not implement."""
    param = next(_not_implemented(params, accepted(operation), "", ""), None)
    if param is not None:
        raise not_implemented(param)


def _not_implemented(value: Any, names: frozenset[str], path: str, param: str) -> Iterator[str]:
    """Yield parameters by their full names; `path` is the same without positions in lists, as the tables have it."""
    if path in names:
        return
    if path and not any(name.startswith(f"{path}.") for name in names):
        yield param
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _not_implemented(
                inner, names, f"{path}.{name}" if path else name, f"{param}[{name}]" if param else name
            )
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _not_implemented(inner, names, path, f"{param}[{place}]")
