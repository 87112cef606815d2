"""The table of rules, row by row."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from shared.errors import Unavailable
from shared.mirror.rule import ATTEMPTS, Mirror, Outcome
from shared.stripe.events import SubscriptionEvent
from shared.stripe.gateway import SubscriptionRead
from shared.stripe.subscription import PauseCollection
from tests.fakes import FakeStripe, FakeTable, subscription

NOW = 1_000_000
DAY = 86_400
PAUSED = subscription(pause_collection=PauseCollection("void"))


class World:
    """A mirror with its table and its Stripe; Stripe says `past_due`, so that a read can be told from an event."""

    def __init__(self) -> None:
        self.table = FakeTable()
        self.stripe = FakeStripe(subscription("past_due"), now=NOW)
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


@pytest.mark.parametrize("apart", range(-3, 4))
def test_events_closer_than_the_uncertainty_are_settled_by_asking_stripe(world: World, apart: int) -> None:
    world.event(NOW - 100)
    world.table.requests = 0
    assert world.event(NOW - 100 + apart, "unpaid", id_="evt_other") is Outcome.APPLIED
    assert (world.status, world.table.only().as_of) == ("past_due", NOW)
    assert (world.table.requests, world.stripe.reads) == (2, 1)


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


def test_an_event_that_led_to_a_read_is_a_duplicate_when_it_comes_again(world: World) -> None:
    world.event(NOW - 1, id_="evt_a")
    world.event(NOW - 1, id_="evt_b")
    assert world.event(NOW - 1, id_="evt_b") is Outcome.DUPLICATE
    assert world.stripe.reads == 1


def test_an_event_ahead_of_our_own_clock_is_settled_by_asking_stripe(world: World) -> None:
    assert world.event(NOW + 1, "active") is Outcome.APPLIED
    assert (world.status, world.table.only().as_of, world.stripe.reads) == ("past_due", NOW, 1)


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


def test_an_end_ahead_of_our_clock_is_settled_by_asking_stripe(world: World) -> None:
    world.event(NOW - 10)
    world.stripe.subscription = subscription("canceled")
    assert world.event(NOW + 600, "canceled") is Outcome.APPLIED
    assert (world.status, world.stripe.reads) == ("canceled", 1)


def test_a_later_event_of_an_ended_subscription_still_counts(world: World) -> None:
    world.event(NOW - 100, "canceled")
    assert world.event(NOW - 50, "canceled") is Outcome.APPLIED
    assert world.table.only().as_of == NOW - 50


def test_a_read_that_another_delivery_overtook_is_done_again(world: World) -> None:
    world.event(NOW - 100)
    world.stripe.before_answer = once(lambda: overtake(world, "unpaid"))
    world.event(NOW - 99, id_="evt_slow")
    assert world.stripe.reads == 2
    assert world.status == "unpaid"


def test_a_read_never_takes_the_mirrors_time_back(world: World) -> None:
    world.event(NOW - 2)
    world.stripe.now = NOW - 5
    world.event(NOW - 1)
    assert world.table.only().as_of == NOW - 2


def test_an_item_that_never_stands_still_is_left_to_stripes_next_try(world: World) -> None:
    world.event(NOW - 100)
    world.stripe.before_answer = lambda: overtake(world, "active")
    with pytest.raises(Unavailable, match="changed 5 times"):
        world.event(NOW - 99, "unpaid", id_="evt_slow")
    assert world.stripe.reads == ATTEMPTS


def test_a_read_that_took_too_long_to_be_ordered_changes_nothing(world: World) -> None:
    world.event(NOW - 100)
    world.stripe.took = 2.1
    with pytest.raises(Unavailable, match="too long"):
        world.event(NOW - 99, "unpaid")
    assert (world.status, world.table.only().revision) == ("active", 1)
    world.stripe.took = 2.0
    assert world.event(NOW - 99, "unpaid") is Outcome.APPLIED


def test_a_notification_is_settled_by_asking_stripe(world: World) -> None:
    assert world.mirror.apply_notification("evt_1", NOW - 5, "sub_1") is Outcome.APPLIED
    item = world.table.only()
    assert (item.subscription.status, item.as_of, item.event_id) == ("past_due", NOW, "evt_1")
    assert (world.table.requests, world.stripe.reads) == (1, 1)


def test_a_notification_older_than_the_mirror_changes_nothing(world: World) -> None:
    world.event(NOW - 2)
    world.stripe.now = NOW - 1
    assert world.mirror.apply_notification("evt_1", NOW - 60, "sub_1") is Outcome.STALE
    assert world.status == "active"


def test_a_notification_close_to_the_mirrors_time_is_read_again_under_guard(world: World) -> None:
    world.event(NOW - 1)
    assert world.mirror.apply_notification("evt_thin", NOW - 1, "sub_1") is Outcome.APPLIED
    assert (world.status, world.stripe.reads) == ("past_due", 2)
    assert world.mirror.apply_notification("evt_thin", NOW - 1, "sub_1") is Outcome.DUPLICATE


def test_what_was_read_without_an_event_fills_and_renews_the_mirror(world: World) -> None:
    first = SubscriptionRead(subscription("active"), NOW - 60, 0.1)
    assert world.mirror.observe(first) is Outcome.APPLIED
    assert world.mirror.observe(first) is Outcome.UNCHANGED
    assert world.mirror.observe(SubscriptionRead(subscription("unpaid"), NOW, 0.1)) is Outcome.APPLIED
    assert (world.status, world.table.only().as_of, world.stripe.reads) == ("unpaid", NOW, 0)


def test_two_reads_without_an_event_are_no_duplicates_of_each_other(world: World) -> None:
    world.mirror.observe(SubscriptionRead(subscription("active"), NOW - 1, 0.1))
    assert world.mirror.observe(SubscriptionRead(subscription("unpaid"), NOW, 0.1)) is Outcome.APPLIED
    assert (world.status, world.stripe.reads) == ("past_due", 1)


def test_an_old_page_never_overwrites_a_newer_event(world: World) -> None:
    world.event(NOW - 10, "unpaid")
    assert world.mirror.observe(SubscriptionRead(subscription("active"), NOW - 60, 0.1)) is Outcome.STALE
    assert world.mirror.observe(SubscriptionRead(subscription("active"), NOW - 11, 0.1)) is Outcome.APPLIED
    assert (world.status, world.stripe.reads) == ("past_due", 1)


def test_a_page_that_took_too_long_is_read_again(world: World) -> None:
    assert world.mirror.observe(SubscriptionRead(subscription("active"), NOW, 30.0)) is Outcome.APPLIED
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


def test_a_pause_began_no_later_than_it_was_first_seen(world: World) -> None:
    world.stripe.subscription = PAUSED
    world.apply(SubscriptionEvent("evt_1", NOW - 100, PAUSED))
    world.apply(SubscriptionEvent("evt_2", NOW - 98, PAUSED, starts_pause=True))
    assert world.table.only().paused_since == NOW - 100


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


def test_the_time_that_stripe_gives_a_real_pause_replaces_an_earlier_estimate(world: World) -> None:
    world.apply(SubscriptionEvent("evt_1", NOW - 100, subscription("paused")))
    world.stripe.subscription = subscription("paused", paused_at=NOW - 99)
    world.apply(SubscriptionEvent("evt_2", NOW - 98, world.stripe.subscription))
    assert world.table.only().paused_since == NOW - 99


def test_a_real_pause_begins_when_stripe_says(world: World) -> None:
    world.apply(SubscriptionEvent("evt_1", NOW - 300, subscription("paused", paused_at=NOW - 301), starts_pause=True))
    assert world.table.only().paused_since == NOW - 301


def once(act: Callable[[], None]) -> Callable[[], None]:
    todo = [act]
    return lambda: todo.pop()() if todo else None


def overtake(world: World, status: str) -> None:
    """Another delivery writes while this one reads."""
    world.stripe.subscription = subscription(status)
    item = world.table.only()
    world.table.items["cus_1", "sub_1"] = type(item)(
        subscription(status), item.as_of, item.revision + 1, f"evt_overtook_{item.revision}", None
    )
