"""Portal configurations: what the customer portal offers."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

from local.stripe_simulator.answers import list_page
from local.stripe_simulator.errors import ApiError, missing, one_time, unknown
from local.stripe_simulator.parameters import Tree, apply_fields
from local.stripe_simulator.resources.events import emit, emit_update, snapshot
from local.stripe_simulator.simulator import Call
from local.stripe_simulator.store import StripeObject, new_id, token
from local.stripe_simulator.versions import PORTAL_PAUSE_REMOVED, PORTAL_PAUSE_RETURNED, before

_MOST_PRODUCTS = 10


def create(call: Call, *, is_default: bool = False) -> StripeObject:
    """`POST /v1/billing_portal/configurations`; only the Dashboard makes the default one."""
    configuration: StripeObject = {
        "id": new_id("bpc"),
        "object": "billing_portal.configuration",
        "active": True,
        "application": None,
        "business_profile": {"headline": None, "privacy_policy_url": None, "terms_of_service_url": None},
        "created": call.now,
        "default_return_url": None,
        "features": _default_features(),
        "is_default": is_default,
        "livemode": False,
        "login_page": {"enabled": False, "url": None},
        "metadata": {},
        "name": None,
        "updated": call.now,
    }
    _apply(call, configuration)
    call.store.configurations.add(configuration)
    emit(call, "billing_portal.configuration.created", configuration)
    return configuration


def update(call: Call) -> StripeObject:
    """`POST /v1/billing_portal/configurations/{id}`; a refused request changes nothing."""
    configuration = call.store.configurations.get(call.ids["id"])
    changed = snapshot(configuration)
    _apply(call, changed)
    changed["active"] = call.params.get("active", changed["active"])
    before = snapshot(configuration)
    if changed != before:
        configuration |= {**changed, "updated": call.now}
        emit_update(call, "billing_portal.configuration.updated", before, configuration)
    return configuration


def retrieve(call: Call) -> StripeObject:
    """`GET /v1/billing_portal/configurations/{id}`."""
    return call.store.configurations.get(call.ids["id"])


def list_configurations(call: Call) -> StripeObject:
    """`GET /v1/billing_portal/configurations`, by `active` and `is_default`."""
    wanted = {name: call.params[name] for name in ("active", "is_default") if name in call.params}

    def keep(one: StripeObject) -> bool:
        return all(one[name] == value for name, value in wanted.items())

    return list_page(call.store.configurations, call.params, "/v1/billing_portal/configurations", keep)


def default(call: Call) -> StripeObject | None:
    """Return the configuration that was saved in the Dashboard, if there is one."""
    configurations = call.store.configurations
    every = [configurations.get(one) for _, _, one in configurations.positions()]
    return next((one for one in every if one["is_default"]), None)


def _default_features() -> StripeObject:
    return {
        "customer_update": {"allowed_updates": [], "enabled": False},
        "invoice_history": {"enabled": False},
        "payment_method_update": {"enabled": False, "payment_method_configuration": None},
        "subscription_cancel": {
            "cancellation_reason": {"enabled": False, "feedback_options": None, "options": []},
            "enabled": False,
            "mode": "at_period_end",
            "proration_behavior": "none",
        },
        "subscription_pause": default_pause_feature(),
        "subscription_update": {
            "billing_cycle_anchor": "unchanged",
            "default_allowed_updates": [],
            "enabled": False,
            "products": [],
            "proration_behavior": "none",
            "schedule_at_period_end": {"conditions": []},
            "trial_update_behavior": "end_trial",
        },
    }


def _apply(call: Call, configuration: StripeObject) -> None:
    params, profile = call.params, call.params.get("business_profile", {})
    apply_fields(configuration["business_profile"], profile, tuple(profile))
    apply_fields(configuration, params, ("default_return_url", "name"))
    for name, given in params.get("features", {}).items():
        if name == "subscription_pause":
            configuration["features"][name] = pause_feature(given, configuration["features"][name], call.version)
        else:
            _merge(configuration["features"][name], given)
    _check_features(call, configuration["features"])
    login = configuration["login_page"]
    login["enabled"] = params.get("login_page", {}).get("enabled", login["enabled"])
    if login["enabled"] and not login["url"]:
        login["url"] = f"{call.simulator.public_url}/p/login/test_{token(20)}"


def _merge(feature: StripeObject, given: dict[str, Any]) -> None:
    for name, value in given.items():
        if isinstance(value, dict) and isinstance(feature.get(name), dict):
            _merge(feature[name], value)
        elif value == "":
            feature[name] = [] if isinstance(feature.get(name), list) else None
        else:
            feature[name] = value


def _check_features(call: Call, features: StripeObject) -> None:
    update_feature, param = features["subscription_update"], "features[subscription_update][products]"
    if update_feature["enabled"] and not features["payment_method_update"]["enabled"]:
        raise ApiError("Cannot enable subscription updates while payment method update is disabled.")
    if features["subscription_cancel"]["proration_behavior"] == "always_invoice":
        name = "features[subscription_cancel][proration_behavior]"
        raise ApiError(f"Invalid {name}: must be one of none or create_prorations", param=name)
    products = update_feature["products"] or []
    if update_feature["enabled"] and not products:
        raise missing(param)
    if len(products) > _MOST_PRODUCTS:
        raise ApiError(f"Array {param} exceeded maximum {_MOST_PRODUCTS} allowed elements.", param=param)
    for position, product in enumerate(products):
        _check_product(call, product, f"{param}[{position}]")


def _check_product(call: Call, product: dict[str, Any], param: str) -> None:
    call.store.products.get(product["product"], f"{param}[product]")
    prices = [
        call.store.prices.get(price, f"{param}[prices][{place}]") for place, price in enumerate(product["prices"])
    ]
    for price in prices:
        if price["recurring"] is None:
            raise one_time(f"{param}[prices]")
        if price["product"] != product["product"]:
            raise ApiError(
                f"The price {price['id']} does not belong to {product['product']}.", param=f"{param}[prices]"
            )
    intervals = Counter((one["recurring"]["interval"], one["recurring"]["interval_count"]) for one in prices)
    if any(count > 1 for count in intervals.values()):
        raise ApiError("For each product, its price must have unique billing intervals.", param=f"{param}[prices]")
    product.setdefault("adjustable_quantity", {"enabled": False, "maximum": None, "minimum": 0})


# `features.subscription_pause`, which changed its meaning with the API version and with the year.

# The portal's old pause button went at the first, its resume button and the old parameter at the second.
BUTTON_REMOVED_AT = int(datetime(2024, 3, 29, tzinfo=UTC).timestamp())

CUTOFF_AT = int(datetime(2024, 8, 1, tzinfo=UTC).timestamp())

_PAUSE_PARAM = "features[subscription_pause]"

# How long intervals are when they are compared.
DAYS = {"day": 1, "week": 7, "month": 30, "year": 365}

_LONGEST_DAYS = 3 * 365


def default_pause_feature() -> StripeObject:
    """Return the feature of a configuration that does not name it: off, one month."""
    options = [{"interval": "month", "interval_count": 1}]
    return {"duration": {"interval_options": options, "type": "interval_options"}, "enabled": False}


def check_pause_version(params: Tree, version: str, now: int) -> None:
    """Raise `parameter_unknown` where the version, at that time, does not have the parameter."""
    given = params.get("features", {}).get("subscription_pause") if isinstance(params.get("features"), dict) else None
    if given is None or not before(version, PORTAL_PAUSE_RETURNED):
        return
    if not before(version, PORTAL_PAUSE_REMOVED) or now >= CUTOFF_AT:
        raise unknown(_PAUSE_PARAM)
    for name in given:
        if name != "enabled":
            raise unknown(f"{_PAUSE_PARAM}[{name}]")


def pause_feature(given: dict[str, Any], old: StripeObject, version: str) -> StripeObject:
    """Return the feature after a request: versions before its removal make the old form, without a duration."""
    if before(version, PORTAL_PAUSE_REMOVED):
        return {"enabled": given.get("enabled", old["enabled"])}
    result = {"duration": old.get("duration", default_pause_feature()["duration"]), "enabled": old["enabled"]}
    if "enabled" in given:
        result["enabled"] = given["enabled"]
    if "duration" in given:
        result["duration"] = _duration(given["duration"])
    return result


def _duration(given: dict[str, Any]) -> StripeObject:
    options = [{"interval_count": 1, **option} for option in given.get("interval_options") or []]
    if given["type"] == "interval_options" and not options:
        raise missing(f"{_PAUSE_PARAM}[duration][interval_options]")
    for option in options:
        if not 0 < option["interval_count"] * DAYS[option["interval"]] <= _LONGEST_DAYS:
            raise ApiError("The longest pause is three years.", param=f"{_PAUSE_PARAM}[duration][interval_options]")
    return {"interval_options": options, "type": given["type"]}


def is_old_pause_form(configured: StripeObject) -> bool:
    """Whether a configuration carries the form of before 2024, which has no duration."""
    return "duration" not in configured
