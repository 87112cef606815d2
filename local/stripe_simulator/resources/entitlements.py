"""Entitlements: the features that customers have by their subscriptions (docs.stripe.com/billing/entitlements).

They follow the status of the subscription. A real pause takes them away, a paused collection does not. What `past_due`
and `unpaid` do is not documented: here the first keeps them and the second does not.
"""

from local.stripe_simulator.answers import list_page
from local.stripe_simulator.errors import ApiError
from local.stripe_simulator.parameters import apply_fields
from local.stripe_simulator.simulator import Call
from local.stripe_simulator.store import Store, StripeObject, new_id

_ENTITLED = {"active", "past_due", "trialing"}
_MOST_EMBEDDED = 10
_ENTITLEMENTS_URL = "/v1/entitlements/active_entitlements"


def create_feature(call: Call) -> StripeObject:
    """`POST /v1/entitlements/features`."""
    params, features = call.params, call.store.features
    every = (features.get(name) for _, _, name in features.positions())
    if any(feature["lookup_key"] == params["lookup_key"] for feature in every):
        raise ApiError(f"A feature with the lookup key {params['lookup_key']} already exists.", param="lookup_key")
    feature = {
        "id": new_id("feat"),
        "object": "entitlements.feature",
        "active": True,
        "livemode": False,
        "lookup_key": params["lookup_key"],
        "metadata": params.get("metadata") or {},
        "name": params["name"],
    }
    return features.add(feature)


def retrieve_feature(call: Call) -> StripeObject:
    """`GET /v1/entitlements/features/{id}`."""
    return call.store.features.get(call.ids["id"])


def update_feature(call: Call) -> StripeObject:
    """`POST /v1/entitlements/features/{id}`; an inactive one stays on the products that have it."""
    feature = call.store.features.get(call.ids["id"])
    apply_fields(feature, call.params, ("active", "name"))
    return feature


def list_features(call: Call) -> StripeObject:
    """`GET /v1/entitlements/features`: active ones, or archived ones."""
    archived, key = call.params.get("archived", False), call.params.get("lookup_key")
    return list_page(
        call.store.features,
        call.params,
        "/v1/entitlements/features",
        lambda one: one["active"] != archived and key in {None, one["lookup_key"]},
    )


def list_entitlements(call: Call) -> StripeObject:
    """`GET /v1/entitlements/active_entitlements` of a customer."""
    customer = call.store.customers.get(call.params["customer"], "customer")["id"]
    found = list_page(call.store.entitlements, call.params, _ENTITLEMENTS_URL, customer=customer)
    return {**found, "data": [_shown(one) for one in found["data"]]}


def retrieve_entitlement(call: Call) -> StripeObject:
    """`GET /v1/entitlements/active_entitlements/{id}`."""
    return _shown(call.store.entitlements.get(call.ids["id"]))


def _shown(entitlement: StripeObject) -> StripeObject:
    return {name: value for name, value in entitlement.items() if name != "customer"}


def changed_summary(call: Call, customer: str) -> StripeObject | None:
    """Bring a customer's entitlements up to date; returns their summary, or null if nothing changed."""
    store = call.store
    had = {one["feature"]: one for one in store.entitlements.of_customer(customer)}
    wanted = _features_of(store, customer)
    if had.keys() == wanted.keys():
        return None
    for name in had.keys() - wanted.keys():
        store.entitlements.remove(had[name]["id"])
    for name in wanted.keys() - had.keys():
        store.entitlements.add(
            {
                "id": new_id("ent"),
                "object": "entitlements.active_entitlement",
                "customer": customer,
                "feature": name,
                "livemode": False,
                "lookup_key": wanted[name],
            }
        )
    now = [_shown(one) for one in store.entitlements.of_customer(customer)]
    entitlements = {
        "object": "list",
        "data": now[:_MOST_EMBEDDED],
        "has_more": len(now) > _MOST_EMBEDDED,
        "url": f"/v1/customer/{customer}/entitlements",
    }
    kind = "entitlements.active_entitlement_summary"
    return {"object": kind, "customer": customer, "entitlements": entitlements, "livemode": False}


def _features_of(store: Store, customer: str) -> dict[str, str]:
    """Return the features of a customer's subscriptions, with their lookup keys."""
    entitled = [one for one in store.subscriptions.of_customer(customer) if one["status"] in _ENTITLED]
    products = {item["price"]["product"] for one in entitled for item in one["items"]["data"]}
    attached = (store.product_features.get(name) for _, _, name in store.product_features.positions())
    features = (store.features.get(one["feature"]) for one in attached if one["product"] in products)
    return {feature["id"]: feature["lookup_key"] for feature in features}
