"""Subscription schedules: from a customer or a subscription, through their phases, to their end."""

from pathlib import Path
from typing import Any

import pytest

from local.stripe_simulator.state import restore, save
from tests.simulator_in_process import Answer, Params, SimulatorInProcess

NOW = 1_795_000_000
DAY = 86_400


class Shop(SimulatorInProcess):
    """A customer with a card, and two prices."""

    def __init__(self) -> None:
        super().__init__(NOW)
        product = self.create("products", {"name": "Gold"})
        terms = {"product": product, "currency": "eur", "recurring[interval]": "month"}
        self.monthly, self.dear = (self.create("prices", terms | {"unit_amount": amount}) for amount in (900, 1900))
        self.customer = self.create("customers", {"payment_method": "pm_card_visa"})
        self.card = self.call("GET", "payment_methods", {"customer": self.customer}).body["data"][0]["id"]

    def go_to(self, moment: int) -> None:
        self.app.state.simulator.clock.set(moment)

    def two_phases(self, **more: Any) -> Params:
        return {
            "customer": self.customer,
            "phases[0][items][0][price]": self.monthly,
            "phases[0][duration][interval]": "month",
            "phases[1][items][0][price]": self.dear,
            "phases[1][items][0][quantity]": 3,
            "phases[1][end_date]": NOW + 80 * DAY,
            **more,
        }

    def schedule(self, **more: Any) -> dict[str, Any]:
        return self.post("subscription_schedules", self.two_phases(**more))

    def post(self, path: str, params: Params | None = None) -> dict[str, Any]:
        answer = self.call("POST", path, params)
        assert answer.status == 200, answer.body
        return answer.body

    def read(self, made: dict[str, Any]) -> dict[str, Any]:
        return self.call("GET", f"{made['object']}s/{made['id']}").body

    def subscription(self, made: dict[str, Any]) -> dict[str, Any]:
        return self.call("GET", f"subscriptions/{self.read(made)['subscription']}").body

    def events(self, *, of: str = "subscription_schedule.") -> list[str]:
        every = self.call("GET", "events", {"limit": 100}).body["data"]
        return [event["type"] for event in reversed(every) if event["type"].startswith(of)]


@pytest.fixture
def shop() -> Shop:
    return Shop()


def test_a_schedule_of_a_customer_creates_its_subscription_and_changes_it_phase_by_phase(shop: Shop) -> None:
    made = shop.schedule(**{"phases[0][metadata][tier]": "1", "phases[1][metadata][tier]": "2", "metadata[a]": "b"})
    assert (made["status"], made["metadata"], made["end_behavior"]) == ("active", {"a": "b"}, "release")
    first, second = made["phases"]
    assert (first["start_date"], first["end_date"]) == (NOW, second["start_date"])
    assert made["current_phase"] == {"start_date": NOW, "end_date": first["end_date"]}
    subscription = shop.subscription(made)
    assert (subscription["schedule"], subscription["metadata"]) == (made["id"], {"tier": "1"})
    assert [item["price"]["id"] for item in subscription["items"]["data"]] == [shop.monthly]
    shop.go_to(second["start_date"] + 1)
    subscription = shop.subscription(made)
    assert [(one["price"]["id"], one["quantity"]) for one in subscription["items"]["data"]] == [(shop.dear, 3)]
    assert subscription["metadata"] == {"tier": "2"}
    shop.go_to(NOW + 80 * DAY)
    ended = shop.read(made)
    assert (ended["status"], ended["subscription"], ended["released_subscription"]) == (
        "released",
        None,
        subscription["id"],
    )
    assert shop.read(subscription)["schedule"] is None


def test_a_phase_sets_how_the_subscription_is_billed_and_defaults_fill_what_it_leaves_out(shop: Shop) -> None:
    coupon = shop.create("coupons", {"percent_off": 10})
    made = shop.schedule(
        **{
            "default_settings[description]": "By default",
            "default_settings[default_payment_method]": shop.card,
            "phases[0][trial]": "true",
            "phases[1][description]": "Second",
            "phases[1][collection_method]": "send_invoice",
            "phases[1][invoice_settings][days_until_due]": 14,
            "phases[1][discounts][0][coupon]": coupon,
            "phases[1][billing_cycle_anchor]": "phase_start",
        }
    )
    before = shop.subscription(made)
    assert (before["status"], before["trial_end"]) == ("trialing", made["phases"][0]["end_date"])
    assert (before["description"], before["default_payment_method"]) == ("By default", shop.card)
    assert before["collection_method"] == "charge_automatically"
    start = made["phases"][1]["start_date"]
    shop.go_to(start)
    after = shop.subscription(made)
    assert (after["status"], after["description"], after["days_until_due"]) == ("active", "Second", 14)
    assert (after["collection_method"], after["billing_cycle_anchor"]) == ("send_invoice", start)
    assert len(after["discounts"]) == 1


def test_a_schedule_in_the_future_waits_and_is_listed_as_scheduled(shop: Shop) -> None:
    waiting = shop.schedule(start_date=NOW + 5 * DAY)
    shop.schedule()
    assert (waiting["status"], waiting["subscription"], waiting["current_phase"]) == ("not_started", None, None)
    assert [one["id"] for one in listed(shop, scheduled="true")] == [waiting["id"]]
    shop.go_to(NOW + 5 * DAY + 10)
    subscription = shop.subscription(waiting)
    assert (subscription["start_date"], subscription["created"]) == (NOW + 5 * DAY, NOW + 5 * DAY)
    assert listed(shop, scheduled="true") == []
    assert shop.events().count("subscription_schedule.updated") == 1


def test_a_schedule_that_begins_in_the_past_backdates_its_subscription(shop: Shop) -> None:
    subscription = shop.subscription(shop.schedule(start_date=NOW - 10 * DAY))
    assert (subscription["start_date"], subscription["created"]) == (NOW - 10 * DAY, NOW)


def test_a_schedule_of_a_test_clock_begins_at_the_time_of_the_clock(shop: Shop) -> None:
    clock = shop.create("test_helpers/test_clocks", {"frozen_time": NOW})
    shop.customer = shop.create("customers", {"test_clock": clock, "payment_method": "pm_card_visa"})
    made = shop.schedule(start_date=NOW + 5 * DAY)
    assert made["test_clock"] == clock
    shop.go_to(NOW + 20 * DAY)
    assert shop.read(made)["status"] == "not_started"
    shop.post(f"test_helpers/test_clocks/{clock}/advance", {"frozen_time": NOW + 40 * DAY})
    subscription = shop.subscription(made)
    assert subscription["start_date"] == NOW + 5 * DAY
    assert subscription["items"]["data"][0]["price"]["id"] == shop.dear


def test_a_schedule_whose_subscription_cannot_be_created_is_canceled(shop: Shop) -> None:
    made = shop.schedule(start_date=NOW + DAY)
    shop.post(f"prices/{shop.monthly}", {"active": "false"})
    shop.go_to(NOW + 2 * DAY)
    assert (shop.read(made)["status"], shop.read(made)["subscription"]) == ("canceled", None)
    assert shop.events(of="customer.subscription") == []


def test_a_phase_that_cannot_be_entered_leaves_the_subscription_as_it_is(shop: Shop) -> None:
    made = shop.schedule()
    shop.post(f"prices/{shop.dear}", {"active": "false"})
    shop.go_to(made["phases"][1]["start_date"])
    assert shop.call("GET", "balance").status == 200
    assert shop.subscription(made)["items"]["data"][0]["price"]["id"] == shop.monthly


def test_a_canceled_schedule_ends_its_subscription_and_one_that_waits_never_begins(shop: Shop) -> None:
    running, waiting = shop.schedule(), shop.schedule(start_date=NOW + DAY)
    subscription = running["subscription"]
    for made in (running, waiting):
        canceled = shop.post(f"subscription_schedules/{made['id']}/cancel")
        assert (canceled["status"], canceled["canceled_at"], canceled["current_phase"]) == ("canceled", NOW, None)
    assert shop.call("GET", f"subscriptions/{subscription}").body["status"] == "canceled"
    assert shop.events()[-2:] == ["subscription_schedule.canceled"] * 2
    shop.go_to(NOW + 100 * DAY)
    assert shop.read(waiting)["subscription"] is None
    again = shop.call("POST", f"subscription_schedules/{running['id']}/cancel")
    assert again.error["message"] == (
        "You cannot update a subscription schedule that is currently in the `canceled` status."
    )


def listed(shop: Shop, **filters: Any) -> list[dict[str, Any]]:
    answer = shop.call(
        "GET", "subscription_schedules", {name.replace("__", "["): value for name, value in filters.items()}
    )
    assert answer.status == 200, answer.body
    found: list[dict[str, Any]] = answer.body["data"]
    return found


def test_schedules_are_listed_by_customer_and_by_the_times_of_their_ends(shop: Shop) -> None:
    first, ends = shop.customer, ("canceled", "released", "completed")
    made = [shop.schedule(end_behavior="cancel" if word == "completed" else "release") for word in ends]
    shop.customer = shop.create("customers", {"payment_method": "pm_card_visa"})
    other = shop.schedule()
    assert [one["id"] for one in listed(shop, customer=shop.customer)] == [other["id"]]
    assert [one["id"] for one in listed(shop, customer=first)] == [one["id"] for one in reversed(made)]
    shop.go_to(NOW + 10)
    shop.post(f"subscription_schedules/{made[0]['id']}/cancel")
    shop.post(f"subscription_schedules/{made[1]['id']}/release")
    shop.go_to(NOW + 80 * DAY)
    for word, one in zip(ends, made, strict=True):
        end = shop.read(one)[f"{word}_at"]
        for bound, offset, counts in (("gte", 0, True), ("gt", 0, False), ("lte", 0, True), ("lt", 0, False)):
            query = {f"{word}_at[{bound}]": end + offset, "customer": first}
            found = [entry["id"] for entry in shop.call("GET", "subscription_schedules", query).body["data"]]
            assert found == ([one["id"]] if counts else [])
        assert [entry["id"] for entry in listed(shop, **{f"{word}_at": end}, customer=first)] == [one["id"]]
    assert shop.call("GET", "subscription_schedules", {"customer": "cus_none"}).error["param"] == "customer"


def test_an_update_of_the_current_phase_changes_the_subscription_at_once(shop: Shop) -> None:
    made = shop.schedule()
    phases = {
        "phases[0][start_date]": NOW,
        "phases[0][end_date]": NOW + 90 * DAY,
        "phases[0][items][0][price]": shop.dear,
        "end_behavior": "cancel",
        "metadata[a]": "b",
        "default_settings[description]": "New",
    }
    changed = shop.post(f"subscription_schedules/{made['id']}", phases)
    assert (changed["end_behavior"], changed["metadata"], len(changed["phases"])) == ("cancel", {"a": "b"}, 1)
    assert changed["default_settings"]["description"] == "New"
    subscription = shop.subscription(made)
    assert (subscription["items"]["data"][0]["price"]["id"], subscription["description"]) == (shop.dear, "New")
    shop.go_to(NOW + 90 * DAY)
    assert (shop.read(made)["status"], shop.read(subscription)["status"]) == ("completed", "canceled")


def test_a_schedule_that_waits_can_be_moved(shop: Shop) -> None:
    made = shop.schedule(start_date=NOW + 5 * DAY)
    moved = {
        "phases[0][start_date]": NOW + 9 * DAY,
        "phases[0][duration][interval]": "year",
        "phases[0][items][0][price]": shop.dear,
    }
    shop.post(f"subscription_schedules/{made['id']}", moved)
    shop.go_to(NOW + 6 * DAY)
    assert shop.read(made)["status"] == "not_started"
    shop.go_to(NOW + 9 * DAY)
    assert shop.subscription(made)["start_date"] == NOW + 9 * DAY


def test_a_pause_can_be_planned_before_the_subscription_exists(shop: Shop) -> None:
    pause: Params = {"pause_schedules[0][pause][pause_at][type]": "timestamp"}
    pause["pause_schedules[0][pause][pause_at][timestamp]"] = NOW + 7 * DAY
    made = shop.schedule(start_date=NOW + 5 * DAY, **pause)
    assert made["pause_schedules"][0]["pause"]["status"] == {"type": "scheduled"}
    shop.go_to(NOW + 6 * DAY)
    assert shop.subscription(made)["status"] == "active"
    shop.go_to(NOW + 7 * DAY)
    assert shop.subscription(made)["status"] == "paused"


def test_a_state_file_keeps_what_waits(shop: Shop, tmp_path: Path) -> None:
    made = shop.schedule(start_date=NOW + 5 * DAY)
    save(shop.app.state.simulator, tmp_path / "state")
    again = Shop()
    again.app.state.simulator.reset()
    restore(again.app.state.simulator, tmp_path / "state")
    again.go_to(NOW + 6 * DAY)
    assert again.subscription(made)["start_date"] == NOW + 5 * DAY


REFUSALS: list[tuple[Params, str, str]] = [
    ({"customer": None}, "customer", "Missing required param: customer."),
    ({"customer": "cus_none"}, "customer", "No such customer: 'cus_none'"),
    ({"from_subscription": "sub_1"}, "customer", "You cannot set `customer` if `from_subscription` is set."),
    (
        {"phases[1][end_date]": NOW + DAY},
        "phases[1][end_date]",
        "The end date of a phase must be after its start date.",
    ),
    ({"phases[1][end_date]": None}, "phases[1][end_date]", "Missing required param: phases[1][end_date]."),
    (
        {"phases[0][end_date]": NOW + DAY},
        "phases[0][duration]",
        "You may only specify one of these parameters: phases[0][duration], phases[0][end_date].",
    ),
    ({"phases[0][items][0][price]": "price_x"}, "phases[0][items][0][price]", "No such price: 'price_x'"),
    ({"phases[0][currency]": "usd"}, "phases[0][currency]", "The price specified only supports `eur`."),
    (
        {"phases[0][default_payment_method]": "pm_x"},
        "phases[0][default_payment_method]",
        "No such PaymentMethod: 'pm_x'",
    ),
    ({"phases[1][trial_end]": NOW + DAY}, "phases[1][trial_end]", "The trial of a phase must end within the phase."),
    ({"phases[1][discounts][0][coupon]": "X"}, "phases[1][discounts][0][coupon]", "No such coupon: 'X'"),
    (
        {"default_settings[collection_method]": "send_invoice"},
        "default_settings[invoice_settings][days_until_due]",
        "Missing required param: default_settings[invoice_settings][days_until_due].",
    ),
    ({"start_date": NOW - 900 * DAY, "phases[1][end_date]": NOW - DAY}, "phases[1][end_date]", "Invalid timestamp:"),
]


@pytest.mark.parametrize(("params", "param", "message"), REFUSALS)
def test_a_refused_schedule_leaves_nothing_behind(shop: Shop, params: Params, param: str, message: str) -> None:
    given = {name: value for name, value in (shop.two_phases() | params).items() if value is not None}
    events = shop.events(of="")
    answer = shop.call("POST", "subscription_schedules", given)
    assert (answer.status, answer.error["param"]) == (400, param), answer.body
    assert answer.error["message"].startswith(message)
    assert (listed(shop), shop.events(of="")) == ([], events)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "The subscription schedule update is missing at least one phase with a `start_date`"),
        ({"phases[0][start_date]": NOW + 5}, "You can not modify the start date of the current phase."),
        ({"phases[0][start_date]": "now"}, "You can not modify the start date of the current phase."),
    ],
)
def test_the_current_phase_stays_where_it_began(shop: Shop, params: Params, message: str) -> None:
    made = shop.schedule()
    shop.go_to(NOW + 60)
    phase = {"phases[0][items][0][price]": shop.dear, "phases[0][end_date]": NOW + 90 * DAY}
    answer: Answer = shop.call("POST", f"subscription_schedules/{made['id']}", phase | params)
    assert answer.error["message"].startswith(message)
    assert shop.read(made)["phases"] == made["phases"]


def test_a_subscription_gets_one_schedule_and_takes_nothing_else_along(shop: Shop) -> None:
    subscription = shop.create("subscriptions", {"customer": shop.customer, "items[0][price]": shop.monthly})
    refused = shop.call("POST", "subscription_schedules", {"from_subscription": subscription, "metadata[a]": "b"})
    assert refused.error["message"] == "You cannot set `metadata` if `from_subscription` is set."
    made = shop.create("subscription_schedules", {"from_subscription": subscription})
    again = shop.call("POST", "subscription_schedules", {"from_subscription": subscription})
    assert again.error["message"] == (
        f"You cannot migrate a subscription that is already attached to a schedule: `{made}`."
    )
