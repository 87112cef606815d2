"""Bursts of events: no refusal, at most two reads of a subscription, and a mirror that is right in the end."""

from datetime import timedelta
from random import Random

import pytest

from bench.bursts import Burst


@pytest.mark.parametrize("thin", [False, True])
@pytest.mark.parametrize(("subscriptions", "events"), [(1, 10), (100, 2)])
def test_a_burst_is_taken_without_a_failure_and_settled_by_few_reads(
    subscriptions: int, events: int, *, thin: bool
) -> None:
    burst = Burst(subscriptions, events, timedelta(seconds=10), reads_per_second=10, thin=thin)
    burst.run(Random(1))
    assert (burst.failures, burst.refused) == (0, 0)
    assert max(burst.reads.values()) <= 2
    assert all(burst.is_right(f"sub_{number}") for number in range(subscriptions))
