"""A portal configuration, read from an entry of portal.yaml (strictly) or from Stripe's answer (tolerantly).

Names and values are Stripe's own, of API 2026-10-28.endive (docs.stripe.com/api/customer_portal/configurations).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic_core import PydanticCustomError, PydanticKnownError

from shared.stripe.gateway import StripeJson

# The API version that introduced a parameter. A request at an older version must leave the parameter out.
SINCE = {
    "features.subscription_pause": "2026-10-28.endive",
    "features.subscription_cancel.cancellation_reason.feedback_options": "2026-08-26.dahlia",
    "features.subscription_update.billing_cycle_anchor": "2025-12-15.clover",
    "features.subscription_update.trial_update_behavior": "2025-09-30.clover",
    "features.subscription_update.products[].adjustable_quantity": "2025-07-30.basil",
    "features.subscription_update.schedule_at_period_end": "2024-10-28.acacia",
    "features.payment_method_update.payment_method_configuration": "2025-10-29.clover",
    "name": "2025-08-27.basil",
}


@dataclass(frozen=True, slots=True)
class _FromStripe:
    """The validation context of an answer of Stripe's, and whether it lists the products on offer."""

    lists_products: bool


def _is_from_stripe(info: ValidationInfo) -> bool:
    return isinstance(info.context, _FromStripe)


def _or_a_later_word(value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    """Keep a word of Stripe's that this version does not know yet."""
    return value if _is_from_stripe(info) and isinstance(value, str) else handler(value)


_LATER = WrapValidator(_or_a_later_word)
_Item = TypeVar("_Item")
# A YAML list, kept as a tuple; `strict` still applies to its items.
Listed = Annotated[tuple[_Item, ...], Field(strict=False)]
Id = Annotated[str, Field(pattern=r"^\S{1,255}$")]
Interval = Annotated[Literal["day", "week", "month", "year"], _LATER]
Positive = Annotated[int, Field(ge=1)]
NotNegative = Annotated[int, Field(ge=0)]
CancellationOption = Annotated[
    Literal[
        "customer_service",
        "low_quality",
        "missing_features",
        "other",
        "switched_service",
        "too_complex",
        "too_expensive",
        "unused",
    ],
    _LATER,
]
# Stripe refuses always_invoice for cancellations; the rule `always_invoice` explains that.
Proration = Annotated[Literal["none", "create_prorations", "always_invoice"], _LATER]

_LONGEST_URL = 5000
_NOT_IN_URLS = re.compile(r"[\s\x00-\x1f\\]")


def _url(value: str, info: ValidationInfo) -> str:
    if _is_from_stripe(info):
        return value
    try:
        parts = urlsplit(value)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and not _NOT_IN_URLS.search(value)
    except ValueError:
        good = False
    if not good or len(value) > _LONGEST_URL:
        raise PydanticCustomError("bad_url", "is not an address like https://www.example.com/terms")
    return value


Url = Annotated[str, AfterValidator(_url)]
MetadataKey = Annotated[str, Field(pattern=r"^[^\[\]]{1,40}$")]
MetadataValue = Annotated[str, Field(min_length=1, max_length=500)]


class Part(BaseModel):
    """A mapping in a configuration. An unknown key or a value of another type is an error."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class CustomerUpdate(Part):
    """Customers change their own details."""

    enabled: bool
    allowed_updates: Listed[Annotated[Literal["address", "email", "name", "phone", "shipping", "tax_id"], _LATER]] = ()


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
    options: Listed[CancellationOption] = ()
    feedback_options: Listed[Id] = ()


class SubscriptionCancel(Part):
    """Customers cancel."""

    enabled: bool
    mode: Annotated[Literal["at_period_end", "immediately"], _LATER] = "at_period_end"
    proration_behavior: Proration = "none"
    cancellation_reason: CancellationReason = CancellationReason(enabled=False)


class PauseOption(Part):
    """One of the spans that a customer can choose."""

    interval: Interval
    interval_count: Positive = 1


class PauseDuration(Part):
    """How long a customer can pause."""

    type: Annotated[Literal["indefinite", "interval_options"], _LATER]
    interval_options: Listed[PauseOption] = ()

    @model_validator(mode="before")
    @classmethod
    def _default_of_stripe(cls, data: Any, info: ValidationInfo) -> Any:
        """Take one month for the options that an answer leaves out, which is what Stripe does in a request."""
        if _is_from_stripe(info) and isinstance(data, dict) and data.get("type") == "interval_options":
            return {"interval_options": [{"interval": "month"}], **data}
        return data


class SubscriptionPause(Part):
    """Customers pause. Without a `duration` it is the form that Stripe withdrew in 2024."""

    enabled: bool
    duration: PauseDuration | None = None

    @property
    def is_old_form(self) -> bool:
        """Whether it is the button of the old portal, which only suspended collection."""
        return self.enabled and self.duration is None


class AdjustableQuantity(Part):
    """How many of a product a customer can take."""

    enabled: bool
    minimum: NotNegative | None = None
    maximum: NotNegative | None = None


class OfferedPrice(Part):
    """A price. Its interval and currency are optional: with them, rules can compare prices without an account."""

    price: Id
    interval: Interval | None = None
    interval_count: Positive = 1
    currency: Annotated[str, Field(pattern=r"^[a-z]{3}$")] | None = None

    @property
    def billed(self) -> str:
        """How often it is billed, in English: `every month`, `every 3 months`."""
        return f"every {self.interval}" if self.interval_count == 1 else f"every {self.interval_count} {self.interval}s"

    def read(self, raw: StripeJson | None) -> Self:
        """Return it with the interval and currency of Stripe's price; the same if there is no recurring one."""
        recurring = (raw or {}).get("recurring")
        if not raw or not recurring:
            return self
        count = int(recurring.get("interval_count") or 1)
        known = {"interval": recurring["interval"], "interval_count": count, "currency": raw.get("currency")}
        return self.model_copy(update=known)


def _price(value: Any) -> Any:
    return {"price": value} if isinstance(value, str) else value


def _not_empty(value: tuple[OfferedPrice, ...], info: ValidationInfo) -> tuple[OfferedPrice, ...]:
    # Pydantic's own minimal length would also be reported when an item of the list is wrong.
    if not value and not _is_from_stripe(info):
        raise PydanticCustomError("too_short", "is empty")
    return value


class OfferedProduct(Part):
    """A product that a customer can change to."""

    product: Id
    prices: Annotated[Listed[Annotated[OfferedPrice, BeforeValidator(_price)]], AfterValidator(_not_empty)]
    adjustable_quantity: AdjustableQuantity = AdjustableQuantity(enabled=False)


class Condition(Part):
    """When a change waits for the end of the period."""

    type: Annotated[Literal["decreasing_item_amount", "shortening_interval"], _LATER]


class ScheduleAtPeriodEnd(Part):
    """Which changes wait for the end of the period."""

    conditions: Listed[Condition] = ()


def _not_null(value: Any, info: ValidationInfo) -> Any:
    if value is None and not _is_from_stripe(info):
        raise PydanticKnownError("tuple_type")
    return value


class SubscriptionUpdate(Part):
    """Customers change their plan. `products` is `None` where Stripe's answer left them out."""

    enabled: bool
    default_allowed_updates: Listed[Annotated[Literal["price", "promotion_code", "quantity"], _LATER]] = ()
    products: Annotated[Listed[OfferedProduct] | None, BeforeValidator(_not_null)] = ()
    proration_behavior: Proration = "none"
    billing_cycle_anchor: Annotated[Literal["now", "unchanged"], _LATER] = "unchanged"
    schedule_at_period_end: ScheduleAtPeriodEnd = ScheduleAtPeriodEnd()
    trial_update_behavior: Annotated[Literal["end_trial", "continue_trial"], _LATER] = "end_trial"

    @property
    def offered_products(self) -> tuple[OfferedProduct, ...]:
        """The products as far as they are known."""
        return self.products or ()

    @model_validator(mode="before")
    @classmethod
    def _unlisted_is_unknown(cls, data: Any, info: ValidationInfo) -> Any:
        unlisted = isinstance(info.context, _FromStripe) and not info.context.lists_products
        return {**data, "products": None} if unlisted and isinstance(data, dict) else data


class Features(Part):
    """What customers can do; a feature that is not named is off."""

    customer_update: CustomerUpdate = CustomerUpdate(enabled=False)
    invoice_history: InvoiceHistory = InvoiceHistory(enabled=False)
    payment_method_update: PaymentMethodUpdate = PaymentMethodUpdate(enabled=False)
    subscription_cancel: SubscriptionCancel = SubscriptionCancel(enabled=False)
    subscription_pause: SubscriptionPause = SubscriptionPause(enabled=False)
    subscription_update: SubscriptionUpdate = SubscriptionUpdate(enabled=False)


class BusinessProfile(Part):
    """What customers see at the top of the portal."""

    headline: str | None = None
    privacy_policy_url: Url | None = None
    terms_of_service_url: Url | None = None


class LoginPage(Part):
    """The no-code link, where customers log in by e-mail."""

    enabled: bool


class Configuration(Part):
    """One portal configuration. `default`: it is the account's default, which only the Dashboard creates."""

    default: bool = False
    active: bool = True
    name: Annotated[str, Field(min_length=1, max_length=5000)] | None = None
    business_profile: BusinessProfile = BusinessProfile()
    default_return_url: Url | None = None
    login_page: LoginPage = LoginPage(enabled=False)
    features: Features = Features()
    metadata: Annotated[dict[MetadataKey, MetadataValue], Field(max_length=50, default_factory=dict)]

    @classmethod
    def from_stripe(cls, raw: StripeJson) -> Self:
        """Read a `billing_portal.configuration` of any API version.

        What is absent or empty is off. Unknown keys and whatever else this model cannot hold are left out, so that an
        addition of Stripe's breaks nothing; unknown words are kept. `products` is `None` when the answer leaves them
        out, as Stripe does unless they are expanded.
        """
        data = without_empty(raw)
        data["default"] = bool(data.pop("is_default", False))
        try:
            context = _FromStripe("products" in raw["features"]["subscription_update"])
        except (KeyError, TypeError):
            context = _FromStripe(lists_products=False)
        while True:
            try:
                return cls.model_validate(data, extra="ignore", context=context)
            except ValidationError as error:
                unreadable = [each["loc"][: -1 if each["type"] == "missing" else None] for each in error.errors()]
                if not any([_clear(data, path) for path in unreadable]):  # noqa: C419 - all of them, not the first
                    raise
                data = without_empty(data)

    def with_prices(self, price_of: Callable[[str], StripeJson | None]) -> Self:
        """Return the same with the interval and currency of each offered price, as `price_of` reads them by id."""
        update = self.features.subscription_update
        products = tuple(
            product.model_copy(update={"prices": tuple(each.read(price_of(each.price)) for each in product.prices)})
            for product in update.offered_products
        )
        features = {"subscription_update": update.model_copy(update={"products": products})}
        return self.model_copy(update={"features": self.features.model_copy(update=features)}) if products else self


def without_empty(value: Any) -> Any:
    """Return a deep copy of JSON without nulls and empty strings, which both mean "not set" in Stripe's answers."""
    if isinstance(value, Mapping):
        return {key: without_empty(item) for key, item in value.items() if item is not None and item != ""}
    return [without_empty(item) for item in value if item is not None] if isinstance(value, list) else value


def _clear(data: Any, path: tuple[int | str, ...]) -> bool:
    """Set to null what stands at a path, or the nearest thing around it; `False` if there is nothing."""
    around: Any = None
    for part in path:
        if not isinstance(data, dict | list) or (isinstance(data, dict) and part not in data) or part == "[key]":
            break
        around, key, data = data, part, data[part]  # type: ignore[index]  # a list has whole numbers
    if around is None:
        return False
    around[key] = None
    return True
