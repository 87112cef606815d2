"""`portal convert`: what it says beforehand, what it asks, and what it does."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from shared.access import AccessPolicy
from shared.errors import OperatorError, PortalError, Unavailable
from shared.i18n import say
from shared.pausing.history import PauseState
from shared.pausing.operations import Pausing
from shared.pausing.policy import PausePolicy
from tests.integration.dynamodb_fixtures import Subscriptions
from tests.integration.pausing_world import DAY, Watcher, World, pauses, world
from tests.integration.simulator_fixtures import server

__all__ = ["pauses", "server", "world"]

MONTH = 31 * DAY


@dataclass
class Portal:
    """The command, with a deployment whose mirror is true."""

    world: World
    watcher: Watcher
    deployment: SimpleNamespace

    def __call__(self, *words: str, answers: str | None = None) -> Result:
        self.watcher.catch_up()
        self.deployment.clock = self.world.now
        return CliRunner().invoke(app, ["convert", *words], input=answers)

    def refused(self, *words: str, answers: str | None = None) -> str:
        error = self(*words, answers=answers).exception
        assert isinstance(error, PortalError)
        return error.code


@pytest.fixture
def portal(world: World, subscriptions: Subscriptions, monkeypatch: pytest.MonkeyPatch) -> Portal:
    table = subscriptions.table()
    deployment = SimpleNamespace(
        paced_pausing=lambda _limit: world.pausing,
        operator_stripe=world.stripe,
        mirror=table,
        pause_policy=PausePolicy(),
        access_policy=AccessPolicy(),
        parameters={"PauseEmailFrom": "hello@shop.example"},
        is_local=True,
        clock=world.now,
    )
    monkeypatch.setattr("cli.main.Deployment.of_stack", lambda _name: deployment)
    monkeypatch.setenv("USER", "ada")
    return Portal(world, Watcher(world, table), deployment)


def paused(world: World, watcher: Watcher, *, returns_in: int | None = None, **params: Any) -> str:
    """A subscription whose collection was paused in a period that was paid, ten days into the next one."""
    behavior = params.pop("behavior", "void")
    subscription = world.subscribe(**params)
    end = world.period_end(subscription)
    world.go_to(world.now + DAY)
    until = {} if returns_in is None else {"resumes_at": end + returns_in}
    changes: Any = {"pause_collection": {"behavior": behavior} | until}
    world.stripe.v1.subscriptions.update(subscription, changes)
    watcher.catch_up()
    world.go_to(end + 10 * DAY)
    watcher.catch_up()
    return subscription


def at(moment: int) -> str:
    return say(datetime.fromtimestamp(moment, UTC).date(), "en")


def test_a_dry_run_says_what_each_customer_will_notice_and_changes_nothing(portal: Portal) -> None:
    world = portal.world
    timed = paused(world, portal.watcher, returns_in=60 * DAY, behavior="keep_as_draft")
    untimed = paused(world, portal.watcher)
    before = [world.read(each) for each in (timed, untimed)]
    answer = portal()
    assert answer.exit_code == 0
    back = at(before[0]["pause_collection"]["resumes_at"])
    said = {each: answer.stdout.split(f"{each} ")[1].split("sub_")[0] for each in (timed, untimed)}
    for words in (
        "paused at once instead of active",
        "service: ends at once",
        "stay drafts",
        back,
        "12.00",
        "schedule is",
    ):
        assert words in said[timed], words
    for words in ("has none, as before", "void, and stay so", "return: none", "mail: none"):
        assert words in said[untimed], words
    assert "2 would be changed." in answer.stdout
    assert "Add --apply to do it." in answer.stdout
    assert [world.read(each) for each in (timed, untimed)] == before
    assert [world.table.get(each) for each in (timed, untimed)] == [None, None]


def test_who_is_converted_has_to_be_said_and_confirmed(portal: Portal) -> None:
    world = portal.world
    made = [paused(world, portal.watcher, returns_in=days * DAY) for days in (90, 120)]
    before = [world.read(each) for each in made]
    assert portal.refused("--apply") == "apply_to_whom"
    assert portal.refused(made[0], "--all", "--apply") == "apply_to_whom"
    for words, answers in ((("--all",), ""), (("--all",), "1\n"), (("--all", "--confirm", "3"), None)):
        assert portal.refused("--apply", *words, answers=answers) == "not_confirmed"
    assert [world.read(each) for each in made] == before
    answer = portal("--apply", "--all", answers="2\n")
    assert answer.exit_code == 0
    days = sorted(at(each["pause_collection"]["resumes_at"]) for each in before)
    asked = next(line for line in answer.stderr.splitlines() if line.startswith("2 subscriptions will be paused"))
    assert "2 of them return by themselves" in asked
    assert "Only if that is interrupted, and the pause function does not run before the renewal" in " ".join(
        asked.split()
    )
    assert "24.00" in asked
    assert all(each in asked for each in days)
    assert "2 done." in answer.stdout
    assert [world.record(each).state for each in made] == [PauseState.PAUSED] * 2
    assert [(entry.actor, entry.actor_name) for entry in world.history(made[0])[:1]] == [("team", "ada")]


def test_one_is_converted_to_a_day_and_the_others_are_left_alone(portal: Portal) -> None:
    world = portal.world
    one, other = (paused(world, portal.watcher) for _ in range(2))
    before = world.read(other)
    until = world.day(60)
    assert portal(one, "--until", str(until), "--apply", "--confirm", "1", "--by", "grace").exit_code == 0
    assert world.record(one).asked_resume == until.isoformat()
    assert world.read(other) == before


def test_one_without_a_date_of_return_is_listed_as_open_ended(portal: Portal) -> None:
    paused(portal.world, portal.watcher)
    assert portal("--all", "--apply", "--confirm", "1").exit_code == 0
    portal.deployment.pauses, portal.deployment.timezone = portal.world.table, UTC
    listed = CliRunner().invoke(app, ["pauses"]).stdout
    assert "open-ended, from " in listed
    assert "given up" not in listed


@pytest.mark.parametrize("language", ["en", "fr"])
def test_what_cannot_be_converted_is_explained_and_not_tried(portal: Portal, language: str) -> None:
    world = portal.world
    classic = paused(world, portal.watcher, mode="classic")
    canceling, noted = paused(world, portal.watcher), paused(world, portal.watcher)
    world.stripe.v1.subscriptions.update(canceling, {"cancel_at_period_end": True})
    world.stripe.v1.subscriptions.update(noted, {"metadata": {"portal_pause_ok": "yes"}})
    ours = world.subscribe(mode="classic")
    world.pause(ours, world.day(60))
    before = [world.read(each) for each in (classic, canceling, noted, ours)]
    answer = portal("--apply", "--all", "--language", language)
    assert answer.exit_code == 0
    said = {
        "en": (
            "billing_mode is classic",
            "set to be canceled",
            "has acknowledged this pause",
            "pause of this deployment",
        ),
        "fr": ("billing_mode vaut classic", "résili", "a validé", "pause de ce déploiement"),
    }
    lines = answer.stdout.splitlines()
    for subscription, words in zip((classic, canceling, noted), said[language], strict=False):
        assert words in next(line for line in lines if subscription in line)
    assert [world.read(each) for each in (classic, canceling, noted, ours)] == before


def test_paid_time_is_served_to_its_end(portal: Portal) -> None:
    world = portal.world
    subscription = world.subscribe()
    end = world.period_end(subscription)
    world.stripe.v1.subscriptions.update(subscription, {"pause_collection": {"behavior": "void"}})
    world.go_to(world.now + 3 * DAY)
    assert "was paid" in portal(subscription).stdout
    at_once = portal(subscription, "--now").stdout
    assert f"service: ends at once, and the time that was paid until {at(end)}" in at_once
    until = ("--until", str(world.day(90)))
    assert f"service: ends {at(end)}" in portal(subscription, *until).stdout
    portal(subscription, *until, "--apply", "--confirm", "1")
    assert world.record(subscription).begins == end - 300


def test_without_the_mirror_nobody_loses_time_that_may_have_been_paid(
    portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscription = paused(portal.world, portal.watcher, returns_in=90 * DAY)
    end = portal.world.period_end(subscription)

    def fail(_keys: Any) -> Any:
        raise Unavailable("mirror_unavailable", "no")

    monkeypatch.setattr(portal.deployment, "mirror", SimpleNamespace(get_many=fail))
    monkeypatch.setattr("shared.stripe.pacing.TRIES", 1)
    answer = portal(subscription)
    assert f"service: ends {at(end)}" in answer.stdout
    assert "could not be read" in answer.stderr


def test_its_json_has_what_a_script_needs(portal: Portal) -> None:
    world = portal.world
    timed, classic = paused(world, portal.watcher, returns_in=60 * DAY), paused(world, portal.watcher, mode="classic")
    back = world.read(timed)["pause_collection"]["resumes_at"]
    rows = {row["subscription"]: row for row in json.loads(portal("--format", "json").stdout)["subscriptions"]}
    assert (rows[timed]["outcome"], rows[timed]["resumes"], rows[timed]["first_charge"]) == (
        "would",
        back,
        {"eur": "1200"},
    )
    assert sorted(rows[timed]["notices"]) == ["invoices", "mail", "portal", "return", "service", "status"]
    assert (rows[classic]["outcome"], rows[classic]["reasons"][0]["code"]) == ("skipped", "classic_billing_mode")
    answer = portal("--format", "json", "--apply", "--all", answers="1\n")
    assert "service: " in answer.stderr
    done = json.loads(answer.stdout)["subscriptions"]
    assert {row["subscription"]: row["outcome"] for row in done} == {timed: "done", classic: "skipped"}


def test_what_stripe_refuses_exits_with_1_in_its_own_words(portal: Portal) -> None:
    subscription = paused(portal.world, portal.watcher)
    fault = {
        "status": 400,
        "method": "POST",
        "path": "/v1/subscription_schedules",
        "message": "No cadences.",
        "times": 9,
    }
    portal.world.simulator.admin("POST", "faults", {"fail": [fault]})
    answer = portal(subscription, "--apply", "--confirm", "1")
    assert (answer.exit_code, "failed: Stripe refused: No cadences." in answer.stdout) == (1, True)
    assert portal.world.read(subscription)["pause_collection"]


def interrupted(portal: Portal, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> Result:
    """Convert two; the second one is interrupted after its first request that changes something."""
    convert = Pausing.convert
    calls: list[str] = []

    def once(pausing: Pausing, subscription: str, *args: Any, **options: Any) -> Any:
        calls.append(subscription)
        if len(calls) > 1:
            raise error
        return convert(pausing, subscription, *args, **options)

    for _ in range(2):
        paused(portal.world, portal.watcher)
    monkeypatch.setattr(Pausing, "convert", once)
    return portal("--apply", "--all", "--confirm", "2")


def test_ctrl_c_says_how_far_it_was(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = interrupted(portal, monkeypatch, KeyboardInterrupt())
    assert answer.exit_code == 1
    assert "1 done." in answer.stdout
    assert "Stopped: 1 was not begun" in answer.stdout


def test_a_key_without_permission_stops_it_at_the_first_refusal(
    portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = interrupted(portal, monkeypatch, OperatorError("no_write_permission", "no"))
    assert isinstance(answer.exception, OperatorError)
    assert "1 done." in answer.stdout


def test_one_that_fails_does_not_stop_the_others(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = interrupted(portal, monkeypatch, Unavailable("pauses_unavailable", "The table Pauses did not answer"))
    assert (answer.exit_code, "1 done, 1 failed." in answer.stdout) == (1, True)


def test_a_refusal_near_a_renewal_is_left_to_the_pause_function(portal: Portal) -> None:
    world = portal.world
    world.simulator.admin("POST", "billing", {"pause_of_paused_collection": "refuse"})
    subscription = paused(world, portal.watcher, returns_in=90 * DAY)
    world.go_to(world.period_end(subscription) - 3600)
    paid = world.charges(subscription)
    answer = portal(subscription, "--apply", "--confirm", "1")
    assert (answer.exit_code, "after the renewal" in answer.stdout) == (1, True)
    world.pass_time(world.now + DAY)
    assert (world.read(subscription)["status"], world.charges(subscription)) == ("paused", paid)
