"""Events: recorded with what changed, sent to webhook endpoints, kept for thirty days."""

import fnmatch
import json
from typing import Any

from local.stripe_simulator.answers import list_page
from local.stripe_simulator.deliveries import Delivery
from local.stripe_simulator.errors import ApiError
from local.stripe_simulator.expansion import MOST_EMBEDDED, with_first_items
from local.stripe_simulator.resources import thin_events
from local.stripe_simulator.resources.entitlements import changed_summary
from local.stripe_simulator.simulator import Call, Simulator
from local.stripe_simulator.store import StripeObject, new_id
from local.stripe_simulator.versions import CURRENT, before, shape_of

_MOST_TYPES = 20
# The last version at which `previous_attributes` held the changed elements of an array alone (stripe 16.1.0, `Event`).
_ONLY_CHANGED_ELEMENTS = "2017-04-06"


def snapshot(value: StripeObject) -> StripeObject:
    """Return a deep copy, to compare with after a change."""
    copied: StripeObject = json.loads(json.dumps(value))
    return copied


def changes(before: StripeObject, after: StripeObject) -> StripeObject:
    """`previous_attributes`: the old values of changed fields, inside hashes field by field, arrays whole."""
    previous: StripeObject = {}
    for name in before.keys() | after.keys():
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        previous[name] = changes(old, new) if isinstance(old, dict) and isinstance(new, dict) else old
    return previous


def emit(call: Call, kind: str, subject: StripeObject, previous: StripeObject | None = None) -> StripeObject:
    """Record an event and send it to every endpoint that subscribed to its type."""
    simulator, data = call.simulator, {"object": snapshot(with_first_items(subject))}
    # Not the time of a test clock: people who use them report that events carry real time.
    now = simulator.clock.now()
    if previous is not None:
        data["previous_attributes"] = _with_first_items(previous)
    event = {
        "id": new_id("evt"),
        "object": "event",
        "api_version": CURRENT,
        "created": now + simulator.faults.lag,
        "data": data,
        "livemode": False,
        "pending_webhooks": 0,
        "request": {"id": call.request_id, "idempotency_key": call.idempotency_key},
        "type": kind,
        **simulator.origin,
    }
    simulator.store.events.remove_before(now - thin_events.KEPT_SECONDS)
    simulator.store.events.add(event)
    send(simulator, event, _subscribed(_endpoints(simulator, "snapshot"), kind))
    for listener in simulator.listeners:
        listener(event)
    thin_destinations = _endpoints(simulator, "thin")
    if thin_destinations:
        for thin in thin_events.thin_events_of(event):
            send_thin(simulator, thin, _subscribed(thin_destinations, thin["type"]))
    if subject["object"] == "subscription":
        _plan_trial_notice(call, subject, previous or {})
        simulator.due_changes.add(subject)
        # Nobody is entitled to anything while no product has a feature.
        summary = changed_summary(call, subject["customer"]) if len(call.store.product_features) else None
        if summary:
            emit(call, "entitlements.active_entitlement_summary.updated", summary)
    elif subject["object"] == "subscription_schedule":
        _plan_expiry_notice(call, subject)
    return event


# What Stripe announces ahead of time.

_TRIAL_NOTICE_SECONDS = 3 * 86_400
_EXPIRY_NOTICE_SECONDS = 7 * 86_400


def _plan_trial_notice(call: Call, subscription: StripeObject, previous: StripeObject) -> None:
    """Plan the notice of a trial's end; send it at once when the end is near, or came early.

    Source: stripe-node 23.1.0, `CustomerSubscriptionTrialWillEndEvent`. Whether a trial that was announced and then
    ended early is announced again is not documented: here it is not.
    """
    simulator, name = call.simulator, subscription["id"]
    end = previous.get("trial_end") or subscription["trial_end"]
    ended_early = previous.get("status") == "trialing" and end and end > call.now and not subscription["ended_at"]
    # A test may have set the status alone: a trial without an end.
    if subscription["status"] == "trialing" and subscription["trial_end"]:
        end = subscription["trial_end"]
        simulator.trial_notices[name] = end - _TRIAL_NOTICE_SECONDS
    elif ended_early:
        simulator.trial_notices[name] = call.now
    else:
        simulator.trial_notices.pop(name, None)
        return
    if simulator.announced_trials.get(name) == end:
        del simulator.trial_notices[name]
    elif simulator.trial_notices[name] <= call.now:
        _announce_trial_end(call, subscription, end)


def _announce_trial_end(call: Call, subscription: StripeObject, end: int) -> None:
    call.simulator.announced_trials[subscription["id"]] = end
    del call.simulator.trial_notices[subscription["id"]]
    emit(call, "customer.subscription.trial_will_end", subscription)


def _plan_expiry_notice(call: Call, schedule: StripeObject) -> None:
    """Plan the notice of a schedule's end seven days before it; a schedule that ends earlier has none.

    Source of the seven days: stripe-node 23.1.0, `SubscriptionScheduleExpiringEvent`.
    """
    notices, name = call.simulator.expiry_notices, schedule["subscription"] or schedule["released_subscription"]
    moment = schedule["phases"][-1]["end_date"] - _EXPIRY_NOTICE_SECONDS
    if schedule["status"] == "active" and moment > call.now:
        notices[name] = moment
        call.simulator.due_changes.add(call.store.subscriptions.get(name))
    else:
        notices.pop(name or "", None)


def announce_due(call: Call, subscription: StripeObject) -> bool:
    """Send the notice about a subscription that is due; returns whether there was one."""
    simulator, name = call.simulator, subscription["id"]
    if simulator.trial_notices.get(name, call.now + 1) <= call.now:
        _announce_trial_end(call, subscription, subscription["trial_end"])
        return True
    if simulator.expiry_notices.get(name, call.now + 1) <= call.now:
        del simulator.expiry_notices[name]
        schedule = call.store.subscription_schedules.find(subscription["schedule"] or "")
        if schedule:
            emit(call, "subscription_schedule.expiring", schedule)
        simulator.due_changes.add(subscription)
        return True
    return False


# Deliveries.


def send_again(simulator: Simulator, event_id: str, names: list[str]) -> None:
    """Send an event to the endpoints and destinations of these names, as far as both still exist."""
    store = simulator.store
    found = [store.webhook_endpoints.find(name) or store.event_destinations.find(name) for name in names]
    event, endpoints = store.events.find(event_id), [endpoint for endpoint in found if endpoint]
    if event:
        send(simulator, event, endpoints)
        return
    thin = thin_events.find(store, event_id)
    if thin:
        send_thin(simulator, thin, endpoints)


def send_thin(simulator: Simulator, event: StripeObject, destinations: list[StripeObject]) -> None:
    """Send a thin event, which has no version, to destinations."""
    # A copy, because deliveries are counted on it.
    counted, payload = dict(event), thin_events.notification(event)
    simulator.deliveries.send(counted, [Delivery(counted, destination, payload) for destination in destinations])


def send(simulator: Simulator, event: StripeObject, endpoints: list[StripeObject]) -> None:
    """Send an event to endpoints, to each in its own version."""
    deliveries = [Delivery(event, endpoint, in_version(simulator, event, endpoint)) for endpoint in endpoints]
    simulator.deliveries.send(event, deliveries)


def in_version(simulator: Simulator, event: StripeObject, endpoint: StripeObject) -> StripeObject:
    """Return an event as an endpoint gets it; it differs in what changed, too, such as the periods of items."""
    version = endpoint.get("api_version") or endpoint.get("snapshot_api_version") or CURRENT
    data = event["data"]
    if version == CURRENT:
        return event
    shape = shape_of(version, simulator.store, newer_fields=simulator.faults.newer_fields)
    rendered = {"object": shape(data["object"])}
    if "previous_attributes" in data:
        before_change = shape(_with_old_values(data["object"], data["previous_attributes"]))
        previous = changes(before_change, rendered["object"])
        only_changed = not before(_ONLY_CHANGED_ELEMENTS, version)
        rendered["previous_attributes"] = _changed_elements(previous, rendered["object"]) if only_changed else previous
    return {**event, "api_version": version, "data": rendered}


def _changed_elements(previous: StripeObject, after: StripeObject) -> StripeObject:
    """Return previous values in which an array holds only the elements that changed."""
    result: StripeObject = {}
    for name, old in previous.items():
        now = after.get(name)
        if isinstance(old, dict) and isinstance(now, dict):
            result[name] = _changed_elements(old, now)
        elif isinstance(old, list) and isinstance(now, list):
            result[name] = [one for one in old if one not in now]
        else:
            result[name] = old
    return result


def _with_old_values(after: StripeObject, previous: StripeObject) -> StripeObject:
    """Return an object as it was before a change; a field that was absent comes back as null."""
    merged = dict(after)
    for name, old in previous.items():
        now = after.get(name)
        merged[name] = _with_old_values(now, old) if isinstance(old, dict) and isinstance(now, dict) else old
    return merged


def _with_first_items(previous: StripeObject) -> StripeObject:
    items = previous.get("items")
    if not isinstance(items, dict) or "data" not in items:
        return previous
    return {**previous, "items": {**items, "data": items["data"][:MOST_EMBEDDED]}}


def emit_update(call: Call, kind: str, before: StripeObject, after: StripeObject) -> None:
    """Record an `.updated` event, unless nothing changed."""
    previous = changes(before, after)
    if previous:
        emit(call, kind, after, previous)


def _endpoints(simulator: Simulator, payload: str) -> list[StripeObject]:
    """Return the enabled webhook endpoints and destinations for `snapshot` or for `thin` events."""
    store = simulator.store
    kinds = (store.webhook_endpoints, store.event_destinations)
    every = [kind.get(name) for kind in kinds for _, _, name in kind.positions()]
    return [
        endpoint
        for endpoint in every
        if endpoint["status"] == "enabled"
        and "url" in endpoint
        and endpoint.get("event_payload", "snapshot") == payload
    ]


def _subscribed(endpoints: list[StripeObject], kind: str) -> list[StripeObject]:
    return [
        endpoint
        for endpoint in endpoints
        if any(fnmatch.fnmatchcase(kind, pattern) for pattern in endpoint["enabled_events"])
    ]


def retrieve(call: Call) -> StripeObject:
    """`GET /v1/events/{id}`."""
    return call.store.events.get(call.ids["id"])


def list_events(call: Call) -> StripeObject:
    """`GET /v1/events`, by type, time and success of delivery."""
    patterns = _patterns(call.params)
    wanted = call.params.get("delivery_success")
    call.store.events.remove_before(call.now - thin_events.KEPT_SECONDS)

    def keep(event: StripeObject) -> bool:
        if patterns and not any(fnmatch.fnmatchcase(event["type"], pattern) for pattern in patterns):
            return False
        return wanted is None or call.simulator.deliveries.is_delivered(event["id"]) == wanted

    return list_page(call.store.events, call.params, "/v1/events", keep)


def _patterns(params: dict[str, Any]) -> list[str]:
    if "type" in params and "types" in params:
        raise ApiError("You may only specify one of these parameters: type, types.", param="types")
    patterns: list[str] = [params["type"]] if "type" in params else params.get("types", [])
    if len(patterns) > _MOST_TYPES:
        raise ApiError(f"Array types exceeded maximum {_MOST_TYPES} allowed elements.", param="types")
    return patterns
