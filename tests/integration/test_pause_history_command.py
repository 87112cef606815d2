"""What `portal pauses` prints of the table `Pauses`."""

import csv
import json
from dataclasses import replace
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from cli.pause_history import ListedPause, listed_pauses
from shared.errors import InvalidRequest
from shared.i18n import say
from tests.integration.pausing_world import DAY, TEAM, World, pauses, world

__all__ = ["pauses", "world"]
EASTERN = ZoneInfo("Pacific/Auckland")


def run(world: World, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Result:
    deployment = SimpleNamespace(pauses=world.table, timezone=EASTERN)
    monkeypatch.setattr("cli.main.Deployment.of_stack", lambda _name: deployment)
    return CliRunner().invoke(app, ["pauses", *arguments], catch_exceptions=False)


def listed(world: World, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> list[dict[str, object]]:
    found = json.loads(run(world, monkeypatch, "--format", "json", *arguments).stdout)
    return found.get("pauses") or found["history"]  # type: ignore[no-any-return]


def test_an_earlier_pause_is_listed_beside_the_present_one_with_whoever_set_each(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscription = world.subscribe()
    world.pause(subscription, world.day(60), reason="holiday")
    world.undo(subscription)
    world.pause(subscription, world.day(900), actor=TEAM, override=True)
    world.pause(subscription, world.day(90))  # the customer changes the team's pause
    found = listed(world, monkeypatch)
    assert {(one["actor"], one["actor_name"], one["state"], one["reason"], one["overridden"]) for one in found} == {
        ("customer", None, "ended", "holiday", False),
        ("team", "ops@shop.example", "scheduled", None, True),
    }
    assert [one["actor"] for one in listed(world, monkeypatch, "--open")] == ["team"]
    assert {one["resumes"] for one in listed(world, monkeypatch, "--open")} == {world.record(subscription).resumes}


def test_the_list_does_not_depend_on_the_order_of_a_scan(world: World) -> None:
    subscription = world.subscribe()
    world.pause(subscription, world.day(60))
    world.pass_time(world.period_end(subscription) + DAY)
    items = list(world.table.everything())
    assert len(items) > 2
    assert listed_pauses(items) == listed_pauses(reversed(items))
    (pause,) = listed_pauses(items)
    assert isinstance(pause, ListedPause)
    assert pause.state == "paused"


def test_one_customers_pauses_do_not_show_anothers(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = world.subscribe()
    world.pause(mine, world.day(60))
    first = world.customer
    world.customer = world.stripe.v1.customers.create({"payment_method": "pm_card_visa"}).id
    theirs = world.subscribe()
    world.pause(theirs, world.day(60))
    assert [one["subscription"] for one in listed(world, monkeypatch, "--customer", first)] == [mine]
    assert {one["subscription"] for one in listed(world, monkeypatch)} == {mine, theirs}


def test_text_keeps_ids_whole_in_80_columns_and_gives_days_in_the_stacks_time_zone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.timezone = EASTERN
    subscription = world.subscribe()
    result = world.pause(subscription, world.day(60), reason="too_expensive", actor=TEAM)
    assert result.record
    for arguments in ((), (subscription,), ("--language", "fr")):
        text = run(world, monkeypatch, *arguments).stdout
        assert f"{subscription} {world.customer}" in text.splitlines()
        assert max(map(len, text.splitlines())) <= 80
        assert "too_expensive" in text
        assert "ops@shop.example" in text
    assert say(world.day(60), "en") in run(world, monkeypatch).stdout
    assert "équipe (ops@shop.example)" in run(world, monkeypatch, "--language", "fr").stdout


def test_a_history_shows_every_step_oldest_first(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    subscription = world.subscribe()
    world.pause(subscription, world.day(60))
    world.pause(subscription, world.day(80), actor=TEAM)
    world.undo(subscription)
    entries = listed(world, monkeypatch, subscription)
    assert [one["action"] for one in entries] == ["set", "changed", "undone"]
    text = run(world, monkeypatch, subscription).stdout
    assert text.index(": set") < text.index(": changed") < text.index(": undone")
    assert run(world, monkeypatch, "sub_unknown").stdout == "0 pauses.\n"
    headers = [
        run(world, monkeypatch, each, "--format", "csv").stdout.split("\n")[0] for each in (subscription, "sub_0")
    ]
    assert headers[0] == headers[1]


def test_text_from_the_table_steers_neither_the_terminal_nor_a_spreadsheet(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscription = world.subscribe()
    world.pause(subscription, world.day(60))
    record = world.record(subscription)
    (entry,) = world.history(subscription)
    bad = replace(entry, at=entry.at - 1, actor="team", actor_name="=HYPERLINK(1)\x1b[2J")
    assert world.table.write(record, record, bad)
    assert "\x1b" not in run(world, monkeypatch).stdout
    assert "\\x1b" in run(world, monkeypatch, subscription).stdout
    (row,) = csv.DictReader(run(world, monkeypatch, "--format", "csv").stdout.splitlines())
    assert row["actor_name"].startswith("'=")
    assert row["begins"].endswith(("+13:00", "+12:00"))


def test_contradicting_arguments_are_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments in (("sub_1", "--open"), ("cus_1",), ("--customer", "sub_1")):
        with pytest.raises(InvalidRequest):
            run(world, monkeypatch, *arguments)
