"""Subscription items one by one, with what each change does to their subscription."""

from typing import Any

import pytest

from tests.simulator_in_process import Params, SimulatorInProcess

NOW = 1_795_000_000


class Shop(SimulatorInProcess):
    """A customer with a subscription to one of three prices."""

    def __init__(self) -> None:
        super().__init__(NOW)
        terms = {"product_data[name]": "Gold", "currency": "eur", "recurring[interval]": "month"}
        self.prices = [self.create("prices", terms | {"unit_amount": amount}) for amount in (900, 500, 200)]
        customer = self.create("customers", {"payment_method": "pm_card_visa"})
        made = self.call("POST", "subscriptions", {"customer": customer, "items[0][price]": self.prices[0]}).body
        self.subscription, self.item = made["id"], made["items"]["data"][0]["id"]

    def items(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.call("GET", "subscription_items", {"subscription": self.subscription}).body[
            "data"
        ]
        return items

    def updates(self) -> int:
        return len(self.call("GET", "events", {"type": "customer.subscription.updated"}).body["data"])


@pytest.fixture
def shop() -> Shop:
    return Shop()


def test_an_item_is_added_changed_and_deleted(shop: Shop) -> None:
    terms: Params = {"subscription": shop.subscription, "price": shop.prices[1], "quantity": 3, "metadata[a]": "b"}
    added = shop.call("POST", "subscription_items", terms).body
    assert (added["object"], added["quantity"], added["metadata"]) == ("subscription_item", 3, {"a": "b"})
    assert added["subscription"] == shop.subscription
    assert [one["id"] for one in shop.items()] == [shop.item, added["id"]]
    path = f"subscription_items/{added['id']}"
    changed = shop.call("POST", path, {"price": shop.prices[2], "quantity": 4, "metadata[a]": ""}).body
    assert (changed["id"], changed["price"]["id"], changed["quantity"]) == (added["id"], shop.prices[2], 4)
    assert changed["metadata"] == {}
    assert shop.call("GET", path).body == changed == shop.items()[1]
    assert shop.call("DELETE", path).body == {"id": added["id"], "object": "subscription_item", "deleted": True}
    assert [one["id"] for one in shop.items()] == [shop.item]
    assert shop.updates() == 3
    assert shop.call("GET", path).status == 404


@pytest.mark.parametrize(
    ("request_line", "params", "refusal"),
    [
        ("POST subscription_items", {"price": "{0}"}, (400, "subscription")),
        ("POST subscription_items", {"subscription": "sub_none", "price": "{0}"}, (400, "subscription")),
        ("POST subscription_items", {"subscription": "{sub}"}, (400, "items[0][price]")),
        ("POST subscription_items", {"subscription": "{sub}", "price": "{0}"}, (400, "items")),
        ("POST subscription_items/{item}", {"price": "price_none"}, (400, "items[0][price]")),
        ("POST subscription_items/si_none", {"quantity": "2"}, (404, "id")),
        ("GET subscription_items/none", {}, (404, "id")),
        ("DELETE subscription_items/si_none", {}, (404, "id")),
        ("DELETE subscription_items/{item}", {}, (400, "items")),
    ],
)
def test_a_refused_change_changes_nothing(
    shop: Shop, request_line: str, params: Params, refusal: tuple[int, str]
) -> None:
    before, names = shop.items(), {"sub": shop.subscription, "item": shop.item}
    given = {name: value.format(*shop.prices, **names) for name, value in params.items()}
    method, path = request_line.format(**names).split()
    answer = shop.call(method, path, given)
    assert (answer.status, answer.error["param"]) == refusal
    assert (shop.items(), shop.updates()) == (before, 0)


def test_the_twenty_first_item_is_refused(shop: Shop) -> None:
    terms: Params = {"subscription": shop.subscription, "price_data[currency]": "eur", "price_data[unit_amount]": 1}
    terms |= {"price_data[product]": shop.items()[0]["price"]["product"], "price_data[recurring][interval]": "month"}
    statuses = [shop.call("POST", "subscription_items", terms).status for _ in range(20)]
    assert statuses == [200] * 19 + [400]
    assert (
        len(shop.call("GET", "subscription_items", {"subscription": shop.subscription, "limit": 100}).body["data"])
        == 20
    )


def test_a_subscription_that_cannot_be_paid_redeems_no_coupon_and_leaves_its_customer_alone(shop: Shop) -> None:
    customer, coupon = shop.create("customers"), shop.create("coupons", {"percent_off": 10})
    terms = {"customer": customer, "items[0][price]": shop.prices[0], "discounts[0][coupon]": coupon}
    assert shop.call("POST", "subscriptions", terms).error["code"] == "resource_missing"
    assert shop.call("GET", f"coupons/{coupon}").body["times_redeemed"] == 0
    assert shop.call("GET", f"customers/{customer}").body["currency"] is None


def test_a_customer_that_is_refused_keeps_no_card(shop: Shop) -> None:
    card = shop.create("payment_methods", {"type": "card"})
    refused = {"payment_method": card, "invoice_settings[default_payment_method]": "pm_none"}
    assert shop.call("POST", "customers", refused).status == 400
    assert shop.call("GET", f"payment_methods/{card}").body["customer"] is None
    assert shop.call("POST", "customers", {"payment_method": card}).status == 200


def test_a_cancellation_with_a_wrong_expansion_cancels_nothing(shop: Shop) -> None:
    path = f"subscriptions/{shop.subscription}"
    assert shop.call("DELETE", path, {"expand[]": "wish"}).status == 400
    assert shop.call("GET", path).body["status"] == "active"
