"""Asks Stripe and AWS again, with patience: a repair that skips what failed once is none."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import stripe

from shared.errors import InvalidRequest, Unavailable
from shared.rate_limit import RateLimit
from shared.stripe_gateway import stripe_errors

TRIES = 8
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0

_Answer = TypeVar("_Answer")


@contextmanager
def refusals() -> Iterator[None]:
    """Raise `InvalidRequest` where Stripe refuses what was asked for."""
    try:
        yield
    except stripe.InvalidRequestError as error:
        what = ", ".join(filter(None, (error.code, error.param))) or f"status {error.http_status}"
        raise InvalidRequest(
            "stripe_refused",
            f"Stripe refused the request ({what}): check the ids that were given. Request: {error.request_id}",
        ) from error


class Retries:
    """Tries up to 8 times, for about a minute in all; pauses double, and their upper half is left to chance.

    stripe-python itself does not try again after a plain 429, and knows nothing of the rate limit.
    """

    def __init__(self, limit: RateLimit, chance: Callable[[], float] = random.random) -> None:
        self._limit = limit
        self._chance = chance

    def of_stripe(self, ask: Callable[[], _Answer]) -> _Answer:
        """Ask Stripe one thing, each try within the rate limit.

        Raises `Unavailable` when the last try failed as well, `OperatorError` when Stripe refuses the key,
        `InvalidRequest` when it refuses the request.
        """

        def ask_once() -> _Answer:
            self._limit.wait()
            with stripe_errors():
                return ask()

        with refusals():
            return self.of(ask_once)

    def of(self, act: Callable[[], _Answer]) -> _Answer:
        """Act until it is not `Unavailable`. Raises the last `Unavailable`."""
        for failed in range(TRIES - 1):
            try:
                return act()
            except Unavailable:
                pause = min(FIRST_PAUSE_SECONDS * 2**failed, LONGEST_PAUSE_SECONDS)
                self._limit.sleep(pause * (1 + self._chance()) / 2)
        return act()
