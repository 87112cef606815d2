"""Event destinations of API v2: webhook endpoints for thin or snapshot events, and EventBridge sources.

Nothing is delivered to Amazon EventBridge or Azure Event Grid: both need an account there.
"""

from typing import Any, NotRequired

from stripe.params import WebhookEndpointCreateParams
from stripe.params.v2.core import EventDestinationListParams

from local.stripe_simulator.errors import ApiError, missing, unknown
from local.stripe_simulator.parameters import literals_of, merged
from local.stripe_simulator.resources import thin_events
from local.stripe_simulator.resources.events import send_thin
from local.stripe_simulator.resources.webhook_endpoints import MOST_ENDPOINTS
from local.stripe_simulator.simulator import Call
from local.stripe_simulator.store import StripeObject, new_id, token
from local.stripe_simulator.v2_pages import page_of
from local.stripe_simulator.versions import CURRENT, known_versions

_TYPES = ("amazon_eventbridge", "azure_event_grid", "webhook_endpoint")
_SCOPES = {"@self", "@accounts", "@organization_members", "@organization_members/@accounts"}
# Shown in `webhook_endpoint`, if at all.
_NOT_SHOWN = {"secret", "url"}
_SIGNING_SECRET, _URL = "webhook_endpoint.signing_secret", "webhook_endpoint.url"


def create(call: Call) -> StripeObject:
    """`POST /v2/core/event_destinations`; the signing secret comes back only here, and only if `include` asks."""
    params = call.params
    if len(call.store.event_destinations) + len(call.store.webhook_endpoints) >= MOST_ENDPOINTS:
        raise ApiError(f"You have reached the maximum of {MOST_ENDPOINTS} event destinations.")
    if params["type"] not in _TYPES:
        raise ApiError(f"Invalid type: must be one of {', '.join(_TYPES)}", param="type")
    if params["type"] not in params:
        raise missing(params["type"])
    _check_version(params)
    _check_types(params["enabled_events"], params["event_payload"])
    if not _SCOPES.issuperset(params.get("events_from", [])):
        raise ApiError(f"Invalid events_from: must be among {', '.join(sorted(_SCOPES))}", param="events_from")
    now = thin_events.timestamp(call.now)
    destination: StripeObject = {
        "id": new_id("ed_test"),
        "object": "v2.core.event_destination",
        "created": call.now,
        "description": params.get("description", ""),
        "enabled_events": params["enabled_events"],
        "event_payload": params["event_payload"],
        "events_from": params.get("events_from", ["@self"]),
        "livemode": False,
        "metadata": params.get("metadata") or {},
        "name": params["name"],
        "status": "enabled",
        "type": params["type"],
        "updated": now,
    }
    if params["event_payload"] == "snapshot":
        destination["snapshot_api_version"] = params.get("snapshot_api_version", CURRENT)
    destination |= _transport(params)
    call.store.event_destinations.add(destination)
    return _shown(call, destination, with_secret=True)


def _check_version(params: dict[str, Any]) -> None:
    version = params.get("snapshot_api_version")
    if version is None:
        return
    if params["event_payload"] == "thin":
        raise ApiError("`snapshot_api_version` is for snapshot events only.", param="snapshot_api_version")
    if version not in known_versions():
        raise ApiError(f"Invalid Stripe API version: {version}", param="snapshot_api_version")


def _check_types(given: list[str], payload: str) -> None:
    snapshots = literals_of(WebhookEndpointCreateParams, "enabled_events")
    known = thin_events.known_types() | {"*"} if payload == "thin" else frozenset(snapshots)
    for place, kind in enumerate(given):
        if kind not in known:
            raise ApiError(f"{kind} is no type of {payload} events.", param=f"enabled_events[{place}]")
    if not given:
        raise missing("enabled_events")


def _transport(params: dict[str, Any]) -> StripeObject:
    """Return what a destination needs for its way of delivery."""
    kind = params["type"]
    given = params[kind]
    if kind == "webhook_endpoint":
        return {"url": given["url"], "secret": f"whsec_{token(32)}"}
    if kind == "amazon_eventbridge":
        source = f"aws.partner/stripe.com/{new_id('ed_test')}"
        region, account = given["aws_region"], given["aws_account_id"]
        arn = f"arn:aws:events:{region}::event-source/{source}"
        return {kind: {"aws_account_id": account, "aws_event_source_arn": arn, "aws_event_source_status": "pending"}}
    topic = {"azure_partner_topic_name": new_id("topic"), "azure_partner_topic_status": "never_activated"}
    return {kind: {**given, **topic}}


def _shown(call: Call, destination: StripeObject, *, with_secret: bool = False) -> StripeObject:
    """Return a destination as the API shows it, with what `include` asks for."""
    include = call.params.get("include", [])
    known = {_URL, _SIGNING_SECRET} if with_secret else {_URL}
    for place, name in enumerate(include):
        if name not in known:
            raise ApiError(f"Invalid include: {name}", param=f"include[{place}]")
    shown = {name: value for name, value in destination.items() if name not in _NOT_SHOWN}
    shown["created"] = thin_events.timestamp(destination["created"])
    if "url" in destination:
        shown["webhook_endpoint"] = {
            **({"signing_secret": destination["secret"]} if _SIGNING_SECRET in include else {}),
            **({"url": destination["url"]} if _URL in include else {}),
        }
    return shown


def _named(call: Call) -> StripeObject:
    return call.store.event_destinations.get(call.ids["id"])


def retrieve(call: Call) -> StripeObject:
    """`GET /v2/core/event_destinations/{id}`."""
    return _shown(call, _named(call))


class ListParams(EventDestinationListParams):
    """The parameters of a list; `page` is in the address of the next one alone."""

    page: NotRequired[str]


def list_destinations(call: Call) -> StripeObject:
    """`GET /v2/core/event_destinations`, newest first."""
    stored = call.store.event_destinations
    every = [_shown(call, stored.get(name)) for _, _, name in reversed(stored.positions())]
    return page_of(every, call.params, "/v2/core/event_destinations")


def update(call: Call) -> StripeObject:
    """`POST /v2/core/event_destinations/{id}`; type, payload and version stay what they are."""
    destination, params = _named(call), call.params
    if "enabled_events" in params:
        _check_types(params["enabled_events"], destination["event_payload"])
    if "webhook_endpoint" in params and "url" not in destination:
        raise unknown("webhook_endpoint")
    metadata = merged(destination["metadata"], params.get("metadata"))
    destination |= {name: params[name] for name in ("description", "enabled_events", "name") if name in params}
    destination |= {"metadata": metadata, "updated": thin_events.timestamp(call.now)}
    if "webhook_endpoint" in params:
        destination["url"] = params["webhook_endpoint"]["url"]
    return _shown(call, destination)


def delete(call: Call) -> StripeObject:
    """`DELETE /v2/core/event_destinations/{id}`; deliveries on their way to it are given up."""
    destination = _named(call)
    call.store.event_destinations.remove(destination["id"])
    destination["status"] = "deleted"
    return {"id": destination["id"], "object": destination["object"]}


def disable(call: Call) -> StripeObject:
    """`POST /v2/core/event_destinations/{id}/disable`."""
    return _set_status(call, {"status": "disabled", "status_details": {"disabled": {"reason": "user"}}})


def enable(call: Call) -> StripeObject:
    """`POST /v2/core/event_destinations/{id}/enable`; retries go on."""
    _named(call).pop("status_details", None)
    return _set_status(call, {"status": "enabled"})


def _set_status(call: Call, status: StripeObject) -> StripeObject:
    destination = _named(call)
    destination |= {**status, "updated": thin_events.timestamp(call.now)}
    return _shown(call, destination)


def ping(call: Call) -> StripeObject:
    """`POST /v2/core/event_destinations/{id}/ping`: send it an event, whatever it has subscribed to."""
    destination = _named(call)
    event = thin_events.ping_event(call, _shown(call, destination))
    send_thin(call.simulator, event, [destination])
    return event
