"""The features of a portal configuration, in Stripe's own words (API 2026-10-28.endive)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from shared.stripe.gateway import StripeJson

# The version from which on Stripe knows a parameter; an older one is not sent what it does not know.
SINCE = {
    "features.subscription_pause": "2026-10-28.endive",
    "features.subscription_cancel.cancellation_reason.feedback_options": "2026-08-26.dahlia",
    "features.subscription_update.billing_cycle_anchor": "2025-12-15.clover",
    "features.subscription_update.trial_update_behavior": "2025-09-30.clover",
    "features.subscription_update.products[].adjustable_quantity": "2025-07-30.basil",
    "features.subscription_update.schedule_at_period_end": "2024-10-28.acacia",
}


_Item = TypeVar("_Item")
# A YAML list, kept as a tuple; `strict` is for its items.
Listed = Annotated[tuple[_Item, ...], Field(strict=False)]
Id = Annotated[str, Field(pattern=r"^\S{1,255}$")]
Interval = Literal["day", "week", "month", "year"]
Positive = Annotated[int, Field(ge=1)]
NotNegative = Annotated[int, Field(ge=0)]
Reason = Literal[
    "customer_service",
    "low_quality",
    "missing_features",
    "other",
    "switched_service",
    "too_complex",
    "too_expensive",
    "unused",
]
# Cancellations refuse always_invoice; a rule says so, with the reason.
Proration = Literal["none", "create_prorations", "always_invoice"]


class Part(BaseModel):
    """A mapping of the file: nothing that it does not know, and nothing of another type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class CustomerUpdate(Part):
    """Customers change their own details."""

    enabled: bool
    allowed_updates: Listed[Literal["address", "email", "name", "phone", "shipping", "tax_id"]] = ()


class InvoiceHistory(Part):
    """Customers see their invoices."""

    enabled: bool


class PaymentMethodUpdate(Part):
    """Customers change how they pay."""

    enabled: bool
    payment_method_configuration: Id | None = None


class CancellationReason(Part):
    """Customers are asked why they leave."""

    enabled: bool
    options: Listed[Reason] = ()
    feedback_options: Listed[Id] = ()


class SubscriptionCancel(Part):
    """Customers cancel."""

    enabled: bool
    mode: Literal["at_period_end", "immediately"] = "at_period_end"
    proration_behavior: Proration = "none"
    cancellation_reason: CancellationReason = CancellationReason(enabled=False)


class PauseOption(Part):
    """One of the spans that a customer can choose."""

    interval: Interval
    interval_count: Positive = 1


class PauseDuration(Part):
    """How long a customer can pause."""

    type: Literal["indefinite", "interval_options"]
    interval_options: Listed[PauseOption] = ()


class SubscriptionPause(Part):
    """Customers pause; without `duration` it is the form that Stripe withdrew in 2024."""

    enabled: bool
    duration: PauseDuration | None = None


class AdjustableQuantity(Part):
    """How many of a product a customer can take."""

    enabled: bool
    minimum: NotNegative | None = None
    maximum: NotNegative | None = None


class OfferedPrice(Part):
    """A price; what the file says of it lets `portal lint` compare prices without an account."""

    price: Id
    interval: Interval | None = None
    interval_count: Positive = 1
    currency: Annotated[str, Field(pattern=r"^[a-z]{3}$")] | None = None


def _price(value: Any) -> Any:
    return {"price": value} if isinstance(value, str) else value


def _not_empty(value: tuple[OfferedPrice, ...]) -> tuple[OfferedPrice, ...]:
    # A minimal length of pydantic's own is also told when an item of the list is wrong.
    if not value:
        raise PydanticCustomError("too_short", "is empty")
    return value


class OfferedProduct(Part):
    """A product that a customer can change to."""

    product: Id
    prices: Annotated[Listed[Annotated[OfferedPrice, BeforeValidator(_price)]], AfterValidator(_not_empty)]
    adjustable_quantity: AdjustableQuantity = AdjustableQuantity(enabled=False)


class Condition(Part):
    """When a change waits for the end of the period."""

    type: Literal["decreasing_item_amount", "shortening_interval"]


class ScheduleAtPeriodEnd(Part):
    """Which changes wait for the end of the period."""

    conditions: Listed[Condition] = ()


class SubscriptionUpdate(Part):
    """Customers change their plan."""

    enabled: bool
    default_allowed_updates: Listed[Literal["price", "promotion_code", "quantity"]] = ()
    products: Listed[OfferedProduct] = ()
    proration_behavior: Proration = "none"
    billing_cycle_anchor: Literal["now", "unchanged"] = "unchanged"
    schedule_at_period_end: ScheduleAtPeriodEnd = ScheduleAtPeriodEnd()
    trial_update_behavior: Literal["end_trial", "continue_trial"] = "end_trial"


class Features(Part):
    """What customers can do; a feature that is not named is off."""

    customer_update: CustomerUpdate = CustomerUpdate(enabled=False)
    invoice_history: InvoiceHistory = InvoiceHistory(enabled=False)
    payment_method_update: PaymentMethodUpdate = PaymentMethodUpdate(enabled=False)
    subscription_cancel: SubscriptionCancel = SubscriptionCancel(enabled=False)
    subscription_pause: SubscriptionPause = SubscriptionPause(enabled=False)
    subscription_update: SubscriptionUpdate = SubscriptionUpdate(enabled=False)


@dataclass(frozen=True, slots=True)
class PausePeriod:
    """A length of pause that the customer may choose, such as 3 months."""

    interval: str
    count: int


@dataclass(frozen=True, slots=True)
class PortalFeatures:
    """What a configuration offers.

    `products`: product to the prices that the customer may switch to; `None` when the answer did not hold them.
    `pause_periods`: empty for a pause without an end, `None` for the form of before API 2024-04-10.
    """

    cancel: bool = False
    cancel_mode: str = "at_period_end"
    update: bool = False
    allowed_updates: frozenset[str] = frozenset()
    products: Mapping[str, tuple[str, ...]] | None = None
    continues_trial: bool = False
    payment_method_update: bool = False
    pause: bool = False
    pause_periods: tuple[PausePeriod, ...] | None = None

    @classmethod
    def read(cls, configuration: StripeJson) -> Self:
        """Read a raw `billing_portal.configuration`; a feature that is absent is off."""
        features = configuration.get("features") or {}
        cancel, update = features.get("subscription_cancel") or {}, features.get("subscription_update") or {}
        pause = features.get("subscription_pause") or {}
        return cls(
            cancel=bool(cancel.get("enabled")),
            cancel_mode=str(cancel.get("mode") or "at_period_end"),
            update=bool(update.get("enabled")),
            allowed_updates=frozenset(update.get("default_allowed_updates") or ()),
            products=_products(update),
            continues_trial=update.get("trial_update_behavior") == "continue_trial",
            payment_method_update=bool((features.get("payment_method_update") or {}).get("enabled")),
            pause=bool(pause.get("enabled")),
            pause_periods=_periods(pause.get("duration")),
        )


def _products(update: StripeJson) -> dict[str, tuple[str, ...]] | None:
    """Stripe leaves the list out unless it is expanded."""
    listed = update.get("products")
    if listed is None:
        return None if "products" not in update else {}
    return {str(each["product"]): tuple(each.get("prices") or ()) for each in listed}


def _periods(duration: StripeJson | None) -> tuple[PausePeriod, ...] | None:
    if not duration:
        return None
    if duration.get("type") == "indefinite":
        return ()
    options = duration.get("interval_options") or [{"interval": "month"}]
    return tuple(PausePeriod(str(each["interval"]), int(each.get("interval_count") or 1)) for each in options)
