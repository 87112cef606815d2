"""Keeps what was read from Stripe for some minutes, so that any number of visitors costs next to nothing."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from shared.errors import PortalError, Unavailable

CACHE_SECONDS = 300
# Anybody can ask for some of it, so that a failure too is remembered, lest every visitor costs a call to Stripe.
FAILURE_SECONDS = 10

Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class _Known(Generic[Value]):
    """The outcome of a read, valid until a time on the monotonic clock."""

    until: float
    value: Value | None = None
    error: PortalError | None = None


class CachedRead(Generic[Key, Value]):
    """Returns what `read` does, and calls it at most every 5 minutes for each key.

    A failure is remembered for 10 seconds. While Stripe does not answer, the last known value remains valid.
    """

    def __init__(self, read: Callable[[Key], Value], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._monotonic = monotonic
        self._known: dict[Key, _Known[Value]] = {}

    def get(self, key: Key) -> Value:
        """Return the value. Raises the `PortalError` that the read has raised."""
        known = self._known.get(key)
        if known is None or self._monotonic() >= known.until:
            known = self._known[key] = self._ask(key, known)
        if known.error is not None:
            raise known.error.with_traceback(None)
        return known.value  # type: ignore[return-value]  # without an error there is one

    def _ask(self, key: Key, last: _Known[Value] | None) -> _Known[Value]:
        try:
            return _Known(self._monotonic() + CACHE_SECONDS, self._read(key))
        except PortalError as error:
            until = self._monotonic() + FAILURE_SECONDS
            if isinstance(error, Unavailable) and last is not None and last.error is None:
                return _Known(until, last.value)
            return _Known(until, error=error)
