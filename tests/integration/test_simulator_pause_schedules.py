"""Pauses that a subscription schedule plans."""

from typing import Any

import pytest
import stripe

from tests.integration import simulator_fixtures as given
from tests.integration.simulator_fixtures import RunningSimulator, refusal

server, simulator, client, shop, subscribe = (
    given.server,
    given.simulator,
    given.client,
    given.shop,
    given.subscribe,
)

DAY = 86_400


NOW = 1_795_000_000


@pytest.fixture
def now(simulator: RunningSimulator) -> int:
    """The time at which the test begins."""
    simulator.admin("POST", "clock", {"now": NOW})
    return NOW


def at(moment: int) -> dict[str, Any]:
    return {"type": "timestamp", "timestamp": moment}


class Plan:
    """A subscription, and the schedule that plans its pauses; a last phase of a year keeps it attached."""

    def __init__(self, simulator: RunningSimulator, subscription: str, *entries: Any) -> None:
        self.simulator, self.client, self.subscription = simulator, simulator.client(), subscription
        self.id = self.client.v1.subscription_schedules.create(
            {"from_subscription": subscription, "pause_schedules": list(entries)}
        ).id

    def keep_for_a_year(self) -> None:
        """Give the schedule a phase that lasts longer than what is planned."""
        phase = self.read()["phases"][0]
        items = [{"price": one["price"], "quantity": one["quantity"]} for one in phase["items"]]
        phases: Any = [{"start_date": phase["start_date"], "items": items, "duration": {"interval": "year"}}]
        self.client.v1.subscription_schedules.update(self.id, {"phases": phases})

    def update(self, pause_schedules: Any) -> Any:
        """Update the plan; returns its entries."""
        self.client.v1.subscription_schedules.update(self.id, {"pause_schedules": pause_schedules})
        return self.read()["pause_schedules"]

    def read(self) -> Any:
        return self.client.v1.subscription_schedules.retrieve(self.id).to_dict()

    @property
    def states(self) -> tuple[str, str | None, str]:
        """The states of the pause, of the resume, and of the subscription."""
        (entry,) = self.read()["pause_schedules"]
        resume = entry["resume"] and entry["resume"]["status"]["type"]
        return entry["pause"]["status"]["type"], resume, self.status

    @property
    def status(self) -> str:
        return str(self.client.v1.subscriptions.retrieve(self.subscription).status)

    def go_to(self, moment: int) -> None:
        self.simulator.admin("POST", "clock", {"now": moment})


def test_a_plan_made_with_the_schedule_pauses_and_resumes_in_time(
    simulator: RunningSimulator, subscribe: Any, now: int
) -> None:
    plan = Plan(
        simulator,
        subscribe().id,
        {
            "pause": {"pause_at": at(now + 3 * DAY)},
            "resume": {"resume_at": {"type": "duration", "duration": {"interval": "day", "interval_count": 4}}},
        },
    )
    plan.keep_for_a_year()
    (entry,) = plan.read()["pause_schedules"]
    assert (entry["pause"]["pause_at"], entry["resume"]["resume_at"]) == (now + 3 * DAY, now + 7 * DAY)
    assert entry["pause"]["settings"] == {
        "bill_for": {"outstanding_usage_through": {"type": "pause_at"}, "unused_time_from": {"type": "pause_at"}},
        "invoicing_behavior": "pending_invoice_item",
        "type": "subscription",
    }
    assert entry["resume"]["settings"] == {
        "billing_cycle_anchor": "resume_at",
        "payment_behavior": "resume_on_payment_success",
        "proration_behavior": "create_prorations",
    }
    assert plan.states == ("scheduled", "scheduled", "active")
    plan.go_to(now + 3 * DAY + 1)
    assert plan.states == ("succeeded", "scheduled", "paused")
    plan.go_to(now + 7 * DAY + 1)
    assert plan.states == ("succeeded", "succeeded", "active")
    kinds = [kind for kind in simulator.event_types() if kind.startswith("customer.subscription.")]
    assert kinds[-4:] == [f"customer.subscription.{word}" for word in ("paused", "updated", "resumed", "updated")]


def test_pause_now_pauses_although_a_schedule_is_attached(simulator: RunningSimulator, subscribe: Any) -> None:
    plan = Plan(simulator, subscribe().id, {"pause": {"pause_at": {"type": "now"}}})
    assert plan.states == ("succeeded", None, "paused")


def test_a_paused_subscription_gets_a_date_of_return(simulator: RunningSimulator, subscribe: Any, now: int) -> None:
    subscription = subscribe()
    simulator.client().v1.subscriptions.pause(subscription.id, {"type": "subscription"})
    plan = Plan(simulator, subscription.id, {"resume": {"resume_at": at(now + DAY)}})
    (entry,) = plan.read()["pause_schedules"]
    assert (entry["pause"]["settings"], entry["pause"]["status"]["type"]) == (None, "succeeded")
    plan.keep_for_a_year()
    plan.go_to(now + DAY + 1)
    assert plan.states == ("succeeded", "succeeded", "active")


def test_an_update_changes_only_the_parts_it_names(simulator: RunningSimulator, subscribe: Any, now: int) -> None:
    entry: Any = {
        "key": "summer",
        "pause": {"pause_at": at(now + DAY), "settings": {"invoicing_behavior": "invoice"}},
        "resume": {"resume_at": at(now + 9 * DAY)},
    }
    plan = Plan(simulator, subscribe().id, entry)
    (changed,) = plan.update([{"key": "summer", "pause": {"pause_at": at(now + 2 * DAY)}}])
    assert changed["pause"]["pause_at"] == now + 2 * DAY
    assert changed["pause"]["settings"]["invoicing_behavior"] == "invoice"
    assert changed["resume"]["resume_at"] == now + 9 * DAY
    (without,) = plan.update([{"key": "summer", "resume": ""}])
    assert (without["key"], without["resume"]) == ("summer", None)
    plan.client.v1.subscription_schedules.update(plan.id, {"end_behavior": "cancel"})
    assert len(plan.read()["pause_schedules"]) == 1
    assert plan.update("") == []
    plan.go_to(now + 3 * DAY)
    assert plan.status == "active"


def test_a_pause_that_is_impossible_when_it_is_due_becomes_an_error(
    simulator: RunningSimulator, subscribe: Any, now: int
) -> None:
    plan = Plan(simulator, subscribe().id, {"pause": {"pause_at": at(now + DAY)}})
    simulator.admin("POST", f"subscriptions/{plan.subscription}", {"status": "unpaid"})
    plan.go_to(now + DAY + 1)
    (entry,) = plan.read()["pause_schedules"]
    assert entry["pause"]["status"]["type"] == "error"
    assert "unpaid" in entry["pause"]["status"]["error"]["message"]
    assert plan.status == "unpaid"
    assert "subscription_schedule.updated" in simulator.event_types()


@pytest.mark.usefixtures("now")
@pytest.mark.parametrize(
    ("of", "entries", "words"),
    [
        ({"billing_mode": {"type": "classic"}}, [{"pause": {"pause_at": {"type": "now"}}}], "`flexible`"),
        (
            {"collection_method": "send_invoice", "days_until_due": 3},
            [{"pause": {"pause_at": {"type": "now"}}}],
            "charge_automatically",
        ),
        ({}, [{"pause": {"pause_at": {"type": "now"}}}] * 2, "at most one"),
        ({}, [{"key": "a"}], "Missing required param: pause_schedules[0][pause]."),
        ({}, [{"pause": {"pause_at": {"type": "timestamp", "timestamp": 1}}}], "in the future"),
        ({}, [{"pause": {"pause_at": {"type": "timestamp"}}}], "[pause_at][timestamp]"),
        (
            {},
            [{"pause": {"pause_at": at(1_795_900_000)}, "resume": {"resume_at": at(1_795_800_000)}}],
            "must be after `pause_at`",
        ),
    ],
)
def test_a_plan_that_stripe_would_refuse_is_refused_and_leaves_no_schedule(
    client: stripe.StripeClient, subscribe: Any, of: Any, entries: Any, words: str
) -> None:
    subscription = subscribe(**of)
    params = {"from_subscription": subscription.id, "pause_schedules": entries}
    assert words in refusal(client, "post", "subscription_schedules", params)
    assert client.v1.subscriptions.retrieve(subscription.id).schedule is None


def test_a_released_schedule_pauses_nothing(simulator: RunningSimulator, subscribe: Any, now: int) -> None:
    plan = Plan(simulator, subscribe().id, {"pause": {"pause_at": at(now + DAY)}})
    plan.client.v1.subscription_schedules.release(plan.id)
    plan.go_to(now + 2 * DAY)
    assert plan.status == "active"


@pytest.mark.parametrize(
    ("end_behavior", "ended"), [("release", ("released", "active")), ("cancel", ("completed", "canceled"))]
)
def test_after_its_last_phase_a_schedule_releases_or_cancels(
    simulator: RunningSimulator, subscribe: Any, now: int, end_behavior: Any, ended: tuple[str, str]
) -> None:
    plan = Plan(simulator, subscribe().id)
    plan.client.v1.subscription_schedules.update(plan.id, {"end_behavior": end_behavior})
    plan.go_to(now + 32 * DAY)
    assert (plan.read()["status"], plan.status) == ended
    assert f"subscription_schedule.{ended[0]}" in simulator.event_types()


@pytest.mark.parametrize("end", [{"cancel_at_period_end": True}, {"cancel_at": 1_796_000_000}])
def test_the_end_of_a_scheduled_subscription_is_the_schedules(
    simulator: RunningSimulator, subscribe: Any, end: Any
) -> None:
    plan = Plan(simulator, subscribe().id)
    path = f"subscriptions/{plan.subscription}"
    assert f"managed by the subscription schedule `{plan.id}`" in refusal(plan.client, "post", path, end)
    plan.client.v1.subscription_schedules.release(plan.id)
    assert plan.client.raw_request("post", f"/v1/{path}", **end).code == 200


@pytest.mark.parametrize(
    ("answer", "results", "after"),
    [
        ("keep", ("done", "succeeded"), ("paused", True)),
        ("clear", ("done", "succeeded"), ("paused", False)),
        ("refuse", ("refused", "refused"), ("active", True)),
        ("refuse_when_due", ("refused", "error"), ("active", True)),
    ],
)
def test_what_a_pause_does_to_paused_collection_is_chosen(
    simulator: RunningSimulator, subscribe: Any, answer: str, results: tuple[str, str], after: tuple[str, bool]
) -> None:
    client = simulator.client()
    simulator.admin("POST", "billing", {"pause_of_paused_collection": answer})

    def by_schedule(subscription: str) -> str:
        (entry,) = Plan(simulator, subscription, {"pause": {"pause_at": {"type": "now"}}}).read()["pause_schedules"]
        return str(entry["pause"]["status"]["type"])

    def by_request(subscription: str) -> str:
        client.v1.subscriptions.pause(subscription)
        return "done"

    for pause, expected in zip((by_request, by_schedule), results, strict=True):
        made = subscribe(billing_mode={"type": "flexible"}).id
        client.v1.subscriptions.update(made, {"pause_collection": {"behavior": "void"}})
        try:
            result = pause(made)
        except stripe.InvalidRequestError:
            result = "refused"
        found = client.v1.subscriptions.retrieve(made)
        assert (result, (found.status, found.pause_collection is not None)) == (expected, after)
