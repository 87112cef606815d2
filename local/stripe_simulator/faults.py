"""What can be made to go wrong on request."""

import time
from collections import defaultdict, deque
from dataclasses import asdict, dataclass, field
from typing import Any

from local.stripe_simulator.errors import ApiError, rate_limited

_SERVER_ERROR = 500
_TOO_MANY = 429


@dataclass
class Failure:
    """The next `times` API requests that match are answered with `status`, in the words and with the code given."""

    status: int
    times: int = 1
    method: str | None = None
    path: str = "/"
    message: str | None = None
    code: str | None = None
    param: str | None = None

    def matches(self, method: str, path: str) -> bool:
        """Whether this failure is for that request, and is not used up."""
        return self.times > 0 and self.method in {None, method} and path.startswith(self.path)


@dataclass
class Faults:
    """The faults in force; everything off at first."""

    duplicate: int = 0
    delay_seconds: float = 0
    drop: int = 0
    reorder: int = 0
    lag: int = 0
    latency_seconds: float = 0
    requests_per_second: int = 0
    fail: list[Failure] = field(default_factory=list)

    @classmethod
    def read(cls, body: dict[str, Any]) -> "Faults":
        """Faults from JSON; an unknown name raises `TypeError`."""
        return cls(**{**body, "fail": [Failure(**entry) for entry in body.get("fail", [])]})

    def as_json(self) -> dict[str, Any]:
        """What is in force now, counts going down as faults are used."""
        return asdict(self)

    def check_failure(self, method: str, path: str) -> None:
        """Raise the failure that was asked for this request, if any."""
        for failure in self.fail:
            if failure.matches(method, path):
                failure.times -= 1
                raise failure_of(failure)


def failure_of(failure: Failure) -> ApiError:
    """Stripe's body for a failure."""
    status = failure.status
    if status == _TOO_MANY:
        return rate_limited("global-rate")
    if status >= _SERVER_ERROR:
        return ApiError("An unknown error occurred", status=status, kind="api_error")
    message = failure.message or "A failure that was asked for."
    return ApiError(message, status=status, code=failure.code, param=failure.param)


class RateLimit:
    """Counts the last second of each endpoint, all ids together, as Stripe does."""

    def __init__(self) -> None:
        self._recent: defaultdict[str, deque[float]] = defaultdict(deque)

    def check(self, endpoint: str, allowed: int) -> None:
        """Raise 429 when the endpoint had its share of this second; 0 allows everything."""
        if not allowed:
            return
        recent, now = self._recent[endpoint], time.monotonic()
        while recent and recent[0] <= now - 1:
            recent.popleft()
        if len(recent) >= allowed:
            raise rate_limited("endpoint-rate")
        recent.append(now)
