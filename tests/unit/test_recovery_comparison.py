"""How long a comparison bears with a Stripe that is too slow to be believed."""

from datetime import timedelta

import pytest

from shared.errors import Unavailable
from shared.mirror.comparison import Comparison, SeenSubscriptions
from shared.mirror.drift import DriftKind
from shared.mirror.rule import Outcome
from shared.stripe.gateway import SubscriptionRead
from shared.stripe.pacing import RateLimit
from tests.clock import Clock
from tests.fakes import FakeTable, subscription

NOW = 1_700_000_000


class SlowAtFirst:
    """The mirror's rule while Stripe's reads are too slow, until `slow` of them were."""

    def __init__(self, slow: int) -> None:
        self.slow, self.asked = slow, 0

    def observe(self, _found: SubscriptionRead) -> Outcome:
        self.asked += 1
        if self.asked <= self.slow:
            raise Unavailable("slow_read", "Stripe took 3.0 s")
        return Outcome.APPLIED


def compare(rule: SlowAtFirst, count: int) -> tuple[Comparison, Clock]:
    clock = Clock()
    limit = RateLimit(100, clock=clock, sleep=clock.sleep)
    run = Comparison(
        FakeTable(), rule, pytest.fail, NOW, timedelta(days=400), timedelta(seconds=3), limit, SeenSubscriptions()
    )
    read = [SubscriptionRead(subscription(id=f"sub_{number}"), NOW, 0.0) for number in range(count)]
    run.compare(read, {})
    run.confirm(wait=True)
    return run, clock


def test_a_stripe_that_stays_too_slow_costs_minutes_and_not_a_minute_for_each_subscription() -> None:
    run, clock = compare(SlowAtFirst(10_000), 100)
    summary = run.counts.result()
    assert summary.found == {DriftKind.ABSENT: 100}
    assert (summary.repaired, summary.failed) == (0, 100)
    assert {failure.code for failure in summary.failures} == {"slow_read"}
    assert clock.now / 1e9 < 4 * 62


def test_a_slow_moment_costs_no_repair() -> None:
    run, _ = compare(SlowAtFirst(7), 100)
    summary = run.counts.result()
    assert (summary.repaired, summary.failed) == (100, 0)
