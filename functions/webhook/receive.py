"""What happens to one request of Stripe's: proven, understood, and brought into the mirror."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Protocol

from functions.webhook.signature import verify_signature
from functions.webhook.stripe_event import PREFIX, StripeEvent, read_event, subscription_event
from shared.errors import InvalidRequest, PortalError, UnreadableEvent
from shared.mirror import Outcome, SubscriptionEvent
from shared.secret_store import SecretStore


class Unmirrored(StrEnum):
    """What becomes of an event that the mirror does not take."""

    OTHER_TYPE = "ignored_type"
    OTHER_ACCOUNT = "ignored_account"
    OTHER_MODE = "ignored_livemode"
    DEAD_LETTER = "dead_letter"


@dataclass(frozen=True, slots=True)
class Receipt:
    """The outcome for Stripe and for the log; `event` is absent when the body could not be read."""

    outcome: Outcome | Unmirrored
    event_id: str | None = None
    event_type: str | None = None
    reason: str | None = None

    def for_log(self) -> dict[str, Any]:
        """What is known, without the event itself: it holds the customer's data."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def metric_of(result: Outcome | Unmirrored | PortalError) -> str:
    """The metric that counts this result: `EventApplied`, `EventIgnoredType`, `EventRefused`, `EventFailed`..."""
    if isinstance(result, InvalidRequest):
        return "EventRefused"
    if isinstance(result, PortalError):
        return "EventFailed"
    return f"Event{result.title().replace('_', '')}"


class _Mirror(Protocol):
    def apply(self, event: SubscriptionEvent, *, now: float) -> Outcome: ...


class _DeadLetters(Protocol):
    def keep(self, body: bytes, reason: UnreadableEvent) -> None: ...


@dataclass(frozen=True, slots=True)
class Receiver:
    """All that a request needs, made once per execution environment."""

    secrets: SecretStore
    mirror: _Mirror
    dead_letters: _DeadLetters
    clock: Callable[[], float]

    def receive(self, body: bytes, headers: Mapping[str, str]) -> Receipt:
        """Take one request; lower-case header names.

        Raises `InvalidRequest` for what is not from Stripe, `Unavailable` when nothing was kept and Stripe has to try
        again, `OperatorError` when the secret is unfit.
        """
        now = self.clock()
        verify_signature(body, headers.get("stripe-signature"), self.secrets, now=now)
        event: StripeEvent | None = None
        try:
            event = read_event(body)
            outcome = self._unmirrored(event) or self.mirror.apply(subscription_event(event), now=now)
        except UnreadableEvent as reason:
            self.dead_letters.keep(body, reason)
            return Receipt(
                Unmirrored.DEAD_LETTER,
                event.id if event else None,
                event.type if event else None,
                reason.message,
            )
        return Receipt(outcome, event.id, event.type)

    def _unmirrored(self, event: StripeEvent) -> Unmirrored | None:
        if not event.type.startswith(PREFIX):
            return Unmirrored.OTHER_TYPE
        if event.account:
            return Unmirrored.OTHER_ACCOUNT
        if event.livemode != self.secrets.get().livemode:
            return Unmirrored.OTHER_MODE
        return None
