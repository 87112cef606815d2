"""One page of the portal that a link may lead to: Stripe's `flow_data`, as flat fields of a token or a request."""

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

SubscriptionId = Annotated[str, Field(pattern=r"^sub_[A-Za-z0-9_]{1,250}$")]
ItemId = Annotated[str, Field(pattern=r"^si_[A-Za-z0-9_]{1,250}$")]
# Prices made of old plans, and coupons, have ids of the account's own choice.
OwnId = Annotated[str, Field(pattern=r"^[!-~]{1,255}$")]
PromotionCodeId = Annotated[str, Field(pattern=r"^promo_[A-Za-z0-9_]{1,250}$")]
Quantity = Annotated[int, Field(ge=1, le=1_000_000)]

# Every `flow_data.type` of API 2026-10-28.endive.
Flow = Literal[
    "customer_update",
    "payment_method_update",
    "subscription_cancel",
    "subscription_pause",
    "subscription_update",
    "subscription_update_confirm",
]
AfterCompletion = Literal["hosted_confirmation", "portal_homepage", "redirect"]


class FlowClaims(BaseModel):
    """A page of the portal, and what it is about.

    `item`, `price` and `quantity` are the one change that `subscription_update_confirm` shows for confirmation (Stripe
    takes one item at most). `coupon` is offered to who cancels, or discounts that change; `promotion_code` only the
    latter. `custom_message` is what the `hosted_confirmation` says (at most 500 characters at Stripe).
    """

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    flow: Flow | None = None
    subscription: SubscriptionId | None = None
    item: ItemId | None = None
    price: OwnId | None = None
    quantity: Quantity | None = None
    coupon: OwnId | None = None
    promotion_code: PromotionCodeId | None = None
    after_completion: AfterCompletion | None = None
    custom_message: Annotated[str, Field(min_length=1, max_length=500)] | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        reason = next(self._misfits(), None)
        if reason:
            raise PydanticCustomError("misfit", "{reason}", {"reason": reason})
        return self

    def _misfits(self) -> Iterator[str]:
        is_change = self.flow == "subscription_update_confirm"
        for name in ("item", "price", "quantity", "promotion_code"):
            if getattr(self, name) is not None and not is_change:
                yield f"`{name}` is for the flow subscription_update_confirm"
        if self.coupon and not is_change and self.flow != "subscription_cancel":
            yield "`coupon` is for the flows subscription_cancel and subscription_update_confirm"
        if self.coupon and self.promotion_code:
            yield "give a `coupon` or a `promotion_code`, not both"
        if is_change and (self.coupon or self.promotion_code) and self.price is None and self.quantity is None:
            yield "a discount is for one change: name its `price` or `quantity` too"
        if self.after_completion and self.flow is None:
            yield "`after_completion` needs a `flow`"
        if self.custom_message and self.after_completion != "hosted_confirmation":
            yield "`custom_message` is for `after_completion` hosted_confirmation"
