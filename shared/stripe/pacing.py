"""Limits the rate of the bundle's requests to Stripe, which leaves room for the company's own, and retries them."""

import math
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import stripe
from stripe import StripeClient

from shared.errors import InvalidRequest, OperatorError, Unavailable, sentence
from shared.stripe.gateway import read_from_stripe, stripe_errors
from shared.stripe.subscription_read import SubscriptionRead

_SECOND = 1_000_000_000
# Stripe allows 25 a second of one endpoint, and 100 of all (docs.stripe.com/rate-limits).
MOST_PER_SECOND = 100
TRIES = 8
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0

_Result = TypeVar("_Result")


class RateLimit:
    """Starts requests `1 / per_second` apart, whichever threads they come from.

    One that starts late, because the system woke it late, does not put off those after it: no second has more than one
    request beyond the rate. Nothing else is saved up: after a break the next requests are as far apart as ever. `clock`
    answers nanoseconds that never go back; `sleep` takes seconds.
    """

    def __init__(
        self,
        per_second: float,
        *,
        clock: Callable[[], int] = time.monotonic_ns,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Raise `InvalidRequest` unless the rate is above 0 and at most 100 a second."""
        if not 0 < per_second <= MOST_PER_SECOND:
            raise InvalidRequest(
                "bad_rate",
                sentence("A rate is above 0 and at most {most} requests a second", most=MOST_PER_SECOND),
            )
        self._apart = math.ceil(_SECOND / per_second)
        self._clock = clock
        self.sleep = sleep
        self._lock = threading.Lock()
        self._next = clock()

    def wait(self) -> None:
        """Return when a request may start. Threads wait one behind the other."""
        with self._lock:
            now = self._clock()
            while now < self._next:
                self.sleep((self._next - now) / _SECOND)
                now = self._clock()
            late = now - self._next
            self._next = (self._next if late < self._apart else now) + self._apart

    def seconds(self) -> float:
        """Return the time of the limit's own clock, in seconds from an unknown beginning."""
        return self._clock() / _SECOND


@contextmanager
def refusals() -> Iterator[None]:
    """Raise `OperatorError` where Stripe refuses what was asked for."""
    try:
        yield
    except stripe.InvalidRequestError as error:
        what = ", ".join(filter(None, (error.code, error.param))) or f"status {error.http_status}"
        raise OperatorError(
            "stripe_refused",
            sentence(
                "Stripe refused the request ({what}): check the ids that were given. Request: {request_id}",
                what=what,
                request_id=error.request_id,
            ),
        ) from error


class Retries:
    """Tries up to 8 times, for about a minute in all; pauses double, and their upper half is left to chance.

    stripe-python itself does not try again after a plain 429, and knows nothing of the rate limit. Once `more` returns
    false no request begins, and no try is repeated.
    """

    def __init__(
        self,
        limit: RateLimit,
        chance: Callable[[], float] = random.random,
        *,
        more: Callable[[], bool] = lambda: True,
    ) -> None:
        self._limit = limit
        self._chance = chance
        self._more = more

    def of_stripe(self, ask: Callable[[], _Result]) -> _Result:
        """Ask Stripe one thing, each try within the rate limit.

        Raises `Unavailable` when the last try failed as well or no time is left, `OperatorError` when Stripe refuses
        the key or the request.
        """

        def ask_once() -> _Result:
            if not self._more():
                raise Unavailable("stripe_unavailable", sentence("The time for these requests to Stripe is used up"))
            self._limit.wait()
            with stripe_errors():
                return ask()

        with refusals():
            return self.of(ask_once)

    def of(self, act: Callable[[], _Result]) -> _Result:
        """Act until it is not `Unavailable`. Raises the last `Unavailable`."""
        for failed in range(TRIES - 1):
            try:
                return act()
            except Unavailable:
                if not self._more():
                    raise
                pause = min(FIRST_PAUSE_SECONDS * 2**failed, LONGEST_PAUSE_SECONDS)
                self._limit.sleep(pause * (1 + self._chance()) / 2)
        return act()


def limited_reads(client: StripeClient, limit: RateLimit) -> Callable[[str], SubscriptionRead]:
    """Make the read that a `Mirror` asks for, each within the rate limit. It raises as `read_from_stripe` does."""

    def read(subscription_id: str) -> SubscriptionRead:
        limit.wait()
        with refusals():
            return read_from_stripe(client, subscription_id)

    return read
