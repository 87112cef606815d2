"""All that the rules look at, in plain data: who reads it, from Stripe or from the simulator's store, is no matter."""

from dataclasses import dataclass
from datetime import datetime

from shared.portal_rules.features import PortalFeatures
from shared.subscription import Subscription


@dataclass(frozen=True, slots=True)
class Price:
    """A price as far as the portal compares it."""

    id: str
    product_id: str
    currency: str
    tax_behavior: str | None
    active: bool = True


@dataclass(frozen=True, slots=True)
class PortalFacts:
    """A subscription, the configuration that its customer gets, and the moment (aware) of the question.

    `None` is what nobody has read: whether the attached schedule still plans an update, the prices of the
    configuration, how many payment methods the customer has. `charged` is the type of the payment method that the
    subscription is charged to, `None` without one. `lives`: whether the customer has any subscription that has not
    ended.
    """

    subscription: Subscription
    features: PortalFeatures
    now: datetime
    update_is_planned: bool | None = None
    current: Price | None = None
    offered: tuple[Price, ...] | None = None
    charged: str | None = None
    payment_methods: int | None = None
    lives: bool = True
