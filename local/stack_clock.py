"""The time of the whole stack: this process's and the Stripe simulator's move together."""

import time
from datetime import datetime

import requests
import time_machine


class StackClock:
    """Real time, or `as_of` and ticking on from there; `go_to` makes history, `come_back` ends it."""

    def __init__(self, as_of: datetime | None, simulator_url: str | None) -> None:
        self._is_moved = as_of is not None
        # The monotonic clock is the one that time travel leaves alone.
        self._began = (as_of.timestamp() if as_of else time.time()) - time.monotonic()
        self._simulator_url = simulator_url
        self._travel = time_machine.travel(self._present(), tick=True)
        self._coordinates = self._travel.start()
        self._is_travelling = True

    def go_to(self, moment: datetime) -> None:
        """Move to a moment, but never beyond the present of the stack."""
        self._set(min(moment.timestamp(), self._present()))

    def come_back(self) -> None:
        """Return to the present of the stack; real time is left alone from then on."""
        self._set(self._present())
        if not self._is_moved:
            self.stop()

    def stop(self) -> None:
        """Give this process real time again."""
        if self._is_travelling:
            self._travel.stop()
            self._is_travelling = False

    def _present(self) -> float:
        return self._began + time.monotonic()

    def _set(self, moment: float) -> None:
        self._coordinates.move_to(moment)
        if self._simulator_url:
            requests.post(f"{self._simulator_url}/_simulator/clock", json={"now": moment}, timeout=5).raise_for_status()
