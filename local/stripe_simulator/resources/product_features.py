"""The features of a product, which its subscribers are entitled to."""

from local.stripe_simulator.answers import list_page
from local.stripe_simulator.errors import ApiError, no_such
from local.stripe_simulator.resources import entitlements
from local.stripe_simulator.resources.events import emit
from local.stripe_simulator.simulator import Call
from local.stripe_simulator.store import StripeObject, new_id


def create(call: Call) -> StripeObject:
    """`POST /v1/products/{id}/features`: those who have the product are entitled at once."""
    product = call.store.products.get(call.ids["id"])
    feature = call.store.features.get(call.params["entitlement_feature"], "entitlement_feature")
    if not feature["active"]:
        raise ApiError("An inactive feature cannot be attached to a product.", param="entitlement_feature")
    if any(one["feature"] == feature["id"] for one in _of_product(call, product["id"])):
        raise ApiError("The feature is already attached to this product.", param="entitlement_feature")
    attached: StripeObject = {
        "id": new_id("prodft"),
        "object": "product_feature",
        "feature": feature["id"],
        "livemode": False,
        "product": product["id"],
    }
    call.store.product_features.add(attached)
    _announce(call, product["id"])
    return _shown(call, attached)


def retrieve(call: Call) -> StripeObject:
    """`GET /v1/products/{id}/features/{feature}`."""
    return _shown(call, _named(call))


def list_features(call: Call) -> StripeObject:
    """`GET /v1/products/{id}/features`."""
    product = call.store.products.get(call.ids["id"])["id"]
    url = f"/v1/products/{product}/features"
    found = list_page(call.store.product_features, call.params, url, lambda one: one["product"] == product)
    return {**found, "data": [_shown(call, one) for one in found["data"]]}


def delete(call: Call) -> StripeObject:
    """`DELETE /v1/products/{id}/features/{feature}`: those who have the product lose the entitlement."""
    attached = _named(call)
    call.store.product_features.remove(attached["id"])
    _announce(call, attached["product"])
    return {"id": attached["id"], "object": "product_feature", "deleted": True}


def _named(call: Call) -> StripeObject:
    attached = call.store.product_features.get(call.ids["feature"])
    if attached["product"] != call.ids["id"]:
        raise no_such("product_feature", attached["id"])
    return attached


def _shown(call: Call, attached: StripeObject) -> StripeObject:
    shown = {name: value for name, value in attached.items() if name not in {"feature", "product"}}
    return {**shown, "entitlement_feature": call.store.features.get(attached["feature"])}


def _of_product(call: Call, product: str) -> list[StripeObject]:
    every = (call.store.product_features.get(name) for _, _, name in call.store.product_features.positions())
    return [one for one in every if one["product"] == product]


def _announce(call: Call, product: str) -> None:
    """Send the new entitlements of everybody who has a product."""
    every = (call.store.subscriptions.get(name) for _, _, name in call.store.subscriptions.positions())
    customers = {
        one["customer"] for one in every if any(item["price"]["product"] == product for item in one["items"]["data"])
    }
    for customer in sorted(customers):
        summary = entitlements.changed_summary(call, customer)
        if summary:
            emit(call, "entitlements.active_entitlement_summary.updated", summary)
