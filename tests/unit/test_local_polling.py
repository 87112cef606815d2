"""The thread that invokes functions with what came into queues and streams, and on a schedule."""

import threading
from dataclasses import dataclass, field

from local.aws.queue_poller import polling

PATIENCE_SECONDS = 30


@dataclass
class Failing:
    """Fails once, as a function does whose dependency is gone, and works when it is polled again."""

    polls: int = 0
    worked: threading.Event = field(default_factory=threading.Event)

    def poll(self) -> int:
        self.polls += 1
        if self.polls == 1:
            raise RuntimeError("Stripe does not answer")
        self.worked.set()
        return 0


@dataclass
class Working:
    """Counts how often it was polled."""

    worked: threading.Event = field(default_factory=threading.Event)

    def poll(self) -> int:
        self.worked.set()
        return 0


def test_a_function_that_fails_is_invoked_again_and_holds_up_no_other() -> None:
    failing, other = Failing(), Working()
    with polling((failing, other)):
        assert other.worked.wait(PATIENCE_SECONDS)
        assert failing.worked.wait(PATIENCE_SECONDS)
