"""Brings one state or event into the mirror, and tells what concerns it alone from what concerns them all."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from stripe import StripeClient

from shared.errors import Unavailable, UnreadableEvent
from shared.mirror import Outcome
from shared.rate_limit import RateLimit
from shared.recovery.drift import Failure
from shared.recovery.pages import Page
from shared.recovery.retries import Retries, refusals
from shared.stripe_gateway import SubscriptionRead, read_from_stripe
from shared.stripe_shapes import read_subscription

# `Unavailable` for this one subscription; any other code means that nothing will work for now.
_OF_ONE = frozenset({"mirror_contended", "slow_read"})

_Answer = TypeVar("_Answer")


class Rule(Protocol):
    """The mirror's rule, as `shared.mirror.Mirror` has it."""

    def observe(self, found: SubscriptionRead) -> Outcome:
        """Bring in what was read from Stripe without any event."""


def limited_reads(client: StripeClient, limit: RateLimit) -> Callable[[str], SubscriptionRead]:
    """Make the read that a `Mirror` asks for, each within the rate limit. It raises as `read_from_stripe` does."""

    def read(subscription_id: str) -> SubscriptionRead:
        limit.wait()
        with refusals():
            return read_from_stripe(client, subscription_id)

    return read


def attempt(subject: str, act: Callable[[], _Answer], retries: Retries) -> _Answer | Failure:
    """Act with patience, and answer a `Failure` if only this subject is at fault.

    Raises `Unavailable` when Stripe or the table fail altogether: going on would fail for all that follow.
    """
    try:
        return retries.of(act)
    except UnreadableEvent as error:
        return Failure(subject, error.code, error.message)
    except Unavailable as error:
        if error.code not in _OF_ONE:
            raise
        return Failure(subject, error.code, error.message)


def read_each(page: Page) -> list[SubscriptionRead | Failure]:
    """Read a page's subscriptions; each that cannot be understood is a `Failure`."""
    return [_read_one(raw, page) for raw in page.data]


def _read_one(raw: Mapping[str, Any], page: Page) -> SubscriptionRead | Failure:
    try:
        return SubscriptionRead(read_subscription(raw), page.as_of, page.took)
    except UnreadableEvent as error:
        return Failure(str(raw.get("id")), error.code, error.message)
