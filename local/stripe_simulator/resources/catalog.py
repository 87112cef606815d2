"""Products, prices, coupons and promotion codes."""

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from local.stripe_simulator.answers import list_page
from local.stripe_simulator.errors import ApiError, exclusive, in_the_past, missing, no_such
from local.stripe_simulator.parameters import apply_fields
from local.stripe_simulator.resources.events import emit, emit_update, snapshot
from local.stripe_simulator.resources.periods import add_interval
from local.stripe_simulator.search import search
from local.stripe_simulator.simulator import Call
from local.stripe_simulator.store import StripeObject, new_id, token

_PRODUCT_FIELDS = (
    *("active", "default_price", "description", "images", "marketing_features", "name", "package_dimensions"),
    *("shippable", "statement_descriptor", "tax_code", "unit_label", "url"),
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
    default = call.params.get("default_price")
    if default and call.store.prices.get(default, "default_price")["product"] != product["id"]:
        raise ApiError(f"The price {default} does not belong to {product['id']}.", param="default_price")
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
    return list_page(
        call.store.products,
        call.params,
        "/v1/products",
        lambda one: active in {None, one["active"]} and (ids is None or one["id"] in ids),
    )


def search_products(call: Call) -> StripeObject:
    """`GET /v1/products/search`."""
    return search(call, call.store.products, "products")


def delete_product(call: Call) -> StripeObject:
    """`DELETE /v1/products/{id}`, of a product without prices (docs.stripe.com/api/products/delete)."""
    product = call.store.products.get(call.ids["id"])
    prices = call.store.prices
    if any(prices.get(name)["product"] == product["id"] for _, _, name in prices.positions()):
        raise ApiError("This product cannot be deleted because it has one or more user-created prices.")
    call.store.products.remove(product["id"])
    emit(call, "product.deleted", product)
    return {"id": product["id"], "object": "product", "deleted": True}


# Prices.

_PRICE_FIELDS = (
    *(
        "active",
        "billing_scheme",
        "lookup_key",
        "nickname",
        "tax_behavior",
        "tiers_mode",
    ),
    "transform_quantity",
)


def create_price(call: Call) -> StripeObject:
    """`POST /v1/prices`, of a product that exists or of one described by `product_data`."""
    params = call.params
    amounts = _amounts(params)
    product = _product_of(call)
    recurring = _recurring(params["recurring"]) if "recurring" in params else None
    price: StripeObject = (
        {"id": new_id("price"), "object": "price"}
        | dict.fromkeys((*_PRICE_FIELDS, "custom_unit_amount"))
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
    }
    price |= amounts
    if params.get("custom_unit_amount", {}).get("enabled"):
        price["custom_unit_amount"] = {name: params["custom_unit_amount"].get(name) for name in _CHOSEN_AMOUNTS}
    if "tiers" in params:
        tiers = [_tier(one) for one in params["tiers"]]
        call.store.on_demand.add({"id": price["id"], "created": call.now, "tiers": tiers})
    call.store.prices.add(price)
    emit(call, "price.created", price)
    return price


def _amounts(params: dict[str, Any]) -> StripeObject:
    """Return `unit_amount` and `unit_amount_decimal`; the first is null when the second has a fraction."""
    if params.get("billing_scheme") == "tiered" or "custom_unit_amount" in params:
        return {"unit_amount": None, "unit_amount_decimal": None}
    if "unit_amount" not in params and "unit_amount_decimal" not in params:
        raise missing("unit_amount")
    exact = Decimal(str(params.get("unit_amount_decimal", params.get("unit_amount"))))
    whole = exact.quantize(Decimal(1), ROUND_HALF_UP)
    is_whole = whole == exact
    return {"unit_amount": int(whole) if is_whole else None, "unit_amount_decimal": str(whole if is_whole else exact)}


_CHOSEN_AMOUNTS = ("maximum", "minimum", "preset")


def _tier(given: dict[str, Any]) -> StripeObject:
    tier: StripeObject = {"up_to": None if given["up_to"] == "inf" else given["up_to"]}
    for name in ("flat_amount", "unit_amount"):
        exact = given.get(f"{name}_decimal", given.get(name))
        tier |= {name: given.get(name), f"{name}_decimal": None if exact is None else str(exact)}
    return tier


def _recurring(given: dict[str, Any]) -> StripeObject:
    defaults = {"interval_count": 1, "meter": None, "trial_period_days": None, "usage_type": "licensed"}
    return {**defaults, **given}


def _product_of(call: Call) -> str:
    """Return the id of a new price's product, which `product_data` creates."""
    if "product" in call.params and "product_data" in call.params:
        raise exclusive("product", "product_data")
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

    return list_page(call.store.prices, params, "/v1/prices", keep)


def search_prices(call: Call) -> StripeObject:
    """`GET /v1/prices/search`."""
    return search(call, call.store.prices, "prices")


# Coupons, promotion codes and the discounts that they give.

_COUPON_FIELDS = ("amount_off", "currency", "duration_in_months", "max_redemptions", "name", "percent_off", "redeem_by")


def create_coupon(call: Call) -> StripeObject:
    """`POST /v1/coupons`, with the given id or a new one."""
    params = call.params
    if "percent_off" not in params and "amount_off" not in params:
        raise missing("percent_off")
    if "percent_off" in params and "amount_off" in params:
        raise exclusive("amount_off", "percent_off")
    if "amount_off" in params and "currency" not in params:
        raise missing("currency")
    if params.get("duration") == "repeating" and "duration_in_months" not in params:
        raise missing("duration_in_months")
    if params.get("redeem_by", call.now + 1) <= call.now:
        raise in_the_past("redeem_by")
    coupon = dict.fromkeys(_COUPON_FIELDS) | {name: params[name] for name in _COUPON_FIELDS if name in params}
    coupon |= {"id": params.get("id") or token(8), "object": "coupon", "created": call.now, "livemode": False}
    coupon |= {"duration": params.get("duration", "once"), "metadata": params.get("metadata") or {}}
    coupon |= {"times_redeemed": 0, "valid": True}
    if call.store.coupons.find(str(coupon["id"])):
        raise ApiError("Coupon already exists.", code="resource_already_exists", param="id")
    call.store.coupons.add(coupon)
    emit(call, "coupon.created", coupon)
    return coupon


def retrieve_coupon(call: Call) -> StripeObject:
    """`GET /v1/coupons/{id}`."""
    return call.store.coupons.get(call.ids["id"])


def update_coupon(call: Call) -> StripeObject:
    """`POST /v1/coupons/{id}`: name and metadata, as nothing else can change."""
    coupon = call.store.coupons.get(call.ids["id"])
    before = snapshot(coupon)
    apply_fields(coupon, call.params, ("name",))
    emit_update(call, "coupon.updated", before, coupon)
    return coupon


def delete_coupon(call: Call) -> StripeObject:
    """`DELETE /v1/coupons/{id}`: nobody can redeem it any more; who has, keeps the discount."""
    coupon = call.store.coupons.get(call.ids["id"])
    call.store.coupons.remove(coupon["id"])
    if call.store.deleted_coupons.find(coupon["id"]):
        call.store.deleted_coupons.remove(coupon["id"])
    call.store.deleted_coupons.add(coupon)
    emit(call, "coupon.deleted", coupon)
    return {"id": coupon["id"], "object": "coupon", "deleted": True}


def list_coupons(call: Call) -> StripeObject:
    """`GET /v1/coupons`."""
    return list_page(call.store.coupons, call.params, "/v1/coupons")


def create_promotion_code(call: Call) -> StripeObject:
    """`POST /v1/promotion_codes` for a coupon."""
    params, promotion = call.params, call.params["promotion"]
    call.store.coupons.get(promotion.get("coupon", ""), "promotion[coupon]")
    if params.get("customer"):
        call.store.customers.get(params["customer"], "customer")
    if params.get("expires_at", call.now + 1) <= call.now:
        raise in_the_past("expires_at")
    wanted = (params.get("code") or "").upper()
    every = [call.store.promotion_codes.get(name) for _, _, name in call.store.promotion_codes.positions()]
    if wanted and any(_is_usable(call, one) and one["code"].upper() == wanted for one in every):
        raise ApiError(f"An active promotion code with `code: {params['code']}` already exists.", param="code")
    code = {
        "id": new_id("promo"),
        "object": "promotion_code",
        "active": call.params.get("active", True),
        "code": call.params.get("code") or token(8).upper(),
        "created": call.now,
        "customer": call.params.get("customer"),
        "customer_account": None,
        "expires_at": params.get("expires_at"),
        "livemode": False,
        "max_redemptions": params.get("max_redemptions"),
        "metadata": call.params.get("metadata") or {},
        "promotion": promotion,
        "restrictions": {"first_time_transaction": False, "minimum_amount": None, "minimum_amount_currency": None}
        | params.get("restrictions", {}),
        "times_redeemed": 0,
    }
    call.store.promotion_codes.add(code)
    emit(call, "promotion_code.created", code)
    return _shown_code(call, code)


def _is_usable(call: Call, code: StripeObject) -> bool:
    """Whether a promotion code can still be redeemed by somebody."""
    is_used_up = code["max_redemptions"] is not None and code["times_redeemed"] >= code["max_redemptions"]
    is_over = code["expires_at"] is not None and code["expires_at"] <= call.now
    return bool(code["active"]) and not is_used_up and not is_over


def _shown_code(call: Call, code: StripeObject) -> StripeObject:
    """Return a promotion code as a response has it: one that is used up or over is not active."""
    return {**code, "active": _is_usable(call, code)}


def update_promotion_code(call: Call) -> StripeObject:
    """`POST /v1/promotion_codes/{id}`."""
    code = call.store.promotion_codes.get(call.ids["id"])
    before = snapshot(code)
    apply_fields(code, call.params, ("active",))
    emit_update(call, "promotion_code.updated", before, code)
    return _shown_code(call, code)


def retrieve_promotion_code(call: Call) -> StripeObject:
    """`GET /v1/promotion_codes/{id}`."""
    return _shown_code(call, call.store.promotion_codes.get(call.ids["id"]))


def list_promotion_codes(call: Call) -> StripeObject:
    """`GET /v1/promotion_codes`, by code in any case, coupon, customer, and whether they are active."""
    params = call.params
    code = params.get("code", "").upper()

    def keep(one: StripeObject) -> bool:
        return (
            code in {"", one["code"].upper()}
            and params.get("coupon") in {None, one["promotion"]["coupon"]}
            and params.get("active") in {None, _is_usable(call, one)}
        )

    page = list_page(call.store.promotion_codes, params, "/v1/promotion_codes", keep, params.get("customer"))
    return page | {"data": [_shown_code(call, one) for one in page["data"]]}


def coupon_of(call: Call, given: dict[str, Any], param: str, customer: str) -> StripeObject:
    """Return the coupon that `{coupon}` or `{promotion_code}` names; raises an error if the customer cannot have it.

    Stripe's message is known for a customer with prior transactions alone.
    """
    if not given.get("promotion_code"):
        return _redeemable(call, call.store.coupons.get(given.get("coupon") or "", f"{param}[coupon]"), param)
    code = call.store.promotion_codes.get(given["promotion_code"], f"{param}[promotion_code]")
    if not _is_usable(call, code):
        raise ApiError("This promotion code is not active.", param=f"{param}[promotion_code]")
    if code["customer"] not in {None, customer}:
        raise ApiError(
            "This promotion code cannot be redeemed because it is another customer's.", param=f"{param}[promotion_code]"
        )
    invoices = call.store.invoices.of_customer(customer)
    if code["restrictions"]["first_time_transaction"] and any(one["status"] == "paid" for one in invoices):
        raise ApiError(
            "This promotion code cannot be redeemed because the associated customer has prior transactions.",
            code="promotion_code_customer_not_first_time",
            param=f"{param}[promotion_code]",
        )
    return _redeemable(call, call.store.coupons.get(code["promotion"]["coupon"]), param)


def _redeemable(call: Call, coupon: StripeObject, param: str) -> StripeObject:
    is_used_up = coupon["max_redemptions"] is not None and coupon["times_redeemed"] >= coupon["max_redemptions"]
    if is_used_up or (coupon["redeem_by"] is not None and coupon["redeem_by"] <= call.now):
        raise ApiError(f"Coupon expired: {coupon['id']}", code="coupon_expired", param=f"{param}[coupon]")
    return coupon


def apply_discounts(call: Call, subscription: StripeObject, given: dict[str, Any]) -> str:
    """Discount a subscription, and return the terms."""
    coupon = coupon_of(call, given, "discounts[0]", subscription["customer"])
    before = snapshot(subscription)
    subscription["discounts"] = [*subscription["discounts"], make_discount(call, subscription, given, "discounts[0]")]
    emit_update(call, "customer.subscription.updated", before, subscription)
    return discount_terms(coupon)


def discounts_of(call: Call, subscription: StripeObject, given: list[dict[str, Any]] | str) -> list[str]:
    """Return the ids of a subscription's discounts after a request, which keeps those that it names by `discount`."""
    # All are looked up before the first is made, because a refused request changes nothing.
    for place, one in enumerate(given or []):
        if not isinstance(one, dict):
            continue
        if "discount" not in one:
            coupon_of(call, one, f"discounts[{place}]", subscription["customer"])
        elif one["discount"] not in subscription["discounts"]:
            raise no_such("discount", one["discount"], f"discounts[{place}][discount]")
    return [
        one["discount"] if "discount" in one else make_discount(call, subscription, one, f"discounts[{place}]")
        for place, one in enumerate(given or [])
        if isinstance(one, dict)
    ]


def give_back(call: Call, discounts: list[str]) -> None:
    """Undo the redemption of coupons by a subscription that is not created after all."""
    for name in discounts:
        discount = call.store.discounts.get(name)
        call.store.coupons.get(discount["source"]["coupon"])["times_redeemed"] -= 1
        if discount["promotion_code"]:
            call.store.promotion_codes.get(discount["promotion_code"])["times_redeemed"] -= 1


_DISCOUNT_NULLS = ("checkout_session", "customer_account", "end", "invoice", "invoice_item", "subscription_item")


def make_discount(call: Call, subscription: StripeObject, given: dict[str, Any], param: str) -> str:
    """Redeem `{coupon}` or `{promotion_code}` for a subscription; returns the id of the discount."""
    coupon = coupon_of(call, given, param, subscription["customer"])
    coupon["times_redeemed"] += 1
    if given.get("promotion_code"):
        call.store.promotion_codes.get(given["promotion_code"])["times_redeemed"] += 1
    discount = dict.fromkeys(_DISCOUNT_NULLS) | {
        "id": new_id("di"),
        "object": "discount",
        "customer": subscription["customer"],
        "end": _end_of(coupon, call.now),
        "promotion_code": given.get("promotion_code"),
        "source": {"coupon": coupon["id"], "type": "coupon"},
        "start": call.now,
        "subscription": subscription["id"],
    }
    call.store.discounts.add(discount)
    return str(discount["id"])


def _end_of(coupon: StripeObject, start: int) -> int | None:
    """Return when a discount ends, which is known for those of several months only."""
    is_repeating = coupon["duration"] == "repeating"
    return add_interval(start, "month", coupon["duration_in_months"]) if is_repeating else None


def discount_terms(coupon: StripeObject) -> str:
    """Return the terms of a coupon as a page shows them, such as `30% off once`."""
    if coupon["percent_off"]:
        amount = f"{coupon['percent_off']:g}%"
    else:
        amount = f"{coupon['amount_off'] / 100:.2f} {coupon['currency'].upper()}"
    months = f"for {coupon['duration_in_months']} months" if coupon["duration"] == "repeating" else coupon["duration"]
    return f"{amount} off {months}"
