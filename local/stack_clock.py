"""The clock of the whole stack: moves the time of this process and of the Stripe simulator together."""

import time
from datetime import datetime

import requests
import time_machine


class StackClock:
    """Starts at `as_of`, or at real time, and ticks. `go_to` moves to the past, to create history there."""

    def __init__(self, as_of: datetime | None, simulator_url: str | None) -> None:
        self._is_moved = as_of is not None
        # Time travel does not change the monotonic clock.
        self._began = (as_of.timestamp() if as_of else time.time()) - time.monotonic()
        self._simulator_url = simulator_url
        self._travel = time_machine.travel(self._present(), tick=True)
        self._coordinates = self._travel.start()
        self._is_travelling = True

    def go_to(self, moment: datetime) -> None:
        """Move to a moment, but never beyond the stack's present."""
        self._set(min(moment.timestamp(), self._present()))

    def return_to_present(self) -> None:
        """Return to the stack's present. Without `as_of` this is real time, which is not touched again."""
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
