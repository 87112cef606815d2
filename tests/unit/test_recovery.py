"""What backfill, reconcile and replay are made of: small parts, and a comparison that confirms before it repairs."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st

from cli.recover.replay import event_in
from shared.errors import InvalidRequest, OperatorError, Unavailable, UnreadableEvent
from shared.mirror.comparison import CHUNK, WORKERS, Comparison, SeenSubscriptions, attempt
from shared.mirror.drift import MOST_RECORDS, ComparisonCounts, Difference, Drift, DriftKind, Failure, differences
from shared.mirror.items import Write
from shared.mirror.rule import Mirror, Outcome
from shared.mirror.table import DryRunTable
from shared.stripe.pacing import LONGEST_PAUSE_SECONDS, TRIES, RateLimit, Retries
from shared.stripe.subscription import PauseCollection, SubscriptionItem
from shared.stripe.subscription_read import SubscriptionRead
from tests.clock import Clock
from tests.fakes import FakeTable, subscription


class Failing:
    """Fails a number of times, then answers."""

    def __init__(self, error: Exception, times: int) -> None:
        self.error, self.times, self.calls = error, times, 0

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.times:
            raise self.error
        return "answer"


def patient(chance: float = 1.0) -> tuple[Retries, Clock]:
    clock = Clock()
    return Retries(RateLimit(100, clock=clock, sleep=clock.sleep), lambda: chance), clock


UNAVAILABLE = Unavailable("mirror_unavailable", "down")


def test_what_passes_is_tried_until_it_has_passed() -> None:
    retries, _ = patient()
    act = Failing(UNAVAILABLE, TRIES - 1)
    assert retries.of(act) == "answer"
    assert act.calls == TRIES


def test_what_does_not_pass_is_raised_after_the_last_try() -> None:
    retries, _ = patient()
    act = Failing(UNAVAILABLE, 100)
    with pytest.raises(Unavailable, match="down"):
        retries.of(act)
    assert act.calls == TRIES


@pytest.mark.parametrize(("chance", "seconds"), [(1.0, 61.5), (0.0, 30.75)])
def test_pauses_double_and_half_of_each_is_left_to_chance(chance: float, seconds: float) -> None:
    retries, clock = patient(chance)
    retries.of(Failing(UNAVAILABLE, TRIES - 1))
    assert clock.now / 1e9 == pytest.approx(seconds)
    assert seconds <= TRIES * LONGEST_PAUSE_SECONDS


@pytest.mark.parametrize(
    "error",
    [OperatorError("bad_secret", "b"), UnreadableEvent("unreadable_event", "b"), InvalidRequest("bad_date", "b")],
)
def test_what_will_not_pass_is_not_tried_again(error: Exception) -> None:
    retries, _ = patient()
    act = Failing(error, 1)
    with pytest.raises(type(error)):
        retries.of(act)
    assert act.calls == 1


@pytest.mark.parametrize(
    "error",
    [
        stripe.RateLimitError("slow down", http_status=429),
        stripe.APIError("oops", http_status=500),
        stripe.APIConnectionError("no network"),  # type: ignore[no-untyped-call]
    ],
)
def test_stripe_is_asked_again_within_the_rate(error: Exception) -> None:
    clock = Clock()
    retries = Retries(RateLimit(0.1, clock=clock, sleep=clock.sleep))
    act = Failing(error, 2)
    assert retries.of_stripe(act) == "answer"
    assert clock.now >= 20e9


def test_stripes_refusal_of_a_cursor_names_the_parameter() -> None:
    retries, _ = patient()
    refusal = stripe.InvalidRequestError("No such subscription", "starting_after", code="resource_missing")  # type: ignore[no-untyped-call]
    with pytest.raises(OperatorError, match="resource_missing, starting_after"):
        retries.of_stripe(Failing(refusal, 1))


def test_a_refused_key_stops_at_once() -> None:
    retries, _ = patient()
    act = Failing(stripe.AuthenticationError("no", http_status=401), 9)
    with pytest.raises(OperatorError):
        retries.of_stripe(act)
    assert act.calls == 1


@pytest.mark.parametrize("code", ["unsettled", "mirror_contended"])
def test_what_concerns_one_subscription_is_a_failure_of_it(code: str) -> None:
    retries, _ = patient()
    assert attempt("sub_1", Failing(Unavailable(code, "why"), 99), retries) == Failure("sub_1", code, "why")


def test_what_concerns_them_all_is_raised() -> None:
    retries, _ = patient()
    with pytest.raises(Unavailable):
        attempt("sub_1", Failing(UNAVAILABLE, 99), retries)


def test_differences_name_the_field_and_both_values() -> None:
    item = SubscriptionItem("si_1", quantity=1)
    mirror = subscription("active", items=(item,))
    other = subscription("paused", items=(replace(item, quantity=2),), pause_collection=PauseCollection("void", 9))
    assert differences(mirror, other) == (
        Difference("status", "active", "paused"),
        Difference("items.si_1.quantity", 1, 2),
        Difference("pause_collection.behavior", None, "void"),
        Difference("pause_collection.resumes_at", None, 9),
    )


states = st.builds(
    lambda status, behavior, ids, reason: subscription(
        status,
        cancellation_reason=reason,
        pause_collection=PauseCollection(behavior) if behavior else None,
        items=tuple(SubscriptionItem(f"si_{number}", quantity=number) for number in ids),
    ),
    st.sampled_from(["active", "paused", "canceled"]),
    st.sampled_from([None, "void", "keep_as_draft"]),
    st.lists(st.integers(1, 3), unique=True, max_size=3),
    st.sampled_from([None, "payment_failed"]),
)


@given(states, states)
def test_there_are_differences_exactly_where_states_differ_but_for_the_order_of_items(one: Any, other: Any) -> None:
    in_order = [replace(each, items=tuple(sorted(each.items, key=lambda item: item.id))) for each in (one, other)]
    assert bool(differences(one, other)) == (in_order[0] != in_order[1])


@given(st.lists(st.tuples(states, st.integers(0, 9), st.integers(0, 9), st.booleans()), max_size=8))
def test_a_dry_run_answers_as_the_table_does_and_writes_nothing(history: list[Any]) -> None:
    table = FakeTable()
    for state, as_of, than, unchanged in history:
        write = Write(state, as_of, "evt_1")
        since = table.get("cus_1", "sub_1") if than % 2 else None
        before = dict(table.items)
        dry = DryRunTable(table)
        planned = dry.put_if_unchanged(write, since) if unchanged else dry.put_if_older(write, than)
        assert table.items == before
        assert dry.get("cus_1", "sub_1") == table.get("cus_1", "sub_1")
        assert planned == (table.put_if_unchanged(write, since) if unchanged else table.put_if_older(write, than))


def test_what_was_seen_is_known_by_customer_and_subscription() -> None:
    seen = SeenSubscriptions()
    seen.add([("cus_1", "sub_1"), ("cus_1", "sub_2"), ("cus_1", "sub_1")])
    assert ("cus_1", "sub_2") in seen
    assert ("cus_2", "sub_2") not in seen
    assert ("cus_1sub", "_2") not in seen


def test_what_was_seen_is_known_beyond_a_chunk_and_in_another_process() -> None:
    first, second = SeenSubscriptions(), SeenSubscriptions()
    keys = [("cus_1", f"sub_{number}") for number in range(CHUNK + CHUNK // 2)]
    first.add(keys[:CHUNK])
    first.add(keys[CHUNK:])
    dumped = first.dump()
    assert len(dumped) == 8 * len(keys)
    second.load(dumped)
    assert all(key in first for key in keys[::1000])
    assert all(key in second for key in keys[::1000])
    assert ("cus_1", "sub_x") not in second


def test_a_summary_counts_all_and_holds_the_first_thousand() -> None:
    tally = ComparisonCounts()
    for number in range(MOST_RECORDS + 5):
        tally.add(Drift(DriftKind.ABSENT, f"sub_{number}", "cus_1"), repaired=True)
        tally.fail(Failure(f"sub_{number}", "a", "b"))
    summary = tally.result()
    assert (summary.drifted, summary.repaired, summary.failed) == (1005, 1005, 1005)
    assert (len(summary.drifts), len(summary.failures)) == (1000, 1000)
    assert not summary.is_whole


def test_a_dead_letter_is_stripes_body_or_what_eventbridge_wrapped_around_it() -> None:
    assert event_in('{"object": "event", "id": "evt_1"}') == b'{"object": "event", "id": "evt_1"}'
    assert event_in('{"source": "aws.partner/stripe.com/ed_1", "detail": {"id": "evt_1"}}') == b'{"id": "evt_1"}'
    with pytest.raises(UnreadableEvent, match="not JSON"):
        event_in("<xml>")


# ------------------------------------------------------------------ a comparison confirms each difference by a fresh re
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


@pytest.mark.parametrize("repair", [False, True])
def test_what_waits_to_be_settled_is_in_flight(*, repair: bool) -> None:
    """An event that is shown and waits in the queue is no drift, and nothing is written over it."""
    run = Run(lambda _: listed("unpaid", NOW + 4), repair=repair)
    run.hold("active")
    run.table.items = {key: replace(item, settling=NOW) for key, item in run.table.items.items()}
    run.compare(listed("past_due"))
    result = run.run.counts.result()
    assert (result.drifted, result.in_flight) == (0, 1)
    assert run.table.only().subscription.status == "active"


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
    waiting = threading.Barrier(WORKERS, timeout=60)
    run = Run(pytest.fail)
    put = run.table.put_if_unchanged

    def put_together(write: Write, since: object) -> object:
        waiting.wait()
        return put(write, since)  # type: ignore[arg-type]

    run.table.put_if_unchanged = put_together  # type: ignore[assignment, method-assign]
    run.compare(*(listed("active", id_=f"sub_{number}") for number in range(10 * WORKERS)))
    result = run.run.counts.result()
    assert (result.found, result.repaired) == ({DriftKind.ABSENT: 10 * WORKERS}, 10 * WORKERS)


def test_repairing_an_empty_mirror_costs_one_write_each() -> None:
    """The write itself is refused where an event has brought the subscription meanwhile: no read has to come first."""
    run = Run(pytest.fail)
    run.table.get = pytest.fail  # type: ignore[assignment, method-assign]
    run.compare(*(listed("active", id_=f"sub_{number}") for number in range(20)))
    assert run.run.counts.result().repaired == 20


def test_what_an_event_brought_meanwhile_is_no_drift_of_an_empty_mirror() -> None:
    run = Run(lambda _: listed("active", NOW + 4))
    run.run.compare([listed("active")], {})
    run.hold("active", NOW + 1)
    run.run.confirm(wait=True)
    result = run.run.counts.result()
    assert (result.drifted, result.repaired, result.in_flight, run.reads) == (0, 0, 1, 0)


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
