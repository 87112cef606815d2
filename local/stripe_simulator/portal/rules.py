"""Which buttons the portal shows for a subscription: the product's own rules, asked of the simulator's objects."""

from datetime import UTC, datetime

from local.stripe_simulator.errors import ApiError
from local.stripe_simulator.resources.subscription_schedules import plans_update
from local.stripe_simulator.resources.subscriptions import ENDED
from local.stripe_simulator.simulator import Call
from local.stripe_simulator.store import StripeObject
from shared.portal.changes import allows_quantity, cancellation, choices, plan_change
from shared.portal.configuration import PortalFeatures
from shared.portal.facts import Answer, PortalFacts, Price
from shared.portal.pause import pausing, resuming
from shared.portal.payment_methods import keeps_last
from shared.stripe.subscription import is_paused, read_subscription


def not_offered() -> ApiError:
    """What who presses a button that is not there is told."""
    return ApiError("This is not available in your customer portal.", status=403)


def facts_of(call: Call, features: StripeObject, subscription: StripeObject) -> PortalFacts:
    """What the rules look at, out of the store."""
    read, schedule = PortalFeatures.read({"features": features}), subscription["schedule"]
    scheduled = call.store.subscription_schedules.find(schedule) if schedule else None
    listed = [price for prices in (read.products or {}).values() for price in prices]
    return PortalFacts(
        read_subscription(subscription),
        read,
        datetime.fromtimestamp(call.now, UTC),
        update_is_planned=plans_update(scheduled, call.now) if scheduled else None,
        current=_price(subscription["items"]["data"][0]["price"]),
        offered=tuple(_price(call.store.prices.get(price)) for price in listed),
        charged=_charged(call, subscription),
    )


def offered_actions(call: Call, features: StripeObject, subscription: StripeObject) -> set[str]:
    """The actions open to the customer: cancel, uncancel, update, pause, resume."""
    facts = facts_of(call, features, subscription)
    answers = {
        "uncancel" if subscription["cancel_at"] else "cancel": cancellation(facts),
        "update": plan_change(facts),
        "pause": pausing(facts),
        "resume": resuming(facts),
    }
    return {action for action, answer in answers.items() if answer.possible}


def refusals(call: Call, features: StripeObject, subscription: StripeObject) -> list[Answer]:
    """What a feature that is on does not do for this one; buttons that the calendar took away are only gone."""
    if subscription["status"] in ENDED:
        return []
    facts = facts_of(call, features, subscription)
    pause = resuming(facts) if is_paused(facts.subscription, facts.now) else pausing(facts)
    gone = {reason.code for reason in pause.reasons} & {"button_removed", "pause_not_yet"}
    return [each for each in (plan_change(facts), cancellation(facts), *(() if gone else (pause,))) if each.limits]


def warnings(call: Call, features: StripeObject, subscription: StripeObject) -> list[str]:
    """What a change of plan brings with it."""
    change = plan_change(facts_of(call, features, subscription))
    return [note.en for note in change.notes] if change.possible else []


def plan_options(call: Call, features: StripeObject, subscription: StripeObject) -> list[StripeObject]:
    """Prices that the customer may switch to."""
    return [call.store.prices.get(price.id) for price in choices(facts_of(call, features, subscription))]


def may_change_quantity(call: Call, features: StripeObject, subscription: StripeObject) -> bool:
    """Whether the configuration lets the customer change how many."""
    return allows_quantity(facts_of(call, features, subscription))


def quantity_limits(features: StripeObject, subscription: StripeObject) -> tuple[int, int | None]:
    """The least and the most that may be chosen; null without a most."""
    product = subscription["items"]["data"][0]["price"]["product"]
    listed = features["subscription_update"]["products"] or []
    adjustable = next((one["adjustable_quantity"] for one in listed if one["product"] == product), {"enabled": False})
    if not adjustable["enabled"]:
        return 1, None
    return adjustable.get("minimum") or 0, adjustable.get("maximum")


def is_collection_paused(call: Call, subscription: StripeObject) -> bool:
    """Whether payments are suspended now; a `resumes_at` that has passed ends that."""
    read = read_subscription(subscription)
    return read.pause_kind == "collection" and is_paused(read, datetime.fromtimestamp(call.now, UTC))


def may_remove_payment_method(call: Call, customer: str) -> bool:
    """The last payment method stays while a subscription lives."""
    alive = any(one["status"] not in ENDED for one in call.store.subscriptions.of_customer(customer))
    return not keeps_last(len(call.store.payment_methods.of_customer(customer)), lives=alive)


def _price(price: StripeObject) -> Price:
    return Price(price["id"], price["product"], price["currency"], price["tax_behavior"], price["active"])


def _charged(call: Call, subscription: StripeObject) -> str | None:
    customer = call.store.customers.get(subscription["customer"])
    named = subscription["default_payment_method"] or customer["invoice_settings"]["default_payment_method"]
    method = call.store.payment_methods.find(named) if named else None
    return str(method["type"]) if method else None
