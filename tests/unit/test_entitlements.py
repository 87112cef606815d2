"""Entitlements in the mirror: whatever order signals come in, the item ends with what Stripe has."""

import json
import random
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from shared.errors import Unavailable, UnreadableEvent
from shared.mirror.entitlements import EntitlementsMirror
from shared.mirror.intake import Ignored, Intake
from shared.mirror.items import EntitlementsWrite
from shared.mirror.rule import Outcome
from shared.mirror.table import EntitlementsTable
from shared.stripe.entitlements import EntitlementsRead
from shared.stripe.events import EntitlementsSignal, entitlements_signal, read_event
from shared.stripe.subscription_read import LIST_LAG
from tests.fakes import FakeTable

NOW = 1_800_000_000
LAG = int(LIST_LAG.total_seconds())
UNCERTAINTY = timedelta(seconds=3)


@dataclass
class FakeStripe:
    """The entitlements of customer cus_1 at each time; a read comes from a copy that is `behind` so many seconds."""

    changes: list[tuple[int, tuple[str, ...]]] = field(default_factory=list)
    now: int = NOW
    behind: int = 0
    reads: int = 0
    products: dict[str, tuple[str, ...]] = field(default_factory=dict)
    fails: bool = False

    def at(self, moment: int) -> tuple[str, ...]:
        return next((features for time, features in reversed(self.changes) if time <= moment), ())

    def read(self, customer_id: str, products: Collection[str]) -> EntitlementsRead | None:
        assert customer_id == "cus_1"
        if self.fails:
            raise Unavailable("stripe_unavailable", "down")
        self.reads += 1
        known = {product: self.products.get(product, ()) for product in products}
        return EntitlementsRead(self.at(self.now - self.behind), known, self.now, 0.0)


def made(table: EntitlementsTable, stripe: FakeStripe) -> EntitlementsMirror:
    return EntitlementsMirror(table, stripe.read, uncertainty=UNCERTAINTY, retention=timedelta(days=400))


def signal(created: int, *features: str, whole: bool = True) -> EntitlementsSignal:
    return EntitlementsSignal(created, "cus_1", features if whole else None)


def test_a_signal_is_shown_at_once_and_read_when_every_copy_has_it() -> None:
    table, stripe, delays = FakeTable(), FakeStripe([(NOW, ("sso",))]), list[int]()
    mirror = made(table, stripe)
    assert mirror.apply(signal(NOW, "sso"), now=NOW, received=NOW, defer=delays.append) is Outcome.QUEUED
    shown = table.entitlements["cus_1"]
    assert (shown.features, shown.settling, shown.as_of, stripe.reads) == (("sso",), NOW, 0, 0)
    assert delays == [LAG + 3 + 3]
    stripe.now += delays[0]
    assert mirror.apply(signal(NOW, "sso"), now=stripe.now, received=NOW) is Outcome.APPLIED
    settled = table.entitlements["cus_1"]
    assert (settled.features, settled.settling, settled.as_of) == (("sso",), None, stripe.now - LAG)


def test_a_list_that_may_be_cut_short_is_not_shown() -> None:
    table = FakeTable()
    made(table, FakeStripe()).apply(signal(NOW, whole=False), now=NOW, received=NOW, defer=lambda _: None)
    assert table.entitlements == {}


def test_one_read_settles_a_burst() -> None:
    table, stripe, delays = FakeTable(), FakeStripe([(NOW + 2, ("sso",))]), list[int]()
    mirror = made(table, stripe)
    burst = [signal(NOW + number % 3, "sso") for number in range(50)]
    for each in burst:
        mirror.apply(each, now=NOW + 3, received=NOW + 3, defer=delays.append)
    stripe.now = NOW + 3 + min(delays)
    outcomes = [mirror.apply(each, now=stripe.now, received=NOW + 3) for each in burst]
    assert (stripe.reads, outcomes.count(Outcome.APPLIED), outcomes.count(Outcome.STALE)) == (1, 1, 49)


def test_a_read_that_may_be_too_old_comes_again() -> None:
    table, stripe = FakeTable(), FakeStripe([(NOW, ("sso",))], now=NOW + 5)
    with pytest.raises(Unavailable, match="out of date"):
        made(table, stripe).apply(signal(NOW, "sso"), now=NOW + 5, received=NOW)


def test_a_signal_dated_ahead_of_our_clock_counts_as_of_its_arrival() -> None:
    """Else it would wait until Stripe's clock gets there, and be shown over everything meanwhile."""
    table, stripe, delays = FakeTable(), FakeStripe([(NOW, ("sso",))]), list[int]()
    mirror, ahead = made(table, stripe), signal(NOW + 10_000, "sso")
    mirror.apply(ahead, now=NOW, received=NOW, defer=delays.append)
    assert (table.entitlements, delays) == ({}, [LAG + 6])
    stripe.now = NOW + delays[0]
    assert mirror.apply(ahead, now=stripe.now, received=NOW) is Outcome.APPLIED


def test_a_failing_read_stays_in_the_queue_and_loses_nothing() -> None:
    table, stripe = FakeTable(), FakeStripe([(NOW, ("sso",))], now=NOW + 60, fails=True)
    with pytest.raises(Unavailable, match="down"):
        made(table, stripe).apply(signal(NOW, "sso"), now=NOW + 60, received=NOW)
    stripe.fails = False
    assert made(table, stripe).apply(signal(NOW, "sso"), now=NOW + 60, received=NOW) is Outcome.APPLIED


def test_a_deleted_customer_is_left_as_it_is() -> None:
    """A key of another account finds no customer either: that must take nothing from anybody."""
    table = FakeTable()
    table.put_entitlements(EntitlementsWrite("cus_1", ("sso",), {}, NOW))
    mirror = EntitlementsMirror(table, lambda *_: None, uncertainty=UNCERTAINTY, retention=timedelta(days=400))
    assert mirror.apply(signal(NOW + 1), now=NOW + 60, received=NOW) is Outcome.STALE
    assert mirror.observe("cus_1") is Outcome.UNCHANGED
    assert table.entitlements["cus_1"].features == ("sso",)


def history(seed: int) -> None:  # noqa: C901 - one world and what happens in it
    """Changes, and their signals late, twice, in any order, with reads from copies that lag, and crashes in between."""
    chance = random.Random(seed)
    table, stripe = FakeTable(), FakeStripe()
    features = ("a", "b", "c")
    time, pending = NOW, list[tuple[int, Callable[[], None]]]()

    def mirror() -> EntitlementsMirror:
        return made(table, stripe)

    def later(seconds: float, act: Callable[[], None]) -> None:
        pending.append((stripe.now + int(seconds), act))

    def settle(one: EntitlementsSignal, received: int) -> None:
        stripe.behind = chance.randint(0, LAG)
        try:
            mirror().apply(one, now=stripe.now, received=received)
        except Unavailable:
            later(15, lambda: settle(one, received))

    def arrive(one: EntitlementsSignal) -> None:
        received, crashes = stripe.now, chance.random() < 0.2

        def defer(delay: int) -> None:
            # Sometimes too early: a queue's clock is another one.
            later(chance.choice([delay, delay, delay + 40, 4]), lambda: settle(one, received))
            if crashes:
                raise Unavailable("settle_queue_unavailable", "it was kept, and the answer was lost")

        try:
            mirror().apply(one, now=stripe.now, received=received, defer=defer)
        except Unavailable:
            later(60, lambda: arrive(one))

    for _ in range(chance.randint(1, 8)):
        stripe.now = time
        now = tuple(sorted(chance.sample(features, chance.randint(0, 3))))
        stripe.changes.append((time, now))
        # Dated within the second after the change, up to the uncertainty.
        one = signal(time + chance.randint(1, 3), *now, whole=chance.random() < 0.8)
        for _ in range(chance.choice([1, 1, 2])):
            later(chance.choice([1, 1, 3, 20, 200]), partial(arrive, one))
        time += chance.choice([0, 1, 1, 5, 30])
    while pending:
        pending.sort(key=lambda each: each[0])
        at, act = pending.pop(0)
        stripe.now = max(stripe.now, at)
        act()
    held = table.entitlements["cus_1"]
    assert (held.features, held.settling) == (stripe.changes[-1][1], None), f"seed {seed}"


def test_every_history_ends_as_stripe_is() -> None:
    for seed in range(2_000):
        history(seed)


# ------------------------------------------------------------------ events


def summary(**changes: Any) -> dict[str, Any]:
    listed = {"object": "list", "data": [{"id": "ent_1", "lookup_key": "sso"}], "has_more": False}
    return {
        "object": "entitlements.active_entitlement_summary",
        "customer": "cus_1",
        "livemode": False,
        "entitlements": listed,
    } | changes


def event(subject: dict[str, Any] | None = None, **changes: Any) -> bytes:
    return json.dumps(
        {
            "id": "evt_1",
            "object": "event",
            "type": "entitlements.active_entitlement_summary.updated",
            "created": NOW,
            "livemode": False,
            "data": {"object": summary() if subject is None else subject},
        }
        | changes
    ).encode()


def test_a_summary_names_the_customer_and_up_to_nine_features() -> None:
    def features(data: list[dict[str, str]], *, has_more: bool = False) -> tuple[str, ...] | None:
        listed = {"object": "list", "data": data, "has_more": has_more}
        return entitlements_signal(read_event(event(summary(entitlements=listed)))).features

    keys = [{"lookup_key": f"f{number}"} for number in range(10)]
    assert entitlements_signal(read_event(event())) == EntitlementsSignal(NOW, "cus_1", ("sso",))
    assert features([]) == ()
    assert features(keys[:9]) == tuple(f"f{number}" for number in range(9))
    assert features(keys) is None
    assert features(keys[:2], has_more=True) is None
    assert entitlements_signal(read_event(event(summary(entitlements=None)))).features is None


@pytest.mark.parametrize("wrong", [{"customer": None}, {"customer": "sub_1"}, {"entitlements": {"data": [{}]}}])
def test_what_cannot_be_read_is_kept_and_its_values_are_not_told(wrong: dict[str, Any]) -> None:
    with pytest.raises(UnreadableEvent, match=next(iter(wrong))) as raised:
        entitlements_signal(read_event(event(summary(**wrong))))
    assert raised.value.__cause__ is None
    assert "sub_1" not in str(raised.value)


def intake(table: FakeTable, stripe: FakeStripe, *, on: bool = True) -> Intake:
    return Intake(None, lambda: False, "acct_1", made(table, stripe) if on else None)  # type: ignore[arg-type]


def outcome(body: bytes, *, on: bool = True) -> Outcome | Ignored:
    table = FakeTable()
    result = intake(table, FakeStripe(), on=on).apply_event(body, now=NOW, received=NOW, defer=lambda _: None)
    assert bool(table.requests) == (result.outcome is Outcome.QUEUED)
    return result.outcome


def test_only_events_of_this_account_and_mode_count_and_none_where_entitlements_are_off() -> None:
    assert outcome(event()) is Outcome.QUEUED
    assert outcome(event(), on=False) is Ignored.OTHER_TYPE
    assert outcome(event(account="acct_2")) is Ignored.OTHER_ACCOUNT
    assert outcome(event(livemode=True)) is Ignored.OTHER_MODE
    assert outcome(event(type="entitlements.feature.updated")) is Ignored.OTHER_TYPE


def test_a_thin_event_names_no_customer_and_is_kept() -> None:
    thin = {
        "id": "evt_1",
        "object": "v2.core.event",
        "type": "v1.entitlements.active_entitlement_summary.updated",
        "created": "2026-11-28T10:00:00Z",
        "livemode": False,
    }
    with pytest.raises(UnreadableEvent) as raised:
        outcome(json.dumps(thin).encode())
    assert raised.value.code == "thin_event_without_customer"
    assert outcome(json.dumps(thin).encode(), on=False) is Ignored.OTHER_TYPE
