"""Portal sessions: links to the portal, and to one of its pages (`flow_data`)."""

from typing import Any

from local.stripe_simulator.errors import ApiError, missing
from local.stripe_simulator.portal import configurations as portal_configurations
from local.stripe_simulator.resources import catalog
from local.stripe_simulator.resources.events import emit
from local.stripe_simulator.resources.status import ENDED, pause_refusals
from local.stripe_simulator.simulator import Call, PortalVisit
from local.stripe_simulator.store import StripeObject, new_id, token

_NO_DEFAULT = (
    "No configuration provided and your test mode default configuration has not been created. "
    "Provide a configuration or create your default by saving your customer portal settings in test mode "
    "at https://dashboard.stripe.com/test/settings/billing/portal."
)


def create(call: Call) -> StripeObject:
    """`POST /v1/billing_portal/sessions`."""
    params = call.params
    if "customer" not in params:
        raise missing("customer")
    call.store.customers.get(params["customer"], "customer")
    configuration = _configuration(call)
    key = f"test_{token(40)}"
    session: StripeObject = {
        "id": new_id("bps"),
        "object": "billing_portal.session",
        "after_expiration": _after_expiration(params.get("after_expiration")),
        "configuration": configuration["id"],
        "created": call.now,
        "customer": params["customer"],
        "customer_account": None,
        "flow": build_flow(call, params["flow_data"], configuration) if "flow_data" in params else None,
        "livemode": False,
        "locale": params.get("locale"),
        "on_behalf_of": params.get("on_behalf_of"),
        "return_url": params.get("return_url") or configuration["default_return_url"],
        "url": f"{call.simulator.public_url}/p/session/{key}",
    }
    call.store.portal_sessions.add(session)
    call.simulator.visits[key] = PortalVisit(session, call.now)
    emit(call, "billing_portal.session.created", session)
    return session


def _configuration(call: Call) -> StripeObject:
    named = call.params.get("configuration")
    if named:
        configuration = call.store.configurations.get(named, "configuration")
    else:
        found = portal_configurations.default(call)
        if found is None:
            raise ApiError(_NO_DEFAULT)
        configuration = found
    if not configuration["active"]:
        text = f"The configuration {configuration['id']} is inactive. Activate it or provide another configuration."
        raise ApiError(text, param="configuration")
    return configuration


def _after_expiration(given: dict[str, Any] | None) -> StripeObject | None:
    if given is None:
        return None
    return {"type": given["type"], "customer_login": {"expires_at": None, **given.get("customer_login", {})}}


# Flows, checked against the configuration and the customer.

_TYPES = ("subscription_cancel", "subscription_pause", "subscription_update", "subscription_update_confirm")

# Flow type to the feature that it needs, and the verb and the feature's name in its refusal.
_NEEDS = {
    "customer_update": ("customer_update", "updated", "customer update"),
    "payment_method_update": ("payment_method_update", "updated", "payment method update"),
    "subscription_cancel": ("subscription_cancel", "canceled", "subscription cancel"),
    "subscription_pause": ("subscription_pause", "paused", "subscription pause"),
    "subscription_update": ("subscription_update", "updated", "subscription update"),
    "subscription_update_confirm": ("subscription_update", "updated", "subscription update"),
}


def build_flow(call: Call, given: dict[str, Any], configuration: StripeObject) -> StripeObject:
    """Return the `flow` of a session; raises Stripe's error for one that cannot be."""
    kind = given["type"]
    _require_feature(kind, configuration)
    flow: StripeObject = dict.fromkeys((*_TYPES, "customer_update")) | {
        "type": kind,
        "after_completion": _after_completion(given.get("after_completion", {"type": "portal_homepage"})),
    }
    if kind in _TYPES:
        if kind not in given:
            raise missing(f"flow_data[{kind}]")
        flow[kind] = _details(kind, given[kind])
        _check_subscription(call, kind, flow[kind])
        _check_discounts(call, kind, given[kind])
        if kind == "subscription_update_confirm":
            _check_offered(call, flow[kind]["items"][0], configuration["features"]["subscription_update"])
    elif kind == "customer_update":
        flow[kind] = {}
    return flow


def _require_feature(kind: str, configuration: StripeObject) -> None:
    feature, verb, name = _NEEDS[kind]
    if not configuration["features"][feature]["enabled"]:
        subject = "subscription" if feature.startswith("subscription") else feature.removesuffix("_update")
        raise ApiError(
            f"This {subject.replace('_', ' ')} cannot be {verb} because the {name} feature "
            "in the portal configuration is disabled."
        )


def _after_completion(given: dict[str, Any]) -> StripeObject:
    kind = given["type"]
    if kind == "redirect" and "redirect" not in given:
        raise missing("flow_data[after_completion][redirect]")
    confirmation = given.get("hosted_confirmation", {}) if kind == "hosted_confirmation" else None
    return {
        "type": kind,
        "redirect": given.get("redirect"),
        "hosted_confirmation": None if confirmation is None else {"custom_message": None, **confirmation},
    }


def _details(kind: str, given: dict[str, Any]) -> StripeObject:
    defaults: dict[str, StripeObject] = {
        "subscription_cancel": {"retention": None},
        "subscription_update_confirm": {"discounts": None},
    }
    details = {**defaults.get(kind, {}), **given}
    if "items" in details:
        details["items"] = [{"price": None, **item} for item in details["items"]]
    if details.get("discounts"):
        details["discounts"] = [{"coupon": None, "promotion_code": None, **one} for one in details["discounts"]]
    return details


def _check_subscription(call: Call, kind: str, details: StripeObject) -> None:
    param = f"flow_data[{kind}][subscription]"
    subscription = call.store.subscriptions.get(details["subscription"], param)
    if subscription["customer"] != call.params["customer"]:
        text = f"The subscription {subscription['id']} does not belong to the customer {call.params['customer']}."
        raise ApiError(text, param=param)
    verb = _NEEDS[kind][1]
    if subscription["status"] in ENDED:
        raise ApiError(f"This subscription cannot be {verb} because it is already canceled.", param=param)
    if kind == "subscription_cancel" and subscription["cancel_at"]:
        text = "This subscription cannot be canceled because it is already set to be canceled."
        raise ApiError(text, param=param)
    if kind == "subscription_pause":
        for reason in pause_refusals(subscription):
            raise ApiError(reason, param=param)
    if kind == "subscription_update_confirm":
        _check_change(subscription, details["items"])


def _check_discounts(call: Call, kind: str, given: dict[str, Any]) -> None:
    customer = call.params["customer"]
    if retention := given.get("retention"):
        catalog.coupon_of(call, retention["coupon_offer"], f"flow_data[{kind}][retention][coupon_offer]", customer)
    for position, discount in enumerate(given.get("discounts") or []):
        catalog.coupon_of(call, discount, f"flow_data[{kind}][discounts][{position}]", customer)


def _check_offered(call: Call, item: dict[str, Any], feature: StripeObject) -> None:
    """A new price has to be one of the configuration's."""
    param = "flow_data[subscription_update_confirm][items][0][price]"
    if item["price"] is None:
        return
    call.store.prices.get(item["price"], param)
    if item["price"] not in {price for product in feature["products"] or [] for price in product["prices"]}:
        text = (
            f"The price {item['price']} is not in the portal configuration's features[subscription_update][products]."
        )
        raise ApiError(text, param=param)


def _check_change(subscription: StripeObject, items: list[dict[str, Any]]) -> None:
    own = subscription["items"]["data"]
    if len(items) > 1 or len(own) > 1:
        raise ApiError("Only subscriptions with one item can be updated in the customer portal.")
    wanted = items[0]
    if wanted.get("id") != own[0]["id"]:
        text = f"No such subscription_item: '{wanted.get('id')}'"
        raise ApiError(text, code="resource_missing", param="flow_data[subscription_update_confirm][items][0][id]")
    if wanted["price"] in {None, own[0]["price"]["id"]} and wanted.get("quantity") in {None, own[0].get("quantity")}:
        raise ApiError("Cannot update the subscription because there are no changes to confirm.")
