"""Which fields can be expanded, how deep, and where."""

import json
from typing import Any

import pytest

from local.stripe_simulator.api import ROUTES
from local.stripe_simulator.expansion import expandable, held_of
from tests.contract import openapi
from tests.simulator_in_process import Answer, SimulatorInProcess


class Shop(SimulatorInProcess):
    """A customer with a subscription."""

    def __init__(self) -> None:
        super().__init__(1_795_000_000)
        self.product = self.create("products", {"name": "Gold"})
        price = {"product": self.product, "currency": "eur", "unit_amount": 900, "recurring[interval]": "month"}
        self.price = self.create("prices", price)
        self.customer = self.create("customers", {"payment_method": "pm_card_visa"})
        self.subscription = self.create(
            "subscriptions",
            {"customer": self.customer, "items[0][price]": self.price, "discounts[0][coupon]": self.coupon()},
        )

    def coupon(self) -> str:
        return self.create("coupons", {"percent_off": 10})

    def get(self, path: str, *expand: str) -> Answer:
        return self.call("GET", path, {f"expand[{place}]": name for place, name in enumerate(expand)})


@pytest.fixture(scope="module")
def shop() -> Shop:
    return Shop()


def test_paths_go_deep_and_through_lists(shop: Shop) -> None:
    path = f"subscriptions/{shop.subscription}"
    body = shop.get(
        path, "customer.subscriptions.data.schedule", "items.data.price.product", "discounts.source.coupon"
    ).body
    assert body["customer"]["subscriptions"]["data"][0]["id"] == shop.subscription
    assert body["items"]["data"][0]["price"]["product"]["name"] == "Gold"
    assert body["discounts"][0]["source"]["coupon"]["percent_off"] == 10
    listed = shop.get("subscriptions", "data.items.data.price").body["data"][0]
    assert listed["items"]["data"][0]["price"]["product"] == shop.product
    assert shop.get(f"prices/{shop.price}", "product.default_price").body["product"]["default_price"] is None


@pytest.mark.parametrize(
    ("path", "expand", "message"),
    [
        ("subscriptions/{subscription}", "metadata", "This property cannot be expanded (metadata)."),
        ("subscriptions/{subscription}", "created", "This property cannot be expanded (created)."),
        ("subscriptions/{subscription}", "customer.email", "This property cannot be expanded (customer.email)."),
        ("subscriptions/{subscription}", "schedule.wish", "This property cannot be expanded (schedule.wish)."),
        ("subscriptions/{subscription}", "items.price", "This property cannot be expanded (items.price)."),
        ("subscriptions/{subscription}", "", "This property cannot be expanded ()."),
        ("subscriptions/{subscription}", "customer.", "This property cannot be expanded (customer.)."),
        (
            "subscriptions",
            "customer",
            "This property cannot be expanded (customer). You may want to try expanding 'data.customer' instead.",
        ),
        ("subscriptions", "data", "This property cannot be expanded (data)."),
        ("subscriptions", "data.created", "This property cannot be expanded (data.created)."),
        ("subscriptions", "wish", "This property cannot be expanded (wish)."),
        ("subscriptions", "total_count", "This property cannot be expanded (total_count)."),
        ("coupons", "data.wish", "This property cannot be expanded (data.wish)."),
        ("events", "data.data.object.customer", "This property cannot be expanded (data.data.object.customer)."),
        ("events/{event}", "data.object.customer", "This property cannot be expanded (data.object.customer)."),
        (
            "subscriptions",
            "data.items.data.price.product",
            "You cannot expand more than 4 levels of a property. Property: data.items.data.price.product",
        ),
    ],
)
def test_what_cannot_be_expanded_is_refused(shop: Shop, path: str, expand: str, message: str) -> None:
    event = shop.get("events").body["data"][0]["id"]
    answer = shop.get(path.format(subscription=shop.subscription, event=event), expand)
    assert (answer.status, answer.error["message"], answer.error["param"]) == (400, message, "expand")
    deep = message.startswith("You cannot")
    assert answer.error["code"] == ("property_expansion_max_depth" if deep else "property_cannot_be_expanded")


def test_a_refused_expansion_of_a_list_needs_no_objects_in_it() -> None:
    answer = SimulatorInProcess().call("GET", "subscriptions", {"expand[]": "data.wish"})
    assert answer.status == 400


def test_a_deleted_customer_is_expanded_to_what_is_left_of_it() -> None:
    shop = Shop()
    shop.call("DELETE", f"customers/{shop.customer}")
    body = shop.get(f"subscriptions/{shop.subscription}", "customer").body
    assert body["customer"] == {"id": shop.customer, "object": "customer", "deleted": True}
    assert shop.get(f"customers/{shop.customer}", "subscriptions").body["deleted"] is True


def test_events_hold_nothing_expanded() -> None:
    shop = Shop()
    updated = shop.call("POST", f"subscriptions/{shop.subscription}", {"metadata[a]": "b", "expand[]": "customer"})
    event = shop.call("GET", "events", {"type": "customer.subscription.updated"}).body["data"][0]
    assert updated.body["customer"]["id"] == event["data"]["object"]["customer"] == shop.customer


@pytest.mark.skipif(not openapi.DOCUMENT.exists(), reason="needs `make contract`")
def test_what_can_be_expanded_is_what_stripes_openapi_document_says() -> None:
    schemas: dict[str, Any] = json.loads(openapi.DOCUMENT.read_text())["schemas"]
    names = {name for route in ROUTES if (name := route.collection.removesuffix("s").replace("/", ".")) in schemas}
    assert len(names) > 12
    for name in names:
        documented = schemas[name].get("x-expandableFields", [])
        assert [field for field in documented if not expandable(held_of(name), field)] == [], name
        scalars = [field for field in schemas[name]["properties"] if field not in documented]
        assert [field for field in scalars if expandable(held_of(name), field)] == [], name
