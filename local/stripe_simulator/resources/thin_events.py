"""Thin events, which name an object and hold no copy of it (docs.stripe.com/event-destinations).

They are made of the snapshot event of the same change whenever they are needed; their ids say of which.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, NotRequired, TypedDict

from stripe.events._event_classes import _V2_EVENT_NOTIFICATION_CLASS_LOOKUP, get_v2_event_notification_class
from stripe.params.v2.core import EventListParamsCreated

from local.stripe_simulator.errors import ApiError, no_such
from local.stripe_simulator.simulator import Call
from local.stripe_simulator.store import Store, StripeObject, new_id
from local.stripe_simulator.v2_pages import page_of

# Events of both kinds are kept for thirty days.
KEPT_SECONDS = 30 * 86_400
_PREFIX = "evt_test_"
_OBJECT = "v2.core.event"


@cache
def known_types() -> frozenset[str]:
    """Return the types of thin events that the official library knows."""
    return frozenset(_V2_EVENT_NOTIFICATION_CLASS_LOOKUP)


def timestamp(moment: float) -> str:
    """Return Unix seconds in the form of API v2, `2026-10-28T12:00:00.000Z`."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def thin_events_of(event: StripeObject) -> list[StripeObject]:
    """Return the thin events of a snapshot event: the one of the same type, then those that name a single change."""
    kinds = [f"v1.{event['type']}", *_single_changes(event)]
    return [_thin(event, kind, place) for place, kind in enumerate(kinds) if kind in known_types()]


def notification(thin: StripeObject) -> StripeObject:
    """Return what is sent of a thin event; the rest is there for those who retrieve it."""
    return {name: value for name, value in thin.items() if name not in {"changes", "snapshot_event"}}


def _thin(event: StripeObject, kind: str, place: int) -> StripeObject:
    subject, previous = event["data"]["object"], event["data"].get("previous_attributes")
    thin: StripeObject = {
        # The place among the thin events of the same snapshot, then the snapshot's own.
        "id": f"{_PREFIX}{place:02d}{event['id'].removeprefix('evt_')}",
        "object": _OBJECT,
        "type": kind,
        "created": timestamp(event["created"]),
        "livemode": False,
    }
    thin |= {name: event[name] for name in ("context",) if name in event}
    if event["request"]["id"]:
        # The library's type says that the key is a string.
        request = {"id": event["request"]["id"], "idempotency_key": event["request"]["idempotency_key"] or ""}
        thin["reason"] = {"type": "request", "request": request}
    if "related_object" in get_v2_event_notification_class(kind).__annotations__:
        thin["related_object"] = related_object(subject)
    if previous is not None:
        after = {name: subject.get(name) for name in previous}
        thin["changes"] = {"before": previous, "after": after}
    if place == 0:
        thin["snapshot_event"] = event["id"]
    return thin


def related_object(subject: StripeObject) -> StripeObject:
    """Return the reference to an object; its address follows from its name."""
    kind = str(subject["object"])
    version = "" if kind.startswith("v2.") else "v1/"
    return {"id": subject["id"], "type": kind, "url": f"/{version}{kind.replace('.', '/')}s/{subject['id']}"}


_STATUSES = {"active", "incomplete", "incomplete_expired", "past_due", "trialing", "unpaid"}


def _single_changes(event: StripeObject) -> Iterator[str]:
    """Yield the types of 2026-10-28.endive that name what changed of a subscription."""
    subject, previous = event["data"]["object"], event["data"].get("previous_attributes")
    if event["type"] != "customer.subscription.updated" or previous is None:
        return
    prefix = "v1.customer.subscription"
    if "status" in previous and subject["status"] in _STATUSES:
        yield f"{prefix}.{subject['status']}"
    for name in ("cancel_at", "default_payment_method"):
        if name in previous:
            yield f"{prefix}.{name}_changed"
    if "items" in previous:
        yield from (
            f"{prefix}.item_{word}" for word in _item_changes(previous["items"]["data"], subject["items"]["data"])
        )


def _item_changes(before: list[StripeObject], after: list[StripeObject]) -> Iterator[str]:
    old, new = ({item["id"]: item for item in items} for items in (before, after))
    both = [(old[name], new[name]) for name in old.keys() & new.keys()]
    if new.keys() - old.keys():
        yield "added"
    if old.keys() - new.keys():
        yield "removed"
    if any(one["price"]["id"] != other["price"]["id"] for one, other in both):
        yield "price_changed"
    if any(one.get("quantity") != other.get("quantity") for one, other in both):
        yield "quantity_changed"


def ping_event(call: Call, destination: StripeObject) -> StripeObject:
    """Store and return the event of a ping, which has no snapshot."""
    thin = {
        "id": new_id("evt_test_ping"),
        "object": _OBJECT,
        "type": "v2.core.event_destination.ping",
        "created": timestamp(call.now),
        "livemode": False,
        "reason": {
            "type": "request",
            "request": {"id": call.request_id, "idempotency_key": call.idempotency_key or ""},
        },
        "related_object": related_object(destination),
    }
    call.store.pings.add({"id": thin["id"], "created": call.now, "event": thin})
    return thin


def find(store: Store, event_id: str) -> StripeObject | None:
    """Return a thin event, if its change is not older than thirty days."""
    ping = store.pings.find(event_id)
    if ping:
        found: StripeObject = ping["event"]
        return found
    snapshot = store.events.find(f"evt_{event_id.removeprefix(_PREFIX)[2:]}")
    thin = thin_events_of(snapshot) if snapshot else []
    return next((one for one in thin if one["id"] == event_id), None)


def retrieve(call: Call) -> StripeObject:
    """`GET /v2/core/events/{id}`, with what changed and the id of the snapshot event."""
    found = find(call.store, call.ids["id"])
    if found is None:
        raise no_such("event", call.ids["id"])
    return found


_MOST_TYPES = 20


class ListParams(TypedDict):
    """The parameters of a list; `page` is in the address of the next one alone."""

    created: NotRequired[EventListParamsCreated]
    limit: NotRequired[int]
    object_id: NotRequired[str]
    page: NotRequired[str]
    types: NotRequired[list[str]]


def list_events(call: Call) -> StripeObject:
    """`GET /v2/core/events`, newest first, by type, object and time."""
    types, subject = call.params.get("types"), call.params.get("object_id")
    if types and len(types) > _MOST_TYPES:
        raise ApiError(f"Array types exceeded maximum {_MOST_TYPES} allowed elements.", param="types")
    stored = call.store.events
    stored.remove_before(call.now - KEPT_SECONDS)
    every = (thin for _, _, name in reversed(stored.positions()) for thin in thin_events_of(stored.get(name)))
    created = _bounds(call.params.get("created", {}))
    found = [
        one
        for one in every
        if (types is None or one["type"] in types)
        and (subject is None or one.get("related_object", {}).get("id") == subject)
        and created.contains(datetime.fromisoformat(one["created"]))
    ]
    return page_of(found, call.params, "/v2/core/events")


@dataclass(frozen=True)
class _Bounds:
    given: dict[str, datetime]

    def contains(self, moment: datetime) -> bool:
        """Whether a time is within all bounds that were given."""
        given = self.given
        return (
            ("gt" not in given or moment > given["gt"])
            and ("gte" not in given or moment >= given["gte"])
            and ("lt" not in given or moment < given["lt"])
            and ("lte" not in given or moment <= given["lte"])
        )


def _bounds(given: dict[str, Any]) -> _Bounds:
    try:
        moments = {name: datetime.fromisoformat(value) for name, value in given.items()}
    except ValueError as error:
        raise ApiError("Invalid timestamp: it must be in RFC 3339.", param="created") from error
    if any(moment.tzinfo is None for moment in moments.values()):
        raise ApiError("Invalid timestamp: it must have an offset.", param="created")
    return _Bounds(moments)
