"""What a caller may ask for, as JSON or as query parameters."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from shared.link_token import CustomerId, Locale
from shared.portal_flow import AfterCompletion, Flow, ItemId, OwnId, Quantity, SubscriptionId
from shared.return_url import MAX_LENGTH


class SessionRequest(BaseModel):
    """None of it says who the caller is (`customer` only picks among the proven ones), and none of it gives money away.

    `price` and `quantity` are shown to the customer, who has to confirm them, and Stripe takes only those that the
    portal's configuration offers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    return_url: Annotated[str, Field(max_length=MAX_LENGTH)] | None = None
    flow: Flow | None = None
    subscription: SubscriptionId | None = None
    item: ItemId | None = None
    price: OwnId | None = None
    quantity: Quantity | None = None
    after_completion: AfterCompletion | None = None
    customer: CustomerId | None = None
    locale: Locale | None = None
