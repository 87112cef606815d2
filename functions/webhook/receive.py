"""What happens to one event: proven to be Stripe's, brought into the mirror, or kept for later."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from functions.webhook.signature import verify_signature
from shared.errors import InvalidRequest, PortalError, UnreadableEvent
from shared.mirror.intake import EventResult, Ignored, Intake
from shared.mirror.rule import Outcome
from shared.secret_store import SecretStore


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A genuine event that could not be understood and was kept; the reason names fields, never values."""

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
        return "EventFailed"
    return f"Event{result.title().replace('_', '')}"


class DeadLetterQueue(Protocol):
    """Where genuine events go that cannot be understood."""

    def keep(self, body: bytes, reason: UnreadableEvent) -> None:
        """Keep the event, or raise `Unavailable`."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """All that a request needs, made once per execution environment."""

    secrets: SecretStore
    intake: Intake
    dead_letters: DeadLetterQueue
    clock: Callable[[], float]

    def receive(self, body: bytes, headers: Mapping[str, str]) -> EventResult | DeadLetter:
        """Take one HTTPS request; lower-case header names.

        Raises `InvalidRequest` for what is not from Stripe, `Unavailable` when nothing was kept and Stripe has to try
        again, `OperatorError` when the secret is unfit.
        """
        verify_signature(body, headers.get("stripe-signature"), self.secrets, now=self.clock())
        return self.take(body)

    def take(self, body: bytes) -> EventResult | DeadLetter:
        """Take an event whose entrance vouches for it. Raises as `receive` does, but for `InvalidRequest`."""
        try:
            return self.intake.take(body, now=self.clock())
        except UnreadableEvent as reason:
            self.dead_letters.keep(body, reason)
            return DeadLetter(reason.code, reason.message)
