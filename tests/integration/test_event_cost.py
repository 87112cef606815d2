"""What an event costs, counted on the wire: requests to DynamoDB and requests to Stripe."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import pytest
import stripe

from shared.mirror.rule import Defer, Mirror, Outcome
from shared.stripe.events import SubscriptionEvent
from shared.stripe.gateway import read_from_stripe, stripe_client
from shared.stripe.subscription import Subscription, read_subscription
from tests.aws_requests import watch_aws_requests
from tests.history_world import RETENTION, UNCERTAINTY
from tests.integration.dynamodb_fixtures import Subscriptions
from tests.integration.simulator_fixtures import RunningSimulator

Subscribe = Callable[..., stripe.Subscription]


@dataclass
class Meter:
    """A mirror between a real table and the simulator, and what went over the wire since it was last asked."""

    subscriptions: Subscriptions
    simulator: RunningSimulator
    subscription: Subscription
    sent: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        read = partial(read_from_stripe, stripe_client("sk_test_1", self.simulator.url))
        self.mirror = Mirror(self.subscriptions.table(), read, uncertainty=UNCERTAINTY, retention=RETENTION)
        self.now = int(time.time())
        self.simulator.admin("DELETE", "requests")

    def count(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Count every request to AWS, whoever sends it."""
        watch_aws_requests(monkeypatch, lambda target, _: self.sent.append(target))

    def cost(self, id_: str, seconds_ago: int, defer: Defer | None = None) -> tuple[Outcome, int, int]:
        """The outcome of an event, and its requests to DynamoDB and to Stripe."""
        event = SubscriptionEvent(id_, self.now - seconds_ago, self.subscription)
        return self._cost(self.mirror.apply(event, now=self.now, defer=defer))

    def thin_cost(self, id_: str, seconds_ago: int, defer: Defer | None = None) -> tuple[Outcome, int, int]:
        """The same for a thin event."""
        created, name = self.now - seconds_ago, self.subscription.id
        return self._cost(self.mirror.apply_notification(id_, created, name, now=self.now, defer=defer))

    def _cost(self, outcome: Outcome) -> tuple[Outcome, int, int]:
        cost = (len(self.sent), sum(self.simulator.admin("GET", "requests").values()))
        self.sent.clear()
        self.simulator.admin("DELETE", "requests")
        return outcome, *cost


@pytest.fixture
def meter(
    subscriptions: Subscriptions, simulator: RunningSimulator, subscribe: Subscribe, monkeypatch: pytest.MonkeyPatch
) -> Meter:
    meter = Meter(subscriptions, simulator, read_subscription(subscribe().to_dict(for_json=True)))
    meter.count(monkeypatch)
    return meter


def test_an_event_alone_in_its_window_costs_one_request_to_dynamodb_and_none_to_stripe(meter: Meter) -> None:
    assert meter.cost("evt_1", 100) == (Outcome.APPLIED, 1, 0)
    assert meter.cost("evt_2", 96) == (Outcome.APPLIED, 1, 0)


def test_a_duplicate_costs_one_and_none(meter: Meter) -> None:
    meter.cost("evt_1", 100)
    assert meter.cost("evt_1", 100) == (Outcome.DUPLICATE, 1, 0)


def test_a_stale_event_costs_one_and_none(meter: Meter) -> None:
    meter.cost("evt_1", 100)
    assert meter.cost("evt_0", 104) == (Outcome.STALE, 1, 0)


@pytest.mark.parametrize("seconds_ago", [97, 98, 99, 100, 101, 102, 103])
def test_an_event_inside_the_window_costs_two_and_one(meter: Meter, seconds_ago: int) -> None:
    meter.cost("evt_1", 100)
    assert meter.cost("evt_2", seconds_ago) == (Outcome.APPLIED, 2, 1)


def test_an_event_of_a_burst_that_one_read_has_settled_costs_one_and_none(meter: Meter) -> None:
    meter.cost("evt_1", 100)
    meter.cost("evt_2", 100)
    assert [meter.cost(f"evt_{number}", 100) for number in range(3, 9)] == [(Outcome.STALE, 1, 0)] * 6


def test_a_burst_of_thin_events_costs_one_message_each_then_one_and_one(meter: Meter) -> None:
    delays: list[int] = []
    for number in range(3):
        assert meter.thin_cost(f"evt_{number}", 0, defer=delays.append) == (Outcome.QUEUED, 0, 0)
    assert delays == [5, 5, 5]
    assert meter.thin_cost("evt_0", 100) == (Outcome.APPLIED, 1, 1)
    assert [meter.thin_cost(f"evt_{number}", 100) for number in (1, 2)] == [(Outcome.STALE, 0, 0)] * 2


def test_with_a_queue_an_event_inside_the_window_costs_two_and_none_until_it_is_settled(meter: Meter) -> None:
    meter.cost("evt_1", 100)
    delays: list[int] = []
    assert meter.cost("evt_2", 100, defer=delays.append) == (Outcome.QUEUED, 2, 0)
    assert delays == [0]
    assert meter.cost("evt_2", 100) == (Outcome.APPLIED, 2, 1)
