"""One deadline for an invocation: what waits for Stripe or AWS asks how long it may wait, and is refused in time.

Time-outs of single calls do not bound a request that makes several, and after Lambda's own time-out there is no
response, no log line and no metric. So each entrance sets a deadline, to which `shared/aws.py` and
`shared/stripe/gateway.py` keep.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
Result = TypeVar("Result")

# On the monotonic clock. Commands and the audit set none: nobody waits for their single requests.
_ends_at: ContextVar[float] = ContextVar("ends_at", default=math.inf)


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Have the requests in the `with` block end within so many seconds, or sooner if a deadline is set already."""
    before = _ends_at.set(min(_ends_at.get(), time.monotonic() + seconds))
    try:
        yield
    finally:
        _ends_at.reset(before)


@contextmanager
def leaving(seconds: float) -> Iterator[None]:
    """Have the requests in the `with` block leave so many seconds of the deadline to what comes after them."""
    before = _ends_at.set(_ends_at.get() - seconds)
    try:
        yield
    finally:
        _ends_at.reset(before)


def keeping_deadline(act: Callable[P, Result]) -> Callable[P, Result]:
    """Return a function for other threads that acts within this thread's deadline, which they do not inherit."""
    ends_at = _ends_at.get()

    def within(*args: P.args, **options: P.kwargs) -> Result:
        before = _ends_at.set(ends_at)
        try:
            return act(*args, **options)
        finally:
            _ends_at.reset(before)

    return within


def seconds_left() -> float:
    """Return the seconds until the deadline, infinite without one; negative once it has passed."""
    return _ends_at.get() - time.monotonic()
