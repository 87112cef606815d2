"""The simulator's own time, so that years of history can be made in a second."""

import time
from email.utils import formatdate


class Clock:
    """Real time plus an offset: after a jump it continues to tick."""

    def __init__(self, now: float | None = None) -> None:
        self._offset = 0.0
        self.set(now)

    def set(self, now: float | None) -> None:
        """Jump to `now` (unix seconds), or back to real time."""
        self._offset = 0.0 if now is None else now - time.time()

    @property
    def offset(self) -> float:
        """Seconds between the simulator's time and real time."""
        return self._offset

    def now(self) -> int:
        """Whole unix seconds, as Stripe counts time."""
        return int(time.time() + self._offset)

    def http_date(self) -> str:
        """The value of the `Date` header."""
        return formatdate(self.now(), usegmt=True)
