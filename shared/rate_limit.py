"""Keeps the bundle's own requests to Stripe apart, so that they leave room for the company's own."""

import math
import threading
import time
from collections.abc import Callable

from shared.errors import InvalidRequest

_SECOND = 1_000_000_000
# Stripe allows 25 a second of one endpoint, and 100 of all (docs.stripe.com/rate-limits).
MOST_PER_SECOND = 100


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
            raise InvalidRequest("bad_rate", f"A rate is above 0 and at most {MOST_PER_SECOND} requests a second")
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
        """Answer the time of the limit's own clock, in seconds from an unknown beginning."""
        return self._clock() / _SECOND
