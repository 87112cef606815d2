"""A clock for what waits: tests take no time."""

import math
from dataclasses import dataclass, field

SECOND = 1_000_000_000  # of nanoseconds


@dataclass
class Clock:
    """Time that passes only while somebody sleeps or works; a sleep may last longer than it was asked to."""

    now: int = 0
    late: list[int] = field(default_factory=list)
    sleeps: int = 0

    def __call__(self) -> int:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.sleeps += 1
        self.now += math.ceil(seconds * SECOND) + (self.late.pop() if self.late else 0)
