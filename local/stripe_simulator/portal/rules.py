"""What the hosted portal offers for a subscription, and what Stripe's limits withhold.

Written from Stripe's documentation (docs.stripe.com/customer-management and its "limitations", and
docs.stripe.com/billing/subscriptions/pause), independently of the software that is tested against the simulator: the
two are compared by a test. Where Stripe documents nothing, docs/simulator.md names what is assumed here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from local.stripe_simulator.errors import ApiError
from local.stripe_simulator.portal.configurations import BUTTON_REMOVED_AT, CUTOFF_AT, is_old_pause_form
from local.stripe_simulator.resources.status import ENDED, pause_refusals, resume_refusals
from local.stripe_simulator.resources.subscription_schedules import plans_update
from local.stripe_simulator.simulator import Call
from local.stripe_simulator.store import StripeObject

# The pause with a choice of durations came with API version 2026-10-28.endive.
PAUSE_RETURNED_AT = int(datetime(2026, 10, 28, tzinfo=UTC).timestamp())

SUPPORTED_PAYMENT_METHODS = frozenset(
    {
        *("acss_debit", "amazon_pay", "au_becs_debit", "bacs_debit", "boleto", "card", "cashapp", "link", "paypal"),
        *("sepa_debit", "us_bank_account"),
    }
)
LAST_PAYMENT_METHOD = (
    "It is the only payment method, and you have a subscription. "
    "Add the new payment method first, then remove the old one."
)
# Statuses in which plans change, and in which the old button paused; Stripe names none that are excluded.
_RUNNING = frozenset({"active", "trialing", "past_due"})


@dataclass(frozen=True)
class QuantityRange:
    """The quantities that a customer may choose; no `maximum` means any."""

    minimum: int = 1
    maximum: int | None = None

    def __contains__(self, quantity: int) -> bool:
        return quantity >= self.minimum and (self.maximum is None or quantity <= self.maximum)


@dataclass(frozen=True)
class Refusal:
    """An action that the configuration enables and Stripe's limits withhold from this subscription."""

    action: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Offer:
    """What the portal offers for one subscription.

    `actions` are some of cancel, uncancel, update, pause, resume. `plans` are the prices that the customer may switch
    to; `quantity` is null where it is fixed. `warnings` say what a change of plan brings with it.
    """

    actions: frozenset[str] = frozenset()
    plans: tuple[StripeObject, ...] = ()
    quantity: QuantityRange | None = None
    refusals: tuple[Refusal, ...] = ()
    warnings: tuple[str, ...] = ()


def offer_for(call: Call, features: StripeObject, subscription: StripeObject) -> Offer:
    """Return what the portal offers for a subscription at `call.now`."""
    if subscription["status"] in ENDED:
        return Offer()
    plans, quantity = plan_choices(call, features, subscription), quantity_range(features, subscription)
    limits = _limits(call, features, subscription, has_choice=bool(plans or quantity))
    actions = frozenset(action for action, reasons in limits.items() if not reasons)
    refusals = tuple(Refusal(action, tuple(reasons)) for action, reasons in limits.items() if reasons)
    if "update" not in actions:
        return Offer(actions, refusals=refusals)
    return Offer(actions, plans, quantity, refusals, tuple(_warnings(features, subscription)))


def _limits(
    call: Call, features: StripeObject, subscription: StripeObject, *, has_choice: bool
) -> dict[str, list[str]]:
    """The actions that the configuration enables at this time, each with the limits that withhold it."""
    limits: dict[str, list[str]] = {}
    planned = _has_planned_update(call, subscription)
    if allowed_updates(features) & {"price", "quantity"}:
        limits["update"] = list(_update_limits(call, subscription, planned=planned, has_choice=has_choice))
    if features["subscription_cancel"]["enabled"]:
        limits["uncancel" if subscription["cancel_at"] else "cancel"] = [_PLANNED_UPDATE] if planned else []
    if subscription["status"] == "paused":
        if _has_real_pause(features, call.now):
            limits["resume"] = [*_resume_limits(subscription), *resume_refusals(subscription)]
        return limits
    if is_collection_paused(subscription, call.now):
        if call.now >= CUTOFF_AT:
            limits["resume"] = [_RESUME_WITHDRAWN]
        elif _has_old_button(features):
            limits["resume"] = []
    elif _has_old_button(features) and call.now < BUTTON_REMOVED_AT:
        limits["pause"] = [] if subscription["status"] in _RUNNING else [_status_text(subscription)]
    if _has_real_pause(features, call.now):
        limits["pause"] = pause_refusals(subscription)
    return limits


# Changes of plan and quantity, and cancellations.

_PLANNED_UPDATE = "A subscription schedule plans an update of it."


def _has_planned_update(call: Call, subscription: StripeObject) -> bool:
    schedule = call.store.subscription_schedules.find(subscription["schedule"] or "")
    # A schedule that the simulator does not hold was set by the admin endpoint: it counts as a planned update.
    return plans_update(schedule, call.now) if schedule else subscription["schedule"] is not None


def allowed_updates(features: StripeObject) -> set[str]:
    """What the configuration lets customers change of a subscription: price, quantity, promotion_code."""
    feature = features["subscription_update"]
    return set(feature["default_allowed_updates"] or []) if feature["enabled"] else set()


def _update_limits(call: Call, subscription: StripeObject, *, planned: bool, has_choice: bool) -> Iterator[str]:
    items, method = subscription["items"]["data"], _payment_method_type(call, subscription)
    if planned:
        yield _PLANNED_UPDATE
    if len(items) > 1:
        yield "It has several products."
    if any(item["price"]["recurring"]["usage_type"] == "metered" for item in items):
        yield "It has usage-based prices."
    if subscription["collection_method"] == "send_invoice":
        yield "It is paid by invoice."
    if method is not None and method not in SUPPORTED_PAYMENT_METHODS:
        yield f"It is charged to a payment method that the portal does not support ({method})."
    if subscription["status"] not in _RUNNING:
        yield _status_text(subscription)
    if items[0]["price"]["tax_behavior"] == "unspecified":
        yield "The tax_behavior of its price is unspecified."
    elif not has_choice:
        yield "No other price is on offer in its currency and with its tax_behavior."


def _status_text(subscription: StripeObject) -> str:
    return f"Its status is {subscription['status']}."


def _payment_method_type(call: Call, subscription: StripeObject) -> str | None:
    customer = call.store.customers.find(subscription["customer"])
    default = customer["invoice_settings"]["default_payment_method"] if customer else None
    method = call.store.payment_methods.find(subscription["default_payment_method"] or default or "")
    return str(method["type"]) if method else None


def _offered_prices(features: StripeObject) -> dict[str, list[str]]:
    """The price ids by product id."""
    return {one["product"]: one["prices"] for one in features["subscription_update"]["products"] or []}


def plan_choices(call: Call, features: StripeObject, subscription: StripeObject) -> tuple[StripeObject, ...]:
    """Return the other prices on offer that are active and have the current price's currency and tax behavior."""
    current = subscription["items"]["data"][0]["price"]
    if "price" not in allowed_updates(features) or current["tax_behavior"] == "unspecified":
        return ()
    offered = [call.store.prices.get(price) for prices in _offered_prices(features).values() for price in prices]
    return tuple(
        price
        for price in offered
        if price["id"] != current["id"]
        and price["active"]
        and price["currency"] == current["currency"]
        and price["tax_behavior"] == current["tax_behavior"]
    )


def quantity_range(features: StripeObject, subscription: StripeObject) -> QuantityRange | None:
    """Return the quantities to choose from: those of a product that the configuration offers."""
    product = subscription["items"]["data"][0]["price"]["product"]
    listed = {one["product"]: one["adjustable_quantity"] for one in features["subscription_update"]["products"] or []}
    if "quantity" not in allowed_updates(features) or product not in listed:
        return None
    adjustable = listed[product]
    if not adjustable["enabled"]:
        return QuantityRange()
    return QuantityRange(adjustable.get("minimum") or 0, adjustable.get("maximum"))


def _warnings(features: StripeObject, subscription: StripeObject) -> Iterator[str]:
    feature = features["subscription_update"]
    if subscription["status"] == "trialing" and feature["trial_update_behavior"] == "end_trial":
        yield "You are in a trial: a change ends it and bills at once."
    elif subscription["status"] == "trialing":
        yield "You are in a trial: it goes on after a change."
    if subscription["items"]["data"][0]["price"]["product"] not in _offered_prices(features):
        yield "Your current plan is no longer on offer: its quantity cannot change, and you cannot switch back to it."


# Pauses. The old button, of configurations without a duration, suspended the collection of payments; it went in two
# steps, the button first and then resuming. Today's feature is a real pause, of the whole subscription.

_RESUME_WITHDRAWN = "Since 1 August 2024 suspended payments cannot be resumed in the portal."


def _has_old_button(features: StripeObject) -> bool:
    feature = features["subscription_pause"]
    return bool(feature["enabled"]) and is_old_pause_form(feature)


def _has_real_pause(features: StripeObject, now: int) -> bool:
    feature = features["subscription_pause"]
    return bool(feature["enabled"]) and not is_old_pause_form(feature) and now >= PAUSE_RETURNED_AT


def is_collection_paused(subscription: StripeObject, now: int) -> bool:
    """Whether the collection of payments is suspended; a `resumes_at` that has passed ends that."""
    pause = subscription["pause_collection"]
    if pause is None or subscription["status"] in {*ENDED, "paused"}:
        return False
    return pause["resumes_at"] is None or pause["resumes_at"] > now


def _resume_limits(subscription: StripeObject) -> Iterator[str]:
    """Only what was paused on request is resumed on request: other pauses wait for a payment or for the business."""
    cause = (subscription.get("status_details", {}).get("paused") or {}).get("subscription", {}).get("type")
    if cause not in {None, "pause_requested"}:
        yield f"It was not paused on request ({cause})."


# Payment methods.


def may_remove_payment_method(call: Call, customer: str) -> bool:
    """Whether a payment method may go: the last one stays while a subscription has not ended."""
    if len(call.store.payment_methods.of_customer(customer)) > 1:
        return True
    return all(one["status"] in ENDED for one in call.store.subscriptions.of_customer(customer))


def not_available() -> ApiError:
    """Return the refusal of an action that the page does not offer."""
    return ApiError("This is not available in your customer portal.", status=403)
