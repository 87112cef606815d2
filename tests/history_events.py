"""What a history's events look like on the wire, and what a receiver needs beside the mirror to take them."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr

from shared.errors import UnreadableEvent
from shared.mirror.dead_letters import DeadLetterQueue
from shared.secret_store import SecretStore, SigningSecrets
from tests.histories import Delivery, History, begun_at

SIGNING = "whsec_history_0123456789"


class KnownSecrets(SecretStore[SigningSecrets]):
    """The signing secrets, without Secrets Manager."""

    def __init__(self) -> None:
        self._known = SigningSecrets(webhook_signing_secrets=(SecretStr(SIGNING),))

    def get(self) -> SigningSecrets:
        return self._known

    def reread(self) -> None:
        return None


class NoDeadLetters(DeadLetterQueue):
    """Every event of a history can be read."""

    def __init__(self) -> None:
        """Nothing to reach."""

    def keep(self, body: bytes, reason: UnreadableEvent) -> None:
        raise AssertionError(f"{reason.message}: {body!r}")


def event_body(history: History, delivery: Delivery, start: int) -> bytes:
    """The event as Stripe sends it, whole or thin."""
    after = _rendered(begun_at(start, history.changes[delivery.change].snapshot))
    before = _rendered(begun_at(start, history.changes[delivery.change - 1].snapshot)) if delivery.change else after
    created = start + delivery.created
    event: dict[str, Any] = {
        "id": delivery.event_id,
        "object": "event",
        "type": f"customer.subscription.{'updated' if delivery.change else 'created'}",
        "created": created,
        "livemode": False,
        "data": {
            "object": after,
            "previous_attributes": {name: value for name, value in before.items() if value != after[name]},
        },
    }
    if delivery.kind == "thin":
        event |= {"object": "v2.core.event", "type": f"v1.{event['type']}", "created": _rfc3339(created)}
        event |= {"data": None, "related_object": {"id": after["id"], "type": "subscription"}}
    return json.dumps(event).encode()


def _rendered(snapshot: Mapping[str, Any]) -> dict[str, Any]:
    """As Stripe embeds it in an event: the first ten of its items."""
    items = snapshot["items"]["data"]
    return {**snapshot, "items": {"data": items[:10], "has_more": len(items) > 10}}


def _rfc3339(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
