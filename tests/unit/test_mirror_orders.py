"""Whatever befalls the deliveries, the mirror ends as Stripe is, and what has ended stays ended."""

from dataclasses import dataclass, field
from datetime import timedelta
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.guards import GUARDS, AnyTable
from bench.histories import COLUMNS
from shared.mirror.items import MirroredSubscription, Write
from tests.fakes import FakeTable
from tests.histories import NOTHING_FAR_AHEAD, Conditions, History, make_history, true_beginnings
from tests.history_world import World, the_rule

randoms = st.randoms(use_true_random=False)
# `python -m bench.histories` runs ten thousand.
every_order = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))


@every_order
@given(randoms)
def test_after_the_last_delivery_the_mirror_is_as_stripe_is(random: Random) -> None:
    history = make_history(random)
    world, table = World(history), FakeTable()
    world.run(lambda: the_rule(world, table), table.expire)
    assert world.is_right(list(table.items.values()))


@every_order
@given(randoms)
def test_thin_events_and_a_backfill_among_the_events_change_nothing_of_that(random: Random) -> None:
    history = make_history(random, kinds=("snapshot", "thin", "sweep"))
    world, table = World(history), FakeTable()
    world.run(lambda: the_rule(world, table), table.expire)
    assert world.is_right(list(table.items.values()))
    for item in table.items.values():
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
    world, table = World(make_history(random, Conditions(lag), kinds=("snapshot", "thin"))), WatchedTable()
    world.run(lambda: the_rule(world, table), table.expire)
    assert table.ended == sorted(table.ended)


@every_order
@given(randoms)
def test_a_wider_window_covers_wider_clock_errors(random: Random) -> None:
    history = make_history(random, Conditions(lag=10.0))
    world, table = World(history), FakeTable()
    world.run(lambda: the_rule(world, table, uncertainty=timedelta(seconds=10)), table.expire)
    assert world.is_right(list(table.items.values()))


@every_order
@given(randoms)
def test_what_began_is_dated_alike_in_every_order(random: Random) -> None:
    history = make_history(random, NOTHING_FAR_AHEAD)
    world, table = World(history), FakeTable()
    world.run(lambda: the_rule(world, table))
    item = table.only()
    if item.subscription.ended:
        return
    known, truth = item.beginnings, true_beginnings(history)

    def since(seconds: int | None) -> int | None:
        return None if seconds is None else seconds - world.start

    assert item.settling is None
    assert since(known.paused_since) in truth.paused_since
    assert since(known.past_due_since) in truth.past_due_since
    assert known.paid_through in truth.paid_through
    assert known.paused_since_exact is (known.paused_since is not None)
    assert known.past_due_since_exact is (known.past_due_since is not None)


# One of the histories that each of the others gets wrong: its kind, and its seed (`python -m bench.histories` counts
# them all).
BROKEN_BY = {
    "write if the event's time is later": ("whole events", "1-0"),
    "this rule, ten items taken for all": ("ends, beyond the limits", "1-0"),
    "overwrite from the payload": ("whole events", "1-1"),
    "this rule without the revision": ("ends, beyond the limits", "1-2"),
    "this rule, any read newer than the item": ("ends, beyond the limits", "1-2"),
    "this rule, reads undo ends": ("ends, beyond the limits", "1-2"),
    "read from Stripe, write": ("whole events", "1-4"),
    "read from Stripe, write if the read's `Date` is not earlier": ("whole events", "1-4"),
    "this rule, ends not final": ("ends, beyond the limits", "1-4"),
    "this rule with its window zero": ("whole events", "1-12"),
    "this rule, events ahead of our clock trusted": ("whole events", "1-15"),
    "this rule, any read settles an event": ("and thin events and lists", "1-31"),
    "this rule, every read remembered": ("and thin events and lists", "1-31"),
    "this rule, reads taken for current": ("whole events", "1-35"),
    "this rule, lists taken for current": ("and thin events and lists", "1-78"),
    "this rule, what is shown taken for settled": ("whole events", "1-104"),
    "this rule, slow reads dated by their end": ("whole events", "1-175"),
}


def history_of(title: str, seed: str) -> History:
    (column,) = (column for column in COLUMNS if column.title == title)
    return make_history(Random(seed), column.conditions, kinds=column.kinds)


@pytest.mark.parametrize("guard", BROKEN_BY)
def test_the_histories_are_hard_enough_to_break_every_other_guard(guard: str) -> None:
    world, table = World(history_of(*BROKEN_BY[guard])), AnyTable()
    world.run(lambda: GUARDS[guard](world, table), table.expire)
    assert not world.is_right(list(table.items.values()))


def test_no_guard_is_left_out() -> None:
    assert BROKEN_BY.keys() == GUARDS.keys() - {"this rule"}


@pytest.mark.parametrize("where", sorted(set(BROKEN_BY.values())))
def test_the_rule_survives_the_histories_that_break_it_when_any_part_is_taken_out(where: tuple[str, str]) -> None:
    world, table = World(history_of(*where)), FakeTable()
    world.run(lambda: the_rule(world, table), table.expire)
    assert world.is_right(list(table.items.values()))
