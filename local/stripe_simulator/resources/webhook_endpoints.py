"""Webhook endpoints."""

from local.stripe_simulator.answers import list_page
from local.stripe_simulator.errors import ApiError
from local.stripe_simulator.parameters import apply_fields
from local.stripe_simulator.simulator import Call
from local.stripe_simulator.store import StripeObject, new_id, token

# Event destinations count too (docs.stripe.com/event-destinations).
MOST_ENDPOINTS = 16


def create(call: Call) -> StripeObject:
    """`POST /v1/webhook_endpoints`: the only answer that shows the signing secret."""
    params = call.params
    if len(call.store.webhook_endpoints) + len(call.store.event_destinations) >= MOST_ENDPOINTS:
        raise ApiError(f"You have reached the maximum of {MOST_ENDPOINTS} test webhook endpoints.")
    endpoint: StripeObject = {
        "id": new_id("we"),
        "object": "webhook_endpoint",
        "api_version": params.get("api_version"),
        "application": None,
        "created": call.now,
        "description": params.get("description"),
        "enabled_events": params["enabled_events"],
        "livemode": False,
        "metadata": params.get("metadata") or {},
        "secret": f"whsec_{token(32)}",
        "status": "enabled",
        "url": params["url"],
    }
    return call.store.webhook_endpoints.add(endpoint)


def _shown(endpoint: StripeObject) -> StripeObject:
    return {name: value for name, value in endpoint.items() if name != "secret"}


def update(call: Call) -> StripeObject:
    """`POST /v1/webhook_endpoints/{id}`; `disabled` switches it off and on."""
    endpoint = call.store.webhook_endpoints.get(call.ids["id"])
    apply_fields(endpoint, call.params, ("description", "enabled_events", "url"))
    if "disabled" in call.params:
        endpoint["status"] = "disabled" if call.params["disabled"] else "enabled"
    return _shown(endpoint)


def retrieve(call: Call) -> StripeObject:
    """`GET /v1/webhook_endpoints/{id}`."""
    return _shown(call.store.webhook_endpoints.get(call.ids["id"]))


def list_endpoints(call: Call) -> StripeObject:
    """`GET /v1/webhook_endpoints`."""
    found = list_page(call.store.webhook_endpoints, call.params, "/v1/webhook_endpoints")
    return {**found, "data": [_shown(endpoint) for endpoint in found["data"]]}


def delete(call: Call) -> StripeObject:
    """`DELETE /v1/webhook_endpoints/{id}`; deliveries on their way to it are given up."""
    endpoint = call.store.webhook_endpoints.get(call.ids["id"])
    call.store.webhook_endpoints.remove(endpoint["id"])
    endpoint["status"] = "deleted"
    return {"id": endpoint["id"], "object": "webhook_endpoint", "deleted": True}
