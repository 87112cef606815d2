"""`portal pause`, and `portal resume` of one subscription, by the team."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli.deployment import Deployment
from cli.main import app
from cli.resume import Beginning, Calendar, resume_plan
from shared.errors import InvalidRequest
from shared.i18n import say
from shared.pausing.conversion import ConversionRequest
from shared.pausing.operations import Outcome
from shared.pausing.policy import PausePolicy
from shared.stripe.gateway import read_from_stripe
from tests.integration.pausing_world import DAY, TEAM, World, pauses, world

__all__ = ["pauses", "world"]

RULES = PausePolicy(max_pause_days=60, pause_reasons=("holiday",))


def run(world: World, monkeypatch: pytest.MonkeyPatch, *arguments: str, local: bool = True) -> Result:
    deployment = SimpleNamespace(pausing=world.pausing, pause_policy=RULES, is_local=local)
    monkeypatch.setattr("cli.main.Deployment.of_stack", lambda _name: deployment)
    monkeypatch.setenv("USER", "ada")
    return CliRunner().invoke(app, arguments, catch_exceptions=False)


def test_a_dry_run_prints_the_plan_and_changes_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    subscription = world.subscribe()
    before = world.read(subscription)
    world.requests.clear()
    result = run(world, monkeypatch, "pause", subscription, "--until", str(world.day(60)))
    assert result.exit_code == 0
    end = datetime.fromtimestamp(world.period_end(subscription), UTC)
    for words in (f"service until {say(end.date(), 'en')}", f"returns {say(world.day(60), 'en')}", "--apply"):
        assert words in result.stdout
    assert world.read(subscription) == before
    assert world.table.get(subscription) is None
    assert [each for each in world.requests if not each.startswith("get ")] == []


def test_the_history_names_the_operator_and_the_mirror_image_of_the_dry_run(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscription = world.subscribe()
    arguments = ("pause", subscription, "--until", str(world.day(60)), "--reason", "holiday")
    dry = run(world, monkeypatch, *arguments).stdout
    result = run(world, monkeypatch, *arguments, "--by", "grace", "--apply")
    assert result.exit_code == 0
    (entry,) = world.history(subscription)
    assert (entry.actor, entry.actor_name, entry.reason, entry.overridden) == ("team", "grace", "holiday", False)
    planned = {line for line in dry.splitlines() if line.startswith(("  returns", "  service", "  next"))}
    assert len(planned) == 3
    assert planned <= set(result.stdout.splitlines())


def test_the_companys_rules_hold_for_the_team_unless_it_overrides_them_which_is_kept(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscription = world.subscribe()
    for extra in ((), ("--apply",)):
        result = run(world, monkeypatch, "pause", subscription, "--until", str(world.day(200)), *extra)
        assert result.exit_code == 1
        assert "pause_too_long" in result.stdout
    assert world.table.get(subscription) is None
    result = run(world, monkeypatch, "pause", subscription, "--until", str(world.day(200)), "--override", "--apply")
    assert result.exit_code == 0
    assert [entry.overridden for entry in world.history(subscription)] == [True]


def test_no_override_pauses_what_stripe_or_the_companys_schedule_decides(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscription = world.subscribe()
    world.stripe.v1.subscriptions.update(subscription, {"cancel_at_period_end": True})
    for extra in ((), ("--apply",)):
        until = str(world.day(60))
        result = run(world, monkeypatch, "pause", subscription, "--until", until, "--override", *extra)
        assert (result.exit_code, "canceling" in result.stdout) == (1, True)


def test_a_dry_run_refuses_what_the_companys_own_schedule_will_pause(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscription = world.subscribe()
    entry: Any = {"pause": {"pause_at": {"type": "timestamp", "timestamp": world.now + DAY}}}
    world.stripe.v1.subscription_schedules.create({"from_subscription": subscription, "pause_schedules": [entry]})
    for extra in ((), ("--apply",)):
        result = run(world, monkeypatch, "pause", subscription, "--until", str(world.day(60)), *extra)
        assert (result.exit_code, "paused_elsewhere" in result.stdout) == (1, True)


def test_a_pause_is_undone_by_resume_or_undo_before_it_begins(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for command in (("pause", "--undo"), ("resume",)):
        subscription = world.subscribe()
        world.pause(subscription, world.day(60))
        dry = run(world, monkeypatch, command[0], subscription, *command[1:])
        assert (dry.exit_code, "undone" in dry.stdout) == (0, True)
        assert world.record(subscription).state == "scheduled"
        assert run(world, monkeypatch, command[0], subscription, *command[1:], "--apply").exit_code == 0
        assert world.actions(subscription) == ["set", "undone"]
        assert world.history(subscription)[-1].actor_name == "ada"


def test_resume_charges_a_running_pause_and_undo_does_not(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    subscription = world.subscribe()
    world.pause(subscription, world.day(60))
    world.pass_time(world.period_end(subscription) + DAY)
    paid = world.charges(subscription)
    for extra in ((), ("--apply",)):
        assert run(world, monkeypatch, "pause", subscription, "--undo", *extra).exit_code == 1
    assert "charged, at once" in run(world, monkeypatch, "resume", subscription).stdout
    assert world.charges(subscription) == paid
    assert run(world, monkeypatch, "resume", subscription, "--apply").exit_code == 0
    assert world.read(subscription)["status"] == "active"
    assert len(world.charges(subscription)) == len(paid) + 1


def test_release_says_what_it_has_done(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    none, set_, begun = world.subscribe(), world.subscribe(), world.subscribe()
    collection = world.subscribe(mode="classic")
    world.pause(begun, world.day(60))
    world.pause(collection, world.day(60))
    world.pass_time(world.period_end(begun) + DAY)
    world.pause(set_, world.day(60))
    said = {none: "no pause", set_: "undone", begun: "date of return", collection: "nothing to do"}
    for extra in ((), ("--apply",)):
        for subscription, words in said.items():
            result = run(world, monkeypatch, "pause", subscription, "--release", *extra)
            assert (words in result.stdout, result.exit_code) == (True, int(subscription == none))
    assert [world.actions(each)[-1] for each in (set_, begun, collection)] == ["undone", "released", "begun"]
    assert world.read(begun)["status"] == "paused"
    assert "charged, at once" in run(world, monkeypatch, "resume", begun).stdout


def test_a_resume_that_cannot_be_charged_is_no_success(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    subscription = world.subscribe()
    world.pause(subscription, world.day(60))
    world.pass_time(world.period_end(subscription) + DAY)
    declined = world.stripe.v1.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": world.customer})
    world.stripe.v1.customers.update(world.customer, {"invoice_settings": {"default_payment_method": declined.id}})
    result = run(world, monkeypatch, "resume", subscription, "--apply")
    assert (result.exit_code, "waits for payment" in result.stdout) == (1, True)


def test_stripes_own_words_are_shown_for_the_pause_that_it_refused_and_for_no_later_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscription = world.subscribe()
    fault = {"method": "POST", "path": "/v1/subscription_schedules", "status": 400, "message": "No schedules today."}
    world.simulator.admin("POST", "faults", {"fail": [fault]})
    first = run(world, monkeypatch, "pause", subscription, "--until", str(world.day(60)), "--apply")
    assert (first.exit_code, "No schedules today." in first.stdout) == (1, True)
    later = run(world, monkeypatch, "pause", subscription, "--until", str(world.day(200)), "--apply")
    assert "pause_too_long" in later.stdout
    assert "No schedules today." not in later.stdout


def test_without_by_the_history_has_the_caller_of_aws(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    arn = "arn:aws:sts::123456789012:assumed-role/Support/ada"
    client = SimpleNamespace(get_caller_identity=lambda: {"Arn": arn})
    monkeypatch.setattr("cli.pause.aws_client", lambda service: {"sts": client}[service])
    subscription = world.subscribe()
    until = str(world.day(60))
    assert run(world, monkeypatch, "pause", subscription, "--until", until, "--apply", local=False).exit_code == 0
    assert world.history(subscription)[0].actor_name == "assumed-role/Support/ada"


def test_a_pause_of_somebody_else_is_left_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    subscription = world.subscribe()
    world.stripe.v1.subscriptions.update(subscription, {"pause_collection": {"behavior": "void"}})
    before = world.read(subscription)
    for command in (("pause", "--undo"), ("pause", "--until", str(world.day(60)), "--override"), ("resume",)):
        for extra in ((), ("--apply",)):
            result = run(world, monkeypatch, command[0], subscription, *command[1:], *extra)
            assert result.exit_code == 1
    assert world.read(subscription) == before


@pytest.mark.parametrize("has_begun", [False, True])
def test_the_commands_about_paused_collection_leave_our_pauses_alone(world: World, *, has_begun: bool) -> None:
    subscription = world.subscribe(mode="classic")
    world.pause(subscription, world.day(60))
    if has_begun:
        world.pass_time(world.period_end(subscription) + DAY)
    found, now = read_from_stripe(world.stripe, subscription).subscription, datetime.fromtimestamp(world.now, UTC)
    assert found.pause_collection
    calendar = Calendar(now, world.now + DAY, world.day(1))
    assert resume_plan(found, calendar, Beginning(world.now, exact=True), named=True) is None
    seen = ConversionRequest(found.pause_collection, world.day(90), paid_through=0)
    result = world.pausing.convert(subscription, seen, actor=TEAM, policy=RULES)
    assert (result.outcome, [each.code for each in result.refusals]) == (Outcome.REFUSED, ["paused_elsewhere"])


def test_the_words_are_french_too_and_fit_80_columns(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    subscription = world.subscribe()
    result = run(world, monkeypatch, "pause", subscription, "--until", str(world.day(60)), "--language", "fr")
    assert f"{subscription} serait mis en pause" in result.stdout
    assert "would" not in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_the_rules_are_those_of_the_stacks_parameters() -> None:
    given = {
        "PauseAllowed": "nobody",
        "PauseNow": "forfeit",
        "MaxPauseDays": "61",
        "PauseMinDaysBetween": "7",
        "PauseMaxIn365Days": "2",
        "PauseReasons": "holiday,too_expensive",
        "PauseNoticeDays": "5",
    }
    assert Deployment({}, parameters=given).pause_policy == PausePolicy(
        pause_now="forfeit",
        max_pause_days=61,
        pause_min_days_between=7,
        pause_max_in_365_days=2,
        pause_reasons=("holiday", "too_expensive"),
        pause_notice_days=5,
    )
    assert Deployment({}, parameters=given | {"PauseReasons": ""}).pause_policy.pause_reasons == ()


def test_wrong_arguments_are_refused_before_stripe_is_asked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    until = str(world.day(60))
    for arguments in (
        ("pause", "sub_1"),
        ("pause", "cus_1", "--until", until),
        ("pause", "sub_1", "--until", "tomorrow"),
        ("pause", "sub_1", "--until", until, "--undo"),
        ("pause", "sub_1", "--undo", "--override"),
        ("pause", "sub_1", "--until", until, "--reason", "Holiday!"),
        ("resume", "sub_1", "sub_2"),
        ("resume",),
    ):
        with pytest.raises(InvalidRequest):
            run(world, monkeypatch, *arguments)
    assert world.requests == []
    with pytest.raises(InvalidRequest, match="sub_unknown"):
        run(world, monkeypatch, "pause", "sub_unknown", "--until", until)
