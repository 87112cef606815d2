"""The calls that the commands about pauses make are those that the docs name: none is missing, and none too much."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.deployment import Deployment
from cli.main import app
from tests.integration.conftest import Aws
from tests.integration.simulator_fixtures import RunningSimulator
from tests.permissions import COMMANDS, CommandRecorder

UNTIL = ("--until", str((datetime.now(UTC) + timedelta(days=60)).date()))
CONVERT = ("--all", "--now", "--apply", "--confirm", "2", "--requests-per-second", "100")


class Team:
    """Runs commands against a deployment, and records the calls of those that it is asked to record."""

    def __init__(self, aws: Aws, simulator: RunningSimulator, recorder: CommandRecorder) -> None:
        self.simulator, self.stripe, self.recorder = simulator, simulator.client(), recorder
        self.deployment = Deployment(
            aws.template.outputs(), simulator.url, parameters=dict(aws.template.parameters()) | {"PauseNow": "forfeit"}
        )
        self.customer = self.stripe.v1.customers.create({"payment_method": "pm_card_visa"}).id
        product = self.stripe.v1.products.create({"name": "Gold"}).id
        recurring: Any = {"interval": "month"}
        self.price = self.stripe.v1.prices.create(
            {"product": product, "currency": "eur", "unit_amount": 1200, "recurring": recurring}
        ).id

    def run(self, *words: str, record: str | None = None) -> None:
        self.recorder.driven = record
        result = CliRunner().invoke(app, [*words])
        self.recorder.driven = None
        assert result.exit_code in {0, 1}, result.exception or result.output

    def subscribe(self, mode: Any = "flexible", **params: Any) -> str:
        wanted: Any = {"customer": self.customer, "items": [{"price": self.price}], "billing_mode": {"type": mode}}
        return self.stripe.v1.subscriptions.create(wanted | params).id

    def paused(self, *more: str, mode: str = "flexible") -> str:
        subscription = self.subscribe(mode)
        self.run("pause", subscription, *UNTIL, "--apply", *more)
        return subscription

    def decline(self) -> None:
        method = self.stripe.v1.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": self.customer}).id
        self.stripe.v1.customers.update(self.customer, {"invoice_settings": {"default_payment_method": method}})

    def paused_collection(self) -> None:
        """Two subscriptions whose collection is paused, until a day and without an end."""
        back = int((datetime.now(UTC) + timedelta(days=90)).timestamp())
        for until in ({"resumes_at": back}, {}):
            pause: Any = {"pause_collection": {"behavior": "void"} | until}
            self.stripe.v1.subscriptions.update(self.subscribe(), pause)


def pause(team: Team) -> None:
    team.run("pause", team.subscribe(), *UNTIL, record="pause")
    for words in (UNTIL, ("--undo",), ("--release",)):
        team.run("pause", team.paused(), *words, record="pause")


def pause_apply(team: Team) -> None:
    def run(*words: str) -> None:
        team.run("pause", *words, "--apply", record="pause --apply")

    later = ("--until", str((datetime.now(UTC) + timedelta(days=80)).date()))
    for mode in ("flexible", "classic"):
        subscription = team.subscribe(mode)
        run(subscription, *UNTIL)
        run(subscription, *later)
        run(subscription, "--undo")
    run(team.paused("--now"), "--release")
    # A resume that waits for its payment is given up with the date of return.
    waiting = team.paused("--now")
    team.decline()
    team.run("resume", waiting, "--apply")
    run(waiting, "--release")


def resume(team: Team) -> None:
    team.run("resume", team.paused(), record="resume")
    team.run("resume", team.paused("--now"), record="resume")


def resume_apply(team: Team) -> None:
    def run(subscription: str) -> None:
        team.run("resume", subscription, "--apply", record="resume --apply")

    run(team.paused())
    run(team.paused("--now"))
    run(team.paused(mode="classic"))
    released = team.paused("--now")
    team.run("pause", released, "--release", "--apply")
    run(released)
    declined = team.paused("--now")
    team.decline()
    run(declined)


def convert(team: Team) -> None:
    team.paused_collection()
    team.run("convert", record="convert")


def convert_apply(team: Team) -> None:
    for answer in ("keep", "refuse"):
        team.simulator.admin("POST", "billing", {"pause_of_paused_collection": answer})
        team.paused_collection()
        team.run("convert", *CONVERT, record="convert --apply")


def pauses(team: Team) -> None:
    team.paused()
    team.run("pauses", record="pauses")


def pauses_of_one(team: Team) -> None:
    team.run("pauses", team.paused(), record="pauses SUBSCRIPTION")


USES: dict[str, Callable[[Team], None]] = {
    "pause": pause,
    "pause --apply": pause_apply,
    "resume": resume,
    "resume --apply": resume_apply,
    "convert": convert,
    "convert --apply": convert_apply,
    "pauses": pauses,
    "pauses SUBSCRIPTION": pauses_of_one,
}


@pytest.fixture
def team(aws: Aws, simulator: RunningSimulator, monkeypatch: pytest.MonkeyPatch) -> Team:
    recorder = CommandRecorder()
    recorder.install(monkeypatch, lambda: simulator.url)
    for kind in ("AWS::DynamoDB::Table", "AWS::SecretsManager::Secret"):
        for logical_id in aws.template.resources(kind):
            recorder.logical_ids[aws.template.ref(logical_id)] = logical_id
    made = Team(aws, simulator, recorder)
    monkeypatch.setattr(Deployment, "of_stack", lambda _name: made.deployment)
    monkeypatch.delenv("PORTAL_STRIPE_API_KEY", raising=False)
    return made


@pytest.mark.parametrize("command", COMMANDS)
def test_what_a_command_calls_is_what_is_documented(team: Team, command: str) -> None:
    USES[command](team)
    assert team.recorder.stripe[command] == COMMANDS[command].stripe
    assert team.recorder.aws[command] == COMMANDS[command].aws
