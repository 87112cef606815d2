"""No parameter is ignored silently: a request with it has an effect, or is refused by name."""

import sys
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from local.stripe_simulator import api as simulator_api
from local.stripe_simulator.api import ROUTES, ApiRoute
from local.stripe_simulator.implemented import WITHOUT_EFFECT
from local.stripe_simulator.simulator import Call
from local.stripe_simulator.store import StripeObject
from tests.contract import openapi
from tests.simulator_in_process import Params
from tests.simulator_probes import DAY, NOW, Outcome, Prober, fixed_chance, parents, probes

# API v2 takes JSON, and has tests of its own.
V1 = [route for route in ROUTES if route.version == "v1"]
# The object that the path of an operation names, and the parameters without which it is refused.
IDS = {
    "billing_portal/configurations": "{configuration}",
    "checkout/sessions": "{session}",
    "coupons": "{coupon}",
    "customers": "{customer}",
    "entitlements/active_entitlements": "{entitlement}",
    "entitlements/features": "{fast}",
    "events": "{event}",
    "invoices": "{draft}",
    "payment_methods": "{card}",
    "prices": "{price}",
    "products": "{product}",
    "promotion_codes": "{code}",
    "subscription_items": "{subscription_item}",
    "subscription_schedules": "{schedule}",
    "subscriptions": "{subscription}",
    "test_helpers/test_clocks": "{clock}",
    "webhook_endpoints": "{endpoint}",
    **{f"POST /v1/invoices/{{id}}/{verb}": "{open}" for verb in ("mark_uncollectible", "pay", "send", "void")},
    "GET /v1/invoices/{id}/lines": "{two_lines}",
    "DELETE /v1/products/{id}": "{unsold}",
    "POST /v1/payment_methods/{id}/attach": "{loose}",
    "POST /v1/subscriptions/{id}/migrate": "{classic}",
    "POST /v1/subscriptions/{id}/pause": "{other_paused}",
    "POST /v1/subscriptions/{id}/resume": "{paused}",
}
BASES: dict[str, Params] = {
    "POST /v1/products": {"name": "Bronze"},
    "POST /v1/products/{id}/features": {"entitlement_feature": "{spare}"},
    "POST /v1/entitlements/features": {"lookup_key": "new", "name": "new"},
    "GET /v1/entitlements/active_entitlements": {"customer": "{customer}"},
    "POST /v1/prices": {"product": "{product}", "currency": "eur", "unit_amount": 900},
    "POST /v1/coupons": {"percent_off": 10},
    "POST /v1/promotion_codes": {"promotion[type]": "coupon", "promotion[coupon]": "{coupon}"},
    "POST /v1/payment_methods": {"type": "card"},
    "POST /v1/payment_methods/{id}/attach": {"customer": "{customer}"},
    "GET /v1/payment_methods": {"customer": "{customer}"},
    "POST /v1/subscriptions": {"customer": "{customer}", "items[0][price]": "{price}"},
    "GET /v1/subscriptions": {"status": "all"},
    "POST /v1/subscriptions/{id}": {"items[0][id]": "{subscription_item}", "items[0][quantity]": 3},
    "POST /v1/subscriptions/{id}/resume": {"billing_cycle_anchor[type]": "unchanged"},
    "POST /v1/subscription_items/{id}": {"quantity": 3},
    "POST /v1/subscriptions/{id}/migrate": {"billing_mode[type]": "flexible"},
    "GET /v1/subscription_items": {"subscription": "{subscription}"},
    "POST /v1/subscription_items": {"subscription": "{subscription}", "price": "{yearly}"},
    "POST /v1/subscription_schedules": {
        "customer": "{customer}",
        "phases[0][items][0][price]": "{price}",
        "phases[0][end_date]": NOW + 40 * DAY,
    },
    "POST /v1/billing_portal/configurations": {
        "features[invoice_history][enabled]": "true",
        "features[payment_method_update][enabled]": "true",
    },
    "GET /v1/events": {"limit": 100},
    "POST /v1/billing_portal/sessions": {"customer": "{customer}", "configuration": "{configuration}"},
    "POST /v1/checkout/sessions": {
        "mode": "subscription",
        "success_url": "https://example.com/",
        "line_items[0][price]": "{price}",
    },
    "POST /v1/test_helpers/test_clocks": {"frozen_time": NOW},
    "POST /v1/test_helpers/test_clocks/{id}/advance": {"frozen_time": NOW + DAY},
    "POST /v1/webhook_endpoints": {"url": "https://example.com/", "enabled_events[0]": "*"},
    **{f"GET /v1/{kind}/search": {"query": "created>0"} for kind in ("customers", "subscriptions")},
    **{f"GET /v1/{kind}/search": {"query": "-name:'x'"} for kind in ("products",)},
    "GET /v1/prices/search": {"query": "-type:'x'"},
}


def cursors(name: str) -> dict[str, Any]:
    """The cursors of a list of two objects: what lies beyond each is nothing."""
    return {"starting_after": f"{{other_{name}}}", "ending_before": f"{{{name}}}"}


PRODUCT = {"active": "false"}
PRICE = {"active": "false", "tax_behavior": "inclusive"}
CUSTOMER = {
    "invoice_settings.default_payment_method": "{sepa}",
    "next_invoice_sequence": 7,
    "payment_method": "pm_card_visa",
    "source": "tok_visa",
    "test_clock": "{clock}",
}
SUBSCRIPTION = {
    "+days_until_due": {"collection_method": "send_invoice"},
    "collection_method": {"collection_method": "send_invoice", "days_until_due": 7},
    "customer": "{other_customer}",
    "items.plan": {"items[0][price]": None, "items[0][plan]": "{yearly}"},
    "+items.price_data": {"items[0][price]": None},
    "+items": {"items[0][price]": "{other_price}"},
}
PHASE = {
    "+phases": {
        "phases[0][start_date]": "{phase_start}",
        "phases[0][end_date]": NOW + 40 * DAY,
        "phases[0][items][0][price]": "{price}",
    },
    "phases.currency": "eur",
    "phases.default_payment_method": "{sepa}",
    "phases.duration.interval": {"phases[0][end_date]": None, "phases[0][duration][interval]": "year"},
    "phases.duration.interval_count": {
        "phases[0][end_date]": None,
        "phases[0][duration][interval]": "month",
        "phases[0][duration][interval_count]": 3,
    },
    "phases.end_date": NOW + 50 * DAY,
    "phases.items.plan": {"phases[0][items][0][price]": None, "phases[0][items][0][plan]": "{yearly}"},
    "+phases.items.price_data": {"phases[0][items][0][price]": None},
    "phases.start_date": NOW + 5,
    "default_settings.collection_method": {
        "default_settings[collection_method]": "send_invoice",
        "default_settings[invoice_settings][days_until_due]": 3,
    },
    "default_settings.default_payment_method": "{sepa}",
    "default_settings.billing_cycle_anchor": "phase_start",
    "end_behavior": "cancel",
}
_FROM_SUBSCRIPTION = dict.fromkeys(("customer", "phases[0][items][0][price]", "phases[0][end_date]")) | {
    "from_subscription": "{paused}"
}
_AT = "pause_schedules[0][pause][pause_at]"
PAUSE = {
    "+pause_schedules": {f"{_AT}[type]": "timestamp", f"{_AT}[timestamp]": NOW + 3 * DAY},
    "pause_schedules.pause.pause_at.timestamp": NOW + 9 * DAY,
    "pause_schedules.resume.resume_at.type": {
        "pause_schedules[0][resume][resume_at][type]": "duration",
        "pause_schedules[0][resume][resume_at][duration][interval]": "month",
    },
    "pause_schedules.resume.resume_at.timestamp": {
        "pause_schedules[0][resume][resume_at][type]": "timestamp",
        "pause_schedules[0][resume][resume_at][timestamp]": NOW + 19 * DAY,
    },
    "+pause_schedules.resume.settings": {
        "pause_schedules[0][resume][resume_at][type]": "duration",
        "pause_schedules[0][resume][resume_at][duration][interval]": "month",
    },
}
_ENABLED = ("customer_update", "subscription_cancel", "subscription_pause", "subscription_update")
FEATURES = {
    "+features.subscription_update": {
        "features[subscription_update][products][0][product]": "{product}",
        "features[subscription_update][products][0][prices][0]": "{price}",
    },
    "features.subscription_update.products.prices": "{yearly}",
    **{
        f"features.{name}.enabled": "false"
        for name in (
            "customer_update",
            "invoice_history",
            "subscription_cancel",
            "subscription_pause",
            "subscription_update",
        )
    },
    "features.payment_method_update.enabled": {
        "features[payment_method_update][enabled]": "false",
        "features[subscription_update][enabled]": "false",
    },
    "features.subscription_cancel.mode": "immediately",
    "features.subscription_update.default_allowed_updates": "quantity",
}
PRORATION = {"payment_behavior": "pending_if_incomplete", "proration_behavior": "none"}
VALUES: dict[str, dict[str, Any]] = {
    "POST /v1/customers": CUSTOMER
    | {
        "+invoice_settings.default_payment_method": {"payment_method": "{loose}"},
        "invoice_settings.default_payment_method": "{loose}",
    },
    "POST /v1/customers/{id}": CUSTOMER,
    "GET /v1/customers": cursors("customer") | {"email": "ada@example.com"},
    "GET /v1/customers/search": {"query": "email:'ada@example.com'"},
    "GET /v1/customers/{id}/payment_methods": {"type": "card", "starting_after": "{card}", "ending_before": "{sepa}"},
    "GET /v1/payment_methods": {"type": "card", "starting_after": "{card}", "ending_before": "{sepa}"},
    "POST /v1/payment_methods": {
        "type": "us_bank_account",
        "card.number": "5555555555554444",
        "card.token": "tok_mastercard",
    },
    "POST /v1/products": PRODUCT,
    "GET /v1/products": cursors("product")
    | {"ids": "{product}", "starting_after": "{silver}", "ending_before": "{product}"},
    "GET /v1/products/search": {"query": "name:'gold'"},
    "POST /v1/products/{id}": PRODUCT,
    "POST /v1/prices": PRICE
    | {
        "+product_data": {"product": None},
        "billing_scheme": {
            "unit_amount": None,
            "billing_scheme": "tiered",
            "tiers_mode": "volume",
            "tiers[0][up_to]": "inf",
            "tiers[0][unit_amount]": 5,
        },
        "currency": "usd",
        "product": "{silver}",
    },
    "GET /v1/prices": {"starting_after": "{price}", "ending_before": "{price}", "lookup_keys": "price"},
    "GET /v1/prices/search": {"query": "lookup_key:'price'"},
    "POST /v1/prices/{id}": PRICE,
    "POST /v1/coupons": {
        "+amount_off": {"percent_off": None, "currency": "eur"},
        "duration": "forever",
        "percent_off": 11,
        "redeem_by": NOW + DAY,
        "duration_in_months": {"duration": "repeating", "duration_in_months": 2},
    },
    "GET /v1/coupons": cursors("coupon"),
    "GET /v1/products/{id}/features": {"starting_after": "{feature}", "ending_before": "{feature}"},
    "GET /v1/entitlements/features": {"lookup_key": "fast", "starting_after": "{fast}", "ending_before": "{fast}"},
    "GET /v1/entitlements/active_entitlements": {"starting_after": "{entitlement}", "ending_before": "{entitlement}"},
    "POST /v1/entitlements/features/{id}": {"active": "false"},
    "POST /v1/products/{id}/features": {"entitlement_feature": "{archived}"},
    "POST /v1/promotion_codes": {
        "active": "false",
        "promotion.coupon": {"promotion[coupon]": "{other_coupon}"},
        "promotion.type": {"promotion[type]": "code"},
    },
    "GET /v1/promotion_codes": cursors("code") | {"active": "true"},
    "POST /v1/promotion_codes/{id}": {"active": "false"},
    "POST /v1/subscriptions": SUBSCRIPTION
    | {
        "billing_mode.type": "classic",
        "currency": "usd",
        "payment_behavior": "default_incomplete",
        "payment_settings.save_default_payment_method": "on_subscription",
        "backdate_start_date": NOW - DAY,
        "cancel_at": NOW + 3 * DAY,
        "default_payment_method": "{sepa}",
    },
    "GET /v1/subscriptions": {
        "status": "canceled",
        "starting_after": "{subscription}",
        "ending_before": "{subscription}",
    },
    "GET /v1/subscriptions/search": {"query": "status:'canceled'"},
    "POST /v1/subscriptions/{id}/pause": {"type": "other"},
    "POST /v1/subscriptions/{id}/resume": {"billing_cycle_anchor.type": "now", "proration_behavior": "none"},
    "POST /v1/subscriptions/{id}/migrate": {
        "billing_mode.type": "classic",
        "billing_mode.flexible.proration_discounts": {"billing_mode[flexible][proration_discounts]": "itemized"},
    },
    "POST /v1/subscriptions/{id}": SUBSCRIPTION
    | PRORATION
    | {
        "payment_settings.save_default_payment_method": "on_subscription",
        "default_payment_method": "{sepa}",
        "items.id": {"items[0][id]": "{subscription_item}", "items[0][price]": "{yearly}"},
        "items.deleted": {"items[0][id]": "{subscription_item}", "items[0][deleted]": "true"},
    },
    "GET /v1/subscription_items": {
        "subscription": "{other_subscription}",
        "starting_after": "{subscription_item}",
        "ending_before": "{subscription_item1}",
    },
    "POST /v1/subscription_items": {
        "+price_data": {"price": None},
        "plan": {"price": None, "plan": "{metered}"},
        "price": "{metered}",
        "subscription": {"subscription": "{paused}"},
    },
    "POST /v1/subscription_items/{id}": PRORATION,
    "DELETE /v1/subscription_items/{id}": PRORATION,
    "POST /v1/subscription_schedules/{id}": PHASE | PAUSE | {"phases.start_date": NOW - 5},
    "POST /v1/subscription_schedules": PHASE
    | PAUSE
    | {
        "+phases": {},
        "billing_mode.type": "classic",
        "billing_mode.flexible.proration_discounts": "itemized",
        "+billing_mode.flexible": {"billing_mode[type]": "flexible"},
        "from_subscription": _FROM_SUBSCRIPTION,
        "start_date": NOW + 5,
    },
    "GET /v1/subscription_schedules": cursors("schedule") | {"scheduled": "true"},
    "POST /v1/billing_portal/configurations": FEATURES
    | {f"features.{name}.enabled": "true" for name in _ENABLED}
    | {"features.invoice_history.enabled": "false"},
    "POST /v1/billing_portal/configurations/{id}": FEATURES
    | {f"features.{name}.enabled": "false" for name in _ENABLED}
    | {"active": "false", "features.invoice_history.enabled": "true"},
    "POST /v1/checkout/sessions": {"+line_items.price_data": {"line_items[0][price]": None}},
    "GET /v1/invoices": {"starting_after": "{paid}", "ending_before": "{paid}", "collection_method": "send_invoice"},
    "POST /v1/invoices/{id}": {
        "auto_advance": "false",
        "collection_method": {"collection_method": "send_invoice", "days_until_due": 5},
        **{f"+{name}": {"collection_method": "send_invoice"} for name in ("days_until_due", "due_date")},
    },
    "POST /v1/invoices/{id}/finalize": {"auto_advance": "false"},
    "GET /v1/invoices/{id}/lines": {"starting_after": "{line}", "ending_before": "{line}"},
    "GET /v1/billing_portal/configurations": cursors("configuration"),
    "GET /v1/checkout/sessions": cursors("session"),
    "GET /v1/test_helpers/test_clocks": cursors("clock"),
    "POST /v1/test_helpers/test_clocks/{id}/advance": {"frozen_time": NOW + 2 * DAY},
    "GET /v1/events": cursors("event") | {"type": "price.created", "types": "price.created"},
    "POST /v1/webhook_endpoints": {"enabled_events": "price.created"},
    "GET /v1/webhook_endpoints": cursors("endpoint"),
}

# Parameters without an effect on purpose, beside those that only decide how money is collected.
IGNORED = {
    "POST /v1/payment_methods card.cvc": "A test card's CVC is never wrong at Stripe either, whatever its digits.",
    "POST /v1/subscription_schedules/{id} proration_behavior": "Nothing of the current phase changes.",
    "POST /v1/subscriptions currency": "It is refused, with an error that names the price.",
    **{
        f"{operation} payment_behavior": "The card pays, however the payment is made."
        for operation in (
            "POST /v1/subscriptions",
            "POST /v1/subscriptions/{id}",
            "POST /v1/subscriptions/{id}/resume",
            "POST /v1/subscription_items",
            "POST /v1/subscription_items/{id}",
            "DELETE /v1/subscription_items/{id}",
        )
    },
    "DELETE /v1/subscriptions/{id} invoice_now": "Nothing waits for an invoice.",
    "POST /v1/subscription_schedules/{id}/cancel invoice_now": "Nothing waits for an invoice.",
}

# What the document of May 2026 has and the newest version does not, or what none of Stripe's libraries has.
GONE = {
    "POST /v1/checkout/sessions": {"line_items.dynamic_tax_rates", "payment_method_types"},
    "POST /v1/customers/{id}": {
        "bank_account",
        "card",
        "default_alipay_account",
        "default_bank_account",
        "default_card",
    },
}


@pytest.fixture(autouse=True)
def _fixed_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    fixed_chance(monkeypatch)


def outcomes_of(route: ApiRoute) -> dict[str, Outcome]:
    """What every parameter of an operation did."""
    values, base = VALUES.get(route.name, {}), BASES.get(route.name, {})
    prober = Prober(route, base, IDS.get(route.name) or IDS.get(route.collection, ""), values)
    return {probe.name: prober.outcome(probe) for probe in probes(route.shape, values)}


def is_excused(route: ApiRoute, name: str) -> bool:
    return f"{route.name} {name}" in IGNORED or any(
        f"{name}.".startswith(f"{one}.") for one in WITHOUT_EFFECT.get(route.name, "").split()
    )


@pytest.mark.parametrize("route", V1, ids=lambda route: route.name)
def test_no_parameter_is_ignored_silently(route: ApiRoute) -> None:
    outcomes = outcomes_of(route)
    figures = Counter(one.kind for one in outcomes.values())
    sys.stdout.write(f"{route.name}: {', '.join(f'{count} {kind}' for kind, count in figures.items())}\n")
    said_nothing = {name: one.detail for name, one in outcomes.items() if one.kind in {"ignored", "unclear"}}
    assert {name: detail for name, detail in said_nothing.items() if not is_excused(route, name)} == {}


@pytest.mark.parametrize("operation", ["POST /v1/customers", "GET /v1/subscriptions"])
def test_a_parameter_that_does_nothing_is_found(operation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the test above would pass whatever a parameter does."""
    (route,) = (one for one in ROUTES if one.name == operation)
    forgotten = {"POST /v1/customers": "phone", "GET /v1/subscriptions": "collection_method"}[operation]

    def forgetful(call: Call) -> StripeObject:
        return route.handler(
            replace(call, params={name: value for name, value in call.params.items() if name != forgotten})
        )

    routes = [
        (replace(one, handler=forgetful) if one is route else one, pattern) for one, pattern in simulator_api._PATTERNS
    ]
    monkeypatch.setattr(simulator_api, "_PATTERNS", routes)
    assert [name for name, one in outcomes_of(route).items() if one.kind == "ignored"] == [forgotten]


@pytest.mark.skipif(not openapi.PATHS.exists(), reason="needs `make contract`")
@pytest.mark.parametrize("route", V1, ids=lambda route: route.name)
def test_the_probes_know_every_parameter_of_stripes_openapi_document(route: ApiRoute) -> None:
    documented = openapi.parameters_of(route.method, route.path)
    known = {probe.name for probe in probes(route.shape, {})}
    every = known | {parent for name in known for parent in parents(name)} | {"expand"}
    gone = GONE.get(route.name, set())
    assert {name for name in documented - every if not gone & {name, *parents(name)}} == set()
