"""Who asks the pause function for something, and what a token limits them to."""

from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from shared.errors import Forbidden
from shared.link_token import SubscriptionId
from shared.pausing.policy import PausePolicy

_subscription_id = TypeAdapter(SubscriptionId)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the customer, the rules that hold for it, and the one subscription that a token may be limited to.

    `group` is one that the settings know; `locale` is the language that the token asks for.
    """

    customer: str
    policy: PausePolicy
    only: str | None = None
    group: str | None = None
    locale: str | None = None

    def checked(self, subscription: str) -> str:
        """Return the id of a subscription that the caller names. Whose it is, is seen when it is read.

        Raises `Forbidden` for one that the token is not for, and for what is no id: it becomes part of an address.
        """
        if self.only not in {None, subscription}:
            raise Forbidden("other_subscription", "The token is for another subscription")
        try:
            return _subscription_id.validate_python(subscription)
        except ValidationError:
            raise Forbidden("not_your_subscription", "That subscription is not yours") from None
