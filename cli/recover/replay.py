"""Applies the events that did not reach the mirror: dead letters of both queues, and those that were not delivered."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from stripe import StripeClient

from shared.errors import PortalError, Unavailable, UnreadableEvent, sentence
from shared.mirror.comparison import attempt
from shared.mirror.dead_letters import DeadLetter, DeadLetterReader, unpacked
from shared.mirror.drift import MOST_RECORDS, Failure
from shared.mirror.intake import Ignored, Intake
from shared.mirror.rule import Outcome
from shared.stripe.events import ENTITLEMENTS_UPDATED, is_from_event_bus
from shared.stripe.lists import EVENT_TYPES, undelivered_events
from shared.stripe.pacing import RateLimit, Retries

# Each was tried for a minute: after so many in a row Stripe itself is at fault, not one subscription.
MOST_UNANSWERED = 3


@dataclass(frozen=True, slots=True)
class ReplayProgress:
    """What became of the events so far. Counts are of all, `failures` holds the first 1,000.

    `left` is how many of them stay in the queue that they came from.
    """

    outcomes: Mapping[Outcome | Ignored, int] = field(default_factory=dict)
    failed: int = 0
    failures: tuple[Failure, ...] = ()
    left: int = 0

    @property
    def seen(self) -> int:
        """How many events there were."""
        return sum(self.outcomes.values()) + self.failed


@dataclass(frozen=True, slots=True)
class Replay:
    """One run. For a dry run the intake's mirror writes to a `DryRunTable`; `clock` is in Unix seconds."""

    intake: Intake
    limit: RateLimit
    clock: Callable[[], float]
    apply: bool

    def dead_letters(self, queue: DeadLetterReader) -> Iterator[ReplayProgress]:
        """Apply what can be read today, and only then delete it from the queue; the rest stays.

        Yields the progress after each message. Goes past a message that fails again, also if it crashes the code or
        Stripe fails to answer about its subscription. Raises `Unavailable` when the mirror, the queue or Stripe as a
        whole fail: nothing is lost.
        """
        done, unanswered = ReplayProgress(), 0
        with queue:
            for letter in queue.letters():
                body = partial(event_in, letter.body, letter.encoding)
                try:
                    result = self._apply(f"message {letter.id}", body)
                    unanswered = 0
                except Unavailable as error:
                    unanswered += 1
                    if error.code != "stripe_unavailable" or unanswered == MOST_UNANSWERED:
                        raise
                    result = Failure(f"message {letter.id}", error.code, error.message)
                if isinstance(result, Failure):
                    result = _with_history(result, letter)
                elif self.apply:
                    queue.delete(letter)
                done = replace(_with(done, result), left=queue.left)
                yield done

    def undelivered(self, client: StripeClient, *, since: int) -> Iterator[ReplayProgress]:
        """Apply the events since `since` (Unix seconds) that an endpoint of the account has not taken, oldest first.

        Yields the progress after each event. Raises `Unavailable` when Stripe or the mirror fail, `OperatorError`
        when Stripe refuses the key.
        """
        done = ReplayProgress()
        types = EVENT_TYPES if self.intake.entitlements is None else (*EVENT_TYPES, ENTITLEMENTS_UPDATED)
        for raw in _each(undelivered_events(client, Retries(self.limit), since=since, types=types)):
            done = _with(done, self._apply(str(raw.get("id")), partial(_as_written, raw)))
            yield done

    def _apply(self, subject: str, body: Callable[[], bytes]) -> Outcome | Ignored | Failure:
        try:
            result = attempt(subject, lambda: self.intake.apply_event(body(), now=self.clock()), Retries(self.limit))
        except PortalError:
            raise
        except Exception as error:  # noqa: BLE001 - a fault of our own; its message may hold the customer's data
            return Failure(
                subject,
                "internal_error",
                sentence("This version of the code fails on it: {error}", error=type(error).__name__),
            )
        return result if isinstance(result, Failure) else result.outcome


def event_in(message: str, encoding: str = "") -> bytes:
    """Return the Stripe event of a dead letter: its body, or what EventBridge or Lambda wrapped around it.

    Raises `UnreadableEvent`.
    """
    text = unpacked(message, encoding)
    try:
        parsed = json.loads(text)
    except ValueError:
        raise UnreadableEvent(
            "unreadable_event", sentence("Not an event that can be read: the body is not JSON")
        ) from None
    if isinstance(parsed, dict) and is_from_event_bus(parsed):
        return json.dumps(parsed["detail"]).encode()
    return text.encode()


def _with(done: ReplayProgress, result: Outcome | Ignored | Failure) -> ReplayProgress:
    if isinstance(result, Failure):
        return replace(done, failed=done.failed + 1, failures=(*done.failures, result)[:MOST_RECORDS])
    return replace(done, outcomes=dict(Counter(done.outcomes) + Counter([result])))


def _with_history(failure: Failure, letter: DeadLetter) -> Failure:
    if not letter.reason or letter.reason == failure.reason:
        return failure
    reason = sentence("{reason} (when it was kept: {kept})", reason=failure.reason, kept=letter.reason)
    return replace(failure, reason=reason)


def _as_written(raw: Mapping[str, Any]) -> bytes:
    return json.dumps(raw).encode()


def _each(pages: Iterator[tuple[Mapping[str, Any], ...]]) -> Iterator[Mapping[str, Any]]:
    for page in pages:
        yield from page
