"""How late events arrive and are dated: what the mirror sees of it, and what the audit makes of that."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from cli.audit import report_as_text
from shared.audit.check import AccountFacts
from shared.audit.checks.mirror import find_late_stamps
from shared.audit.findings import Severity
from shared.audit.rendering.as_json import to_json
from shared.audit.rendering.opening import event_lags
from shared.audit.report import ReportView
from shared.errors import UnreadableEvent
from shared.i18n import duration
from shared.mirror.intake import Intake
from shared.mirror.items import MirroredSubscription
from shared.mirror.lag import EventLags, LagCounts
from shared.mirror.rule import Mirror
from shared.stripe.subscription import read_subscription
from shared.stripe.subscription_read import SubscriptionRead
from tests.fakes import FakeTable, audit_report, subscription
from tests.unit.test_audit_checks import AUDIT
from tests.unit.test_cli import printed

NOW = 1_900_000_000
BORN = NOW - 20
STATE = {"id": "sub_1", "customer": "cus_1", "status": "active", "livemode": False, "created": BORN}


def body(type_: str = "created", at: int = NOW - 15, **changes: Any) -> bytes:
    whole = {
        "id": f"evt_{at}",
        "object": "event",
        "type": f"customer.subscription.{type_}",
        "created": at,
        "livemode": False,
        "data": {"object": STATE | changes},
    }
    return json.dumps(whole).encode()


class World:
    """The way of an event into a table."""

    def __init__(self) -> None:
        self.table = FakeTable()
        mirror = Mirror(self.table, self.read, uncertainty=timedelta(seconds=3), retention=timedelta(days=60))
        self.intake = Intake(mirror, lambda: False)

    def read(self, subscription_id: str) -> SubscriptionRead:
        assert subscription_id == "sub_1"
        return SubscriptionRead(read_subscription(STATE), NOW + 60, 0.1)

    def lags(self) -> tuple[int | None, int | None]:
        item = self.table.only()
        return item.delivery_lag, item.stamp_lag


@pytest.fixture
def world() -> World:
    return World()


def test_the_event_of_its_creation_says_how_late_stripe_dated_it_and_how_late_it_arrived(world: World) -> None:
    world.intake.apply_event(body(), now=NOW + 0.9, received=NOW + 0.9)
    assert world.lags() == (15, 5)


def test_a_later_event_has_its_own_arrival_and_keeps_what_the_first_one_said(world: World) -> None:
    world.intake.apply_event(body(), now=NOW, received=NOW)
    world.intake.apply_event(body("updated", NOW - 8, quantity=2), now=NOW, received=NOW)
    assert world.lags() == (8, 5)


def test_what_a_queue_and_a_replay_add_is_no_delivery(world: World) -> None:
    """A queued event arrived when it was queued; when Stripe delivered a replayed one is not known."""
    world.intake.apply_event(body(), now=NOW, received=NOW)
    world.intake.apply_event(body("updated", NOW - 14, quantity=2), now=NOW + 60, received=NOW - 12)
    assert world.lags() == (2, 5)
    world.intake.apply_event(body("updated", NOW + 500), now=NOW + 9000)
    assert world.lags() == (2, 5)


def test_a_thin_event_says_how_late_it_arrived(world: World) -> None:
    thin = {
        "id": "evt_1",
        "object": "v2.core.event",
        "type": "v1.customer.subscription.created",
        "created": "2030-03-17T17:46:40Z",
        "livemode": False,
        "related_object": {"id": "sub_1", "type": "subscription"},
    }
    world.intake.apply_event(json.dumps(thin).encode(), now=NOW + 60, received=NOW + 7)
    assert world.lags() == (7, None)


@pytest.mark.parametrize("changes", [{"test_clock": "clock_1"}, {"created": None}])
def test_a_creation_that_stripe_does_not_date_by_its_own_clock_says_nothing(
    world: World, changes: dict[str, Any]
) -> None:
    world.intake.apply_event(body(**changes), now=NOW, received=NOW)
    assert world.lags() == (15, None)


def test_an_event_that_cannot_be_read_says_nothing(world: World) -> None:
    with pytest.raises(UnreadableEvent):
        world.intake.apply_event(body(status=7), now=NOW, received=NOW)
    assert world.table.items == {}


# ------------------------------------------------------------------ counting
def test_ninety_nine_percent_are_at_or_below_the_percentile() -> None:
    counts = LagCounts().plus([1] * 98 + [7, 50])
    assert (counts.number, counts.largest, counts.percentile(99), counts.percentile(98)) == (100, 50, 7, 1)
    assert LagCounts().plus([4]).percentile(99) == 4
    assert (LagCounts().largest, LagCounts().percentile(99)) == (0, 0)


def test_counts_stay_few_however_long_lags_are_and_never_say_less() -> None:
    every = range(-5, 300_000, 7)
    counts = LagCounts().plus(every)
    assert counts.number == len(every)
    assert len(counts.counts) < 500
    assert LagCounts().plus([-3, 99, 100, 101, 86_401, None]).counts == {0: 1, 99: 1, 100: 1, 110: 1, 87_000: 1}


# ------------------------------------------------------------------ what the audit says of it
def lags(delivery: int, stamp: int) -> EventLags:
    seen = MirroredSubscription(subscription(), NOW, 1, "evt_1", delivery_lag=delivery, stamp_lag=stamp)
    return EventLags().plus([seen])


@pytest.mark.parametrize(("stamp", "found"), [(10, False), (11, True)])
def test_only_a_stamp_beyond_the_window_is_a_finding(stamp: int, *, found: bool) -> None:
    facts = AccountFacts(1, None, None, None, lags=lags(86_400, stamp), uncertainty=timedelta(seconds=10))
    findings = list(find_late_stamps(facts, AUDIT))
    assert [finding.severity for finding in findings] == [Severity.WARNING] * found
    for finding in findings:
        assert "11 s after the change" in finding.meaning.say("en")
        assert "EventClockUncertaintySeconds at 12 " in finding.action.say("en")


def test_no_more_than_the_parameter_allows_is_advised() -> None:
    facts = AccountFacts(1, None, None, None, lags=lags(1, 3600), uncertainty=timedelta(seconds=60))
    (finding,) = find_late_stamps(facts, AUDIT)
    assert "EventClockUncertaintySeconds at 60 " in finding.action.say("en")


def test_what_was_sent_again_by_hand_is_said_apart_and_no_lag() -> None:
    """Stripe repeats a delivery for three days: nothing that it sends by itself is older."""
    days = 86_400
    known = [lags(seconds, 1) for seconds in (4, 3 * days, 3 * days + 1, 990 * days)]
    assert [(each.delivery.number, each.resent) for each in known] == [(1, 0), (1, 0), (0, 1), (0, 1)]
    resent, stamp = [words.say("en") for words in event_lags(replace(audit_report(), lags=known[-1]))]
    assert resent.startswith("Not counted: the last event of 1 subscription, which came when Stripe no longer repeats")
    assert stamp.startswith("Stripe dated events up to 1 s after the change")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7199, "120 min"),
        (7200, "2 h"),
        (260_000, "72 h"),
        (400_000, "5 days"),
    ],
)
def test_a_length_of_time_is_written_in_the_unit_that_suits_it(seconds: int, words: str) -> None:
    assert duration(seconds).say("en") == words


def test_the_report_says_the_lags_beside_the_window_and_nothing_where_none_was_seen() -> None:
    report = replace(audit_report(), lags=lags(86_400, 5), uncertainty=timedelta(seconds=10))
    assert [words.say("en") for words in event_lags(report)] == [
        "Events reached the mirror up to 24 h after Stripe dated them (24 h for 99 %).",
        "Stripe dated events up to 5 s after the change (5 s for 99 %); times closer than 10 s count as unordered.",
    ]
    assert json.loads(to_json(report))["event_lags"] == {
        "uncertainty_seconds": 10,
        "delivery": {"subscriptions": 1, "largest_seconds": 87_000, "percentile_99_seconds": 87_000},
        "resent": 0,
        "stamp": {"subscriptions": 1, "largest_seconds": 5, "percentile_99_seconds": 5},
        "exceeds_uncertainty": False,
    }
    assert "times closer than 10 s" in " ".join(printed(report_as_text(ReportView(report, "en"))).split())
    assert list(event_lags(audit_report())) == []
    assert json.loads(to_json(audit_report()))["event_lags"]["stamp"]["largest_seconds"] is None
