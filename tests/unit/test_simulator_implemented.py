"""No parameter is ignored silently: it is unknown, refused as not implemented, or it has an effect."""

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
