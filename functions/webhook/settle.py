"""Settles the events of the queue, each by at most one read of Stripe, within a rate."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from functions.webhook.receive import DeadLetterResult
from shared.errors import Unavailable, UnreadableEvent
from shared.mirror.dead_letters import DeadLetterQueue
from shared.mirror.intake import EventResult, Intake
from shared.mirror.settle_queue import QueuedEvent, SettleQueue

# Stripe's copies may not have a new subscription yet, and a refusal may pass.
READ_FAILURES_BEFORE_DEAD_LETTER = 5
_MAY_PASS = frozenset({"subscription_missing", "subscription_refused"})


@dataclass(frozen=True, slots=True)
class Settler:
    """Settles queued events; made once per execution environment."""

    intake: Intake
    queue: SettleQueue
    dead_letters: DeadLetterQueue
    clock: Callable[[], float]

    def settle(self, record: Mapping[str, Any]) -> EventResult | DeadLetterResult:
        """Settle the event of one message.

        Raises `Unavailable` or `UnreadableEvent` when the message has to stay in the queue; it comes again later then.
        """
        event = QueuedEvent.of(record)
        try:
            return self.intake.apply_event(event.body, now=self.clock(), received=event.received)
        except UnreadableEvent as reason:
            if reason.code in _MAY_PASS and event.attempt < READ_FAILURES_BEFORE_DEAD_LETTER:
                self.queue.retry_later(event)
                raise
            self.dead_letters.keep(event.body, reason)
            return DeadLetterResult(reason.code, reason.message)
        except Unavailable as error:
            self.queue.retry_later(event, at_least=error.retry_after)
            raise
