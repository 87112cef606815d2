"""Which buttons the portal shows for a subscription: the configuration, Stripe's limitations, and the date."""

from local.stripe_simulator import pauses, portal_pause
from local.stripe_simulator.simulator import Call
from local.stripe_simulator.store import StripeObject
from local.stripe_simulator.subscriptions import ENDED

_UPDATABLE = {"active", "trialing", "past_due"}


def offers(call: Call, features: StripeObject, subscription: StripeObject) -> set[str]:
    """The actions open to the customer: cancel, uncancel, update, pause, resume."""
    if subscription["status"] in ENDED:
        return set()
    offered = _pause_offers(call, features["subscription_pause"], subscription)
    if features["subscription_cancel"]["enabled"] and not subscription["schedule"]:
        offered.add("uncancel" if subscription["cancel_at"] else "cancel")
    if features["subscription_update"]["enabled"] and _is_updatable(subscription):
        prices, quantity = plan_options(call, features, subscription), allows_quantity(features, subscription)
        if prices or quantity:
            offered.add("update")
    return offered


def _pause_offers(call: Call, feature: StripeObject, subscription: StripeObject) -> set[str]:
    if not feature["enabled"]:
        return set()
    if portal_pause.is_old_form(feature):
        if subscription["pause_collection"]:
            return {"resume"} if call.now < portal_pause.CUTOFF_AT else set()
        is_on_sale = call.now < portal_pause.BUTTON_REMOVED_AT and subscription["status"] in _UPDATABLE
        return {"pause"} if is_on_sale else set()
    if subscription["status"] == "paused":
        reason = subscription["status_details"]["paused"]["subscription"]["type"]
        return {"resume"} if reason == "pause_requested" else set()
    return set() if pauses.refusal(subscription) else {"pause"}


def _is_updatable(subscription: StripeObject) -> bool:
    items = subscription["items"]["data"]
    return (
        subscription["status"] in _UPDATABLE
        and len(items) == 1
        and items[0]["price"]["recurring"]["usage_type"] == "licensed"
        and subscription["collection_method"] == "charge_automatically"
        and not subscription["schedule"]
    )


def plan_options(call: Call, features: StripeObject, subscription: StripeObject) -> list[StripeObject]:
    """Prices that the customer may switch to: same currency, same stated tax behavior, active."""
    feature, current = features["subscription_update"], subscription["items"]["data"][0]["price"]
    if "price" not in (feature["default_allowed_updates"] or []) or current["tax_behavior"] == "unspecified":
        return []
    listed = [price for product in feature["products"] or [] for price in product["prices"]]
    prices = [call.store.prices.get(price) for price in listed]
    return [
        price
        for price in prices
        if price["id"] != current["id"]
        and price["active"]
        and (price["currency"], price["tax_behavior"]) == (current["currency"], current["tax_behavior"])
    ]


def allows_quantity(features: StripeObject, subscription: StripeObject) -> bool:
    """Whether the configuration lets the customer change how many."""
    feature, product = features["subscription_update"], subscription["items"]["data"][0]["price"]["product"]
    listed = [one["product"] for one in feature["products"] or []]
    return "quantity" in (feature["default_allowed_updates"] or []) and product in listed


def may_remove_payment_method(call: Call, customer: str) -> bool:
    """The last payment method stays while a subscription lives."""
    alive = any(one["status"] not in ENDED for one in call.store.subscriptions.of_customer(customer))
    return not alive or len(call.store.payment_methods.of_customer(customer)) > 1
