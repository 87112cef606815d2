"""Faults: what tests can make go wrong."""

import time
import typing
from collections import defaultdict, deque
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from local.stripe_simulator.errors import ApiError, rate_limited

_SERVER_ERROR = 500
_TOO_MANY = 429
_PAYMENT_REQUIRED = 402


@dataclass
class Failure:
    """The next `times` API requests that match fail with `status`, message and code."""

    status: int
    times: int = 1
    method: str | None = None
    path: str = "/"
    message: str | None = None
    code: str | None = None
    param: str | None = None
    should_retry: bool | None = None

    def matches(self, method: str, path: str) -> bool:
        """Whether this failure is for a request, and not used up."""
        return self.times > 0 and self.method in {None, method} and path.startswith(self.path)


@dataclass
class Faults:
    """The faults in force; at first none."""

    duplicate: int = 0
    delay_seconds: float = 0
    drop: int = 0
    reorder: int = 0
    lag: int = 0
    latency_seconds: float = 0
    requests_per_second: int = 0
    newer_fields: bool = False
    fail: list[Failure] = field(default_factory=list)

    @classmethod
    def read(cls, body: dict[str, Any]) -> "Faults":
        """Read faults from JSON; raises `TypeError` for an unknown name or a value of another type."""
        entries = body.get("fail", [])
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise TypeError("`fail` is a list of hashes.")
        return _checked(cls(**{**body, "fail": [_checked(Failure(**entry)) for entry in entries]}))

    def as_json(self) -> dict[str, Any]:
        """Return the faults in force, with the counts that are left."""
        return asdict(self)

    def check_failure(self, method: str, path: str) -> None:
        """Raise the failure for a request, if there is one."""
        for failure in self.fail:
            if failure.matches(method, path):
                failure.times -= 1
                raise failure_of(failure)


_Kind = TypeVar("_Kind", Faults, Failure)
_LARGEST = 1_000_000


def _checked(faults: _Kind) -> _Kind:
    """Raise `TypeError` for a value that is not of its field's type; `lag` alone may be negative."""
    for name, kind in typing.get_type_hints(type(faults)).items():
        value, is_number = getattr(faults, name), kind in {int, float}
        expected = int | float if kind is float else list if name == "fail" else kind
        is_right = isinstance(value, expected) and not (is_number and isinstance(value, bool))
        if not is_right or (is_number and not (-_LARGEST if name == "lag" else 0) <= value <= _LARGEST):
            raise TypeError(f"`{name}` cannot be {value!r}.")
    return faults


def failure_of(failure: Failure) -> ApiError:
    """Return the error of a failure."""
    error = _error_of(failure)
    if failure.should_retry is not None:
        error.headers["Stripe-Should-Retry"] = str(failure.should_retry).lower()
    return error


def _error_of(failure: Failure) -> ApiError:
    status = failure.status
    if status == _TOO_MANY:
        return rate_limited("global-rate")
    if status >= _SERVER_ERROR:
        return ApiError("An unknown error occurred", status=status, kind="api_error")
    message = failure.message or "A failure that was asked for."
    kind = "card_error" if status == _PAYMENT_REQUIRED else "invalid_request_error"
    return ApiError(message, status=status, kind=kind, code=failure.code, param=failure.param)


class RateLimit:
    """Limits the requests in a second to one endpoint, all ids together, as Stripe does."""

    def __init__(self) -> None:
        self._recent: defaultdict[str, deque[float]] = defaultdict(deque)

    def check(self, endpoint: str, allowed: int) -> None:
        """Raise 429 when the endpoint had `allowed` requests in the last second; 0 allows everything."""
        if not allowed:
            return
        recent, now = self._recent[endpoint], time.monotonic()
        while recent and recent[0] <= now - 1:
            recent.popleft()
        if len(recent) >= allowed:
            raise rate_limited("endpoint-rate")
        recent.append(now)
