"""The `/_simulator` endpoints: what tests need and Stripe's API does not have."""

import asyncio
from dataclasses import asdict, fields
from typing import Any

import requests
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from stripe.params import billing_portal as portal

from local.stripe_simulator import parameters
from local.stripe_simulator.errors import ApiError
from local.stripe_simulator.faults import Failure, Faults
from local.stripe_simulator.limits import LAST_TIMESTAMP, check_limits
from local.stripe_simulator.parameters import from_json
from local.stripe_simulator.portal import configurations as portal_configurations
from local.stripe_simulator.resources.events import emit_update, snapshot
from local.stripe_simulator.resources.passing_time import advance
from local.stripe_simulator.simulator import BillingSettings, Call, Simulator
from local.stripe_simulator.versions import CURRENT

# A version at which `subscription_pause` had its old form.
_OLD_PAUSE_VERSION = "2023-10-16"


def _simulator(request: Request) -> Simulator:
    simulator: Simulator = request.app.state.simulator
    return simulator


class Refused(Exception):
    """A request that an endpoint cannot carry out."""


async def refusal(_: Request, error: Exception) -> Response:
    """Return the response to a refused request."""
    return JSONResponse({"error": {"message": str(error)}}, 400)


async def _body(request: Request) -> dict[str, Any]:
    """Return the JSON of a request."""
    try:
        body = await request.json()
    except (ValueError, RecursionError) as error:
        raise Refused("The body is not JSON.") from error
    if not isinstance(body, dict):
        raise Refused("The body is not a JSON object.")
    return body


def _is_time(value: Any) -> bool:
    return value is None or (type(value) in {int, float} and 0 <= value <= LAST_TIMESTAMP)


_CLOCK_FIELDS = {"now", "receiver_now", "follower"}


async def clock(request: Request) -> Response:
    """Return the clocks; POST sets the simulator's to `now`, the receivers' to `receiver_now` (null: real time).

    `follower` is the address to which changes of `receiver_now` are sent from then on, in the same form.
    """
    simulator = _simulator(request)
    body = await _body(request) if request.method == "POST" else {}
    if not body.keys() <= _CLOCK_FIELDS:
        raise Refused(f"The fields are {', '.join(sorted(_CLOCK_FIELDS))}.")
    if not all(_is_time(body.get(name)) for name in ("now", "receiver_now")):
        raise Refused("`now` and `receiver_now` are Unix seconds, or null for real time.")
    if not isinstance(body.get("follower") or "", str):
        raise Refused("`follower` is an address, or null for none.")
    if "receiver_now" in body:
        problem = await asyncio.to_thread(_move_receivers, simulator, body["receiver_now"])
        if problem:
            raise Refused(problem)
    if "now" in body:
        simulator.clock.set(body["now"])
        advance(simulator)
    simulator.clock_follower = body.get("follower", simulator.clock_follower)
    own, receivers = simulator.clock, simulator.receiver_clock
    return JSONResponse(
        {
            "now": own.now(),
            "offset": own.offset,
            "receiver_now": receivers.now(),
            "receiver_offset": receivers.offset,
            "follower": simulator.clock_follower,
        }
    )


def _move_receivers(simulator: Simulator, now: float | None) -> str | None:
    """Move the receivers' clock while nothing is in flight to them; returns what went wrong."""
    with simulator.deliveries.paused():
        simulator.receiver_clock.set(now)
        return _tell_follower(simulator.clock_follower, now) if simulator.clock_follower else None


def _tell_follower(address: str, now: float | None) -> str | None:
    """Send the receivers' time to those who keep it; returns what went wrong."""
    try:
        with requests.Session() as session:
            session.trust_env = False
            session.post(address, json={"now": now}, timeout=5, allow_redirects=False).raise_for_status()
    except requests.RequestException as error:
        return f"The follower {address} did not take over the time: {type(error).__name__}."
    return None


async def reset(request: Request) -> Response:
    """Forget everything, return the clock to its first time, and create the objects of the seed file again."""
    simulator = _simulator(request)
    simulator.reset()
    if request.app.state.seed:
        request.app.state.seed.apply(simulator)
    return JSONResponse({"now": simulator.clock.now()})


async def webhook_endpoints(request: Request) -> Response:
    """Return every webhook endpoint with its signing secret, which the API shows only once."""
    endpoints = _simulator(request).store.webhook_endpoints
    return JSONResponse({"data": [endpoints.get(name) for _, _, name in endpoints.positions()]})


_ORIGIN = {"account", "context"}


async def subscriptions(request: Request) -> Response:
    """Return every subscription as it is now, whatever faults are in force, and the customers' names by id."""
    store = _simulator(request).store
    names = {one["id"]: one.get("name") or one.get("email") or one["id"] for one in store.customers}
    return JSONResponse({"data": list(store.subscriptions), "customers": names})


async def origin(request: Request) -> Response:
    """Return `account` and `context` of all events from now on, after setting them; DELETE makes events our own."""
    simulator = _simulator(request)
    body = await _body(request) if request.method == "POST" else {}
    if not body.keys() <= _ORIGIN or not all(isinstance(one, str) for one in body.values()):
        raise Refused("The fields are `account` and `context`, both strings.")
    if request.method != "GET":
        simulator.origin = body
    return JSONResponse(simulator.origin)


async def faults(request: Request) -> Response:
    """Return the faults in force, after replacing or clearing them."""
    simulator = _simulator(request)
    if request.method == "POST":
        try:
            simulator.faults = Faults.read(await _body(request))
        except TypeError as error:
            names = ", ".join(field.name for field in (*fields(Faults), *fields(Failure)))
            raise Refused(f"{error} The names are {names}.") from error
    elif request.method == "DELETE":
        simulator.faults = Faults()
    if not simulator.faults.reorder:
        simulator.deliveries.release()
    return JSONResponse(simulator.faults.as_json())


async def billing(request: Request) -> Response:
    """Return what the account has set about payments that fail, after changing what is named, or all to defaults."""
    simulator = _simulator(request)
    if request.method == "POST":
        try:
            simulator.billing = simulator.billing.changed(await _body(request))
        except ValueError as error:
            raise Refused(str(error)) from error
    elif request.method == "DELETE":
        simulator.billing = BillingSettings()
    return JSONResponse(asdict(simulator.billing))


async def deliveries(request: Request) -> Response:
    """Return every attempt so far, oldest first, and what was dropped; `after` leaves out numbers up to that one."""
    after = request.query_params.get("after", "0")
    if not (after.isascii() and after.isdigit()):
        raise Refused("`after` is the number of an attempt.")
    return JSONResponse(_simulator(request).deliveries.since(int(after)))


async def retry(request: Request) -> Response:
    """Make every waiting retry due now."""
    return JSONResponse({"retried": _simulator(request).deliveries.retry_now()})


async def idle(request: Request) -> Response:
    """Wait until nothing is queued or in flight: 200, or 503 after `timeout` seconds."""
    seconds = float(request.query_params.get("timeout", "5"))
    is_idle = await asyncio.to_thread(_simulator(request).deliveries.wait_until_idle, seconds)
    return JSONResponse({"idle": is_idle}, 200 if is_idle else 503)


async def request_counts(request: Request) -> Response:
    """Return the number of requests by API operation; DELETE sets all to 0."""
    counts = _simulator(request).request_counts
    if request.method == "DELETE":
        counts.clear()
    return JSONResponse(dict(counts))


async def login_codes(request: Request) -> Response:
    """Return the codes that the login page would have sent by e-mail."""
    return JSONResponse({"data": _simulator(request).login_codes})


def _configuration_call(simulator: Simulator, body: dict[str, Any], shape: type) -> Call:
    params = parameters.check(from_json(body), shape)
    check_limits(params, "billing_portal/configurations")
    pause = params.get("features", {}).get("subscription_pause")
    version = _OLD_PAUSE_VERSION if pause and portal_configurations.is_old_pause_form(pause) else CURRENT
    return Call(simulator, params, version=version)


async def default_configuration(request: Request) -> Response:
    """Create or update the default configuration, as saving the portal's settings in the Dashboard does."""
    return await _save_configuration(request, is_default=True)


async def configurations(request: Request) -> Response:
    """Create a configuration in which a `subscription_pause` without `duration` keeps its old form."""
    return await _save_configuration(request, is_default=False)


async def _save_configuration(request: Request, *, is_default: bool) -> Response:
    simulator, body = _simulator(request), await _body(request)
    old = portal_configurations.default(Call(simulator)) if is_default else None
    try:
        if old is None:
            call = _configuration_call(simulator, body, portal.ConfigurationCreateParams)
            return JSONResponse(portal_configurations.create(call, is_default=is_default))
        call = _configuration_call(simulator, body, portal.ConfigurationUpdateParams)
        return JSONResponse(portal_configurations.update(call.about(old["id"], **call.params)))
    except ApiError as error:
        return JSONResponse(error.body(None), error.status)


# What other objects know the subscription by.
_FIXED = {"id", "object"}
# Fields that a subscription does not always have.
_SOMETIMES = {"billing_cadence", "status_details"}
_STATUSES = {
    *("active", "canceled", "incomplete", "incomplete_expired", "past_due", "paused", "trialing", "unpaid"),
}


def _has_items(subscription: dict[str, Any]) -> bool:
    items = subscription["items"]
    data = items.get("data") if isinstance(items, dict) else None
    return isinstance(data, list) and bool(data) and all(isinstance(one, dict) and "price" in one for one in data)


async def change_subscription(request: Request) -> Response:
    """Set fields of a subscription as given, and send the event, as if Stripe had changed it."""
    simulator = _simulator(request)
    subscription = simulator.store.subscriptions.find(request.path_params["id"])
    if subscription is None:
        return JSONResponse({"error": {"message": "No such subscription"}}, 404)
    before, changes = snapshot(subscription), await _body(request)
    if not changes.keys() <= subscription.keys() - _FIXED | _SOMETIMES:
        raise Refused(f"Only fields of a subscription can be set, without {', '.join(sorted(_FIXED))}.")
    if changes.get("status", "active") not in _STATUSES:
        raise Refused(f"The statuses are {', '.join(sorted(_STATUSES))}.")
    if not _has_items({**subscription, **changes}):
        raise Refused("`items` is a list of subscription items, at least one.")
    subscription.update(changes)
    emit_update(Call(simulator), "customer.subscription.updated", before, subscription)
    return JSONResponse(subscription)


ROUTES = [
    Route("/_simulator/clock", clock, methods=["GET", "POST"]),
    Route("/_simulator/reset", reset, methods=["POST"]),
    Route("/_simulator/webhook_endpoints", webhook_endpoints, methods=["GET"]),
    Route("/_simulator/subscriptions", subscriptions, methods=["GET"]),
    Route("/_simulator/origin", origin, methods=["GET", "POST", "DELETE"]),
    Route("/_simulator/faults", faults, methods=["GET", "POST", "DELETE"]),
    Route("/_simulator/billing", billing, methods=["GET", "POST", "DELETE"]),
    Route("/_simulator/deliveries", deliveries, methods=["GET"]),
    Route("/_simulator/deliveries/retry", retry, methods=["POST"]),
    Route("/_simulator/idle", idle, methods=["GET"]),
    Route("/_simulator/requests", request_counts, methods=["GET", "DELETE"]),
    Route("/_simulator/login_codes", login_codes, methods=["GET"]),
    Route("/_simulator/default_configuration", default_configuration, methods=["POST"]),
    Route("/_simulator/configurations", configurations, methods=["POST"]),
    Route("/_simulator/subscriptions/{id}", change_subscription, methods=["POST"]),
]
