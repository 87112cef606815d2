"""Invoices in the Stripe simulator: what they bill, and what becomes of subscriptions whose payment fails."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.simulator_in_process import Answer, Params, SimulatorInProcess

NOW = 1_795_000_000
HOUR = 3600
DAY = 86_400


@dataclass
class Account:
    """A simulated account with one price of 12.00 EUR a month, and customers who pay with test cards."""

    simulator: SimulatorInProcess = field(default_factory=lambda: SimulatorInProcess(NOW))
    price: str = ""

    def __post_init__(self) -> None:
        self.price = self.new_price(1200)

    def new_price(self, amount: int, interval: str = "month", **params: str) -> str:
        base = {"currency": "eur", "unit_amount": amount, "recurring[interval]": interval, "product_data[name]": "Gold"}
        return self.simulator.create("prices", base | params)

    def customer(self, card: str | None = "pm_card_visa", **params: Any) -> str:
        return self.simulator.create("customers", params | ({"payment_method": card} if card else {}))

    def subscribe(self, customer: str | None = None, /, **params: Any) -> dict[str, Any]:
        answer = self.try_to_subscribe(customer, **params)
        assert answer.status == 200, answer.body
        return answer.body

    def try_to_subscribe(self, customer: str | None = None, /, **params: Any) -> Answer:
        base = {"customer": customer or self.customer(), "items[0][price]": self.price}
        return self.simulator.call("POST", "subscriptions", base | params)

    def get(self, path: str, params: Params | None = None) -> dict[str, Any]:
        answer = self.simulator.call("GET", path, params)
        assert answer.status == 200, answer.body
        return answer.body

    def post(self, path: str, params: Params | None = None) -> dict[str, Any]:
        answer = self.simulator.call("POST", path, params)
        assert answer.status == 200, answer.body
        return answer.body

    def latest_invoice(self, subscription: dict[str, Any]) -> dict[str, Any]:
        invoice: dict[str, Any] = self.get(f"subscriptions/{subscription['id']}", {"expand[0]": "latest_invoice"})[
            "latest_invoice"
        ]
        return invoice

    def status(self, subscription: dict[str, Any]) -> str:
        return str(self.get(f"subscriptions/{subscription['id']}")["status"])

    def wait(self, seconds: int) -> None:
        clock = self.simulator.app.state.simulator.clock
        clock.set(clock.now() + seconds)

    def fail_from_now_on(self, customer: str) -> None:
        """Give the customer a card that is declined whenever it is charged."""
        card = self.post("payment_methods/pm_card_chargeCustomerFail/attach", {"customer": customer})["id"]
        self.post(f"customers/{customer}", {"invoice_settings[default_payment_method]": card})

    def events(self, prefix: str = "invoice.") -> list[str]:
        """The types of events so far, oldest first."""
        store = self.simulator.app.state.simulator.store.events
        kinds = [store.get(name)["type"] for _, _, name in store.positions()]
        return [kind for kind in kinds if kind.startswith(prefix)]


@pytest.fixture
def account() -> Account:
    return Account()


def test_a_new_subscription_has_a_paid_invoice(account: Account) -> None:
    subscription = account.subscribe(None, **{"items[0][quantity]": 3})
    invoice = account.latest_invoice(subscription)
    assert (invoice["status"], invoice["billing_reason"]) == ("paid", "subscription_create")
    assert (invoice["total"], invoice["amount_paid"], invoice["amount_remaining"]) == (3600, 3600, 0)
    assert account.events() == [
        "invoice.created",
        "invoice.finalized",
        "invoice.updated",
        "invoice.paid",
        "invoice.payment_succeeded",
    ]


def test_a_renewal_is_a_draft_for_an_hour(account: Account) -> None:
    subscription = account.subscribe()
    account.wait(31 * DAY)
    account.get("account")
    start = account.get(f"subscriptions/{subscription['id']}")["items"]["data"][0]["current_period_start"]
    account.simulator.app.state.simulator.clock.set(start + HOUR)
    draft = account.latest_invoice(subscription)
    account.wait(HOUR)
    paid = account.latest_invoice(subscription)
    assert paid["status"] == "paid"
    assert paid["id"] == draft["id"]


def test_a_failed_renewal_is_past_due_and_retried(account: Account) -> None:
    customer = account.customer()
    subscription = account.subscribe(customer)
    account.fail_from_now_on(customer)
    account.wait(31 * DAY)
    invoice = account.latest_invoice(subscription)
    assert account.status(subscription) == "past_due"
    assert (invoice["status"], invoice["attempt_count"]) == ("open", 1)
    assert invoice["next_payment_attempt"] > account.simulator.app.state.simulator.clock.now()
    account.wait(20 * DAY)
    invoice = account.latest_invoice(subscription)
    assert (invoice["attempt_count"], invoice["next_payment_attempt"]) == (9, None)
    assert Counter(account.events())["invoice.payment_failed"] == 9


def test_an_incomplete_subscription_expires_after_23_hours(account: Account) -> None:
    subscription = account.subscribe(account.customer("pm_card_chargeCustomerFail"))
    assert subscription["status"] == "incomplete"
    account.wait(23 * HOUR + 1)
    assert account.status(subscription) == "incomplete_expired"
    assert account.latest_invoice(subscription)["status"] == "void"


def test_every_period_is_billed_once(account: Account) -> None:
    subscription = account.subscribe()
    for _ in range(5):
        account.wait(31 * DAY)
        account.get("account")
    found = account.get("invoices", {"subscription": subscription["id"], "limit": 100})["data"]
    starts = [one["lines"]["data"][0]["period"]["start"] for one in found]
    assert len(starts) == len(set(starts)) == 6
    assert {one["status"] for one in found} == {"paid"}
