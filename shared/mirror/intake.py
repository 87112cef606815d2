"""The one way of an event into the mirror, whether it came by HTTPS, by EventBridge or from a replay."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any, Protocol

from shared.errors import UnreadableEvent, sentence
from shared.mirror.rule import Defer, Outcome
from shared.stripe.events import (
    ENTITLEMENTS_PREFIX,
    PREFIX,
    EntitlementsSignal,
    SnapshotEvent,
    StripeEvent,
    SubscriptionEvent,
    ThinEvent,
    account_of,
    entitlements_signal,
    read_event,
    subscription_event,
)


class Ignored(StrEnum):
    """Why a genuine event is not mirrored."""

    OTHER_TYPE = "ignored_type"
    OTHER_ACCOUNT = "ignored_account"
    OTHER_MODE = "ignored_livemode"


@dataclass(frozen=True, slots=True)
class EventResult:
    """What became of an event; `event_created` is Stripe's clock in Unix seconds."""

    outcome: Outcome | Ignored
    event_id: str
    event_type: str
    event_created: int

    def for_log(self) -> dict[str, Any]:
        """What may be logged: not the event itself, which holds the customer's data."""
        # Not `asdict`, which copies each value: this runs for each event.
        return {name: getattr(self, name) for name in _RESULT_FIELDS}


_RESULT_FIELDS = tuple(field.name for field in fields(EventResult))


class EventMirror(Protocol):
    """What applies events to the table: `shared.mirror.rule.Mirror`."""

    def apply(
        self, event: SubscriptionEvent, *, now: float, received: float | None = None, defer: Defer | None = None
    ) -> Outcome:
        """Apply the snapshot of an event."""

    def apply_notification(  # noqa: PLR0913 - keywords, and the three parts of a thin event
        self,
        event_id: str,
        created: int,
        subscription_id: str,
        *,
        now: float,
        received: float | None = None,
        defer: Defer | None = None,
    ) -> Outcome:
        """Apply what Stripe has now."""


class SignalMirror(Protocol):
    """What applies the signals of entitlements: `shared.mirror.entitlements.EntitlementsMirror`."""

    def apply(
        self, signal: EntitlementsSignal, *, now: float, received: float | None = None, defer: Defer | None = None
    ) -> Outcome:
        """Apply a signal."""


@dataclass(frozen=True, slots=True)
class Intake:
    """Applies those events that are mirrored.

    `livemode` says of which mode: that of the API key. `account` is the account that is mirrored, where events name it.
    Without `entitlements` these are not mirrored, and events about them are ignored.
    """

    mirror: EventMirror
    livemode: Callable[[], bool]
    account: str | None = None
    entitlements: SignalMirror | None = None

    def apply_event(
        self, body: bytes, *, now: float, received: float | None = None, defer: Defer | None = None
    ) -> EventResult:
        """Apply a genuine event, as Stripe wrote it; `now`, and when it was `received`, are our clock's Unix seconds.

        Without `received` it is replayed: when Stripe delivered it is not known.
        With `defer` an event that cannot be ordered yet is left for later, as `Mirror.apply` says. Raises
        `UnreadableEvent` when it cannot be read and has to be kept, `Unavailable` when it has to come again.
        """
        event = read_event(body)
        outcome = self._ignored(event) or self._apply(event, now, received, defer)
        return EventResult(outcome, event.id, event.type, _created(event))

    def _ignored(self, event: StripeEvent) -> Ignored | None:
        if not event.type.removeprefix("v1.").startswith(self._prefixes):
            return Ignored.OTHER_TYPE
        if account_of(event) not in {None, self.account}:
            return Ignored.OTHER_ACCOUNT
        return None if event.livemode == self.livemode() else Ignored.OTHER_MODE

    @property
    def _prefixes(self) -> tuple[str, ...]:
        return (PREFIX,) if self.entitlements is None else (PREFIX, ENTITLEMENTS_PREFIX)

    def _apply(self, event: StripeEvent, now: float, received: float | None, defer: Defer | None) -> Outcome:
        if self.entitlements and event.type.removeprefix("v1.").startswith(ENTITLEMENTS_PREFIX):
            return self.entitlements.apply(entitlements_signal(event), now=now, received=received, defer=defer)
        if isinstance(event, SnapshotEvent):
            lag = None if received is None else int(received) - event.created
            known = replace(subscription_event(event), delivery_lag=lag)
            return self.mirror.apply(known, now=now, received=received, defer=defer)
        return self.mirror.apply_notification(
            event.id, _created(event), _subject(event), now=now, received=received, defer=defer
        )


def _created(event: StripeEvent) -> int:
    return event.created if isinstance(event, SnapshotEvent) else int(event.created.timestamp())


def _subject(event: ThinEvent) -> str:
    if event.related_object is None or event.related_object.type != "subscription":
        raise UnreadableEvent(
            "thin_event_without_subscription", sentence("The thin event {event} names no subscription", event=event.id)
        )
    return event.related_object.id
