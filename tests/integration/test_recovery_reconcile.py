"""`portal reconcile` finds every difference between mirror and Stripe, and repairs what can be repaired."""

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from stripe import StripeClient
from typer.testing import CliRunner

from cli.main import app
from cli.recover.commands import progress_line
from shared.mirror.drift import ComparisonResult, DriftKind
from shared.mirror.items import Write
from shared.stripe import lists
from shared.stripe.lists import ListPage
from tests.integration.conftest import Aws
from tests.integration.recovery_world import FAST, World, make_world, reconcile_without_waiting
from tests.integration.simulator_fixtures import RunningSimulator


@pytest.fixture
def world(aws: Aws, simulator: RunningSimulator, monkeypatch: pytest.MonkeyPatch) -> World:
    reconcile_without_waiting(monkeypatch)
    return make_world(aws, simulator, monkeypatch)


def drifted(world: World) -> tuple[str, str, str, str]:
    """A mirror with one of each: as it should be, different, absent, unknown to Stripe."""
    same, different = world.subscribe(2)
    world.portal("backfill", *FAST)
    ghost = replace(world.held()[same].subscription, id="sub_ghost")
    world.table.put_if_older(Write(ghost, 1, "evt_ghost"), than=0)
    world.later()
    world.change(different, status="past_due")
    (absent,) = world.subscribe()
    return same, different, absent, ghost.id


def test_a_true_mirror_has_no_drift(world: World) -> None:
    world.subscribe(3)
    world.portal("backfill", *FAST)
    result = world.portal("reconcile", *FAST)
    assert (result.exit_code, result.stdout) == (0, "3 at Stripe, 3 in the mirror, no drift\n")


def test_drift_of_every_kind_is_shown_and_nothing_is_written(world: World) -> None:
    same, different, absent, ghost = drifted(world)
    before = world.held()
    result = world.portal("reconcile", "--format", "json", *FAST)
    assert result.exit_code == 1
    found = {drift["subscription_id"]: drift for drift in json.loads(result.stdout)["drifts"]}
    assert {name: drift["kind"] for name, drift in found.items()} == {
        different: "different",
        absent: "absent_in_mirror",
        ghost: "missing_at_stripe",
    }
    assert [change["field"] for change in found[different]["differences"]] == ["status"]
    assert world.held() == before
    assert same in before


def test_repair_makes_the_mirror_true_and_deletes_nothing(world: World) -> None:
    same, different, absent, ghost = drifted(world)
    result = world.portal("reconcile", "--repair", *FAST)
    assert result.exit_code == 1
    assert "2 repaired" in result.stdout
    assert world.statuses() == {same: "active", different: "past_due", absent: "active", ghost: "active"}
    again = world.portal("reconcile", *FAST)
    assert "1 missing at Stripe" in again.stdout
    assert "different" not in again.stdout


def test_pages_are_read_side_by_side(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stripe takes longer for a page than the rate asks for: one after the other would never reach the rate."""
    monkeypatch.setattr(lists, "PAGE", 5)
    ids = []
    for _ in range(30):
        ids += world.subscribe()
        world.later()
    running, most, read = 0, 0, lists.read_page

    def slow(client: StripeClient, path: str, params: Mapping[str, Any]) -> ListPage:
        nonlocal running, most
        running += 1
        most = max(most, running)
        time.sleep(0.1)
        running -= 1
        return read(client, path, params)

    monkeypatch.setattr(lists, "read_page", slow)
    result = world.portal("reconcile", "--repair", *FAST)
    assert (result.exit_code, set(world.held())) == (0, set(ids))
    assert most > 1


def test_a_canceled_subscription_that_the_mirror_thinks_alive_is_found(world: World) -> None:
    (ended,) = world.subscribe()
    world.portal("backfill", *FAST)
    world.later()
    world.simulator.client().v1.subscriptions.cancel(ended)
    assert world.portal("reconcile", "--repair", *FAST).exit_code == 0
    assert world.statuses() == {ended: "canceled"}


def test_ids_stay_whole_at_eighty_columns(world: World) -> None:
    _, different, absent, ghost = drifted(world)
    result = CliRunner().invoke(app, ["reconcile", *FAST], env={"COLUMNS": "80"})
    for each in (different, absent, ghost, world.customer):
        assert each in result.stdout
    assert len(different) > 20


def test_progress_claims_nothing_that_is_not_known_yet() -> None:
    reading = ComparisonResult(read=200)
    assert progress_line(reading).say("en") == "200 read at Stripe"
    later = ComparisonResult(read=200, mirrored=150, found={DriftKind.ABSENT: 1})
    assert progress_line(later).say("en") == "200 read at Stripe, 150 read in the mirror, 1 difference so far"
