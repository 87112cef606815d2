"""The requests of pauses that docs/explanation/cost.md is built on are those that are made."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from functions.pause import app as pause_app
from functions.pause.wiring import wire
from local.gateway.event import HttpResponse
from shared.pausing.history import PauseRecord, PauseState
from tests.costs import PAUSE_ENTRIES, PAUSE_ENTRY_BYTES, PAUSE_METRICS, PAUSE_RECORD_BYTES, PAUSES, Way
from tests.integration.conftest import Api, Aws
from tests.integration.simulator_fixtures import RunningSimulator
from tests.integration.test_pause_function import Pauses, day, tick
from tests.integration.test_strangers import aws_calls
from tests.unit.test_alarms import OPERATIONS

DAY = 86_400


class Shop(Pauses):
    """A customer who pauses, and a clock for the function and for Stripe."""

    def __init__(self, api: Api, simulator: RunningSimulator, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(api, simulator)
        self.now, parts = int(time.time()), wire()
        pausing = replace(parts.pausing, clock=lambda: self.now)
        moved = replace(parts, answers=replace(parts.answers, pausing=pausing))
        monkeypatch.setattr(pause_app, "_wire", lambda: moved)
        self.table = pausing.table

    def go_to(self, moment: int) -> None:
        self.now = moment
        self.simulator.admin("POST", "clock", {"now": moment})

    def page(self) -> HttpResponse:
        return self.api.send("GET /pause", query=f"token={self.token()}")

    @property
    def items(self) -> list[dict[str, Any]]:
        """What the table has of the subscription."""
        listed: Any = self.table._client.scan(TableName=self.table._table_name)["Items"]
        return [item for item in listed if item["subscription_id"]["S"] == self.subscription]

    @property
    def record(self) -> PauseRecord:
        found = self.table.get(self.subscription)
        assert found
        return found


@pytest.fixture
def shop(api: Api, aws: Aws, simulator: RunningSimulator, monkeypatch: pytest.MonkeyPatch) -> Shop:
    aws.clients.sesv2.create_email_identity(EmailIdentity="hello@shop.example")
    monkeypatch.setenv("PAUSE_ALLOWED", "everybody")
    monkeypatch.setenv("PAUSE_EMAIL_FROM", "hello@shop.example")
    return Shop(api, simulator, monkeypatch)


def test_each_step_of_a_pause_makes_the_requests_that_the_page_of_costs_names(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: dict[str, Way] = {}

    def count(name: str, go: Callable[[], object]) -> None:
        before = sum(shop.simulator.admin("GET", "requests").values())
        with aws_calls(monkeypatch) as calls:
            go()
        asked = sum(shop.simulator.admin("GET", "requests").values()) - before
        # SES names its operation by the path.
        found = {"SendEmail" if name == "POST" else name: number for name, number in calls.items()}
        counted[name] = Way(PAUSES[name].title, found, asked)

    # Warm: a whole pause of another subscription, for the secrets and for the clients.
    other = shop.stripe.v1.subscriptions.retrieve(shop.others).id
    shop.ask("pause", other, token=shop.token(sub=shop.other), resume_on=day(60))
    shop.ask("undo", other, token=shop.token(sub=shop.other))
    shop.page()
    count("pause_due", tick)
    count("pause_page", shop.page)
    count("pause", lambda: shop.ask("pause", resume_on=day(60)))
    begins, resumes = shop.record.begins, shop.record.resumes
    shop.go_to(shop.now + DAY)
    count("pause_look", tick)
    shop.go_to(begins + 60)
    count("pause_begins", tick)
    assert shop.record.state is PauseState.PAUSED
    # By then the schedule's last phase is over, and Stripe has released it.
    shop.go_to(resumes - 5 * DAY)
    count("pause_replan", tick)
    shop.go_to(resumes - 4 * DAY)
    count("pause_notice", tick)
    shop.go_to(resumes + 60)
    count("pause_returns", tick)
    assert (shop.record.state, shop.record.outcome) == (PauseState.ENDED, "resumed")
    assert counted == PAUSES
    stored = [_size(item) for item in shop.items]
    assert len(stored) == 1 + PAUSE_ENTRIES
    assert max(stored) <= PAUSE_RECORD_BYTES
    assert sorted(stored)[-2] <= PAUSE_ENTRY_BYTES


def _size(item: dict[str, dict[str, Any]]) -> int:
    """Return the bytes of an item: of its names and its values, a number taken for text."""
    return sum(len(name) + len(str(*value.values()).encode()) for name, value in item.items())


def test_the_metrics_of_pauses_that_are_paid_for_are_those_of_the_reference() -> None:
    assert [name for name in PAUSE_METRICS if f"`{name}`" not in OPERATIONS] == []
