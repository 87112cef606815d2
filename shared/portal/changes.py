"""Whether a customer can change or cancel a subscription in the portal, and why not.

Stripe's limits are those of docs.stripe.com/customer-management, "limitations".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.i18n import Message, _
from shared.portal.facts import ENDED, Answer, PortalFacts, Price, Reason, answer
from shared.portal.payment_methods import is_supported, unsupported
from shared.stripe.subscription import Subscription


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit that depends on the subscription alone.

    `reason` is about one subscription. `of_many` completes "customers can cancel these, but not change their plan: ".
    """

    reason: Reason
    forbids_cancelling: bool = False


SCHEDULED = Limit(
    Reason(
        "scheduled_update",
        _("A subscription schedule plans an update: until then the portal neither changes nor cancels it."),
        _(
            "Release the schedule (POST /v1/subscription_schedules/{{id}}/release), or wait until its last "
            "phase has begun."
        ),
    ),
    forbids_cancelling=True,
)
SEVERAL_ITEMS = Limit(
    Reason(
        "several_items",
        _("It has several products."),
        _("Sell one product per subscription: split it into several subscriptions."),
    ),
)
METERED = Limit(
    Reason(
        "metered",
        _("It has usage-based prices."),
        _("Use a licensed price (usage_type=licensed); usage-based prices can be changed only through the API."),
    ),
)
SEND_INVOICE = Limit(
    Reason(
        "send_invoice",
        _("It is paid by invoice (collection_method=send_invoice)."),
        _("Charge it automatically: set collection_method=charge_automatically, once there is a payment method."),
    ),
)


def limits_of(subscription: Subscription, *, update_is_planned: bool | None = None) -> Iterator[Limit]:
    """Return the limits of a subscription; `update_is_planned` is `None` if its attached schedule was not read."""
    if subscription.schedule_id and update_is_planned is not False:
        yield SCHEDULED
    if len(subscription.items) > 1:
        yield SEVERAL_ITEMS
    if any(item.usage_type == "metered" for item in subscription.items):
        yield METERED
    if subscription.collection_method == "send_invoice":
        yield SEND_INVOICE


_CHANGED_IN = frozenset({"active", "trialing", "past_due"})
_CHANGE = _("Change the plan")

_UPDATE_OFF = Reason(
    "subscription_update_off",
    _("The configuration does not let customers change plans."),
    _("Switch features.subscription_update on."),
    configured=True,
)
_NOTHING_ALLOWED = Reason(
    "nothing_allowed",
    _("The configuration allows neither another price nor another quantity."),
    _("Add price or quantity to features.subscription_update.default_allowed_updates."),
    configured=True,
)
_UNSPECIFIED = Reason(
    "tax_behavior_unspecified",
    _("The tax_behavior of its price is unspecified: the portal then changes nothing."),
    _(
        "Set the tax_behavior of its price and of the prices on offer to the same value, inclusive or "
        "exclusive; it cannot be changed later."
    ),
)
_NO_OTHER_PRICE = Reason(
    "no_other_price",
    _("No other price on offer has its currency and its tax_behavior."),
    _("Offer a price that has both (features.subscription_update.offered_products)."),
)
_TRIAL_ENDS = _("It is in a trial: a change ends the trial and bills at once (trial_update_behavior=end_trial).")
_TRIAL_GOES_ON = _("It is in a trial, which goes on after a change (trial_update_behavior=continue_trial).")
_IDLE_SCHEDULE = _("A subscription schedule is attached, but plans no further update: it prevents nothing.")
_UNREAD_SCHEDULE = _(
    "Whether the attached schedule still plans an update was not read: this answer assumes that it does."
)
_PRODUCT_NOT_OFFERED = _(
    "The product of its current price is not among those on offer: its quantity cannot be changed, "
    "and a customer who leaves the plan cannot come back to it."
)
_PRICES_NOT_READ = _("The prices on offer were not read.")


def choices(facts: PortalFacts) -> tuple[Price, ...]:
    """Return the prices that the customer can switch to: active, with the same currency and tax behavior."""
    now, allowed = facts.current, facts.features.subscription_update.default_allowed_updates
    if now is None or "price" not in allowed or now.tax_behavior in (None, "unspecified"):
        return ()
    kept = (now.currency, now.tax_behavior)
    return tuple(
        each
        for each in facts.offered or ()
        if each.id != now.id and each.active and (each.currency, each.tax_behavior) == kept
    )


def allows_quantity(facts: PortalFacts) -> bool:
    """Whether the customer can change the quantity: the configuration must offer the product."""
    return "quantity" in facts.features.subscription_update.default_allowed_updates and _is_offered(facts)


def _is_offered(facts: PortalFacts) -> bool:
    """Whether the subscription's own product is one of those that the configuration offers."""
    products = facts.features.subscription_update.offered_products
    return facts.current is not None and any(each.product == facts.current.product_id for each in products)


def plan_change(facts: PortalFacts) -> Answer:
    """Whether the customer can change the plan or the quantity."""
    if facts.subscription.ended:
        return answer("change_plan", _CHANGE, (ENDED,))
    return answer("change_plan", _CHANGE, _against_change(facts), _about_change(facts))


def _against_change(facts: PortalFacts) -> Iterator[Reason]:
    update, subscription = facts.features.subscription_update, facts.subscription
    if not update.enabled:
        yield _UPDATE_OFF
    elif not {"price", "quantity"}.intersection(update.default_allowed_updates):
        yield _NOTHING_ALLOWED
    for limit in limits_of(subscription, update_is_planned=facts.update_is_planned):
        yield limit.reason
    if facts.charged is not None and not is_supported(facts.charged):
        yield unsupported(facts.charged)
    if subscription.status not in _CHANGED_IN:
        yield _status(subscription.status)
    if facts.current is not None and facts.current.tax_behavior == "unspecified":
        yield _UNSPECIFIED
    elif update.enabled and facts.offered is not None and not (choices(facts) or allows_quantity(facts)):
        yield _NO_OTHER_PRICE


def _about_change(facts: PortalFacts) -> Iterator[Message]:
    update, subscription = facts.features.subscription_update, facts.subscription
    if subscription.schedule_id and facts.update_is_planned is None:
        yield _UNREAD_SCHEDULE
    if subscription.schedule_id and facts.update_is_planned is False:
        yield _IDLE_SCHEDULE
    if not update.enabled:
        return
    if subscription.status == "trialing":
        yield _TRIAL_GOES_ON if update.trial_update_behavior == "continue_trial" else _TRIAL_ENDS
    if facts.offered is None:
        yield _PRICES_NOT_READ
    elif facts.current is not None and not _is_offered(facts):
        yield _PRODUCT_NOT_OFFERED


def _status(status: str) -> Reason:
    return Reason(
        "status",
        _(
            "Its status is {status}: Stripe does not document that the portal changes such a subscription.",
            status=status,
        ),
        _("The status has to be active, trialing or past_due."),
    )


_CANCEL = _("Cancel")
_CANCEL_OFF = Reason(
    "subscription_cancel_off",
    _("The configuration does not let customers cancel."),
    _("Switch features.subscription_cancel on."),
    configured=True,
)
_AT_ONCE = _("It would end immediately.")
_AT_PERIOD_END = _("It would end with the current period.")


def cancellation(facts: PortalFacts) -> Answer:
    """Whether the customer can cancel, or undo a planned cancellation."""
    if facts.subscription.ended:
        return answer("cancel", _CANCEL, (ENDED,))
    limits = limits_of(facts.subscription, update_is_planned=facts.update_is_planned)
    reasons = (
        None if facts.features.subscription_cancel.enabled else _CANCEL_OFF,
        *(limit.reason for limit in limits if limit.forbids_cancelling),
    )
    when = _AT_ONCE if facts.features.subscription_cancel.mode == "immediately" else _AT_PERIOD_END
    return answer("cancel", _CANCEL, reasons, () if any(reasons) else (_planned_end(facts) or when,))


def _planned_end(facts: PortalFacts) -> Message | None:
    end = facts.subscription.cancel_at
    if end is None:
        return None
    day = datetime.fromtimestamp(end, UTC).date()
    return _("It is set to end on {day}; the customer can undo this.", day=day)
