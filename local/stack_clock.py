"""The clock of the whole stack: moves the time of this process and of the Stripe simulator together."""

import json
import threading
import time
from datetime import UTC, datetime

import requests
import time_machine
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

FOLLOW_PATH = "/_stack/clock"


def real_time() -> float:
    """Return the time outside the demo, in Unix seconds."""
    hatch = time_machine.escape_hatch
    return hatch.time.time() if hatch.is_travelling() else time.time()


class StackClock:
    """Starts at `as_of`, or at real time, and ticks. `go_to` moves to the past, to create history there."""

    def __init__(self, as_of: datetime | None, simulator_url: str | None) -> None:
        self._is_moved = as_of is not None
        # Time travel does not change the monotonic clock.
        self._began = (as_of.timestamp() if as_of else time.time()) - time.monotonic()
        self._real_began = time.time() - time.monotonic()
        self._simulator_url = simulator_url
        self._lock = threading.Lock()
        self._travel: time_machine.travel | None = None
        self._coordinates: time_machine.Traveller | None = None
        self._move_to(self._present())

    def begin_at(self, as_of: datetime | None) -> None:
        """Make `as_of`, or real time, the stack's present; nobody follows the simulator until it is asked to again."""
        self._is_moved = as_of is not None
        self._began = as_of.timestamp() - time.monotonic() if as_of else self._real_began
        self._move_to(self._present())
        self._post({"follower": None})

    @property
    def present(self) -> datetime:
        """The stack's present, which the history leads up to."""
        return datetime.fromtimestamp(self._present(), UTC)

    def go_to(self, moment: datetime) -> None:
        """Move to a moment, but never beyond the stack's present."""
        self._set(min(moment.timestamp(), self._present()))

    def return_to_present(self) -> None:
        """Return to the stack's present. Without `as_of` this is real time, which is not touched again."""
        self._set(self._present())
        if not self._is_moved:
            self.stop()

    def follow(self, now: float | None) -> None:
        """Move this process to a time that the simulator was set to (Unix seconds; null: real time)."""
        if now is None:
            self.stop()
        else:
            self._move_to(now)

    def be_followed_at(self, address: str) -> None:
        """Ask the simulator to send changes of its receivers' time to this address."""
        self._post({"follower": address})

    def stop(self) -> None:
        """Give this process real time again."""
        with self._lock:
            if self._travel:
                self._travel.stop()
            self._travel = self._coordinates = None

    def _present(self) -> float:
        return self._began + time.monotonic()

    def _set(self, moment: float) -> None:
        self._move_to(moment)
        real = moment - self._real_began - time.monotonic()
        # Within a second of real time the simulator's offset is rounding.
        same = None if abs(real) < 1 else moment
        self._post({"now": same, "receiver_now": same})

    def _move_to(self, moment: float) -> None:
        with self._lock:
            if self._coordinates is None:
                self._travel = time_machine.travel(moment, tick=True)
                self._coordinates = self._travel.start()
            else:
                self._coordinates.move_to(moment)

    def _post(self, body: dict[str, object]) -> None:
        if self._simulator_url:
            requests.post(f"{self._simulator_url}/_simulator/clock", json=body, timeout=30).raise_for_status()


class ClockFollower:
    """ASGI middleware that moves this process to the time that the simulator sends to `FOLLOW_PATH`."""

    def __init__(self, application: ASGIApp, clock: StackClock) -> None:
        self._application, self._clock = application, clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take over a time, or pass the request on."""
        if scope["type"] != "http" or (scope["method"], scope["path"]) != ("POST", FOLLOW_PATH):
            await self._application(scope, receive, send)
            return
        try:
            now = json.loads(await Request(scope, receive).body())["now"]
            if now is not None:
                now = float(now)
        except (ValueError, KeyError, TypeError):
            await JSONResponse({"error": "`now` must be Unix seconds or null."}, 400)(scope, receive, send)
            return
        self._clock.follow(now)
        await JSONResponse({"now": time.time()})(scope, receive, send)
