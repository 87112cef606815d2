"""`portal backfill` brings in the whole account, whatever fails or happens meanwhile."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from cli.recover import backfill as filling
from cli.recover import commands as recover_commands
from cli.recover.backfill import BackfillProgress, BackfillStep, backfill
from shared.errors import OperatorError, Unavailable
from shared.mirror.rule import Outcome
from shared.stripe import lists
from shared.stripe.events import SubscriptionEvent
from tests.integration.conftest import Aws
from tests.integration.recovery_world import FAST, World, make_world
from tests.integration.simulator_fixtures import RunningSimulator

LIST = "GET /v1/subscriptions"


@pytest.fixture
def world(aws: Aws, simulator: RunningSimulator, monkeypatch: pytest.MonkeyPatch) -> World:
    return make_world(aws, simulator, monkeypatch)


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten subscriptions a page: a hundred take most of a test's time to make."""
    monkeypatch.setattr(lists, "PAGE", 10)


def fill(world: World, **options: Any) -> Iterator[BackfillProgress]:
    """Backfill without the pauses of patience."""
    limit = options.pop("limit", None) or world.limit()
    defaults: dict[str, Any] = {"dry_run": False, "now": world.later(0), "retention": timedelta(days=400)}
    rule = options.pop("rule", None) or world.rule(limit)
    return backfill(world.simulator.client(), world.table, rule, limit=limit, **defaults | options)


def test_an_empty_mirror_is_filled_with_every_page_canceled_ones_too(world: World) -> None:
    ids = world.subscribe(103)
    world.simulator.client().v1.subscriptions.cancel(ids[0])
    result = world.portal("backfill", *FAST)
    assert (result.exit_code, result.stdout) == (0, "103 read, 103 written\n")
    assert world.statuses() == dict.fromkeys(ids, "active") | {ids[0]: "canceled"}
    assert world.requests(LIST) <= 2 + lists.STREAMS
    assert {item.event_id for item in world.held().values()} == {None}


def test_a_dry_run_counts_what_differs_and_writes_nothing(world: World) -> None:
    same, changed = world.subscribe(2)
    world.portal("backfill", *FAST)
    world.later()
    world.change(changed, status="past_due")
    world.subscribe()
    before = world.held()
    result = world.portal("backfill", "--dry-run", *FAST)
    assert result.exit_code == 0
    assert result.stdout == ("3 read, 2 to be written, 1 as it should be\nA dry run: nothing was written.\n")
    assert world.held() == before
    assert before[same].revision == 1


@pytest.mark.usefixtures("small_pages")
def test_an_interrupted_backfill_says_where_to_go_on_and_nothing_is_left_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = world.subscribe(15)
    whole = recover_commands._fill

    def interrupted(*arguments: Any, **options: Any) -> Iterator[BackfillProgress]:
        yield next(whole(*arguments, **options))
        raise KeyboardInterrupt

    monkeypatch.setattr(recover_commands, "_fill", interrupted)
    stopped = world.portal("backfill", *FAST)
    assert stopped.exit_code != 0
    assert f"Go on with: portal backfill --starting-after {ids[5]}" in stopped.stderr
    monkeypatch.setattr(recover_commands, "_fill", whole)
    assert world.portal("backfill", "--starting-after", ids[5], *FAST).exit_code == 0
    assert set(world.held()) == set(ids)


@pytest.mark.usefixtures("small_pages")
def test_a_failed_backfill_goes_on_where_it_stopped(world: World) -> None:
    ids = world.subscribe(25)
    steps = fill(world)
    done = [next(steps)]
    world.fail({"status": 500, "times": 99, "path": "/v1/subscriptions"})
    with pytest.raises(Unavailable):
        done.extend(steps)
    world.fail()
    assert done[-1].read < 25
    assert done[-1].starting_after in ids
    assert list(fill(world, starting_after=done[-1].starting_after))
    assert set(world.held()) == set(ids)


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("status", [429, 500, 503])
def test_no_page_is_lost_when_stripe_fails_for_a_while(world: World, status: int) -> None:
    ids = world.subscribe(11)
    world.fail({"status": status, "times": 5, "path": "/v1/subscriptions"})
    *_, last = fill(world)
    assert (last.read, last.failed) == (11, 0)
    assert set(world.held()) == set(ids)


@pytest.mark.usefixtures("small_pages")
def test_the_simulated_rate_limit_is_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filling, "STREAMS", 1)
    world.subscribe(31)
    world.simulator.admin("DELETE", "requests")
    world.simulator.admin("POST", "faults", {"requests_per_second": 5})
    result = world.portal("backfill", "--requests-per-second", "5")
    assert result.exit_code == 0
    # None was refused, or it would have been asked for again.
    assert world.requests(LIST) == 4


def test_webhooks_that_arrive_meanwhile_are_not_overwritten(world: World) -> None:
    (subscription_id,) = world.subscribe()
    rule, limit = world.rule(world.limit()), world.limit()
    page_time = world.later()

    class Late:
        """Brings the page only after a webhook has brought something newer."""

        def observe(self, found: Any, *, is_fresh: bool = False) -> Outcome:
            newer = replace(found.subscription, status="past_due")
            event = SubscriptionEvent("evt_1", page_time + 60, newer)
            assert rule.apply(event, now=page_time + 60) is Outcome.APPLIED
            return rule.observe(found, is_fresh=is_fresh)

    *_, last = fill(world, rule=Late(), limit=limit)
    assert last.outcomes == {Outcome.STALE: 1}
    assert world.statuses() == {subscription_id: "past_due"}


def test_a_webhook_that_comes_late_does_not_undo_the_backfill(world: World) -> None:
    (subscription_id,) = world.subscribe()
    before = world.later(0)
    world.later()
    world.change(subscription_id, status="past_due")
    world.portal("backfill", *FAST)
    held = world.held()[subscription_id].subscription
    late = SubscriptionEvent("evt_1", before, replace(held, status="active"))
    assert world.rule(world.limit()).apply(late, now=before) is Outcome.STALE
    assert world.statuses() == {subscription_id: "past_due"}


def test_a_subscription_that_cannot_be_read_is_reported_and_does_not_stop_the_others(world: World) -> None:
    good, bad = world.subscribe(2)
    world.change(bad, customer=None)
    result = world.portal("backfill", *FAST)
    assert result.exit_code == 1
    assert "subscription_without_customer" in result.stdout
    assert bad in result.stdout
    assert "2 read, 1 written, 1 failed" in result.stdout
    assert set(world.held()) == {good}


def test_what_ended_before_the_retention_is_not_written_only_to_expire(world: World) -> None:
    old, recent = world.subscribe(2)
    now = world.later(0)
    world.change(old, status="canceled", ended_at=now - 401 * 86_400)
    world.change(recent, status="canceled", ended_at=now - 399 * 86_400)
    *_, last = fill(world)
    assert last.outcomes == {BackfillStep.EXPIRED: 1, Outcome.APPLIED: 1}
    assert world.statuses() == {recent: "canceled"}


def test_what_the_mirror_still_says_to_be_alive_is_corrected_however_long_ago_it_ended(world: World) -> None:
    (subscription_id,) = world.subscribe()
    world.portal("backfill", *FAST)
    world.change(subscription_id, status="canceled", ended_at=world.later() - 401 * 86_400)
    *_, last = fill(world)
    assert last.outcomes == {Outcome.APPLIED: 1}
    assert world.statuses() == {subscription_id: "canceled"}


def test_a_slow_page_costs_no_read_of_each_subscription(world: World) -> None:
    ids = world.subscribe(2)
    limit = world.limit()
    rule = world.rule(limit)

    class Slow:
        def observe(self, found: Any, *, is_fresh: bool = False) -> Outcome:
            return rule.observe(replace(found, took=9.0), is_fresh=is_fresh)

    list(fill(world, rule=Slow(), limit=limit))
    assert set(world.held()) == set(ids)
    assert world.requests("GET /v1/subscriptions/{id}") == 0


def test_a_cursor_that_stripe_does_not_know_is_refused(world: World) -> None:
    with pytest.raises(OperatorError, match="starting_after"):
        world.portal("backfill", "--starting-after", "sub_unknown")


def test_a_refused_key_is_the_operators_to_mend(world: World) -> None:
    world.fail({"status": 401, "times": 1})
    with pytest.raises(OperatorError, match="stripe_api_key"):
        list(fill(world))


def test_an_empty_account_is_no_failure(world: World) -> None:
    result = world.portal("backfill")
    assert (result.exit_code, result.stdout) == (0, "0 read\n")
