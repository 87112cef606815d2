"""Subscription items one by one; each change is an update of the subscription that they belong to."""

from typing import Any

from local.stripe_simulator.answers import embedded_page
from local.stripe_simulator.errors import no_such
from local.stripe_simulator.resources import subscription_changes
from local.stripe_simulator.simulator import Call
from local.stripe_simulator.store import StripeObject

# What is the item's own; the other parameters say how the subscription takes the change.
_OWN = {"metadata", "plan", "price", "price_data", "quantity"}


def create(call: Call) -> StripeObject:
    """`POST /v1/subscription_items`."""
    subscription = call.store.subscriptions.get(call.params["subscription"], "subscription")
    known = {item["id"] for item in subscription["items"]["data"]}
    _change(call, subscription, {})
    # An item that waits for its payment is in the pending update alone.
    waiting = (subscription["pending_update"] or {}).get("subscription_items") or []
    added: StripeObject = next(item for item in (*subscription["items"]["data"], *waiting) if item["id"] not in known)
    return added


def retrieve(call: Call) -> StripeObject:
    """`GET /v1/subscription_items/{id}`."""
    return _item_of(_subscription_of(call), call.ids["id"])


def update(call: Call) -> StripeObject:
    """`POST /v1/subscription_items/{id}`."""
    subscription = _subscription_of(call)
    _change(call, subscription, {"id": call.ids["id"]})
    return _item_of(subscription, call.ids["id"])


def delete(call: Call) -> StripeObject:
    """`DELETE /v1/subscription_items/{id}`; the last item of a subscription stays."""
    _change(call, _subscription_of(call), {"id": call.ids["id"], "deleted": True})
    return {"id": call.ids["id"], "object": "subscription_item", "deleted": True}


def list_items(call: Call) -> StripeObject:
    """`GET /v1/subscription_items`: all items of one subscription, which itself embeds only the first."""
    subscription = call.store.subscriptions.get(call.params["subscription"], "subscription")
    url = "/v1/subscription_items"
    return embedded_page(subscription["items"]["data"], call.params, url, "subscription_item")


def _subscription_of(call: Call) -> StripeObject:
    found = call.store.subscription_of_item(call.ids["id"])
    if found is None:
        raise no_such("subscription_item", call.ids["id"])
    return found


def _item_of(subscription: StripeObject, item_id: str) -> StripeObject:
    item: StripeObject = next(one for one in subscription["items"]["data"] if one["id"] == item_id)
    return item


def _change(call: Call, subscription: StripeObject, item: dict[str, Any]) -> None:
    item |= {name: value for name, value in call.params.items() if name in _OWN}
    others = {name: value for name, value in call.params.items() if name not in {*_OWN, "expand", "subscription"}}
    subscription_changes.update(call.about(subscription["id"], items=[item], **others))
