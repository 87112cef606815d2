"""Whatever befalls the deliveries, the mirror ends as Stripe is, and what has ended stays ended."""

from dataclasses import dataclass, field
from datetime import timedelta
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.guards import GUARDS, AnyTable
from shared.mirror.table import MirroredSubscription, Write
from shared.stripe.subscription import read_subscription
from tests.fakes import FakeTable
from tests.histories import make_history
from tests.history_world import World, the_rule

randoms = st.randoms(use_true_random=False)
every_order = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))


@every_order
@given(randoms)
def test_after_the_last_delivery_the_mirror_is_as_stripe_is(random: Random) -> None:
    history = make_history(random)
    world, table = World(history), FakeTable()
    world.run(the_rule(world, table))
    assert table.only().subscription == read_subscription(history.end)


@every_order
@given(randoms)
def test_thin_events_and_a_backfill_among_the_events_change_nothing_of_that(random: Random) -> None:
    history = make_history(random, kinds=("snapshot", "thin", "sweep"))
    world, table = World(history), FakeTable()
    world.run(the_rule(world, table))
    item = table.only()
    assert item.subscription == read_subscription(history.end)
    assert (item.paused_since is None) == (item.subscription.pause_kind is None)


@dataclass
class WatchedTable(FakeTable):
    """Remembers every state that it ever held."""

    ended: list[bool] = field(default_factory=list)

    def _put(self, write: Write, old: MirroredSubscription | None) -> None:
        super()._put(write, old)
        self.ended.append(write.subscription.ended)


@every_order
@given(randoms, st.sampled_from([2.5, 10.0, 600.0]))
def test_nothing_comes_back_from_the_dead_however_wrong_the_clocks_are(random: Random, lag: float) -> None:
    world, table = World(make_history(random, longest_lag=lag, kinds=("snapshot", "thin"))), WatchedTable()
    world.run(the_rule(world, table))
    assert table.ended == sorted(table.ended)


@every_order
@given(randoms)
def test_a_wider_window_covers_wider_clock_errors(random: Random) -> None:
    history = make_history(random, longest_lag=10.0)
    world, table = World(history), FakeTable()
    world.run(the_rule(world, table, uncertainty=timedelta(seconds=10)))
    assert table.only().subscription == read_subscription(history.end)


# One of the histories that each of the others gets wrong (`python -m bench.histories` counts them all).
BROKEN_BY = {
    "overwrite from the payload": "1-0",
    "write if the event's time is later": "1-0",
    "read from Stripe, write": "1-36",
    "read from Stripe, write if the read's `Date` is not earlier": "1-36",
    "this rule with its window zero": "1-14",
    "this rule without the revision": "1-260",
    "this rule, slow reads accepted": "1-6017",
}


@pytest.mark.parametrize("guard", [name for name in GUARDS if name != "this rule"])
def test_the_histories_are_hard_enough_to_break_every_other_guard(guard: str) -> None:
    history = make_history(Random(BROKEN_BY[guard]))
    world, table = World(history), AnyTable()
    world.run(GUARDS[guard](world, table))
    assert table.only().subscription != read_subscription(history.end)


@pytest.mark.parametrize("seed", sorted(set(BROKEN_BY.values())))
def test_the_rule_survives_the_histories_that_break_it_when_any_part_is_taken_out(seed: str) -> None:
    history = make_history(Random(seed))
    world, table = World(history), FakeTable()
    world.run(the_rule(world, table))
    assert table.only().subscription == read_subscription(history.end)
