"""A subscription as a read of Stripe found it, and how far behind a read may be.

Apart from the gateway, because the mirror's rule needs it for each event, and Stripe's library for few.
"""

import math
from dataclasses import dataclass
from datetime import timedelta

from shared.stripe.subscription import Subscription

# How far the answer to a read of one object, and that to a list, may be behind Stripe's own state.
READ_LAG = timedelta(seconds=2)
LIST_LAG = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class SubscriptionRead:
    """A subscription as Stripe has it.

    `as_of` is the answer's `Date` (Stripe's clock in Unix seconds), which is written when the answer ends, `took`
    seconds after the request was made. `lag` is how far the copy that answered may have been behind.
    """

    subscription: Subscription
    as_of: int
    took: float
    lag: timedelta = READ_LAG

    @property
    def certain_as_of(self) -> int:
        """The time before which every change is in it, though it may come from a copy that lags behind."""
        return self.as_of - math.ceil(self.took + self.lag.total_seconds())
