"""No parameter is ignored silently: it is unknown, refused as not implemented, or it has an effect."""

import re
import typing
from collections.abc import Iterator
from typing import Any

import pytest
from typing_extensions import is_typeddict

from local.stripe_simulator import parameters
from local.stripe_simulator.api import ROUTES
from local.stripe_simulator.errors import NOT_IMPLEMENTED as CODE
from local.stripe_simulator.implemented import PARAMETERS, WITHOUT_EFFECT, accepted
from tests.simulator_in_process import Params, SimulatorInProcess

NOW = 1_795_000_000
DAY = 86_400


def names_of(hint: Any, path: str = "", depth: int = 6) -> Iterator[str]:
    """The names of all fields of a type of the library's, without positions in lists."""
    if is_typeddict(hint) and depth:
        for name, inner in parameters._fields(hint).items():
            nested = f"{path}.{name}" if path else name
            yield nested
            yield from names_of(inner, nested, depth - 1)
    else:
        for inner in typing.get_args(hint):
            yield from names_of(inner, path, depth)


def test_the_tables_name_operations_and_parameters_that_stripe_has() -> None:
    shapes = {route.name: set(names_of(route.shape)) for route in ROUTES}
    assert (PARAMETERS.keys() | WITHOUT_EFFECT.keys()) <= shapes.keys()
    unknown = {name: accepted(name) - shapes[name] - {"expand"} for name in PARAMETERS}
    assert {name: wrong for name, wrong in unknown.items() if wrong} == {}


@pytest.mark.parametrize(
    ("path", "params", "code", "param"),
    [
        ("customers", {"wish": "1"}, "parameter_unknown", "wish"),
        ("customers", {"tax[ip_address]": "1.2.3.4"}, CODE, "tax"),
        ("customers", {"invoice_settings[rendering_options][template]": "x"}, CODE, None),
        ("prices", {"currency": "eur", "currency_options[usd][unit_amount]": "1"}, CODE, "currency_options"),
        ("subscriptions", {"items[0][price]": "p", "items[0][tax_rates][0]": "txr_1"}, CODE, "items[0][tax_rates]"),
        ("subscriptions", {"automatic_tax[enabled]": "true"}, CODE, "automatic_tax"),
        ("checkout/sessions", {"tax_id_collection[enabled]": "true"}, CODE, "tax_id_collection"),
    ],
)
def test_what_has_no_effect_is_refused_by_name(path: str, params: Params, code: str, param: str | None) -> None:
    answer = SimulatorInProcess().call("POST", path, params)
    assert (answer.status, answer.error["code"]) == (400, code)
    assert answer.error["param"] == (param or "invoice_settings[rendering_options]")


def test_a_refusal_of_the_simulators_own_says_so() -> None:
    answer = SimulatorInProcess().call("POST", "subscriptions", {"automatic_tax[enabled]": "true"})
    assert answer.error["message"] == "The simulator does not implement the parameter automatic_tax here."


# A value for every parameter that an operation accepts; with it the response has to be another one.
SAMPLES: dict[str, dict[str, Params]] = {
    "customers": {
        "address": {"address[line1]": "1 Main St"},
        "balance": {"balance": "-5"},
        "business_name": {"business_name": "Ada Ltd"},
        "description": {"description": "d"},
        "email": {"email": "b@example.com"},
        "individual_name": {"individual_name": "Ada"},
        "invoice_prefix": {"invoice_prefix": "ADA"},
        "invoice_settings.custom_fields": {
            "invoice_settings[custom_fields][0][name]": "a",
            "invoice_settings[custom_fields][0][value]": "b",
        },
        "invoice_settings.footer": {"invoice_settings[footer]": "f"},
        "metadata": {"metadata[a]": "1"},
        "name": {"name": "Ada"},
        "next_invoice_sequence": {"next_invoice_sequence": "7"},
        "phone": {"phone": "123"},
        "test_clock": {"test_clock": "{clock}"},
        "preferred_locales": {"preferred_locales[0]": "fr"},
        "shipping": {"shipping[name]": "Ada", "shipping[address][line1]": "1 Main St"},
        "tax_exempt": {"tax_exempt": "exempt"},
    },
    "products": {
        "active": {"active": "false"},
        "description": {"description": "d"},
        "id": {"id": "prod_own"},
        "images": {"images[0]": "https://example.com/a.png"},
        "marketing_features": {"marketing_features[0][name]": "fast"},
        "metadata": {"metadata[a]": "1"},
        "name": {"name": "Silver"},
        "shippable": {"shippable": "true"},
        "statement_descriptor": {"statement_descriptor": "GOLD"},
        "tax_code": {"tax_code": "txcd_1"},
        "unit_label": {"unit_label": "seat"},
        "url": {"url": "https://example.com"},
    },
    "prices": {
        "active": {"active": "false"},
        "currency": {"currency": "usd"},
        "lookup_key": {"lookup_key": "gold"},
        "metadata": {"metadata[a]": "1"},
        "nickname": {"nickname": "n"},
        "recurring": {"recurring[interval_count]": "2"},
        "tax_behavior": {"tax_behavior": "inclusive"},
        "transform_quantity": {"transform_quantity[divide_by]": "2", "transform_quantity[round]": "up"},
        "unit_amount": {"unit_amount": "901"},
    },
    "coupons": {
        "currency": {"currency": "eur"},
        "duration": {"duration": "forever"},
        "duration_in_months": {"duration": "repeating", "duration_in_months": "3"},
        "id": {"id": "OWN"},
        "max_redemptions": {"max_redemptions": "1"},
        "metadata": {"metadata[a]": "1"},
        "name": {"name": "n"},
        "percent_off": {"percent_off": "20"},
        "redeem_by": {"redeem_by": str(NOW + 5 * DAY)},
    },
    "subscriptions": {
        "backdate_start_date": {"backdate_start_date": str(NOW - DAY)},
        "billing_mode": {"billing_mode[type]": "classic"},
        "cancel_at": {"cancel_at": str(NOW + 5 * DAY)},
        "cancel_at_period_end": {"cancel_at_period_end": "true"},
        "collection_method": {"collection_method": "send_invoice", "days_until_due": "7"},
        "default_payment_method": {"default_payment_method": "{card}"},
        "description": {"description": "d"},
        "discounts": {"discounts[0][coupon]": "{coupon}"},
        "items.metadata": {"items[0][metadata][a]": "1"},
        "items.price": {"items[0][price]": "{yearly}"},
        "items.quantity": {"items[0][quantity]": "2"},
        "metadata": {"metadata[a]": "1"},
        "payment_behavior": {"payment_behavior": "default_incomplete"},
        "payment_settings": {"payment_settings[save_default_payment_method]": "on_subscription"},
        "trial_end": {"trial_end": str(NOW + 5 * DAY)},
        "trial_period_days": {"trial_period_days": "3"},
        "trial_settings": {"trial_settings[end_behavior][missing_payment_method]": "pause"},
    },
    "subscriptions/{subscription}": {
        "billing_cycle_anchor": {"billing_cycle_anchor[type]": "now"},
        "cancel_at": {"cancel_at": str(NOW + 5 * DAY)},
        "cancel_at_period_end": {"cancel_at_period_end": "true"},
        "cancellation_details": {"cancellation_details[comment]": "c"},
        "collection_method": {"collection_method": "send_invoice", "days_until_due": "7"},
        "default_payment_method": {"default_payment_method": "{card}"},
        "description": {"description": "d"},
        "discounts": {"discounts[0][promotion_code]": "{promotion_code}"},
        "items.price": {"items[0][id]": "{item}", "items[0][price]": "{yearly}"},
        "items.quantity": {"items[0][id]": "{item}", "items[0][quantity]": "2"},
        "items.metadata": {"items[0][id]": "{item}", "items[0][metadata][a]": "1"},
        "metadata": {"metadata[a]": "1"},
        "pause_collection": {"pause_collection[behavior]": "void"},
        "payment_settings": {"payment_settings[save_default_payment_method]": "on_subscription"},
        "trial_end": {"trial_end": str(NOW + 5 * DAY)},
        "trial_settings": {"trial_settings[end_behavior][missing_payment_method]": "pause"},
    },
}
BASES: dict[str, Params] = {
    "customers": {},
    "products": {"name": "Gold"},
    "prices": {"product": "{product}", "currency": "eur", "unit_amount": "900", "recurring[interval]": "month"},
    "coupons": {"percent_off": "10"},
    "subscriptions": {"customer": "{customer}", "items[0][price]": "{monthly}"},
    "subscriptions/{subscription}": {},
}
# What the response cannot show, or what the base has already; other tests do.
NOT_SHOWN = {
    "customers": "invoice_settings.default_payment_method payment_method source",
    "products": "package_dimensions default_price_data.currency default_price_data.metadata "
    "default_price_data.recurring default_price_data.tax_behavior default_price_data.unit_amount "
    "default_price_data.unit_amount_decimal",
    "prices": "billing_scheme custom_unit_amount product product_data tiers tiers_mode unit_amount_decimal",
    "coupons": "amount_off",
    "subscriptions": "currency customer days_until_due items.plan items.price_data",
    "subscriptions/{subscription}": "days_until_due items.deleted items.id items.plan items.price_data "
    "payment_behavior proration_behavior proration_date",
}


def response_to(path: str, params: Params) -> str:
    """The response of a fresh account, without what is new in every response."""
    simulator = SimulatorInProcess(NOW)
    price = {"currency": "eur", "unit_amount": "900", "product": simulator.create("products", {"name": "Gold"})}
    customer = simulator.create("customers", {"payment_method": "pm_card_visa"})
    names = {
        "customer": customer,
        "product": price["product"],
        "monthly": simulator.create("prices", price | {"recurring[interval]": "month"}),
        "yearly": simulator.create("prices", price | {"recurring[interval]": "year"}),
        "card": simulator.create("payment_methods", {"type": "card"}),
        "coupon": simulator.create("coupons", {"percent_off": "10"}),
    }
    promotion = {"promotion[type]": "coupon", "promotion[coupon]": names["coupon"]}
    names["promotion_code"] = simulator.create("promotion_codes", promotion)
    simulator.call("POST", f"payment_methods/{names['card']}/attach", {"customer": customer})
    created = simulator.call("POST", "subscriptions", {"customer": customer, "items[0][price]": names["monthly"]}).body
    names |= {"subscription": created["id"], "item": created["items"]["data"][0]["id"]}
    names["clock"] = simulator.create("test_helpers/test_clocks", {"frozen_time": str(NOW)})
    simulator.app.state.simulator.clock.set(NOW + 2 * DAY)
    answer = simulator.call(
        "POST", path.format(**names), {name: value.format(**names) for name, value in params.items()}
    )
    assert answer.status == 200, answer.body
    known = {value: name for name, value in names.items()}
    shown = re.sub(r"[a-z]+_[A-Za-z0-9]{24}", lambda found: known.get(found[0], "id"), str(answer.body))
    return re.sub(
        r"'(invoice_prefix|id)': '[A-Za-z0-9]{8}'", r"'\1'", re.sub(r"\b17950000\d\d\b|\b17951728\d\d\b", "now", shown)
    )


@pytest.mark.parametrize("path", SAMPLES)
def test_every_accepted_parameter_has_a_sample(path: str) -> None:
    operation = f"POST /v1/{path.replace('{subscription}', '{id}')}"
    seen = SAMPLES[path].keys() | NOT_SHOWN[path].split()
    assert seen == set(PARAMETERS[operation].split())


@pytest.mark.parametrize(("path", "name"), [(path, name) for path, samples in SAMPLES.items() for name in samples])
def test_every_accepted_parameter_has_an_effect(path: str, name: str) -> None:
    base = BASES[path]
    assert response_to(path, base | SAMPLES[path][name]) != response_to(path, base)


def test_a_response_without_another_parameter_is_the_same() -> None:
    """Else the test above would pass whatever a parameter does."""
    for path, base in BASES.items():
        assert response_to(path, base) == response_to(path, base)


def test_a_coupon_that_is_used_up_is_refused() -> None:
    simulator = SimulatorInProcess(NOW)
    price = {"currency": "eur", "unit_amount": "900", "recurring[interval]": "month", "product_data[name]": "Gold"}
    params = {
        "customer": simulator.create("customers", {"payment_method": "pm_card_visa"}),
        "items[0][price]": simulator.create("prices", price),
    }
    params["discounts[0][coupon]"] = simulator.create("coupons", {"percent_off": "10", "max_redemptions": "1"})
    made = simulator.call("POST", "subscriptions", params).body
    assert len(made["discounts"]) == 1
    refused = simulator.call("POST", "subscriptions", params)
    assert (refused.status, refused.error["code"]) == (400, "coupon_expired")
    kept = simulator.call("POST", f"subscriptions/{made['id']}", {"discounts[0][discount]": made["discounts"][0]})
    assert kept.body["discounts"] == made["discounts"]
    assert simulator.call("POST", f"subscriptions/{made['id']}", {"discounts": ""}).body["discounts"] == []


def test_the_currency_of_a_subscription_is_that_of_its_price() -> None:
    simulator = SimulatorInProcess(NOW)
    price = {"currency": "eur", "unit_amount": "900", "recurring[interval]": "month", "product_data[name]": "Gold"}
    params = {
        "customer": simulator.create("customers", {"payment_method": "pm_card_visa"}),
        "items[0][price]": simulator.create("prices", price),
    }
    assert simulator.call("POST", "subscriptions", params | {"currency": "EUR"}).status == 200
    refused = simulator.call("POST", "subscriptions", params | {"currency": "usd"})
    assert refused.error["message"] == (
        "The price specified only supports `eur`. This doesn't match the expected currency: `usd`."
    )
