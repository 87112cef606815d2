"""What Stripe announces ahead of time, and what becomes of a schedule whose subscription ends."""

from collections.abc import Callable
from typing import Any

import stripe

from tests.integration import simulator_fixtures as given
from tests.integration.simulator_fixtures import RunningSimulator

server, simulator, client = given.server, given.simulator, given.client
shop, subscribe = given.shop, given.subscribe

Subscribe = Callable[..., stripe.Subscription]
DAY = 86_400
TRIAL = "customer.subscription.trial_will_end"


def pass_days(simulator: RunningSimulator, days: float) -> None:
    simulator.admin("POST", "clock", {"now": simulator.admin("GET", "clock")["now"] + days * DAY})


def count(simulator: RunningSimulator, kind: str) -> int:
    return len(simulator.client().v1.events.list({"type": kind}).data)


def of_subscriptions(simulator: RunningSimulator) -> list[str]:
    return [kind for kind in simulator.event_types() if kind.startswith("customer.subscription.")]


def test_the_end_of_a_trial_is_announced_three_days_before(
    simulator: RunningSimulator, client: stripe.StripeClient, subscribe: Subscribe
) -> None:
    trial = subscribe(trial_period_days=10)
    pass_days(simulator, 6.9)
    client.v1.subscriptions.update(trial.id, {"metadata": {"a": "b"}})
    assert count(simulator, TRIAL) == 0
    pass_days(simulator, 0.2)
    assert count(simulator, TRIAL) == 1
    (event,) = client.v1.events.list({"type": TRIAL})
    told: Any = event.data.object
    assert (told.id, told.status, event.request and event.request.id) == (trial.id, "trialing", None)
    client.v1.subscriptions.update(trial.id, {"metadata": {"a": "c"}})
    pass_days(simulator, 4)
    assert client.v1.subscriptions.retrieve(trial.id).status == "active"
    assert count(simulator, TRIAL) == 1


def test_a_short_trial_is_announced_at_once_and_a_longer_one_again(
    simulator: RunningSimulator, client: stripe.StripeClient, subscribe: Subscribe
) -> None:
    trial = subscribe(trial_period_days=2)
    assert of_subscriptions(simulator)[-2:] == ["customer.subscription.created", TRIAL]
    now = simulator.admin("GET", "clock")["now"]
    client.v1.subscriptions.update(trial.id, {"trial_end": now + 20 * DAY})
    assert count(simulator, TRIAL) == 1
    client.v1.subscriptions.update(trial.id, {"trial_end": now + DAY})
    assert count(simulator, TRIAL) == 2


def test_a_trial_that_ends_early_is_announced_then(
    simulator: RunningSimulator, client: stripe.StripeClient, subscribe: Subscribe
) -> None:
    trial, canceled = subscribe(trial_period_days=10), subscribe(trial_period_days=10)
    client.v1.subscriptions.update(trial.id, {"trial_end": "now"})
    client.v1.subscriptions.cancel(canceled.id)
    (event,) = client.v1.events.list({"type": TRIAL})
    told: Any = event.data.object
    assert (told.id, told.status) == (trial.id, "active")
    pass_days(simulator, 20)
    assert count(simulator, TRIAL) == 1


def test_a_jump_of_the_clock_past_notice_and_end_tells_of_both_in_their_order(
    simulator: RunningSimulator, subscribe: Subscribe
) -> None:
    subscribe(trial_period_days=10)
    pass_days(simulator, 11)
    assert of_subscriptions(simulator)[-2:] == [TRIAL, "customer.subscription.updated"]


def schedule_of(client: stripe.StripeClient, subscription: stripe.Subscription) -> stripe.SubscriptionSchedule:
    return client.v1.subscription_schedules.create({"from_subscription": subscription.id})


def test_the_end_of_a_schedule_is_announced_seven_days_before(
    simulator: RunningSimulator, client: stripe.StripeClient, subscribe: Subscribe
) -> None:
    schedule = schedule_of(client, subscribe())
    left = schedule.phases[-1].end_date - simulator.admin("GET", "clock")["now"]
    pass_days(simulator, left / DAY - 7.1)
    assert count(simulator, "subscription_schedule.expiring") == 0
    pass_days(simulator, 0.2)
    assert count(simulator, "subscription_schedule.expiring") == 1
    client.v1.subscription_schedules.update(schedule.id, {"end_behavior": "cancel"})
    pass_days(simulator, 8)
    assert client.v1.subscription_schedules.retrieve(schedule.id).status == "completed"
    assert count(simulator, "subscription_schedule.expiring") == 1
    assert count(simulator, "subscription_schedule.canceled") == 0


def test_a_released_schedule_is_not_announced(
    simulator: RunningSimulator, client: stripe.StripeClient, subscribe: Subscribe
) -> None:
    client.v1.subscription_schedules.release(schedule_of(client, subscribe()).id)
    pass_days(simulator, 28)
    assert count(simulator, "subscription_schedule.expiring") == 0


def test_a_schedule_is_canceled_with_its_subscription(
    simulator: RunningSimulator, client: stripe.StripeClient, subscribe: Subscribe
) -> None:
    subscription = subscribe()
    schedule = schedule_of(client, subscription)
    client.v1.subscriptions.cancel(subscription.id)
    read = client.v1.subscription_schedules.retrieve(schedule.id)
    assert (read.status, read.current_phase) == ("canceled", None)
    assert count(simulator, "subscription_schedule.canceled") == 1
    assert count(simulator, "subscription_schedule.aborted") == 0
    pass_days(simulator, 40)
    assert count(simulator, "subscription_schedule.expiring") == 0


def test_notices_follow_the_test_clock_of_their_customer(
    simulator: RunningSimulator, client: stripe.StripeClient, shop: given.Shop
) -> None:
    clock = client.v1.test_helpers.test_clocks.create({"frozen_time": 1_577_836_800})
    customer = client.v1.customers.create({"test_clock": clock.id})
    trial = client.v1.subscriptions.create(
        {"customer": customer.id, "items": [{"price": shop.monthly.id}], "trial_period_days": 10}
    )
    schedule_of(client, trial)
    client.v1.test_helpers.test_clocks.advance(clock.id, {"frozen_time": 1_577_836_800 + 8 * DAY})
    assert count(simulator, TRIAL) == 1
    assert count(simulator, "subscription_schedule.expiring") == 1
