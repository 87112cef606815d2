"""Deliveries of events to webhook endpoints: signed, retried, and disturbed by the faults in force."""

import heapq
import itertools
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from itertools import takewhile
from typing import Any

import requests
import stripe

from local.stripe_simulator.faults import Faults
from local.stripe_simulator.store import Clock, StripeObject

_WORKERS = 8

_LONGEST_RETRY_SECONDS = 300.0

_MOST_ATTEMPTS = 20

_KEPT_ATTEMPTS = 100_000

_TIMEOUT_SECONDS = 10

# Of a response's body so much is kept; Stripe's Dashboard shows bodies too.
_KEPT_CHARACTERS = 1000


@dataclass(frozen=True)
class Delivery:
    """One event for one endpoint, in its form; `is_copy` marks a duplicate made by a fault, which is not retried."""

    event: StripeObject
    endpoint: StripeObject
    payload: StripeObject
    attempt: int = 1
    is_copy: bool = False


@dataclass(frozen=True)
class Outcome:
    """The result of an attempt: a status code, or the name of the error that prevented one."""

    status_code: int | None = None
    error: str | None = None
    body: str = ""

    @property
    def is_accepted(self) -> bool:
        """Whether the endpoint returned a 2xx, which is all that counts for Stripe."""
        return self.status_code is not None and HTTPStatus.OK <= self.status_code < HTTPStatus.MULTIPLE_CHOICES


@dataclass(order=True)
class _Job:
    """Deliveries that one worker makes in this order, at `due`."""

    due: float
    number: int
    deliveries: list[Delivery] = field(compare=False)
    # How many resets there had been when it was queued.
    resets: int = field(compare=False)
    is_retry: bool = field(compare=False, default=False)


class Deliveries:
    """The queue of deliveries, its worker threads and the record of attempts."""

    def __init__(self, clock: Clock, receiver_clock: Clock, faults: Callable[[], Faults], retry_seconds: float) -> None:
        self._clock, self._receiver_clock = clock, receiver_clock
        self._faults, self._retry_seconds = faults, retry_seconds
        self._changed = threading.Condition()
        self._jobs: list[_Job] = []
        self._held: list[Delivery] = []
        self._in_flight = 0
        self._paused = False
        self._waiting: list[tuple[StripeObject, list[Delivery]]] | None = None
        self._closed = False
        self._numbers = itertools.count()
        self._undelivered: dict[str, set[str]] = {}
        self._resets = 0
        self._records = itertools.count(1)
        self.attempts: deque[dict[str, Any]] = deque(maxlen=_KEPT_ATTEMPTS)
        self.dropped: deque[dict[str, Any]] = deque(maxlen=_KEPT_ATTEMPTS)
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start the workers."""
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(_WORKERS)]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop the workers; what is still queued is dropped."""
        with self._changed:
            self._closed = True
            self._jobs.clear()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def reset(self) -> None:
        """Drop everything that is queued or held, and the record of attempts."""
        with self._changed:
            self._resets += 1
            self._jobs.clear()
            self._held.clear()
            self._undelivered.clear()
            self.attempts.clear()
            self.dropped.clear()
            self._changed.notify_all()

    def undelivered(self) -> dict[str, list[str]]:
        """Return the endpoints that have not accepted an event, by the event's id."""
        with self._changed:
            return {event_id: sorted(names) for event_id, names in self._undelivered.items() if names}

    def send(self, event: StripeObject, deliveries: list[Delivery]) -> None:
        """Queue all deliveries of an event, through the faults in force."""
        if self._waiting is not None:
            self._waiting.append((event, deliveries))
            return
        event["pending_webhooks"] = len(deliveries)
        with self._changed:
            if deliveries:
                self._undelivered[event["id"]] = {delivery.endpoint["id"] for delivery in deliveries}
            for delivery in deliveries:
                self._send_one(delivery)

    @contextmanager
    def waiting(self) -> Iterator[list[tuple[StripeObject, list[Delivery]]]]:
        """Let what is sent wait in the returned list, and queue what is left there at the end."""
        waiting: list[tuple[StripeObject, list[Delivery]]] = []
        self._waiting = waiting
        try:
            yield waiting
        finally:
            self._waiting = None
            for event, deliveries in waiting:
                self.send(event, deliveries)

    def _send_one(self, delivery: Delivery) -> None:
        faults = self._faults()
        if faults.drop > 0:
            faults.drop -= 1
            self.dropped.append(self._record(delivery, Outcome(error="dropped"), again=False))
            return
        if faults.reorder > 0:
            self._held.append(delivery)
            if len(self._held) >= faults.reorder:
                self._release()
            return
        self._queue([delivery], faults.delay_seconds)
        for _ in range(faults.duplicate):
            self._queue([replace(delivery, is_copy=True)], faults.delay_seconds)

    def release(self) -> None:
        """Queue the deliveries that the reorder fault holds, last first."""
        with self._changed:
            self._release()

    def _release(self) -> None:
        if self._held:
            self._queue(self._held[::-1], 0)
            self._held = []

    def _queue(self, deliveries: list[Delivery], seconds: float, *, is_retry: bool = False) -> None:
        heapq.heappush(
            self._jobs, _Job(time.monotonic() + seconds, next(self._numbers), deliveries, self._resets, is_retry)
        )
        self._changed.notify()

    def retry_now(self) -> int:
        """Make every waiting retry due at once; returns how many there were."""
        with self._changed:
            waiting = [job for job in self._jobs if job.is_retry]
            for job in waiting:
                job.due, job.is_retry = 0.0, False
            heapq.heapify(self._jobs)
            self._changed.notify_all()
            return len(waiting)

    def _is_idle(self) -> bool:
        return not self._in_flight and all(job.is_retry for job in self._jobs)

    def wait_until_idle(self, seconds: float) -> bool:
        """Wait until nothing is queued or in flight, later retries not counted; false when it took too long."""
        with self._changed:
            return self._changed.wait_for(self._is_idle, seconds)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Begin no delivery during the block, which waits for those in flight: none is signed at another time."""
        with self._changed:
            self._changed.wait_for(lambda: not self._paused)
            self._paused = True
            self._changed.wait_for(lambda: not self._in_flight)
        try:
            yield
        finally:
            with self._changed:
                self._paused = False
                self._changed.notify_all()

    def is_delivered(self, event_id: str) -> bool:
        """Whether every endpoint has accepted the event."""
        with self._changed:
            return not self._undelivered.get(event_id)

    def _work(self) -> None:
        while (job := self._next_job()) is not None:
            for delivery in job.deliveries:
                self._attempt(delivery, job.resets)
            with self._changed:
                self._in_flight -= 1
                self._changed.notify_all()

    def _next_job(self) -> _Job | None:
        with self._changed:
            while not self._closed:
                wait = self._jobs[0].due - time.monotonic() if self._jobs and not self._paused else None
                if wait is not None and wait <= 0:
                    self._in_flight += 1
                    return heapq.heappop(self._jobs)
                self._changed.wait(wait)
            return None

    def _attempt(self, delivery: Delivery, resets: int) -> None:
        """Make a delivery; one that was queued before the last reset, however late it begins, leaves no trace."""
        if delivery.endpoint["status"] == "deleted":
            self._settle(delivery, delivered=True)
            return
        if delivery.endpoint["status"] == "disabled":
            self._again(delivery)
            return
        payload = delivery.payload
        if "pending_webhooks" in payload:
            payload = {**payload, "pending_webhooks": delivery.event["pending_webhooks"]}
        outcome = post_event(payload, delivery.endpoint, self._receiver_clock.now())
        again = not outcome.is_accepted and not delivery.is_copy and delivery.attempt < _MOST_ATTEMPTS
        with self._changed:
            if resets != self._resets:
                return
            self.attempts.append(self._record(delivery, outcome, again=again))
            if again:
                self._again(replace(delivery, attempt=delivery.attempt + 1))
            elif not delivery.is_copy:
                self._settle(delivery, delivered=outcome.is_accepted)

    def add_attempt(self, attempt: dict[str, Any]) -> None:
        """Keep an attempt that somebody else made."""
        with self._changed:
            self.attempts.append({"number": next(self._records), **attempt})

    def since(self, number: int) -> dict[str, list[dict[str, Any]]]:
        """Return the attempts, and the deliveries that were dropped, with larger numbers than this; oldest first."""
        with self._changed:
            return {"data": _after(self.attempts, number), "dropped": _after(self.dropped, number)}

    def _record(self, delivery: Delivery, outcome: Outcome, *, again: bool) -> dict[str, Any]:
        now = self._clock.now()
        subject = delivery.event.get("data", {}).get("object", {})
        return {
            "number": next(self._records),
            "event": delivery.event["id"],
            "type": delivery.event["type"],
            "endpoint": delivery.endpoint["id"],
            "url": delivery.endpoint["url"],
            "attempt": delivery.attempt,
            "duplicate": delivery.is_copy,
            "status_code": outcome.status_code,
            "error": outcome.error,
            "time": now,
            "next_retry": now + self._backoff(delivery.attempt) if again else None,
            "object": subject.get("id"),
            "customer": subject.get("customer"),
            "response": outcome.body,
        }

    def _backoff(self, attempts: int) -> float:
        return min(self._retry_seconds * 2.0 ** (attempts - 1), _LONGEST_RETRY_SECONDS)

    def _again(self, delivery: Delivery) -> None:
        with self._changed:
            self._queue([delivery], self._backoff(max(delivery.attempt - 1, 1)), is_retry=True)

    def _settle(self, delivery: Delivery, *, delivered: bool) -> None:
        with self._changed:
            delivery.event["pending_webhooks"] -= 1
            if delivered:
                self._undelivered.get(delivery.event["id"], set()).discard(delivery.endpoint["id"])


def _after(records: deque[dict[str, Any]], number: int) -> list[dict[str, Any]]:
    return list(takewhile(lambda one: one["number"] > number, reversed(records)))[::-1]


def event_headers(body: str, secret: str, now: int) -> dict[str, str]:
    """Return the headers of a delivery, with its signature at `now` (Unix seconds)."""
    return {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        "Stripe-Signature": stripe.WebhookSignature.generate_signature_header(body, secret, now),
    }


def post_event(event: StripeObject, endpoint: StripeObject, now: int) -> Outcome:
    """Send an event to an endpoint, signed with its secret at `now` (Unix seconds)."""
    body = json.dumps(event, indent=2, ensure_ascii=False)
    headers = event_headers(body, endpoint["secret"], now)
    try:
        with requests.Session() as session:
            session.trust_env = False
            answer = session.post(
                endpoint["url"], data=body.encode(), headers=headers, timeout=_TIMEOUT_SECONDS, allow_redirects=False
            )
    except (requests.RequestException, ValueError) as error:
        return Outcome(error=type(error).__name__)
    return Outcome(answer.status_code, body=answer.text[:_KEPT_CHARACTERS])
