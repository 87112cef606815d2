"""The table of rules, row by row."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import permutations

import pytest

from shared.errors import Unavailable
from shared.mirror.items import Beginnings
from shared.mirror.rule import ATTEMPTS, Mirror, Outcome
from shared.stripe.events import SubscriptionEvent
from shared.stripe.subscription import PauseCollection
from shared.stripe.subscription_read import READ_LAG, SubscriptionRead
from tests.fakes import FakeStripe, FakeTable, subscription

NOW = 1_000_000
DAY = 86_400
LAG = int(READ_LAG.total_seconds())
PAUSED = subscription(pause_collection=PauseCollection("void"))


class World:
    """A mirror with its table and its Stripe; Stripe says `past_due`, so that a read can be told from an event."""

    def __init__(self) -> None:
        self.table = FakeTable()
        self.stripe = FakeStripe(subscription("past_due"), now=NOW)
        self.delays: list[int] = []
        self.mirror = Mirror(
            self.table,
            self.stripe.read,
            uncertainty=timedelta(seconds=3),
            retention=timedelta(days=60),
        )

    def event(self, created: int, status: str = "active", *, id_: str | None = None, now: float = NOW) -> Outcome:
        return self.apply(SubscriptionEvent(id_ or f"evt_{created}", created, subscription(status)), now=now)

    def apply(self, event: SubscriptionEvent, *, now: float = NOW) -> Outcome:
        return self.mirror.apply(event, now=now)

    def deferred(self, created: int, status: str, *, id_: str | None = None) -> Outcome:
        event = SubscriptionEvent(id_ or f"evt_{created}", created, subscription(status))
        return self.mirror.apply(event, now=NOW, defer=self.delays.append)

    @property
    def status(self) -> str:
        return self.table.only().subscription.status


@pytest.fixture
def world() -> World:
    return World()


def test_the_first_event_of_a_subscription_is_written_as_it_is(world: World) -> None:
    assert world.event(NOW - 100, "trialing") is Outcome.APPLIED
    item = world.table.only()
    assert (item.subscription.status, item.as_of, item.revision, item.event_id) == (
        "trialing",
        NOW - 100,
        1,
        "evt_999900",
    )
    assert (world.table.requests, world.stripe.reads) == (1, 0)


def test_an_event_alone_in_its_window_costs_one_request_and_no_read(world: World) -> None:
    world.event(NOW - 100)
    world.table.requests = 0
    assert world.event(NOW - 96, "unpaid") is Outcome.APPLIED
    assert (world.status, world.table.requests, world.stripe.reads) == ("unpaid", 1, 0)


def test_an_event_older_than_the_mirror_changes_nothing(world: World) -> None:
    world.event(NOW - 100)
    world.table.requests = 0
    assert world.event(NOW - 104, "unpaid") is Outcome.STALE
    assert (world.status, world.table.requests, world.stripe.reads) == ("active", 1, 0)


def test_the_event_written_last_changes_nothing_when_it_comes_again(world: World) -> None:
    world.event(NOW - 100, id_="evt_a")
    world.table.requests = 0
    assert world.event(NOW - 100, id_="evt_a") is Outcome.DUPLICATE
    assert (world.table.only().revision, world.table.requests, world.stripe.reads) == (1, 1, 0)


@pytest.mark.parametrize("ended", ["canceled", "incomplete_expired"])
def test_nothing_comes_back_from_the_dead(world: World, ended: str) -> None:
    world.event(NOW - 100, ended)
    for created in (NOW - 200, NOW - 100, NOW - 99, NOW - 50):
        assert world.event(created, "active", id_=f"evt_late_{created}") is Outcome.STALE
    assert (world.status, world.stripe.reads) == (ended, 0)


def test_an_end_counts_whatever_its_time_says(world: World) -> None:
    world.event(NOW - 10)
    assert world.event(NOW - 600, "canceled") is Outcome.APPLIED
    assert (world.status, world.stripe.reads) == ("canceled", 0)


def test_a_later_event_of_an_ended_subscription_still_counts(world: World) -> None:
    world.event(NOW - 100, "canceled")
    assert world.event(NOW - 50, "canceled") is Outcome.APPLIED
    assert world.table.only().as_of == NOW - 50


def test_two_reads_without_an_event_are_no_duplicates_of_each_other(world: World) -> None:
    world.mirror.observe(SubscriptionRead(subscription("active"), NOW - 1, 0.1))
    assert world.mirror.observe(SubscriptionRead(subscription("unpaid"), NOW, 0.1)) is Outcome.APPLIED
    assert (world.status, world.stripe.reads) == ("past_due", 1)


def test_a_failed_read_changes_nothing_and_is_told(world: World) -> None:
    world.event(NOW - 100)

    def fail() -> None:
        raise Unavailable("stripe_unavailable", "down")

    world.stripe.before_answer = fail
    with pytest.raises(Unavailable, match="down"):
        world.event(NOW - 99, "unpaid")
    assert (world.status, world.table.only().revision) == ("active", 1)


def test_a_failed_write_is_told(world: World) -> None:
    world.table.refuses = True
    with pytest.raises(Unavailable):
        world.event(NOW - 100)
    assert world.table.items == {}


def test_an_ended_subscription_expires_and_a_live_one_does_not(world: World) -> None:
    world.event(NOW - 100)
    assert list(world.table.expires_at.values()) == [None]
    world.event(NOW - 50, "canceled")
    assert list(world.table.expires_at.values()) == [NOW - 50 + 60 * DAY]


def test_the_retention_counts_from_the_end_that_stripe_names(world: World) -> None:
    world.apply(SubscriptionEvent("evt_1", NOW - 50, subscription("canceled", ended_at=NOW - 40 * DAY)))
    assert list(world.table.expires_at.values()) == [NOW - 40 * DAY + 60 * DAY]


def test_a_pause_begins_with_the_event_that_began_it_and_keeps_its_beginning(world: World) -> None:
    world.apply(SubscriptionEvent("evt_1", NOW - 300, PAUSED, starts_pause=True))
    world.apply(SubscriptionEvent("evt_2", NOW - 200, PAUSED))
    assert world.table.only().paused_since == NOW - 300
    world.event(NOW - 100)
    assert world.table.only().paused_since is None
    world.apply(SubscriptionEvent("evt_3", NOW - 50, PAUSED, starts_pause=True))
    assert world.table.only().paused_since == NOW - 50


def test_a_pause_first_seen_later_began_no_later_than_that(world: World) -> None:
    world.apply(SubscriptionEvent("evt_1", NOW - 300, PAUSED))
    assert world.table.only().paused_since == NOW - 300


def test_a_pause_learnt_by_reading_begins_with_its_event(world: World) -> None:
    world.event(NOW - 100)
    world.stripe.subscription = PAUSED
    world.apply(SubscriptionEvent("evt_1", NOW - 99, PAUSED, starts_pause=True))
    assert world.table.only().paused_since == NOW - 99


def test_the_event_that_began_a_pause_dates_it_even_if_it_arrives_late(world: World) -> None:
    world.stripe.subscription = PAUSED
    world.apply(SubscriptionEvent("evt_2", NOW - 98, PAUSED))
    world.apply(SubscriptionEvent("evt_1", NOW - 100, PAUSED, starts_pause=True))
    assert world.table.only().paused_since == NOW - 100


def test_a_pause_of_another_kind_has_a_beginning_of_its_own(world: World) -> None:
    world.apply(SubscriptionEvent("evt_1", NOW - 100, PAUSED))
    world.stripe.subscription = subscription("paused")
    world.apply(SubscriptionEvent("evt_2", NOW - 98, subscription("paused"), starts_pause=True))
    assert world.table.only().paused_since == NOW - 98


def test_a_real_pause_begins_when_stripe_says(world: World) -> None:
    world.apply(SubscriptionEvent("evt_1", NOW - 300, subscription("paused", paused_at=NOW - 301), starts_pause=True))
    assert world.table.only().paused_since == NOW - 301


# ------------------------------------------------------------------ events that their times cannot order
@pytest.mark.parametrize("apart", range(-3, 4))
def test_events_closer_than_the_uncertainty_are_settled_by_reading_stripe(world: World, apart: int) -> None:
    world.event(NOW - 100)
    world.table.requests = 0
    assert world.event(NOW - 100 + apart, "unpaid", id_="evt_other") is Outcome.APPLIED
    assert (world.status, world.table.only().as_of) == ("past_due", NOW - LAG)
    assert (world.table.requests, world.stripe.reads) == (2, 1)


def test_one_read_settles_every_event_of_a_burst(world: World) -> None:
    for number in range(10):
        world.event(NOW - 100, "unpaid", id_=f"evt_{number}")
    assert (world.status, world.stripe.reads) == ("past_due", 1)


def test_with_a_queue_no_event_waits_for_stripe(world: World) -> None:
    """The event is kept first; then the mirror shows what it says, and says that this is not certain yet."""
    world.event(NOW - 3)
    assert world.deferred(NOW - 2, "unpaid") is Outcome.QUEUED
    item = world.table.only()
    assert (item.subscription.status, item.as_of, item.settling) == ("unpaid", NOW - 3, NOW - 2)
    assert (world.stripe.reads, world.delays) == (0, [5])


def test_the_delay_is_long_enough_for_one_read_to_settle_all_that_the_window_holds(world: World) -> None:
    world.event(NOW - 1)
    for created in (NOW - 1, NOW):
        world.deferred(created, "unpaid", id_=f"evt_{created}_")
    delay = max(world.delays)
    world.stripe.now = NOW + delay
    assert world.event(NOW - 1, id_=f"evt_{NOW - 1}_", now=NOW + delay) is Outcome.APPLIED
    assert world.event(NOW, id_=f"evt_{NOW}_", now=NOW + delay) is Outcome.STALE
    assert (world.status, world.stripe.reads, world.table.only().settling) == ("past_due", 1, None)


def test_an_event_that_cannot_be_kept_changes_nothing(world: World) -> None:
    world.event(NOW - 3)
    before = world.table.only()

    def fail(_seconds: int) -> None:
        raise Unavailable("settle_queue_unavailable", "down")

    with pytest.raises(Unavailable):
        world.mirror.apply(SubscriptionEvent("evt_2", NOW - 2, subscription("unpaid")), now=NOW, defer=fail)
    assert world.table.only() == before


def test_an_event_before_the_one_shown_is_queued_and_not_shown(world: World) -> None:
    world.event(NOW - 5)
    world.deferred(NOW - 3, "unpaid")
    world.deferred(NOW - 4, "trialing")
    assert (world.status, len(world.delays)) == ("unpaid", 2)


def test_an_event_that_is_shown_only_is_settled_when_it_comes_again(world: World) -> None:
    """It is no duplicate: nothing is certain yet."""
    world.event(NOW - 103)
    world.deferred(NOW - 101, "unpaid", id_="evt_b")
    assert world.event(NOW - 101, "unpaid", id_="evt_b") is Outcome.APPLIED
    assert (world.status, world.stripe.reads) == ("past_due", 1)
    assert world.event(NOW - 101, "unpaid", id_="evt_b") is Outcome.DUPLICATE


def test_an_event_ahead_of_our_own_clock_is_settled_by_reading_stripe(world: World) -> None:
    world.stripe.now = NOW + 5
    event = SubscriptionEvent("evt_1", NOW + 600, subscription())
    assert world.mirror.apply(event, now=NOW + 5, received=NOW) is Outcome.APPLIED
    assert (world.status, world.table.only().as_of, world.stripe.reads) == ("past_due", NOW + 5 - LAG, 1)


def test_an_event_with_the_first_of_its_items_is_never_written_as_it_is(world: World) -> None:
    cut = SubscriptionEvent("evt_1", NOW - 100, subscription("unpaid"), complete=False)
    assert world.mirror.apply(cut, now=NOW, defer=world.delays.append) is Outcome.QUEUED
    assert world.table.items == {}
    assert world.apply(cut) is Outcome.APPLIED
    assert (world.status, world.stripe.reads) == ("past_due", 1)


# ------------------------------------------------------------------ reads that lag or take long
def test_a_read_that_may_be_older_than_the_event_settles_nothing(world: World) -> None:
    world.event(NOW - 2)
    before = world.table.only()
    for took, created in ((0.0, NOW - LAG), (0.1, NOW - LAG - 1), (7.0, NOW - 5)):
        world.stripe.took = took
        with pytest.raises(Unavailable, match="out of date"):
            world.event(created, "unpaid", id_="evt_b")
    assert world.table.only() == before


def test_a_read_that_may_be_older_than_the_item_settles_nothing(world: World) -> None:
    world.event(NOW - 1)
    with pytest.raises(Unavailable, match="out of date"):
        world.event(NOW - 4, "unpaid")
    assert world.status == "active"


@pytest.mark.parametrize("ended", ["canceled", "incomplete_expired"])
def test_nothing_ended_comes_back_whatever_a_read_says(world: World, ended: str) -> None:
    """Two ends within the window: the read between them comes from a copy that does not have the end yet."""
    world.event(NOW - 100, ended)
    with pytest.raises(Unavailable):
        world.event(NOW - 99, ended, id_="evt_again")
    assert world.mirror.observe(SubscriptionRead(subscription("active"), NOW, 0.1)) is Outcome.STALE
    assert world.mirror.apply_notification("evt_thin", NOW - 50, "sub_1", now=NOW) is Outcome.STALE
    assert world.status == ended


def test_an_end_in_hand_wins_over_a_read_that_does_not_have_it_yet(world: World) -> None:
    cut = SubscriptionEvent("evt_1", NOW - 100, subscription("canceled"), complete=False)
    with pytest.raises(Unavailable, match="out of date"):
        world.apply(cut)
    assert world.table.items == {}


def test_an_end_ahead_of_our_clock_is_final_at_once(world: World) -> None:
    world.event(NOW - 10)
    assert world.event(NOW + 600, "canceled") is Outcome.APPLIED
    assert (world.status, world.table.only().as_of, world.stripe.reads) == ("canceled", NOW, 0)


def test_a_read_that_another_delivery_overtook_is_done_again(world: World) -> None:
    world.event(NOW - 100)
    world.stripe.before_answer = once(lambda: overtake(world, "unpaid"))
    world.event(NOW - 99, id_="evt_slow")
    assert world.stripe.reads == 2
    assert world.status == "unpaid"


def test_an_item_that_never_stands_still_is_left_to_the_next_try(world: World) -> None:
    world.event(NOW - 100)
    world.stripe.before_answer = lambda: overtake(world, "active")
    with pytest.raises(Unavailable, match="changed 5 times"):
        world.event(NOW - 99, "unpaid", id_="evt_slow")
    assert world.stripe.reads == ATTEMPTS


# ------------------------------------------------------------------ thin events
def test_a_notification_is_settled_by_reading_stripe(world: World) -> None:
    assert world.mirror.apply_notification("evt_1", NOW - 5, "sub_1", now=NOW) is Outcome.APPLIED
    item = world.table.only()
    assert (item.subscription.status, item.as_of, item.event_id) == ("past_due", NOW - LAG, "evt_1")
    assert (world.table.requests, world.stripe.reads) == (1, 1)


def test_a_notification_waits_until_one_read_is_certain_to_have_it(world: World) -> None:
    """A read at once may be too old, and each event of a burst would cost one."""
    outcome = world.mirror.apply_notification("evt_1", NOW, "sub_1", now=NOW, defer=world.delays.append)
    assert (outcome, world.delays) == (Outcome.QUEUED, [5])
    assert (world.table.items, world.stripe.reads) == ({}, 0)
    world.stripe.now, world.stripe.took = NOW + 5, 1.0
    assert world.mirror.apply_notification("evt_1", NOW, "sub_1", now=NOW) is Outcome.APPLIED


def test_a_notification_whose_read_may_be_too_old_comes_again(world: World) -> None:
    with pytest.raises(Unavailable, match="out of date"):
        world.mirror.apply_notification("evt_1", NOW, "sub_1", now=NOW)
    assert world.table.items == {}


def test_one_read_settles_every_notification_of_a_burst(world: World) -> None:
    outcomes = [world.mirror.apply_notification(f"evt_{number}", NOW - 4, "sub_1", now=NOW) for number in range(10)]
    assert outcomes == [Outcome.APPLIED, *[Outcome.STALE] * 9]
    assert (world.stripe.reads, world.table.requests) == (1, 1)
    world.stripe.now = NOW + 10
    assert world.mirror.apply_notification("evt_later", NOW, "sub_1", now=NOW) is Outcome.APPLIED
    assert world.stripe.reads == 2


def test_two_environments_settle_a_burst_of_notifications_by_two_reads(world: World) -> None:
    other = Mirror(world.table, world.stripe.read, uncertainty=timedelta(seconds=3), retention=timedelta(days=60))
    for number in range(5):
        for mirror in (world.mirror, other):
            mirror.apply_notification(f"evt_{number}", NOW - 4, "sub_1", now=NOW)
    assert (world.status, world.stripe.reads) == ("past_due", 2)


def test_a_read_that_could_not_be_written_settles_no_other_notification(world: World) -> None:
    world.table.refuses = True
    with pytest.raises(Unavailable):
        world.mirror.apply_notification("evt_1", NOW - 4, "sub_1", now=NOW)
    world.table.refuses = False
    assert world.mirror.apply_notification("evt_2", NOW - 4, "sub_1", now=NOW) is Outcome.APPLIED


def test_what_is_remembered_for_notifications_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.mirror.rule.MOST_REMEMBERED", 2)
    world.mirror = Mirror(
        world.table,
        lambda id_: SubscriptionRead(subscription(id=id_), NOW, 0.0),
        uncertainty=timedelta(seconds=3),
        retention=timedelta(days=60),
    )
    for number in (1, 2, 3, 1):
        world.mirror.apply_notification("evt_1", NOW - 4, f"sub_{number}", now=NOW)
    assert world.table.requests == 4


def test_a_notification_that_stripe_does_not_answer_comes_again(world: World) -> None:
    def fail() -> None:
        raise Unavailable("stripe_rate_limited", "429")

    world.stripe.before_answer = fail
    with pytest.raises(Unavailable):
        world.mirror.apply_notification("evt_1", NOW - 4, "sub_1", now=NOW)
    assert world.table.items == {}


def test_a_notification_older_than_the_mirror_changes_nothing(world: World) -> None:
    world.event(NOW)
    assert world.mirror.apply_notification("evt_1", NOW - 60, "sub_1", now=NOW) is Outcome.STALE
    assert world.status == "active"


def test_a_notification_close_to_a_newer_item_is_not_settled_by_an_older_read(world: World) -> None:
    world.event(NOW - 1)
    with pytest.raises(Unavailable):
        world.mirror.apply_notification("evt_thin", NOW - 4, "sub_1", now=NOW)
    assert world.status == "active"


# ------------------------------------------------------------------ lists
def test_what_was_read_without_an_event_fills_the_mirror(world: World) -> None:
    first = SubscriptionRead(subscription("active"), NOW - 60, 0.1)
    assert world.mirror.observe(first) is Outcome.APPLIED
    assert world.mirror.observe(first) is Outcome.UNCHANGED
    assert (world.table.only().as_of, world.stripe.reads) == (NOW - 60 - LAG - 1, 0)


def test_a_list_that_lags_never_overwrites_what_one_fresh_read_confirms(world: World) -> None:
    world.event(NOW - 60, "past_due")
    assert world.mirror.observe(SubscriptionRead(subscription("active"), NOW, 0.1)) is Outcome.UNCHANGED
    assert (world.status, world.stripe.reads) == ("past_due", 1)


def test_what_differs_is_repaired_by_one_fresh_read(world: World) -> None:
    world.event(NOW - 60, "unpaid")
    assert world.mirror.observe(SubscriptionRead(subscription("active"), NOW - 30, 9.0)) is Outcome.APPLIED
    assert (world.status, world.stripe.reads) == ("past_due", 1)


def test_what_an_event_just_brought_is_left_alone(world: World) -> None:
    world.event(NOW - 1, "unpaid")
    assert world.mirror.observe(SubscriptionRead(subscription("active"), NOW, 0.1)) is Outcome.STALE
    world.event(NOW - 200)
    world.table.items.clear()
    world.event(NOW - 6)
    world.deferred(NOW - 4, "unpaid")
    assert world.mirror.observe(SubscriptionRead(subscription("active"), NOW, 0.1)) is Outcome.STALE
    assert world.status == "unpaid"


# ------------------------------------------------------------------ beginnings
def pauses(*events: SubscriptionEvent) -> World:
    """A world that got these events in this order; Stripe has what the latest of them says."""
    world = World()
    world.stripe.subscription = max(events, key=lambda event: event.created).subscription
    for event in events:
        world.apply(event)
    return world


FIRST = SubscriptionEvent("evt_1", NOW - 400, PAUSED, starts_pause=True, paid_through=1)
RESUMED = SubscriptionEvent("evt_2", NOW - 300, subscription(current_period_end=2))
SECOND = SubscriptionEvent("evt_3", NOW - 200, PAUSED, starts_pause=True, paid_through=2)
LATER = SubscriptionEvent("evt_4", NOW - 100, replace(PAUSED, current_period_end=3))


@pytest.mark.parametrize("order", list(permutations((FIRST, RESUMED, SECOND, LATER))))
def test_the_latest_event_that_began_a_pause_dates_it_in_every_order_of_arrival(
    order: tuple[SubscriptionEvent, ...],
) -> None:
    item = pauses(*order).table.only()
    assert item.subscription == LATER.subscription
    assert item.beginnings == Beginnings(NOW - 200, True, None, False, 2)


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_payments_are_overdue_since_the_event_that_said_so_first_in_every_order(order: tuple[int, ...]) -> None:
    events = (
        SubscriptionEvent("evt_1", NOW - 300, subscription("past_due"), starts_past_due=True),
        SubscriptionEvent("evt_2", NOW - 200, subscription("unpaid")),
        SubscriptionEvent("evt_3", NOW - 100, subscription("past_due", cancel_at_period_end=True)),
    )
    known = pauses(*(events[number] for number in order)).table.only().beginnings
    assert (known.past_due_since, known.past_due_since_exact) == (NOW - 300, True)


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_payments_overdue_for_the_second_time_are_overdue_since_then_in_every_order(order: tuple[int, ...]) -> None:
    events = (
        SubscriptionEvent("evt_1", NOW - 300, subscription("past_due"), starts_past_due=True),
        SubscriptionEvent("evt_2", NOW - 200, subscription()),
        SubscriptionEvent("evt_3", NOW - 100, subscription("past_due"), starts_past_due=True),
    )
    known = pauses(*(events[number] for number in order)).table.only().beginnings
    assert (known.past_due_since, known.past_due_since_exact) == (NOW - 100, True)


def test_what_is_paid_for_is_unknown_when_only_a_later_state_was_ever_seen(world: World) -> None:
    world.apply(LATER)
    known = world.table.only().beginnings
    assert (known.paid_through, known.paused_since, known.paused_since_exact) == (None, NOW - 100, False)


def once(act: Callable[[], None]) -> Callable[[], None]:
    todo = [act]
    return lambda: todo.pop()() if todo else None


def overtake(world: World, status: str) -> None:
    """Another delivery writes while this one reads."""
    world.stripe.subscription = subscription(status)
    item = world.table.only()
    world.table.items["cus_1", "sub_1"] = type(item)(
        subscription(status), item.as_of, item.revision + 1, f"evt_overtook_{item.revision}"
    )
