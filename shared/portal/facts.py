"""How the rules answer: whether the customer can do something in the portal, and every reason why not."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from shared.i18n import Text, joined
from shared.portal.configuration import Features
from shared.stripe.subscription import Subscription


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that stands in the way: `why`, of one subscription, and what would lift it, if there is anything.

    `configured`: the team's own portal configuration is the reason, and the portal simply shows nothing.
    """

    code: str
    why: Text
    lifted_by: Text | None = None
    configured: bool = False

    @property
    def said(self) -> Text:
        """Both in one text."""
        return self.why if self.lifted_by is None else joined((self.why, self.lifted_by))


ENDED = Reason(
    "ended",
    Text("It has ended.", "Il est terminé."),
    Text("A new subscription, by Checkout or the API.", "Un nouvel abonnement, par Checkout ou par l'API."),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether the portal offers `topic` today; `notes` are what to know although nothing stands in the way."""

    topic: str
    title: Text
    reasons: tuple[Reason, ...] = ()
    notes: tuple[Text, ...] = ()

    @property
    def possible(self) -> bool:
        """Whether nothing stands in the way."""
        return not self.reasons

    @property
    def limits(self) -> tuple[Reason, ...]:
        """The reasons that are Stripe's; none when the configuration does not offer it anyway."""
        return () if any(reason.configured for reason in self.reasons) else self.reasons


def answer(topic: str, title: Text, reasons: Iterable[Reason | None], notes: Iterable[Text | None] = ()) -> Answer:
    """Build an answer of the reasons and notes that apply."""
    return Answer(topic, title, tuple(each for each in reasons if each), tuple(each for each in notes if each))


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
    features: Features
    now: datetime
    update_is_planned: bool | None = None
    current: Price | None = None
    offered: tuple[Price, ...] | None = None
    charged: str | None = None
    payment_methods: int | None = None
    lives: bool = True
