"""Invoices in the Stripe simulator: what they bill, and what becomes of subscriptions whose payment fails."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from local.stripe_simulator import state
from local.stripe_simulator.simulator import BillingSettings
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

    def settings(self, **changes: Any) -> None:
        state = self.simulator.app.state.simulator
        state.billing = state.billing.changed(changes)

    def now(self) -> int:
        return int(self.simulator.app.state.simulator.clock.now())

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


# Test cards.


def test_cards_are_stripes_test_cards(account: Account) -> None:
    call = account.simulator.call

    def refusal(path: str, params: Params) -> tuple[int, str | None, str | None]:
        answer = call("POST", path, params)
        return answer.status, answer.error.get("code"), answer.error.get("decline_code")

    def number(text: str) -> Params:
        return {"type": "card", "card[number]": text}

    assert refusal("payment_methods", number("abc")) == (402, "incorrect_number", None)
    assert refusal("payment_methods", number("4242424242424241")) == (402, "incorrect_number", None)
    assert refusal("payment_methods", number("4539578763621486")) == (402, "card_declined", "test_mode_live_card")
    assert refusal("payment_methods", {"type": "card", "card[token]": "abc"}) == (400, "resource_missing", None)
    assert refusal("customers", {"payment_method": "abc"}) == (400, "resource_missing", None)
    assert refusal("customers", {"payment_method": "pm_card_unheard"}) == (400, "resource_missing", None)
    customer = {"customer": account.customer(None)}
    for name, code, decline in (
        ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", None),
        ("tok_visa_chargeDeclinedStolenCard", "card_declined", "stolen_card"),
    ):
        assert refusal(f"payment_methods/{name}/attach", customer) == (402, code, decline)
    by_number = account.post("payment_methods", number("4000000000009995"))["id"]
    assert refusal(f"payment_methods/{by_number}/attach", customer) == (402, "card_declined", "insufficient_funds")
    assert account.get("payment_methods", customer)["data"] == []


def test_who_has_nothing_to_charge_gets_no_subscription(account: Account) -> None:
    customer = account.customer(None)
    refused = account.try_to_subscribe(customer)
    assert (refused.status, refused.error["code"]) == (400, "resource_missing")
    assert "no attached payment source" in refused.error["message"]
    assert account.get("subscriptions", {"customer": customer, "status": "all"})["data"] == []
    free = account.subscribe(customer, **{"items[0][price]": account.new_price(0)})
    assert (free["status"], account.latest_invoice(free)["status"]) == ("active", "paid")
    assert account.subscribe(customer, trial_period_days=3)["status"] == "trialing"
    waiting = account.subscribe(customer, payment_behavior="default_incomplete")
    assert (waiting["status"], account.latest_invoice(waiting)["status"]) == ("incomplete", "open")


@pytest.mark.parametrize(
    ("behavior", "card", "status", "code"),
    [
        ("allow_incomplete", "pm_card_chargeCustomerFail", 200, None),
        ("error_if_incomplete", "pm_card_chargeCustomerFail", 402, "card_declined"),
        (
            "error_if_incomplete",
            "pm_card_authenticationRequired",
            402,
            "subscription_payment_intent_requires_action",
        ),
        ("pending_if_incomplete", "pm_card_visa", 400, None),
    ],
)
def test_payment_behavior_of_a_first_payment(
    account: Account, behavior: str, card: str, status: int, code: str | None
) -> None:
    customer = account.customer(card)
    answer = account.try_to_subscribe(customer, payment_behavior=behavior)
    assert answer.status == status
    if status == 200:
        assert answer.body["status"] == "incomplete"
    else:
        assert answer.error.get("code") == code
        assert account.get("invoices", {"customer": customer})["data"] == []


def test_an_incomplete_subscription_is_active_once_it_is_paid(account: Account) -> None:
    customer = account.customer("pm_card_chargeCustomerFail")
    subscription = account.subscribe(customer)
    invoice = subscription["latest_invoice"]
    declined = account.simulator.call("POST", f"invoices/{invoice}/pay")
    assert (declined.status, declined.error["decline_code"]) == (402, "generic_decline")
    assert declined.body["error"]["type"] == "card_error"
    card = account.post("payment_methods/pm_card_visa/attach", {"customer": customer})["id"]
    paid = account.post(f"invoices/{invoice}/pay", {"payment_method": card})
    assert (paid["status"], paid["amount_paid"], account.status(subscription)) == ("paid", 1200, "active")
    again = account.simulator.call("POST", f"invoices/{invoice}/pay", {"payment_method": card})
    assert (again.status, again.error["message"]) == (400, "Invoice is already paid")


# Amounts.


def test_coupons_change_amounts_for_as_long_as_they_last(account: Account) -> None:
    def coupon(**params: Any) -> str:
        return account.simulator.create("coupons", params)

    def totals(coupon_id: str) -> list[int]:
        subscription = account.subscribe(None, **{"discounts[0][coupon]": coupon_id})
        for _ in range(3):
            account.wait(31 * DAY)
            account.get("account")
        found = account.get("invoices", {"subscription": subscription["id"]})["data"]
        return [one["amount_paid"] for one in reversed(found)]

    assert totals(coupon(percent_off=25, duration="once")) == [900, 1200, 1200, 1200]
    assert totals(coupon(amount_off=500, currency="eur", duration="forever")) == [700] * 4
    assert totals(coupon(amount_off=5000, currency="eur", duration="once")) == [0, 1200, 1200, 1200]
    assert totals(coupon(percent_off=50, duration="repeating", duration_in_months=2)) == [600, 600, 1200, 1200]


def test_discounts_are_shared_among_the_lines_to_the_cent(account: Account) -> None:
    coupon = account.simulator.create("coupons", {"percent_off": 33, "duration": "forever"})
    items = {"items[1][price]": account.new_price(999), "items[2][price]": account.new_price(1)}
    invoice = account.latest_invoice(account.subscribe(None, **items, **{"discounts[0][coupon]": coupon}))
    assert (invoice["subtotal"], invoice["total"]) == (2200, 2200 - 726)
    assert sum(cut["amount"] for one in invoice["lines"]["data"] for cut in one["discount_amounts"]) == 726


def test_tiers_and_packages(account: Account) -> None:
    tiers = {
        "billing_scheme": "tiered",
        "tiers[0][up_to]": 5,
        "tiers[0][unit_amount]": 100,
        "tiers[1][up_to]": "inf",
        "tiers[1][unit_amount]": 50,
        "tiers[1][flat_amount]": 30,
    }
    base = {"currency": "eur", "recurring[interval]": "month", "product_data[name]": "Gold"}
    graduated = account.simulator.create("prices", base | tiers | {"tiers_mode": "graduated"})
    volume = account.simulator.create("prices", base | tiers | {"tiers_mode": "volume"})
    packages = account.new_price(10, **{"transform_quantity[divide_by]": "3", "transform_quantity[round]": "up"})

    def total(price: str, quantity: int) -> int:
        made = account.subscribe(None, **{"items[0][price]": price, "items[0][quantity]": quantity})
        return int(account.latest_invoice(made)["total"])

    assert [total(graduated, count) for count in (0, 5, 7)] == [0, 500, 500 + 30 + 100]
    assert [total(volume, count) for count in (5, 7)] == [500, 30 + 350]
    assert [total(packages, count) for count in (3, 4)] == [10, 20]


def test_a_customers_balance_is_used_up_and_comes_back_when_the_invoice_is_void(account: Account) -> None:
    customer = account.customer(balance=-500)
    subscription = account.subscribe(customer, payment_behavior="default_incomplete")
    invoice = account.latest_invoice(subscription)
    assert (invoice["total"], invoice["amount_due"], invoice["starting_balance"]) == (1200, 700, -500)
    assert account.get(f"customers/{customer}")["balance"] == 0
    account.post(f"invoices/{invoice['id']}/void")
    assert account.get(f"customers/{customer}")["balance"] == -500
    assert account.status(subscription) == "incomplete_expired"


# Changes.


def test_a_change_of_plan_is_prorated_on_the_next_invoice(account: Account) -> None:
    subscription = account.subscribe()
    item = subscription["items"]["data"][0]
    middle = (item["current_period_start"] + item["current_period_end"]) // 2
    change = {"items[0][id]": item["id"], "items[0][price]": account.new_price(3600), "proration_date": middle}
    account.post(f"subscriptions/{subscription['id']}", change)
    assert account.latest_invoice(subscription)["id"] == subscription["latest_invoice"]
    account.wait(32 * DAY)
    invoice = account.latest_invoice(subscription)
    assert [one["amount"] for one in invoice["lines"]["data"]] == [-600, 1800, 3600]
    assert (invoice["total"], invoice["status"]) == (4800, "paid")
    assert invoice["lines"]["data"][0]["parent"]["subscription_item_details"]["proration"] is True


def test_a_change_that_is_invoiced_at_once_makes_a_subscription_past_due_when_it_fails(account: Account) -> None:
    customer = account.customer()
    subscription = account.subscribe(customer)
    item = subscription["items"]["data"][0]["id"]
    change = {"items[0][id]": item, "items[0][quantity]": 2, "proration_behavior": "always_invoice"}
    account.fail_from_now_on(customer)
    refused = account.simulator.call(
        "POST", f"subscriptions/{subscription['id']}", change | {"payment_behavior": "error_if_incomplete"}
    )
    assert (refused.status, refused.error["code"]) == (402, "card_declined")
    assert account.get(f"subscriptions/{subscription['id']}") == subscription
    changed = account.post(f"subscriptions/{subscription['id']}", change)
    assert (changed["status"], changed["items"]["data"][0]["quantity"]) == ("past_due", 2)
    invoice = account.latest_invoice(subscription)
    assert (invoice["billing_reason"], invoice["status"]) == ("subscription_update", "open")
    account.post(f"invoices/{invoice['id']}/pay", {"paid_out_of_band": "true"})
    assert account.status(subscription) == "active"


def test_a_discounted_period_is_credited_as_it_was_paid(account: Account) -> None:
    coupon = account.simulator.create("coupons", {"percent_off": 100, "duration": "forever"})
    subscription = account.subscribe(None, **{"discounts[0][coupon]": coupon})
    account.wait(DAY)
    change = {
        "items[0][id]": subscription["items"]["data"][0]["id"],
        "items[0][price]": account.new_price(3600),
        "proration_behavior": "always_invoice",
    }
    account.post(f"subscriptions/{subscription['id']}", change)
    assert account.latest_invoice(subscription)["total"] == 0
    assert account.get(f"customers/{subscription['customer']}")["balance"] == 0


def test_a_pending_update_is_applied_when_it_is_paid_and_dropped_after_23_hours(account: Account) -> None:
    customer = account.customer()
    one, other = account.subscribe(customer), account.subscribe(customer)
    account.fail_from_now_on(customer)
    for subscription in (one, other):
        change = {
            "items[0][id]": subscription["items"]["data"][0]["id"],
            "items[0][quantity]": 4,
            "proration_behavior": "always_invoice",
            "payment_behavior": "pending_if_incomplete",
        }
        waiting = account.post(f"subscriptions/{subscription['id']}", change)
        assert (waiting["status"], waiting["items"]["data"][0]["quantity"]) == ("active", 1)
        assert waiting["pending_update"]["subscription_items"][0]["quantity"] == 4
    refused = account.simulator.call(
        "POST",
        f"subscriptions/{one['id']}",
        {**change, "items[0][id]": one["items"]["data"][0]["id"], "description": "x"},
    )
    assert (refused.status, refused.error["param"]) == (400, "description")
    card = account.post("payment_methods/pm_card_visa/attach", {"customer": customer})["id"]
    account.post(f"invoices/{account.latest_invoice(one)['id']}/pay", {"payment_method": card})
    paid = account.get(f"subscriptions/{one['id']}")
    assert (paid["items"]["data"][0]["quantity"], paid["pending_update"], paid["status"]) == (4, None, "active")
    account.wait(23 * HOUR + 1)
    dropped = account.get(f"subscriptions/{other['id']}")
    assert (dropped["items"]["data"][0]["quantity"], dropped["pending_update"]) == (1, None)
    assert account.latest_invoice(other)["status"] == "void"
    assert [one for one in account.events("customer.subscription.pending") if one] == [
        "customer.subscription.pending_update_applied",
        "customer.subscription.pending_update_expired",
    ]


def test_another_interval_is_invoiced_at_once(account: Account) -> None:
    subscription = account.subscribe()
    account.wait(10 * DAY)
    item = subscription["items"]["data"][0]["id"]
    change = {"items[0][id]": item, "items[0][price]": account.new_price(12_000, "year")}
    account.post(f"subscriptions/{subscription['id']}", change)
    invoice = account.latest_invoice(subscription)
    assert (invoice["billing_reason"], invoice["status"]) == ("subscription_update", "paid")
    credit, charge = (one["amount"] for one in invoice["lines"]["data"])
    assert credit < 0 < charge
    assert invoice["amount_paid"] == credit + charge


def test_canceling_with_an_invoice_now_credits_what_is_not_used(account: Account) -> None:
    subscription = account.subscribe()
    account.simulator.call("DELETE", f"subscriptions/{subscription['id']}", {"prorate": "true", "invoice_now": "true"})
    assert account.get(f"customers/{subscription['customer']}")["balance"] == -1200
    assert account.latest_invoice(subscription)["total"] == -1200


# Collection that is paused, and subscriptions that are.


@pytest.mark.parametrize(
    ("behavior", "status"), [("void", "void"), ("keep_as_draft", "draft"), ("mark_uncollectible", "uncollectible")]
)
def test_paused_collection_acts_on_new_invoices(account: Account, behavior: str, status: str) -> None:
    subscription = account.subscribe()
    account.post(f"subscriptions/{subscription['id']}", {"pause_collection[behavior]": behavior})
    account.wait(32 * DAY)
    invoice = account.latest_invoice(subscription)
    assert (invoice["status"], invoice["auto_advance"], invoice["amount_paid"]) == (status, False, 0)
    assert account.status(subscription) == "active"
    account.post(f"subscriptions/{subscription['id']}", {"pause_collection": ""})
    account.wait(31 * DAY)
    assert account.latest_invoice(subscription)["status"] == "paid"


def test_a_balance_pays_an_uncollectible_invoice(account: Account) -> None:
    customer = account.customer()
    subscription = account.subscribe(customer)
    account.post(f"subscriptions/{subscription['id']}", {"pause_collection[behavior]": "mark_uncollectible"})
    account.post(f"customers/{customer}", {"balance": -5000})
    account.wait(32 * DAY)
    assert account.latest_invoice(subscription)["status"] == "paid"
    assert account.get(f"customers/{customer}")["balance"] == -3800


def paused(account: Account, customer: str, **params: Any) -> dict[str, Any]:
    """A subscription paused ten days after it began, another twenty days ago."""
    subscription = account.subscribe(customer)
    account.wait(10 * DAY)
    account.post(f"subscriptions/{subscription['id']}/pause", params)
    account.wait(20 * DAY)
    return subscription


def test_a_resume_without_payment_in_the_request_waits_for_the_payment(account: Account) -> None:
    subscription = paused(account, account.customer())
    resumed = account.post(f"subscriptions/{subscription['id']}/resume")
    assert (resumed["status"], resumed["pending_update"]["billing_cycle_anchor"] is None) == ("paused", False)
    invoice = account.latest_invoice(subscription)
    assert (invoice["status"], invoice["attempted"]) == ("open", False)
    assert 0 < invoice["amount_due"] < 1200, "what was paid and not used is credited"
    account.post(f"invoices/{invoice['id']}/pay")
    live = account.get(f"subscriptions/{subscription['id']}")
    assert (live["status"], live["pending_update"], "status_details" in live) == ("active", None, False)
    assert live["items"]["data"][0]["current_period_start"] == live["billing_cycle_anchor"]
    assert account.events("customer.subscription.resumed") == ["customer.subscription.resumed"]


def test_a_payment_that_fails_after_a_resume_makes_it_past_due(account: Account) -> None:
    customer = account.customer()
    subscription = paused(account, customer)
    account.post(f"subscriptions/{subscription['id']}/resume")
    account.fail_from_now_on(customer)
    invoice = account.latest_invoice(subscription)["id"]
    assert account.simulator.call("POST", f"invoices/{invoice}/pay").status == 402
    assert account.status(subscription) == "past_due"
    assert account.latest_invoice(subscription)["next_payment_attempt"] is None


def test_a_resume_that_is_not_paid_for_23_hours_is_void_and_the_pause_goes_on(account: Account) -> None:
    subscription = paused(account, account.customer())
    account.post(f"subscriptions/{subscription['id']}/resume")
    account.wait(23 * HOUR + 1)
    assert account.status(subscription) == "paused"
    assert account.latest_invoice(subscription)["status"] == "void"
    assert account.get(f"subscriptions/{subscription['id']}")["pending_update"] is None


def test_a_resume_on_payment_success_is_paid_in_the_request_or_stays_paused_and_is_retried(account: Account) -> None:
    success = {"payment_behavior": "resume_on_payment_success"}
    good, bad = account.customer(), account.customer()
    paying, failing = paused(account, good), paused(account, bad)
    assert account.post(f"subscriptions/{paying['id']}/resume", success)["status"] == "active"
    account.fail_from_now_on(bad)
    assert account.post(f"subscriptions/{failing['id']}/resume", success)["status"] == "paused"
    assert account.latest_invoice(failing)["next_payment_attempt"] is not None
    card = account.post("payment_methods/pm_card_visa/attach", {"customer": bad})["id"]
    account.post(f"customers/{bad}", {"invoice_settings[default_payment_method]": card})
    account.wait(2 * DAY)
    assert account.status(failing) == "active"


def test_a_resume_on_payment_success_needs_a_payment_method(account: Account) -> None:
    customer = account.customer()
    subscription = paused(account, customer)
    card = account.get("payment_methods", {"customer": customer})["data"][0]["id"]
    account.post(f"payment_methods/{card}/detach")
    refused = account.simulator.call(
        "POST", f"subscriptions/{subscription['id']}/resume", {"payment_behavior": "resume_on_payment_success"}
    )
    assert (refused.status, refused.error["code"]) == (400, "resource_missing")
    assert account.status(subscription) == "paused"
    assert account.get(f"subscriptions/{subscription['id']}")["pending_update"] is None


def test_a_resume_with_the_old_anchor_costs_nothing_now(account: Account) -> None:
    subscription = paused(account, account.customer())
    params = {"billing_cycle_anchor[type]": "unchanged", "proration_behavior": "none"}
    resumed = account.post(f"subscriptions/{subscription['id']}/resume", params)
    assert (resumed["status"], resumed["latest_invoice"]) == ("active", subscription["latest_invoice"])


def test_a_resume_that_is_given_up_is_active_and_a_second_one_voids_the_first(account: Account) -> None:
    subscription = paused(account, account.customer())
    account.post(f"subscriptions/{subscription['id']}/resume")
    first = account.latest_invoice(subscription)["id"]
    account.post(f"subscriptions/{subscription['id']}/resume")
    second = account.latest_invoice(subscription)["id"]
    assert account.get(f"invoices/{first}")["status"] == "void"
    account.post(f"invoices/{second}/mark_uncollectible")
    assert account.status(subscription) == "active"


@pytest.mark.parametrize(
    ("unused", "credit"), [("none", 0), ("item_current_period_start", -1200), ("now", -1200 * 20 // 30)]
)
def test_a_pause_with_an_invoice_credits_what_is_not_used(account: Account, unused: str, credit: int) -> None:
    customer = account.customer()
    params = {"bill_for[unused_time_from][type]": unused, "invoicing_behavior": "invoice"}
    paused(account, customer, **params)
    assert abs(account.get(f"customers/{customer}")["balance"] - credit) <= 40


# Payments that fail again and again.


def after_failing(account: Account, **settings: Any) -> dict[str, Any]:
    """A subscription whose renewal has failed, in an account with these settings."""
    account.settings(**settings)
    customer = account.customer()
    subscription = account.subscribe(customer)
    account.fail_from_now_on(customer)
    account.wait(30 * DAY + 3 * HOUR)
    account.get("account")
    return subscription


@pytest.mark.parametrize(
    ("outcome", "status", "reason"),
    [
        ("leave_past_due", "past_due", None),
        ("mark_unpaid", "unpaid", None),
        ("cancel", "canceled", "payment_failed"),
        ("pause", "paused", None),
    ],
)
def test_what_follows_the_last_retry_is_a_setting(
    account: Account, outcome: str, status: str, reason: str | None
) -> None:
    subscription = after_failing(account, retry_after_days=[1, 2], after_retries=outcome)
    assert account.status(subscription) == "past_due"
    account.wait(4 * DAY)
    made = account.get(f"subscriptions/{subscription['id']}")
    assert (made["status"], made["cancellation_details"]["reason"]) == (status, reason)
    invoice = account.latest_invoice(subscription)
    assert (invoice["status"], invoice["attempt_count"], invoice["auto_advance"]) == ("open", 3, False)
    if outcome == "pause":
        assert made["status_details"]["paused"]["subscription"]["type"] == "final_payment_failure"


def test_a_classic_subscription_that_cannot_be_paused_is_canceled(account: Account) -> None:
    account.settings(retry_after_days=[1], after_retries="pause", pause_after_first_failure=True)
    customer = account.customer()
    subscription = account.subscribe(customer, **{"billing_mode[type]": "classic"})
    account.fail_from_now_on(customer)
    account.wait(30 * DAY + 3 * HOUR)
    assert account.status(subscription) == "past_due"
    account.wait(2 * DAY)
    assert account.status(subscription) == "canceled"


def test_a_pause_after_the_first_failure_ends_when_the_invoice_is_paid(account: Account) -> None:
    subscription = after_failing(account, pause_after_first_failure=True, retry_after_days=[])
    details = account.get(f"subscriptions/{subscription['id']}")["status_details"]
    assert details["paused"]["subscription"]["type"] == "first_payment_failure"
    invoice = account.latest_invoice(subscription)
    assert invoice["status"] == "open"
    account.wait(DAY)
    account.post(f"invoices/{invoice['id']}/pay", {"paid_out_of_band": "true"})
    live = account.get(f"subscriptions/{subscription['id']}")
    assert (live["status"], live["latest_invoice"]) == ("active", invoice["id"])
    assert live["items"]["data"][0]["current_period_end"] > account.now()


def test_an_account_may_leave_it_paused(account: Account) -> None:
    subscription = after_failing(account, pause_after_first_failure=True, resume_when_paid="no", retry_after_days=[])
    account.post(f"invoices/{account.latest_invoice(subscription)['id']}/pay", {"paid_out_of_band": "true"})
    assert account.status(subscription) == "paused"


def test_the_first_invoice_never_pauses(account: Account) -> None:
    account.settings(pause_after_first_failure=True)
    assert account.subscribe(account.customer("pm_card_chargeCustomerFail"))["status"] == "incomplete"


def test_an_unpaid_subscription_makes_drafts_and_is_active_once_the_last_invoice_is_paid(account: Account) -> None:
    subscription = after_failing(account, retry_after_days=[1], after_retries="mark_unpaid")
    account.wait(2 * DAY)
    owed = account.latest_invoice(subscription)["id"]
    account.wait(31 * DAY)
    draft = account.latest_invoice(subscription)
    assert (draft["status"], draft["auto_advance"]) == ("draft", False)
    account.post(f"invoices/{owed}/pay", {"paid_out_of_band": "true"})
    assert account.status(subscription) == "active"


def test_a_card_that_was_lost_or_is_to_be_authenticated_is_not_retried(account: Account) -> None:
    customer = account.customer()
    subscription = account.subscribe(customer)
    card = account.post("payment_methods/pm_card_authenticationRequired/attach", {"customer": customer})["id"]
    account.post(f"customers/{customer}", {"invoice_settings[default_payment_method]": card})
    account.wait(31 * DAY)
    assert account.latest_invoice(subscription)["next_payment_attempt"] is None
    assert account.events()[-2:] == ["invoice.payment_action_required", "invoice.payment_failed"]
    paid = account.simulator.call("POST", f"invoices/{account.latest_invoice(subscription)['id']}/pay")
    assert (paid.status, paid.error["code"]) == (402, "invoice_payment_intent_requires_action")


def test_the_settings_are_checked() -> None:
    settings = BillingSettings()
    cases: list[Any] = [
        [],
        {"retries": 1},
        {"after_retries": "x"},
        {"pause_of_paused_collection": "x"},
        {"retry_after_days": [0]},
        {"retry_after_days": 3},
    ]
    for wrong in cases:
        with pytest.raises(ValueError, match=r"is |are "):
            settings.changed(wrong)
    assert settings.changed({"retry_after_days": [3, 5.5]}).retry_after_days == (3, 5.5)


# Invoices that are sent.


def test_an_invoice_that_is_sent_is_open_until_it_is_paid_and_then_overdue(account: Account) -> None:
    subscription = account.subscribe(account.customer(None), collection_method="send_invoice", days_until_due=7)
    assert (subscription["status"], account.latest_invoice(subscription)["status"]) == ("active", "draft")
    account.wait(2 * HOUR)
    invoice = account.latest_invoice(subscription)
    assert (invoice["status"], invoice["due_date"]) == ("open", invoice["created"] + 7 * DAY)
    overdue = {"status": "open", "collection_method": "send_invoice", "due_date[lt]": invoice["due_date"] + 1}
    assert [one["id"] for one in account.get("invoices", overdue)["data"]] == [invoice["id"]]
    assert account.get("invoices", overdue | {"due_date[lt]": invoice["due_date"]})["data"] == []
    account.wait(8 * DAY)
    assert account.status(subscription) == "past_due"
    account.post(f"invoices/{invoice['id']}/pay", {"paid_out_of_band": "true"})
    assert account.status(subscription) == "active"


def test_what_an_invoice_does_not_allow_is_refused_in_stripes_words(account: Account) -> None:
    paid = account.latest_invoice(account.subscribe())["id"]
    draft = account.latest_invoice(
        account.subscribe(account.customer(None), collection_method="send_invoice", days_until_due=7)
    )["id"]

    def refusal(path: str, params: Params | None = None) -> str:
        answer = account.simulator.call("POST", f"invoices/{path}", params)
        assert answer.status == 400
        return str(answer.error["message"])

    not_open = "You can only pass in open invoices. This invoice isn't open."
    assert refusal(f"{paid}/void") == "Invoices with `paid` payments cannot be voided."
    assert refusal(f"{draft}/void") == not_open
    assert refusal(f"{draft}/mark_uncollectible") == not_open
    assert refusal(f"{paid}/finalize").startswith("This invoice is already finalized")
    assert refusal(f"{paid}/send").startswith("This invoice cannot be sent right now.")
    assert refusal(paid, {"description": "x"}) == "Finalized invoices can't be updated in this way"
    assert refusal(draft, {"collection_method": "charge_automatically", "due_date": NOW + DAY}).startswith(
        "You can only"
    )
    assert account.post(f"invoices/{paid}", {"metadata[a]": "b"})["metadata"] == {"a": "b"}
    assert account.post(f"invoices/{draft}/send")["status"] == "open"
    given_up = account.post(f"invoices/{draft}/mark_uncollectible")
    assert given_up["status_transitions"]["marked_uncollectible_at"] is not None
    assert refusal(f"{draft}/mark_uncollectible") == "This invoice has already been marked uncollectible."


def test_a_restart_forgets_neither_retries_nor_settings(account: Account, tmp_path: Path) -> None:
    subscription = after_failing(account, retry_after_days=[1, 1], after_retries="cancel")
    state.save(account.simulator.app.state.simulator, tmp_path / "state")
    again = Account(SimulatorInProcess(NOW))
    state.restore(again.simulator.app.state.simulator, tmp_path / "state")
    again.wait(3 * DAY)
    assert again.status(subscription) == "canceled"
    assert again.latest_invoice(subscription)["attempt_count"] == 3


def test_an_old_jump_over_months_bills_the_present_period_and_ends_its_retries(account: Account) -> None:
    account.settings(after_retries="cancel")
    customer = account.customer()
    subscription = account.subscribe(customer)
    account.fail_from_now_on(customer)
    account.wait(190 * DAY)
    assert account.status(subscription) == "past_due"
    invoice = account.latest_invoice(subscription)
    assert invoice["lines"]["data"][0]["period"]["start"] == invoice["created"] < account.now()
    account.wait(20 * DAY)
    assert account.status(subscription) == "canceled"


def test_deleting_a_customer_stops_everything(account: Account) -> None:
    customer = account.customer("pm_card_chargeCustomerFail")
    account.subscribe(customer)
    account.subscribe(customer, collection_method="send_invoice", days_until_due=1)
    account.wait(HOUR)
    account.simulator.call("DELETE", f"customers/{customer}")
    account.wait(90 * DAY)
    found = account.get("invoices", {"customer": customer})["data"]
    assert [one["auto_advance"] for one in found] == [False, False]
    for one in found:
        for action in ("pay", "finalize", "void", "mark_uncollectible", "send"):
            assert account.simulator.call("POST", f"invoices/{one['id']}/{action}").status in {200, 400, 404}


def test_a_test_clock_bills_each_period_in_its_time(account: Account) -> None:
    clock = account.simulator.create("test_helpers/test_clocks", {"frozen_time": NOW})
    customer = account.customer(test_clock=clock)
    subscription = account.subscribe(customer)
    account.fail_from_now_on(customer)
    account.post(f"test_helpers/test_clocks/{clock}/advance", {"frozen_time": NOW + 50 * DAY})
    found = account.get("invoices", {"subscription": subscription["id"]})["data"]
    assert [(one["status"], one["test_clock"]) for one in found] == [("open", clock), ("paid", clock)]
    assert (found[0]["attempt_count"], account.status(subscription)) == (9, "past_due")
    assert account.get("invoices")["data"] == []


@pytest.mark.parametrize(("action", "outcome"), [("pay", "succeeded"), ("void", "error")])
def test_a_planned_resume_succeeds_once_it_is_paid(account: Account, action: str, outcome: str) -> None:
    customer = account.customer()
    subscription = account.subscribe(customer)
    plan = {
        "from_subscription": subscription["id"],
        "pause_schedules[0][pause][pause_at][type]": "timestamp",
        "pause_schedules[0][pause][pause_at][timestamp]": NOW + DAY,
        "pause_schedules[0][resume][resume_at][type]": "timestamp",
        "pause_schedules[0][resume][resume_at][timestamp]": NOW + 20 * DAY,
    }
    schedule = account.simulator.create("subscription_schedules", plan)
    account.wait(2 * DAY)
    account.get("account")
    account.fail_from_now_on(customer)
    account.wait(19 * DAY)

    def resume() -> str:
        return str(account.get(f"subscription_schedules/{schedule}")["pause_schedules"][0]["resume"]["status"]["type"])

    assert (resume(), account.status(subscription)) == ("pending", "paused")
    card = account.post("payment_methods/pm_card_visa/attach", {"customer": customer})["id"]
    params = {"payment_method": card} if action == "pay" else {}
    account.post(f"invoices/{account.latest_invoice(subscription)['id']}/{action}", params)
    assert resume() == outcome
    assert account.status(subscription) == ("active" if action == "pay" else "paused")


def test_the_largest_amounts_are_billed_and_never_a_failure(account: Account) -> None:
    coupon = account.simulator.create("coupons", {"percent_off": 99.9, "duration": "forever"})
    most = 2**63 - 1
    items = {f"items[{n}][price]": account.new_price(99_999_999 - n) for n in range(20)}
    quantities = {f"items[{n}][quantity]": most for n in range(20)}
    subscription = account.subscribe(None, **items, **quantities, **{"discounts[0][coupon]": coupon})
    subtotal = sum(most * (99_999_999 - n) for n in range(20))
    assert account.latest_invoice(subscription)["subtotal"] == subtotal
    account.wait(10 * DAY)
    account.post(f"subscriptions/{subscription['id']}/pause", {"invoicing_behavior": "invoice"})
    assert account.latest_invoice(subscription)["total"] <= 0
