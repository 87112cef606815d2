"""What became of each delivery: the webhook's own response, and for what it settled later, its log."""

import json
import logging
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

import requests

_KEPT = 2000
_REASONS = {
    "applied": "later than what the mirror had",
    "stale": "the mirror already has a later state",
    "duplicate": "the mirror was written by this very event",
    "unchanged": "the mirror already is as Stripe is",
    "queued": "too close to another change to order them: waits for one read of Stripe",
    "dead_letter": "it cannot be read: kept in the dead-letter queue",
    "ignored_type": "not about a subscription",
    "ignored_account": "of another account",
    "ignored_livemode": "of another mode",
    "dropped": "Stripe did not send it",
}
_TONES = {
    "applied": "good",
    "queued": "wait",
    "dead_letter": "bad",
    "dropped": "bad",
    "refused": "bad",
    "failed": "bad",
}


@dataclass(frozen=True, slots=True)
class ShownDelivery:
    """One attempt; `settled` is what became of it later, if the webhook queued it. `time` is Unix seconds."""

    number: int
    time: float
    event: str
    type: str
    customer: str
    subscription: str
    attempt: int
    duplicate: bool
    outcome: str
    reason: str
    settled: str = ""
    next_retry: float | None = None

    @property
    def words(self) -> str:
        """The outcome as shown."""
        if self.settled:
            return f"settled later: {self.settled.replace('_', ' ')}"
        return self.outcome.replace("_", " ")

    @property
    def tone(self) -> str:
        """The colour: good, wait, bad or over."""
        return "good" if self.settled else _TONES.get(self.outcome, "over")


def shown_delivery(record: Mapping[str, Any]) -> ShownDelivery:
    """Read the simulator's record of an attempt."""
    outcome, reason = _outcome(record)
    about = str(record["object"] or "")
    return ShownDelivery(
        record["number"],
        record["time"],
        record["event"],
        record["type"] or "",
        record["customer"] or "",
        about if about.startswith("sub_") else "",
        record["attempt"],
        record["duplicate"],
        outcome,
        reason,
        next_retry=record["next_retry"],
    )


def _outcome(record: Mapping[str, Any]) -> tuple[str, str]:
    """Return the outcome and why: what the webhook said, or why there is no response."""
    status = record["status_code"]
    if status is None:
        error = str(record["error"])
        return (error, _REASONS[error]) if error in _REASONS else ("failed", f"no response: {error}")
    try:
        said = json.loads(record["response"])
    except ValueError:
        said = {}
    if status == HTTPStatus.OK and isinstance(said, dict) and "outcome" in said:
        return said["outcome"], _REASONS.get(said["outcome"], "")
    detail = said.get("detail") or said.get("title") if isinstance(said, dict) else None
    if status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return "refused", f"{status}: {detail or 'no reason given'}"
    return "failed", f"{status}: nothing was kept, so Stripe sends it again ({detail or 'no reason given'})"


class WebhookLog(logging.Handler):
    """Keeps the outcomes of events that the webhook logs, and leaves what the terminal shows as it is."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._outcomes: dict[str, str] = {}
        self._order: deque[str] = deque()
        self._guard = threading.Lock()
        self._logger = logging.getLogger("webhook")

    def attach(self) -> None:
        """Begin to listen."""
        shown = self._logger.level
        for handler in self._logger.handlers:
            if not isinstance(handler, WebhookLog):
                handler.setLevel(max(shown, handler.level))
        self._logger.setLevel(min(shown or logging.INFO, logging.INFO))
        self._logger.addHandler(self)

    def detach(self) -> None:
        """Listen no longer."""
        self._logger.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the outcome, if the line has one."""
        event, outcome = getattr(record, "event_id", None), getattr(record, "outcome", None)
        if not event or not outcome or str(outcome) == "queued":
            return
        with self._guard:
            if event not in self._outcomes:
                self._order.append(event)
            self._outcomes[event] = str(outcome)
            while len(self._order) > _KEPT:
                del self._outcomes[self._order.popleft()]

    def outcome_of(self, event: str) -> str:
        """Return the last outcome of an event, or an empty text."""
        with self._guard:
            return self._outcomes.get(event, "")


class DeliveryFeed:
    """The deliveries so far, read piece by piece from the simulator."""

    def __init__(self, simulator_url: str, log: WebhookLog) -> None:
        self._url, self._log = simulator_url, log
        self._read: deque[ShownDelivery] = deque(maxlen=_KEPT)
        self._last = 0
        self._lock = threading.Lock()

    def update(self) -> None:
        """Read what is new."""
        with self._lock:
            found = requests.get(f"{self._url}/_simulator/deliveries", {"after": self._last}, timeout=10).json()
            new = sorted([*found["data"], *found["dropped"]], key=lambda one: one["number"])
            if new:
                self._last = new[-1]["number"]
            self._read.extend(map(shown_delivery, new))

    @property
    def last(self) -> int:
        """The number of the latest delivery that was read."""
        return self._last

    def newest(self, count: int) -> list[ShownDelivery]:
        """Return the newest deliveries, newest first."""
        return [self._known(one) for one in list(self._read)[-count:][::-1]]

    def since(self, number: int) -> list[ShownDelivery]:
        """Return the deliveries after a number, oldest first, as far as they are kept."""
        return [self._known(one) for one in list(self._read) if one.number > number]

    def _known(self, one: ShownDelivery) -> ShownDelivery:
        return replace(one, settled=self._log.outcome_of(one.event)) if one.outcome == "queued" else one
