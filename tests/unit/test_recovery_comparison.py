"""A comparison confirms each difference by a fresh read, and repairs many side by side."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest

from shared.mirror.comparison import WORKERS, Comparison, SeenSubscriptions
from shared.mirror.drift import DriftKind
from shared.mirror.rule import Mirror, Outcome
from shared.mirror.table import Write
from shared.stripe.gateway import SubscriptionRead
from shared.stripe.pacing import RateLimit
from tests.fakes import FakeTable, subscription
from tests.unit.test_rate_limit import Clock

NOW = 1_700_000_000
DAYS = timedelta(days=400)
WINDOW = timedelta(seconds=3)


class Run:
    """A comparison whose Stripe answers `fresh` to a read of one subscription."""

    def __init__(self, fresh: Callable[[str], SubscriptionRead], *, repair: bool = True) -> None:
        self.table, self.reads = FakeTable(), 0
        clock = Clock()
        limit = RateLimit(100, clock=clock, sleep=clock.sleep)

        def read(subscription_id: str) -> SubscriptionRead:
            self.reads += 1
            return fresh(subscription_id)

        mirror = Mirror(self.table, read, uncertainty=WINDOW, retention=DAYS) if repair else None
        self.run = Comparison(self.table, mirror, read, NOW, DAYS, WINDOW, limit, SeenSubscriptions())

    def hold(self, status: str, as_of: int = NOW - 60) -> None:
        self.table.put_if_older(Write(subscription(status), as_of, "evt_1"), than=as_of)

    def compare(self, *listed: SubscriptionRead) -> None:
        self.run.compare(listed, dict(self.table.items))
        self.run.confirm(wait=True)


def listed(status: str, as_of: int = NOW, id_: str = "sub_1") -> SubscriptionRead:
    return SubscriptionRead(subscription(status, id=id_), as_of, 0.1)


@pytest.mark.parametrize("repair", [False, True])
def test_a_list_that_lags_is_no_drift_and_overwrites_nothing(repair: bool) -> None:  # noqa: FBT001
    """The list is ten seconds behind the event that the mirror has; a read of the subscription is not."""
    world = Run(lambda _: listed("past_due", NOW + 4), repair=repair)
    world.hold("past_due", NOW - 5)
    world.compare(listed("active", NOW))
    result = world.run.counts.result()
    assert (result.drifted, result.in_flight, world.reads) == (0, 1, 1)
    assert world.table.only().subscription.status == "past_due"


def test_what_a_fresh_read_confirms_is_repaired_from_it() -> None:
    run = Run(lambda _: listed("unpaid", NOW + 4))
    run.hold("active")
    run.compare(listed("past_due"))
    result = run.run.counts.result()
    assert (result.found, result.repaired, run.reads) == ({DriftKind.DIFFERENT: 1}, 1, 1)
    assert run.table.only().subscription.status == "unpaid"


def test_what_an_event_has_just_written_is_in_flight() -> None:
    run = Run(lambda _: listed("active", NOW + 4))
    run.hold("past_due", NOW - 1)
    run.table.put_if_unchanged(Write(subscription("past_due"), NOW + 3, "evt_2"), run.table.only())
    run.run.compare([listed("active", NOW + 4)], {("cus_1", "sub_1"): run.table.only()})
    run.run.confirm(wait=True)
    assert run.run.counts.result().in_flight == 1
    assert run.table.only().subscription.status == "past_due"


def test_nothing_ended_is_repaired_back_to_life() -> None:
    run = Run(lambda _: listed("active", NOW + 4))
    run.hold("canceled")
    run.compare(listed("active"))
    result = run.run.counts.result()
    assert [failure.code for failure in result.failures] == ["ended_in_mirror"]
    assert (result.repaired, run.table.only().subscription.status) == (0, "canceled")


def test_an_empty_mirror_is_filled_side_by_side_without_a_read_for_each() -> None:
    """As many repairs run at a time as there are workers."""
    waiting = threading.Barrier(WORKERS, timeout=10)
    run = Run(pytest.fail)
    put = run.table.put_if_unchanged

    def put_together(write: Write, since: object) -> object:
        waiting.wait()
        return put(write, since)  # type: ignore[arg-type]

    run.table.put_if_unchanged = put_together  # type: ignore[assignment, method-assign]
    run.compare(*(listed("active", id_=f"sub_{number}") for number in range(10 * WORKERS)))
    result = run.run.counts.result()
    assert (result.found, result.repaired) == ({DriftKind.ABSENT: 10 * WORKERS}, 10 * WORKERS)


def test_a_repair_that_was_overtaken_is_no_drift() -> None:
    class Overtaken:
        def observe(self, _found: SubscriptionRead, *, is_fresh: bool = False) -> Outcome:
            del is_fresh
            return Outcome.STALE

    run = Run(lambda _: listed("unpaid", NOW + 4))
    run.run._mirror = Overtaken()
    run.compare(listed("active"))
    result = run.run.counts.result()
    assert (result.drifted, result.in_flight) == (0, 1)
