"""Test clocks: customers whose subscriptions live at a time of their own.

Source: docs.stripe.com/billing/testing/test-clocks.
"""

from local.stripe_simulator.answers import list_page
from local.stripe_simulator.errors import ApiError
from local.stripe_simulator.limits import MOST_AT_TEST_CLOCK
from local.stripe_simulator.resources import customers
from local.stripe_simulator.resources.events import emit
from local.stripe_simulator.resources.passing_time import advance_test_clock
from local.stripe_simulator.resources.periods import add_interval
from local.stripe_simulator.resources.status import ENDED
from local.stripe_simulator.simulator import Call
from local.stripe_simulator.store import StripeObject, new_id

_DAYS_KEPT = 30
_DAY = 86_400
_MOST_INTERVALS = 2
_MOST_YEARS = 2


def create(call: Call) -> StripeObject:
    """`POST /v1/test_helpers/test_clocks`."""
    real = call.simulator.clock.now()
    joining = _joining(call)
    clock: StripeObject = {
        "id": new_id("clock"),
        "object": "test_helpers.test_clock",
        "created": real,
        "deletes_after": real + _DAYS_KEPT * _DAY,
        "frozen_time": call.params["frozen_time"],
        "livemode": False,
        "name": call.params.get("name"),
        "status": "ready",
        "status_details": {},
    }
    call.store.test_clocks.add(clock)
    for one in joining:
        one["test_clock"] = clock["id"]
    emit(call, "test_helpers.test_clock.created", clock)
    return clock


def _joining(call: Call) -> list[StripeObject]:
    """Return the customer that is to live at the new clock, with all that has the same clock as its customer."""
    if "customer" not in call.params:
        return []
    customer = call.store.customers.get(call.params["customer"], "customer")
    own = call.store.subscriptions.of_customer(customer["id"])
    if customer["test_clock"]:
        raise ApiError("The customer already has a test clock, and cannot leave it.", param="customer")
    if sum(one["status"] not in ENDED for one in own) > MOST_AT_TEST_CLOCK:
        raise ApiError(
            f"A customer of a test clock can have at most {MOST_AT_TEST_CLOCK} subscriptions.", param="customer"
        )
    schedules = call.store.subscription_schedules.of_customer(customer["id"])
    return [customer, *own, *schedules, *call.store.invoices.of_customer(customer["id"])]


def retrieve(call: Call) -> StripeObject:
    """`GET /v1/test_helpers/test_clocks/{id}`."""
    return call.store.test_clocks.get(call.ids["id"])


def list_clocks(call: Call) -> StripeObject:
    """`GET /v1/test_helpers/test_clocks`."""
    return list_page(call.store.test_clocks, call.params, "/v1/test_helpers/test_clocks")


def delete(call: Call) -> StripeObject:
    """`DELETE /v1/test_helpers/test_clocks/{id}`: its customers and their subscriptions end with it."""
    clock = call.store.test_clocks.get(call.ids["id"])
    for customer in _customers(call, clock):
        customers.delete(call.about(customer["id"]))
    call.store.test_clocks.remove(clock["id"])
    emit(call, "test_helpers.test_clock.deleted", clock)
    return {"id": clock["id"], "object": "test_helpers.test_clock", "deleted": True}


def advance(call: Call) -> StripeObject:
    """`POST /v1/test_helpers/test_clocks/{id}/advance`: everything that is due until then happens at its own time.

    The response says `advancing`, as at Stripe; the next one says `ready`.
    """
    clock = call.store.test_clocks.get(call.ids["id"])
    target = call.params["frozen_time"]
    _check_target(call, clock, target)
    clock |= {"status": "advancing", "status_details": {"advancing": {"target_frozen_time": target}}}
    emit(call, "test_helpers.test_clock.advancing", clock)
    response = dict(clock)
    advance_test_clock(call.simulator, clock, target)
    clock |= {"status": "ready", "status_details": {}}
    emit(call, "test_helpers.test_clock.ready", clock)
    return response


def _check_target(call: Call, clock: StripeObject, target: int) -> None:
    start = clock["frozen_time"]
    if target <= start:
        raise ApiError("The frozen time must be after the test clock's current frozen time.", param="frozen_time")
    living = [
        one
        for customer in _customers(call, clock)
        for one in call.store.subscriptions.of_customer(customer["id"])
        if one["status"] not in ENDED
    ]
    rhythms = [item["price"]["recurring"] for one in living for item in one["items"]["data"]]
    ends = [add_interval(start, one["interval"], one["interval_count"] * _MOST_INTERVALS) for one in rhythms]
    if ends and target > min(ends):
        raise ApiError(
            "The frozen time cannot be more than two intervals in the future from the shortest subscription in this "
            "test clock.",
            param="frozen_time",
        )
    if target > add_interval(start, "year", _MOST_YEARS):
        raise ApiError("The frozen time cannot be more than two years in the future.", param="frozen_time")


def _customers(call: Call, clock: StripeObject) -> list[StripeObject]:
    every = call.store.customers
    found = [every.get(name) for _, _, name in every.positions()]
    return [customer for customer in found if customer["test_clock"] == clock["id"]]
