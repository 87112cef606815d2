"""Products and their prices."""

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from local.stripe_simulator.errors import ApiError, missing
from local.stripe_simulator.events import emit, emit_update, snapshot
from local.stripe_simulator.ids import new_id
from local.stripe_simulator.lists import page
from local.stripe_simulator.metadata import apply_fields
from local.stripe_simulator.simulator import Call
from local.stripe_simulator.store import StripeObject

_PRODUCT_FIELDS = (
    *("active", "default_price", "description", "images", "marketing_features", "name", "package_dimensions"),
    *("shippable", "statement_descriptor", "tax_code", "unit_label", "url"),
)

_PRICE_FIELDS = (
    *(
        "active",
        "billing_scheme",
        "custom_unit_amount",
        "lookup_key",
        "nickname",
        "tax_behavior",
        "tiers",
        "tiers_mode",
    ),
    "transform_quantity",
)


def create_product(call: Call) -> StripeObject:
    """`POST /v1/products`, with its own `id` if given."""
    wanted = call.params.get("id")
    if wanted and call.store.products.find(wanted):
        raise ApiError("Product already exists.", code="resource_already_exists", param="id")
    identity = {"id": wanted or new_id("prod"), "object": "product"}
    product: StripeObject = (
        identity
        | dict.fromkeys((*_PRODUCT_FIELDS, "tax_details"))
        | {
            "active": True,
            "created": call.now,
            "images": [],
            "livemode": False,
            "marketing_features": [],
            "metadata": {},
            "type": "service",
            "updated": call.now,
        }
    )
    apply_fields(product, call.params, _PRODUCT_FIELDS)
    call.store.products.add(product)
    default = call.params.get("default_price_data")
    if default:
        product["default_price"] = create_price(call.about("", **default, product=product["id"]))["id"]
    emit(call, "product.created", product)
    return product


def update_product(call: Call) -> StripeObject:
    """`POST /v1/products/{id}`."""
    product = call.store.products.get(call.ids["id"])
    before = snapshot(product)
    apply_fields(product, call.params, _PRODUCT_FIELDS)
    product["updated"] = call.now
    emit_update(call, "product.updated", before, product)
    return product


def retrieve_product(call: Call) -> StripeObject:
    """`GET /v1/products/{id}`."""
    return call.store.products.get(call.ids["id"])


def list_products(call: Call) -> StripeObject:
    """`GET /v1/products`, active ones or given ids."""
    active, ids = call.params.get("active"), call.params.get("ids")
    return page(
        call.store.products,
        call.params,
        "/v1/products",
        lambda one: active in {None, one["active"]} and (ids is None or one["id"] in ids),
    )


def _recurring(given: dict[str, Any]) -> StripeObject:
    defaults = {"interval_count": 1, "meter": None, "trial_period_days": None, "usage_type": "licensed"}
    return {**defaults, **given}


def _amounts(params: dict[str, Any]) -> tuple[int | None, str | None]:
    """`unit_amount` and `unit_amount_decimal`; the first is null when the second has a fraction."""
    if params.get("billing_scheme") == "tiered":
        return None, None
    if "unit_amount" not in params and "unit_amount_decimal" not in params:
        raise missing("unit_amount")
    exact = Decimal(str(params.get("unit_amount_decimal", params.get("unit_amount"))))
    whole = exact.quantize(Decimal(1), ROUND_HALF_UP)
    return (int(whole) if whole == exact else None), str(whole if whole == exact else exact)


def create_price(call: Call) -> StripeObject:
    """`POST /v1/prices`, of a product that exists or of one described by `product_data`."""
    params = call.params
    amount, exact_amount = _amounts(params)
    product = _product_of(call)
    recurring = _recurring(params["recurring"]) if "recurring" in params else None
    price: StripeObject = (
        {"id": new_id("price"), "object": "price"}
        | dict.fromkeys(_PRICE_FIELDS)
        | {
            "active": True,
            "billing_scheme": "per_unit",
            "created": call.now,
            "livemode": False,
            "metadata": {},
            "tax_behavior": "unspecified",
        }
    )
    apply_fields(price, params, _PRICE_FIELDS)
    price |= {
        "currency": params["currency"].lower(),
        "product": product,
        "recurring": recurring,
        "type": "recurring" if recurring else "one_time",
        "unit_amount": amount,
        "unit_amount_decimal": exact_amount,
    }
    call.store.prices.add(price)
    emit(call, "price.created", price)
    return price


def _product_of(call: Call) -> str:
    """The product that a new price belongs to."""
    if "product" in call.params:
        return str(call.store.products.get(call.params["product"], "product")["id"])
    if "product_data" not in call.params:
        raise missing("product")
    return str(create_product(call.about("", **call.params["product_data"]))["id"])


def update_price(call: Call) -> StripeObject:
    """`POST /v1/prices/{id}`."""
    price = call.store.prices.get(call.ids["id"])
    before = snapshot(price)
    apply_fields(price, call.params, ("active", "lookup_key", "nickname", "tax_behavior"))
    emit_update(call, "price.updated", before, price)
    return price


def retrieve_price(call: Call) -> StripeObject:
    """`GET /v1/prices/{id}`."""
    return call.store.prices.get(call.ids["id"])


def list_prices(call: Call) -> StripeObject:
    """`GET /v1/prices`, by product, currency, type, lookup keys and interval."""
    params = call.params
    exact = {name: params[name] for name in ("active", "currency", "product", "type") if name in params}
    keys, recurring = params.get("lookup_keys"), params.get("recurring", {})

    def keep(price: StripeObject) -> bool:
        own = price["recurring"] or {}
        return (
            all(price[name] == value for name, value in exact.items())
            and (keys is None or price["lookup_key"] in keys)
            and all(own.get(name) == value for name, value in recurring.items())
        )

    return page(call.store.prices, params, "/v1/prices", keep)
