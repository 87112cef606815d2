"""What the demo site keeps while everything else begins again."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(slots=True)
class SiteSession:
    """One visitor's demo.

    `restart` forgets all data and begins at a time, or at real time, and returns at once. `closed` is set when the
    stack stops. `stalled` stops the queues from being read while it is set. `beginning` counts the restarts.
    `story_step` is where the visitor is in the story.
    """

    restart: Callable[[datetime | None], None]
    closed: threading.Event = field(default_factory=threading.Event)
    stalled: threading.Event = field(default_factory=threading.Event)
    beginning: int = 0
    story_step: int = 0
    _at_end: list[Callable[[], None]] = field(default_factory=list)

    def on_end(self, act: Callable[[], None]) -> None:
        """Have something done when the present data is forgotten, or the stack stops."""
        self._at_end.append(act)

    def begin_again(self, as_of: datetime | None) -> None:
        """Forget all data, and begin at a time or at real time."""
        self.restart(as_of)

    def end_beginning(self) -> None:
        """End what belongs to the present data."""
        self.beginning += 1
        self.stalled.clear()
        while self._at_end:
            self._at_end.pop()()

    def close(self) -> None:
        """Let everything that runs for a page end."""
        self.closed.set()
        self.end_beginning()
