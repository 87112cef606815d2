"""What the simulator refuses as Stripe does: values that are too long, too large, in the past or contradictory."""

import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

import pytest
from typing_extensions import is_typeddict

from local.stripe_simulator import parameters
from local.stripe_simulator.api import ROUTES
from tests.simulator_in_process import Params, SimulatorInProcess

NOW = 1_795_000_000
DAY = 86_400
FUTURE = "Invalid timestamp: must be an integer Unix timestamp in the future."
ONE_TIME = "The price specified is set to `type=one_time` but this field only accepts prices with `type=recurring`."


@dataclass(frozen=True)
class World:
    """An account with what most requests need."""

    simulator: SimulatorInProcess
    customer: str
    product: str
    monthly: str
    yearly: str
    once: str
    subscription: str


def make_world() -> World:
    simulator = SimulatorInProcess(NOW)
    customer = simulator.create("customers", {"email": "ada@example.com", "payment_method": "pm_card_visa"})
    product = simulator.create("products", {"name": "Gold"})
    base = {"product": product, "currency": "eur", "unit_amount": "900"}
    monthly, yearly = (simulator.create("prices", base | {"recurring[interval]": each}) for each in ("month", "year"))
    once = simulator.create("prices", base)
    subscription = simulator.create("subscriptions", {"customer": customer, "items[0][price]": monthly})
    return World(simulator, customer, product, monthly, yearly, once, subscription)


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


def keys(count: int, *, start: int = 0) -> Params:
    return {f"metadata[key{number}]": "1" for number in range(start, start + count)}


def at_least(least: int, param: str) -> dict[str, str]:
    return {
        "code": "parameter_invalid_integer",
        "message": f"This value must be greater than or equal to {least}.",
        "param": param,
    }


def at_most(most: int, param: str) -> dict[str, str]:
    return {
        "code": "parameter_invalid_integer",
        "message": f"This value must be less than or equal to {most}.",
        "param": param,
    }


def bad_url(param: str) -> dict[str, str]:
    message = "Invalid URL: An explicit scheme (such as https) must be provided."
    return {"code": "url_invalid", "message": message, "param": param}


def bad_email(email: str, param: str = "email") -> dict[str, str]:
    return {"code": "email_invalid", "message": f"Invalid email address: {email}", "param": param}


PRICE = {"currency": "eur", "unit_amount": "1", "recurring[interval]": "month"}
TOO_LARGE = {"code": "amount_too_large", "message": "Amount must be no more than $999,999.99", "param": "unit_amount"}
CHECKOUT = {"mode": "subscription", "line_items[0][price]": "{monthly}"}
FLOW = {"customer": "{customer}", "flow_data[type]": "payment_method_update"}

CASES: list[tuple[str, Params, dict[str, str]]] = [
    (
        "customers",
        keys(51),
        {
            "message": "Metadata can have up to 50 keys, but you've set 51. "
            "Email us at support+metadata@stripe.com for more information.",
            "param": "metadata",
        },
    ),
    (
        "customers",
        {f"metadata[{'k' * 41}]": "1"},
        {
            "message": "Metadata keys can have up to 40 characters, but you passed in a key that is 41 characters. "
            f"Invalid key: {'k' * 41}",
            "param": "metadata",
        },
    ),
    (
        "customers",
        {"metadata[note]": "v" * 501},
        {
            "message": "Metadata values can have up to 500 characters, but you passed in a value that is 501 "
            f"characters. Invalid value: {'v' * 501}",
            "param": "metadata[note]",
        },
    ),
    ("customers", {"email": "ada"}, bad_email("ada")),
    ("customers", {"email": "ada@localhost"}, bad_email("ada@localhost")),
    ("customers", {"email": " ada@example.com"}, bad_email(" ada@example.com")),
    (
        "customers",
        {"name": "n" * 257},
        {"message": f"Invalid string: {'n' * 10}...{'n' * 10}; must be at most 256 characters", "param": "name"},
    ),
    (
        "billing_portal/configurations",
        {"business_profile[headline]": "h" * 61, "features[invoice_history][enabled]": "true"},
        {
            "message": f"Invalid string: {'h' * 10}...{'h' * 10}; must be at most 60 characters",
            "param": "business_profile[headline]",
        },
    ),
    ("prices", PRICE | {"product": "{product}", "unit_amount": "-1"}, at_least(0, "unit_amount")),
    ("prices", PRICE | {"product": "{product}", "unit_amount": "100000000"}, TOO_LARGE),
    (
        "prices",
        PRICE | {"product": "{product}", "unit_amount": "9" * 400},
        {"code": "parameter_invalid_integer", "message": f"Invalid integer: {'9' * 400}", "param": "unit_amount"},
    ),
    (
        "prices",
        {"currency": "eur", "unit_amount_decimal": "0.0000000000001", "product": "{product}"},
        {
            "message": "Invalid decimal: 0.0000000000001; must contain at maximum 12 decimal places.",
            "param": "unit_amount_decimal",
        },
    ),
    ("prices", PRICE | {"product": "{product}", "recurring[interval_count]": "0"}, at_least(1, "{r}[interval_count]")),
    ("prices", PRICE | {"product": "{product}", "recurring[interval_count]": "37"}, at_most(36, "{r}[interval_count]")),
    ("subscriptions", {"customer": "{customer}", "items[0][price]": "{once}"}, {"message": ONE_TIME, "param": "{p}"}),
    (
        "subscriptions",
        {"customer": "{customer}", "items[0][price]": "{monthly}", "items[1][price]": "{monthly}"},
        {"message": "Cannot add multiple subscription items with the same plan: {monthly}", "param": "items"},
    ),
    (
        "subscriptions",
        {"customer": "{customer}", "items[0][price]": "{monthly}", "items[0][quantity]": "-1"},
        at_least(0, "items[0][quantity]"),
    ),
    (
        "subscriptions",
        {"customer": "{customer}", "items[0][price]": "{monthly}", "trial_period_days": "0"},
        at_least(1, "trial_period_days"),
    ),
    ("subscriptions/{subscription}", {"trial_end": str(NOW - DAY)}, {"message": FUTURE, "param": "trial_end"}),
    ("subscriptions/{subscription}", {"cancel_at": str(NOW - DAY)}, {"message": FUTURE, "param": "cancel_at"}),
    (
        "subscriptions/{subscription}",
        {"trial_end": str(NOW + 3000 * DAY)},
        {"message": "Invalid timestamp: can be no more than five years in the future.", "param": "trial_end"},
    ),
    (
        "subscriptions/{subscription}",
        {"cancel_at": str(NOW + DAY), "cancel_at_period_end": "true"},
        {
            "code": "parameters_exclusive",
            "message": "You may only specify one of these parameters: cancel_at, cancel_at_period_end.",
            "param": "cancel_at",
        },
    ),
    (
        "subscriptions/{subscription}",
        {"items[0][price]": "{monthly}"},
        {"message": "Cannot add multiple subscription items with the same plan: {monthly}", "param": "items"},
    ),
    ("billing_portal/sessions", FLOW | {"return_url": "example.com/back"}, bad_url("return_url")),
    ("checkout/sessions", CHECKOUT | {"success_url": "example.com/done"}, bad_url("success_url")),
    (
        "checkout/sessions",
        CHECKOUT | {"success_url": "https://example.com", "cancel_url": "javascript:alert(1)"},
        {
            "code": "url_invalid",
            "message": "Not a valid URL. URLs must begin with https:// (or http:// in test mode).",
            "param": "cancel_url",
        },
    ),
    (
        "billing_portal/configurations",
        {"business_profile[privacy_policy_url]": "privacy", "features[invoice_history][enabled]": "true"},
        bad_url("business_profile[privacy_policy_url]"),
    ),
    (
        "billing_portal/configurations",
        {"features[payment_method_update][enabled]": "true", "features[subscription_update][enabled]": "true"},
        {
            "code": "parameter_missing",
            "message": "Missing required param: features[subscription_update][products].",
            "param": "features[subscription_update][products]",
        },
    ),
    (
        "billing_portal/configurations",
        {
            "features[payment_method_update][enabled]": "true",
            "features[subscription_update][enabled]": "true",
            "features[subscription_update][products][0][product]": "{product}",
            "features[subscription_update][products][0][prices][0]": "{once}",
        },
        {"message": ONE_TIME, "param": "features[subscription_update][products][0][prices]"},
    ),
    ("coupons", {"percent_off": "101"}, {"message": "This value must be less than or equal to 100.", "param": "{o}"}),
    ("coupons", {"percent_off": "0"}, {"message": "This value must be greater than 0.", "param": "{o}"}),
    ("coupons", {"amount_off": "0", "currency": "eur"}, at_least(1, "amount_off")),
    (
        "coupons",
        {"amount_off": "5"},
        {"code": "parameter_missing", "message": "Missing required param: currency.", "param": "currency"},
    ),
]
SHORT = {"r": "recurring", "p": "items[0][price]", "o": "percent_off"}


@pytest.mark.parametrize(("path", "params", "error"), CASES, ids=lambda value: value if isinstance(value, str) else "")
def test_what_is_out_of_limits_is_refused_as_stripe_does(
    world: World, path: str, params: Params, error: dict[str, str]
) -> None:
    def named(text: str) -> str:
        return text.format(**vars(world), **SHORT) if "{" in text else text

    answer = world.simulator.call("POST", named(path), {name: named(value) for name, value in params.items()})
    assert (answer.status, answer.error) == (400, {name: named(value) for name, value in error.items()})


def test_a_currency_that_stripe_does_not_have_is_refused_with_the_list(world: World) -> None:
    answer = world.simulator.call("POST", "prices", PRICE | {"product": world.product, "currency": "zzz"})
    assert (answer.status, answer.error["param"]) == (400, "currency")
    assert answer.error["message"].startswith("Invalid currency: zzz. Stripe currently supports these currencies: usd,")


def test_metadata_count_together_with_those_that_are_there() -> None:
    simulator = SimulatorInProcess()
    customer = simulator.create("customers", keys(50))
    refused = simulator.call("POST", f"customers/{customer}", {"name": "Ada", **keys(1, start=50)})
    assert "you've set 51" in refused.error["message"]
    found = simulator.call("GET", f"customers/{customer}").body
    assert (found["name"], len(found["metadata"])) == (None, 50)
    swapped = simulator.call("POST", f"customers/{customer}", {"metadata[key0]": "", **keys(1, start=50)})
    assert len(swapped.body["metadata"]) == 50


def test_an_account_has_sixteen_webhook_endpoints_at_most() -> None:
    simulator = SimulatorInProcess()
    params = {"url": "https://example.com/hook", "enabled_events[]": "*"}
    made = [simulator.create("webhook_endpoints", params) for _ in range(16)]
    refused = simulator.call("POST", "webhook_endpoints", params)
    assert refused.error == {"message": "You have reached the maximum of 16 test webhook endpoints."}
    simulator.call("DELETE", f"webhook_endpoints/{made[0]}")
    assert simulator.call("POST", "webhook_endpoints", params).status == 200


def test_a_subscription_has_twenty_items_at_most(world: World) -> None:
    base = {"product": world.product, "currency": "eur", "unit_amount": "1"}
    prices = [world.simulator.create("prices", base | {"recurring[interval]": "day"}) for _ in range(21)]
    items = {f"items[{place}][price]": price for place, price in enumerate(prices)}
    refused = world.simulator.call("POST", "subscriptions", {"customer": world.customer, **items})
    assert (refused.status, refused.error["param"]) == (400, "items")
    items.pop("items[20][price]")
    assert world.simulator.call("POST", "subscriptions", {"customer": world.customer, **items}).status == 200


@pytest.mark.parametrize(
    ("version", "status"), [("2026-10-28.endive", 200), ("2024-06-20", 200), ("2024-06-21", 400), ("latest", 400)]
)
def test_only_versions_that_stripe_has_released_are_known(world: World, version: str, status: int) -> None:
    answer = world.simulator.call("GET", "balance", version=version)
    assert answer.status == status
    if status == 400:
        assert answer.error["message"] == f"Invalid Stripe API version: {version}"


ODD_INTEGERS = ["", "--5", "1_0", "²", "1e3", "9" * 5000, "0x1"]


@pytest.mark.parametrize("value", ODD_INTEGERS)
@pytest.mark.parametrize(
    "send",
    [
        lambda world, value: ("POST", f"subscriptions/{world.subscription}", {"trial_end": value}),
        lambda world, value: ("POST", f"subscriptions/{world.subscription}", {"cancel_at": value or "x"}),
        lambda _, value: ("GET", "customers", {"created[gte]": value}),
        lambda _, value: ("GET", "customers", {"limit": value}),
        lambda _, value: ("POST", "coupons", {"percent_off": value}),
    ],
)
def test_what_is_no_number_is_refused_and_never_a_failure(
    world: World, send: Callable[[World, str], tuple[str, str, Any]], value: str
) -> None:
    method, path, params = send(world, value)
    assert world.simulator.call(method, path, params).status == 400


ODD = ("", "0", "-1", "9" * 400, "9" * 5000, "NaN", "1e400", "--5", "²", "\x00", "x" * 6000, "https://[", "9999999999")


def fields_of(hint: Any, param: str = "", depth: int = 5) -> Iterator[str]:
    """The names of all fields of a type of the library's, as they stand in a form; of lists the first item."""
    if is_typeddict(hint):
        for name, inner in parameters._fields(hint).items() if depth else ():
            nested = f"{param}[{name}]" if param else name
            yield nested
            yield from fields_of(inner, nested, depth - 1)
    elif typing.get_origin(hint) is list:
        yield f"{param}[0]"
        yield from fields_of(typing.get_args(hint)[0], f"{param}[0]", depth)
    else:
        for inner in typing.get_args(hint):
            yield from fields_of(inner, param, depth)


def test_no_value_of_any_parameter_makes_the_simulator_fail() -> None:
    """Each parameter gets some of the odd values, by turns, or all of them where they are computed with."""
    world, values, sent = make_world(), cycle(ODD), 0
    ids = {"customers": world.customer, "products": world.product, "prices": world.monthly}
    bases = {
        "POST prices": {"product": world.product, "currency": "eur", "unit_amount": "1", "recurring[interval]": "day"},
        "POST coupons": {"percent_off": "5"},
        "POST subscriptions": {"customer": world.customer, "items[0][price]": world.yearly},
        "POST subscriptions/{id}": {"description": "d"},
    }
    for route in (each for each in ROUTES if each.method != "DELETE"):
        path = route.path.replace("{id}", ids.get(route.collection, world.subscription))
        base = bases.get(f"{route.method} {route.path}", {})
        for name in dict.fromkeys(fields_of(route.shape)):
            kept = {each: value for each, value in base.items() if not name.startswith(each)}
            for value in islice(values, len(ODD) if base else 2):
                answer = world.simulator.call(route.method, path, kept | {name: value})
                assert answer.status in {200, 400, 404}, (route.name, name)
                sent += 1
    assert sent > 3000
