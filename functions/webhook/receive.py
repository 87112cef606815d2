"""What happens to one event: proven to be Stripe's, applied to the mirror, or kept as a dead letter."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from functions.webhook.signature import verify_signature
from shared.errors import InvalidRequest, OperatorError, PortalError, UnreadableEvent
from shared.mirror.dead_letters import DeadLetterQueue
from shared.mirror.intake import EventResult, Ignored, Intake
from shared.mirror.rule import Outcome
from shared.mirror.settle_queue import SettleQueue
from shared.secret_store import SecretStore, SigningSecrets

FAILED = "EventFailed"
RETRIED = "EventRetried"
# How old an event is, in seconds, when it is written to the mirror; not of events that were sent again by hand.
LAG = "EventLag"


@dataclass(frozen=True, slots=True)
class DeadLetterResult:
    """A genuine event that could not be read and was kept; the reason names fields, never values."""

    code: str
    reason: str
    outcome: Literal["dead_letter"] = "dead_letter"

    def for_log(self) -> dict[str, Any]:
        """What may be logged."""
        return {"outcome": self.outcome, "code": self.code, "reason": self.reason}


def metric_of(result: Outcome | Ignored | Literal["dead_letter"] | PortalError) -> str:
    """The metric that counts this result: `EventApplied`, `EventIgnoredType`, `EventRefused`, `EventFailed`..."""
    if isinstance(result, InvalidRequest):
        return "EventRefused"
    if isinstance(result, PortalError):
        return FAILED
    return f"Event{result.title().replace('_', '')}"


@dataclass(frozen=True, slots=True)
class Receiver:
    """Receives events; made once per execution environment.

    `event_source` is the partner event source whose events are accepted from EventBridge; `None` for none.
    """

    signing_secrets: SecretStore[SigningSecrets]
    intake: Intake
    settle_queue: SettleQueue
    dead_letters: DeadLetterQueue
    clock: Callable[[], float]
    event_source: str | None = None

    def receive(self, body: bytes, headers: Mapping[str, str]) -> EventResult | DeadLetterResult:
        """Receive one HTTPS request; header names are in lower case.

        Raises `InvalidRequest` for what is not from Stripe, `Unavailable` when nothing was kept and Stripe has to send
        it again, `OperatorError` when the signing secrets are malformed.
        """
        verify_signature(body, headers.get("stripe-signature"), self.signing_secrets, now=self.clock())
        return self._take(body)

    def receive_from_bus(self, envelope: Mapping[str, Any]) -> EventResult | DeadLetterResult:
        """Receive an event of EventBridge's.

        Raises `OperatorError` for one that is not of the deployment's source, and `Unavailable` as `receive` does.
        """
        if envelope.get("source") != self.event_source:
            raise OperatorError(
                "event_source_closed",
                "An event came from EventBridge that is not of StripeEventSource: set that, or remove the rule",
            )
        return self._take(json.dumps(envelope["detail"]).encode())

    def _take(self, body: bytes) -> EventResult | DeadLetterResult:
        now = self.clock()
        try:
            return self.intake.apply_event(body, now=now, received=now, defer=partial(self.settle_queue.keep, body))
        except UnreadableEvent as reason:
            self.dead_letters.keep(body, reason)
            return DeadLetterResult(reason.code, reason.message)
