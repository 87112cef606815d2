"""What the portal's answers about a subscription are made from, and their form: possible or not, with every reason."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from shared.i18n import Message, _, sentences
from shared.portal.configuration import Features
from shared.stripe.subscription import Subscription


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason why the customer cannot do something, and what would lift it, if anything.

    `configured`: the portal configuration is the reason, not a limit of Stripe's.
    """

    code: str
    why: Message
    lifted_by: Message | None = None
    configured: bool = False

    @property
    def text(self) -> Message:
        """The reason, and what would lift it, in one text."""
        return self.why if self.lifted_by is None else sentences(self.why, self.lifted_by)


ENDED = Reason(
    "ended",
    _("It has ended."),
    _("Create a new subscription, with Checkout or the API."),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether the portal offers something, such as `cancel`; `notes` say more about what is possible."""

    topic: str
    title: Message
    reasons: tuple[Reason, ...] = ()
    notes: tuple[Message, ...] = ()

    @property
    def possible(self) -> bool:
        """Whether the customer can do it."""
        return not self.reasons

    @property
    def limits(self) -> tuple[Reason, ...]:
        """The reasons that are limits of Stripe's; none if the configuration does not offer it anyway."""
        return () if any(reason.configured for reason in self.reasons) else self.reasons


def answer(
    topic: str, title: Message, reasons: Iterable[Reason | None], notes: Iterable[Message | None] = ()
) -> Answer:
    """Build an answer of the reasons and notes that apply."""
    return Answer(topic, title, tuple(each for each in reasons if each), tuple(each for each in notes if each))


@dataclass(frozen=True, slots=True)
class Price:
    """The fields of a price that decide whether a customer can switch to it."""

    id: str
    product_id: str
    currency: str
    tax_behavior: str | None
    active: bool = True


@dataclass(frozen=True, slots=True)
class PortalFacts:
    """A subscription, the configuration that its customer gets, and the moment (aware) of the question.

    `None` means not read, for `update_is_planned` (by the attached schedule), `offered` (the prices on offer) and
    `payment_methods` (how many the customer has). `charged` is the type of the payment method that is charged, `None`
    without one. `has_live_subscription`: one of the customer's subscriptions has not ended.
    """

    subscription: Subscription
    features: Features
    now: datetime
    update_is_planned: bool | None = None
    current: Price | None = None
    offered: tuple[Price, ...] | None = None
    charged: str | None = None
    payment_methods: int | None = None
    has_live_subscription: bool = True
